"""Exact thresholds of each label on all but one fold, for all folds from one sort."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skattr.thresholds._curves import above, midway
from skattr.thresholds._objectives import Metric, Objective
from skattr.thresholds._score_table import ScoreTable

Array = NDArray[Any]
Folds = NDArray[np.intp]
# A key holds 31 bits of the score, one of the label (1: negative) and three of the fold.
_NEGATIVE, _SHIFT = np.uint64(8), np.uint64(4)
_UNKNOWN = np.uint64(0xFFFFFFFFFFFFFFFF)
_COUNTER = 16  # bits of the number of rows of a fold; four folds are counted in one integer
_MOST_ROWS = (1 << _COUNTER) - 1
_MOST_FOLDS = 5
_WIDTH = 16  # labels read at a time: the scores of a row fill a line of the cache


def can_search_folds(table: ScoreTable, folds: Folds) -> bool:
    """Whether :func:`search_folds` takes a table and its folds."""
    if table.weights is not None or table.soft is not None or table.scores.dtype != np.float32:
        return False
    sizes = np.bincount(folds[folds >= 0])
    return (
        len(sizes) == _MOST_FOLDS
        and bool(sizes.max() <= _MOST_ROWS)
        and bool(table.scores.min(initial=0) >= 0)  # false for NaN
    )


def search_folds(table: ScoreTable, objective: Objective, folds: Folds) -> NDArray[np.float64]:
    """Return the best threshold of each label on the rows outside of each fold, and on all rows.

    The scores of a label are sorted once. The rows of each fold are counted along the way, and
    taken away at the positives, which are the only candidates.

    Parameters
    ----------
    table : ScoreTable
    objective : Objective
        Without a constraint.
    folds : ndarray of shape (n,)
        Fold of each row, -1 for a row in none.

    Returns
    -------
    ndarray of shape (n_folds + 1, n_labels)
        The last row are the thresholds on all rows that are in a fold. NaN if a label has one class
        or one score there.
    """
    thresholds = np.full((_MOST_FOLDS + 1, table.n_labels), np.nan)
    for label, keys in _sorted_keys(table, folds):
        if len(keys):
            thresholds[:, label] = _best_thresholds(keys, objective.metric(label))
    return thresholds


def _sorted_keys(table: ScoreTable, folds: Folds) -> Iterator[tuple[int, Array]]:
    """Yield each label with the sorted keys of its known rows."""
    known, positive = table.known(), table.is_positive()
    is_outside = folds < 0
    has_outside = bool(is_outside.any())
    low = np.where(is_outside, 0, folds).astype(np.uint64) | _NEGATIVE
    for start in range(0, table.n_labels, _WIDTH):
        part = slice(start, start + _WIDTH)
        # -0.0 is 0.0 in the order of scores, but has the highest bit.
        scores = np.abs(np.ascontiguousarray(table.scores[:, part].T))
        keys = scores.view(np.uint32).astype(np.uint64)
        keys <<= _SHIFT
        keys |= low
        keys ^= np.multiply(positive[:, part].T, _NEGATIVE, dtype=np.uint64, order="C")
        if known is not None or has_outside:
            missing = np.zeros(keys.shape, dtype=bool) | is_outside
            if known is not None:
                missing |= ~known[:, part].T
            keys[missing] = _UNKNOWN
        keys.sort(axis=1)
        for row, sorted_row in enumerate(keys):
            yield start + row, sorted_row[: np.searchsorted(sorted_row, _UNKNOWN)]


def _best_thresholds(keys: Array, metric: Metric) -> NDArray[np.float64]:
    """Return the best thresholds of one label outside of each fold, and on all rows."""
    small = keys.astype(np.uint8)
    at = np.flatnonzero((small & 8) == 0)
    fold = small & 7
    own = fold[at]
    rows_before = _count_before(fold, at)
    positives_before = _count_before(own, np.arange(len(at)))
    n_rows, n_positives = (np.bincount(part, minlength=_MOST_FOLDS) for part in (fold, own))
    # The counts of no fold, which is left out of all rows.
    n_rows, n_positives = np.append(n_rows, 0), np.append(n_positives, 0)
    P = len(at) - n_positives
    n = len(keys) - n_rows
    tp = P[:, np.newaxis] - np.arange(len(at)) + positives_before
    fp = n[:, np.newaxis] - at + rows_before - tp
    is_left_out = own == np.arange(_MOST_FOLDS + 1)[:, np.newaxis]
    columns = np.arange(_MOST_FOLDS + 1)[(P > 0) & (n > P)]
    values = metric(tp[columns], fp[columns], P[columns, np.newaxis], (n - P)[columns, np.newaxis])
    values[is_left_out[columns]] = -np.inf
    thresholds = np.full(_MOST_FOLDS + 1, np.nan)
    for row, column in zip(values, columns.tolist(), strict=True):
        lowest, highest = _next_score(keys, column, 0, 1), _next_score(keys, column, -1, -1)
        if lowest == highest:
            continue
        best = int(np.argmax(row))
        if metric(0, 0, P[column], n[column] - P[column]) > row[best] and highest < np.inf:
            thresholds[column] = above(highest)
            continue
        place = int(at[best])
        lower = _next_score(keys, column, place - 1, -1) if place else -np.inf
        thresholds[column] = midway(lower, _score(keys[place]))
    return thresholds


def _count_before(fold: Array, places: Array) -> Array:
    """Return the number of rows of each fold before places, and 0, (n_folds + 1, n_places)."""
    # Four counters in one integer: the fifth fold has what the others leave.
    steps = np.zeros(8, dtype=np.uint64)
    steps[: _MOST_FOLDS - 1] = np.uint64(1) << np.arange(
        0, _COUNTER * (_MOST_FOLDS - 1), _COUNTER, dtype=np.uint64
    )
    step = steps[fold]
    packed = np.cumsum(step)[places] - step[places]
    counts = np.zeros((_MOST_FOLDS + 1, len(places)), dtype=np.int64)
    counts[: _MOST_FOLDS - 1] = packed.view(np.uint16).reshape(-1, _MOST_FOLDS - 1).T
    counts[_MOST_FOLDS - 1] = places - counts[: _MOST_FOLDS - 1].sum(axis=0)
    return counts


def _next_score(keys: Array, fold: int, place: int, step: int) -> Any:
    """Return the first score outside of a fold from a place on, minus infinity if none is."""
    place %= len(keys)
    while 0 <= place < len(keys):
        if int(keys[place]) & 7 != fold:
            return _score(keys[place])
        place += step
    return -np.inf


def _score(key: Any) -> np.float32:
    return np.uint32(int(key) >> 4).view(np.float32)
