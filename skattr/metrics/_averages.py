"""Averages over attributes, and the warning that lists undefined ones."""

import inspect
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import UndefinedMetricWarning

from skattr.exceptions import SkattrWarning
from skattr.metrics._rates import divide

Array = NDArray[Any]


class UndefinedAttributeWarning(SkattrWarning, UndefinedMetricWarning):  # type: ignore[misc]
    """A metric is undefined for some attributes or rows; the message lists them."""


def check_average(average: Any, *valid: str) -> None:
    """Raise an error for an `average` that a metric does not have; None is always valid.

    Raises
    ------
    ValueError
        If `average` is neither None nor one of the valid values.
    """
    if average is not None and (not isinstance(average, str) or average not in valid):
        raise ValueError(f"`average` must be one of {list(valid)} or None; got {average!r}.")


@dataclass(frozen=True)
class UnitScores:
    """Values of a metric for the units of attributes, which are averaged on demand.

    A binary attribute has one unit, its positive class. Another has one for each of its classes
    against the rest, or a single one for all of them.

    Attributes
    ----------
    metric : str
        Name of the metric in warnings.
    names : sequence of length L
        Names of the attributes.
    values : ndarray of shape (n_units,)
        NaN where undefined.
    owner : ndarray of shape (n_units,), int
        The attribute of each unit. Its value is the mean over its defined units.
    support : ndarray of shape (n_units,)
        Weight of each unit with ``average="weighted"``.
    reason : str
        When the metric is undefined, for the warning.
    filled : sequence
        Attributes whose value was set to 0 for a division by zero.
    listed : ndarray of shape (L,), bool, optional
        The undefined attributes to warn of, if not all of them.
    """

    metric: str
    names: Sequence[Any]
    values: Array
    owner: Array
    support: Array
    reason: str
    filled: Sequence[Any] = ()
    listed: Array | None = None

    def per_attribute(self) -> Array:
        """Return the mean over the defined units of each attribute."""
        return mean_per_attribute(self.values, self.owner, len(self.names))

    def average(self, average: str | None) -> Any:
        """Average over attributes, with one warning that lists the undefined ones.

        Parameters
        ----------
        average : {"macro", "weighted"} or None

        Returns
        -------
        float, or ndarray of shape (L,) for None
        """
        per_attribute = self.per_attribute()
        undefined = np.isnan(per_attribute) if self.listed is None else self.listed
        self._warn([self.names[j] for j in np.flatnonzero(undefined).tolist()], average)
        if average is None:
            return per_attribute
        defined = ~np.isnan(self.values)
        if not defined.any():
            return float("nan")
        if average == "macro":
            return float(np.nanmean(per_attribute))
        weights = self.support[defined]
        values = self.values[defined]
        return float(np.average(values, weights=weights if weights.sum() > 0 else None))

    def _warn(self, undefined: list[Any], average: str | None) -> None:
        n, texts = len(self.names), []
        if undefined:
            rest = f"the average is over {n - len(undefined)} of {n} attributes"
            texts.append(
                f"{self.metric} is undefined for {len(undefined)} of {n} attributes "
                f"({self.reason}): {undefined}; {'they are NaN' if average is None else rest}."
            )
        if self.filled:
            texts.append(
                f"{self.metric} divides by zero for {len(self.filled)} of {n} attributes, and "
                f"counts as 0 there: {list(self.filled)}; use `zero_division` to choose another "
                "value."
            )
        if texts:
            warn(" ".join(texts))


def mean_per_attribute(values: Array, owner: Array, n_attributes: int) -> Array:
    """Average the defined values (..., n_units) of each attribute, NaN where there is none."""

    def sums(parts: Array) -> Array:
        count = [np.bincount(owner, row, n_attributes) for row in parts.reshape(-1, len(owner))]
        return np.reshape(count, (*parts.shape[:-1], n_attributes))

    defined = ~np.isnan(values)
    total, count = sums(np.where(defined, values, 0.0)), sums(defined)
    return np.asarray(divide(total, count))


def warn(text: str) -> None:
    """Warn of what is undefined, at the line that called the metric."""
    frame, level = inspect.currentframe(), 0
    while frame is not None and frame.f_globals.get("__name__", "").startswith("skattr.metrics."):
        frame, level = frame.f_back, level + 1
    warnings.warn(text, UndefinedAttributeWarning, stacklevel=level + 1)
