"""Detect class orders of scores and labels that disagree.

Probabilities have no class names, and the order of string labels is unknown unless it is
declared. Scores of a classifier that was given another order would silently be misread.
"""

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from skattr._multioutput.scores import Scores
from skattr._targets.declarations import by_attribute_name
from skattr._targets.encoder import AttributeEncoder, is_binary
from skattr._utils.warnings import find_stack_level
from skattr.exceptions import ClassOrderWarning

# The gain in agreeing rows must exceed this many standard deviations (at most: sqrt(n)) of their
# number, so that a false warning is unlikely.
_N_DEVIATIONS = 4.0


def warn_class_order(scores: Scores, codes: NDArray[Any], encoder: AttributeEncoder) -> None:
    """Warn if the scores of an attribute agree far better with its labels in another class order.

    If no order is declared, classes are in sorted order, while the classifier may have been given
    another one. Columns of a single attribute are read in sorted order even where another order
    of its levels is declared. The scores are used as they are read in any case.

    Parameters
    ----------
    scores : Scores
        Rows with NaN are ignored.
    codes : ndarray of shape (n, n_outputs), int
        -1 where a label is missing.
    encoder : AttributeEncoder
        The encoder that returned the codes.

    Warns
    -----
    ClassOrderWarning
    """
    names = encoder.output_names_
    declared = by_attribute_name(encoder.attributes, names, "attributes")
    for j, part in _columns(scores, encoder):
        known = (codes[:, j] >= 0) & ~np.isnan(part).any(axis=1)
        order = better_order(codes[known, j], part[known].argmax(axis=1), part.shape[1])
        if order is None:
            continue
        classes = encoder.classes_[j]
        # Of a single attribute, the columns of scores are in sorted order.
        columns = np.arange(len(classes)) if len(names) > 1 else np.argsort(classes)
        remedy = (
            "Declare the order of the classifier in `attributes`, such as ('categorical', [classes "
            "in order])."
        )
        if names[j] in declared or len(names) == 1:
            remedy = "Reorder the columns of the scores."
        warnings.warn(
            f"The scores of {names[j]!r} agree with its labels far better in the class order "
            f"{classes[order][columns].tolist()} than in the order {classes[columns].tolist()}, in "
            f"which they are read. {remedy}",
            ClassOrderWarning,
            stacklevel=find_stack_level(),
        )


def _columns(scores: Scores, encoder: AttributeEncoder) -> Iterator[tuple[int, NDArray[Any]]]:
    """Yield attributes and their scores per class, except binary ones with numeric labels."""
    binary, others = iter(scores.binary.T), iter(scores.others)
    for j, (is_two, classes) in enumerate(zip(is_binary(encoder), encoder.classes_, strict=True)):
        part = next(binary) if is_two else next(others)
        if not is_two:
            yield j, part
        elif classes.dtype.kind in "UO":
            yield j, np.stack([1 - part if scores.is_proba else -part, part], axis=1)


def better_order(
    codes: NDArray[Any], chosen: NDArray[np.intp], n_classes: int
) -> NDArray[np.intp] | None:
    """Return an order of the classes in which predictions agree with labels far more often.

    The order is found on one half of the rows and tested on the other half.

    Parameters
    ----------
    codes : ndarray of shape (n,), int
        The class of each row.
    chosen : ndarray of shape (n,), int
        The column of each row's highest score.
    n_classes : int

    Returns
    -------
    ndarray of shape (n_classes,), int, or None
        The class that each column seems to belong to. None if that is the given order, or if
        the difference is not significant.

    Examples
    --------
    >>> codes = np.arange(300) % 3
    >>> better_order(codes, (codes + 1) % 3, 3)
    array([2, 0, 1])
    >>> print(better_order(codes, codes, 3))
    None
    """
    first, second = (
        np.bincount(codes[half::2] * n_classes + chosen[half::2], minlength=n_classes**2)
        .reshape(n_classes, n_classes)
        .astype(np.float64)
        for half in (0, 1)
    )
    shares = first / first.sum(axis=1, keepdims=True).clip(1)  # every class has the same weight
    rows, columns = linear_sum_assignment(shares, maximize=True)
    gain = second[rows, columns].sum() - second.trace()
    if gain <= _N_DEVIATIONS * np.sqrt(second.sum()):
        return None
    return np.argsort(columns)
