"""Handling of unreadable images: raise an error, or record them and warn once."""

import warnings
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from skattr._utils.warnings import find_stack_level
from skattr.exceptions import BadImageWarning, DatasetWarning, ImageReadError, InvalidBoxError

# The reason of each unreadable row found so far. None means that errors are raised instead.
Unreadable = dict[int, str] | None
_N_SHOWN = 3


class _Rows(Protocol):
    unreadable: Unreadable
    doubtful: dict[int, str] | None

    def __len__(self) -> int: ...


def raise_or_record(
    unreadable: Unreadable, row: int, error: ImageReadError | InvalidBoxError
) -> None:
    """Raise an error with the number of its row, or record its message in `unreadable`.

    Raises
    ------
    ImageReadError, InvalidBoxError
        If `unreadable` is None.
    """
    if unreadable is None:
        raise type(error)(f"row {row} of X: {error}") from error.__cause__
    unreadable.setdefault(row, str(error))


def readable_rows(rows: _Rows) -> NDArray[np.intp]:
    """Return, in order, the rows that are not known to be unreadable."""
    return np.delete(np.arange(len(rows)), unreadable_rows(rows))


def unreadable_rows(rows: _Rows) -> NDArray[np.intp]:
    """Return, in order, the rows that are known to be unreadable."""
    return np.array(sorted(rows.unreadable or ()), dtype=np.intp)


def check_any_readable(rows: _Rows) -> None:
    """Raise an ImageReadError if all rows are unreadable."""
    if rows.unreadable and len(rows.unreadable) == len(rows):
        raise ImageReadError(
            f"All {len(rows)} rows of X are unreadable. {_list_reasons(rows.unreadable)}"
        )


def warn_unreadable(rows: _Rows, consequence: str, n_reported: int = 0) -> None:
    """Warn once, at the caller outside this package, of the unreadable rows.

    A second warning names the rows that could be read, but of which Pillow warned.

    Parameters
    ----------
    rows : Rows
    consequence : str
        What happens to the rows, as the end of a sentence.
    n_reported : int
        The first `n_reported` entries of `rows.unreadable` are skipped, because an earlier
        warning has named them.
    """
    new = dict(list((rows.unreadable or {}).items())[n_reported:])
    if new:
        warnings.warn(
            f"{len(new)} of {len(rows)} rows of X are unreadable; {consequence}. "
            f"{_list_reasons(new)}",
            BadImageWarning,
            stacklevel=find_stack_level(),
        )
    _warn_doubtful(rows)


def _warn_doubtful(rows: _Rows) -> None:
    """Warn of the rows that are read but doubtful, once per object `rows`."""
    doubtful = rows.doubtful
    if doubtful:
        rows.doubtful = None  # a fit may read all rows before training, and then again
        warnings.warn(
            f"{len(doubtful)} of {len(rows)} rows of X are doubtful, but used. "
            f"{_list_reasons(doubtful)}",
            DatasetWarning,
            stacklevel=find_stack_level(),
        )


def _list_reasons(unreadable: dict[int, str]) -> str:
    first = sorted(unreadable.items())[:_N_SHOWN]
    reasons = "; ".join(f"row {row} of X: {reason.rstrip('.')}" for row, reason in first)
    n_more = len(unreadable) - len(first)
    return f"{reasons}; and {n_more} more." if n_more else f"{reasons}."
