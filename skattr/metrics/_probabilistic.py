"""Metrics of predicted probabilities: log loss, Brier score and calibration error."""

from collections.abc import Callable, Iterator
from numbers import Integral
from typing import Any, Unpack

import numpy as np

from skattr.metrics._averages import UnitScores, check_average
from skattr.metrics._inputs import Array, Inputs, row_blocks, score_inputs, weighted_sum
from skattr.metrics._options import Options, documented
from skattr.metrics._rates import divide

_AVERAGES = ("macro", "micro", "weighted")
_NO_LABEL = "no known label"
# From probabilities and codes to losses: of a block of binary attributes, and of the rows of
# another attribute.
Losses = tuple[Callable[[Array, Array], Array], Callable[[Array, Array], Array]]


@documented
def log_loss(
    y_true: Any,
    y_score: Any,
    *,
    average: str | None = "macro",
    **options: Unpack[Options],
) -> Any:
    """Mean negative log of the probability of the known label.

    Probabilities are clipped to [eps, 1 - eps] with the machine epsilon of their dtype, as in
    scikit-learn.

    Parameters
    ----------
    {scores}
    average : {"macro", "micro", "weighted"} or None, default="macro"
        Mean over attributes; over all known entries ("micro" and "weighted"); or one value per
        attribute.
    {options}

    {returns}

    Examples
    --------
    >>> from skattr.metrics import log_loss
    >>> log_loss([[1, None], [0, 1]], [[0.5, 0.3], [0.5, 1.0]], average=None).round(3)
    array([0.693, 0.   ])
    """
    inputs = score_inputs(y_true, y_score, **options, is_proba=True)
    return _mean_loss("Log loss", (_binary_log, _class_log), inputs, average)


@documented
def brier_score_loss(
    y_true: Any,
    y_score: Any,
    *,
    average: str | None = "macro",
    scale_by_half: Any = "auto",
    **options: Unpack[Options],
) -> Any:
    """Mean squared difference of probabilities and labels (Brier, 1950).

    Parameters
    ----------
    {scores}
    average : {"macro", "micro", "weighted"} or None, default="macro"
        Mean over attributes; over all known entries ("micro" and "weighted"); or one value per
        attribute.
    scale_by_half : bool or "auto", default="auto"
        Whether to halve the sum over classes, so that it lies in [0, 1] and not in [0, 2]; "auto"
        halves where there are two classes, as in scikit-learn.
    {options}

    {returns}

    Examples
    --------
    >>> from skattr.metrics import brier_score_loss
    >>> brier_score_loss([[1, None], [0, 1]], [[0.5, 0.3], [0.5, 1.0]], average=None)
    array([0.25, 0.  ])
    """
    if scale_by_half not in (True, False, "auto"):
        raise ValueError(f"`scale_by_half` must be True, False or 'auto'; got {scale_by_half!r}.")

    def of_binary(p: Array, codes: Array) -> Array:
        return np.asarray((1 if scale_by_half else 2) * (p - (codes == 1)) ** 2)

    def of_classes(p: Array, codes: Array) -> Array:
        is_halved = p.shape[1] < 3 if scale_by_half == "auto" else scale_by_half
        squares = ((p - (codes[:, np.newaxis] == np.arange(p.shape[1]))) ** 2).sum(axis=1)
        return np.asarray(squares / 2 if is_halved else squares)

    inputs = score_inputs(y_true, y_score, **options, is_proba=True)
    return _mean_loss("Brier score", (of_binary, of_classes), inputs, average)


@documented
def calibration_error(
    y_true: Any,
    y_score: Any,
    *,
    n_bins: Any = 15,
    strategy: str = "uniform",
    norm: str = "l1",
    average: str | None = "macro",
    **options: Unpack[Options],
) -> Any:
    """Difference of mean probability and frequency within bins of probabilities.

    For binary attributes the probability of the positive class is compared with its frequency.
    For others the highest probability of a row is compared with how often its class is the known
    one.

    Parameters
    ----------
    {scores}
    n_bins : int, default=15
        Number of bins; empty ones do not count.
    strategy : {"uniform", "quantile"}, default="uniform"
        Bins of equal width, or of equal numbers of known entries. A bin contains its upper edge,
        not its lower one, as in :func:`sklearn.calibration.calibration_curve`.
    norm : {"l1", "l2", "max"}, default="l1"
        Mean absolute difference over bins, root of the mean squared difference (both weighted by
        the entries of a bin), or largest difference.
    average : {"macro", "micro", "weighted"} or None, default="macro"
        Mean over attributes; value of one calibration curve of all known entries; mean weighted by
        known entries; or one value per attribute.
    {options}

    {returns}

    References
    ----------
    Naeini, M. P., Cooper, G. F., Hauskrecht, M., 2015. Obtaining well calibrated probabilities
    using Bayesian binning. AAAI.
    Guo, C., Pleiss, G., Sun, Y., Weinberger, K. Q., 2017. On calibration of modern neural
    networks. ICML.

    Examples
    --------
    >>> from skattr.metrics import calibration_error
    >>> calibration_error([1, 0, 1, None, 1], [0.75, 0.75, 0.75, 0.1, 1.0])
    0.0625
    """
    check_average(average, *_AVERAGES)
    if isinstance(n_bins, bool) or not isinstance(n_bins, Integral) or int(n_bins) < 1:
        raise ValueError(f"`n_bins` must be an integer of at least 1; got {n_bins!r}.")
    if strategy not in ("uniform", "quantile"):
        raise ValueError(f"`strategy` must be 'uniform' or 'quantile'; got {strategy!r}.")
    if norm not in ("l1", "l2", "max"):
        raise ValueError(f"`norm` must be 'l1', 'l2' or 'max'; got {norm!r}.")
    inputs = score_inputs(y_true, y_score, **options, is_proba=True)
    bins = calibration_bins(inputs, int(n_bins), strategy, is_pooled=average == "micro")
    if average == "micro":
        return gap(bins.sum(axis=0), norm)
    return calibration_units(inputs, bins, norm).average(average)


