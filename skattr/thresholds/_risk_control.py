"""Thresholds that satisfy a constraint with a given confidence."""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from skattr._utils.warnings import find_stack_level
from skattr.exceptions import AssumptionWarning
from skattr.thresholds._curves import Curves, above
from skattr.thresholds._group_control import (
    best_precise_of_groups,
    certify_rate_of_groups,
    is_grouped,
)
from skattr.thresholds._objectives import CONSTRAINTS, Metric, Objective
from skattr.thresholds._per_label import LabelResult, ThresholdSet, best_candidates, collect
from skattr.thresholds._score_table import ScoreTable, map_blocks

Array = NDArray[Any]
CERTIFIABLE = ("recall", "precision", "false_positive_rate", "specificity")
# Ratio of successive numbers of predictions at which precision is tested. Smaller steps come
# nearer to the best threshold, but share the level among more tests.
_STEP = 1.5


def certified_thresholds(
    table: ScoreTable,
    objective: Objective,
    confidence: float,
    correction: str | None = None,
    *,
    is_proba: bool,
    n_jobs: int | None = None,
) -> ThresholdSet:
    """Return the best threshold of each label among those certified to satisfy the constraint.

    With probability at least `confidence` over the draw of the sample, the true recall (or
    precision, false positive rate, specificity) at the threshold of a label satisfies the bound.

    Recall and false positive rate decrease as the threshold rises. The thresholds therefore form
    a sequence from the safest on. They are tested in this order, each at the full level, until a
    test fails (fixed-sequence testing): an invalid threshold is certified only if the test of
    the first invalid one errs. Precision is not monotone, so that no such sequence exists. It is
    tested at numbers of predictions that are fixed beforehand and grow by half, and the level is
    shared among these tests. All tests are exact binomial tests (Clopper and Pearson, 1934); see
    Angelopoulos et al., "Learn then test" (2021). If several rows are of one group, the tests of
    `_group_control` replace them.

    Parameters
    ----------
    table : ScoreTable
        Without weights.
    objective : Objective
        With a constraint on one of `CERTIFIABLE`.
    confidence : float
    correction : {None, "bonferroni"}
        If None, the confidence is that of each label; if "bonferroni", that of all labels.
    is_proba : bool
        Whether the scores are probabilities.
    n_jobs : int, optional

    Returns
    -------
    ThresholdSet
        A label without a certified threshold fails and gets its safest threshold, which predicts
        always (recall) or never.
    """
    constraint = objective.constraint
    assert constraint is not None  # make_search_config has checked it
    if table.weights is not None:
        raise ValueError("confidence requires unweighted samples; got weights that differ.")
    level = 1 - confidence
    if correction == "bonferroni":
        level /= table.n_labels

    def search(curves: Curves, labels: Array) -> list[LabelResult]:
        results: list[LabelResult] = []
        for label, curve in zip(labels.tolist(), curves.split(), strict=True):
            bound = float(constraint.bounds[label])
            metric = objective.metric(label)
            column = table.columns([label])
            grouped = is_grouped(column)
            if constraint.name == "precision":
                best_precise = best_precise_of_groups if grouped else _best_precise
                results.append(best_precise(column, curve, metric, bound, level))
                continue
            certified, may_predict_nothing, reason = (
                certify_rate_of_groups(column, curve, constraint.name, bound, level)
                if grouped
                else _certify_rate(curve, constraint.name, bound, level)
            )
            values = metric(curve.tp, curve.fp, curve.P[0], curve.N[0])
            values = np.where(certified, values, -np.inf)
            best = best_candidates(curve, metric, values, may_predict_nothing)[0]
            results.append(best or reason)
        return results

    found = collect(map_blocks(table, search, n_jobs), table.untunable_reason)
    always = constraint.name == "recall"
    found.thresholds[list(found.failed)] = safest_threshold(always, is_proba)
    return found


def warn_independence(confidence: float | None, groups: Any) -> None:
    """Warn of what a confidence assumes if no groups are given."""
    if confidence is not None and groups is None:
        warnings.warn(
            f"The confidence of {confidence:g} holds if rows are independent, labels are missing "
            "at random, and predicted labels are those of the thresholds, not changed by "
            "`constraints`. If several rows belong together, as images of one person do, pass "
            "`groups`; groups=range(n_rows) says that rows are independent.",
            AssumptionWarning,
            stacklevel=find_stack_level(),
        )


