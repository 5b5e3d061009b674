"""What a threshold is chosen for: metrics of true and false positives, vectorised over cuts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Array = NDArray[Any]
Metric = Callable[[Any, Any, Any, Any], Any]


def _ratio(numerator: Any, denominator: Any) -> Any:
    """Divide; 0 where the denominator is 0."""
    if np.ndim(denominator) == 0:
        return numerator / denominator if denominator else np.zeros_like(numerator, dtype=float)
    zero = np.zeros(np.broadcast(numerator, denominator).shape)
    return np.divide(numerator, denominator, out=zero, where=np.asarray(denominator) != 0)


def precision(tp: Any, fp: Any, P: Any, N: Any) -> Any:
    """TP / (TP + FP)."""
    return _ratio(tp, tp + fp)


def recall(tp: Any, fp: Any, P: Any, N: Any) -> Any:
    """TP / P."""
    return _ratio(tp, P)


def specificity(tp: Any, fp: Any, P: Any, N: Any) -> Any:
    """TN / N."""
    return _ratio(N - fp, N)


def false_positive_rate(tp: Any, fp: Any, P: Any, N: Any) -> Any:
    """FP / N."""
    return _ratio(fp, N)


def positive_share(tp: Any, fp: Any, P: Any, N: Any) -> Any:
    """Share of rows predicted positive."""
    return _ratio(tp + fp, P + N)


def accuracy(tp: Any, fp: Any, P: Any, N: Any) -> Any:
    """Share of correct labels; 1 minus the Hamming loss."""
    return _ratio(tp + (N - fp), P + N)


def balanced_accuracy(tp: Any, fp: Any, P: Any, N: Any) -> Any:
    """Mean of recall and specificity; Youden's J is twice that, minus 1."""
    return 0.5 * (recall(tp, fp, P, N) + specificity(tp, fp, P, N))


def jaccard(tp: Any, fp: Any, P: Any, N: Any) -> Any:
    """TP / (TP + FP + FN)."""
    return _ratio(tp, P + fp)


def mcc(tp: Any, fp: Any, P: Any, N: Any) -> Any:
    """Matthews correlation coefficient."""
    predicted = tp + fp
    product = np.asarray(predicted, float) * (P + N - predicted) * P * N
    return _ratio(
        np.asarray(tp, float) * N - np.asarray(fp, float) * P, np.sqrt(np.maximum(product, 0))
    )


def f_beta(beta: float) -> Metric:
    """Return F-beta: (1 + beta^2) TP / ((1 + beta^2) TP + beta^2 FN + FP)."""
    square = float(beta) ** 2

    def metric(tp: Any, fp: Any, P: Any, N: Any) -> Any:
        denominator = tp + fp + square * P
        if np.size(P) and np.min(P) > 0:
            return (1 + square) * tp / denominator
        return _ratio((1 + square) * tp, denominator)

    return metric


def negative_cost(false_positive: Any, false_negative: Any) -> Metric:
    """Return minus the mean cost of a label."""

    def metric(tp: Any, fp: Any, P: Any, N: Any) -> Any:
        return -_ratio(false_positive * fp + false_negative * (P - tp), P + N)

    return metric


_PLAIN: dict[str, Metric] = {
    "precision": precision,
    "recall": recall,
    "balanced_accuracy": balanced_accuracy,
    "accuracy": accuracy,
    "jaccard": jaccard,
    "mcc": mcc,
}
WITHOUT_NEGATIVES = ("f1", "fbeta", "precision", "recall", "jaccard")  # which do not look at N
OBJECTIVES = ("f1", "fbeta", *_PLAIN, "cost")

# Metric of a constraint, and whether its bound is a lower one.
CONSTRAINTS: dict[str, tuple[Metric, bool]] = {
    "precision": (precision, True),
    "recall": (recall, True),
    "specificity": (specificity, True),
    "false_positive_rate": (false_positive_rate, False),
    "positive_share": (positive_share, False),
}


@dataclass(frozen=True)
class Constraint:
    """A bound on a metric, per label.

    Attributes
    ----------
    name : str
        A key of `CONSTRAINTS`.
    bounds : ndarray of shape (n_labels,)
    """

    name: str
    bounds: NDArray[np.float64]

    def values(self, tp: Any, fp: Any, P: Any, N: Any) -> Any:
        """Return the metric."""
        return CONSTRAINTS[self.name][0](tp, fp, P, N)

    def holds(self, tp: Any, fp: Any, P: Any, N: Any, bound: Any) -> Any:
        """Tell where the bound is met, up to rounding."""
        metric, is_lower = CONSTRAINTS[self.name]
        values = metric(tp, fp, P, N)
        return values >= bound - 1e-12 if is_lower else values <= bound + 1e-12

    @property
    def sign(self) -> str:
        """The relation, for messages."""
        return ">=" if CONSTRAINTS[self.name][1] else "<="


