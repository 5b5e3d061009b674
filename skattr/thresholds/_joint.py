"""Thresholds that are jointly optimal for an objective over the counts of all labels."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from skattr.thresholds._curves import Curves, above
from skattr.thresholds._objectives import Objective
from skattr.thresholds._per_label import (
    LabelResult,
    ThresholdSet,
    collect,
    infeasible_reason,
    per_label_thresholds,
)
from skattr.thresholds._score_table import ScoreTable, map_blocks

Array = NDArray[Any]
# Sums of counts that the exact constrained search enumerates at a time, at most. It holds about
# six arrays of this length: 200 MB.
_MOST_PAIRS = 4_000_000


@dataclass(frozen=True)
class OperatingPoints:
    """Candidate thresholds of one label in descending order; the first predicts nothing."""

    tp: NDArray[np.float64]
    fp: NDArray[np.float64]
    thresholds: NDArray[np.float64]
    P: float
    N: float


def _all_points(curves: Curves, _: Array) -> list[OperatingPoints]:
    return _operating_points(curves, np.arange(len(curves.tp))[::-1])


def _hull_points(curves: Curves, _: Array) -> list[OperatingPoints]:
    """Return the points on the upper convex hull of true over false positives of each label.

    The slopes of a hull are the isotonic regression of the share of positives between a candidate
    and the next. One regression serves all labels: 2 i is added to the shares of the i-th label,
    so that no block spans two labels.
    """
    first = curves.starts[:-1]
    true_steps, false_steps = (
        np.append(counts[:-1] - counts[1:], 0).astype(np.float64)
        for counts in (curves.tp, curves.fp)
    )
    last = curves.starts[1:] - 1
    true_steps[last], false_steps[last] = curves.tp[last], curves.fp[last]
    weight = np.maximum(true_steps + false_steps, np.finfo(np.float64).tiny)
    offsets = np.repeat(2.0 * np.arange(len(first)), np.diff(curves.starts))
    blocks = isotonic_regression(true_steps / weight + offsets, weights=weight).blocks
    return _operating_points(curves, blocks[:-1][::-1])


def _operating_points(curves: Curves, candidates: Array) -> list[OperatingPoints]:
    """Return some candidates (in descending order) of each label, after that of nothing."""
    if (curves.top == np.inf).any():
        raise ValueError("average='micro' needs scores that are less than infinity.")
    thresholds, highest = curves.thresholds(candidates), above(curves.top)
    tp, fp = (counts[candidates].astype(np.float64) for counts in (curves.tp, curves.fp))
    ends = np.searchsorted(-candidates, 1 - curves.starts).tolist()
    return [
        OperatingPoints(
            np.concatenate([[0.0], tp[end:start]]),
            np.concatenate([[0.0], fp[end:start]]),
            np.concatenate([highest[[i]], thresholds[end:start]]),
            float(curves.P[i]),
            float(curves.N[i]),
        )
        for i, (start, end) in enumerate(zip(ends[:-1], ends[1:], strict=True))
    ]


def check_pooled(objective: Objective) -> None:
    """Raise if costs or bounds differ between labels, as sums over labels have one of each."""
    constraint = objective.constraint
    if not objective.has_equal_costs:
        raise ValueError(
            "One threshold for all labels, or a constraint on the sums over labels, needs the same "
            "costs for all labels."
        )
    if constraint is not None and (constraint.bounds != constraint.bounds[0]).any():
        raise ValueError(
            "A constraint on the sums over labels has one bound, not one per label; use "
            "average='macro' for a bound per label."
        )


def joint_thresholds(
    table: ScoreTable, objective: Objective, n_jobs: int | None = None
) -> ThresholdSet:
    """Return the thresholds that maximize an objective of the counts summed over labels.

    Every objective here is a quasi-convex function of the sums of true and of false positives.
    Without a constraint its maximum therefore lies at a vertex of the convex hull of all
    attainable sums. The vertices are found by taking the edges of the hulls of all labels in
    the order of their slopes: one sort of the scores, then one pass over the vertices, where
    Dinkelbach's iteration would visit them one after the other.

    With a constraint on the sums, the best vertex is in general not optimal. Then all attainable
    sums that no other sum dominates are enumerated, unless they are too many. If they are, the
    best vertex is returned, which is worse than the optimum by less than one edge.
    """
    if objective.constraint is None and objective.name == "cost":
        return per_label_thresholds(table, objective, n_jobs)  # a sum of separate costs
    check_pooled(objective)
    points = map_blocks(table, _hull_points, n_jobs)
    chosen = _best_vertex(points, objective)
    if objective.constraint is not None and _is_small(table, points):
        all_points = map_blocks(table, _all_points, n_jobs)
        exact = _best_sum(all_points, objective)
        if exact is not None:
            points, chosen = all_points, exact
    if isinstance(chosen, str):
        results: list[LabelResult] = [None if part is None else chosen for part in points]
    else:
        results = [
            None if part is None else (part.thresholds[k], part.tp[k], part.fp[k], part.P, part.N)
            for part, k in zip(points, chosen, strict=True)
        ]
    return collect(results, table.untunable_reason)


def _best_of_sums(
    tp: Array, fp: Array, parts: list[OperatingPoints | None], objective: Objective
) -> int | str:
    """Return the index of the best sums, the last of equally good ones, or why none is valid."""
    known = [part for part in parts if part is not None]
    P, N = sum(part.P for part in known), sum(part.N for part in known)
    values = np.asarray(objective.metric()(tp, fp, P, N), dtype=np.float64)
    constraint = objective.constraint
    if constraint is not None:
        holds = constraint.holds(tp, fp, P, N, constraint.bounds[0])
        if not holds.any():
            attained = constraint.values(tp, fp, P, N)
            return infeasible_reason(constraint, constraint.bounds[0], attained)
        values = np.where(holds, values, -np.inf)
    return len(values) - 1 - int(np.argmax(values[::-1]))


def _best_vertex(hulls: list[OperatingPoints | None], objective: Objective) -> Array | str:
    """Return the index of each label's vertex at the best vertex of the sum of the hulls."""
    edges = [
        (np.diff(hull.tp), np.diff(hull.fp), np.full(len(hull.tp) - 1, label))
        for label, hull in enumerate(hulls)
        if hull is not None
    ]
    if not edges:
        return np.zeros(len(hulls), dtype=np.intp)
    true_steps, false_steps, owner = (np.concatenate(part) for part in zip(*edges, strict=True))
    order = np.argsort(-true_steps / (true_steps + false_steps), kind="stable")
    tp = np.concatenate([[0.0], np.cumsum(true_steps[order])])
    fp = np.concatenate([[0.0], np.cumsum(false_steps[order])])
    best = _best_of_sums(tp, fp, hulls, objective)
    if isinstance(best, str):
        return best
    return np.bincount(owner[order[:best]], minlength=len(hulls))


