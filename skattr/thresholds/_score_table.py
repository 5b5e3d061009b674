"""Scores beside labels, of which some are unknown, in blocks of labels."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from joblib import effective_n_jobs
from numpy.typing import NDArray

from skattr._multioutput.scores import check_same_columns
from skattr._targets.columns import read_labels, reject_masked
from skattr.thresholds._curves import Curves, fast_curves, plain_curves, weighted_curve

Array = NDArray[Any]
_BLOCK = 64  # labels sorted at a time, at most
_SHARE = 9  # the sorted keys take this part of the scores' memory
_LEAST = 1 << 18  # entries sorted at a time, at least: 1 MB
_MANY = 1 << 22  # entries from which threads gain more than they cost


@dataclass(frozen=True)
class ScoreTable:
    """Scores and labels of n rows.

    Attributes
    ----------
    scores : ndarray of shape (n, n_labels), float
        A NaN score is as good as a missing label.
    labels : ndarray of shape (n, n_labels)
        Bools; integers, negative where unknown; or floats, NaN where unknown.
    weights : ndarray of shape (n, 1) or (n, n_labels), or None
    soft : ndarray of shape (n, n_labels), or None
        Probabilities that take the place of the known labels.
    """

    scores: Array
    labels: Array
    weights: Array | None = None
    soft: Array | None = None

    @property
    def n_labels(self) -> int:
        """Number of labels."""
        return int(self.scores.shape[1])

    def rows(self, chosen: Array) -> "ScoreTable":
        """Return some of the rows."""
        return self._each(lambda array: array[chosen])

    def columns(self, chosen: Any) -> "ScoreTable":
        """Return some of the labels."""
        return self._each(lambda array: array if array.shape[1] == 1 else array[:, chosen])

    def pooled(self) -> "ScoreTable":
        """Return all entries as those of one label."""
        shape = self.scores.shape
        return self._each(lambda array: np.broadcast_to(array, shape).reshape(-1, 1))

    def _each(self, function: Callable[[Array], Array]) -> "ScoreTable":
        parts = (self.scores, self.labels, self.weights, self.soft)
        return ScoreTable(*(None if part is None else function(part) for part in parts))  # type: ignore[arg-type]

    def is_positive(self) -> Array:
        """Return which labels are known to be positive."""
        return self.labels if self.labels.dtype.kind == "b" else self.labels > 0

    def known(self) -> Array | None:
        """Return which entries have a label and a score, or None if all have."""
        known = self._labelled()
        if self.scores.size and np.isnan(self.scores.min()):
            has_score = ~np.isnan(self.scores)
            known = has_score if known is None else known & has_score
        return known

    def _labelled(self) -> Array | None:
        if self.labels.dtype.kind == "f":
            return ~np.isnan(self.labels)
        if self.labels.dtype.kind == "i" and self.labels.size and self.labels.min() < 0:
            return self.labels >= 0
        return None

    def sides(self) -> tuple[Array, Array]:
        """Return what each entry weighs as a positive and as a negative, both (n, n_labels)."""
        known = self.known()
        weights = np.ones(self.scores.shape) if known is None else known.astype(np.float64)
        if self.weights is not None:
            weights *= self.weights
        share = self.is_positive().astype(np.float64) if self.soft is None else self.soft
        positive = weights * np.where(weights > 0, share, 0)
        return positive, weights - positive

    def curves(self, room: Array) -> Iterator[Curves]:
        """Yield the curves of the labels that have a choice of cuts.

        They are good until the next are asked for; `room` is (n_labels, n), uint32.
        """
        if self.weights is None and self.soft is None:
            positive = self.is_positive()
            curves = None
            if self.scores.dtype == np.float32:
                curves = fast_curves(self.scores, positive, self._labelled(), room)
            yield from (
                plain_curves(self.scores, positive, self.known()) if curves is None else curves
            )
            return
        sides = zip(self.scores.T, *(side.T for side in self.sides()), strict=True)
        for label, (scores, positive, negative) in enumerate(sides):
            curve = weighted_curve(scores, positive, negative, label)
            if curve is not None:
                yield curve

    def support(self) -> tuple[Array, Array]:
        """Return the weight of the known positives and of the known negatives of each label."""
        if self.weights is not None:
            positive, negative = ScoreTable(self.scores, self.labels, self.weights).sides()
            return positive.sum(axis=0), negative.sum(axis=0)
        known, positive = self.known(), self.is_positive()
        if known is None:
            n_positive = np.count_nonzero(positive, axis=0)
            return n_positive, len(positive) - n_positive
        n_positive = np.count_nonzero(positive & known, axis=0)
        return n_positive, np.count_nonzero(known, axis=0) - n_positive

    def untunable_reason(self, label: int) -> str:
        """Say why a label has no choice of cuts."""
        scored = self.columns([label])
        labelled = replace(scored, scores=np.zeros(scored.scores.shape))
        for column, what in ((labelled, "label"), (scored, "label with a score")):
            [positive], [negative] = column.support()
            if not positive and not negative:
                return f"no known {what}"
            if not positive or not negative:
                rest = what.removeprefix("label")
                return f"one class only, the {'negative' if negative else 'positive'} one{rest}"
        return "constant scores"


def map_blocks(
    table: ScoreTable, function: Callable[[Curves, Array], list[Any]], n_jobs: int | None = None
) -> list[Any]:
    """Return what a function makes of the curves of each label, None where there is none.

    The function takes curves and the indices of their labels, and returns a list of as many
    results. Blocks of labels run side by side in threads: sorting lets go of the interpreter's
    lock.
    """
    n_jobs = effective_n_jobs(n_jobs) if table.scores.size >= _MANY else 1
    size = max(
        _LEAST // max(len(table.scores), 1), min(_BLOCK, table.n_labels // (_SHARE * n_jobs)), 1
    )
    starts = range(0, table.n_labels, size)
    results: list[Any] = [None] * table.n_labels

    def work(own: range) -> None:
        room = np.empty((size, len(table.scores)), dtype=np.uint32)
        for start in own:
            block = table.columns(slice(start, start + size))
            for curves in block.curves(room[: block.n_labels]):
                if not len(curves.labels):
                    continue
                labels = curves.labels + start
                for label, result in zip(labels.tolist(), function(curves, labels), strict=True):
                    results[label] = result

    if n_jobs == 1 or len(starts) == 1:
        work(starts)
    else:
        with ThreadPoolExecutor(n_jobs) as pool:
            list(pool.map(work, [starts[first::n_jobs] for first in range(n_jobs)]))
    return results


def read_table(scores: Any, labels: Any, sample_weight: Any = None) -> ScoreTable:
    """Check scores and labels that come from outside.

    Parameters
    ----------
    scores : array-like of shape (n,) or (n, n_labels)
    labels : array-like of the same shape
        0 or 1, bools; NaN, None, pandas.NA or masked where a label is missing.
    sample_weight : array-like of shape (n,) or (n, n_labels), optional

    Returns
    -------
    ScoreTable

    Raises
    ------
    ValueError
        If shapes differ, or a label or weight is invalid; row and column are named.
    TypeError
        If scores or weights are masked or sparse.
    """
    check_same_columns(scores, labels, "y_score", "y_true")
    score_array = _score_matrix(scores)
    codes = read_labels(labels, what="y_true").indicators()
    if score_array.shape != codes.shape:
        raise ValueError(
            f"y_score has the shape {score_array.shape}, y_true {codes.shape}; there must be one "
            "score for each label."
        )
    # Bools need no mask, which spares the search a comparison of every entry.
    label_array = codes.view(np.bool_) if codes.min() >= 0 else codes
    return ScoreTable(score_array, label_array, read_weights(sample_weight, score_array.shape))


def read_weights(weights: Any, shape: tuple[int, ...]) -> Array | None:
    """Return weights as (n, 1) or (n, n_labels), or say what is wrong with them."""
    if weights is None:
        return None
    reject_masked(weights, "sample_weight")
    array = np.asarray(weights, dtype=np.float64)
    if array.ndim == 1:
        array = array[:, np.newaxis]
    if array.ndim != 2 or array.shape[0] != shape[0] or array.shape[1] not in (1, shape[1]):
        raise ValueError(
            f"The weights have the shape {np.shape(weights)}; there are {shape[0]} rows of "
            f"{shape[1]} label(s): pass one weight per row or one per label."
        )
    bad = ~(np.isfinite(array) & (array >= 0))
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise ValueError(
            f"The weight in row {row}, column {column} is {array[row, column]}; weights must be "
            "finite and at least 0."
        )
    return array


def _score_matrix(scores: Any) -> Array:
    """Return scores as a float array of shape (n, n_labels), NaN where one is missing."""
    reject_masked(scores, "y_score")
    is_frame = isinstance(scores, pd.DataFrame)
    if is_frame and not all(isinstance(dtype, np.dtype) for dtype in scores.dtypes):
        scores = scores.astype(object)  # NumPy would not convert pandas.NA to a float
    array = np.asarray(scores)
    array = array[:, np.newaxis] if array.ndim == 1 else array
    if array.ndim != 2:
        raise ValueError(f"y_score must have one or two dimensions, got shape {array.shape}.")
    if array.dtype in (np.float32, np.float64):
        return array
    if array.dtype.kind == "O" and not any(isinstance(score, str) for score in array.flat):
        array = np.where(pd.isna(array), np.nan, array)
    if array.dtype.kind not in "biufO":
        raise ValueError(f"y_score must hold numbers, got the dtype {array.dtype}.")
    try:
        return array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"y_score must hold numbers: {error}.") from error


def with_soft(table: ScoreTable, soft: Array) -> ScoreTable:
    """Return the table with probabilities in the place of its labels."""
    return replace(table, soft=soft)
