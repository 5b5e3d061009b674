"""Metrics of ordinal attributes, whose levels have an order."""

from typing import Any, Unpack

import numpy as np

from skattr.metrics._averages import UnitScores, check_average
from skattr.metrics._counts import confusion_of
from skattr.metrics._inputs import Array, Inputs, label_inputs
from skattr.metrics._options import Options, documented
from skattr.metrics._rates import divide


@documented
def mean_absolute_error(
    y_true: Any, y_pred: Any, *, average: str | None = "macro", **options: Unpack[Options]
) -> Any:
    """Mean number of levels between the predicted and the known label.

    Attributes that are not ordinal are left out. At least one must be ordinal.

    Parameters
    ----------
    {labels}
    average : {"macro", "micro", "weighted"} or None, default="macro"
        Mean over ordinal attributes; over their known entries ("micro" and "weighted"); or one
        value per attribute, NaN for those that are not ordinal.
    {options}

    {returns}

    Examples
    --------
    >>> from skattr.metrics import mean_absolute_error
    >>> age = {"y0": ("ordinal", ["young", "middle", "old"])}
    >>> mean_absolute_error(["old", "old", None], ["young", "old", "old"], attributes=age)
    1.0
    """
    check_average(average, "macro", "micro", "weighted")
    inputs = label_inputs(y_true, y_pred, **options)
    matrices = _ordinal_matrices(inputs)
    values = [
        divide(np.sum(matrix * _distance(matrix)), matrix.sum()) for matrix in matrices.values()
    ]
    average = "weighted" if average == "micro" else average
    return _average("Mean absolute error", values, matrices, inputs, average, "no known label")


@documented
def quadratic_kappa(
    y_true: Any, y_pred: Any, *, average: str | None = "macro", **options: Unpack[Options]
) -> Any:
    """Agreement beyond chance, weighted by squared distances between levels (Cohen, 1968).

    Undefined where one level is both the only known and the only predicted one. Attributes that
    are not ordinal are left out. At least one must be ordinal.

    Parameters
    ----------
    {labels}
    average : {"macro", "weighted"} or None, default="macro"
        Mean over ordinal attributes; mean weighted by their known entries; or one value per
        attribute, NaN for those that are not ordinal.
    {options}

    {returns}

    Examples
    --------
    >>> from skattr.metrics import quadratic_kappa
    >>> age = {"y0": ("ordinal", ["young", "middle", "old"])}
    >>> y = ["young", "middle", "old", None]
    >>> quadratic_kappa(y, ["young", "old", "old", "old"], attributes=age)
    0.8
    """
    check_average(average, "macro", "weighted")
    inputs = label_inputs(y_true, y_pred, **options)
    matrices = _ordinal_matrices(inputs)
    values = [_kappa(matrix) for matrix in matrices.values()]
    return _average("Kappa", values, matrices, inputs, average, "one level only")


def _ordinal_matrices(inputs: Inputs) -> dict[int, Array]:
    """Return the confusion matrices of the ordinal attributes by position."""
    positions = [j for j, kind in enumerate(inputs.kinds) if kind == "ordinal"]
    if not positions:
        raise ValueError(
            f"None of the attributes {inputs.names} is ordinal; declare the order of levels in "
            "`attributes`, as in {'age': ('ordinal', ['young', 'old'])}, or pass an ordered "
            "categorical."
        )
    confusion = confusion_of(inputs)
    return {j: confusion.matrix(j) for j in positions}


def _distance(matrix: Array) -> Array:
    levels = np.arange(len(matrix))
    return np.asarray(np.abs(levels[:, np.newaxis] - levels))


def _kappa(matrix: Array) -> float:
    if not matrix.any():
        return float("nan")
    disagreement = _distance(matrix) ** 2
    chance = np.outer(matrix.sum(axis=1), matrix.sum(axis=0)) / matrix.sum()
    return float(1 - divide(np.sum(disagreement * matrix), np.sum(disagreement * chance)))


def _average(
    metric: str,
    values: list[Any],
    matrices: dict[int, Array],
    inputs: Inputs,
    average: str | None,
    reason: str,
) -> Any:
    names = [inputs.names[j] for j in matrices]
    known = np.array([matrix.sum() for matrix in matrices.values()])
    scores = UnitScores(metric, names, np.array(values), np.arange(len(names)), known, reason)
    result = scores.average(average)
    if average is not None:
        return result
    per_attribute = np.full(len(inputs.names), np.nan)
    per_attribute[list(matrices)] = result
    return per_attribute
