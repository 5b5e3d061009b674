"""Tables of scores and labels, and their search in blocks of labels."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from joblib import effective_n_jobs
from numpy.typing import NDArray

from skattr._multioutput.scores import match_scores, read_scores
from skattr._targets.alignment import align_rows, column_names_of, match_columns
from skattr._targets.columns import read_labels, reject_masked
from skattr._targets.groups import read_groups
from skattr._targets.support import effective_number, relative_weights
from skattr._utils.tensors import detached
from skattr.thresholds._curves import Curves, fast_curves, plain_curves, weighted_curve

Array = NDArray[Any]
Result = TypeVar("Result")
_MAX_BLOCK = 64  # labels sorted at a time; blocks of 16 do not keep two threads busy
_MEMORY_SHARE = 9  # the sorted keys of all threads take 1/9 of the memory of the scores, at most
_MIN_ENTRIES = 1 << 18  # entries (1 MB) sorted at a time, so that overhead per block is small
_MIN_PARALLEL = 1 << 22  # entries below which threads cost more than they gain


@dataclass(frozen=True)
class ScoreTable:
    """Scores and labels of n rows.

    Attributes
    ----------
    scores : ndarray of shape (n, n_labels), float
        An entry whose score is NaN counts as a missing label.
    labels : ndarray of shape (n, n_labels)
        Booleans, integers (negative if missing) or floats (NaN if missing).
    weights : ndarray of shape (n, 1) or (n, n_labels), or None
    soft : ndarray of shape (n, n_labels), or None
        Probabilities that replace the known labels.
    groups : ndarray of shape (n, 1), int, or None
        Group of each row. None if it is not known which rows are independent.
    """

    scores: Array
    labels: Array
    weights: Array | None = None
    soft: Array | None = None
    groups: Array | None = None

    @property
    def n_labels(self) -> int:
        """Number of labels."""
        return int(self.scores.shape[1])

    def rows(self, selection: Array) -> "ScoreTable":
        """Return a table of some rows."""
        return self._map(lambda array: array[selection])

    def columns(self, selection: Array | list[int] | slice) -> "ScoreTable":
        """Return a table of some labels."""
        return self._map(lambda array: array if array.shape[1] == 1 else array[:, selection])

    def pooled(self) -> "ScoreTable":
        """Return a table of all entries as those of one label."""
        shape = self.scores.shape
        return self._map(lambda array: np.broadcast_to(array, shape).reshape(-1, 1))

    def _map(self, function: Callable[[Array], Array]) -> "ScoreTable":
        optional = (self.weights, self.soft, self.groups)
        parts = [None if part is None else function(part) for part in optional]
        return ScoreTable(function(self.scores), function(self.labels), *parts)

    def is_positive(self) -> Array:
        """Return a mask of the labels that are known to be positive."""
        return self.labels if self.labels.dtype.kind == "b" else self.labels > 0

    def known(self) -> Array | None:
        """Return a mask of the entries that have a label and a score, or None if all have."""
        known = self._has_label()
        if self.scores.size and np.isnan(self.scores.min()):
            has_score = ~np.isnan(self.scores)
            known = has_score if known is None else known & has_score
        return known

    def _has_label(self) -> Array | None:
        if self.labels.dtype.kind == "f":
            return ~np.isnan(self.labels)
        if self.labels.dtype.kind == "i" and self.labels.size and self.labels.min() < 0:
            return self.labels >= 0
        return None

    def label_weights_by_class(self) -> tuple[Array, Array]:
        """Return the weight of each entry as a positive and as a negative, (n, n_labels) each."""
        known = self.known()
        weights = np.ones(self.scores.shape) if known is None else known.astype(np.float64)
        if self.weights is not None:
            weights *= self.weights
        share = self.is_positive().astype(np.float64) if self.soft is None else self.soft
        positive = weights * np.where(weights > 0, share, 0)
        return positive, weights - positive

    def curves(self, buffer: Array) -> Iterator[Curves]:
        """Yield the curves of the labels that have several candidate thresholds.

        They are valid until the next iteration, which reuses the buffer (n_labels, n), uint32.
        """
        if self.weights is None and self.soft is None:
            positive = self.is_positive()
            curves = None
            if self.scores.dtype == np.float32:
                curves = fast_curves(self.scores, positive, self._has_label(), buffer)
            yield from (
                plain_curves(self.scores, positive, self.known()) if curves is None else curves
            )
            return
        positive, negative = self.label_weights_by_class()
        for label, scores in enumerate(self.scores.T):
            curve = weighted_curve(scores, positive[:, label], negative[:, label], label)
            if curve is not None:
                yield curve

    def without_scale(self) -> "ScoreTable":
        """Return a table with relative weights, or without weights if all are equal.

        A label of weight 0 is missing in the latter.
        """
        if self.weights is None:
            return self
        weights = relative_weights(self.weights)
        weighs = weights > 0
        if (weights[weighs] < 1).any():
            return replace(self, weights=weights)
        labels = self.labels
        if not weighs.all():
            if labels.dtype.kind == "b":
                labels = labels.view(np.int8)
            missing = np.array(np.nan if labels.dtype.kind == "f" else -1, dtype=labels.dtype)
            labels = np.where(weighs, labels, missing)
        return replace(self, labels=labels, weights=None)

    def support(self) -> tuple[Array, Array]:
        """Return the effective number of known positives and of known negatives of each label.

        Without weights these are their numbers. The scale of weights has no influence.
        """
        if self.weights is not None:
            positive, negative = replace(self, soft=None).label_weights_by_class()
            return effective_number(positive), effective_number(negative)
        known, positive = self.known(), self.is_positive()
        if known is None:
            n_positive = np.count_nonzero(positive, axis=0)
            return n_positive, len(positive) - n_positive
        n_positive = np.count_nonzero(positive & known, axis=0)
        return n_positive, np.count_nonzero(known, axis=0) - n_positive

    def untunable_reason(self, label: int) -> str:
        """Return the reason why a label has no candidate thresholds."""
        column = self.columns([label])
        # Without regard to scores first: a missing label is the more basic reason.
        labels_only = replace(column, scores=np.zeros(column.scores.shape))
        for table, suffix in ((labels_only, ""), (column, " with a score")):
            [positive], [negative] = table.support()
            if not positive and not negative:
                return f"no known label{suffix}"
            if not positive or not negative:
                return f"one class only, the {'negative' if negative else 'positive'} one{suffix}"
        return "constant scores"


def map_blocks(
    table: ScoreTable, function: Callable[[Curves, Array], list[Result]], n_jobs: int | None = None
) -> list[Result | None]:
    """Apply a function to the curves of each label.

    Parameters
    ----------
    table : ScoreTable
    function : callable
        Takes curves and the indices of their labels, and returns a list with one result per
        label.
    n_jobs : int, optional
        Number of threads that process blocks of labels.

    Returns
    -------
    list
        One result per label, None for a label without candidate thresholds.
    """
    # Threads and not processes: numpy's sort releases the GIL, and nothing has to be copied.
    n_jobs = effective_n_jobs(n_jobs) if table.scores.size >= _MIN_PARALLEL else 1
    size = max(
        _MIN_ENTRIES // max(len(table.scores), 1),
        min(_MAX_BLOCK, table.n_labels // (_MEMORY_SHARE * n_jobs)),
        1,
    )
    starts = range(0, table.n_labels, size)
    results: list[Result | None] = [None] * table.n_labels

    def work(block_starts: range) -> None:
        buffer = np.empty((size, len(table.scores)), dtype=np.uint32)
        for start in block_starts:
            block = table.columns(slice(start, start + size))
            for curves in block.curves(buffer[: block.n_labels]):
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


def read_table(
    labels: Any, scores: Any, sample_weight: Any = None, groups: Any = None
) -> ScoreTable:
    """Check labels and scores given by the caller.

    Parameters
    ----------
    labels : array-like of shape (n,) or (n, n_labels)
        0 or 1, or booleans; NaN, None, pandas.NA or masked if missing.
    scores : array-like of the same shape
    sample_weight : array-like of shape (n,) or (n, n_labels), optional
    groups : array-like of shape (n,), optional

    Returns
    -------
    ScoreTable

    Raises
    ------
    ValueError
        If shapes differ, or a label or weight is invalid; the message names row and column.
    TypeError
        If scores or weights are masked or sparse.
    """
    labels, scores, sample_weight = align_rows(
        y_true=labels, y_score=scores, sample_weight=sample_weight
    )
    table = read_labels(labels, what="y_true")
    if len(column_names_of(sample_weight) or []) > 1:  # not one weight per row
        sample_weight = match_columns(sample_weight, table.names, "sample_weight", "y_true")
    score_array = read_scores(match_scores(scores, table))
    if score_array.ndim == 1:
        score_array = score_array[:, np.newaxis]
    codes = table.indicators()
    if score_array.shape != codes.shape:
        raise ValueError(
            f"y_score has shape {score_array.shape}, but y_true has shape {codes.shape}; there "
            "must be one score for each label."
        )
    # Bools need no mask, which spares the search a comparison of every entry.
    label_array = codes.view(np.bool_) if codes.min() >= 0 else codes
    weights = read_weights(sample_weight, score_array.shape)
    number = group_column(groups, len(score_array))
    return ScoreTable(score_array, label_array, weights, groups=number)


def read_weights(weights: Any, shape: tuple[int, ...]) -> Array | None:
    """Return weights as (n, 1) or (n, n_labels); raise if they are invalid."""
    if weights is None:
        return None
    reject_masked(weights, "sample_weight")
    array = np.asarray(detached(weights), dtype=np.float64)
    if array.ndim == 1:
        array = array[:, np.newaxis]
    if array.ndim != 2 or array.shape[0] != shape[0] or array.shape[1] not in (1, shape[1]):
        raise ValueError(
            f"The weights have shape {np.shape(weights)}; expected one per row ({shape[0]}) or one "
            f"per label ({shape[0]}, {shape[1]})."
        )
    bad = ~(np.isfinite(array) & (array >= 0))
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise ValueError(
            f"The weight in row {row}, column {column} is {array[row, column]}; weights must be "
            "finite and at least 0."
        )
    return array


def group_column(groups: Any, n: int) -> Array | None:
    """Return the number of each row's group as (n, 1); rows without a group are one group."""
    return None if groups is None else read_groups(groups, n, allow_missing=True)[:, np.newaxis]
