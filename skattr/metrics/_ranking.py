"""Metrics of the order of scores, over known entries only.

Blocks of columns are sorted at once. A cut matters only where it takes in a positive: of each
distinct score of a positive are counted the positives that have it, those at or above it, and the
negatives at or above it.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from skattr._utils.sorting import UNKNOWN_KEY, sort_keys
from skattr.metrics._averages import average_units, check_average, shared_parameters, warn
from skattr.metrics._inputs import Array, Declared, Inputs, score_inputs

_AVERAGES = ("macro", "micro", "weighted", "samples")
_ENTRIES = 1 << 22  # entries sorted together


@shared_parameters
def average_precision_score(
    y_true: Any,
    y_score: Any,
    *,
    average: str | None = "macro",
    sample_weight: Any = None,
    label_weight: Any = None,
    attributes: Declared = None,
    missing_label: Any = None,
) -> Any:
    """Mean of the precisions at the positives, as scikit-learn defines it.

    The sum over distinct scores, falling, of the precision times the gain in recall; tied
    entries come in together. For an attribute that is not binary it is the mean over the classes
    that are present, each against the rest.

    Parameters
    ----------
    y_true : array-like of shape (n,) or (n, n_attributes), or DataFrame
        True labels; unknown ones are left out.
    y_score : list of ndarray of shape (n, n_classes), or array-like of shape (n, n_attributes)
        Scores of the classes as `predict_proba` returns them, or of the positive classes if all
        attributes are binary; for one attribute (n,) or (n, n_classes). Scores of unknown
        entries may be anything. The positive class is the second in sorted order.
    average : {"macro", "micro", "weighted", "samples"} or None, default="macro"
        The mean over attributes; the value of all entries pooled, each class of an attribute
        that is not binary against the rest; the mean over all positive classes by their known
        positives; the mean over rows of the order of a row's known labels; or one value per
        attribute.
    {shared}

    Returns
    -------
    float, or ndarray of shape (n_attributes,)
        NaN without a known positive; averages are over the defined ones, with one
        ``UndefinedAttributeWarning`` that lists the others.

    Raises
    ------
    ValueError
        If shapes or parameters do not fit, or the score of a known entry is NaN.

    Examples
    --------
    >>> from skattr.metrics import average_precision_score
    >>> y = [[1, None], [0, 1], [1, 0]]
    >>> average_precision_score(y, [[0.9, 0.3], [0.8, 0.6], [0.7, 0.2]], average=None)
    array([0.83333333, 1.        ])
    """
    inputs = score_inputs(y_true, y_score, sample_weight, label_weight, attributes, missing_label)
    return _ranked("Average precision", _average_precision, inputs, average, "no known positive")


@shared_parameters
def roc_auc_score(
    y_true: Any,
    y_score: Any,
    *,
    average: str | None = "macro",
    sample_weight: Any = None,
    label_weight: Any = None,
    attributes: Declared = None,
    missing_label: Any = None,
) -> Any:
    """Probability that a positive scores higher than a negative, ties counting one half.

    For an attribute that is not binary it is the mean over the classes that are present, each
    against the rest (``multi_class="ovr"`` in scikit-learn); scores need not sum to one.

    Parameters
    ----------
    y_true, y_score, average
        As for :func:`average_precision_score`.
    {shared}

    Returns
    -------
    float, or ndarray of shape (n_attributes,)
        NaN without a known positive or without a known negative.

    Examples
    --------
    >>> from skattr.metrics import roc_auc_score
    >>> y = [[1, None], [0, 1], [1, 0]]
    >>> roc_auc_score(y, [[0.9, 0.3], [0.8, 0.6], [0.7, 0.2]], average=None)
    array([0.5, 1. ])
    """
    inputs = score_inputs(y_true, y_score, sample_weight, label_weight, attributes, missing_label)
    return _ranked("ROC AUC", _area, inputs, average, "no known positive or no known negative")


class ThresholdSet(NamedTuple):
    """The distinct scores of positives, in any order.

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
    """Columns that are ranked each for itself; weights are (n, 1), (n, width) or None."""

    scores: Array
    codes: Array
    weights: Array | None
    owner: Array


