"""The one reader of y: names, index, columns and missing labels of a table of labels."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse
from numpy.typing import NDArray

from skattr._targets.alignment import (
    array_names,
    column_names_of,
    column_order,
    take_columns,
)
from skattr._targets.codes import UNKNOWN, indicator_block, integer_block, row_blocks
from skattr._targets.labels import (
    TAGS_REMEDY,
    are_tags,
    known_mask,
    label_array,
    native_byteorder,
)
from skattr._utils.tables import as_pandas
from skattr._utils.tensors import detached

_LARGEST = 255
_MISSING = "and NaN, None or pandas.NA where it is missing"


@dataclass(frozen=True)
class LabelTable:
    """Labels of n rows and L attributes, as :func:`read_labels` reads them.

    Attributes
    ----------
    names : list of length L
        Column names of a DataFrame, the name of a Series, else "y0", "y1", ...
    data : DataFrame or ndarray of shape (n, L)
        A DataFrame only where columns differ in dtype, or have one of pandas.
    mask : ndarray of shape (n, L), bool, or None
        True where a masked array hides a label; `data` may hold anything there.
    index : Index or None
        Row labels of a DataFrame or Series.
    is_named : bool
        Whether the names are those of a DataFrame, which are matched.
    missing_label : scalar
        One more value that marks a missing label.
    what : str
        The name of the argument in messages, such as "y" or "y_true".
    may_be_tags : bool
        Whether the rows are lists that nothing yet says are labels of L attributes.
    """

    names: list[Any]
    data: pd.DataFrame | NDArray[Any]
    mask: NDArray[np.bool_] | None
    index: pd.Index | None
    is_named: bool
    missing_label: Any
    what: str
    may_be_tags: bool = False

    def __len__(self) -> int:
        return len(self.data)

    def matched(self, names: Sequence[Any], other: str) -> "LabelTable":
        """Return the table with its columns in the order of the names of another table.

        Its rows are no tags then, as the other table has the same attributes.

        Raises
        ------
        ValueError
            If a DataFrame has other columns; `other` is the other table in the message.
        """
        table = replace(self, may_be_tags=False)
        order = column_order(self.names, names, self.what, other) if self.is_named else None
        if order is None:
            return table
        names = [self.names[j] for j in order]
        return replace(table, names=names, data=take_columns(self.data, order))

    def reject_tags(self) -> None:
        """Raise a ValueError if rows are collections of tags, all of one length by chance.

        For callers that learn attributes from y. Where these are known, labels of two attributes
        may well have the same names.
        """
        if self.may_be_tags and are_tags(self.data):
            raise ValueError(
                f"The rows of {self.what} seem to be collections of tags, all of one length by "
                f"chance: no row has a label twice, and labels change columns (row 0 is "
                f"{list(self.data[0])}). Pass labels of several attributes as a 2-D array or a "
                f"DataFrame; {TAGS_REMEDY}."
            )

    def column(self, j: int) -> pd.Series:
        """Return a column as a Series that is indexed by row number."""
        if isinstance(self.data, np.ndarray):
            return native_byteorder(pd.Series(self.data[:, j]))
        column = self.data.iloc[:, j]
        if isinstance(column.dtype, pd.SparseDtype):
            column = column.astype(column.dtype.subtype)
        return native_byteorder(column)

    def known_labels(self, j: int) -> pd.Series:
        """Return the labels of a column that are not missing, indexed by row number."""
        column = self.column(j)
        if self.mask is not None:
            column = column[~self.mask[:, j]]
        return column[known_mask(column, self.missing_label)]

    def to_frame(self) -> pd.DataFrame:
        """Return the columns as a DataFrame that is indexed by row number."""
        columns = {name: self.column(j) for j, name in enumerate(self.names)}
        if self.mask is not None:
            columns = {
                name: column.astype(object).where(~self.mask[:, j], None)
                for j, (name, column) in enumerate(columns.items())
            }
        return pd.DataFrame(columns)

    def integer_codes(self, largest: int = _LARGEST) -> NDArray[Any] | None:
        """Return a numeric table whose labels are whole numbers from 0 to `largest`.

        Returns
        -------
        ndarray of shape (n, L), int8 if `largest` allows it, else int16, or None
            The labels, -1 where missing; None if the table holds any other label. A table of
            bools is not copied into int8.
        """
        # Reading whole tables instead of pandas columns makes metrics of 20,000 x 300 labels
        # more than 10 times as fast, and halves the time of a fit on 2-D features.
        data, dtype = self.data, np.int8 if largest <= np.iinfo(np.int8).max else np.int16
        if not isinstance(data, np.ndarray) or data.dtype.kind not in "biuf" or not data.size:
            return None
        has_gaps = data.dtype.kind == "f" or self.mask is not None or self._marks(data.dtype)
        if not has_gaps:
            if data.dtype.kind == "b" and dtype == np.int8:
                return data.view(np.int8)
            is_small = data.min() >= 0 and data.max() <= largest
            return data.astype(dtype) if is_small else None
        codes = np.empty(data.shape, dtype=dtype)
        read_block = indicator_block if largest == 1 else integer_block
        for rows in row_blocks(len(data)):
            # DataFrames store columns: a block is read in a third of the time if copied by rows.
            part = np.ascontiguousarray(data[rows])
            if not read_block(part, self._missing(part, rows), largest, codes[rows]):
                return None
        return codes

    def indicators(self) -> NDArray[np.int8]:
        """Return a table of zeros and ones.

        Returns
        -------
        ndarray of shape (n, L), int8
            0 or 1, -1 where the label is missing.

        Raises
        ------
        ValueError
            If a label is neither 0, 1 nor a bool.
        """
        codes = self.integer_codes(1)
        if codes is None:
            self.reject_tags()
            columns = [self._indicator(j) for j in range(len(self.names))]
            codes = np.stack(columns, axis=1)
        return codes

    def _indicator(self, j: int) -> NDArray[np.int8]:
        known = self.known_labels(j)
        rows = known.index.to_numpy()
        if isinstance(known.dtype, pd.CategoricalDtype):
            known = known.astype(known.cat.categories.dtype)
        labels = pd.Series(known.to_numpy()).infer_objects().to_numpy()
        if labels.dtype.kind in "biuf" and np.isfinite(labels).all():
            bad = (labels != 0) & (labels != 1)
        else:
            labels = label_array(known, self.what, self.names[j], rows)
            bad = np.ones(len(labels), dtype=bool)  # strings: "1" does not become a number
        if bad.any():
            first = int(np.argmax(bad))
            raise ValueError(
                f"{self.place(j, rows[first])}: the label {labels[first].item()!r} is neither 0 "
                f"nor 1; write 0, 1 or a bool, {_MISSING}."
            )
        codes = np.full(len(self), UNKNOWN, dtype=np.int8)
        codes[rows] = labels
        return codes

    def place(self, j: int, row: int) -> str:
        """Return "y, column 'hat', row 3"."""
        return f"{self.what}, column {self.names[j]!r}, row {row}"

    def _marks(self, dtype: np.dtype[Any]) -> bool:
        """Whether `missing_label` can be among numbers of a dtype: 0 is not False."""
        label = self.missing_label
        if isinstance(label, str) or pd.isna(label):
            return False
        return isinstance(label, bool | np.bool_) == (dtype.kind == "b")

    def _missing(self, part: NDArray[Any], rows: slice) -> NDArray[np.bool_]:
        """Return where labels of some rows of a numeric table are missing."""
        is_float = part.dtype.kind == "f"
        missing = np.isnan(part) if is_float else np.zeros(part.shape, dtype=bool)
        if self._marks(part.dtype):
            missing |= part == self.missing_label
        if self.mask is not None:
            missing |= self.mask[rows]
        return missing


def read_labels(y: Any, missing_label: Any = None, what: str = "y") -> LabelTable:
    """Read labels: the one place that decides which containers and dtypes hold them.

    Parameters
    ----------
    y : array-like of shape (n,) or (n, L), Series, DataFrame, sparse or masked array
        Of bools, whole numbers, strings or objects of these, each column for itself. NaN, None,
        pandas.NA and what a masked array hides are missing labels. What a sparse array does not
        store is 0. A LabelTable is returned as it is.
    missing_label : scalar
        One more value that marks a missing label. It never matches across types: 0 is not False.
    what : str
        The name of the argument in messages.

    Returns
    -------
    LabelTable

    Raises
    ------
    ValueError
        If y is None, empty, ragged, not 1-D or 2-D, has no column or a column name twice, or is
        complex or of another dtype that holds no labels.

    Examples
    --------
    >>> table = read_labels(np.ma.masked_equal([[1, 9], [0, 1]], 9))
    >>> table.names, table.indicators().tolist()
    (['y0', 'y1'], [[1, -1], [0, 1]])
    """
    if isinstance(y, LabelTable):
        return y
    y = detached(y)
    if y is None:
        raise ValueError(f"This call requires {what} to be passed, but the target {what} is None.")
    if not pd.api.types.is_scalar(missing_label):
        raise ValueError(f"`missing_label` must be one value, got {missing_label!r}.")
    y = as_pandas(y)
    is_named = isinstance(y, pd.DataFrame)
    if isinstance(y, pd.Series):
        y = y.to_frame("y0" if y.name is None else y.name)
    mask, index = None, None
    if isinstance(y, pd.DataFrame):
        data, names, index = _frame_data(y, what), list(y.columns), y.index
    else:
        data, mask = _array_data(y, what)
        columns = column_names_of(y)  # of a DataFrame that is not of pandas
        is_named = columns is not None and len(columns) == data.shape[1]
        names = columns if is_named and columns else array_names(data.shape[1])
    if len(data) == 0:
        raise ValueError(f"{what} is empty: found 0 sample(s) while a minimum of 1 is required.")
    may_be_tags = isinstance(y, list | tuple) and data.shape[1] > 1
    return LabelTable(names, data, mask, index, is_named, missing_label, what, may_be_tags)


def _frame_data(y: pd.DataFrame, what: str) -> pd.DataFrame | NDArray[Any]:
    """Check a DataFrame, and return its array if its columns share a dtype of NumPy."""
    if y.columns.has_duplicates:
        repeated = y.columns[y.columns.duplicated()].tolist()
        raise ValueError(f"{what} has the column names {repeated} more than once.")
    if y.shape[1] == 0:
        raise ValueError(f"{what} has no column; pass one column per attribute.")
    [dtype, *others] = set(y.dtypes)
    if not others and isinstance(dtype, np.dtype) and dtype.kind in "biufO":
        return y.to_numpy()
    return y.reset_index(drop=True)


def _array_data(y: Any, what: str) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
    """Return what is no pandas object as a 2-D array, and the mask of a masked array."""
    mask = None
    if scipy.sparse.issparse(y):
        y = y.toarray()
    if isinstance(y, np.ma.MaskedArray):
        y, mask = np.ma.getdata(y), np.ma.getmaskarray(y)
    array = _from_nested(y, what) if isinstance(y, list | tuple) else np.asarray(y)
    if array.ndim not in (1, 2) or 0 in array.shape[1:]:
        raise ValueError(f"{what} should be of shape (n,) or (n, n_outputs), got {array.shape}.")
    if array.dtype.kind == "c":
        raise ValueError(f"Complex data not supported: {what} has the dtype {array.dtype}.")
    if array.dtype.kind == "S":
        array = array.astype(object)  # for the message about bytes, which names column and row
    if array.dtype.kind not in "biufOUT":
        # The first words are those that scikit-learn's contract suite asks for.
        raise ValueError(
            f"Unknown label type: {what} has the dtype {array.dtype}; labels must be bools, whole "
            "numbers or strings."
        )
    array = array if array.ndim == 2 else array[:, np.newaxis]
    return array, None if mask is None else mask.reshape(array.shape)


def _from_nested(y: Any, what: str) -> NDArray[Any]:
    """Return a list or tuple as an array of objects, in which every label keeps its own type."""
    # NumPy would write the data under the mask of a row, or "0.0", where a label is masked.
    rows = [row.tolist() if isinstance(row, np.ma.MaskedArray) else row for row in y]
    lengths = [
        len(row)
        if isinstance(row, list | tuple) or (isinstance(row, np.ndarray) and row.ndim)
        else 0
        for row in rows
    ]
    if len(set(lengths)) > 1:
        odd = next(row for row, length in enumerate(lengths) if length != lengths[0])
        raise ValueError(
            f"{what} is ragged: row 0 has {lengths[0]} label(s), row {odd} has {lengths[odd]}; "
            f"every row needs one label per attribute, {_MISSING}; {TAGS_REMEDY}."
        )
    array = np.array(rows, dtype=object)
    for position, label in enumerate(array.flat):
        if label is np.ma.masked:
            array.flat[position] = None
    return array


def reject_masked(values: Any, what: str) -> None:
    """Raise a TypeError for X, scores, weights or groups that are masked or sparse.

    Labels may be masked, as a missing label has a meaning everywhere. A missing pixel, score,
    weight or group has none, and NumPy would read the data under the mask.
    """
    is_list = isinstance(values, list | tuple)
    is_list |= isinstance(values, np.ndarray) and values.dtype == object and values.ndim == 1
    for part in values if is_list and not isinstance(values, np.ma.MaskedArray) else [values]:
        if isinstance(part, np.ma.MaskedArray):
            raise TypeError(
                f"{what} is a masked array; pass a plain array, such as {what}.filled(value)."
            )
        if scipy.sparse.issparse(part):
            raise TypeError(f"{what} is sparse; pass a dense array.")


def fill_masked(y: Any) -> Any:
    """Return a masked array as a plain one, NaN or None where it is masked; other y as it is.

    For estimators of others: scikit-learn drops masks without a word, and few of its classifiers
    take sparse labels, which become dense.
    """
    if scipy.sparse.issparse(y):
        return y.toarray()
    if not isinstance(y, np.ma.MaskedArray) or not np.ma.is_masked(y):
        return np.ma.getdata(y) if isinstance(y, np.ma.MaskedArray) else y
    if y.dtype.kind in "iuf":
        return np.where(np.ma.getmaskarray(y), np.nan, np.ma.getdata(y))
    filled = np.ma.getdata(y).astype(object)
    filled[np.ma.getmaskarray(y)] = None
    return filled
