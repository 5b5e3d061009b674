"""True and false positives of every cut through the scores of a label.

A metric that does not fall with true positives and does not rise with false positives has its
maximum at the score of a positive, or where nothing is predicted positive at all. With weights
that are whole (every label counts once) only those cuts are made.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skattr._utils.sorting import sort_keys, tile_height

Array = NDArray[Any]
_STRETCH = 1 << 18  # sorted entries looked through at a time: they stay in the next


@dataclass(frozen=True, slots=True)
class Curves:
    """Cuts through the scores of some labels, one label after the other, the threshold rising.

    The cut above the highest score, which predicts nothing, is understood.

    Attributes
    ----------
    labels : ndarray of shape (n_labels,)
        Positions, in their block, of the labels that have two classes and two scores.
    starts : ndarray of shape (n_labels + 1,)
        Where the cuts of each label begin.
    tp, fp : ndarray of shape (n_cuts,)
        Weight of true and of false positives.
    P, N : ndarray of shape (n_labels,)
        Weight of all positives and of all negatives.
    neighbours : callable
        From indices of cuts to the lowest score each takes in and the highest it leaves out
        (minus infinity if there is none).
    top : ndarray of shape (n_labels,)
        The highest score.
    """

    labels: Array
    starts: Array
    tp: Array
    fp: Array
    P: Array
    N: Array
    neighbours: Callable[[Array], tuple[Array, Array]]
    top: Array

    def spread(self, per_label: Array) -> Any:
        """Return a value per cut, or one number if there is one label."""
        if len(per_label) == 1:
            return per_label[0]
        return np.repeat(per_label, np.diff(self.starts))

    def highest(self, values: Array) -> Array:
        """Return the index of the first highest value among each label's cuts."""
        bounds = self.starts.tolist()
        return np.array(
            [
                first + int(values[first:last].argmax())
                for first, last in zip(bounds[:-1], bounds[1:], strict=True)
            ]
        )

    def thresholds(self, cuts: Array) -> NDArray[np.float64]:
        """Return thresholds midway between the neighbouring scores of cuts.

        The lowest cut of a label lies at its lowest score.
        """
        upper, lower = self.neighbours(cuts)
        return np.asarray(midway(lower, upper))

    def each(self) -> Iterator["Curves"]:
        """Yield the curve of each label."""
        for i in range(len(self.labels)):
            first, last = int(self.starts[i]), int(self.starts[i + 1])
            yield Curves(
                self.labels[i : i + 1],
                np.array([0, last - first]),
                self.tp[first:last],
                self.fp[first:last],
                self.P[i : i + 1],
                self.N[i : i + 1],
                partial(self._neighbours_from, first),
                self.top[i : i + 1],
            )

    def _neighbours_from(self, first: int, cuts: Array) -> tuple[Array, Array]:
        return self.neighbours(cuts + first)


def above(scores: Any) -> Any:
    """Return the next number above scores, in their own precision."""
    scores = np.asarray(scores)
    return np.nextafter(scores, np.asarray(np.inf, dtype=scores.dtype)).astype(np.float64)


def midway(lower: Any, upper: Any) -> Any:
    """Return numbers above `lower`, at most `upper`; `upper` where `lower` is minus infinity."""
    low, high = np.asarray(lower, dtype=np.float64), np.asarray(upper, dtype=np.float64)
    with np.errstate(invalid="ignore"):  # infinite scores
        middle = low / 2 + high / 2
        return np.where((low < middle) & (middle <= high), middle, high)


