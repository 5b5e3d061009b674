"""Logistic regression on log odds, near the identity."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

Array = NDArray[Any]
# Bins of log odds in the fit of a slope and an intercept, so that its time does not grow with n.
_BINS = 4096


def logistic_fit(z: Array, positive: Array, negative: Array) -> tuple[float, float]:
    """Fit P(positive) = 1 / (1 + exp(-(a z + b))), a > 0, with a weak prior at a = 1, b = 0.

    The fit is Newton's method on the log likelihood with the penalty
    ((a - 1)^2 + b^2 / 10) / 4. With two or three positives the prior keeps it near the odds of
    the scores.

    Parameters
    ----------
    z : ndarray of shape (n,)
        Finite log odds.
    positive, negative : ndarray of shape (n,)
        Weight of each row as a positive and as a negative.

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
        size = 1.0  # halved until the loss falls: full steps diverge from a poor start
        while (new := loss(point - size * step)) > current and size > 1e-8:
            size /= 2
        if size <= 1e-8:
            break
        point, gained, current = point - size * step, current - new, new
        if gained < 1e-10 * max(1.0, current):
            break
    return max(float(point[0]), 1e-3), float(point[1])


def _binned(z: Array, positive: Array, negative: Array) -> tuple[Array, Array, Array]:
    """Replace many rows by bins of their log odds, each at its weighted mean."""
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