Value = Callable[[ThresholdSet], float]


def _average_precision(cuts: ThresholdSet) -> float:
    if cuts.P <= 0:
        return float("nan")
    return float(np.sum(cuts.hits * (cuts.tp / (cuts.tp + cuts.fp))) / cuts.P)


def _area(cuts: ThresholdSet) -> float:
    if cuts.P <= 0 or cuts.N <= 0:
        return float("nan")
    beaten = np.sum(cuts.hits * (cuts.N - cuts.fp + cuts.tied / 2))
    return float(beaten / (cuts.P * cuts.N))


def cuts_of_keys(keys: Array, n_known: int) -> ThresholdSet:
    """Return the cuts of one column of sorted keys.

    Parameters
    ----------
    keys : ndarray of shape (n,), uint32
        The bits of a score that is not negative, moved up by one, and a 1 for negatives; the
        unknown entries after all others.
    n_known : int

    Returns
    -------
    ThresholdSet
    """
    keys = keys[:n_known]
    at = np.flatnonzero((keys & np.uint32(1)) == 0)
    n_positive = len(at)
    cut = keys[at]
    fresh = cut[1:] != cut[:-1]
    if fresh.all():
        first, last, start = np.arange(n_positive), at, at
        hits: Array = np.ones(n_positive)
    else:
        first = np.flatnonzero(np.concatenate([[True], fresh]))
        hits = np.diff(first, append=n_positive).astype(np.float64)
        start, last, cut = at[first], at[np.append(first[1:], n_positive) - 1], cut[first]
    tp = n_positive - first
    tied = np.zeros(len(first))
    follows = last + 1 < n_known
    follows[follows] = keys[last[follows] + 1] == cut[follows] + np.uint32(1)
    if follows.any():
        end = np.searchsorted(keys, cut[follows] + np.uint32(1), side="right")
        tied[follows] = end - last[follows] - 1
    return ThresholdSet(hits, tp, n_known - start - tp, tied, n_positive, n_known - n_positive)


def cuts_apart(positives: Array, negatives: Array) -> ThresholdSet:
    """Return the cuts of one column, given the scores of positives and negatives."""
    positives, negatives = np.sort(positives), np.sort(negatives)
    first = np.flatnonzero(positives[1:] != positives[:-1]) + 1
    first = np.concatenate([np.zeros(min(len(positives), 1), dtype=first.dtype), first])
    n_positive, n_negative = len(positives), len(negatives)
    below = np.searchsorted(negatives, positives[first])
    tied = np.searchsorted(negatives, positives[first], side="right") - below
    hits = np.diff(first, append=n_positive).astype(np.float64)
    return ThresholdSet(hits, n_positive - first, n_negative - below, tied, n_positive, n_negative)


def cuts_weighted(scores: Array, labels: Array, weights: Array) -> ThresholdSet:
    """Return the cuts of one column whose entries have weights; `labels` are 0 or 1."""
    order = np.argsort(scores)[::-1]
    ranked, labels, weights = scores[order], labels[order], weights[order]
    last = np.flatnonzero(np.concatenate([ranked[1:] != ranked[:-1], np.ones(1, bool)]))
    if not len(ranked):
        last = last[:0]
    tp = np.cumsum(weights * (labels == 1), dtype=np.float64)[last]
    fp = np.cumsum(weights * (labels == 0), dtype=np.float64)[last]
    hits, tied = np.diff(tp, prepend=0), np.diff(fp, prepend=0)
    keep = hits > 0
    P, N = (tp[-1], fp[-1]) if len(last) else (0.0, 0.0)
    return ThresholdSet(hits[keep], tp[keep], fp[keep], tied[keep], float(P), float(N))


