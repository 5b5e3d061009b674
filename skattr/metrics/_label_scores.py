"""Scores of predicted labels, from confusion counts to averages over attributes or rows."""

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from skattr._targets.positive import warn_sorted_positives
from skattr.metrics._averages import UnitScores, check_average, mean_per_attribute, warn
from skattr.metrics._counts import Confusion, confusion_of, counts_of_rows
from skattr.metrics._inputs import Array, Inputs
from skattr.metrics._rates import (
    ACCURACY,
    BALANCED_ACCURACY,
    F1,
    JACCARD,
    MATTHEWS,
    PRECISION,
    RECALL,
    Rate,
    accuracy_of_classes,
    balanced_accuracy_of_classes,
    divide,
    matthews_of_classes,
)

NO_LABEL = "no known label"


@dataclass(frozen=True)
class ClassRateMetric:
    """A metric that is a rate of each positive class: precision, recall, F-scores, Jaccard.

    The value of an attribute that is not binary is the mean over its classes present in y_true
    or y_pred, each against the rest, as scikit-learn's ``average="macro"`` has it.

    Attributes
    ----------
    name : str
        In warnings.
    rate : Rate
    """

    name: str
    rate: Rate

    def score(self, inputs: Inputs, average: str | None, zero_division: Any = "warn") -> Any:
        """Return the average of read labels, as the public functions do."""
        warn_sorted_positives(inputs.sorted_positives)
        check_average(average, "macro", "micro", "weighted", "samples")
        undefined = _check_zero_division(zero_division)
        if average == "samples":
            counts, known = counts_of_rows(inputs)
            top, bottom = self.rate.fraction(counts.tp, counts.fp, counts.P, counts.N)
            return _mean_of_rows(self.name, top, bottom, known, inputs, undefined)
        confusion = confusion_of(inputs)
        if average == "micro":
            return self.pooled(confusion, undefined)
        return self.units(confusion, undefined).average(average)

    def per_attribute(self, confusion: Confusion) -> Array:
        """Return the values (..., L) without a warning."""
        values, owner = self._values(confusion, None), confusion.units.owner
        return mean_per_attribute(values, owner, len(confusion.names))

    def units(self, confusion: Confusion, undefined: float | None = None) -> UnitScores:
        """Return the values of all units; `undefined` is the value of 0 / 0, None the default."""
        counts, owner, _, _ = confusion.units
        values = self._values(confusion, undefined)
        warns = undefined is None
        bottom = self.rate.fraction(counts.tp, counts.fp, counts.P, counts.N)[1]
        is_filled = (bottom == 0) & ~np.isnan(values) & warns
        needs_positives = self.rate.needs_positives and warns
        return UnitScores(
            self.name,
            confusion.names,
            values,
            owner,
            counts.P,
            "no known positive" if needs_positives else NO_LABEL,
            [confusion.names[j] for j in np.unique(owner[is_filled])],
            None if warns else confusion.known == 0,
        )

    def pooled(self, confusion: Confusion, undefined: float | None = None) -> float:
        """Return the value of the sums over all units."""
        counts = confusion.units.counts.pooled()
        value = float(self.rate.of(counts, undefined))
        if undefined is None:
            bottom = self.rate.fraction(counts.tp, counts.fp, counts.P, counts.N)[1]
            if np.isnan(value):
                warn(f"{self.name} of all entries pooled is undefined (no known positive).")
            elif bottom == 0:
                warn(f"{self.name} of all entries pooled divides by zero; it is 0.")
        return value

    def _values(self, confusion: Confusion, undefined: float | None) -> Array:
        counts, owner, _, is_binary = confusion.units
        if undefined is None:
            # A class of several that is predicted only is no reason to leave the attribute out:
            # its other classes define it, and scikit-learn counts it as 0 too.
            values = np.where(is_binary, self.rate.of(counts), self.rate.of(counts, undefined=0.0))
        else:
            is_known = confusion.known[..., owner] > 0
            values = np.where(is_known, self.rate.of(counts, undefined), np.nan)
        # A sample of a bootstrap may lack a class that others have.
        is_absent = ~is_binary & (counts.P + counts.predicted == 0)
        return np.where(is_absent, np.nan, values)


