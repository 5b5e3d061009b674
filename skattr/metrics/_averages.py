"""Averages over attributes, and what is said of those that are undefined."""

import inspect
import warnings
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import UndefinedMetricWarning

from skattr.exceptions import SkattrWarning

Array = NDArray[Any]
Function = TypeVar("Function")
_SHARED = """sample_weight : array-like of shape (n,), default=None
        Weight of each row.
    label_weight : array-like of shape (n, n_attributes), default=None
        Weight of each entry, times that of its row.
    attributes : dict of {name: kind}, default=None
        Kinds that are not to be read from y_true, as for :class:`skattr.AttributeEncoder`.
    missing_label : scalar, default=None
        One more value, beside NaN, None and pandas.NA, that means unknown."""


class UndefinedAttributeWarning(SkattrWarning, UndefinedMetricWarning):  # type: ignore[misc]
    """A metric is undefined for some attributes, or rows; the message lists them."""


def shared_parameters(function: Function) -> Function:
    """Write the parameters all metrics share into the docstring, in place of ``{shared}``."""
    if function.__doc__:
        function.__doc__ = function.__doc__.replace("{shared}", _SHARED)
    return function


def check_average(average: Any, *valid: str) -> None:
    """Refuse an `average` a metric does not have; None is always valid.

    Raises
    ------
    ValueError
        If `average` is neither None nor one of the valid values.
    """
    if average is not None and (not isinstance(average, str) or average not in valid):
        raise ValueError(f"`average` must be one of {list(valid)} or None, got {average!r}.")


def average_units(
    values: Array,
    owner: Array,
    support: Array,
    average: str | None,
    names: Sequence[Any],
    metric: str,
    why: str,
    filled: Sequence[Any] = (),
    listed: Array | None = None,
) -> Any:
    """Average over one-vs-rest units, warning once of the attributes that are undefined.

    Parameters
    ----------
    values : ndarray of shape (n_units,)
        NaN where undefined.
    owner : ndarray of shape (n_units,), int
        The attribute of each unit. Its value is the mean over its defined units.
    support : ndarray of shape (n_units,)
        What a unit weighs with ``average="weighted"``.
    average : {"macro", "weighted"} or None
    names : sequence of length L
    metric, why : str
        For the message: the metric, and when it is undefined.
    filled : sequence
        Attributes whose value was set to 0 for a division by zero.
    listed : ndarray of shape (L,), bool, optional
        The undefined attributes to warn of, if not all.

    Returns
    -------
    float, or ndarray of shape (L,) for None
    """
    defined = ~np.isnan(values)
    n = len(names)
    count = np.bincount(owner[defined], minlength=n)
    total = np.bincount(owner[defined], values[defined], minlength=n)
    per_attribute = np.divide(total, count, out=np.full(n, np.nan), where=count > 0)
    undefined = (count == 0) if listed is None else listed
    _warn(metric, [names[j] for j in np.flatnonzero(undefined).tolist()], n, average, why, filled)
    if average is None:
        return per_attribute
    if not defined.any():
        return float("nan")
    if average == "macro":
        return float(np.nanmean(per_attribute))
    weights = support[defined]
    return float(np.average(values[defined], weights=weights if weights.sum() > 0 else None))


def _warn(
    metric: str, undefined: list[Any], n: int, average: str | None, why: str, filled: Sequence[Any]
) -> None:
    texts = []
    if undefined:
        rest = "they are NaN" if average is None else f"the average is over {n - len(undefined)}"
        texts.append(
            f"{metric} is undefined for {len(undefined)} of {n} attributes ({why}): {undefined}; "
            f"{rest}{'' if average is None else f' of {n} attributes'}."
        )
    if filled:
        texts.append(
            f"{metric} divides by zero for {len(filled)} of {n} attributes, and counts as 0 "
            f"there: {list(filled)}; use `zero_division` to choose another value."
        )
    if texts:
        warn(" ".join(texts))


def warn(text: str) -> None:
    """Warn of what is undefined, from the line that called the metric."""
    frame, level = inspect.currentframe(), 0
    while frame is not None and frame.f_globals.get("__name__", "").startswith("skattr.metrics."):
        frame, level = frame.f_back, level + 1
    warnings.warn(text, UndefinedAttributeWarning, stacklevel=level + 1)
