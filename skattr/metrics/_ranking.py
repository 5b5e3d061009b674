"""Metrics of the order of scores: average precision and ROC AUC.

Blocks of columns are sorted at once. A threshold matters only where it takes in a positive. For
each distinct score of a positive these are counted: the positives that have it, those at or above
it, and the negatives at or above it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Unpack

import numpy as np

from skattr._targets.positive import warn_sorted_positives
from skattr._utils.sorting import UNKNOWN_KEY, sort_keys
from skattr.metrics._averages import UnitScores, check_average, warn
from skattr.metrics._inputs import Array, Inputs, score_inputs
from skattr.metrics._options import Options, documented

_ENTRIES = 1 << 22  # entries sorted together: 16 MB of keys


@documented
def average_precision_score(
    y_true: Any, y_score: Any, *, average: str | None = "macro", **options: Unpack[Options]
) -> Any:
    """Mean of the precisions at the positives, as scikit-learn defines it.

    The sum over distinct scores, falling, of the precision times the gain in recall; tied
    entries come in together. For an attribute that is not binary it is the mean over the classes
    that are present, each against the rest.

    Parameters
    ----------
    {scores}
    {average}
    {options}

    {returns}

    Examples
    --------
    >>> from skattr.metrics import average_precision_score
    >>> y = [[1, None], [0, 1], [1, 0]]
    >>> average_precision_score(y, [[0.9, 0.3], [0.8, 0.6], [0.7, 0.2]], average=None)
    array([0.83333333, 1.        ])
    """
    inputs = score_inputs(y_true, y_score, **options)
    warn_sorted_positives(inputs.sorted_positives)
    return AVERAGE_PRECISION.score(inputs, average)


@documented
def roc_auc_score(
    y_true: Any, y_score: Any, *, average: str | None = "macro", **options: Unpack[Options]
) -> Any:
    """Probability that a positive scores higher than a negative, ties counting one half.

    Undefined without a known positive or without a known negative. For an attribute that is not
    binary it is the mean over the classes that are present, each against the rest
    (``multi_class="ovr"`` in scikit-learn); scores need not sum to one.

    Parameters
    ----------
    {scores}
    {average}
    {options}

    {returns}

    Examples
    --------
    >>> from skattr.metrics import roc_auc_score
    >>> y = [[1, None], [0, 1], [1, 0]]
    >>> roc_auc_score(y, [[0.9, 0.3], [0.8, 0.6], [0.7, 0.2]], average=None)
    array([0.5, 1. ])
    """
    return ROC_AUC.score(score_inputs(y_true, y_score, **options), average)


class RankedCounts(NamedTuple):
    """Counts at the distinct scores of positives, in any order.

    Attributes
    ----------
    hits : ndarray
        Weight of the positives that have the score.
    tp, fp : ndarray
        Weight of the positives and of the negatives that have at least the score.
    tied : ndarray
        Weight of the negatives that have the score.
    P, N : float
        Weight of all positives and of all negatives.
    """

    hits: Array
    tp: Array
    fp: Array
    tied: Array
    P: float
    N: float


class _Block(NamedTuple):
    """Columns that are ranked independently; weights are (n, 1), (n, width) or None."""

    scores: Array
    codes: Array
    weights: Array | None
    owner: Array


@dataclass(frozen=True)
class RankingMetric:
    """A metric of the order of scores.

    Attributes
    ----------
    name : str
        In warnings.
    value : callable
        From `RankedCounts` to the metric, NaN where undefined.
    reason : str
        When it is undefined.
    """

    name: str
    value: Callable[[RankedCounts], float]
    reason: str

    def score(self, inputs: Inputs, average: str | None) -> Any:
        """Return the average of read labels and scores, as the public functions do."""
        check_average(average, "macro", "micro", "weighted", "samples")
        if average == "samples":
            return _mean_of_rows(self, inputs)
        if average != "micro":
            return ranked_units([self], inputs)[0].average(average)
        [result] = ranked_pooled([self], inputs)
        if np.isnan(result):
            warn(f"{self.name} of all entries pooled is undefined ({self.reason}).")
        return result


def _average_precision(counts: RankedCounts) -> float:
    if counts.P <= 0:
        return float("nan")
    return float(np.sum(counts.hits * (counts.tp / (counts.tp + counts.fp))) / counts.P)


def _area(counts: RankedCounts) -> float:
    if counts.P <= 0 or counts.N <= 0:
        return float("nan")
    outranked = np.sum(counts.hits * (counts.N - counts.fp + counts.tied / 2))
    return float(outranked / (counts.P * counts.N))


AVERAGE_PRECISION = RankingMetric("Average precision", _average_precision, "no known positive")
ROC_AUC = RankingMetric("ROC AUC", _area, "no known positive or no known negative")


def ranked_units(metrics: Sequence[RankingMetric], inputs: Inputs) -> list[UnitScores]:
    """Return the values of several metrics for each positive class, from one sort."""
    values, support, owner = [], [], []
    for block in _blocks(inputs):
        for counts, attribute in zip(_counts_of_block(block), block.owner, strict=True):
            values.append([metric.value(counts) for metric in metrics])
            support.append(counts.P)
            owner.append(attribute)
    columns = np.array(values).reshape(-1, len(metrics)).T
    attributes, weights = np.array(owner, dtype=np.intp), np.array(support)
    return [
        UnitScores(metric.name, inputs.names, column, attributes, weights, metric.reason)
        for metric, column in zip(metrics, columns, strict=True)
    ]


def ranked_pooled(metrics: Sequence[RankingMetric], inputs: Inputs) -> list[float]:
    """Return the values of several metrics for all entries as one column, from one sort."""
    [counts] = _counts_of_block(_pooled(inputs))
    return [metric.value(counts) for metric in metrics]


def counts_of_keys(keys: Array, n_known: int) -> RankedCounts:
    """Return the counts of one column of sorted keys.

    Parameters
    ----------
    keys : ndarray of shape (n,), uint32
        The bits of a score that is not negative, shifted left by one, plus 1 for negatives.
        Entries with a missing label come last.
    n_known : int

    Returns
    -------
    RankedCounts
    """
    keys = keys[:n_known]
    at = np.flatnonzero((keys & np.uint32(1)) == 0)
    n_positive = len(at)
    score = keys[at]
    is_new = score[1:] != score[:-1]
    if is_new.all():
        first, last, start = np.arange(n_positive), at, at
        hits: Array = np.ones(n_positive)
    else:
        first = np.flatnonzero(np.concatenate([[True], is_new]))
        hits = np.diff(first, append=n_positive).astype(np.float64)
        start, last, score = at[first], at[np.append(first[1:], n_positive) - 1], score[first]
    tp = n_positive - first
    tied = np.zeros(len(first))
    # Negatives with the score of a positive sort right behind it: their key is larger by one.
    has_tie = last + 1 < n_known
    has_tie[has_tie] = keys[last[has_tie] + 1] == score[has_tie] + np.uint32(1)
    if has_tie.any():
        end = np.searchsorted(keys, score[has_tie] + np.uint32(1), side="right")
        tied[has_tie] = end - last[has_tie] - 1
    return RankedCounts(hits, tp, n_known - start - tp, tied, n_positive, n_known - n_positive)


def counts_of_sides(positives: Array, negatives: Array) -> RankedCounts:
    """Return the counts of one column, given the scores of positives and negatives."""
    positives, negatives = np.sort(positives), np.sort(negatives)
    first = np.flatnonzero(positives[1:] != positives[:-1]) + 1
    first = np.concatenate([np.zeros(min(len(positives), 1), dtype=first.dtype), first])
    n_positive, n_negative = len(positives), len(negatives)
    below = np.searchsorted(negatives, positives[first])
    tied = np.searchsorted(negatives, positives[first], side="right") - below
    hits = np.diff(first, append=n_positive).astype(np.float64)
    return RankedCounts(hits, n_positive - first, n_negative - below, tied, n_positive, n_negative)


def weighted_counts(scores: Array, labels: Array, weights: Array) -> RankedCounts:
    """Return the counts of one column whose entries have weights; `labels` are 0 or 1."""
    order = np.argsort(scores)[::-1]
    ranked, labels, weights = scores[order], labels[order], weights[order]
    last = np.flatnonzero(np.concatenate([ranked[1:] != ranked[:-1], np.ones(1, bool)]))
    if not len(ranked):
        last = last[:0]
    tp = np.cumsum(weights * (labels == 1), dtype=np.float64)[last]
    fp = np.cumsum(weights * (labels == 0), dtype=np.float64)[last]
    hits, tied = np.diff(tp, prepend=0), np.diff(fp, prepend=0)
    has_hit = hits > 0
    P, N = (tp[-1], fp[-1]) if len(last) else (0.0, 0.0)
    return RankedCounts(hits[has_hit], tp[has_hit], fp[has_hit], tied[has_hit], float(P), float(N))


def _counts_of_block(block: _Block) -> Iterator[RankedCounts]:
    """Yield the counts of a block's columns."""
    scores, codes, weights, _ = block
    if weights is None and scores.dtype == np.float32:
        # Sorting integers that hold score and label is several times faster than an argsort.
        sorted_keys = _sorted_keys(scores, codes)
        if sorted_keys is not None:
            for keys, n_known in zip(*sorted_keys, strict=True):
                yield counts_of_keys(keys, int(n_known))
            return
    for j in range(scores.shape[1]):
        score, label = np.ascontiguousarray(scores[:, j]), np.ascontiguousarray(codes[:, j])
        if weights is None:
            yield counts_of_sides(score[label == 1], score[label == 0])
        else:
            known = label >= 0
            weight = weights[:, min(j, weights.shape[1] - 1)]
            yield weighted_counts(score[known], label[known], weight[known])


