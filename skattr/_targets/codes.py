"""Codes: positions of labels in the classes of their attribute."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

UNKNOWN = -1
ROWS_AT_ONCE = 2048  # temporaries of so many rows stay in the processor's caches


def row_blocks(n: int, height: int = ROWS_AT_ONCE) -> Iterator[slice]:
    """Yield slices that together are n rows."""
    for start in range(0, n, height):
        yield slice(start, min(start + height, n))


def indicator_block(
    part: NDArray[Any], missing: NDArray[np.bool_], _: int, codes: NDArray[Any]
) -> bool:
    """Write the codes of labels that are 0, 1 or missing; return False if one is not."""
    positive = part == 1
    if not (positive | (part == 0) | missing).all():
        return False
    positive &= ~missing
    np.subtract(positive.view(np.int8), missing.view(np.int8), out=codes)
    return True


def integer_block(
    part: NDArray[Any], missing: NDArray[np.bool_], largest: int, codes: NDArray[Any]
) -> bool:
    """Write the codes of labels from 0 to `largest` or missing; return False if one is not."""
    unknown = part.dtype.type(UNKNOWN) if part.dtype.kind == "f" else np.int64(UNKNOWN)
    values = np.where(missing, unknown, part)
    if not (values.max() <= largest and values.min() >= UNKNOWN):
        return False
    whole = values.astype(np.int32)  # which processors do faster than int64
    codes[:] = whole
    is_whole = bool((whole == values).all())
    return is_whole and np.count_nonzero(whole < 0) == np.count_nonzero(missing)


def label_counts(codes: NDArray[Any]) -> NDArray[np.intp]:
    """Return how often each value of :meth:`LabelTable.integer_codes` is in each column.

    Returns
    -------
    ndarray of shape (n_outputs, n_values)
        Missing labels are not counted.
    """
    n_values, n_outputs = int(codes.max()) + 2, codes.shape[1]
    if n_values <= 3 and codes.dtype == np.int8:  # sums of bytes take a fifth of the time
        sums = np.zeros((n_values - 1, n_outputs), dtype=np.intp)
        for rows in row_blocks(len(codes), 127):
            for value, total in enumerate(sums):
                total += (codes[rows] == value).sum(axis=0, dtype=np.int8)
        return sums.T
    counts = np.zeros(n_values * n_outputs, dtype=np.intp)
    for rows in row_blocks(len(codes)):
        places = codes[rows] + (1 + n_values * np.arange(n_outputs))
        counts += np.bincount(places.ravel(), minlength=len(counts))
    return counts.reshape(-1, n_values)[:, 1:]


def code_dtype(classes: list[NDArray[Any]]) -> np.dtype[Any]:
    """Return the smallest signed integer type that holds all positions in some classes."""
    return np.min_scalar_type(-max(1, *map(len, classes)))


def class_positions(codes: NDArray[Any], classes: list[NDArray[Any]]) -> NDArray[Any] | None:
    """Return class positions of the values of :meth:`LabelTable.integer_codes`.

    Returns
    -------
    ndarray of shape (n, n_outputs), int, or None
        -1 where the label is missing. None if a value is in no class, or a class is no small
        number.
    """
    n_values = int(codes.max()) + 2
    table = np.full((len(classes), n_values), UNKNOWN - 1, dtype=np.int64)
    table[:, 0] = UNKNOWN
    for row, levels in zip(table, classes, strict=True):
        if levels.dtype.kind not in "biuf":
            return None
        for position, level in enumerate(levels.tolist()):
            if 0 <= level < n_values - 1 and level == int(level):
                row[int(level) + 1] = position
    dtype = code_dtype(classes)
    if (table == np.arange(n_values) - 1).all():
        return codes.astype(dtype, copy=False)
    values, starts = table.ravel(), 1 + n_values * np.arange(len(classes))
    found = np.empty(codes.shape, dtype=dtype)
    for rows in row_blocks(len(codes)):
        block = values[codes[rows] + starts]
        if block.min() < UNKNOWN:
            return None
        found[rows] = block
    return found


def positions(values: pd.Series, classes: NDArray[Any]) -> NDArray[np.intp]:
    """Return the position of each value in `classes`, -1 where it is none (1 == 1.0 == True)."""
    table = {label: position for position, label in enumerate(classes.tolist())}
    inverse, distinct = pd.factorize(values, use_na_sentinel=False)
    found = np.array([table.get(label, UNKNOWN) for label in list(pd.Index(distinct))], np.intp)
    return found[inverse] if len(distinct) else np.empty(0, dtype=np.intp)


def format_classes(classes: NDArray[Any] | Sequence[Any], limit: int = 10) -> str:
    """Return labels or names as text, the first ten of many."""
    labels = classes.tolist() if isinstance(classes, np.ndarray) else list(classes)
    listed = ", ".join(map(repr, labels[:limit]))
    return f"[{listed}]" if len(classes) <= limit else f"[{listed}, ... {len(classes)} in all]"
