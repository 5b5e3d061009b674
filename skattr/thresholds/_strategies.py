"""How far a threshold follows the labels it was found on, and how far a smoother rule."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from skattr.thresholds._objectives import Objective
from skattr.thresholds._per_label import ThresholdSet, counts_at, per_label_thresholds
from skattr.thresholds._score_table import ScoreTable, with_soft

Array = NDArray[Any]
Search = Callable[[ScoreTable, Objective], ThresholdSet]

STRATEGIES = ("exact", "plugin", "shrunk", "auto")
# Support at which "auto" trusts the labels and the calibrated probabilities equally, and
# "shrunk" the label and the pool; see benchmarks/bench_honesty.py.
HALF_AUTO = 100.0
HALF_SHRUNK = 20.0
ENOUGH = 2000  # support from which "auto" is "exact": the other rule would weigh 5 % or less
_BINS = 4096  # of log odds, for the fit of a slope and an intercept
_EDGE = 1e-6  # how near to 0 and 1 a probability of exactly 0 or 1 is taken to be, at most


def log_odds_of(scores: Array, is_proba: bool) -> Array:
    """Return finite scores on the scale they are calibrated on.

    Log odds of probabilities, of which 0 and 1 come to stand beyond all others. Other scores
    have no scale of their own: they are brought to a standard deviation of 2.
    """
    scores = np.asarray(scores, dtype=np.float64)
    if not is_proba:
        spread = scores.std()
        return np.asarray(2 * (scores - scores.mean()) / (spread if spread > 0 else 1))
    low, high = (min(_EDGE, side[side > 0].min(initial=1) / 2) for side in (scores, 1 - scores))
    return np.asarray(logit(np.clip(scores, low, 1 - high)))


def with_strategy(
    table: ScoreTable,
    goal: Objective,
    search: Search,
    strategy: str,
    *,
    is_proba: bool,
    is_joint: bool,
) -> ThresholdSet:
    """Search cuts by one of the strategies.

    Parameters
    ----------
    table : ScoreTable
    goal : Objective
    search : callable
        From a table and a goal to exact cuts.
    strategy : {"exact", "plugin", "shrunk", "auto"}
        ``"exact"``: as they are. ``"plugin"``: those that are best for the calibrated
        probabilities instead of the labels. ``"auto"``: between the two, on the scale of log
        odds; the exact cut weighs s / (s + 100) for a label of which s positives (or
        negatives, if they are fewer) are known, and from 2,000 on alone. ``"shrunk"``: between
        the exact cut and the one best cut of all labels, likewise with 20.
    is_proba : bool
        Whether the scores are probabilities.
    is_joint : bool
        Whether the cut of one label depends on the others.

    Returns
    -------
    ThresholdSet
    """
    exact = search(table, goal)
    support = np.minimum(*table.support())
    followers = np.setdiff1d(np.arange(table.n_labels), list(exact.failed))
    if strategy == "auto" and not (is_joint and (support[followers] < ENOUGH).any()):
        followers = followers[support[followers] < ENOUGH]
    if strategy == "exact" or not len(followers):
        return exact
    thresholds = exact.thresholds.copy()
    part, support = table.columns(followers), support[followers]
    if strategy == "shrunk":
        smooth = per_label_thresholds(part.pooled(), goal.mean()).thresholds[0]
        share = support / (support + HALF_SHRUNK)
    else:
        smooth = search(calibrated(part, is_proba), goal.columns(followers)).thresholds
        share = support / (support + HALF_AUTO) if strategy == "auto" else 0.0 * support
        share[support >= ENOUGH] = strategy == "auto"
    own = thresholds[followers]
    smooth = np.where(np.isnan(smooth), own, smooth)
    thresholds[followers] = _between(own, smooth, share, is_proba)
    counts = exact.counts.copy()
    counts[:, followers] = counts_at(part, thresholds[followers])
    return ThresholdSet(thresholds, counts, exact.failed)


def _between(exact: Array, smooth: Array, share: Array, is_proba: bool) -> Array:
    """Average thresholds on the scale of log odds; a share of 0 or 1 leaves one as it is."""
    ends = [exact, smooth]
    if is_proba:
        tiny = np.finfo(np.float64).tiny
        ends = [logit(np.clip(end, tiny, 1 - np.finfo(np.float64).epsneg)) for end in ends]
    with np.errstate(invalid="ignore"):  # infinite thresholds
        middle = share * ends[0] + (1 - share) * ends[1]
    if is_proba:
        middle = expit(middle)
    middle = np.clip(middle, np.minimum(exact, smooth), np.maximum(exact, smooth))
    middle = np.where(np.isnan(middle), exact, middle)
    return np.select([share == 1, share == 0], [exact, smooth], middle)


def calibrated(table: ScoreTable, is_proba: bool) -> ScoreTable:
    """Put calibrated probabilities in the place of the labels."""
    positive, negative = table.sides()
    soft = np.empty(table.scores.shape)
    for label, scores in enumerate(table.scores.T):
        used = np.isfinite(scores) & (positive[:, label] + negative[:, label] > 0)
        log_odds = log_odds_of(scores[used], is_proba)
        slope, intercept = logistic_fit(log_odds, positive[used, label], negative[used, label])
        soft[:, label] = scores > 0  # infinite scores
        soft[used, label] = expit(slope * log_odds + intercept)
    return with_soft(table, soft)


def logistic_fit(z: Array, positive: Array, negative: Array) -> tuple[float, float]:
    """Fit P(positive) = 1 / (1 + exp(-(a z + b))), a > 0, drawn a little to a = 1, b = 0.

    Newton's method on the log likelihood with the penalty ((a - 1)^2 + (b / 10)^2 * 10) / 4:
    with two or three positives the fit stays near the scores' own odds.

    Parameters
    ----------
    z : ndarray of shape (n,)
        Finite log odds.
    positive, negative : ndarray of shape (n,)
        What each row weighs as a positive and as a negative.

    Returns
    -------
    a, b : float
    """
    z, positive, negative = _binned(z, positive, negative)
    weight = positive + negative
    point = np.array([1.0, 0.0])
    prior = np.array([0.5, 0.05])

    def loss(at: Array) -> float:
        t = at[0] * z + at[1]
        fit = weight @ np.logaddexp(0, t) - positive @ t
        return float(fit + 0.5 * prior @ (at - [1, 0]) ** 2)

    current = loss(point)
    for _ in range(100):
        p = expit(point[0] * z + point[1])
        residual, curvature = weight * p - positive, weight * p * (1 - p)
        gradient = np.array([residual @ z, residual.sum()]) + prior * (point - [1, 0])
        cross = curvature @ z
        hessian = np.array([[curvature @ z**2, cross], [cross, curvature.sum()]]) + np.diag(prior)
        step = np.linalg.solve(hessian, gradient)
        size = 1.0
        while (new := loss(point - size * step)) > current and size > 1e-8:
            size /= 2
        if size <= 1e-8:
            break
        point, gained, current = point - size * step, current - new, new
        if gained < 1e-10 * max(1.0, current):
            break
    return max(float(point[0]), 1e-3), float(point[1])


def _binned(z: Array, positive: Array, negative: Array) -> tuple[Array, Array, Array]:
    """Put many rows into bins of their log odds, each at its weighted mean."""
    if len(z) <= _BINS:
        return z, positive, negative
    lowest, highest = z.min(), z.max()
    width = (highest - lowest) / _BINS
    bins = np.minimum((z - lowest) / width if width else np.zeros(len(z)), _BINS - 1).astype(int)
    positive_sums = np.bincount(bins, positive, minlength=_BINS)
    negative_sums = np.bincount(bins, negative, minlength=_BINS)
    weight = positive_sums + negative_sums
    means = np.bincount(bins, (positive + negative) * z, minlength=_BINS)
    used = weight > 0
    return means[used] / weight[used], positive_sums[used], negative_sums[used]
