"""Metrics by name, and their titles."""

import inspect
from collections.abc import Callable
from typing import Any

import pandas as pd

import skattr.metrics

Metric = str | Callable[..., Any]


def metric_of(metric: Metric) -> Callable[..., Any]:
    """Return the function of a metric that is given by name, or as itself.

    Raises
    ------
    ValueError
        If there is no metric of that name.
    """
    if callable(metric):
        return metric
    valid = _attribute_metrics()
    for name in (metric, f"{metric}_score"):
        if name in valid:
            return valid[name]
    raise ValueError(
        f"`metric` must be callable or a function of skattr.metrics that returns a value per "
        f"attribute, one of {list(valid)}; got {metric!r}."
    )


def _attribute_metrics() -> dict[str, Callable[..., Any]]:
    """Return the metrics of this package that have a value per attribute, by name."""
    public = {name: getattr(skattr.metrics, name) for name in skattr.metrics.__all__}
    return {
        name: function
        for name, function in public.items()
        if inspect.isfunction(function) and "average" in inspect.signature(function).parameters
    }


def title_of(metric: Metric) -> str:
    """Return the axis label of a metric."""
    name: str = metric if isinstance(metric, str) else getattr(metric, "__name__", "score")
    text = name.removesuffix("_score").replace("_", " ")
    return {"roc auc": "ROC AUC", "f1": "F1"}.get(text, text[:1].upper() + text[1:])


def names_of(y: Any, n: int) -> list[Any]:
    """Return the names of the n attributes of y.

    Raises
    ------
    ValueError
        If y has another number of attributes.
    """
    names: list[Any] = (
        list(y.columns) if isinstance(y, pd.DataFrame) else [f"y{j}" for j in range(n)]
    )
    if isinstance(y, pd.Series) and y.name is not None:
        names = [y.name]
    if len(names) != n:
        raise ValueError(
            f"The metric returns {n} value(s) for {len(names)} attributes; it must accept "
            "average=None and return one value per attribute."
        )
    return names


def takes_scores(metric: Any) -> bool:
    """Tell whether the second argument of a metric is called like scores."""
    return list(inspect.signature(metric).parameters)[1] in ("y_score", "y_proba", "y_prob")
