"""Rows of X whose image cannot be read: raised, or put up with, counted and named once."""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skattr._utils.warnings import find_stack_level
from skattr.exceptions import BadImageWarning, ImageReadError, InvalidBoxError

# Why each row that cannot be read cannot, as far as that is known; None where it is to be raised.
Unreadable = dict[int, str] | None
_SHOWN = 3


def raise_or_record(
    unreadable: Unreadable, row: int, error: ImageReadError | InvalidBoxError
) -> None:
    """Raise an error with its row, or keep its sentence in `unreadable`.

    Raises
    ------
    ImageReadError, InvalidBoxError
        If `unreadable` is None.
    """
    if unreadable is None:
        raise type(error)(f"row {row} of X: {error}") from error.__cause__
    unreadable.setdefault(row, str(error))


def readable(rows: Any) -> NDArray[np.intp]:
    """Return, in order, the positions of all rows but those known to be unreadable."""
    return np.delete(np.arange(len(rows)), unreadable_rows(rows))


def unreadable_rows(rows: Any) -> NDArray[np.intp]:
    """Return, in order, the positions of the rows known to be unreadable."""
    return np.array(sorted(rows.unreadable or ()), dtype=np.intp)


def check_any_readable(rows: Any) -> None:
    """Raise an ImageReadError if no row can be read."""
    if rows.unreadable and len(rows.unreadable) == len(rows):
        raise ImageReadError(
            f"None of the {len(rows)} row(s) of X can be read. {_named(rows.unreadable)}"
        )


def warn_unreadable(rows: Any, consequence: str, n_told: int = 0) -> None:
    """Warn once, at the line of the user, of the rows that cannot be read.

    Parameters
    ----------
    rows : Rows
    consequence : str
        What becomes of them; the end of a sentence.
    n_told : int
        The first so many of `rows.unreadable` have been warned of before.
    """
    news = dict(list((rows.unreadable or {}).items())[n_told:])
    if news:
        warnings.warn(
            f"{len(news)} of the {len(rows)} row(s) of X cannot be read; {consequence}. "
            f"{_named(news)}",
            BadImageWarning,
            stacklevel=find_stack_level(),
        )


def _named(unreadable: dict[int, str]) -> str:
    first = sorted(unreadable.items())[:_SHOWN]
    named = "; ".join(f"row {row} of X: {reason.rstrip('.')}" for row, reason in first)
    more = len(unreadable) - len(first)
    return f"{named}; and {more} more." if more else f"{named}."