@dataclass(frozen=True)
class Objective:
    """An objective with its parameters, and a constraint.

    Attributes
    ----------
    name : str
    beta : float
    costs : tuple of ndarray of shape (n_labels,)
        Of a false positive and of a false negative.
    constraint : Constraint or None
    """

    name: str
    beta: float
    costs: tuple[NDArray[np.float64], NDArray[np.float64]]
    constraint: Constraint | None

    def metric(self, labels: Any = 0) -> Metric:
        """Return the metric to maximise for some labels (one, or one per value)."""
        if self.name in ("f1", "fbeta"):
            return f_beta(1.0 if self.name == "f1" else self.beta)
        if self.name == "cost":
            return negative_cost(*(cost[labels] for cost in self.costs))
        return _PLAIN[self.name]

    def columns(self, labels: Any) -> "Objective":
        """Return the goal of some of the labels."""
        return self._with(lambda per_label: per_label[labels])

    def mean(self) -> "Objective":
        """Return the goal of one label that stands for all."""
        return self._with(lambda per_label: per_label.mean(keepdims=True))

    def _with(self, function: Callable[[Array], Array]) -> "Objective":
        false_positive, false_negative = map(function, self.costs)
        constraint = self.constraint
        if constraint is not None:
            constraint = replace(constraint, bounds=function(constraint.bounds))
        return replace(self, costs=(false_positive, false_negative), constraint=constraint)

    @property
    def has_equal_costs(self) -> bool:
        """Whether the costs are the same for all labels."""
        return all((cost == cost[0]).all() for cost in self.costs)


def make_goal(
    objective: str,
    n_labels: int,
    *,
    beta: float = 1.0,
    costs: Any = (1.0, 1.0),
    constraint: Any = None,
    names: Any = None,
) -> Objective:
    """Check an objective with its parameters.

    Parameters
    ----------
    objective : str
    n_labels : int
    beta : float
    costs : pair of float or array-like of shape (n_labels,)
    constraint : None or (name, bound)
        The bound is a number, or one per label as an array or a dict by name.
    names : sequence, optional
        Of the labels.

    Returns
    -------
    Objective

    Raises
    ------
    ValueError
        If one of them is invalid.
    """
    names = list(range(n_labels)) if names is None else list(names)
    if objective not in OBJECTIVES:
        raise ValueError(
            f"objective must be one of {', '.join(OBJECTIVES)} or a callable, got {objective!r}."
        )
    if not np.isfinite(beta) or beta <= 0:
        raise ValueError(f"beta must be a positive number, got {beta!r}.")
    pair = costs if isinstance(costs, tuple | list) and len(costs) == 2 else None
    if pair is None:
        raise ValueError(
            "costs must be a pair (cost of a false positive, cost of a false negative), each a "
            f"number or one number per label, got {costs!r}."
        )
    kinds = ("false positive", "false negative")
    fp_cost, fn_cost = (
        _per_label(cost, f"the cost of a {kind}", n_labels, names, upper=np.inf)
        for cost, kind in zip(pair, kinds, strict=True)
    )
    checked = None if constraint is None else _check_constraint(constraint, n_labels, names)
    return Objective(objective, float(beta), (fp_cost, fn_cost), checked)


def _check_constraint(constraint: Any, n_labels: int, names: list[Any]) -> Constraint:
    valid = ", ".join(CONSTRAINTS)
    if not isinstance(constraint, tuple | list) or len(constraint) != 2:
        raise ValueError(
            f"constraint must be None or a pair such as ('recall', 0.95), got {constraint!r}."
        )
    name, bound = constraint
    if name not in CONSTRAINTS:
        raise ValueError(f"constraint must bound one of {valid}, got {name!r}.")
    bounds = _per_label(bound, f"the bound of the constraint on {name}", n_labels, names, upper=1.0)
    return Constraint(name, bounds)


def _per_label(
    value: Any, what: str, n_labels: int, names: list[Any], upper: float
) -> NDArray[np.float64]:
    """Return one number per label, from a number, an array or a dict by name."""
    if isinstance(value, pd.Series) and set(value.index) == set(names):
        value = value.to_dict()
    if isinstance(value, Mapping):
        if set(value) != set(names):
            raise ValueError(f"{what} is given for {sorted(map(str, value))}, labels are {names}.")
        value = [value[name] for name in names]
    array = np.asarray(value, dtype=np.float64)
    if array.ndim == 0:
        array = np.full(n_labels, float(array))
    if array.shape != (n_labels,):
        raise ValueError(f"{what} has the shape {array.shape}; there are {n_labels} labels.")
    bad = ~((array >= 0) & (array <= upper) & np.isfinite(array))
    if bad.any():
        j = int(bad.argmax())
        valid = "finite and at least 0" if np.isinf(upper) else f"between 0 and {upper:g}"
        raise ValueError(f"{what} must be {valid}, got {array[j]} for {names[j]!r}.")
    return array