def _sorted_keys(scores: Array, codes: Array) -> tuple[Array, Array] | None:
    """Return sorted keys and numbers of known entries, or None if a known score is negative."""

    def read(rows: slice) -> tuple[Array, Array | None]:
        code = np.ascontiguousarray(codes[rows].T)
        missing = code < 0
        return code == 0, missing if missing.any() else None

    keys = np.empty(scores.shape[::-1], dtype=np.uint32)
    if not sort_keys(scores, read, keys):
        return None
    return keys, np.array([np.searchsorted(column, UNKNOWN_KEY) for column in keys])


def _blocks(inputs: Inputs, width: int | None = None) -> Iterator[_Block]:
    """Yield the positive class of each binary attribute and every class of the others."""
    assert inputs.scores is not None
    binary, codes, weights = inputs.binary, inputs.binary_codes(), inputs.binary_weights()
    n, matrix, places = len(codes), inputs.scores.binary, np.flatnonzero(binary)
    width = width or max(1, _ENTRIES // max(n, 1))
    for start in range(0, len(places), width):
        part = slice(start, start + width)
        weight = weights if weights is None or weights.shape[1] == 1 else weights[:, part]
        yield _Block(matrix[:, part], codes[:, part], weight, places[part])
    for j, scores in zip(np.flatnonzero(~binary), inputs.scores.others, strict=True):
        labels = inputs.codes[:, [j]]
        weight = inputs.weights
        if weight is not None and weight.shape[1] > 1:
            weight = weight[:, [j]]
        for start in range(0, scores.shape[1], width):
            part = slice(start, start + width)
            hot = (labels == np.arange(scores.shape[1])[part]).astype(np.int8)
            hot[labels[:, 0] < 0] = -1
            yield _Block(scores[:, part], hot, weight, np.full(hot.shape[1], j))


def _pooled(inputs: Inputs) -> _Block:
    """Return all known entries as one column."""
    scores = inputs.scores
    assert scores is not None
    if inputs.weights is None and inputs.binary.all():
        column = scores.binary.reshape(-1, 1), inputs.codes.reshape(-1, 1)
        return _Block(*column, None, np.zeros(1, np.intp))
    parts: list[tuple[Array, ...]] = []
    for block in _blocks(inputs):
        known = block.codes >= 0
        weights = np.ones((1, 1)) if block.weights is None else block.weights
        spread = np.broadcast_to(weights, known.shape)
        parts.append((block.scores[known], block.codes[known], spread[known]))
    score, code, weight = (np.concatenate(p)[:, np.newaxis] for p in zip(*parts, strict=True))
    return _Block(score, code, None if inputs.weights is None else weight, np.zeros(1, np.intp))


def _mean_of_rows(metric: RankingMetric, inputs: Inputs) -> float:
    """Average the values of the rows of which the metric is defined."""
    blocks = list(_blocks(inputs, width=max(len(inputs.names), 1)))
    n = len(inputs.codes)
    values = np.empty(n)
    width = sum(block.scores.shape[1] for block in blocks)
    height = max(1, _ENTRIES // width)
    for start in range(0, n, height):
        rows = slice(start, start + height)
        scores = np.concatenate([block.scores[rows] for block in blocks], axis=1)
        codes = np.concatenate([block.codes[rows] for block in blocks], axis=1)
        weights = None
        if inputs.weights is not None and inputs.weights.shape[1] > 1:
            spread = [np.broadcast_to(b.weights[rows], b.codes[rows].shape) for b in blocks]  # type: ignore[index]
            weights = np.concatenate(spread, axis=1).T
        transposed = _Block(scores.T, codes.T, weights, np.arange(len(scores)))
        values[rows] = [metric.value(counts) for counts in _counts_of_block(transposed)]
    labelled = (inputs.codes >= 0).any(axis=1)
    defined = ~np.isnan(values)
    if (labelled & ~defined).any():
        warn(
            f"{metric.name} is undefined in {(labelled & ~defined).sum()} of {labelled.sum()} rows "
            f"({metric.reason}); the average is over the other {defined.sum()}."
        )
    if not defined.any():
        return float("nan")
    row_weights = None if inputs.row_weights is None else inputs.row_weights[defined]
    return float(np.average(values[defined], weights=row_weights))
