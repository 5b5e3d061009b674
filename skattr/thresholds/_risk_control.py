"""Cuts that meet a constraint with a stated probability, not only on the sample at hand."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from skattr.thresholds._curves import Curves, above
from skattr.thresholds._objectives import CONSTRAINTS, Objective
from skattr.thresholds._per_label import ThresholdSet, best_of, collect
from skattr.thresholds._score_table import ScoreTable, map_blocks

Array = NDArray[Any]
LEGAL = ("recall", "precision", "false_positive_rate", "specificity")
_STEP = 1.5  # ratio of the numbers of predictions at which precision is tested


def certified_thresholds(
    table: ScoreTable,
    goal: Objective,
    confidence: float,
    correction: str | None = None,
    *,
    is_proba: bool,
    n_jobs: int | None = None,
) -> ThresholdSet:
    """Return the best cut of each label among those certified to meet the constraint.

    With probability at least `confidence` over the draw of the sample, the true recall (or
    precision, false positive rate, specificity) of a label's cut meets the bound.

    Recall and false positives fall as the threshold rises, so the cuts form one sequence from
    the safest on, which is tested in that order, each at the full level, until a test fails
    (fixed-sequence testing): a wrong cut is certified only if the test of the first wrong one
    fails to reject, whatever comes after. Precision is not monotone: it is tested at numbers of
    predictions fixed beforehand, in steps of a half, the level shared among them. The tests are
    exact binomial ones (Clopper and Pearson, 1934); see Angelopoulos et al., "Learn then test"
    (2021).

    Parameters
    ----------
    table : ScoreTable
        Without weights.
    goal : Objective
        With a constraint on one of `LEGAL`.
    confidence : float
    correction : {None, "bonferroni"}
        None holds for each label by itself; "bonferroni" for all labels at once.
    is_proba : bool
    n_jobs : int, optional

    Returns
    -------
    ThresholdSet
        A label of which no cut is certified is among the failed, with its safest threshold: the
        one that predicts always (recall), or never.
    """
    constraint = goal.constraint
    if constraint is None or constraint.name not in LEGAL:
        raise ValueError(f"confidence needs a constraint on one of {', '.join(LEGAL)}.")
    if table.weights is not None:
        raise ValueError("confidence counts samples; it takes no weights.")
    level = 1 - confidence
    if correction == "bonferroni":
        level /= table.n_labels

    def best(curves: Curves, labels: Array) -> list[Any]:
        found = []
        for label, curve in zip(labels.tolist(), curves.each(), strict=True):
            bound = float(constraint.bounds[label])
            if constraint.name == "precision":
                column = table.columns([label])
                found.append(_best_precise(column, curve, goal, label, bound, level))
                continue
            certified, may_be_none, reason = _certified(curve, constraint.name, bound, level)
            metric = goal.metric(label)
            values = metric(curve.tp, curve.fp, curve.P[0], curve.N[0])
            values = np.where(certified, values, -np.inf)
            found.append(best_of(curve, metric, values, may_be_none)[0] or reason)
        return found

    cuts = collect(map_blocks(table, best, n_jobs), table.untunable_reason)
    always = constraint.name == "recall"
    cuts.thresholds[list(cuts.failed)] = safest(always, is_proba)
    return cuts


def safest(always: bool, is_proba: bool) -> float:
    """Return the threshold that predicts always, or never."""
    if always:
        return 0.0 if is_proba else -np.inf
    return float(np.nextafter(np.float32(1), np.float32(2))) if is_proba else np.inf


def _certified(curve: Curves, name: str, bound: float, level: float) -> tuple[Array, bool, str]:
    """Tell which cuts, and whether the one that predicts nothing, meet a bound on a rate."""
    P, N = int(curve.P[0]), int(curve.N[0])
    if name == "recall":
        needed = fewest_hits(P, bound, level)
        return curve.tp >= needed, needed == 0, f"too few positives ({P}) to guarantee any cut"
    rate = bound if name == "false_positive_rate" else 1 - bound
    allowed = most_errors(N, rate, level)
    reason = f"too few negatives ({N}) to guarantee any cut"
    return curve.fp <= allowed, allowed >= 0, reason


def fewest_hits(n: int, share: float, level: float) -> int:
    """Return the fewest hits among n that show a true share of at least `share`.

    So many or more come with a probability of at most `level` if the share is lower; n + 1 if
    even n hits do not show it.
    """
    if share <= 0:
        return 0
    # isf(level) is the smallest k with P(X > k) <= level
    return int(binom.isf(level, n, share)) + 1 if share < 1 else n + 1


def most_errors(n: int, share: float, level: float) -> int:
    """Return the most errors among n that show a true share of at most `share`, or -1."""
    if share >= 1:
        return n
    return n - fewest_hits(n, 1 - share, level) if share > 0 else -1


def _best_precise(
    column: ScoreTable, curve: Curves, goal: Objective, label: int, bound: float, level: float
) -> Any:
    """Return the best cut whose precision is certified.

    Above the (k + 1)-th highest score the labels are draws from those above it, so the number
    of hits is binomial whatever that score is, and the cut lies right above it.
    """
    known = column.known()
    rows = slice(None) if known is None else known[:, 0]
    P, N = curve.P[0], curve.N[0]
    scores, positive = column.scores[rows, 0], column.is_positive()[rows, 0]
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], np.cumsum(positive[order])
    n = len(ranked)
    sizes = _sizes(n, bound, level)
    found: list[tuple[float, Any]] = []
    for size in sizes:
        if size >= n:  # all of them: no score below bounds the cut
            continue
        predicted = int(np.searchsorted(-ranked, -ranked[size]))
        tp = int(hits[predicted - 1]) if predicted else 0
        if not predicted or tp < fewest_hits(predicted, bound, level / len(sizes)):
            continue
        fp = predicted - tp
        value = float(goal.metric(label)(tp, fp, P, N))
        found.append((value, (float(above(ranked[size])), tp, fp, P, N)))
    if not found:
        reached = CONSTRAINTS["precision"][0](curve.tp, curve.fp, P, N).max()
        return (
            f"no cut shown to have a precision of {bound:g} with {int(P)} positives (the "
            f"best seen is {reached:.6g})"
        )
    return max(found, key=lambda pair: pair[0])[1]


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
