"""How far a threshold follows the labels it was found on, and how far a smoother rule."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from skattr.thresholds._cuts import Cuts, counts_at
from skattr.thresholds._table import Table, with_soft

Array = NDArray[Any]
Search = Callable[[Table], Cuts]

STRATEGIES = ("exact", "plugin", "shrunk", "auto")
# Support at which "auto" trusts the labels and the calibrated probabilities equally, and
# "shrunk" the label and the pool; see benchmarks/bench_honesty.py.
HALF_AUTO = 100.0
HALF_SHRUNK = 20.0
_ENOUGH = 5000  # support from which the plug-in rule has less than 2 % to say
_EDGE = 1e-6  # nearest to 0 and 1 that probabilities are told apart


def to_log_odds(values: Array, is_proba: bool) -> Array:
    """Return scores on the scale thresholds are averaged and calibrated on."""
    if not is_proba:
        return np.asarray(values, dtype=np.float64)
    return np.asarray(logit(np.clip(np.asarray(values, np.float64), _EDGE, 1 - _EDGE)))


def with_strategy(table: Table, search: Search, strategy: str, is_proba: bool) -> Cuts:
    """Search cuts by one of the strategies.

    Parameters
    ----------
    table : Table
    search : callable
        From a table to its exact cuts.
    strategy : {"exact", "plugin", "shrunk", "auto"}
        ``"exact"``: as they are. ``"plugin"``: those that are best for the calibrated
        probabilities instead of the labels. ``"auto"``: between the two, on the scale of log
        odds; the exact cut weighs s / (s + 100) for a label of which s positives (or
        negatives, if they are fewer) are known. ``"shrunk"``: between the exact cut and the
        one best cut of all labels, likewise with 20.
    is_proba : bool
        Whether the scores are probabilities.

    Returns
    -------
    Cuts
    """
    exact = search(table)
    tunable = [label for label in range(table.n_labels) if label not in exact.failed]
    if strategy == "exact" or not tunable:
        return exact
    support = np.minimum(*table.support())
    if strategy == "shrunk":
        everything = search(table.columns(tunable).pooled()).thresholds
        smooth = np.full(table.n_labels, everything[0])
        share = support / (support + HALF_SHRUNK)
    else:
        if strategy == "auto" and support[tunable].min() >= _ENOUGH:
            return exact
        smooth = np.full(table.n_labels, np.nan)
        smooth[tunable] = search(calibrated(table.columns(tunable), is_proba)).thresholds
        share = support / (support + HALF_AUTO) if strategy == "auto" else np.zeros(len(support))
    share = np.where(np.isnan(smooth), 1.0, share)
    smooth = np.where(np.isnan(smooth), exact.thresholds, smooth)
    thresholds = _between(exact.thresholds, smooth, share, is_proba)
    thresholds[list(exact.failed)] = np.nan
    counts = counts_at(table, thresholds)
    counts[:, list(exact.failed)] = np.nan
    return Cuts(thresholds, counts, exact.failed)


def _between(exact: Array, smooth: Array, share: Array, is_proba: bool) -> Array:
    """Average thresholds on the scale of log odds; a share of 0 or 1 leaves one as it is."""
    middle = share * to_log_odds(exact, is_proba) + (1 - share) * to_log_odds(smooth, is_proba)
    if is_proba:
        middle = expit(middle)
    return np.select([share == 1, share == 0], [exact, smooth], middle)


def calibrated(table: Table, is_proba: bool) -> Table:
    """Put calibrated probabilities in the place of the labels."""
    positive, negative = table.sides()
    soft = np.empty(table.scores.shape)
    for label, scores in enumerate(table.scores.T):
        log_odds = to_log_odds(np.nan_to_num(scores), is_proba)
        slope, intercept = logistic_fit(log_odds, positive[:, label], negative[:, label])
        soft[:, label] = expit(slope * log_odds + intercept)
    return with_soft(table, soft)


def logistic_fit(z: Array, positive: Array, negative: Array) -> tuple[float, float]:
    """Fit P(positive) = 1 / (1 + exp(-(a z + b))), a > 0, drawn a little to a = 1, b = 0.

    Newton's method on the log likelihood with the penalty ((a - 1)^2 + (b / 10)^2 * 10) / 4:
    with two or three positives the fit stays near the scores' own odds.

    Parameters
    ----------
    z : ndarray of shape (n,)
        Log odds.
    positive, negative : ndarray of shape (n,)
        What each row weighs as a positive and as a negative.

    Returns
    -------
    a, b : float
    """
    finite = np.isfinite(z) & (positive + negative > 0)
    z, positive, negative = z[finite], positive[finite], negative[finite]
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
