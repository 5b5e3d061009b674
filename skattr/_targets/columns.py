"""Columns of labels."""

from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse
from numpy.typing import NDArray

UNKNOWN = -1
_MOST = 256
ROWS_AT_ONCE = 2048  # what is made of them stays in the processor's caches


def encode_integer_table(y: Any, missing_label: Any) -> NDArray[np.int64] | None:
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
    >>> encode_integer_table(np.array([[0.0, 7.0], [np.nan, 2.0]]), None)
    array([[ 0,  7],
           [-1,  2]])
    >>> print(encode_integer_table(np.array([[0.5]]), None))
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
    """Return how often each value of :func:`encode_integer_table` is in each column.

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


def class_positions(
    codes: NDArray[np.int64], classes: list[NDArray[Any]]
) -> NDArray[np.int64] | None:
    """Return class positions of the values of :func:`encode_integer_table`.

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


def _table_names(y: Any) -> list[Any]:
    """Return the names of the columns of an array or a DataFrame."""
    if isinstance(y, pd.DataFrame):
        _refuse_twice(y)
        return list(y.columns)
    return [f"y{j}" for j in range(y.shape[1])]


def _refuse_twice(y: pd.DataFrame) -> None:
    if y.columns.has_duplicates:
        twice = y.columns[y.columns.duplicated()].tolist()
        raise ValueError(f"y has the column names {twice} more than once.")


def label_columns(y: Any) -> tuple[list[pd.Series], list[Any]]:
    """Split y into Series of native dtypes; also return their names."""
    if y is None:
        raise ValueError("This estimator requires y to be passed, but the target y is None.")
    if scipy.sparse.issparse(y):
        raise TypeError("Sparse y was passed; pass a dense array, in which unknown is NaN.")
    if isinstance(y, np.ma.MaskedArray):
        raise TypeError("A masked array was passed as y; write NaN or None for unknown instead.")
    if isinstance(y, pd.api.extensions.ExtensionArray | pd.Index):
        y = pd.Series(y)
    if isinstance(y, pd.DataFrame):
        _refuse_twice(y)
        if y.shape[1] == 0:
            raise ValueError("y has no column; pass one column per attribute.")
        frame = y.reset_index(drop=True)
        return [_native(frame.iloc[:, j]) for j in range(y.shape[1])], list(y.columns)
    if isinstance(y, pd.Series):
        name = "y0" if y.name is None else y.name
        return [_native(y.reset_index(drop=True))], [name]
    array = y if isinstance(y, np.ndarray) else _from_nested(y)
    if array.ndim not in (1, 2) or 0 in array.shape[1:]:
        raise ValueError(f"y should be of shape (n,) or (n, n_outputs), got {array.shape}.")
    if array.dtype.kind == "c":
        raise ValueError(f"Complex data not supported: y has the dtype {array.dtype}.")
    if array.dtype.kind not in "biufOUT":
        raise ValueError(f"Missing label type: y has the dtype {array.dtype}.")
    table = array if array.ndim == 2 else array[:, np.newaxis]
    columns = [_native(pd.Series(table[:, j])) for j in range(table.shape[1])]
    return columns, [f"y{j}" for j in range(table.shape[1])]


def _native(column: pd.Series) -> pd.Series:
    """Return a column with its bytes in the order of the machine, which pandas asks for."""
    dtype = column.dtype
    if not isinstance(dtype, np.dtype) or dtype.isnative:
        return column
    return column.astype(dtype.newbyteorder("="))


def _from_nested(y: Any) -> NDArray[Any]:
    """Turn what is no array into one; in lists every label keeps its own type."""
    array = np.asarray(y)
    is_list = isinstance(y, list | tuple)
    return np.array(y, dtype=object) if is_list and array.dtype.kind in "biufUT" else array


def _known(column: pd.Series, missing_label: Any) -> NDArray[np.bool_]:
    known: NDArray[np.bool_] = column.notna().to_numpy(dtype=bool)
    if missing_label is None or pd.isna(missing_label):
        return known
    is_bool = isinstance(missing_label, bool | np.bool_)
    is_text = isinstance(missing_label, str)
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "biuf":
        if is_text or is_bool != (column.dtype.kind == "b"):
            return known
        differs: NDArray[np.bool_] = column.to_numpy() != missing_label
        return known & differs
    known = known.copy()
    known[known] = [  # pandas.NA, which is neither equal nor unequal, stays outside
        isinstance(value, bool | np.bool_) != is_bool
        or isinstance(value, str) != is_text
        or bool(value != missing_label)
        for value in column[known].array
    ]
    return known


def _without_missing_category(known: pd.Series, missing_label: Any) -> pd.Series:
    """Take `missing_label` from the categories of a categorical column."""
    if not isinstance(known.dtype, pd.CategoricalDtype):
        return known
    categories = known.cat.categories
    return known.cat.set_categories(categories[_known(pd.Series(categories), missing_label)])


def _label_array(values: pd.Series, name: Any) -> NDArray[Any]:
    """Return labels as an array of a native dtype, or say why they are none."""
    if len(values) == 0:
        return np.array([], dtype=np.int64)
    array = values.to_numpy()
    if array.dtype.kind in "biu":
        return array
    if array.dtype.kind == "f":
        if not np.isfinite(array).all():
            raise ValueError("Input y contains infinity or a value too large for dtype('float64').")
        if (array != np.floor(array)).any():
            raise ValueError(
                f"Missing label type: column {name!r} of y is continuous; labels must be "
                "integers, bools or strings."
            )
        return array
    kinds = sorted({type(value).__name__ for value in array})
    if all(isinstance(value, str) for value in array):
        return array.astype(np.str_)
    raise ValueError(
        f"Missing label type: column {name!r} of y holds values of type {', '.join(kinds)}; one "
        "attribute's labels must all be strings, all bools, or all whole numbers."
    )


def positions(values: pd.Series, classes: NDArray[Any]) -> NDArray[np.intp]:
    """Return where each value stands in `classes`, -1 where it does not (1 == 1.0 == True)."""
    table = {label: position for position, label in enumerate(classes.tolist())}
    distinct, inverse = _factorized(values)
    found = np.array([table.get(label, UNKNOWN) for label in distinct], dtype=np.intp)
    return found[inverse] if len(distinct) else np.empty(0, dtype=np.intp)


def _factorized(values: pd.Series) -> tuple[list[Any], NDArray[np.intp]]:
    inverse, distinct = pd.factorize(values, use_na_sentinel=False)
    return list(pd.Index(distinct)), inverse


def _shown(classes: NDArray[Any], limit: int = 10) -> str:
    shown = ", ".join(repr(label) for label in classes[:limit].tolist())
    return f"[{shown}]" if len(classes) <= limit else f"[{shown}, ... {len(classes)} in all]"
