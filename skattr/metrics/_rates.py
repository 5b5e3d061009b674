"""Rates of confusion counts, with one rule for 0 / 0.

This is the only place where precision, recall, F-beta and their kin are computed: metrics,
reports, bootstrap intervals, evaluation protocols and the threshold search all use it.

A rate is undefined, and NaN, where the known labels cannot define it: recall, F-beta and Jaccard
without a known positive, specificity without a known negative, balanced accuracy and Matthews'
correlation without both. Where only the predictions leave 0 / 0, as precision does if nothing is
predicted, the rate is 0. Whoever needs a number for every 0 / 0 instead passes `undefined`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Fraction = Callable[[Any, Any, Any, Any], tuple[Any, Any]]


class Counts(NamedTuple):
    """Weights of true and false positives and negatives, numbers or arrays of one shape."""

    tp: Any
    fn: Any
    fp: Any
    tn: Any

    @property
    def P(self) -> Any:
        """Weight of the known positives."""
        return self.tp + self.fn

    @property
    def N(self) -> Any:
        """Weight of the known negatives."""
        return self.fp + self.tn

    @property
    def predicted(self) -> Any:
        """Weight of the predicted positives."""
        return self.tp + self.fp

    def take(self, columns: Any) -> "Counts":
        """Return the counts of some columns."""
        return Counts(*(part[..., columns] for part in self))

    def pooled(self) -> "Counts":
        """Return the sums over columns."""
        return Counts(*(part.sum(axis=-1) for part in self))


@dataclass(frozen=True)
class Rate:
    """A rate as a function of confusion counts, for numbers and arrays alike.

    Attributes
    ----------
    fraction : callable
        From true positives, false positives, positives and negatives to numerator and
        denominator. These four are the arguments because a search over thresholds has them at
        hand: only the first two change with the threshold.
    needs_positives, needs_negatives : bool
        Whether the rate is undefined without a known positive, without a known negative.
    """

    fraction: Fraction
    needs_positives: bool = False
    needs_negatives: bool = False

    def __call__(self, tp: Any, fp: Any, P: Any, N: Any, undefined: float | None = None) -> Any:
        """Return the rate.

        Parameters
        ----------
        tp, fp, P, N : float or ndarray
            True positives, false positives, positives and negatives. A rate of positives alone
            (precision, recall, F-beta, Jaccard) does not look at N.
        undefined : float, optional
            The value of every 0 / 0, instead of the rule of this module.

        Returns
        -------
        float or ndarray
        """
        values = divide(*self.fraction(tp, fp, P, N), 0.0 if undefined is None else undefined)
        if undefined is not None:
            return values
        return np.where(self.is_defined(P, N), values, np.nan)[()]

    def of(self, counts: Counts, undefined: float | None = None) -> Any:
        """Return the rate of confusion counts."""
        return self(counts.tp, counts.fp, counts.P, counts.N, undefined)

    def is_defined(self, P: Any, N: Any) -> Any:
        """Tell where the known labels define the rate."""
        if self.needs_positives or self.needs_negatives:
            return (not self.needs_positives or P > 0) & (not self.needs_negatives or N > 0)
        return P + N > 0


def divide(numerator: Any, denominator: Any, undefined: float = np.nan) -> Any:
    """Divide, with `undefined` where the denominator is 0."""
    denominator = np.asarray(denominator)
    # The search divides millions of numbers: a division under a mask takes twice as long.
    if denominator.size and denominator.min() > 0:
        return np.asarray(numerator / denominator)[()]
    shape = np.broadcast(numerator, denominator).shape
    values = np.full(shape, undefined, dtype=np.float64)
    return np.divide(numerator, denominator, out=values, where=denominator != 0)[()]


def harmonic_mean(first: Any, second: Any) -> Any:
    """Return the harmonic mean, 0 where both are 0 and NaN where one is NaN."""
    first, second = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    return divide(2 * first * second, first + second, 0.0)


def f_beta(beta: float) -> Rate:
    """Return the rate F-beta, (1 + beta^2) TP / (TP + FP + beta^2 P)."""
    square = float(beta) ** 2
    return Rate(
        lambda tp, fp, P, N: ((1 + square) * tp, tp + fp + square * P), needs_positives=True
    )


def _balanced_accuracy(tp: Any, fp: Any, P: Any, N: Any) -> tuple[Any, Any]:
    return divide(tp, P, 0.0) + divide(N - fp, N, 0.0), 2.0


def _matthews(tp: Any, fp: Any, P: Any, N: Any) -> tuple[Any, Any]:
    tp, fp = np.asarray(tp, dtype=np.float64), np.asarray(fp, dtype=np.float64)
    predicted = tp + fp
    # Rounding of weighted counts can make a product negative that is 0.
    product = np.maximum(predicted * (P + N - predicted) * P * N, 0)
    return tp * N - fp * P, np.sqrt(product)


PRECISION = Rate(lambda tp, fp, P, N: (tp, tp + fp))
RECALL = Rate(lambda tp, fp, P, N: (tp, P), needs_positives=True)
F1 = f_beta(1.0)
JACCARD = Rate(lambda tp, fp, P, N: (tp, P + fp), needs_positives=True)
SPECIFICITY = Rate(lambda tp, fp, P, N: (N - fp, N), needs_negatives=True)
FALSE_POSITIVE_RATE = Rate(lambda tp, fp, P, N: (fp, N), needs_negatives=True)
POSITIVE_SHARE = Rate(lambda tp, fp, P, N: (tp + fp, P + N))
ACCURACY = Rate(lambda tp, fp, P, N: (tp + (N - fp), P + N))
BALANCED_ACCURACY = Rate(_balanced_accuracy, needs_positives=True, needs_negatives=True)
MATTHEWS = Rate(_matthews, needs_positives=True, needs_negatives=True)


# Of attributes with more than two classes, from confusion matrices (..., K, K) with the true
# classes down. With two classes each is the rate of the same name.


def accuracy_of_classes(matrices: Array) -> Any:
    """Return the share of the known labels that are predicted, NaN without one."""
    return divide(np.trace(matrices, axis1=-2, axis2=-1), matrices.sum(axis=(-2, -1)))


def balanced_accuracy_of_classes(matrices: Array) -> Any:
    """Return the mean recall of the known classes, NaN with fewer than two of them."""
    true = matrices.sum(axis=-1)
    recalls = divide(np.diagonal(matrices, axis1=-2, axis2=-1), true, 0.0)
    n_known = np.count_nonzero(true, axis=-1)
    return np.where(n_known > 1, divide(recalls.sum(axis=-1), n_known), np.nan)[()]


def matthews_of_classes(matrices: Array) -> Any:
    """Return Gorodkin's R_K, 0 if one class only is predicted, NaN with fewer than two known."""
    true, predicted = matrices.sum(axis=-1), matrices.sum(axis=-2)
    total = true.sum(axis=-1)
    covariance = np.trace(matrices, axis1=-2, axis2=-1) * total - (true * predicted).sum(axis=-1)
    spreads = [total**2 - (part**2).sum(axis=-1) for part in (predicted, true)]
    # A class alone has spread 0, but the difference of squares of weights rounds.
    is_constant = np.count_nonzero(predicted, axis=-1) < 2
    product = np.where(is_constant, 0, np.maximum(spreads[0] * spreads[1], 0))
    values = divide(covariance, np.sqrt(product), 0.0)
    return np.where(np.count_nonzero(true, axis=-1) > 1, values, np.nan)[()]