def _cuts_of_block(block: _Block) -> Iterator[ThresholdSet]:
    """Yield the cuts of a block's columns."""
    scores, codes, weights, _ = block
    if weights is None and scores.dtype == np.float32:
        found = _sorted_keys(scores, codes)
        if found is not None:
            for keys, n_known in zip(*found, strict=True):
                yield cuts_of_keys(keys, int(n_known))
            return
    for j in range(scores.shape[1]):
        score, label = np.ascontiguousarray(scores[:, j]), np.ascontiguousarray(codes[:, j])
        if weights is None:
            yield cuts_apart(score[label == 1], score[label == 0])
        else:
            known = label >= 0
            weight = weights[:, min(j, weights.shape[1] - 1)]
            yield cuts_weighted(score[known], label[known], weight[known])


def _sorted_keys(scores: Array, codes: Array) -> tuple[Array, Array] | None:
    """Return each column's sorted keys and known entries, or None if a known score is negative."""

    def read(rows: slice) -> tuple[Array, Array | None]:
        code = np.ascontiguousarray(codes[rows].T)
        unknown = code < 0
        return code == 0, unknown if unknown.any() else None

    keys = np.empty(scores.shape[::-1], dtype=np.uint32)
    if not sort_keys(scores, read, keys):
        return None
    return keys, np.array([np.searchsorted(column, UNKNOWN_KEY) for column in keys])


def _ranked(metric: str, value: Value, inputs: Inputs, average: str | None, why: str) -> Any:
    check_average(average, *_AVERAGES)
    if average == "samples":
        return _mean_of_rows(metric, value, inputs, why)
    if average == "micro":
        [cuts] = _cuts_of_block(_pooled(inputs))
        result = value(cuts)
        if np.isnan(result):
            warn(f"{metric} of all entries pooled is undefined ({why}).")
        return result
    values, support, owner = [], [], []
    for block in _blocks(inputs):
        for cuts, attribute in zip(_cuts_of_block(block), block.owner, strict=True):
            values.append(value(cuts))
            support.append(cuts.P)
            owner.append(attribute)
    arrays = np.array(values), np.array(owner, dtype=np.intp), np.array(support)
    return average_units(*arrays, average, inputs.names, metric, why)


def _blocks(inputs: Inputs, width: int | None = None) -> Iterator[_Block]:
    """Yield the positive class of each binary attribute and every class of the others."""
    assert inputs.scores is not None
    two, codes, weights = inputs.two, inputs.binary_codes(), inputs.binary_weights()
    n, matrix, places = len(codes), inputs.scores.binary, np.flatnonzero(two)
    width = width or max(1, _ENTRIES // max(n, 1))
    for start in range(0, len(places), width):
        part = slice(start, start + width)
        weight = weights if weights is None or weights.shape[1] == 1 else weights[:, part]
        yield _Block(matrix[:, part], codes[:, part], weight, places[part])
    for j, scores in zip(np.flatnonzero(~two), inputs.scores.others, strict=True):
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
    if inputs.weights is None and inputs.two.all():
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


def _mean_of_rows(metric: str, value: Value, inputs: Inputs, why: str) -> float:
    """Average the values of the rows that have one."""
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
        turned = _Block(scores.T, codes.T, weights, np.arange(len(scores)))
        values[rows] = [value(cuts) for cuts in _cuts_of_block(turned)]
    labelled = (inputs.codes >= 0).any(axis=1)
    defined = ~np.isnan(values)
    if (labelled & ~defined).any():
        warn(
            f"{metric} is undefined in {(labelled & ~defined).sum()} of {labelled.sum()} rows "
            f"({why}); the average is over the other {defined.sum()}."
        )
    if not defined.any():
        return float("nan")
    row_weights = None if inputs.row_weights is None else inputs.row_weights[defined]
    return float(np.average(values[defined], weights=row_weights))
