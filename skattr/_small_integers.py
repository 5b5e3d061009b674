"""Tables of small whole numbers, read at once instead of a column at a time."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

UNKNOWN = -1
_MOST = 256
ROWS_AT_ONCE = 2048  # what is made of them stays in the processor's caches


def small_integers(y: Any, missing_label: Any) -> NDArray[np.int64] | None:
    """Return the values of y, -1 where unknown, if they are whole numbers from 0 to 255.

    Parameters
    ----------
    y : any
        Only 2-D arrays, and DataFrames whose columns have one dtype of NumPy, bool, integer or
        floating, are looked at.
    missing_label : scalar
        Only None and NaN.

    Returns
    -------
    ndarray of shape (n, n_outputs), int64, or None
        None where y is anything else, or has no row.

    Examples
    --------
    >>> small_integers(np.array([[0.0, 7.0], [np.nan, 2.0]]), None)
    array([[ 0,  7],
           [-1,  2]])
    >>> print(small_integers(np.array([[0.5]]), None))
    None
    """
    if missing_label is not None and not (
        isinstance(missing_label, float) and np.isnan(missing_label)
    ):
        return None
    if isinstance(y, pd.DataFrame):
        dtypes = set(y.dtypes)
        if len(dtypes) != 1 or not isinstance(next(iter(dtypes)), np.dtype):
            return None
        y = y.to_numpy()
    if type(y) is not np.ndarray or y.ndim != 2 or not y.size or y.dtype.kind not in "biuf":
        return None
    if y.dtype.kind != "f":
        is_small = y.min() >= 0 and y.max() < _MOST
        return y.astype(np.int64) if is_small else None
    codes = np.empty(y.shape, dtype=np.int64)
    for start in range(0, len(y), ROWS_AT_ONCE):
        part = y[start : start + ROWS_AT_ONCE]
        unknown = np.isnan(part)
        values = np.where(unknown, UNKNOWN, part)
        if values.max() >= _MOST or values.min() < UNKNOWN:
            return None
        whole = values.astype(np.int32)  # which processors do faster than int64
        if (whole != values).any() or np.count_nonzero(whole < 0) != np.count_nonzero(unknown):
            return None
        codes[start : start + ROWS_AT_ONCE] = whole
    return codes


def label_counts(codes: NDArray[np.int64]) -> NDArray[np.intp]:
    """Return how often each value of :func:`small_integers` is in each column.

    Returns
    -------
    ndarray of shape (n_outputs, n_values)
        Without the unknown ones.
    """
    n_values, n_outputs = int(codes.max()) + 2, codes.shape[1]
    counts = np.zeros(n_values * n_outputs, dtype=np.intp)
    for start in range(0, len(codes), ROWS_AT_ONCE):
        places = codes[start : start + ROWS_AT_ONCE] + (1 + n_values * np.arange(n_outputs))
        counts += np.bincount(places.ravel(), minlength=len(counts))
    return counts.reshape(-1, n_values)[:, 1:]


def positions_in(codes: NDArray[np.int64], classes: list[NDArray[Any]]) -> NDArray[np.int64] | None:
    """Return where the values of :func:`small_integers` stand in the classes of their columns.

    Returns
    -------
    ndarray of shape (n, n_outputs), int64, or None
        -1 where unknown. None if a value is in no class, or a class is no small number.
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
    if (table == np.arange(n_values) - 1)[:, :n_values].all():
        return codes
    found: NDArray[np.int64] = table.ravel()[codes + (1 + n_values * np.arange(len(classes)))]
    return None if found.min() < UNKNOWN else found
