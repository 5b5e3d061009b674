"""Mean AUC of the CheXpert competition."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from skattr._targets.alignment import align_rows
from skattr._targets.columns import read_labels, reject_masked
from skattr.metrics._binary_inputs import (
    binary_table,
    check_option,
    mean_of_defined,
    positions,
    warn_once,
)

CHEXPERT_FIVE = ("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Pleural Effusion")


def chexpert_auc(
    y_true: Any,
    y_score: Any,
    *,
    uncertain: Literal["ignore", "zeros", "ones"] = "ignore",
    observations: Sequence[Any] | None = None,
    uncertain_label: Any = -1,
) -> dict[str, float]:
    """Return the mean AUC over the five observations of the CheXpert competition.

    They are Atelectasis, Cardiomegaly, Consolidation, Edema and Pleural Effusion (Irvin et al.,
    2019, https://arxiv.org/abs/1901.07031, which also names the policies for uncertain labels).

    Parameters
    ----------
    y_true : array-like of shape (n, L) or DataFrame
        0, 1, `uncertain_label`, or missing (NaN, None, pandas.NA; blank in the files). A DataFrame
        may have more columns than the observations, of any type.
    y_score : array-like of shape (n, L), DataFrame, or list of L arrays of shape (n, 2)
        One column per column of y_true, or one per observation in their order. Columns of a
        DataFrame are matched by name.
    uncertain : {"ignore", "zeros", "ones"}, default="ignore"
        Whether to read an uncertain label as missing, as 0, or as 1.
    observations : list of column names, optional
        Observations to evaluate. The default is the five of the competition for a DataFrame, and
        all columns of an array.
    uncertain_label : scalar, default=-1
        Value of an uncertain label.

    Returns
    -------
    dict of {str: float}
        "mAUC", the mean, then "AUC/Atelectasis" and so on.

    Raises
    ------
    ValueError, TypeError
        As for :func:`pedestrian_metrics`; also if a column is missing.

    Warns
    -----
    SkattrWarning
        If the known labels of an observation are of at most one class. Its AUC is NaN and left
        out of the mean.

    Examples
    --------
    >>> import pandas as pd
    >>> from skattr.metrics import chexpert_auc
    >>> y_true = pd.DataFrame({"Edema": [1, 0, -1, 0], "Fracture": [0, 1, None, 0]})
    >>> y_score = pd.DataFrame({"Edema": [0.7, 0.2, 0.6, 0.6], "Fracture": [0.1, 0.4, 0.2, 0.2]})
    >>> chexpert_auc(y_true, y_score, observations=["Edema"], uncertain="ones")
    {'mAUC': 0.875, 'AUC/Edema': 0.875}
    """
    check_option("uncertain", uncertain, ("ignore", "zeros", "ones"))
    reject_masked(y_score, "y_score")
    align_rows(y_true=y_true, y_score=y_score)
    is_frame = isinstance(y_true, pd.DataFrame)
    frame = read_labels(y_true, what="y_true").to_frame()
    if observations is None:
        observations = CHEXPERT_FIVE if is_frame else list(frame.columns)
    at = positions(observations, list(frame.columns), "`observations` names")
    labels = frame.iloc[:, at].astype(object)
    is_uncertain = (labels == uncertain_label).to_numpy(dtype=bool, na_value=False)
    names, values = list(labels.columns), labels.to_numpy(dtype=object, copy=True)
    values[is_uncertain] = {"ignore": None, "zeros": 0, "ones": 1}[uncertain]
    score: Any = y_score
    if isinstance(y_score, pd.DataFrame):
        order = positions(names, list(y_score.columns), "The columns of y_score lack")
        score = y_score.iloc[:, order].to_numpy()
    elif isinstance(y_score, list | tuple) and any(np.ndim(part) == 2 for part in y_score):
        score = [y_score[j] for j in at] if len(y_score) == frame.shape[1] else y_score
    elif np.ndim(y_score) == 2 and np.shape(y_score)[1] == frame.shape[1]:
        score = np.asarray(y_score)[:, at]
    table = binary_table(pd.DataFrame(values, columns=names), score)
    has_both = np.asarray(table.positive.any(axis=0) & table.negative.any(axis=0))
    warn_once(table.left_out(~has_both, "positive or a negative have no AUC and", "mAUC"))
    areas = np.full(len(names), np.nan)
    for j in np.flatnonzero(has_both):
        rows = table.known[:, j]
        areas[j] = roc_auc_score(table.positive[rows, j], table.scores[rows, j])
    per_observation = {f"AUC/{name}": float(area) for name, area in zip(names, areas, strict=True)}
    return {"mAUC": mean_of_defined(areas), **per_observation}
