"""What is right and wrong: confusion matrices, units, and averages of their ratios."""

from collections.abc import Callable
from numbers import Real
from typing import Any, NamedTuple

import numpy as np

from skattr.metrics._averages import average_units, check_average, warn
from skattr.metrics._inputs import Array, Inputs, row_blocks, weighted_sum

Share = Callable[[Any, Any, Any], tuple[Any, Any]]
_ALL = ("macro", "micro", "weighted", "samples")
NO_LABEL, NO_POSITIVE = "no known label", "no known positive"
ONE_CLASS = "fewer than two classes among the known labels"


class Units(NamedTuple):
    """Weights of true and false positives and negatives of each unit, as arrays.

    `owner` is the attribute of a unit, `label` the position of its class.
    """

    tp: Array
    fn: Array
    fp: Array
    tn: Array
    owner: Array
    label: Array


def confusion_matrices(inputs: Inputs) -> list[Array]:
    """Return each attribute's confusion matrix, true classes down, predicted ones across."""
    assert inputs.predicted is not None
    matrices = [np.zeros((len(labels), len(labels))) for labels in inputs.classes]
    two, codes, weights = inputs.two, inputs.binary_codes(), inputs.binary_weights()
    predicted = inputs.predicted if two.all() else inputs.predicted[:, two]
    tables = np.zeros((2, 2, codes.shape[1]))
    for rows in row_blocks(*codes.shape):
        said = predicted[rows] == 1
        for label in (0, 1):
            true = codes[rows] == label
            tables[label, 0] += weighted_sum(true & ~said, weights, rows)
            tables[label, 1] += weighted_sum(true & said, weights, rows)
    for i, j in enumerate(np.flatnonzero(two)):
        matrices[j] = tables[:, :, i]
    for j in np.flatnonzero(~two):
        known = np.flatnonzero(inputs.codes[:, j] >= 0)
        n = len(inputs.classes[j])
        cells = inputs.codes[known, j] * n + inputs.predicted[known, j]
        counts = np.bincount(cells, inputs.weight_of(j, known), minlength=n * n)
        matrices[j] = counts.reshape(n, n).astype(np.float64)
    return matrices


