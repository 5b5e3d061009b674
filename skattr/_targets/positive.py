"""Positive levels of binary attributes: how they are chosen, named and reported."""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skattr._utils.warnings import find_stack_level
from skattr.exceptions import PositiveLevelWarning

# Pairs of words of which the second is positive in every use.
_PAIRS = {
    ("0", "1"),
    ("-", "+"),
    ("n", "y"),
    ("no", "yes"),
    ("f", "t"),
    ("false", "true"),
    ("off", "on"),
    ("neg", "pos"),
    ("negative", "positive"),
    ("absent", "present"),
    ("without", "with"),
    ("disabled", "enabled"),
    ("inactive", "active"),
}
_LISTED = 10


def sort_classes(labels: NDArray[Any]) -> NDArray[Any]:
    """Return the distinct labels sorted; of a known pair the positive level is last.

    Examples
    --------
    >>> sort_classes(np.array(["no", "Yes", "no"])).tolist()
    ['no', 'Yes']
    >>> sort_classes(np.array(["no hat", "hat"])).tolist()
    ['hat', 'no hat']
    """
    classes = np.unique(labels)
    return classes[::-1] if _words(classes)[::-1] in _PAIRS else classes


def is_known_pair(classes: NDArray[Any]) -> bool:
    """Whether the second of two strings is positive by the meaning of both."""
    return _words(classes) in _PAIRS


def _words(classes: NDArray[Any]) -> tuple[str, ...]:
    labels = classes.tolist()
    if len(labels) != 2 or not all(isinstance(label, str) for label in labels):
        return ()
    return tuple(label.strip().casefold() for label in labels)


def has_plain_levels(classes: NDArray[Any]) -> bool:
    """Whether the classes of a binary attribute are 0 and 1, or False and True."""
    return classes.dtype.kind in "biuf" and np.array_equal(classes, [0, 1])


def positive_name(name: Any, classes: NDArray[Any]) -> Any:
    """Return the name of a binary attribute, followed by its positive level unless that is 1.

    Examples
    --------
    >>> positive_name("hat", np.array([0, 1]))
    'hat'
    >>> positive_name("gender", np.array(["Men", "Women"]))
    'gender=Women'
    """
    return name if has_plain_levels(classes) else f"{name}={classes[1]}"


def warn_sorted_positives(chosen: Mapping[Any, NDArray[Any]]) -> None:
    """Warn once about positive levels that were chosen by sorting two strings.

    Parameters
    ----------
    chosen : mapping
        Names of attributes to their two classes.

    Warns
    -----
    PositiveLevelWarning
    """
    if not chosen:
        return
    listed = [
        f"{classes[1].item()!r} of {name!r} ({classes[0].item()!r} is negative)"
        for name, classes in list(chosen.items())[:_LISTED]
    ]
    more = f" and those of {len(chosen) - _LISTED} more" if len(chosen) > _LISTED else ""
    name, classes = next(iter(chosen.items()))
    warnings.warn(
        "The positive level of two strings was chosen by sorting them. Positive: "
        f"{', '.join(listed)}{more}. Declare the positive level in `attributes`, such as "
        f"{{{name!r}: ('binary', {classes[1].item()!r})}} or "
        f"{{{name!r}: ('binary', {classes[0].item()!r})}}.",
        PositiveLevelWarning,
        stacklevel=find_stack_level(),
    )
