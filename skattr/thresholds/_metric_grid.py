"""The slow general way: any metric of labels and predictions, tried over a grid of cuts."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skattr.thresholds._curves import above, midway
from skattr.thresholds._per_label import ThresholdSet, collect
from skattr.thresholds._score_table import ScoreTable

Array = NDArray[Any]
Metric = Callable[..., float]
_MOST_CUTS = 200


def grid_thresholds(table: ScoreTable, metric: Metric) -> ThresholdSet:
    """Return the best cut of each label among at most 200, spread evenly over its scores."""
    found: list[Any] = []
    for label in range(table.n_labels):
        column = table.columns([label])
        scores, labels, weights = _known_part(column, column.scores >= 0)[:3]
        distinct = np.unique(scores)
        weighs = labels if weights is None else labels[weights > 0]
        if len(distinct) < 2 or weighs.all() or not weighs.any():
            found.append(None)
            continue
        chosen = np.arange(len(distinct) + 1)
        if len(chosen) > _MOST_CUTS:
            chosen = np.unique(np.linspace(0, len(distinct), _MOST_CUTS).round().astype(int))
        lower = np.concatenate([[-np.inf], distinct[:-1]])
        thresholds = np.append(midway(lower, distinct), above(distinct[-1]))[chosen]
        thresholds = thresholds[thresholds < np.inf]
        values = [_call(metric, labels, scores >= cut, weights) for cut in thresholds]
        if np.isnan(values).all():
            found.append("the objective is NaN at every cut")
            continue
        best = int(np.nanargmax(values))
        weight = np.ones(len(labels)) if weights is None else weights
        predicted = scores >= thresholds[best]
        sides = (labels & predicted, ~labels & predicted, labels, ~labels)
        found.append((thresholds[best], *(weight[side].sum() for side in sides)))
    return collect(found, table.untunable_reason)


def metric_values(table: ScoreTable, predicted: Array, metric: Metric) -> NDArray[np.float64]:
    """Return the metric of each label's predictions; NaN where no label is known."""
    values = np.full(table.n_labels, np.nan)
    for label in range(table.n_labels):
        _, labels, weights, chosen = _known_part(table.columns([label]), predicted[:, [label]])
        if len(labels):
            values[label] = _call(metric, labels, chosen, weights)
    return values


def _known_part(column: ScoreTable, predicted: Array) -> tuple[Array, Array, Array | None, Array]:
    known = column.known()
    rows = slice(None) if known is None else known[:, 0]
    weights = None if column.weights is None else column.weights[rows, 0]
    return column.scores[rows, 0], column.is_positive()[rows, 0], weights, predicted[rows, 0]


def _call(metric: Metric, labels: Array, predicted: Array, weights: Array | None) -> float:
    options = {} if weights is None else {"sample_weight": weights}
    return float(metric(labels.astype(int), predicted.astype(int), **options))