@dataclass(frozen=True)
class AttributeMetric:
    """A metric of all classes of an attribute: accuracy, Matthews' correlation.

    Attributes
    ----------
    name : str
        In warnings.
    rate : Rate
        The metric of a binary attribute.
    of_classes : callable
        The metric of another attribute, from confusion matrices (..., K, K).
    pools_units : bool
        Whether "micro" pools each class against the rest, or the entries.
    """

    name: str
    rate: Rate
    of_classes: Callable[[Array], Any]
    pools_units: bool

    def score(self, inputs: Inputs, average: str | None) -> Any:
        """Return the average of read labels, as the public functions do."""
        if self.pools_units:
            check_average(average, "macro", "micro", "weighted")
        else:
            check_average(average, "macro", "micro", "weighted", "samples")
        if average == "samples":
            counts, known = counts_of_rows(inputs)
            return _mean_of_rows(self.name, counts.tp + counts.tn, known, known, inputs, 0.0)
        confusion = confusion_of(inputs)
        if average == "micro":
            return self.pooled(confusion)
        return self.units(confusion).average(average)

    def per_attribute(self, confusion: Confusion) -> Array:
        """Return the values (..., L) without a warning."""
        binary = self.rate.of(confusion.binary)
        return confusion.arrange(binary, [self.of_classes(matrix) for matrix in confusion.others])

    def units(self, confusion: Confusion) -> UnitScores:
        """Return the values of all attributes."""
        values, owner = self.per_attribute(confusion), np.arange(len(confusion.names))
        both = self.rate.needs_negatives
        reason = "fewer than two classes among the known labels" if both else NO_LABEL
        return UnitScores(self.name, confusion.names, values, owner, confusion.known, reason)

    def pooled(self, confusion: Confusion) -> float:
        """Return the value of all units, or all entries, together."""
        if not self.pools_units:
            weighted = np.nansum(self.per_attribute(confusion) * confusion.known)
            return float(divide(weighted, confusion.known.sum()))
        value = float(self.rate.of(confusion.units.counts.pooled()))
        if np.isnan(value):
            warn(f"{self.name} of all entries pooled is undefined (fewer than two known classes).")
        return value


LabelMetric = ClassRateMetric | AttributeMetric

PRECISION_METRIC = ClassRateMetric("Precision", PRECISION)
RECALL_METRIC = ClassRateMetric("Recall", RECALL)
F1_METRIC = ClassRateMetric("F1", F1)
JACCARD_METRIC = ClassRateMetric("Jaccard", JACCARD)
ACCURACY_METRIC = AttributeMetric("Accuracy", ACCURACY, accuracy_of_classes, pools_units=False)
BALANCED_ACCURACY_METRIC = AttributeMetric(
    "Balanced accuracy", BALANCED_ACCURACY, balanced_accuracy_of_classes, pools_units=True
)
MATTHEWS_METRIC = AttributeMetric(
    "Matthews' correlation", MATTHEWS, matthews_of_classes, pools_units=True
)


def _check_zero_division(zero_division: Any) -> float | None:
    """Return the number for 0 / 0, or None for "warn"."""
    if isinstance(zero_division, str) and zero_division == "warn":
        return None
    is_number = isinstance(zero_division, Real) and not isinstance(zero_division, bool)
    if is_number and (zero_division in (0, 1) or np.isnan(float(zero_division))):
        return float(zero_division)
    raise ValueError(f"`zero_division` must be 'warn', 0, 1 or nan; got {zero_division!r}.")


def _mean_of_rows(
    metric: str, top: Array, bottom: Array, known: Array, inputs: Inputs, undefined: float | None
) -> float:
    """Average the ratios of the rows that have a known label.

    A row without a positive is no reason to leave it out, as it is for an attribute: 0 / 0 is 0
    with a warning if `undefined` is None, else `undefined`.
    """
    values = divide(top, bottom, 0.0 if undefined is None else undefined)
    is_zero = (known > 0) & (bottom == 0)
    if undefined is None and is_zero.any():
        warn(
            f"{metric} divides by zero in {is_zero.sum()} of {(known > 0).sum()} rows, which "
            "count as 0; use `zero_division` to choose another value."
        )
    defined = (known > 0) & ~np.isnan(values)
    if not defined.any():
        return float("nan")
    weights = None if inputs.row_weights is None else inputs.row_weights[defined]
    return float(np.average(values[defined], weights=weights))