def safest_threshold(always: bool, is_proba: bool) -> float:
    """Return the threshold that predicts always, or never."""
    if always:
        return 0.0 if is_proba else -np.inf
    # The next number above 1 in float64 would be 1 again for scores in float32.
    return float(np.nextafter(np.float32(1), np.float32(2))) if is_proba else np.inf


def _certify_rate(curve: Curves, name: str, bound: float, level: float) -> tuple[Array, bool, str]:
    """Certify a bound on a rate that is monotone in the threshold.

    Returns
    -------
    certified : ndarray of shape (n_candidates,), bool
    nothing_certified : bool
        Whether the threshold above all scores is certified.
    reason : str
        Used if no threshold is certified.
    """
    P, N = int(curve.P[0]), int(curve.N[0])
    if name == "recall":
        needed = fewest_hits(P, bound, level)
        return (
            curve.tp >= needed,
            needed == 0,
            f"too few positives ({P}) to guarantee any threshold",
        )
    rate = bound if name == "false_positive_rate" else 1 - bound
    allowed = most_errors(N, rate, level)
    reason = f"too few negatives ({N}) to guarantee any threshold"
    return curve.fp <= allowed, allowed >= 0, reason


def fewest_hits(n: int, share: float, level: float) -> int:
    """Return the smallest number of hits among n that certifies a true share of `share`.

    If the true share is lower, so many hits or more have a probability of at most `level`. The
    result is n + 1 if even n hits do not certify it.
    """
    if share <= 0:
        return 0
    # isf(level) is the smallest k with P(X > k) <= level.
    return int(binom.isf(level, n, share)) + 1 if share < 1 else n + 1


def most_errors(n: int, share: float, level: float) -> int:
    """Return the largest number of errors among n that certifies at most `share`, or -1."""
    if share >= 1:
        return n
    return n - fewest_hits(n, 1 - share, level) if share > 0 else -1


def _best_precise(
    column: ScoreTable, curve: Curves, metric: Metric, bound: float, level: float
) -> LabelResult:
    """Return the best threshold with certified precision, or why there is none.

    Given the (k + 1)-th highest score, the labels of the scores above it are independent draws,
    whatever that score is. So the number of hits is binomial for a threshold right above it.
    """
    known = column.known()
    rows = slice(None) if known is None else known[:, 0]
    P, N = curve.P[0], curve.N[0]
    scores, positive = column.scores[rows, 0], column.is_positive()[rows, 0]
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], np.append(0, np.cumsum(positive[order]))
    sizes = _sizes(len(ranked), bound, level)
    results = []
    for size in sizes:
        predicted = int(np.searchsorted(-ranked, -ranked[size]))
        tp = int(hits[predicted])
        if tp < fewest_hits(predicted, bound, level / len(sizes)):
            continue
        fp = predicted - tp
        value = float(metric(tp, fp, P, N))
        results.append((value, (float(above(ranked[size])), tp, fp, P, N)))
    if not results:
        attained = CONSTRAINTS["precision"][0](curve.tp, curve.fp, P, N).max()
        return (
            f"no threshold is certified to have a precision of {bound:g} with {int(P)} positives "
            f"(the best on the sample is {attained:.6g})"
        )
    return max(results, key=lambda pair: pair[0])[1]


def _sizes(n: int, bound: float, level: float) -> list[int]:
    """Return the numbers of predictions at which precision is tested."""
    if bound >= 1:
        return []
    smallest = max(1.0, np.log(level) / np.log(bound)) if bound > 0 else 1.0
    tests = max(1, int(np.log(max(n / smallest, 1)) / np.log(_STEP)) + 1)
    if bound > 0:
        smallest = max(1.0, np.log(level / tests) / np.log(bound))
    sizes = np.ceil(smallest * _STEP ** np.arange(tests)).astype(int)
    return [int(size) for size in np.unique(sizes) if size < n]