def units_of(inputs: Inputs) -> Units:
    """Return the counts of the positive class, or of each present class against the rest."""
    matrices, two = confusion_matrices(inputs), inputs.two
    parts = []
    for j, matrix in enumerate(matrices):
        true, said = matrix.sum(axis=1), matrix.sum(axis=0)
        label = np.array([1]) if two[j] else np.flatnonzero(true + said > 0)
        tp = matrix[label, label]
        wrong = matrix - np.diag(np.diag(matrix))  # differences of sums would not be exactly 0
        fn, fp = wrong.sum(axis=1)[label], wrong.sum(axis=0)[label]
        tn = matrix[0, :1] if two[j] else np.maximum(matrix.sum() - tp - fn - fp, 0)
        parts.append((tp, fn, fp, tn, np.full(len(label), j), label))
    return Units(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def matrix_score(
    metric: str,
    value: Callable[[Array], float],
    inputs: Inputs,
    average: str | None,
    why: str,
) -> Any:
    """Average a function of confusion matrices, NaN where it is undefined.

    Pooled, it is the function of the sum of the units' two by two matrices.
    """
    check_average(average, "macro", "micro", "weighted")
    if average == "micro":
        units = units_of(inputs)
        pooled = value(
            np.array([[units.tn.sum(), units.fp.sum()], [units.fn.sum(), units.tp.sum()]])
        )
        if np.isnan(pooled):
            warn(f"{metric} is undefined for all entries pooled ({why}).")
        return pooled
    values = np.array([value(matrix) for matrix in confusion_matrices(inputs)])
    owner = np.arange(len(values))
    weights = inputs.known_weight()
    return average_units(values, owner, weights, average, inputs.names, metric, why)


def balanced_accuracy(matrix: Array) -> float:
    """Return the mean recall of the known classes, NaN with fewer than two."""
    true = matrix.sum(axis=1)
    known = true > 0
    if known.sum() < 2:
        return float("nan")
    return float(np.mean(np.diag(matrix)[known] / true[known]))


def matthews(matrix: Array) -> float:
    """Return the correlation of true and predicted classes, NaN with fewer than two known."""
    true, said, total = matrix.sum(axis=1), matrix.sum(axis=0), matrix.sum()
    if (true > 0).sum() < 2:
        return float("nan")
    if (said > 0).sum() < 2:
        return 0.0
    covariance = np.trace(matrix) * total - true @ said
    return float(covariance / np.sqrt((total**2 - said @ said) * (total**2 - true @ true)))


def precision(tp: Any, fn: Any, fp: Any) -> tuple[Any, Any]:
    """Return numerator and denominator."""
    return tp, tp + fp


def f1(tp: Any, fn: Any, fp: Any) -> tuple[Any, Any]:
    """Return numerator and denominator."""
    return 2 * tp, 2 * tp + fn + fp


def accuracy(metric: str, inputs: Inputs, average: str | None, is_loss: bool = False) -> Any:
    """Average the share of known entries that are predicted, or are not."""
    check_average(average, *_ALL)
    assert inputs.predicted is not None
    by_column = np.zeros((2, len(inputs.names)))
    by_row = np.zeros((2, len(inputs.codes)))
    for rows in row_blocks(*inputs.codes.shape):
        known = inputs.codes[rows] >= 0
        counted = known & ((inputs.codes[rows] == inputs.predicted[rows]) ^ is_loss)
        for i, entries in enumerate((counted, known)):
            if average == "samples":
                by_row[i, rows] = weighted_sum(entries, inputs.weights, rows, axis=1)
            else:
                by_column[i] += weighted_sum(entries, inputs.weights, rows)
    if average == "samples":
        top, bottom = by_row
        return _mean_of_rows(metric, top, bottom, bottom > 0, inputs, 0.0, is_quiet=True)
    if average == "micro":
        counted_weight, known_weight = by_column.sum(axis=1)
        return float(counted_weight / known_weight) if known_weight > 0 else float("nan")
    top, bottom = by_column
    values = np.divide(top, bottom, out=np.full(len(top), np.nan), where=bottom > 0)
    owner = np.arange(len(values))
    return average_units(values, owner, bottom, average, inputs.names, metric, NO_LABEL)


def share_score(
    metric: str, share: Share, inputs: Inputs, average: str | None, zero_division: Any
) -> Any:
    """Average a ratio of true positives, false negatives and false positives."""
    check_average(average, *_ALL)
    is_number = isinstance(zero_division, Real) and not isinstance(zero_division, bool)
    if zero_division != "warn" and not (
        is_number and (zero_division in (0, 1) or np.isnan(float(zero_division)))
    ):
        raise ValueError(f"`zero_division` must be 'warn', 0, 1 or nan, got {zero_division!r}.")
    warns = not is_number
    fill = 0.0 if warns else float(zero_division)
    if average == "samples":
        *counts, known = _counts_of_rows(inputs)
        top, bottom = share(*counts)
        return _mean_of_rows(metric, top, bottom, known > 0, inputs, fill, is_quiet=not warns)
    units = units_of(inputs)
    needs_positives = share is not precision
    if average == "micro":
        tp, fn, fp = units.tp.sum(), units.fn.sum(), units.fp.sum()
        top, bottom = share(tp, fn, fp)
        is_undefined = warns and needs_positives and tp + fn == 0
        if warns and (bottom == 0 or is_undefined):
            value = "NaN" if is_undefined else "0"
            warn(f"{metric} of all entries pooled divides by zero; it is {value}.")
        if is_undefined:
            return float("nan")
        return float(top / bottom) if bottom else fill
    top, bottom = share(units.tp, units.fn, units.fp)
    values = np.divide(top, bottom, out=np.full(len(top), fill), where=bottom > 0)
    empty = inputs.known_weight() == 0
    lacking = (units.tp + units.fn == 0) & inputs.two[units.owner] & needs_positives & warns
    values[empty[units.owner] | lacking] = np.nan
    zero = (bottom == 0) & ~np.isnan(values)
    filled = [inputs.names[j] for j in np.unique(units.owner[zero])] if warns else []
    why = NO_POSITIVE if needs_positives and warns else NO_LABEL
    support = units.tp + units.fn
    return average_units(
        values,
        units.owner,
        support,
        average,
        inputs.names,
        metric,
        why,
        filled,
        None if warns else empty,
    )


def _counts_of_rows(inputs: Inputs) -> tuple[Array, Array, Array, Array]:
    """Return each row's true positives, false negatives, false positives and known entries."""
    assert inputs.predicted is not None
    two = inputs.two
    counts = np.zeros((4, len(inputs.codes)))
    for rows in row_blocks(*inputs.codes.shape):
        codes, predicted = inputs.codes[rows], inputs.predicted[rows]
        known = codes >= 0
        right = codes == predicted
        true = known & ((codes == 1) | ~two)
        said = known & ((predicted == 1) | ~two)
        for i, entries in enumerate((true & right, true & ~right, said & ~right, known)):
            counts[i, rows] = weighted_sum(entries, inputs.weights, rows, axis=1)
    return counts[0], counts[1], counts[2], counts[3]


def _mean_of_rows(
    metric: str,
    top: Array,
    bottom: Array,
    known: Array,
    inputs: Inputs,
    fill: float,
    *,
    is_quiet: bool,
) -> float:
    """Average the ratios of the rows that have a known label, `fill` for 0 / 0."""
    values = np.divide(top, bottom, out=np.full(len(top), fill), where=bottom > 0)
    zero = known & (bottom == 0)
    if zero.any() and not is_quiet:
        warn(
            f"{metric} divides by zero in {zero.sum()} of {known.sum()} rows, which count as 0; "
            "use `zero_division` to choose another value."
        )
    known = known & ~np.isnan(values)
    if not known.any():
        return float("nan")
    weights = None if inputs.row_weights is None else inputs.row_weights[known]
    return float(np.average(values[known], weights=weights))
