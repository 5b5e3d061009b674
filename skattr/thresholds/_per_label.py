"""The best cut of each label by itself."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skattr.metrics._counts import count_cells
from skattr.thresholds._curves import Curves, above
from skattr.thresholds._objectives import WITHOUT_NEGATIVES, Constraint, Metric, Objective
from skattr.thresholds._score_table import ScoreTable, map_blocks

Array = NDArray[Any]


@dataclass(frozen=True)
class ThresholdSet:
    """One cut per label and what it counts.

    Attributes
    ----------
    thresholds : ndarray of shape (n_labels,), float64
        NaN for a label in `failed`.
    counts : ndarray of shape (4, n_labels), float64
        Weight of true positives, false positives, positives and negatives; NaN likewise.
    failed : dict of {label index: reason}
    """

    thresholds: NDArray[np.float64]
    counts: NDArray[np.float64]
    failed: dict[int, str] = field(default_factory=dict)


def collect(found: list[Any], why: Callable[[int], str]) -> ThresholdSet:
    """Make cuts of (threshold, tp, fp, P, N) per label, a reason (str), or None."""
    thresholds = np.full(len(found), np.nan)
    counts = np.full((4, len(found)), np.nan)
    failed = {}
    for label, item in enumerate(found):
        if item is None or isinstance(item, str):
            failed[label] = why(label) if item is None else item
        else:
            thresholds[label], *counts[:, label] = item
    return ThresholdSet(thresholds, counts, failed)


def per_label_thresholds(
    table: ScoreTable, goal: Objective, n_jobs: int | None = None
) -> ThresholdSet:
    """Return the best cut of each label: exact over all distinct cuts.

    Of equally good cuts the lowest is taken. A label of which no cut meets the constraint is
    among the failed, with the best it can attain.
    """

    def best(curves: Curves, labels: Array) -> list[Any]:
        needs_negatives = goal.constraint is not None or goal.name not in WITHOUT_NEGATIVES
        N = curves.spread(curves.N) if needs_negatives else 0
        parts = (curves.tp, curves.fp, curves.spread(curves.P), N)
        values = goal.metric(curves.spread(labels) if goal.name == "cost" else 0)(*parts)
        if goal.constraint is None:
            return best_of(curves, goal.metric(labels), values)
        bounds = goal.constraint.bounds[labels]
        values = np.where(goal.constraint.holds(*parts, curves.spread(bounds)), values, -np.inf)
        nothing = (0, 0, curves.P, curves.N)
        may_be_none = goal.constraint.holds(*nothing, bounds)
        found = best_of(curves, goal.metric(labels), values, may_be_none)
        if None in found:
            attained = goal.constraint.values(*parts)
            for i in [i for i, item in enumerate(found) if item is None]:
                part = attained[curves.starts[i] : curves.starts[i + 1]]
                found[i] = infeasible(goal.constraint, bounds[i], part)
        return found

    return collect(map_blocks(table, best, n_jobs), table.untunable_reason)


def best_of(curves: Curves, metric: Metric, values: Array, may_be_none: Any = True) -> list[Any]:
    """Return the best cut of each label as (threshold, tp, fp, P, N).

    Parameters
    ----------
    curves : Curves
    metric : callable
    values : ndarray of shape (n_cuts,)
        The metric of each cut, minus infinity for those that are not allowed.
    may_be_none : bool or ndarray of shape (n_labels,)
        Whether the cut that predicts nothing is allowed.

    Returns
    -------
    list of tuple, None for a label that no cut is allowed of
    """
    cuts = curves.highest(values)
    reached = values[cuts]
    may_be_none = may_be_none & (curves.top < np.inf)  # no number is above an infinite score
    nothing = np.where(may_be_none, metric(0, 0, curves.P, curves.N), -np.inf)
    thresholds = curves.thresholds(cuts)
    tp, fp = curves.tp[cuts], curves.fp[cuts]
    is_none = nothing > reached
    if is_none.any():
        thresholds = np.where(is_none, above(curves.top), thresholds)
        tp, fp = np.where(is_none, 0, tp), np.where(is_none, 0, fp)
    found: list[Any] = list(zip(thresholds, tp, fp, curves.P, curves.N, strict=True))
    for i in np.flatnonzero(np.isneginf(np.maximum(reached, nothing))):
        found[i] = None
    return found


def infeasible(constraint: Constraint, bound: float, values: Array) -> str:
    """Say that no cut meets a constraint, and what comes nearest."""
    nearest = values.max() if constraint.sign == ">=" else values.min()
    return (
        f"{constraint.name} {constraint.sign} {bound:g} is out of reach, the best attainable is "
        f"{nearest:.6g}"
    )


def counts_of(table: ScoreTable, predicted: Array) -> NDArray[np.float64]:
    """Return (4, n_labels) weights of TP, FP, P and N for predictions (n, n_labels)."""
    result = np.zeros((4, table.n_labels))
    for label in range(table.n_labels):
        # One column at a time: the weights of all would take 16 bytes an entry.
        positive, negative = (side[:, 0] for side in table.columns([label]).sides())
        counts = count_cells(positive, negative, predicted[:, label])
        result[:, label] = counts.tp, counts.fp, counts.P, counts.N
    return result


def counts_at(table: ScoreTable, thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the counts of :func:`counts_of` at thresholds; NaN predicts nothing."""
    return counts_of(table, table.scores >= thresholds)
