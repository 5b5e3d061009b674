"""Detection of label errors by confident learning."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skattr._targets.encoder import is_binary
from skattr.inspection._predictions import Declared, attribute_positions, score_predictions

Array = NDArray[Any]
_COLUMNS = ["row", "attribute", "given", "predicted", "probability", "given_probability", "margin"]
_ORDERS = ("margin", "given_probability", "probability")


def suspected_label_errors(
    y_true: Any,
    y_score: Any,
    *,
    sort_by: str = "margin",
    select: Any = None,
    attributes: Declared = None,
    missing_label: Any = None,
) -> pd.DataFrame:
    """List the known labels that contradict confident predictions.

    The method is confident learning [1]_. The threshold of a class is the mean predicted
    probability of that class over the rows labeled with it. The confident class of a row is the
    most probable among the classes whose threshold it reaches. A label is suspected if it differs
    from the confident class. No threshold has to be chosen, and classes that are easy to
    recognize have higher thresholds.

    Parameters
    ----------
    y_true : array-like of shape (n,) or (n, L), Series or DataFrame
        Missing labels are never suspected and have no influence.
    y_score : ndarray of shape (n, L), or list of ndarray of shape (n, n_classes)
        Out-of-fold probabilities, such as those of
        :func:`skattr.model_selection.cross_val_predict_proba`. A classifier that was trained on
        a row may have learned its wrong label.
    sort_by : {"margin", "given_probability", "probability"}, default="margin"
        Sort by the largest margin, the least probable given label, or the most probable
        predicted class.
    select : sequence of names or positions, default=None
        The attributes to check. None checks all.
    attributes, missing_label : default=None
        Parameters of the :class:`skattr.AttributeEncoder` that reads y_true.

    Returns
    -------
    DataFrame
        One row per suspected label, the most suspicious first. Its columns are "row" (position
        in y_true), "attribute", "given" (the label), "predicted" (the confident class),
        "probability" (of the predicted class), "given_probability" (of the label) and "margin"
        (the difference of the two). The index is that of y_true if it is a DataFrame or Series.

    Raises
    ------
    ValueError
        If shapes differ, scores are not probabilities, or a name or `sort_by` is unknown.

    References
    ----------
    .. [1] Northcutt, C. G., Jiang, L., Chuang, I. L., 2021. Confident learning: estimating
       uncertainty in dataset labels. Journal of Artificial Intelligence Research 70.

    Examples
    --------
    >>> from skattr.inspection import suspected_label_errors
    >>> y = [1, 1, 0, 0, 0, None]
    >>> proba = [0.9, 0.7, 0.1, 0.2, 0.95, 0.9]
    >>> suspected_label_errors(y, proba)[["row", "given", "predicted", "probability"]]
       row given predicted  probability
    0    4     0         1         0.95
    """
    if sort_by not in _ORDERS:
        raise ValueError(f"`sort_by` must be one of {list(_ORDERS)}; got {sort_by!r}.")
    scored = score_predictions(y_true, y_score, attributes, missing_label)
    if not scored.scores.is_proba:
        raise ValueError("y_score does not contain probabilities: some values are outside [0, 1].")
    binary = is_binary(scored.encoder)
    parts = []
    for j in attribute_positions(select, scored.names):
        rows = np.flatnonzero(scored.codes[:, j] >= 0)
        codes, scores = scored.known(j)
        if binary[j]:
            scores = np.stack([1 - scores, scores], axis=1)
        at, predicted = _suspects(codes, scores)
        labels = scored.encoder.classes_[j]
        parts.append(
            pd.DataFrame(
                {
                    "row": rows[at],
                    "attribute": pd.Series([scored.names[j]] * len(at), dtype=object),
                    "given": labels[codes[at]].astype(object),
                    "predicted": labels[predicted].astype(object),
                    "probability": scores[at, predicted],
                    "given_probability": scores[at, codes[at]],
                }
            )
        )
    suspects = pd.concat(parts, ignore_index=True)
    suspects["margin"] = suspects["probability"] - suspects["given_probability"]
    suspects = suspects.sort_values(
        sort_by, ascending=sort_by == "given_probability", kind="stable", ignore_index=True
    )
    if isinstance(y_true, pd.DataFrame | pd.Series):
        suspects.index = y_true.index[suspects["row"]]
    return suspects[_COLUMNS]


def _suspects(codes: Array, scores: Array) -> tuple[Array, Array]:
    """Return the rows whose label differs from their confident class, and that class."""
    if not len(codes):
        return np.empty(0, dtype=np.intp), np.empty(0, dtype=np.intp)
    n_classes = scores.shape[1]
    counts = np.bincount(codes, minlength=n_classes)
    own = scores[np.arange(len(codes)), codes]
    total = np.bincount(codes, own, minlength=n_classes)
    # a class without a labeled row has no threshold, so no row may reach it
    thresholds = np.divide(total, counts, out=np.full(n_classes, np.inf), where=counts > 0)
    # 1e-12: if all rows of a class have equal scores, rounding must not lift the mean above them
    confident = np.where(scores >= thresholds - 1e-12, scores, -1.0)
    best = confident.argmax(axis=1)
    at = np.flatnonzero((confident.max(axis=1) >= 0) & (best != codes))
    return at, best[at]
