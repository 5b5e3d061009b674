"""Cuts that are chosen together, because the objective counts over all labels."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from skattr.thresholds._curves import Curves, above
from skattr.thresholds._objectives import Objective
from skattr.thresholds._per_label import ThresholdSet, collect, infeasible, per_label_thresholds
from skattr.thresholds._score_table import ScoreTable, map_blocks

Array = NDArray[Any]
_MOST_PAIRS = 4_000_000  # sums of counts looked at per label in the exact constrained search


@dataclass(frozen=True)
class Operating:
    """Some cuts of one label, from the highest threshold (nothing predicted) to the lowest."""

    tp: NDArray[np.float64]
    fp: NDArray[np.float64]
    thresholds: NDArray[np.float64]
    P: float
    N: float


def _all_cuts(curves: Curves, _: Array) -> list[Operating]:
    return _operating(curves, np.arange(len(curves.tp))[::-1])


def _hulls(curves: Curves, _: Array) -> list[Operating]:
    """Return the cuts on the upper convex hull of true over false positives of each label.

    A hull's slopes are the isotonic regression of the share of positives between one cut and
    the next. All labels are regressed in one go, each on a floor of its own.
    """
    first = curves.starts[:-1]
    gained, lost = (
        np.append(counts[:-1] - counts[1:], 0).astype(np.float64)
        for counts in (curves.tp, curves.fp)
    )
    last = curves.starts[1:] - 1
    gained[last], lost[last] = curves.tp[last], curves.fp[last]
    weight = np.maximum(gained + lost, np.finfo(np.float64).tiny)
    floors = np.repeat(2.0 * np.arange(len(first)), np.diff(curves.starts))
    blocks = isotonic_regression(gained / weight + floors, weights=weight).blocks
    return _operating(curves, blocks[:-1][::-1])


def _operating(curves: Curves, cuts: Array) -> list[Operating]:
    """Return some cuts of each label, the threshold falling, behind that of nothing."""
    if (curves.top == np.inf).any():
        raise ValueError("average='micro' needs scores that are less than infinity.")
    thresholds, highest = curves.thresholds(cuts), above(curves.top)
    tp, fp = curves.tp[cuts].astype(np.float64), curves.fp[cuts].astype(np.float64)
    ends = np.searchsorted(-cuts, 1 - curves.starts).tolist()
    return [
        Operating(
            np.concatenate([[0.0], tp[end:start]]),
            np.concatenate([[0.0], fp[end:start]]),
            np.concatenate([highest[[i]], thresholds[end:start]]),
            float(curves.P[i]),
            float(curves.N[i]),
        )
        for i, (start, end) in enumerate(zip(ends[:-1], ends[1:], strict=True))
    ]


def of_sums(goal: Objective) -> Objective:
    """Return a goal for the sums over labels."""
    constraint = goal.constraint
    if not goal.has_equal_costs:
        raise ValueError(
            "One cut for all labels, or a constraint on the sums over labels, needs the same "
            "costs for all labels."
        )
    if constraint is not None and (constraint.bounds != constraint.bounds[0]).any():
        raise ValueError(
            "A constraint on the sums over labels has one bound, not one per label; use "
            "average='macro' for a bound per label."
        )
    return goal


def joint_thresholds(table: ScoreTable, goal: Objective, n_jobs: int | None = None) -> ThresholdSet:
    """Return the cuts that are best together over the sums of all labels' counts.

    Every objective here is a quasi-convex function of the sums of true and of false positives,
    so without a constraint its maximum lies at a vertex of the convex hull of all attainable
    sums. Those vertices are found by taking the edges of all labels' hulls in the order of
    their slope: one sort of the scores, then one pass over the vertices, where Dinkelbach's
    iteration would visit a few of them one after the other.

    With a constraint on the sums the best vertex is in general not the best cut; then all
    attainable sums that no other sum dominates are visited if there are not too many, else
    the best vertex is kept. It is worse than the optimum by less than one edge's step.
    """
    if goal.constraint is None and goal.name == "cost":
        return per_label_thresholds(table, goal, n_jobs)  # a sum of separate costs
    goal = of_sums(goal)
    hulls = map_blocks(table, _hulls, n_jobs)
    chosen = _best_vertex(hulls, goal)
    if goal.constraint is not None and _is_small(table, hulls):
        everything = map_blocks(table, _all_cuts, n_jobs)
        exact = _best_sum(everything, goal)
        if exact is not None:
            hulls, chosen = everything, exact
    if isinstance(chosen, str):
        found: list[Any] = [None if hull is None else chosen for hull in hulls]
    else:
        found = [
            None if hull is None else (hull.thresholds[k], hull.tp[k], hull.fp[k], hull.P, hull.N)
            for hull, k in zip(hulls, chosen, strict=True)
        ]
    return collect(found, table.untunable_reason)


def _totals(parts: list[Operating | None]) -> tuple[float, float]:
    known = [part for part in parts if part is not None]
    return sum(part.P for part in known), sum(part.N for part in known)


def _choose(tp: Array, fp: Array, parts: list[Operating | None], goal: Objective) -> int | str:
    """Return the best of some pairs of sums, the last of equally good ones, or what is amiss."""
    P, N = _totals(parts)
    values = np.asarray(goal.metric()(tp, fp, P, N), dtype=np.float64)
    constraint = goal.constraint
    if constraint is not None:
        holds = constraint.holds(tp, fp, P, N, constraint.bounds[0])
        if not holds.any():
            attained = constraint.values(tp, fp, P, N)
            return infeasible(constraint, constraint.bounds[0], attained)
        values = np.where(holds, values, -np.inf)
    return len(values) - 1 - int(np.argmax(values[::-1]))


def _best_vertex(hulls: list[Operating | None], goal: Objective) -> Array | str:
    """Return the vertex of each label's hull at the best vertex of their sum."""
    edges = [
        (np.diff(hull.tp), np.diff(hull.fp), np.full(len(hull.tp) - 1, label))
        for label, hull in enumerate(hulls)
        if hull is not None
    ]
    if not edges:
        return np.zeros(len(hulls), dtype=np.intp)
    gained, lost, owner = (np.concatenate(part) for part in zip(*edges, strict=True))
    order = np.argsort(-gained / (gained + lost), kind="stable")
    tp = np.concatenate([[0.0], np.cumsum(gained[order])])
    fp = np.concatenate([[0.0], np.cumsum(lost[order])])
    best = _choose(tp, fp, hulls, goal)
    if isinstance(best, str):
        return best
    return np.bincount(owner[order[:best]], minlength=len(hulls))


