"""Support of weighted labels, and weights without their scale."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_RELATIVE_BITS = 2.0**40  # that are kept of a relative weight


def effective_number(weights: Floats, axis: int = 0) -> Any:
    """Return the number of equally weighted rows that estimate a mean as precisely (Kish, 1965).

    It is the square of the sum over the sum of squares: the number of rows if all weights are
    equal, whatever their scale, and less otherwise. Weights of 0 do not count.

    Parameters
    ----------
    weights : ndarray of at least 0
    axis : int

    Returns
    -------
    float or ndarray
        0 where all weights are 0.

    Examples
    --------
    >>> float(effective_number(np.full(10, 0.1))), float(effective_number(np.array([2.0, 0, 2])))
    (10.0, 2.0)
    """
    largest = weights.max(axis=axis, keepdims=True, initial=0)
    # Relative to the largest, squares neither overflow nor vanish.
    shares = np.divide(weights, largest, out=np.zeros(weights.shape), where=largest > 0)
    total, squares = shares.sum(axis=axis), np.square(shares).sum(axis=axis)
    return np.divide(total**2, squares, out=np.zeros(np.shape(total)), where=squares > 0)[()]


def as_effective(weights: Floats) -> Floats:
    """Return weights scaled so that their sum is their effective number.

    Sums of them can be compared with numbers of rows, as a minimal support and the strength of a
    prior are.

    Parameters
    ----------
    weights : ndarray of shape (n,) of at least 0
    """
    total = weights.sum()
    return np.asarray(weights * (effective_number(weights) / total)) if total > 0 else weights


def relative_weights(weights: Floats) -> Floats:
    """Return weights relative to the largest, which are equal for weights of any other scale.

    The last bits of the quotients are dropped: they change with the scale, and would decide
    between thresholds that are equally good.

    Parameters
    ----------
    weights : ndarray of at least 0
    """
    largest = weights.max(initial=0)
    if not largest > 0:
        return weights
    mantissa, exponent = np.frexp(weights / largest)
    return np.asarray(np.ldexp(np.round(mantissa * _RELATIVE_BITS) / _RELATIVE_BITS, exponent))
