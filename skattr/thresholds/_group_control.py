"""Thresholds that satisfy a constraint with a given confidence if only groups are independent.

A group is bet on: its gain is the number of its hits minus the number that the bound asks for.
If the bound is missed, the mean gain is at most 0, and so the product over groups of
``1 + stake * gain`` has a mean of at most 1. By Markov's inequality it reaches 1 / level with a
probability of at most `level`, whatever the dependence within groups (Waudby-Smith and Ramdas,
"Estimating means of bounded random variables by betting", 2024). The sizes of the groups are taken
as given.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from skattr.thresholds._curves import Curves, midway
from skattr.thresholds._objectives import Metric
from skattr.thresholds._per_label import LabelResult
from skattr.thresholds._score_table import ScoreTable

Array = NDArray[Any]
Floats = NDArray[np.float64]
# Multiples of the stake that is best if the hits within a group are all equal: if they are not,
# gains vary less, and higher stakes are better.
_STAKES = (1.0, 2.0, 4.0)
_GRID_SHARE = 5  # one of so many groups chooses the thresholds at which precision is tested
_RATIO = 2.0  # of successive numbers of predictions at which precision is tested


def log_evidence(hits: Array, sizes: Array, share: float, level: float) -> float:
    """Return the log of the evidence that the share of hits is above `share`.

    It is above ``-log(level)`` with a probability of at most `level` if it is not. It increases
    with the hits of each group.

    Parameters
    ----------
    hits, sizes : ndarray of shape (n_groups,)
        Number of hits, and of rows, of each group.
    share : float, above 0 and below 1
    level : float
        Only the power depends on it.
    """
    sizes = np.asarray(sizes, dtype=np.float64)
    gains = hits - share * sizes
    highest = 1 / (share * sizes.max())  # a higher stake could lose more than there is
    variance = share * (1 - share) * (sizes**2).sum()
    stakes = np.sqrt(-2 * np.log(level) / variance) * np.array(_STAKES)
    stakes = np.unique(np.minimum(stakes, highest))
    with np.errstate(divide="ignore"):  # all may be lost
        growth = np.log1p(np.maximum(np.multiply.outer(stakes, gains), -1.0)).sum(axis=1)
    return float(logsumexp(growth) - np.log(len(stakes)))


def certify_rate_of_groups(
    column: ScoreTable, curve: Curves, name: str, bound: float, level: float
) -> tuple[Array, bool, str]:
    """Certify a bound on a rate that is monotone in the threshold.

    Returns
    -------
    certified : ndarray of shape (n_candidates,), bool
    nothing_certified : bool
        Whether the threshold above all scores is certified.
    reason : str
        Used if no threshold is certified.
    """
    n = len(curve.tp)
    is_recall = name == "recall"
    share = bound if name != "false_positive_rate" else 1 - bound
    if share <= 0:
        return np.ones(n, dtype=bool), True, ""
    scores, positive, groups = known_rows(column)
    side = positive if is_recall else ~positive
    scores = scores[side]
    codes, sizes = _count(groups[side])
    what = "positives" if is_recall else "negatives"
    reason = f"too few groups with {what} ({len(sizes)}) to guarantee any threshold"
    if share >= 1:
        return np.zeros(n, dtype=bool), False, reason
    thresholds = curve.thresholds(np.arange(n))

    def holds(candidate: int) -> bool:
        above = np.full(len(scores), False) if candidate == n else scores >= thresholds[candidate]
        hits = np.bincount(codes[above if is_recall else ~above], minlength=len(sizes))
        return bool(log_evidence(hits, sizes, share, level) >= -np.log(level))

    # Recall falls and specificity rises with the threshold: of the candidates, and then that
    # above all scores, the first or the last are certified.
    low, high = 0, n + 1
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if holds(middle) == is_recall else (low, middle)
    certified = np.arange(n + 1) < low if is_recall else np.arange(n + 1) >= low
    return certified[:n], bool(certified[n]), reason


def best_precise_of_groups(
    column: ScoreTable, curve: Curves, metric: Metric, bound: float, level: float
) -> LabelResult:
    """Return the best threshold with certified precision, or why there is none.

    Precision is not monotone. Its thresholds are chosen by the scores of a fifth of the groups, at
    numbers of predictions that double, and tested on the others, which share the level.
    """
    scores, positive, groups = known_rows(column)
    P, N = curve.P[0], curve.N[0]
    codes, sizes = _count(groups)
    order = np.random.default_rng(0).permutation(len(sizes))
    n_choosing = max(1, len(sizes) // _GRID_SHARE)
    chooses = np.isin(codes, order[:n_choosing])
    ranked = -np.sort(-scores[chooses])
    places = np.unique(np.ceil(_RATIO ** np.arange(np.log2(len(ranked) + 1))).astype(int))
    places = places[places < len(ranked)]
    thresholds = np.unique(midway(ranked[places], ranked[places - 1]))
    tested_scores, tested = scores[~chooses], codes[~chooses]
    results = []
    for threshold in thresholds if 0 < bound < 1 else []:
        above = tested_scores >= threshold
        inside, sizes = _count(tested[above])
        if not len(sizes):
            continue
        hits = np.bincount(inside, positive[~chooses][above], minlength=len(sizes))
        own_level = level / len(thresholds)
        if log_evidence(hits, sizes, bound, own_level) >= -np.log(own_level):
            predicted = scores >= threshold
            tp = np.count_nonzero(positive & predicted)
            fp = np.count_nonzero(predicted) - tp
            value = float(metric(tp, fp, P, N))
            results.append((value, (float(threshold), float(tp), float(fp), float(P), float(N))))
    if not results:
        return (
            f"no threshold is certified to have a precision of {bound:g} with {int(P)} positives "
            f"in {len(order)} groups"
        )
    return max(results, key=lambda pair: pair[0])[1]


def known_rows(column: ScoreTable) -> tuple[Array, Array, Array]:
    """Return scores, labels and groups of the rows whose label and score are known."""
    known = column.known()
    rows = slice(None) if known is None else known[:, 0]
    assert column.groups is not None
    return column.scores[rows, 0], column.is_positive()[rows, 0], column.groups[rows, 0]


def is_grouped(column: ScoreTable) -> bool:
    """Whether two rows with a known label are of one group."""
    if column.groups is None:
        return False
    groups = known_rows(column)[2]
    return len(np.unique(groups)) < len(groups)


def _count(groups: Array) -> tuple[Array, Array]:
    """Return consecutive numbers of the groups, and the number of rows of each."""
    _, codes, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    return codes, sizes
