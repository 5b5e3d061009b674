"""Metrics by name, and how sure they are."""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.utils import check_random_state

import skattr.metrics

Array = NDArray[Any]
Metric = str | Callable[..., Any]


def metric_of(metric: Metric) -> Callable[..., Any]:
    """Return the function a metric is named by.

    Raises
    ------
    ValueError
        If it has no such name.
    """
    if callable(metric):
        return metric
    for name in (metric, f"{metric}_score"):
        if name in skattr.metrics.__all__ and name.islower():
            found: Callable[..., Any] = getattr(skattr.metrics, name)
            return found
    legal = [name for name in skattr.metrics.__all__ if name.islower()]
    raise ValueError(
        f"`metric` must be callable or a function of skattr.metrics, {legal}; got {metric!r}."
    )


def title_of(name: str) -> str:
    """Return the label of an axis for the name of a metric."""
    text = name.removesuffix("_score").replace("_", " ")
    return {"roc auc": "ROC AUC", "f1": "F1"}.get(text, text[:1].upper() + text[1:])


def names_of(y: Any, n: int) -> list[Any]:
    """Return the names of the attributes that n values are of.

    Raises
    ------
    ValueError
        If y has another number.
    """
    names: list[Any] = (
        list(y.columns) if isinstance(y, pd.DataFrame) else [f"y{j}" for j in range(n)]
    )
    if isinstance(y, pd.Series) and y.name is not None:
        names = [y.name]
    if len(names) != n:
        raise ValueError(
            f"The metric returns {n} value(s) for {len(names)} attributes; it must take "
            "average=None and return one for each."
        )
    return names


def resamples(n: int, n_bootstrap: int, groups: Any, random_state: Any) -> Array:
    """Return how often each resample has each row: (n_bootstrap, n).

    Raises
    ------
    ValueError
        If `groups` has another length.
    """
    generator = check_random_state(random_state)
    member = np.arange(n)
    if groups is not None:
        if len(groups) != n:
            raise ValueError(f"`groups` has {len(groups)} entries for {n} rows.")
        member, _ = pd.factorize(pd.Series(groups), use_na_sentinel=False)
    n_groups = int(member.max()) + 1
    counts = generator.multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=n_bootstrap)
    return np.asarray(counts[:, member], dtype=np.float64)


def quantiles(drawn: Array, confidence: float) -> tuple[Array, Array]:
    """Return the ends of the intervals: (L,) each, of (n_bootstrap, L) values."""
    low, high = np.full(drawn.shape[1], np.nan), np.full(drawn.shape[1], np.nan)
    for j, column in enumerate(drawn.T):
        found = column[~np.isnan(column)]
        if len(found):
            low[j], high[j] = np.quantile(found, [(1 - confidence) / 2, (1 + confidence) / 2])
    return low, high


def takes_scores(metric: Any) -> bool:
    """Tell whether a metric's second argument is one of scores."""
    return list(inspect.signature(metric).parameters)[1] in ("y_score", "y_proba", "y_prob")
