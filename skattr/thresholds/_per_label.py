"""Best threshold of each label by itself."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skattr._targets.codes import row_blocks
from skattr.metrics._counts import count_cells, sums_of_cells
from skattr.thresholds._curves import Curves, above
from skattr.thresholds._objectives import WITHOUT_NEGATIVES, Constraint, Metric, Objective
from skattr.thresholds._score_table import ScoreTable, map_blocks

Array = NDArray[Any]
# (threshold, tp, fp, P, N), or why there is none; None if the label has no candidates.
LabelResult = tuple[float, float, float, float, float] | str | None


@dataclass(frozen=True)
class ThresholdSet:
    """One threshold per label, with its counts.

    Attributes
    ----------
    thresholds : ndarray of shape (n_labels,), float64
        NaN for labels in `failed`.
    counts : ndarray of shape (4, n_labels), float64
        Weight of true positives, false positives, positives and negatives. NaN for labels in
        `failed`, and where the search does not count.
    failed : dict of {label index: reason}
        Labels without a threshold.
    """

    thresholds: NDArray[np.float64]
    counts: NDArray[np.float64]
    failed: dict[int, str] = field(default_factory=dict)


def collect(results: Sequence[LabelResult], untunable_reason: Callable[[int], str]) -> ThresholdSet:
    """Collect the results of all labels.

    Parameters
    ----------
    results : list
        One :data:`LabelResult` per label.
    untunable_reason : callable
        Returns the reason for a label whose result is None.
    """
    thresholds = np.full(len(results), np.nan)
    counts = np.full((4, len(results)), np.nan)
    failed = {}
    for label, result in enumerate(results):
        if result is None or isinstance(result, str):
            failed[label] = untunable_reason(label) if result is None else result
        else:
            thresholds[label], *counts[:, label] = result
    return ThresholdSet(thresholds, counts, failed)


def per_label_thresholds(
    table: ScoreTable, objective: Objective, n_jobs: int | None = None
) -> ThresholdSet:
    """Return the best threshold of each label, exact over all distinct thresholds.

    Of equally good thresholds the lowest is returned. If no threshold of a label satisfies the
    constraint, the label fails, and the reason names the best attainable value.
    """
    constraint = objective.constraint

    def search(curves: Curves, labels: Array) -> list[LabelResult]:
        # A metric that ignores N is not given an array of it, which would have the length of all
        # candidates.
        needs_negatives = constraint is not None or objective.name not in WITHOUT_NEGATIVES
        N = curves.per_candidate(curves.N) if needs_negatives else 0
        counts = (curves.tp, curves.fp, curves.per_candidate(curves.P), N)
        metric = objective.metric(labels)
        # Costs differ from label to label, so that the metric needs the label of each candidate.
        is_cost = objective.name == "cost"
        values = objective.metric(curves.per_candidate(labels) if is_cost else 0)(*counts)
        if constraint is None:
            return best_candidates(curves, metric, values)
        bounds = constraint.bounds[labels]
        holds = constraint.holds(*counts, curves.per_candidate(bounds))
        may_predict_nothing = constraint.holds(0, 0, curves.P, curves.N, bounds)
        results = best_candidates(
            curves, metric, np.where(holds, values, -np.inf), may_predict_nothing
        )
        if None in results:
            attained = constraint.values(*counts)
            for i in [i for i, result in enumerate(results) if result is None]:
                of_label = attained[curves.starts[i] : curves.starts[i + 1]]
                results[i] = infeasible_reason(constraint, bounds[i], of_label)
        return results

    return collect(map_blocks(table, search, n_jobs), table.untunable_reason)


def best_candidates(
    curves: Curves, metric: Metric, values: Array, may_predict_nothing: bool | Array = True
) -> list[LabelResult]:
    """Return the best threshold of each label as (threshold, tp, fp, P, N).

    Parameters
    ----------
    curves : Curves
    metric : callable
    values : ndarray of shape (n_candidates,)
        Metric at each candidate, minus infinity for candidates that are not allowed.
    may_predict_nothing : bool or ndarray of shape (n_labels,)
        Whether the threshold above all scores is allowed.

    Returns
    -------
    list of tuple or None
        None for a label without an allowed threshold.
    """
    best = curves.argmax(values)
    attained = values[best]
    # No number is above an infinite score.
    may_predict_nothing = may_predict_nothing & (curves.top < np.inf)
    of_nothing = np.where(may_predict_nothing, metric(0, 0, curves.P, curves.N), -np.inf)
    thresholds = curves.thresholds(best)
    tp, fp = curves.tp[best], curves.fp[best]
    predicts_nothing = of_nothing > attained
    if predicts_nothing.any():
        thresholds = np.where(predicts_nothing, above(curves.top), thresholds)
        tp, fp = np.where(predicts_nothing, 0, tp), np.where(predicts_nothing, 0, fp)
    results: list[LabelResult] = list(zip(thresholds, tp, fp, curves.P, curves.N, strict=True))
    for i in np.flatnonzero(np.isneginf(np.maximum(attained, of_nothing))):
        results[i] = None
    return results


def infeasible_reason(constraint: Constraint, bound: float, values: Array) -> str:
    """Return a message that no threshold satisfies a constraint, with the best value."""
    nearest = values.max() if constraint.sign == ">=" else values.min()
    return (
        f"{constraint.name} {constraint.sign} {bound:g} is out of reach, the best attainable is "
        f"{nearest:.6g}"
    )


def counts_of(table: ScoreTable, predicted: Array) -> NDArray[np.float64]:
    """Return (4, n_labels) weights of TP, FP, P and N for predictions (n, n_labels)."""
    if table.weights is None and table.soft is None:
        return _counts_of_bools(table, predicted)
    result = np.zeros((4, table.n_labels))
    # One label at a time: the weights of all labels would be two float64 copies of the scores.
    for label in range(table.n_labels):
        # One column at a time: the weights of all would take 16 bytes an entry.
        positive, negative = (
            side[:, 0] for side in table.columns([label]).label_weights_by_class()
        )
        counts = count_cells(positive, negative, predicted[:, label])
        result[:, label] = counts.tp, counts.fp, counts.P, counts.N
    return result


def _counts_of_bools(table: ScoreTable, predicted: Array) -> NDArray[np.float64]:
    """Return :func:`counts_of` of labels without weights, counted in blocks of rows."""
    hits, guesses = np.zeros((2, table.n_labels))
    known, positive = table.known(), table.is_positive()
    for rows in row_blocks(len(predicted)):
        guess = predicted[rows] if known is None else predicted[rows] & known[rows]
        guesses += sums_of_cells(guess)
        hits += sums_of_cells(guess & positive[rows])
    return np.stack([hits, guesses - hits, *table.support()]).astype(np.float64)


def counts_at(table: ScoreTable, thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return :func:`counts_of` the predictions at thresholds; NaN predicts nothing."""
    return counts_of(table, table.scores >= thresholds)
