"""Objectives and constraints of the threshold search, as functions of confusion counts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skattr._targets.alignment import dict_if_named
from skattr.metrics._rates import (
    ACCURACY,
    BALANCED_ACCURACY,
    F1,
    FALSE_POSITIVE_RATE,
    JACCARD,
    MATTHEWS,
    POSITIVE_SHARE,
    PRECISION,
    RECALL,
    SPECIFICITY,
    Rate,
    f_beta,
)

Array = NDArray[Any]
Metric = Callable[[Any, Any, Any, Any], Any]


def _negative_cost(false_positive: Any, false_negative: Any) -> Rate:
    """Return minus the mean cost of a label."""
    return Rate(lambda tp, fp, P, N: (-(false_positive * fp + false_negative * (P - tp)), P + N))


_RATES = {
    "f1": F1,
    "precision": PRECISION,
    "recall": RECALL,
    "balanced_accuracy": BALANCED_ACCURACY,
    "accuracy": ACCURACY,
    "jaccard": JACCARD,
    "mcc": MATTHEWS,
}
OBJECTIVES = ("f1", "fbeta", *list(_RATES)[1:], "cost")
# The search skips the count of negatives for these, which do not look at it.
WITHOUT_NEGATIVES = ("f1", "fbeta", "precision", "recall", "jaccard")

# Rate of a constraint, and whether its bound is a lower one. 0 / 0 is 0, so that a threshold
# which predicts nothing meets no lower bound on precision.
CONSTRAINTS: dict[str, tuple[Metric, bool]] = {
    "precision": (partial(PRECISION, undefined=0.0), True),
    "recall": (partial(RECALL, undefined=0.0), True),
    "specificity": (partial(SPECIFICITY, undefined=0.0), True),
    "false_positive_rate": (partial(FALSE_POSITIVE_RATE, undefined=0.0), False),
    "positive_share": (partial(POSITIVE_SHARE, undefined=0.0), False),
}


@dataclass(frozen=True)
class Constraint:
    """A bound on a rate, per label.

    Attributes
    ----------
    name : str
        A key of `CONSTRAINTS`.
    bounds : ndarray of shape (n_labels,)
    """

    name: str
    bounds: NDArray[np.float64]

    def values(self, tp: Any, fp: Any, P: Any, N: Any) -> Any:
        """Return the constrained rate."""
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
    """An objective with its parameters and an optional constraint.

    Attributes
    ----------
    name : str
    beta : float
    costs : tuple of ndarray of shape (n_labels,)
        Cost of a false positive and of a false negative.
    constraint : Constraint or None
    """

    name: str
    beta: float
    costs: tuple[NDArray[np.float64], NDArray[np.float64]]
    constraint: Constraint | None

    def rate(self, labels: Any = 0) -> Rate:
        """Return the objective of some labels (one, or one per value) as a rate.

        It is undefined, and NaN, where the metrics of the same name are.
        """
        if self.name == "fbeta":
            return f_beta(self.beta)
        if self.name == "cost":
            return _negative_cost(*(cost[labels] for cost in self.costs))
        return _RATES[self.name]

    def metric(self, labels: Any = 0) -> Metric:
        """Return the function of counts to maximize for some labels (one, or one per value).

        Its 0 / 0 is 0, so that a threshold can be compared with any other.
        """
        return partial(self.rate(labels), undefined=0.0)

    def columns(self, labels: Any) -> "Objective":
        """Return the objective of some of the labels."""
        return self._with(lambda per_label: per_label[labels])

    def mean(self) -> "Objective":
        """Return the objective of one label that represents all of them."""
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


def make_objective(
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
        Names of the labels.

    Returns
    -------
    Objective

    Raises
    ------
    ValueError
        If one of the parameters is invalid.
    """
    names = list(range(n_labels)) if names is None else list(names)
    if objective not in OBJECTIVES:
        raise ValueError(
            f"objective must be one of {', '.join(OBJECTIVES)} or a callable; got {objective!r}."
        )
    if not np.isfinite(beta) or beta <= 0:
        raise ValueError(f"beta must be a positive number; got {beta!r}.")
    pair = costs if isinstance(costs, tuple | list) and len(costs) == 2 else None
    if pair is None:
        raise ValueError(
            "costs must be a pair (cost of a false positive, cost of a false negative), each a "
            f"number or one number per label; got {costs!r}."
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
            f"constraint must be None or a pair such as ('recall', 0.95); got {constraint!r}."
        )
    name, bound = constraint
    if name not in CONSTRAINTS:
        raise ValueError(f"constraint must bound one of {valid}; got {name!r}.")
    bounds = _per_label(bound, f"the bound of the constraint on {name}", n_labels, names, upper=1.0)
    return Constraint(name, bounds)


def _per_label(
    value: Any, what: str, n_labels: int, names: list[Any], upper: float
) -> NDArray[np.float64]:
    """Return one number per label, from a number, an array or a dict by name."""
    value = dict_if_named(value)
    if isinstance(value, Mapping):
        if set(value) != set(names):
            raise ValueError(
                f"{what} is given for {sorted(map(str, value))}; the labels are {names}."
            )
        value = [value[name] for name in names]
    array = np.asarray(value, dtype=np.float64)
    if array.ndim == 0:
        array = np.full(n_labels, float(array))
    if array.shape != (n_labels,):
        raise ValueError(
            f"{what} has shape {array.shape}; expected one number for each of the {n_labels} "
            "labels."
        )
    invalid = ~((array >= 0) & (array <= upper) & np.isfinite(array))
    if invalid.any():
        j = int(invalid.argmax())
        valid = "finite and at least 0" if np.isinf(upper) else f"between 0 and {upper:g}"
        raise ValueError(f"{what} must be {valid}; got {array[j]} for {names[j]!r}.")
    return array
