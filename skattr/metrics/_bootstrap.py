"""Bootstrap intervals: each sample weighs the rows by how often it draws them."""

from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.utils import check_random_state

Array = NDArray[Any]
Floats = NDArray[np.float64]
_ENTRIES = 1 << 22  # drawn rows looked at together


class Labels(Protocol):
    """What is needed of rows."""

    codes: Array
    predicted: Array
    scores: list[Array] | None
    levels: list[Array]
    two: NDArray[np.bool_]
    weights: Array | None


class BootstrapDraws:
    """How often each row is drawn in each bootstrap sample.

    Parameters
    ----------
    n : int
    confidence : float
        Of the intervals, which are between percentiles.
    n_bootstrap : int
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
            raise ValueError(f"confidence must be between 0 and 1, got {confidence!r}.")
        if n_bootstrap < 1:
            raise ValueError(f"n_bootstrap must be at least 1, got {n_bootstrap!r}.")
        self.confidence = confidence
        unit = np.arange(n)
        if groups is not None:
            if len(groups) != n:
                raise ValueError(f"groups has {len(groups)} values, but there are {n} rows.")
            unit = pd.factorize(pd.Series(groups), use_na_sentinel=False)[0]
        n_units = int(unit.max()) + 1
        generator: Any = np.random.default_rng()  # fresh entropy, not the global state
        if random_state is not None:
            generator = check_random_state(random_state)
        shares = np.full(n_units, 1 / n_units)
        drawn = generator.multinomial(n_units, shares, size=n_bootstrap)
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
        some = ~np.isnan(values).all(axis=0)
        low[some], high[some] = np.nanquantile(values[:, some], [tail, 1 - tail], axis=0)
        return low, high


def intervals(
    labels: Labels, draws: BootstrapDraws, metrics: list[str]
) -> dict[str, tuple[Floats, Floats]]:
    """Return the limits of each metric: of each attribute, and last of their mean.

    Parameters
    ----------
    labels : Labels
    draws : BootstrapDraws
    metrics : list of str
        Of labels: "accuracy", "precision", "recall", "f1", "balanced_accuracy"; or of scores:
        "average_precision", "roc_auc".

    Returns
    -------
    dict of {metric: (low, high)}, each of shape (n_attributes + 1,)
    """
    values = {name: np.empty((len(draws.times), len(labels.levels))) for name in metrics}
    for j, levels in enumerate(labels.levels):
        known = np.flatnonzero(labels.codes[:, j] >= 0)
        size = len(levels)
        cells = labels.codes[known, j] * size + labels.predicted[known, j]
        member = np.zeros((len(known), size * size))
        member[np.arange(len(known)), cells] = (
            1 if labels.weights is None else labels.weights[known]
        )
        matrices = (draws.times[:, known] @ member).reshape(-1, size, size)
        found = _metrics_of(matrices, bool(labels.two[j]))
        if labels.scores is not None:
            found |= _ranked(labels, draws, j, known)
        for name in metrics:
            values[name][:, j] = found[name]
    result = {}
    for name in metrics:
        some = ~np.isnan(values[name]).all(axis=1)
        mean = np.full(len(values[name]), np.nan)
        mean[some] = np.nanmean(values[name][some], axis=1)
        result[name] = draws.limits(np.column_stack([values[name], mean]))
    return result


def _ranked(
    labels: Labels, draws: BootstrapDraws, attribute: int, known: Array
) -> dict[str, Floats]:
    """Return average precision and ROC AUC of each sample, the mean over present classes."""
    assert labels.scores is not None
    codes, scores = labels.codes[known, attribute], labels.scores[attribute][known]
    classes = np.array([1]) if labels.two[attribute] else np.unique(codes)
    parts = []
    for label in classes:
        order = np.argsort(-scores[:, label])
        ranked, is_positive = scores[order, label], codes[order] == label
        last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))  # ties come together
        weights = 1.0 if labels.weights is None else labels.weights[known][order]
        found = []
        size = max(1, _ENTRIES // max(len(order), 1))
        for start in range(0, len(draws.times), size):
            drawn = draws.times[start : start + size, known[order]] * weights
            found.append(_of_ranking(drawn, is_positive, last))
        parts.append(np.concatenate(found, axis=1))
    if not parts:
        parts = [np.full((2, len(draws.times)), np.nan)]
    precision, area = (
        _mean_over_present(np.stack(part, axis=1)) for part in zip(*parts, strict=True)
    )
    return {"average_precision": precision, "roc_auc": area}


def _of_ranking(drawn: Floats, is_positive: Array, last: Array) -> Floats:
    """Return average precision and ROC AUC, (2, n_samples), of falling scores."""
    tp = np.cumsum(drawn * is_positive, axis=1)[:, last]
    fp = np.cumsum(drawn * ~is_positive, axis=1)[:, last]
    P, N = tp[:, -1], fp[:, -1]
    gained, lost = np.diff(tp, axis=1, prepend=0), np.diff(fp, axis=1, prepend=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where(tp + fp > 0, tp / (tp + fp), 0)
        average = np.where(P > 0, (precision * gained).sum(axis=1) / P, np.nan)
        area = np.where(N > 0, (lost * (tp - gained / 2)).sum(axis=1) / (P * N), np.nan)
    return np.stack([average, np.where(P > 0, area, np.nan)])


def _metrics_of(matrices: Floats, two: bool) -> dict[str, Floats]:
    """Return metrics of confusion matrices (n, K, K), true classes down."""
    right = np.diagonal(matrices, axis1=1, axis2=2)
    true, said = matrices.sum(axis=2), matrices.sum(axis=1)
    total = true.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        recalls = right / true
        f1 = 2 * right / (true + said)
        precisions = np.where(true + said > 0, np.where(said > 0, right / said, 0), np.nan)
        result = {"accuracy": right.sum(axis=1) / total}
    pick = (lambda part: part[:, 1]) if two else _mean_over_present
    recall_filled = np.where((true == 0) & (said > 0), 0, recalls)
    result["precision"] = pick(precisions)
    result["recall"] = recalls[:, 1] if two else _mean_over_present(recall_filled)
    result["f1"] = pick(f1)
    result["balanced_accuracy"] = _mean_over_present(recalls)
    if two:
        no_positive = true[:, 1] == 0
        for name in ("precision", "recall", "f1"):
            result[name] = np.where(no_positive, np.nan, result[name])
        both = (true > 0).all(axis=1)
        result["balanced_accuracy"] = np.where(both, result["balanced_accuracy"], np.nan)
    return result


def _mean_over_present(values: Floats) -> Floats:
    some = ~np.isnan(values).all(axis=1)
    result = np.full(len(values), np.nan)
    result[some] = np.nanmean(values[some], axis=1)
    return result
