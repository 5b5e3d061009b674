"""Labels that contradict confident predictions."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skattr._targets.encoder import is_binary
from skattr.inspection._predictions import Declared, positions_of, score_predictions

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
    """List the known labels that confident predictions contradict.

    Confident learning [1]_: the threshold of a class is the mean probability that rows with
    this label have for it. A row's confident class is the most probable of the classes whose
    threshold it reaches; a label that is another class is a suspect. This needs no threshold of
    one's own, and asks more of classes that are easy to tell.

    Parameters
    ----------
    y_true : array-like of shape (n,) or (n, L), Series or DataFrame
        Missing labels are never suspects, and do not count.
    y_score : ndarray of shape (n, L), or list of ndarray of shape (n, n_classes)
        Probabilities by classifiers that were not trained on the row, as of
        :func:`skattr.model_selection.cross_val_predict_proba`: others have learned the wrong
        labels too.
    sort_by : {"margin", "given_probability", "probability"}, default="margin"
        Which suspects come first: those with the largest margin, the least probable label, or
        the most probable other class.
    select : sequence of names or positions, default=None
        The attributes to look at; None looks at all.
    attributes, missing_label : default=None
        How y_true is read; see :class:`skattr.AttributeEncoder`.

    Returns
    -------
    DataFrame
        One row per suspect, the first most suspicious: "row", its position; "attribute";
        "given", its label, and "predicted", the confident class; "probability" of the
        predicted class and "given_probability" of the label; "margin", the difference of the
        two. The index of a DataFrame or Series y_true is the index; else it counts from 0.

    Raises
    ------
    ValueError
        If shapes differ, scores are no probabilities, or a name or `sort_by` is unknown.

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
        raise ValueError(f"`sort_by` must be one of {list(_ORDERS)}, got {sort_by!r}.")
    scored = score_predictions(y_true, y_score, attributes, missing_label)
    if not scored.scores.is_proba:
        raise ValueError("y_score holds no probabilities: some lie outside of [0, 1].")
    two = is_binary(scored.encoder)
    parts = []
    for j in positions_of(select, scored.names):
        rows = np.flatnonzero(scored.codes[:, j] >= 0)
        codes, scores = scored.known(j)
        if two[j]:
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
    found = pd.concat(parts, ignore_index=True)
    found["margin"] = found["probability"] - found["given_probability"]
    found = found.sort_values(
        sort_by, ascending=sort_by == "given_probability", kind="stable", ignore_index=True
    )
    if isinstance(y_true, pd.DataFrame | pd.Series):
        found.index = y_true.index[found["row"]]
    return found[_COLUMNS]


def _suspects(codes: Array, scores: Array) -> tuple[Array, Array]:
    """Return the rows with a confident class that is not theirs, and this class."""
    if not len(codes):
        return np.empty(0, dtype=np.intp), np.empty(0, dtype=np.intp)
    n_classes = scores.shape[1]
    counts = np.bincount(codes, minlength=n_classes)
    own = scores[np.arange(len(codes)), codes]
    total = np.bincount(codes, own, minlength=n_classes)
    # a class nobody has been given has no threshold, so that nothing reaches it
    thresholds = np.divide(total, counts, out=np.full(n_classes, np.inf), where=counts > 0)
    confident = np.where(scores >= thresholds - 1e-12, scores, -1.0)
    best = confident.argmax(axis=1)
    at = np.flatnonzero((confident.max(axis=1) >= 0) & (best != codes))
    return at, best[at]
