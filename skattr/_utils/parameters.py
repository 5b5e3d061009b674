"""Constraints of numeric parameters, for scikit-learn's validation."""

from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils._param_validation import Interval


class Number(Interval):  # type: ignore[misc]
    """Interval of numbers without bools, which Python counts as 0 and 1.

    Examples
    --------
    >>> Number(Integral, 1, None, closed="left").is_satisfied_by(True)
    False
    """

    def is_satisfied_by(self, val: Any) -> bool:
        """Whether a value is a number of the interval."""
        return not isinstance(val, bool | np.bool_) and bool(super().is_satisfied_by(val))


AT_LEAST_1 = Number(Integral, 1, None, closed="left")
N_JOBS = [Number(Integral, None, None, closed="neither"), None]
RANDOM_STATE = [Number(Integral, 0, 2**32 - 1, closed="both"), np.random.RandomState, None]
