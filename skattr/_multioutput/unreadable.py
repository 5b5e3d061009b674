"""Rows that a classifier with ``on_bad_image="warn"`` could not read, in what it answers."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing

from skattr._multioutput.scores import Scores
from skattr.exceptions import ImageReadError


def _leaves_rows_out(estimator: Any) -> bool:
    """Tell whether a classifier, one inside it or a step before it has ``on_bad_image="warn"``."""
    if isinstance(estimator, Pipeline):
        return any(_leaves_rows_out(step) for _, step in estimator.steps)
    if hasattr(estimator, "images"):
        return getattr(estimator.images, "on_bad_image", "raise") == "warn"
    inner = getattr(estimator, "estimator_", getattr(estimator, "estimator", None))
    return inner is not None and _leaves_rows_out(inner)


def unpredicted_rows(estimator: Any, answer: Any) -> NDArray[np.bool_]:
    """Tell which rows a classifier could not read: all of their answer is missing.

    Parameters
    ----------
    estimator : classifier
        Without ``on_bad_image="warn"``, its own or that of a part of it, it has read every row.
    answer : Scores, or labels of shape (n,) or (n, n_outputs)
        NaN throughout, or None.
    """
    if not _leaves_rows_out(estimator):
        return np.zeros(len(answer), dtype=bool)
    if isinstance(answer, Scores):
        return rows_of_nan(answer)
    table = pd.isna(np.asarray(answer, dtype=object)).reshape(len(answer), -1)
    return np.asarray(table.all(axis=1), dtype=np.bool_)


def check_predicted_rows(estimator: Any, answer: Any) -> NDArray[np.bool_]:
    """Do as :func:`unpredicted_rows`, where one row at least is needed.

    Raises
    ------
    ImageReadError
        If no row could be read.
    """
    lost = unpredicted_rows(estimator, answer)
    if len(lost) and lost.all():
        raise ImageReadError(f"None of the {len(lost)} row(s) of X can be read.")
    return lost


def rows_of_nan(scores: Scores) -> NDArray[np.bool_]:
    """Tell which rows have no score at all."""
    parts = [np.isnan(part).all(axis=1) for part in (scores.binary, *scores.others)]
    return np.asarray(np.logical_and.reduce(parts), dtype=np.bool_)


def rows_of(answer: Any, rows: NDArray[np.intp]) -> Any:
    """Return some rows of a classifier's answer: an array, a table, or a list of arrays."""
    if isinstance(answer, list):
        return [part[rows] for part in answer]
    return _safe_indexing(answer, rows)
