"""Labels of one attribute: which are missing, and what types they may have."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

TAGS_REMEDY = (
    "if rows are collections of tags, skattr.datasets.tags_to_table makes a table of them, with "
    "one column per tag"
)
_COLLECTIONS = (list, tuple, set, frozenset, np.ndarray, pd.Series, pd.Index)


def are_tags(rows: Any) -> bool:
    """Whether rows of strings are sets of tags rather than labels of one attribute per column."""
    # A collection of tags has no place for a missing one.
    if not all(isinstance(label, str) for row in rows for label in row):
        return False
    columns = [set(column) for column in zip(*rows, strict=True)]
    labels = set().union(*columns)
    # Two columns of yes and no may differ in every row: as many labels as columns are no tags.
    changes_column = sum(map(len, columns)) > len(labels) > len(columns)
    return changes_column and all(len(set(row)) == len(row) for row in rows)


def native_byteorder(column: pd.Series) -> pd.Series:
    """Return a column with its bytes in the order of the machine, which pandas asks for."""
    dtype = column.dtype
    if not isinstance(dtype, np.dtype) or dtype.isnative:
        return column
    return column.astype(dtype.newbyteorder("="))


def known_mask(column: pd.Series, missing_label: Any) -> NDArray[np.bool_]:
    """Return where the labels of a column are not missing."""
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
        or isinstance(value, _COLLECTIONS)
        or bool(value != missing_label)
        for value in column[known].array
    ]
    return known


def label_categories(known: pd.Series, missing_label: Any) -> pd.CategoricalDtype | None:
    """Return the dtype of a categorical column without `missing_label`, None of others."""
    if not isinstance(known.dtype, pd.CategoricalDtype):
        return None
    categories = known.dtype.categories
    kept = categories[known_mask(pd.Series(categories), missing_label)]
    return pd.CategoricalDtype(kept, known.dtype.ordered)


def label_array(
    labels: pd.Series, what: str, name: Any, rows: NDArray[Any] | None = None
) -> NDArray[Any]:
    """Return labels as an array of a native dtype: bools, numbers or strings.

    Parameters
    ----------
    labels : Series
        None of them missing.
    what, name : str, object
        The argument and the column they come from, for messages.
    rows : ndarray, optional
        Their row numbers, for messages.

    Raises
    ------
    ValueError
        If one is infinite, fractional or an object of another type, or types are mixed.
    """
    if len(labels) == 0:
        return np.array([], dtype=np.int64)
    array: NDArray[Any] = pd.Series(labels.to_numpy()).infer_objects().to_numpy()

    def place(bad: Any) -> str:
        row = "" if rows is None else f", row {rows[int(np.argmax(bad))]}"
        return f"column {name!r}{row}"

    if array.dtype.kind in "biu":
        return array
    if array.dtype.kind == "f":
        if not np.isfinite(array).all():
            # The first words are those that scikit-learn's contract suite asks for.
            raise ValueError(
                f"Input {what} contains infinity or a value too large for dtype('float64') in "
                f"{place(~np.isfinite(array))}."
            )
        if (array != np.floor(array)).any():
            raise ValueError(
                f"Unknown label type: {what}, {place(array != np.floor(array))} is continuous; "
                "labels must be whole numbers, bools or strings."
            )
        return array
    if all(isinstance(label, str) for label in array):
        return array.astype(np.str_)
    is_collection = [isinstance(label, _COLLECTIONS) for label in array]
    if any(is_collection):
        first = int(np.argmax(is_collection))
        raise ValueError(
            f"Unknown label type: {what}, {place(is_collection)} holds a collection, "
            f"{array[first]!r}; {TAGS_REMEDY}."
        )
    types = [type(label).__name__ for label in array]
    hint = "; decode bytes to str" if "bytes" in types else ""
    raise ValueError(
        f"Unknown label type: {what}, {place([name != types[0] for name in types])} holds values "
        f"of type {', '.join(sorted(set(types)))}; one attribute's labels must all be strings, "
        f"all bools, or all whole numbers{hint}."
    )