def _is_small(table: ScoreTable, hulls: list[OperatingPoints | None]) -> bool:
    """Whether the sums that are not dominated are few enough to enumerate."""
    if table.weights is not None or table.soft is not None:
        return sum(hull is not None for hull in hulls) * len(table.scores) < 500
    counts = [hull.P for hull in hulls if hull is not None]
    return bool(counts) and sum(counts) * max(counts) < _MOST_PAIRS


def _best_sum(parts: list[OperatingPoints | None], objective: Objective) -> Array | None:
    """Return the index of each label's point at the best attainable sum; None if too many."""
    assert objective.constraint is not None
    by_share = objective.constraint.name == "positive_share"
    tp, fp = np.zeros(1), np.zeros(1)
    steps: list[tuple[Array, Array] | None] = []
    for part in parts:
        if part is None:
            steps.append(None)
            continue
        if len(tp) * len(part.tp) > _MOST_PAIRS:
            return None
        all_tp = np.add.outer(tp, part.tp).ravel()
        all_fp = np.add.outer(fp, part.fp).ravel()
        # A sum is dominated by another with no fewer true positives and no more false positives
        # (or, for a bound on the share of positives, no more predicted positives).
        price = all_tp + all_fp if by_share else all_fp
        order = np.lexsort((-all_tp, price))
        highest = np.maximum.accumulate(all_tp[order])
        undominated = order[np.concatenate([[True], highest[1:] > highest[:-1]])]
        steps.append(np.divmod(undominated, len(part.tp)))
        tp, fp = all_tp[undominated], all_fp[undominated]
    best = _best_of_sums(tp, fp, parts, objective)
    if isinstance(best, str):
        return None
    chosen = np.zeros(len(parts), dtype=np.intp)
    for label in range(len(parts) - 1, -1, -1):
        step = steps[label]
        if step is not None:
            previous, point = step
            chosen[label], best = point[best], int(previous[best])
    return chosen
