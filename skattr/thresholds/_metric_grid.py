"""Search over a grid of thresholds, for any metric of labels and predictions."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skattr.metrics._averages import UndefinedAttributeWarning
from skattr.thresholds._curves import above, midway
from skattr.thresholds._per_label import ThresholdSet, collect
from skattr.thresholds._score_table import ScoreTable

Array = NDArray[Any]
Metric = Callable[..., float]
# A callable is called once per threshold, at some 0.5 ms each with scikit-learn's metrics.
_MOST_THRESHOLDS = 200


def grid_thresholds(table: ScoreTable, metric: Metric) -> ThresholdSet:
    """Return the best threshold of each label among at most 200, spread evenly over its scores."""
    results: list[Any] = []
    for label in range(table.n_labels):
        column = table.columns([label])
        _, scores, labels, weights = _known_part(column)
        distinct = np.unique(scores)
        if len(distinct) < 2 or labels.all() or not labels.any():
            results.append(None)
            continue
        thresholds = _grid(distinct)
        values = [_call(metric, labels, scores >= limit, weights) for limit in thresholds]
        if np.isnan(values).all():
            results.append("the objective is NaN at every threshold")
            continue
        best = int(np.nanargmax(values))
        results.append((thresholds[best], *[np.nan] * 4))  # a callable is not one of the counts
    return collect(results, table.untunable_reason)


def _grid(distinct: Array) -> Array:
    """Return thresholds between sorted distinct scores, and above all of them."""
    chosen = np.arange(len(distinct) + 1)
    if len(chosen) > _MOST_THRESHOLDS:
        chosen = np.unique(np.linspace(0, len(distinct), _MOST_THRESHOLDS).round().astype(int))
    lower = np.concatenate([[-np.inf], distinct[:-1]])
    # No number is above a score of infinity: the last two are equal.
    return np.unique(np.append(midway(lower, distinct), above(distinct[-1]))[chosen])


def metric_values(table: ScoreTable, predicted: Array, metric: Metric) -> NDArray[np.float64]:
    """Return the metric of each label's predictions; NaN where no label is known."""
    values = np.full(table.n_labels, np.nan)
    for label in range(table.n_labels):
        rows, _, labels, weights = _known_part(table.columns([label]))
        if len(labels):
            values[label] = _call(metric, labels, predicted[rows, label], weights)
    return values


def _known_part(column: ScoreTable) -> tuple[Array, Array, Array, Array | None]:
    """Return rows, scores, labels and weights of one label where it is known and has a weight."""
    known = column.known()
    rows = np.ones(len(column.scores), dtype=bool) if known is None else known[:, 0]
    if column.weights is None:
        return rows, column.scores[rows, 0], column.is_positive()[rows, 0], None
    rows = rows & (column.weights[:, 0] > 0)
    weights = column.weights[rows, 0]
    return rows, column.scores[rows, 0], column.is_positive()[rows, 0], weights


def _call(metric: Metric, labels: Array, predicted: Array, weights: Array | None) -> float:
    options = {} if weights is None else {"sample_weight": weights}
    with warnings.catch_warnings():
        # It would come once per threshold, and call every label "y0". NaN tells the caller.
        warnings.simplefilter("ignore", UndefinedAttributeWarning)
        return float(metric(labels.astype(int), predicted.astype(int), **options))
