"""Rows without a prediction because their image was unreadable.

A classifier with ``on_bad_image="warn"`` predicts NaN scores or the label None for such rows. It
has warned of them, so the functions here do not warn again.
"""

from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing

from skattr._multioutput.scores import Scores
from skattr.exceptions import ImageReadError


def _skips_unreadable(estimator: Any) -> bool:
    """Whether a classifier, its inner estimator or a pipeline step has on_bad_image="warn"."""
    if isinstance(estimator, Pipeline):
        return any(_skips_unreadable(step) for _, step in estimator.steps)
    if hasattr(estimator, "images"):
        return getattr(estimator.images, "on_bad_image", "raise") == "warn"
    inner = getattr(estimator, "estimator_", getattr(estimator, "estimator", None))
    return inner is not None and _skips_unreadable(inner)


def unpredicted_rows(estimator: Any, response: Any) -> NDArray[np.bool_]:
    """Return a mask of the unreadable rows of a classifier's response.

    Parameters
    ----------
    estimator : classifier
        If neither it nor a part of it has ``on_bad_image="warn"``, no row is unreadable: a
        missing score is then an error, which the caller raises.
    response : Scores, or labels of shape (n,) or (n, n_outputs)
        A row is unreadable if all of its values are NaN or None.
    """
    if not _skips_unreadable(estimator):
        # Classifiers that were fitted on sparse labels may predict such.
        n = response.shape[0] if scipy.sparse.issparse(response) else len(response)
        return np.zeros(n, dtype=bool)
    if isinstance(response, Scores):
        return rows_of_nan(response)
    is_missing = pd.isna(np.asarray(response, dtype=object)).reshape(len(response), -1)
    return np.asarray(is_missing.all(axis=1), dtype=np.bool_)


def check_predicted_rows(estimator: Any, response: Any) -> NDArray[np.bool_]:
    """Return the mask of :func:`unpredicted_rows`, and check that not all rows are in it.

    Raises
    ------
    ImageReadError
        If all rows are unreadable.
    """
    unreadable = unpredicted_rows(estimator, response)
    if len(unreadable) and unreadable.all():
        raise ImageReadError(f"All {len(unreadable)} rows of X are unreadable.")
    return unreadable


def rows_of_nan(scores: Scores) -> NDArray[np.bool_]:
    """Return a mask of the rows whose scores are all NaN."""
    parts = [np.isnan(part).all(axis=1) for part in (scores.binary, *scores.others)]
    return np.asarray(np.logical_and.reduce(parts), dtype=np.bool_)


def select_response(response: Any, rows: NDArray[np.intp]) -> Any:
    """Return some rows of a response: an array, a table, or a list of arrays."""
    if isinstance(response, list):
        return [part[rows] for part in response]
    return _safe_indexing(response, rows)