def fast_curves(
    scores: Array, labels: Array, known: Array | None, room: Array
) -> list[Curves] | None:
    """Return the curves of a block of float32 scores whose entries count once each.

    Parameters
    ----------
    scores : ndarray of shape (n, n_labels), float32
    labels : ndarray of shape (n, n_labels), bool
    known : ndarray of shape (n, n_labels), bool, or None if all are
    room : ndarray of shape (n_labels, n), uint32
        To work in: curves are good until the room is used again.

    Returns
    -------
    list of Curves, or None if a known score is negative or NaN
        Without the labels that have one class or one score only.
    """
    n, n_labels = scores.shape

    def read(rows: slice) -> tuple[Array, Array | None]:
        unknown = None if known is None else ~np.ascontiguousarray(known[rows].T)
        return ~np.ascontiguousarray(labels[rows].T), unknown

    if not sort_keys(scores, read, room):
        return None
    n_known = np.full(n_labels, n) if known is None else np.count_nonzero(known, axis=0)
    size = max(1, _STRETCH // max(n, 1))
    parts = [slice(start, start + size) for start in range(0, n_labels, size)]
    return [_curves_of_keys(room[part], n_known[part], part.start) for part in parts]


def plain_curves(scores: Array, labels: Array, known: Array | None) -> Iterator[Curves]:
    """Yield the curves of labels whose entries count once each, whatever their scores are.

    Parameters
    ----------
    scores : ndarray of shape (n, n_labels)
        Floats without NaN in known entries.
    labels : ndarray of shape (n, n_labels), bool
    known : ndarray of shape (n, n_labels), bool, or None if all are

    Yields
    ------
    Curves
        Without the labels that have one class or one score only.
    """
    negatives = ~labels if known is None else known & ~labels
    positives = labels if known is None else known & labels
    turned = zip(*map(_turned, (scores, positives, negatives)), strict=True)
    for label, (row, positive, negative) in enumerate(turned):
        curve = _curve_apart(np.sort(row[positive]), np.sort(row[negative]), label)
        if curve is not None:
            yield curve


def _curves_of_keys(keys: Array, n_known: Array, first: int) -> Curves:
    n = keys.shape[1]
    at = np.flatnonzero((keys & np.uint32(1)) == 0)
    P = np.diff(np.searchsorted(at, np.arange(len(keys) + 1) * n))
    last = keys[np.arange(len(keys)), n_known - 1]
    chosen = (P > 0) & (n_known > P) & ((keys[:, 0] ^ last) > 1)
    if not chosen.all():
        keys, last = keys[chosen], last[chosen]
        at = np.flatnonzero((keys & np.uint32(1)) == 0)
        P, n_known = P[chosen], n_known[chosen]
    labels = np.flatnonzero(chosen) + first
    keys = keys.reshape(-1)
    starts = np.concatenate([[0], np.cumsum(P)])
    tp = np.repeat(starts[1:], P) - np.arange(len(at))
    fp = np.repeat(np.arange(len(P)) * n + n_known, P) - at
    fp -= tp
    cuts = keys[at]
    fresh = cuts[1:] != cuts[:-1]
    if not fresh.all():
        fresh = np.concatenate([[True], fresh])
        fresh[starts[:-1]] = True
        at, tp, fp = at[fresh], tp[fresh], fp[fresh]
        starts = np.concatenate([[0], np.cumsum(fresh)[starts[1:] - 1]])

    def neighbours(indices: Array) -> tuple[Array, Array]:
        entry = at[indices]
        lower = _scores_of(keys[entry - 1])
        lower[entry % n == 0] = -np.inf
        return _scores_of(keys[entry]), lower

    return Curves(labels, starts, tp, fp, P, n_known - P, neighbours, _scores_of(last))


def _scores_of(keys: Array) -> Array:
    return (keys >> np.uint32(1)).view(np.float32)


def _turned(array: Array) -> Array:
    """Return a block's columns as contiguous rows."""
    result = np.empty(array.shape[::-1], dtype=array.dtype)
    height = tile_height(array.shape[1])
    for start in range(0, len(array), height):
        result[:, start : start + height] = array[start : start + height].T
    return result


def _curve_apart(positives: Array, negatives: Array, label: int) -> Curves | None:
    """Count the sorted negatives below each distinct one of the sorted positives."""
    P, N = len(positives), len(negatives)
    if P == 0 or N == 0:
        return None
    if positives[0] == positives[-1] == negatives[0] == negatives[-1]:
        return None
    first = np.flatnonzero(np.concatenate([[True], positives[1:] != positives[:-1]]))
    below = np.searchsorted(negatives, positives[first])

    def neighbours(cuts: Array) -> tuple[Array, Array]:
        at, rivals = first[cuts], below[cuts]
        lower = np.where(at > 0, positives[at - 1], -np.inf)
        other = np.where(rivals > 0, negatives[rivals - 1], -np.inf)
        return positives[at], np.maximum(lower, other)

    return _of_one(label, P - first, N - below, P, N, neighbours, max(positives[-1], negatives[-1]))


def weighted_curve(scores: Array, positive: Array, negative: Array, label: int) -> Curves | None:
    """Return the curve of one label over the cuts at scores with positive weight.

    Parameters
    ----------
    scores : ndarray of shape (n,)
    positive, negative : ndarray of shape (n,)
        What each row weighs as a positive and as a negative: both for a soft label. A row that
        weighs nothing is left out.
    label : int
        Its position.

    Returns
    -------
    Curves, or None without positive or negative weight, or with one score only
    """
    counts = (positive > 0) | (negative > 0)
    scores, positive, negative = scores[counts], positive[counts], negative[counts]
    if not positive.any() or not negative.any() or scores.min() == scores.max():
        return None
    order = np.argsort(-scores)
    ranked = scores[order]
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    tp = np.cumsum(positive[order], dtype=np.float64)[last][::-1]
    fp = np.cumsum(negative[order], dtype=np.float64)[last][::-1]
    distinct = ranked[last][::-1]
    chosen = np.flatnonzero(np.diff(tp, append=0) < 0)

    def neighbours(cuts: Array) -> tuple[Array, Array]:
        at = chosen[cuts]
        return distinct[at], np.where(at > 0, distinct[at - 1], -np.inf)

    return _of_one(label, tp[chosen], fp[chosen], tp[0], fp[0], neighbours, distinct[-1])


def _of_one(label: int, tp: Array, fp: Array, P: Any, N: Any, neighbours: Any, top: Any) -> Curves:
    starts = np.array([0, len(tp)])
    return Curves(
        np.array([label]), starts, tp, fp, np.array([P]), np.array([N]), neighbours, np.array([top])
    )
