"""From logits to probabilities, codes and the columns of `transform`, in numpy."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_softmax, softmax

Floats = NDArray[np.floating[Any]]


class Layout(Protocol):
    """What is needed of :class:`skattr.nn.BranchLayout`."""

    @property
    def n_classes(self) -> tuple[int, ...]:
        """Classes per attribute."""

    @property
    def slices(self) -> tuple[slice, ...]:
        """Logit columns of each attribute."""


def probabilities(logits: Floats, layout: Layout) -> list[Floats]:
    """Return the class probabilities of each attribute, (n, n_classes), in the user's order."""
    return [
        _probabilities(logits[:, columns], n_classes)
        for columns, n_classes in zip(layout.slices, layout.n_classes, strict=True)
    ]


def _probabilities(logits: Floats, n_classes: int) -> Floats:
    if n_classes == 1:
        return np.ones((len(logits), 1), dtype=logits.dtype)
    if logits.shape[1] == 1:
        return np.concatenate([expit(-logits), expit(logits)], axis=1)
    result: Floats = softmax(logits, axis=1)
    return result


def columns_of(
    logits: Floats, layout: Layout, kinds: Sequence[str], output: str = "proba"
) -> Floats:
    """Return one column per binary attribute, one per class of the others.

    Parameters
    ----------
    logits : ndarray of shape (n, n_logits)
    layout : Layout
    kinds : sequence of str
        Kind of each attribute.
    output : {"proba", "logit"}
        Probabilities, or log odds (binary) and log probabilities (other kinds).

    Returns
    -------
    ndarray of shape (n, n_columns)
    """
    parts = []
    for columns, n_classes, kind in zip(layout.slices, layout.n_classes, kinds, strict=True):
        part = logits[:, columns]
        is_pair = kind == "binary" and n_classes == 2
        if output == "proba":
            part = _probabilities(part, n_classes)
            part = part[:, 1:] if is_pair else part
        elif n_classes == 1:
            part = np.zeros((len(logits), 1), dtype=logits.dtype)
        elif is_pair:
            part = part[:, 1:] - part[:, :1] if part.shape[1] == 2 else part
        elif part.shape[1] == 1:
            part = np.concatenate([-np.logaddexp(0, part), -np.logaddexp(0, -part)], axis=1)
        else:
            part = log_softmax(part, axis=1)
        parts.append(part)
    return np.concatenate(parts, axis=1)


def column_names(
    names: Sequence[Any], classes: Sequence[NDArray[Any]], kinds: Sequence[str]
) -> NDArray[np.object_]:
    """Return the names of :func:`columns_of`: "hat", or "colour=red" for each class."""
    result: list[str] = []
    for name, levels, kind in zip(names, classes, kinds, strict=True):
        if kind == "binary" and len(levels) == 2:
            result.append(str(name))
        else:
            result.extend(f"{name}={level}" for level in levels)
    return np.array(result, dtype=object)
