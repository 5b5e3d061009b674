"""Tables of zeros and ones beside their scores: checks, counts and means, missing labels masked."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, precision_recall_curve

from skattr._targets.columns import read_labels, reject_masked
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
        Where a label is known to be 1, and to be 0; missing labels are in neither.
    scores : ndarray of shape (n, L), float
        In the dtype they came in, if it was a float; NaN at most where the label is unknown.
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
        return f"{len(found)} of {len(self.names)} attribute(s) {shown(found)}"

    def left_out(self, where: Mask, lack: str, means: str) -> list[str]:
        """Say which attributes are left out of which means, if any, and how many are left."""
        others = int((self.labelled & ~where).sum())
        said = f"{self.named(where)} without a {lack} are left out of {means} (a mean over the "
        return [f"{said}other {others})."] if where.any() else []


def binary_table(y_true: Any, y_score: Any, *, complete: bool = False) -> BinaryTable:
    """Check labels and scores.

    Parameters
    ----------
    y_true : array-like of shape (n, L) or (n,), or DataFrame
        0, 1 or bool; NaN, None and pandas.NA are unknown.
    y_score : array-like of shape (n, L), DataFrame, or list of L arrays of shape (n, 2)
        Scores of the positive class, or the answer of a multi-output `predict_proba`.
    complete : bool
        Ask for a score where the label is unknown too.

    Returns
    -------
    BinaryTable

    Raises
    ------
    TypeError
        If either is masked or sparse.
    ValueError
        If shapes or names differ, a label is neither 0 nor 1, none is known, or a score is not
        finite.
    """
    table = read_labels(y_true, what="y_true")
    labels, names = table.indicators(), table.names
    known = labels >= 0
    check_any_known(known, "y_true")
    scores = _scores(y_score, labels.shape)
    columns = list(y_score.columns) if isinstance(y_score, pd.DataFrame) else None
    if columns is not None and table.is_named:
        if set(columns) & set(names) and columns != names:
            raise ValueError(
                f"The columns of y_score are {shown(columns)}, those of y_true {shown(names)}; "
                "they must be the same in the same order."
            )
    elif columns is not None:
        names = columns
    bad = ~np.isfinite(scores) & (known | complete)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise ValueError(
            f"y_score: row {row}, attribute {names[column]!r}: the score {scores[row, column]} is "
            "not finite."
        )
    return BinaryTable(labels == 1, labels == 0, scores, names)


def threshold_per_attribute(threshold: Any, table: BinaryTable) -> float | Floats:
    """Return a float, or one threshold per attribute; infinite ones are valid.

    A float stays a float, so that it is compared in the dtype of the scores, as numpy does.

    Raises
    ------
    ValueError
        If it has another shape, or is NaN.
    """
    array = np.asarray(threshold, dtype=np.float64)
    if array.shape not in ((), (len(table.names),)):
        raise ValueError(
            f"`threshold` must be a number or one per attribute ({len(table.names)}), got the "
            f"shape {array.shape}."
        )
    if np.isnan(array).any():
        raise ValueError(f"`threshold` must not be NaN, got {threshold!r}.")
    return float(array) if array.ndim == 0 else array


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
    """Tell which scores are among the k highest of their row.

    Of equal scores the first come first if `stable`, else they fall as `numpy.argpartition` has
    it.

    Raises
    ------
    ValueError
        If k is no positive whole number; `parameter` is its name.
    """
    if isinstance(k, bool) or not isinstance(k, Integral) or int(k) < 1:
        raise ValueError(f"`{parameter}` must be a whole number of at least 1, got {k!r}.")
    k = min(int(k), scores.shape[1])
    if stable:
        best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    else:
        best = np.argpartition(scores, -k, axis=1)[:, -k:]
    result = np.zeros(scores.shape, dtype=bool)
    np.put_along_axis(result, best, True, axis=1)
    return result


def positions(members: Any, names: list[Any], what: str) -> NDArray[np.intp]:
    """Return where attributes stand that are given by name, or by position.

    Raises
    ------
    ValueError
        If one is neither, or is named twice; `what` begins the message.
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
            raise ValueError(f"{what} {member!r}, which is no attribute of {shown(names)}.")
    if not found or len(set(found)) < len(found):
        raise ValueError(f"{what} no attribute, or one twice: {shown(list(members))}.")
    return np.array(found, dtype=np.intp)


def check_option(name: str, value: Any, valid: Sequence[str]) -> None:
    """Raise a ValueError unless the value is one of the valid strings."""
    if not isinstance(value, str) or value not in valid:
        raise ValueError(f"`{name}` must be one of {', '.join(map(repr, valid))}, got {value!r}.")


def mean_of_defined(values: Floats) -> float:
    """Return the mean of what is not NaN, NaN if nothing is left."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else float("nan")


def warn_once(remarks: Sequence[str]) -> None:
    """Give one warning, at the caller of the public function, that joins the remarks."""
    if remarks:
        warnings.warn(" ".join(remarks), SkattrWarning, stacklevel=3)


def shown(names: Sequence[Any], limit: int = 10) -> str:
    """Return a list of names, shortened."""
    listed = ", ".join(repr(name) for name in names[:limit])
    return f"[{listed}]" if len(names) <= limit else f"[{listed}, ... {len(names)} in all]"


def _scores(y_score: Any, shape: tuple[int, ...]) -> Floats:
    """Return the scores of the positive class, (n, L)."""
    reject_masked(y_score, "y_score")
    if isinstance(y_score, list | tuple) and any(np.ndim(part) == 2 for part in y_score):
        parts = [np.asarray(part) for part in y_score]
        for j, part in enumerate(parts):
            if part.ndim != 2 or part.shape != (shape[0], 2):
                raise ValueError(
                    f"y_score: the scores of attribute {j} have the shape {part.shape}; in a list "
                    f"each must have the shape ({shape[0]}, 2), one column per class."
                )
        array = np.stack([part[:, 1] for part in parts], axis=1)
    else:
        array = np.asarray(y_score)
    array = array[:, np.newaxis] if array.ndim == 1 else array
    if shape[1] == 1 and array.shape == (shape[0], 2):
        array = array[:, 1:]
    if array.shape != shape:
        raise ValueError(
            f"y_score has the shape {array.shape}, y_true {shape}: one score is needed for each "
            "label."
        )
    if array.dtype.kind == "f":
        return array
    if array.dtype.kind == "O":
        array = np.where(pd.isna(array), np.nan, array)
    if array.dtype.kind not in "biufO":
        raise ValueError(f"y_score must be numbers, got the dtype {array.dtype}.")
    try:
        return array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"y_score must be numbers: {error}") from error
