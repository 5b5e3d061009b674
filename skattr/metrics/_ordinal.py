"""Metrics of ordinal attributes, whose levels have an order, over known entries only."""

from typing import Any

import numpy as np

from skattr.metrics._averages import average_units, check_average, shared_parameters
from skattr.metrics._counts import confusion_matrices
from skattr.metrics._inputs import Array, Declared, Inputs, label_inputs


@shared_parameters
def mean_absolute_error(
    y_true: Any,
    y_pred: Any,
    *,
    average: str | None = "macro",
    sample_weight: Any = None,
    label_weight: Any = None,
    attributes: Declared = None,
    missing_label: Any = None,
) -> Any:
    """Mean number of levels between the predicted and the known label.

    Parameters
    ----------
    y_true, y_pred
        As for :func:`precision_score`. Attributes that are not ordinal are left out.
    average : {"macro", "micro", "weighted"} or None, default="macro"
        The mean over ordinal attributes; over their known entries ("micro" and "weighted"); or
        one value per attribute, NaN for those that are not ordinal.
    {shared}

    Returns
    -------
    float, or ndarray of shape (n_attributes,)

    Raises
    ------
    ValueError
        If no attribute is ordinal.

    Examples
    --------
    >>> from skattr.metrics import mean_absolute_error
    >>> age = {"y0": ("ordinal", ["young", "middle", "old"])}
    >>> mean_absolute_error(["old", "old", None], ["young", "old", "old"], attributes=age)
    1.0
    """
    check_average(average, "macro", "micro", "weighted")
    inputs = label_inputs(y_true, y_pred, sample_weight, label_weight, attributes, missing_label)
    matrices = _ordinal_matrices(inputs)
    sums = np.array([np.sum(matrix * _distance(matrix)) for matrix in matrices.values()])
    return _over_ordinal(
        "Mean absolute error", sums, matrices, inputs, average, is_sum=True, why="no known label"
    )


@shared_parameters
def quadratic_kappa(
    y_true: Any,
    y_pred: Any,
    *,
    average: str | None = "macro",
    sample_weight: Any = None,
    label_weight: Any = None,
    attributes: Declared = None,
    missing_label: Any = None,
) -> Any:
    """Agreement beyond chance, levels apart counting by their squared distance (Cohen, 1968).

    Undefined where one level is both the only known and the only predicted one.

    Parameters
    ----------
    y_true, y_pred
        As for :func:`mean_absolute_error`.
    average : {"macro", "weighted"} or None, default="macro"
        The mean over ordinal attributes; the mean by their known entries; or one value per
        attribute, NaN for those that are not ordinal.
    {shared}

    Returns
    -------
    float, or ndarray of shape (n_attributes,)

    Raises
    ------
    ValueError
        If no attribute is ordinal.

    Examples
    --------
    >>> from skattr.metrics import quadratic_kappa
    >>> age = {"y0": ("ordinal", ["young", "middle", "old"])}
    >>> y = ["young", "middle", "old", None]
    >>> quadratic_kappa(y, ["young", "old", "old", "old"], attributes=age)
    0.8
    """
    check_average(average, "macro", "weighted")
    inputs = label_inputs(y_true, y_pred, sample_weight, label_weight, attributes, missing_label)
    matrices = _ordinal_matrices(inputs)
    values = np.array([_kappa(matrix) for matrix in matrices.values()])
    return _over_ordinal(
        "Kappa", values, matrices, inputs, average, is_sum=False, why="one level only"
    )


def _ordinal_matrices(inputs: Inputs) -> dict[int, Array]:
    """Return the confusion matrices of the ordinal attributes by position."""
    found = [j for j, kind in enumerate(inputs.kinds) if kind == "ordinal"]
    if not found:
        raise ValueError(
            f"None of the attributes {inputs.names} is ordinal; declare the order of levels in "
            "`attributes`, as in {'age': ('ordinal', ['young', 'old'])}, or pass an ordered "
            "categorical."
        )
    matrices = confusion_matrices(inputs)
    return {j: matrices[j] for j in found}


def _distance(matrix: Array) -> Array:
    levels = np.arange(len(matrix))
    return np.asarray(np.abs(levels[:, np.newaxis] - levels))


def _kappa(matrix: Array) -> float:
    if not matrix.any():
        return float("nan")
    disagreement = _distance(matrix) ** 2
    chance = np.outer(matrix.sum(axis=1), matrix.sum(axis=0)) / matrix.sum()
    expected = np.sum(disagreement * chance)
    return float(1 - np.sum(disagreement * matrix) / expected) if expected > 0 else float("nan")


def _over_ordinal(
    metric: str,
    values: Array,
    matrices: dict[int, Array],
    inputs: Inputs,
    average: str | None,
    *,
    is_sum: bool,
    why: str,
) -> Any:
    known = np.array([matrix.sum() for matrix in matrices.values()])
    if is_sum:
        values = np.divide(values, known, out=np.full(len(values), np.nan), where=known > 0)
    names = [inputs.names[j] for j in matrices]
    average = "weighted" if average == "micro" else average
    result = average_units(values, np.arange(len(names)), known, average, names, metric, why)
    if average is not None:
        return result
    all_values = np.full(len(inputs.names), np.nan)
    all_values[list(matrices)] = result
    return all_values
