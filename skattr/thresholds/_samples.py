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

    """
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
        rows.count()
        before, value = value, rows.value(metric)
        if value <= before + 1e-12:
            break
    all_thresholds, counts = np.full(table.n_labels, np.nan), np.full((4, table.n_labels), np.nan)
    all_thresholds[tunable], counts[:, tunable] = thresholds, counts_at(part, thresholds)
    return ThresholdSet(all_thresholds, counts, start.failed)


def check_row_weights(table: ScoreTable) -> None:
    """Raise if there is a weight per label."""
    if table.weights is not None and table.weights.shape[1] > 1:
        raise ValueError("average='samples' takes one weight per row, not one per label.")


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
    positive, negative = replace(table, weights=None, soft=None).label_weights_by_class()
    weights = np.ones(len(positive)) if table.weights is None else table.weights[:, 0]
    counts = [
        part.sum(axis=1)
        for part in (
            np.where(predicted, positive, 0),
            np.where(predicted, negative, 0),
            positive,
            negative,
        )
    ]
    # A row without a known label does not count.
    weights = weights * (counts[2] + counts[3] > 0)
    return float(weights @ metric(*counts) / weights.sum())


class _RowCounts:
    """True and false positives of each row while thresholds change.

    The counts are kept up to date label by label, so that a round takes a time linear in the
    number of labels. All tables are transposed, as one label is read at a time.
    """

    def __init__(
        self,
        scores: Array,
        positive: Array,
        negative: Array,
        weights: Array | None,
        thresholds: Array,
    ) -> None:
        self.scores = np.ascontiguousarray(scores.T)
        self.positive, self.negative = (np.ascontiguousarray(a.T) for a in (positive, negative))
        self.predicted = self.scores >= thresholds[:, np.newaxis]
        self.order: dict[int, Array] = {}
        self.P, self.N = self.positive.sum(axis=0), self.negative.sum(axis=0)
        weights = np.ones(len(scores)) if weights is None else weights[:, 0]
        # A row without a known label does not count.
        self.weights = weights * (self.P + self.N > 0)
        self.weights = self.weights / self.weights.sum()
        self.count()

    def count(self) -> None:
        """Count again, without the rounding errors of what was added and taken away."""
        self.tp, self.fp = np.zeros((2, self.scores.shape[1]))
        for label in range(len(self.scores)):
            self._add(label, 1)

    def _add(self, label: int, sign: int) -> None:
        predicted = self.predicted[label]
        self.tp += sign * np.where(predicted, self.positive[label], 0)
        self.fp += sign * np.where(predicted, self.negative[label], 0)

    def value(self, metric: Metric) -> float:
        """Return the weighted mean of the metric over rows."""
        return float(self.weights @ metric(self.tp, self.fp, self.P, self.N))

    def improve(self, label: int, metric: Metric, current: float) -> float:
        """Set one label to its best threshold and return it."""
        self._add(label, -1)
        threshold = self._best_threshold(label, metric, current)
        self.predicted[label] = self.scores[label] >= threshold
        self._add(label, 1)
        return threshold

    def _best_threshold(self, label: int, metric: Metric, current: float) -> float:
        """Return the best threshold of a label, given the counts of the others."""
        tp, fp = self.tp, self.fp
        y, not_y, scores = self.positive[label], self.negative[label], self.scores[label]
        ranked = self._ranked(label)
        gain = metric(tp + y, fp + not_y, self.P, self.N) - metric(tp, fp, self.P, self.N)
        sums = np.concatenate([[0.0], np.cumsum((self.weights * gain)[ranked])])
        values = scores[ranked]
        valid = np.concatenate([[True], values[1:] != values[:-1], [True]])
        n_predicted = np.count_nonzero(values >= current)
        valid[0] = values[0] < np.inf  # no number is above an infinite score
        best = int(np.argmax(np.where(valid, sums, -np.inf)))
        if sums[best] <= sums[n_predicted] + 1e-15:
            return current
        return _threshold_for(values, best)

    def _ranked(self, label: int) -> Array:
        """Return the rows with a known label, by descending score; they are sorted once."""
        if label not in self.order:
            rows = np.flatnonzero(self.positive[label] + self.negative[label] > 0)
            order = np.argsort(-self.scores[label][rows], kind="stable")
            self.order[label] = rows[order].astype(np.int32 if len(rows) < 2**31 else np.int64)
        return self.order[label]


def _threshold_for(ranked: Array, n_predicted: int) -> float:
    """Return the threshold at which so many of the descending scores are predicted positive."""
    if n_predicted == 0:
        return float(above(ranked[0]))
    lower = ranked[n_predicted] if n_predicted < len(ranked) else -np.inf
    return float(midway(lower, ranked[n_predicted - 1]))