def calibration_bins(
    inputs: Inputs, n_bins: int = 15, strategy: str = "uniform", *, is_pooled: bool = False
) -> Array:
    """Return the sums of :func:`bin_sums` for each attribute, (L, 3, n_bins).

    With `is_pooled` the bins have the same edges for all attributes, so that their sums are the
    bins of all entries.
    """
    pooled = None
    if is_pooled and strategy == "quantile":
        pooled = np.concatenate([confidence for confidence, _, _ in _confidences(inputs)])
    return np.stack(
        [
            bin_sums(*entry, bin_edges(entry[0] if pooled is None else pooled, n_bins, strategy))
            for entry in _confidences(inputs)
        ]
    )


def calibration_units(inputs: Inputs, bins: Array, norm: str = "l1") -> UnitScores:
    """Return the calibration error of each attribute."""
    values = np.array([gap(part, norm) for part in bins])
    owner, weights = np.arange(len(values)), bins[:, 2].sum(axis=1)
    return UnitScores("Calibration error", inputs.names, values, owner, weights, _NO_LABEL)


def bin_edges(confidence: Array, n_bins: int, strategy: str) -> Array:
    """Return the n_bins - 1 inner edges of bins of equal width, or of equal mass."""
    inner = np.linspace(0, 1, n_bins + 1)
    if strategy == "quantile" and len(confidence):
        inner = np.percentile(confidence, 100 * inner)
    return inner[1:-1]


def bin_sums(confidence: Array, hit: Array, weights: Array | None, inner: Array) -> Array:
    """Sum entries within bins.

    Parameters
    ----------
    confidence : ndarray of shape (n,)
    hit : ndarray of shape (n,), bool
    weights : ndarray of shape (n,), or None
    inner : ndarray of shape (n_bins - 1,)
        Inner edges, each in the bin below it.

    Returns
    -------
    ndarray of shape (3, n_bins)
        Weighted sums of confidences and of hits, and the weights.
    """
    place = np.searchsorted(inner, confidence)
    weights = np.ones(len(confidence)) if weights is None else weights
    columns = (confidence * weights, hit * weights, weights)
    return np.stack([np.bincount(place, column, len(inner) + 1) for column in columns])


def gap(sums: Array, norm: str = "l1") -> float:
    """Return the calibration error of the sums of :func:`bin_sums`, NaN without an entry."""
    confidence, hits, weights = sums[:, sums[2] > 0]
    if not len(weights):
        return float("nan")
    gaps = np.abs(confidence - hits) / weights
    if norm == "max":
        return float(gaps.max())
    if norm == "l2":
        return float(np.sqrt(np.average(gaps**2, weights=weights)))
    return float(np.average(gaps, weights=weights))


def _confidences(inputs: Inputs) -> Iterator[tuple[Array, Array, Array | None]]:
    """Yield each attribute's probabilities, whether they came true, and weights, where known."""
    assert inputs.scores is not None
    columns, others = iter(inputs.scores.binary.T), iter(inputs.scores.others)
    for j, is_binary in enumerate(inputs.binary):
        rows = np.flatnonzero(inputs.codes[:, j] >= 0)
        codes, weights = inputs.codes[rows, j], inputs.weight_of(j, rows)
        if is_binary:
            yield next(columns)[rows].astype(np.float64), codes == 1, weights
        else:
            part = next(others)[rows]
            yield part.max(axis=1).astype(np.float64), part.argmax(axis=1) == codes, weights


def _binary_log(p: Array, codes: Array) -> Array:
    return np.asarray(-np.log(np.where(codes == 1, p, 1 - p)))


def _class_log(p: Array, codes: Array) -> Array:
    return np.asarray(-np.log(p[np.arange(len(p)), codes]))


def _mean_loss(metric: str, losses: Losses, inputs: Inputs, average: str | None) -> Any:
    """Average losses over the known entries of attributes, then over attributes."""
    check_average(average, *_AVERAGES)
    assert inputs.scores is not None
    is_log = losses[0] is _binary_log
    sums, binary, codes = np.zeros(len(inputs.names)), inputs.binary, inputs.binary_codes()
    matrix = inputs.scores.binary
    eps = np.finfo(matrix.dtype).eps if is_log else 0
    for rows in row_blocks(*codes.shape):
        known = codes[rows] >= 0
        p = np.where(known, matrix[rows], 0.5).astype(np.float64)
        loss = losses[0](np.clip(p, eps, 1 - eps), codes[rows])
        sums[binary] += weighted_sum(np.where(known, loss, 0), inputs.binary_weights(), rows)
    for j, part in zip(np.flatnonzero(~binary), inputs.scores.others, strict=True):
        rows_known = np.flatnonzero(inputs.codes[:, j] >= 0)
        eps = np.finfo(part.dtype).eps if is_log else 0
        p = np.clip(part[rows_known].astype(np.float64), eps, 1 - eps)
        loss, weights = losses[1](p, inputs.codes[rows_known, j]), inputs.weight_of(j, rows_known)
        sums[j] = loss.sum() if weights is None else loss @ weights
    known_weight = inputs.known_weight()
    values, owner = divide(sums, known_weight), np.arange(len(sums))
    # Pooling the entries is weighing each attribute's mean loss by its known entries.
    average = "weighted" if average == "micro" else average
    scores = UnitScores(metric, inputs.names, values, owner, known_weight, _NO_LABEL)
    return scores.average(average)
