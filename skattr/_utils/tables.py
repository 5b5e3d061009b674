"""Tables of other libraries than pandas."""

from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd


def as_pandas(table: Any) -> Any:
    """Return a DataFrame or Series of another library, such as polars or pyarrow, as one of pandas.

    An Index, an extension array of pandas or an Array of pyarrow becomes a Series.
    Names of columns and their order stay. Categories stay in their order; they are ordered where
    the library says so, as those of polars' Enum. Anything else is returned unchanged.

    Examples
    --------
    >>> as_pandas([0, 1])  # only tables are converted
    [0, 1]
    """
    if isinstance(table, pd.DataFrame | pd.Series | np.ndarray | list | tuple) or table is None:
        return table
    if isinstance(table, pd.Index | pd.api.extensions.ExtensionArray):
        return pd.Series(table)
    native: Any = nw.from_native(table, eager_only=True, allow_series=True, pass_through=True)
    if not isinstance(native, nw.Series | nw.DataFrame):
        is_arrow = hasattr(table, "__arrow_c_array__") and hasattr(table, "to_pandas")
        return table.to_pandas() if is_arrow else table  # an Array or a RecordBatch
    if not native.implementation.is_polars():
        # Not narwhals' conversion, which gives a missing category of pyarrow the last known one.
        return getattr(table, "to_pandas", native.to_pandas)()
    # The conversion of polars needs pyarrow.
    if isinstance(native, nw.Series):
        return _column(native).rename(native.name or None)
    return pd.DataFrame({name: _column(native[name]) for name in native.columns})


def _column(column: Any) -> pd.Series:
    dtype = column.dtype
    if dtype in (nw.Enum, nw.Categorical):
        is_enum = dtype == nw.Enum
        categories = dtype.categories if is_enum else column.cat.get_categories().to_list()
        values = pd.Categorical(column.to_list(), categories=list(categories), ordered=is_enum)
        return pd.Series(values)
    has_nulls = column.null_count() > 0
    if dtype == nw.Boolean:
        return pd.Series(column.to_list(), dtype="boolean" if has_nulls else "bool")
    if dtype.is_integer() and has_nulls:
        return pd.Series(column.to_list(), dtype="UInt64" if dtype == nw.UInt64 else "Int64")
    if dtype.is_numeric() or dtype.is_temporal():
        return pd.Series(column.to_numpy())
    return pd.Series(column.to_list(), dtype=None if dtype == nw.String else object)
