"""Checked tables of zeros and ones with their scores, for the evaluation protocols."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, precision_recall_curve

from skattr._multioutput.scores import match_scores, read_response
from skattr._targets.alignment import align_rows, column_names_of
from skattr._targets.codes import format_classes
from skattr._targets.columns import read_labels
from skattr._targets.encoder import check_any_known
from skattr.exceptions import SkattrWarning

Array = NDArray[Any]
Floats = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class BinaryTable:
    """Checked labels and scores of n rows and L attributes.

    Attributes
    ----------
    positive, negative : ndarray of shape (n, L), bool
        Whether a label is known to be 1, and to be 0. Missing labels are neither.
    scores : ndarray of shape (n, L), float
        In their own dtype, if it is a float. NaN only where a label is missing.
    names : list
        Column names of the labels, or of the scores, else "y0", "y1", ...
    """

    positive: Mask
    negative: Mask
    scores: Floats
    names: list[Any]

    @property
    def known(self) -> Mask:
        """Where the label is known."""
        return self.positive | self.negative

    @property
    def labelled(self) -> Mask:
        """The attributes that have a known label."""
        return np.asarray(self.known.any(axis=0))

    def named(self, where: Mask) -> str:
        """Return "2 of 9 attributes ['hat', 'tie']" for a mask of attributes."""
        found = [self.names[j] for j in np.flatnonzero(where)]
        return f"{len(found)} of {len(self.names)} attribute(s) {format_classes(found)}"

    def left_out(self, where: Mask, lack: str, means: str) -> list[str]:
        """Return a remark on the attributes that are left out of means, if there are any."""
        others = int((self.labelled & ~where).sum())
        remark = f"{self.named(where)} without a {lack} are left out of {means} (a mean over the "
        return [f"{remark}other {others})."] if where.any() else []


def binary_table(y_true: Any, y_score: Any, *, complete: bool = False) -> BinaryTable:
    """Check labels and scores.

    Parameters
    ----------
    y_true : array-like of shape (n, L) or (n,), or DataFrame
        0, 1 or bool; NaN, None, pandas.NA and masked labels are missing. Columns of two
        DataFrames are matched by name.
    y_score : array-like of shape (n, L), DataFrame, or list of L arrays of shape (n, 2)
        Scores of the positive class, or the response of a multi-output `predict_proba`.
    complete : bool
        Whether a score is required where the label is missing, too.

    Returns
    -------
    BinaryTable

    Raises
    ------
    TypeError
        If scores are masked or sparse.
    ValueError
        If shapes or names differ, a label is neither 0 nor 1, none is known, or a score is not
        finite.
    """
    y_true, y_score = align_rows(y_true=y_true, y_score=y_score)
    table = read_labels(y_true, what="y_true")
    labels, names = table.indicators(), table.names
    known = labels >= 0
    check_any_known(known, "y_true")
    scores = _positive_scores(match_scores(y_score, table), labels.shape)
    columns = column_names_of(y_score)
    if columns is not None and not table.is_named and len(columns) == len(names):
        names = columns
    bad = ~np.isfinite(scores) & (known | complete)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise ValueError(
            f"y_score of row {row}, attribute {names[column]!r}, is {scores[row, column]}; scores "
            "must be finite."
        )
    return BinaryTable(labels == 1, labels == 0, scores, names)


def predict(table: BinaryTable, threshold: Any, strict: bool) -> Mask:
    """Tell which scores are above the threshold or, unless `strict`, equal to it.

    The threshold is a number, or one per attribute; infinite ones are valid.

    Raises
    ------
    ValueError
        If it has another shape, or is NaN.
    """
    limits = np.asarray(threshold, dtype=np.float64)
    if limits.shape not in ((), (len(table.names),)):
        raise ValueError(
            f"`threshold` must be a number or one per attribute ({len(table.names)}); got "
            f"shape {limits.shape}."
        )
    if np.isnan(limits).any():
        raise ValueError(f"`threshold` must not be NaN; got {threshold!r}.")
    # NumPy compares a float, unlike an array, in the dtype of the scores.
    limit: Any = limits if limits.ndim else float(limits)
    return np.asarray(table.scores > limit if strict else table.scores >= limit)


def average_precisions(table: BinaryTable, ap: str = "sklearn") -> Floats:
    """Return the average precision of each attribute, NaN without a known positive.

    Parameters
    ----------
    table : BinaryTable
    ap : {"sklearn", "voc"}
        "voc" replaces the precision at a recall by the highest at that or a higher recall.

    Returns
    -------
    ndarray of shape (L,)
    """
    result = np.full(len(table.names), np.nan)
    for j in np.flatnonzero(table.positive.any(axis=0)):
        rows = table.known[:, j]
        labels, scores = table.positive[rows, j], table.scores[rows, j]
        if ap == "sklearn":
            result[j] = average_precision_score(labels, scores)
        else:
            precision, recall, _ = precision_recall_curve(labels, scores)
            result[j] = -np.diff(recall) @ np.maximum.accumulate(precision[:-1])
    return result


def highest(scores: Floats, k: Any, parameter: str, *, stable: bool = False) -> Mask:
    """Return which scores are among the k highest of their row.

    Of equal scores the first ones are chosen if `stable`, else those of `numpy.argpartition`,
    as in the official evaluation code.

    Raises
    ------
    ValueError
        If k is not a positive whole number; the message names `parameter`.
    """
    if isinstance(k, bool) or not isinstance(k, Integral) or int(k) < 1:
        raise ValueError(f"`{parameter}` must be a whole number of at least 1; got {k!r}.")
    k = min(int(k), scores.shape[1])
    if stable:
        best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    else:
        best = np.argpartition(scores, -k, axis=1)[:, -k:]
    result = np.zeros(scores.shape, dtype=bool)
    np.put_along_axis(result, best, True, axis=1)
    return result


def positions(members: Any, names: list[Any], what: str) -> NDArray[np.intp]:
    """Return the positions of attributes that are given by name or position.

    Raises
    ------
    ValueError
        If one is neither, or is given twice; `what` begins the message.
    """
    found = []
    for member in [members] if isinstance(members, str) else members:
        is_position = not isinstance(member, bool) and isinstance(member, Integral)
        if names.count(member) > 1:
            raise ValueError(f"{what} {member!r}, which is the name of several columns.")
        if member in names:
            found.append(names.index(member))
        elif is_position and 0 <= int(member) < len(names):
            found.append(int(member))
        else:
            raise ValueError(
                f"{what} {member!r}, which is no attribute of {format_classes(names)}."
            )
    if not found or len(set(found)) < len(found):
        raise ValueError(f"{what} no attribute, or one twice: {format_classes(list(members))}.")
    return np.array(found, dtype=np.intp)


def check_option(name: str, value: Any, valid: Sequence[str]) -> None:
    """Raise a ValueError unless the value is one of the valid strings."""
    if not isinstance(value, str) or value not in valid:
        raise ValueError(f"`{name}` must be one of {', '.join(map(repr, valid))}; got {value!r}.")


def mean_of_defined(values: Floats) -> float:
    """Return the mean of the values that are not NaN, NaN if there are none."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else float("nan")


def warn_once(remarks: Sequence[str]) -> None:
    """Join the remarks in one warning, located at the caller of the public function."""
    if remarks:
        warnings.warn(" ".join(remarks), SkattrWarning, stacklevel=3)


def _positive_scores(y_score: Any, shape: tuple[int, ...]) -> Floats:
    """Return the scores of the positive class, (n, L)."""
    response = read_response(y_score)
    if isinstance(response, list):
        for j, part in enumerate(response):
            if part.shape != (shape[0], 2):
                raise ValueError(
                    f"y_score: the scores of attribute {j} have shape {part.shape}; in a list "
                    f"each must have shape ({shape[0]}, 2), with one column per class."
                )
        array: Floats = np.stack([part[:, 1] for part in response], axis=1)
    else:
        array = response[:, np.newaxis] if response.ndim == 1 else response
    if shape[1] == 1 and array.shape == (shape[0], 2):
        array = array[:, 1:]
    if array.shape != shape:
        raise ValueError(
            f"y_score has shape {array.shape}, but y_true has shape {shape}; there must be one "
            "score for each label."
        )
    return array
