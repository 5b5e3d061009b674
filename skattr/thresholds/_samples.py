"""Cuts for an objective that is the mean over rows of a metric of each row's labels."""

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
LEGAL = ("f1", "fbeta", "precision", "recall", "jaccard", "accuracy")
_MOST_ROUNDS = 20


def row_thresholds(table: ScoreTable, goal: Objective, n_jobs: int | None = None) -> ThresholdSet:
    """Return cuts that make the mean over rows high: a heuristic.

    It starts from the cuts that are best over the counts of all labels, and then takes each
    label in turn to the cut that is best while the others stay, exactly, until no label gains:
    a local optimum. A row without positives, true or predicted, counts 0.

    Raises
    ------
    ValueError
        If the objective is none of rows, or there is a constraint or a weight per label.
    """
    check_rows(goal)
    if table.weights is not None and table.weights.shape[1] > 1:
        raise ValueError("average='samples' takes one weight per row, not one per label.")
    start = joint_thresholds(table, goal, n_jobs)
    tunable = np.setdiff1d(np.arange(table.n_labels), list(start.failed))
    if not len(tunable):
        return start
    metric = goal.metric()
    part = table.columns(tunable)
    thresholds = start.thresholds[tunable]
    sides = replace(part, weights=None).sides()
    rows = _Rows(part.scores, *sides, part.weights, thresholds)
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


def check_rows(goal: Objective) -> None:
    """Refuse what is no objective of rows."""
    if goal.name not in LEGAL or goal.constraint is not None:
        raise ValueError(
            f"average='samples' takes the objectives {', '.join(LEGAL)} and no constraint, got "
            f"{goal.name!r}" + (" with a constraint." if goal.constraint is not None else ".")
        )


def row_value(table: ScoreTable, predicted: Array, metric: Metric) -> float:
    """Return the mean over rows of a metric of their known labels."""
    sides = ScoreTable(table.scores, table.labels).sides()
    rows = _Rows(table.scores, *sides, table.weights, np.full(table.n_labels, np.inf))
    rows.predicted = predicted
    return rows.value(metric)


class _Rows:
    """True and false positives of each row while cuts move."""

    def __init__(
        self, scores: Array, positive: Array, negative: Array, weights: Array | None, cuts: Array
    ) -> None:
        self.scores, self.positive, self.negative = scores, positive, negative
        self.predicted = scores >= cuts
        self.P, self.N = positive.sum(axis=1), negative.sum(axis=1)
        weights = np.ones(len(scores)) if weights is None else weights[:, 0]
        self.weights = weights * (self.P + self.N > 0)  # a row without a known label has none
        self.weights = self.weights / self.weights.sum()

    def counts(self, left_out: int | None = None) -> tuple[Array, Array]:
        """Return each row's true and false positives, without those of one label."""
        predicted = self.predicted
        if left_out is not None:
            predicted = predicted.copy()
            predicted[:, left_out] = False
        tp = np.where(predicted, self.positive, 0).sum(axis=1)
        return tp, np.where(predicted, self.negative, 0).sum(axis=1)

    def value(self, metric: Metric) -> float:
        """Return the weighted mean of the metric over rows."""
        return float(self.weights @ metric(*self.counts(), self.P, self.N))

    def improve(self, label: int, metric: Metric, current: float) -> float:
        """Move one label to its best cut; return its threshold."""
        tp, fp = self.counts(left_out=label)
        y, not_y, scores = self.positive[:, label], self.negative[:, label], self.scores[:, label]
        rows = np.flatnonzero(y + not_y > 0)
        ranked = rows[np.argsort(-scores[rows], kind="stable")]
        gain = metric(tp + y, fp + not_y, self.P, self.N) - metric(tp, fp, self.P, self.N)
        sums = np.concatenate([[0.0], np.cumsum((self.weights * gain)[ranked])])
        values = scores[ranked]
        valid = np.concatenate([[True], values[1:] != values[:-1], [True]])
        now = np.count_nonzero(values >= current)
        valid[0] = values[0] < np.inf  # no number is above an infinite score
        best = int(np.argmax(np.where(valid, sums, -np.inf)))
        if sums[best] <= sums[now] + 1e-15:
            return current
        threshold = _between(values, best)
        self.predicted[:, label] = scores >= threshold
        return threshold


def _between(ranked: Array, taken: int) -> float:
    """Return a threshold with `taken` of the falling scores at or above it."""
    if taken == 0:
        return float(above(ranked[0]))
    lower = ranked[taken] if taken < len(ranked) else -np.inf
    return float(midway(lower, ranked[taken - 1]))
