"""Whether scores come with their classes in the order that labels are read in."""

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

_CLEAR = 4.0  # standard deviations, at most, of the number of rows that agree


def warn_class_order(scores: Scores, codes: NDArray[Any], encoder: AttributeEncoder) -> None:
    """Warn if the scores of an attribute fit its labels far better in another order of classes.

    Labels do not tell the order of levels: if none is declared they are read in sorted order,
    while the classifier may have been told of another one.

    Parameters
    ----------
    scores : Scores
        A score that is NaN does not count.
    codes : ndarray of shape (n, n_outputs), int
        -1 where unknown.
    encoder : AttributeEncoder
        The one that made the codes.

    Warns
    -----
    ClassOrderWarning
    """
    names = encoder.output_names_
    declared = by_attribute_name(encoder.attributes, names, "attributes")
    for j, part in _columns(scores, encoder):
        if names[j] in declared or encoder.kinds_[j] == "ordinal":
            continue
        known = (codes[:, j] >= 0) & ~np.isnan(part).any(axis=1)
        order = better_order(codes[known, j], part[known].argmax(axis=1), part.shape[1])
        if order is None:
            continue
        classes = encoder.classes_[j]
        warnings.warn(
            f"The scores of {names[j]!r} fit its labels far better if its classes "
            f"stand in the order {classes[order].tolist()} than in the order "
            f"{classes.tolist()}, in which they are read from y. Declare their order as that of "
            "the classifier in `attributes`: ('categorical', [classes in order]).",
            ClassOrderWarning,
            stacklevel=find_stack_level(),
        )


def _columns(scores: Scores, encoder: AttributeEncoder) -> Iterator[tuple[int, NDArray[Any]]]:
    """Yield attributes with a column of scores per class, but for those of two numbers."""
    binary, others = iter(scores.binary.T), iter(scores.others)
    for j, (two, classes) in enumerate(zip(is_binary(encoder), encoder.classes_, strict=True)):
        part = next(binary) if two else next(others)
        if not two:
            yield j, part
        elif classes.dtype.kind in "UO":
            yield j, np.stack([1 - part if scores.is_proba else -part, part], axis=1)


def better_order(
    codes: NDArray[Any], chosen: NDArray[np.intp], n_classes: int
) -> NDArray[np.intp] | None:
    """Return an order of the classes in which choices agree with labels far more often.

    It is found in one half of the rows and has to prove itself in the other.

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
        The class that each column seems to stand for; None if that is no other than its own, or
        not clear.

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
    shares = first / first.sum(axis=1, keepdims=True).clip(1)  # frequent classes count no more
    rows, columns = linear_sum_assignment(shares, maximize=True)
    gain = second[rows, columns].sum() - second.trace()
    if gain <= _CLEAR * np.sqrt(second.sum()):
        return None
    return np.argsort(columns)