def _is_small(table: ScoreTable, hulls: list[Operating | None]) -> bool:
    """Whether the sums are few enough to look at all that are not dominated."""
    if table.weights is not None or table.soft is not None:
        return sum(hull is not None for hull in hulls) * len(table.scores) < 500
    counts = [hull.P for hull in hulls if hull is not None]
    return bool(counts) and sum(counts) * max(counts) < _MOST_PAIRS


def _best_sum(parts: list[Operating | None], goal: Objective) -> Array | None:
    """Return the cut of each label at the best of all attainable sums; None if they are many."""
    assert goal.constraint is not None
    by_share = goal.constraint.name == "positive_share"
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
        # A sum is dominated by one of no fewer true and no more false (or all) positives.
        price = all_tp + all_fp if by_share else all_fp
        order = np.lexsort((-all_tp, price))
        highest = np.maximum.accumulate(all_tp[order])
        fresh = np.concatenate([[True], highest[1:] > highest[:-1]])
        kept = order[fresh]
        steps.append(np.divmod(kept, len(part.tp)))
        tp, fp = all_tp[kept], all_fp[kept]
    best = _choose(tp, fp, parts, goal)
    if isinstance(best, str):
        return None
    chosen = np.zeros(len(parts), dtype=np.intp)
    for label in range(len(parts) - 1, -1, -1):
        step = steps[label]
        if step is not None:
            before, cut = step
            chosen[label], best = cut[best], int(before[best])
    return chosen
