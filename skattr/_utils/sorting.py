"""Many columns of scores sorted at once, each score beside one bit of its label."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
UNKNOWN_KEY = np.uint32(0xFFFFFFFF)
_TILE, _LOWEST_TILE = 1 << 15, 512  # entries, rows turned at a time: they stay in the cache


def tile_height(n_columns: int) -> int:
    """Return how many rows of so many columns are best turned at a time."""
    return max(_LOWEST_TILE, _TILE // max(n_columns, 1))


def sort_keys(
    scores: Array, read: Callable[[slice], tuple[Array, Array | None]], keys: Array
) -> bool:
    """Sort the scores of each column with one bit beside them that tells negatives (1).

    The bits of floats that are not negative have the order of the floats, and leave their
    uppermost bit free. A positive comes before the negatives of the same score, so that all
    entries from it on have at least its score.

    Parameters
    ----------
    scores : ndarray of shape (n, n_columns), float32
        Anything in unknown entries.
    read : callable
        From a slice of rows to which of their labels are negative, and which are unknown (None
        if none is): arrays of shape (n_columns, n_rows), bool.
    keys : ndarray of shape (n_columns, n), uint32
        Takes the sorted keys; those of unknown entries, `UNKNOWN_KEY`, stand last.

    Returns
    -------
    bool
        False if a known score is negative or NaN, which have no such keys.
    """
    height = tile_height(scores.shape[1])
    for start in range(0, len(scores), height):
        rows = slice(start, start + height)
        negative, unknown = read(rows)
        tile = keys[:, rows]
        bits = tile.view(np.float32)
        np.copyto(bits, scores[rows].T)
        mask = None
        if unknown is not None:
            mask = np.negative(unknown, dtype=np.int32).view(np.uint32)  # all bits of the unknown
            np.bitwise_and(tile, ~mask, out=tile)
        if not bits.min(initial=0) >= 0:
            return False
        np.left_shift(tile, np.uint32(1), out=tile)  # -0.0 becomes 0.0
        np.bitwise_or(tile, negative, out=tile)
        if mask is not None:
            np.bitwise_or(tile, mask, out=tile)
    keys.sort(axis=1)
    return True
