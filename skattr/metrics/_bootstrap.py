"""Bootstrap intervals: each sample weighs the rows by how often it draws them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from skattr._targets.groups import read_groups
from skattr._utils.parameters import AT_LEAST_1
from skattr.metrics._averages import mean_per_attribute
from skattr.metrics._counts import Confusion, cells_of, count_cells
from skattr.metrics._inputs import Inputs
from skattr.metrics._label_scores import LabelMetric
from skattr.metrics._rates import Counts, divide

Array = NDArray[Any]
Floats = NDArray[np.float64]
_ENTRIES = 1 << 22  # drawn rows looked at together: 32 MB
_COLUMNS = 64  # binary attributes counted together


class BootstrapDraws:
    """How often each row is drawn in each bootstrap sample.

    Parameters
    ----------
    n : int
        Number of rows.
    confidence : float
        Confidence of the percentile intervals.
    n_bootstrap : int
        Number of samples.
    groups : array-like of shape (n,), or None
        Rows of one group are drawn together.
    random_state : int, RandomState or None

    Attributes
    ----------
    times : ndarray of shape (n_bootstrap, n), float64
    """

    def __init__(
        self, n: int, confidence: float, n_bootstrap: int, groups: Any, random_state: Any
    ) -> None:
        if not 0 < confidence < 1:
            raise ValueError(f"confidence must be between 0 and 1; got {confidence!r}.")
        if not AT_LEAST_1.is_satisfied_by(n_bootstrap):
            raise ValueError(f"n_bootstrap must be an int of at least 1; got {n_bootstrap!r}.")
        self.confidence = confidence
        unit = np.arange(n)
        if groups is not None:
            unit = read_groups(groups, n, allow_missing=True)
        n_units = int(unit.max()) + 1
        # check_random_state(None) would draw from numpy's global generator and advance it.
        generator: Any = np.random.default_rng()
        if random_state is not None:
            generator = check_random_state(random_state)
        # Counts of a multinomial instead of drawn row numbers: weighting rows costs one matrix
        # product for all samples, and no class vanishes from the labels that are read.
        drawn = generator.multinomial(n_units, np.full(n_units, 1 / n_units), size=n_bootstrap)
        self.times = drawn[:, unit].astype(np.float64)

    def take(self, rows: Array) -> "BootstrapDraws":
        """Return the draws of some of the rows."""
        part = object.__new__(BootstrapDraws)
        part.confidence, part.times = self.confidence, self.times[:, rows]
        return part

    def limits(self, values: Floats) -> tuple[Floats, Floats]:
        """Return the percentiles of values (n_bootstrap, n) that are the intervals' limits."""
        tail = (1 - self.confidence) / 2
        low, high = np.full(values.shape[1], np.nan), np.full(values.shape[1], np.nan)
        defined = ~np.isnan(values).all(axis=0)
        low[defined], high[defined] = np.nanquantile(values[:, defined], [tail, 1 - tail], axis=0)
        return low, high

    def limits_with_mean(self, values: Floats) -> tuple[Floats, Floats]:
        """Return the limits of each attribute, and last those of the mean over attributes."""
        mean = mean_per_attribute(values, np.zeros(values.shape[1], dtype=np.intp), 1)
        return self.limits(np.concatenate([values, mean], axis=1))


def label_intervals(
    inputs: Inputs, draws: BootstrapDraws, metrics: dict[str, LabelMetric]
) -> dict[str, tuple[Floats, Floats]]:
    """Return the limits of metrics of labels, each of shape (n_attributes + 1,).

    The last is that of the mean over attributes.
    """
    confusion = resampled_confusion(inputs, draws)
    return {
        name: draws.limits_with_mean(metric.per_attribute(confusion))
        for name, metric in metrics.items()
    }


