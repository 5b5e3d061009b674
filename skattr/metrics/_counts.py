"""Confusion counts of predicted labels: per cell, row, attribute and class."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np

from skattr.metrics._inputs import Array, Inputs, row_blocks
from skattr.metrics._rates import Counts


class Units(NamedTuple):
    """The positive class of each binary attribute, and each class of the others against the rest.

    Attributes
    ----------
    counts : Counts of shape (..., n_units)
    owner : ndarray of shape (n_units,), int
        The attribute of each unit; units are in the order of attributes.
    label : ndarray of shape (n_units,), int
        The position of each unit's class.
    is_binary : ndarray of shape (n_units,), bool
        Whether the attribute is binary.
    """

    counts: Counts
    owner: Array
    label: Array
    is_binary: Array


@dataclass(frozen=True)
class Confusion:
    """Confusion counts of L attributes.

    Counts may have leading axes, such as one for the samples of a bootstrap.

    Attributes
    ----------
    names : sequence of length L
    is_binary : ndarray of shape (L,), bool
    binary : Counts of shape (..., n_binary)
        Of the binary attributes.
    others : list of ndarray of shape (..., K, K)
        Confusion matrices of the other attributes, true classes down, predicted ones across.
    """

    names: Sequence[Any]
    is_binary: Array
    binary: Counts
    others: list[Array]

    @cached_property
    def known(self) -> Array:
        """Weight of the known labels of each attribute, (..., L)."""
        return self.arrange(
            self.binary.P + self.binary.N, [matrix.sum(axis=(-2, -1)) for matrix in self.others]
        )

    def arrange(self, binary: Array, others: Sequence[Array]) -> Array:
        """Put values of the binary and of the other attributes in the order of attributes."""
        values = np.empty((*binary.shape[:-1], len(self.is_binary)))
        values[..., self.is_binary] = binary
        for j, value in zip(np.flatnonzero(~self.is_binary), others, strict=True):
            values[..., j] = value
        return values

    @cached_property
    def units(self) -> Units:
        """The one-vs-rest counts of the classes that are present."""
        columns = np.flatnonzero(self.is_binary)
        parts = [(self.binary, columns, np.ones(len(columns), dtype=np.intp))]
        for j, matrix in zip(np.flatnonzero(~self.is_binary), self.others, strict=True):
            counts, label = _against_the_rest(matrix)
            parts.append((counts, np.full(len(label), j), label))
        owner = np.concatenate([part[1] for part in parts])
        order = np.argsort(owner, kind="stable")
        counts = Counts(
            *(
                np.concatenate(arrays, axis=-1)[..., order]
                for arrays in zip(*(part[0] for part in parts), strict=True)
            )
        )
        label = np.concatenate([part[2] for part in parts])[order]
        return Units(counts, owner[order], label, self.is_binary[owner[order]])

    def matrix(self, attribute: int) -> Array:
        """Return the confusion matrix of an attribute."""
        before = int(np.count_nonzero(self.is_binary[:attribute]))
        if not self.is_binary[attribute]:
            return self.others[attribute - before]
        tp, fn, fp, tn = self.binary.take(before)
        return np.array([[tn, fp], [fn, tp]], dtype=np.float64)


def _against_the_rest(matrix: Array) -> tuple[Counts, Array]:
    """Return the counts and positions of the classes that are present in some matrix."""
    tp = np.diagonal(matrix, axis1=-2, axis2=-1)
    # Sums of what is wrong: the difference of the sums of rows and of the diagonal would not be
    # exactly 0 for weights, and 0 decides what is defined.
    wrong = matrix * ~np.eye(matrix.shape[-1], dtype=bool)
    fn, fp = wrong.sum(axis=-1), wrong.sum(axis=-2)
    tn = np.maximum(matrix.sum(axis=(-2, -1))[..., np.newaxis] - tp - fn - fp, 0)
    is_present = (tp + fn + fp > 0).reshape(-1, tp.shape[-1]).any(axis=0)
    return Counts(tp, fn, fp, tn).take(is_present), np.flatnonzero(is_present)


def count_cells(
    positive: Array,
    negative: Array,
    predicted: Array,
    total: Callable[[Array], Array] | None = None,
) -> Counts:
    """Count cells by what they are and were predicted to be.

    Parameters
    ----------
    positive, negative : ndarray of shape (n,) or (n, L)
        Where a label is known to be positive, and negative, as bools; or what each cell weighs
        as a positive and as a negative, as floats. Missing labels are in neither.
    predicted : ndarray of shape (n,) or (n, L), bool
    total : callable, optional
        From cells, as bools or weights, to their sums. The default sums over rows.

    Returns
    -------
    Counts
    """
    total = sums_of_cells if total is None else total
    not_predicted = ~predicted

    def count(side: Array, where: Array) -> Array:
        return total(side & where if side.dtype == bool else np.where(where, side, 0.0))

    # Four sums instead of two and their differences, which would not be exactly 0 for weights.
    return Counts(
        count(positive, predicted),
        count(positive, not_predicted),
        count(negative, predicted),
        count(negative, not_predicted),
    )


def sums_of_cells(
    cells: Array, weights: Array | None = None, rows: slice = slice(None), axis: int = 0
) -> Array:
    """Return the sums of a block's cells over its rows (axis 0) or along them (axis 1).

    Parameters
    ----------
    cells : ndarray of shape (n,) or (n, L)
        Bools, of at most 2^24 rows and columns, or weights.
    weights : ndarray of shape (n_all, 1) or (n_all, L), optional
        Weights of all rows; those of the block are ``weights[rows]``.
    rows : slice
    axis : {0, 1}

    Returns
    -------
    ndarray
    """
    if weights is not None and weights.shape[1] == 1 and axis == 0:
        return np.asarray(weights[rows, 0] @ cells.astype(np.float64))
    if weights is not None:
        cells = cells * weights[rows]
    if cells.dtype != bool:
        return np.asarray(cells.sum(axis=axis))
    # A product with ones takes 2/5 of the time of a sum of bools. float32 is exact to 2^24.
    ones = np.ones(cells.shape[axis], dtype=np.float32)
    numbers = cells.astype(np.float32)
    sums: Array = ones @ numbers if axis == 0 else numbers @ ones
    return sums.astype(np.float64)


def confusion_of(inputs: Inputs) -> Confusion:
    """Count the known labels of each attribute by their true and their predicted class."""
    predicted = _predicted(inputs)
    binary, codes, weights = inputs.binary, inputs.binary_codes(), inputs.binary_weights()
    guesses = predicted if binary.all() else predicted[:, binary]
    sums = np.zeros((4, codes.shape[1]))
    for rows in row_blocks(*codes.shape):
        sums += count_cells(
            codes[rows] == 1,
            codes[rows] == 0,
            guesses[rows] == 1,
            partial(sums_of_cells, weights=weights, rows=rows),
        )
    others = []
    for j in np.flatnonzero(~binary):
        known, cells, n_classes = cells_of(inputs, j)
        counts = np.bincount(cells, inputs.weight_of(j, known), minlength=n_classes**2)
        others.append(counts.reshape(n_classes, n_classes).astype(np.float64))
    return Confusion(inputs.names, binary, Counts(*sums), others)


def cells_of(inputs: Inputs, attribute: Any) -> tuple[Array, Array, int]:
    """Return an attribute's known rows, their cells of its flat confusion matrix, and its width."""
    predicted = _predicted(inputs)
    known = np.flatnonzero(inputs.codes[:, attribute] >= 0)
    n_classes = len(inputs.classes[attribute])
    cells = inputs.codes[known, attribute] * np.int64(n_classes) + predicted[known, attribute]
    return known, cells, n_classes


def counts_of_rows(inputs: Inputs) -> tuple[Counts, Array]:
    """Return the counts of each row, and the weight of its known labels.

    A label of an attribute that is not binary is one true positive if it is predicted, else a
    false negative and a false positive.
    """
    predicted = _predicted(inputs)
    binary, weights = inputs.binary, inputs.weights
    sums, known_weight = np.zeros((4, len(inputs.codes))), np.zeros(len(inputs.codes))
    for rows in row_blocks(*inputs.codes.shape):
        total = partial(sums_of_cells, weights=weights, rows=rows, axis=1)
        codes, guesses = inputs.codes[rows], predicted[rows]
        known, is_right = codes >= 0, codes == guesses
        positive = (codes == 1) if binary.all() else known & ((codes == 1) | ~binary)
        said = (guesses == 1) if binary.all() else np.where(binary, guesses == 1, is_right)
        sums[:, rows] = count_cells(positive, known & ~positive, said, total)
        if not binary.all():
            sums[2, rows] += total(known & ~is_right & ~binary)
        known_weight[rows] = total(known)
    return Counts(*sums), known_weight


def _predicted(inputs: Inputs) -> Array:
    assert inputs.predicted is not None
    return inputs.predicted
