"""Thresholds for the mean over rows of a metric of each row's labels."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skattr.thresholds._curves import above, midway
from skattr.thresholds._joint import joint_thresholds
from skattr.thresholds._objectives import Metric, Objective
from skattr.thresholds._per_label import ThresholdSet, counts_at
from skattr.thresholds._score_table import ScoreTable

Array = NDArray[Any]
ROW_OBJECTIVES = ("f1", "fbeta", "precision", "recall", "jaccard", "accuracy")
_MOST_ROUNDS = 20


def row_thresholds(
    table: ScoreTable, objective: Objective, n_jobs: int | None = None
) -> ThresholdSet:
    """Return thresholds at a local optimum of the mean over rows.

    The search starts from the jointly optimal thresholds over the counts of all labels. It then
    sets each label in turn to its optimal threshold given those of the other labels, until no
    label improves. A row without true and predicted positives has the value 0.

    Raises
    ------
    ValueError
        If there is a weight per label.
    """
    if table.weights is not None and table.weights.shape[1] > 1:
        raise ValueError("average='samples' takes one weight per row, not one per label.")
    start = joint_thresholds(table, objective, n_jobs)
    tunable = np.setdiff1d(np.arange(table.n_labels), list(start.failed))
    if not len(tunable):
        return start
    metric = objective.metric()
    part = table.columns(tunable)
    thresholds = start.thresholds[tunable]
    # Weights are those of rows, so that the counts within a row need none.
    positive, negative = replace(part, weights=None).label_weights_by_class()
    rows = _RowCounts(part.scores, positive, negative, part.weights, thresholds)
    value = rows.value(metric)
    for _ in range(_MOST_ROUNDS):
        for label in range(len(tunable)):
            thresholds[label] = rows.improve(label, metric, thresholds[label])
        before, value = value, rows.value(metric)
        if value <= before + 1e-12:
            break
    all_thresholds, counts = np.full(table.n_labels, np.nan), np.full((4, table.n_labels), np.nan)
    all_thresholds[tunable], counts[:, tunable] = thresholds, counts_at(part, thresholds)
    return ThresholdSet(all_thresholds, counts, start.failed)


def check_row_objective(objective: Objective) -> None:
    """Raise if an objective is not defined per row."""
    has_constraint = objective.constraint is not None
    if objective.name not in ROW_OBJECTIVES or has_constraint:
        raise ValueError(
            f"average='samples' takes the objectives {', '.join(ROW_OBJECTIVES)} and no "
            f"constraint; got {objective.name!r}" + (" with a constraint." * has_constraint or ".")
        )


def row_value(table: ScoreTable, predicted: Array, metric: Metric) -> float:
    """Return the mean over rows of a metric of their known labels."""
    positive, negative = ScoreTable(table.scores, table.labels).label_weights_by_class()
    none = np.full(table.n_labels, np.inf)
    rows = _RowCounts(table.scores, positive, negative, table.weights, none)
    rows.predicted = predicted
    return rows.value(metric)


class _RowCounts:
    """True and false positives of each row while thresholds change."""

    def __init__(
        self,
        scores: Array,
        positive: Array,
        negative: Array,
        weights: Array | None,
        thresholds: Array,
    ) -> None:
        self.scores, self.positive, self.negative = scores, positive, negative
        self.predicted = scores >= thresholds
        self.P, self.N = positive.sum(axis=1), negative.sum(axis=1)
        weights = np.ones(len(scores)) if weights is None else weights[:, 0]
        # A row without a known label does not count.
        self.weights = weights * (self.P + self.N > 0)
        self.weights = self.weights / self.weights.sum()

    def counts(self, without: int | None = None) -> tuple[Array, Array]:
        """Return each row's true and false positives, without those of one label."""
        predicted = self.predicted
        if without is not None:
            predicted = predicted.copy()
            predicted[:, without] = False
        tp = np.where(predicted, self.positive, 0).sum(axis=1)
        return tp, np.where(predicted, self.negative, 0).sum(axis=1)

    def value(self, metric: Metric) -> float:
        """Return the weighted mean of the metric over rows."""
        return float(self.weights @ metric(*self.counts(), self.P, self.N))

    def improve(self, label: int, metric: Metric, current: float) -> float:
        """Set one label to its best threshold and return it."""
        tp, fp = self.counts(without=label)
        y, not_y, scores = self.positive[:, label], self.negative[:, label], self.scores[:, label]
        rows = np.flatnonzero(y + not_y > 0)
        ranked = rows[np.argsort(-scores[rows], kind="stable")]
        gain = metric(tp + y, fp + not_y, self.P, self.N) - metric(tp, fp, self.P, self.N)
        sums = np.concatenate([[0.0], np.cumsum((self.weights * gain)[ranked])])
        values = scores[ranked]
        valid = np.concatenate([[True], values[1:] != values[:-1], [True]])
        n_predicted = np.count_nonzero(values >= current)
        valid[0] = values[0] < np.inf  # no number is above an infinite score
        best = int(np.argmax(np.where(valid, sums, -np.inf)))
        if sums[best] <= sums[n_predicted] + 1e-15:
            return current
        threshold = _threshold_for(values, best)
        self.predicted[:, label] = scores >= threshold
        return threshold


def _threshold_for(ranked: Array, n_predicted: int) -> float:
    """Return the threshold at which so many of the descending scores are predicted positive."""
    if n_predicted == 0:
        return float(above(ranked[0]))
    lower = ranked[n_predicted] if n_predicted < len(ranked) else -np.inf
    return float(midway(lower, ranked[n_predicted - 1]))