def resampled_confusion(inputs: Inputs, draws: BootstrapDraws) -> Confusion:
    """Return the confusion counts of each bootstrap sample, along the first axis."""
    assert inputs.predicted is not None
    columns = np.flatnonzero(inputs.binary)
    parts = [Counts(*np.zeros((4, len(draws.times), 0)))]
    for start in range(0, len(columns), _COLUMNS):
        block = columns[start : start + _COLUMNS]
        weights = inputs.weights
        if weights is not None and weights.shape[1] > 1:
            weights = weights[:, block]

        def total(cells: Array, weights: Array | None = weights) -> Array:
            weighted = cells.astype(np.float64) if weights is None else cells * weights
            return np.asarray(draws.times @ weighted)

        codes, predicted = inputs.codes[:, block], inputs.predicted[:, block]
        parts.append(count_cells(codes == 1, codes == 0, predicted == 1, total))
    binary = Counts(*(np.concatenate(arrays, axis=1) for arrays in zip(*parts, strict=True)))
    others = []
    for j in np.flatnonzero(~inputs.binary):
        known, cells, n_classes = cells_of(inputs, j)
        member = np.zeros((len(known), n_classes**2))
        weights = inputs.weight_of(j, known)
        member[np.arange(len(known)), cells] = 1 if weights is None else weights
        matrices = draws.times[:, known] @ member
        others.append(matrices.reshape(-1, n_classes, n_classes))
    return Confusion(inputs.names, inputs.binary, binary, others)


def ranking_intervals(inputs: Inputs, draws: BootstrapDraws) -> dict[str, tuple[Floats, Floats]]:
    """Return the limits of average precision and ROC AUC, each of shape (n_attributes + 1,)."""
    assert inputs.scores is not None
    binary, others = iter(inputs.scores.binary.T), iter(inputs.scores.others)
    values = np.empty((2, len(draws.times), len(inputs.names)))
    for j, is_binary in enumerate(inputs.binary):
        scores = next(binary)[:, np.newaxis] if is_binary else next(others)
        values[:, :, j] = _ranked(inputs, draws, j, scores)
    return {
        name: draws.limits_with_mean(part)
        for name, part in zip(("average_precision", "roc_auc"), values, strict=True)
    }


def _ranked(inputs: Inputs, draws: BootstrapDraws, attribute: int, scores: Array) -> Floats:
    """Return average precision and ROC AUC of each sample, the mean over present classes."""
    known = np.flatnonzero(inputs.codes[:, attribute] >= 0)
    codes, scores = inputs.codes[known, attribute], scores[known]
    weights = inputs.weight_of(attribute, known)
    # A binary attribute has one column of scores, that of class 1.
    first = 1 if inputs.binary[attribute] else 0
    parts = []
    for column in range(scores.shape[1]):
        order = np.argsort(-scores[:, column])
        ranked, is_positive = scores[order, column], codes[order] == column + first
        # Entries with tied scores come in together.
        last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True)[: len(ranked)])
        size = max(1, _ENTRIES // max(len(order), 1))
        blocks = []
        for start in range(0, len(draws.times), size):
            drawn = draws.times[start : start + size, known[order]]
            drawn = drawn if weights is None else drawn * weights[order]
            blocks.append(_values_of_ranking(drawn, is_positive, last))
        parts.append(np.concatenate(blocks, axis=1))
    units = np.stack(parts, axis=-1)
    return mean_per_attribute(units, np.zeros(units.shape[-1], dtype=np.intp), 1)[..., 0]


def _values_of_ranking(drawn: Floats, is_positive: Array, last: Array) -> Floats:
    """Return average precision and ROC AUC, (2, n_samples), of falling scores."""
    if not len(last):
        return np.full((2, len(drawn)), np.nan)
    tp = np.cumsum(drawn * is_positive, axis=1)[:, last]
    fp = np.cumsum(drawn * ~is_positive, axis=1)[:, last]
    P, N = tp[:, -1], fp[:, -1]
    new_tp, new_fp = np.diff(tp, axis=1, prepend=0), np.diff(fp, axis=1, prepend=0)
    average = divide((divide(tp, tp + fp, 0.0) * new_tp).sum(axis=1), P)
    area = divide((new_fp * (tp - new_tp / 2)).sum(axis=1), P * N)
    return np.stack([average, area])
