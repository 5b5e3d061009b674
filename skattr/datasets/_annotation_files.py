"""Strict reading of annotations: a fault is named with its file and line, nothing is guessed."""

import csv
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import union_categoricals

from skattr.exceptions import DatasetFormatError

Folder = str | os.PathLike[str]
# Says where a row of a file stands.
Place = Callable[[int], str]
Codes = NDArray[np.int8]

BOX_COLUMNS = ["xmin", "ymin", "xmax", "ymax"]
POSITIVE, NEGATIVE, UNKNOWN = 1, 0, -1
# Rows that are text at a time: a cell of text takes eight bytes, a category one.
_CHUNK = 65536


def check_choice(name: str, value: Any, valid: Sequence[Any]) -> None:
    """Raise a ValueError if a parameter has none of its valid values."""
    if not any(value is one or (isinstance(value, str) and value == one) for one in valid):
        raise ValueError(f"{name} must be one of {list(valid)}, got {value!r}.")


def read_text(path: str) -> str:
    """Return the text of a UTF-8 file, without the byte order mark it may begin with."""
    with open(path, "rb") as file:
        content = file.read()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise _not_utf8(path, line, error) from None


def _not_utf8(path: str, line: int, error: UnicodeDecodeError) -> DatasetFormatError:
    byte = error.object[error.start]
    return DatasetFormatError(
        f"{path}, line {line}: the byte 0x{byte:02x} is not UTF-8; the file must be saved as UTF-8."
    )


def text_lines(path: str) -> Iterator[str]:
    """Yield the lines of a UTF-8 file without their ends, which may be those of Windows."""
    with open(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
            except UnicodeDecodeError as error:
                raise _not_utf8(path, number, error) from None
            if "\r" in text or "\0" in text:
                raise DatasetFormatError(
                    f"{path}, line {number}: a carriage return or a NUL stands within the line; "
                    "lines must end with a line feed, or a carriage return and a line feed."
                )
            yield text


def read_json(path: str) -> Any:
    """Return the content of a JSON file."""
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise DatasetFormatError(
            f"{path}, line {error.lineno}, column {error.colno}: this is not JSON ({error.msg}); "
            "the file may be cut short."
        ) from None


def read_names(path: str) -> list[str]:
    """Return the names in a file of one name a line, each of them there once."""
    names = [line.strip() for line in text_lines(path)]
    while names and not names[-1]:
        names.pop()
    if not names:
        raise DatasetFormatError(f"{path} holds no name; one name a line is expected.")
    for row, name in enumerate(names):
        if not name or name in names[:row]:
            raise DatasetFormatError(
                f"{path}, line {row + 1}: expected a name that is not there yet, got {name!r}."
            )
    return names


def check_order(names: Sequence[str], official: str, where: str) -> None:
    """Raise an error if names stand in another order than in `official`, parted by commas."""
    rank = {name: k for k, name in enumerate(official.split(","))}
    known = [name for name in names if name in rank]
    for name, following in pairwise(known):
        if rank[following] < rank[name]:
            raise DatasetFormatError(
                f"{where}: the attribute {following!r} stands after {name!r}, but before it in "
                "this format, whose rows name no attributes."
            )


def line_of(path: str, first: int) -> Place:
    """Return what says in which line a row stands, row 0 being in line `first`."""
    return lambda row: f"{path}, line {first + row}"


def read_rows(
    path: str, width: int, *, separator: str | None = None, first: int = 1, text: Sequence[int] = ()
) -> pd.DataFrame:
    """Read a file of one row a line.

    Parameters
    ----------
    path : str
    width : int
        Number of fields each line must have.
    separator : str, optional
        One character that is in no field; None is any run of blanks and tabs.
    first : int
        Number of the line in which the rows begin, from 1.
    text : sequence of int
        Columns to be read as str. All others become categoricals of str, which hold few levels.

    Returns
    -------
    DataFrame
        With one column a field, named from 0. Row i is found in line ``first + i``.

    Raises
    ------
    DatasetFormatError
        If a line has another number of fields, or there is no row.
    """
    counts = np.fromiter((_width(line, separator) for line in text_lines(path)), dtype=np.int64)
    filled = np.flatnonzero(counts)
    counts = counts[first - 1 : filled[-1] + 1 if len(filled) else 0]
    if not len(counts):
        raise DatasetFormatError(f"{path} holds no row; rows are expected from line {first} on.")
    wrong = np.flatnonzero(counts != width)
    if len(wrong):
        raise DatasetFormatError(
            f"{path}, line {first + wrong[0]}: expected {width} fields, got {counts[wrong[0]]}"
            + ("; the file may be cut short." if wrong[0] == len(counts) - 1 else ".")
        )
    chunks = pd.read_csv(
        path,
        sep=r"\s+" if separator is None else separator,
        header=None,
        names=list(range(width)),
        index_col=False,
        # Not "category", for which some versions of pandas read numbers.
        dtype=object,
        skiprows=first - 1,
        nrows=len(counts),
        na_filter=False,
        quoting=csv.QUOTE_NONE,
        encoding="utf-8-sig",
        chunksize=_CHUNK,
    )
    kinds = {field: "str" if field in text else "category" for field in range(width)}
    return _stacked([chunk.astype(kinds) for chunk in chunks])


def _stacked(chunks: list[pd.DataFrame]) -> pd.DataFrame:
    """Return the rows of all chunks, whose categoricals may have different categories."""
    if len(chunks) == 1:
        return chunks[0]
    columns = {}
    for name, dtype in chunks[0].dtypes.items():
        parts = [chunk[name] for chunk in chunks]
        is_text = not isinstance(dtype, pd.CategoricalDtype)
        columns[name] = (
            pd.concat(parts, ignore_index=True) if is_text else pd.Series(union_categoricals(parts))
        )
    return pd.DataFrame(columns)


def _width(line: str, separator: str | None) -> int:
    if separator is None:
        return len(line.split())
    return line.count(separator) + 1 if line else 0


def translate(
    column: "pd.Series[Any]", name: str, value_of: Callable[[str], Any], valid: str, place: Place
) -> NDArray[Any]:
    """Return the value of each cell of a categorical column.

    Parameters
    ----------
    column : Series of categorical dtype, whose categories are str
    name : str
        For the message.
    value_of : callable
        From a cell to its value, None for a cell that may not be.
    valid : str
        The valid cells, for the message.
    place : callable
        From a row to where it stands.

    Raises
    ------
    DatasetFormatError
        If a cell may not be; the message names the first row of it, and the column.
    """
    codes = column.cat.codes.to_numpy()
    values = [value_of(level) for level in column.cat.categories]
    invalid = [code for code, value in enumerate(values) if value is None]
    if invalid:
        row = int(np.argmax(np.isin(codes, invalid)))
        raise DatasetFormatError(
            f"{place(row)}: {name} is {column.iloc[row]!r}, but must be {valid}."
        )
    return np.array(values)[codes]


def read_codes(
    table: pd.DataFrame, names: Sequence[str], coding: Mapping[str, int], place: Place
) -> Codes:
    """Return the labels of binary attributes: 1 positive, 0 negative, -1 unknown.

    Parameters
    ----------
    table : DataFrame of categoricals, shape (n, len(names))
    names : sequence of str
        The attributes.
    coding : mapping
        From each valid cell to its code.
    place : callable
        From a row to where it stands.

    Returns
    -------
    ndarray of shape (n, len(names)), int8, in Fortran order

    Raises
    ------
    DatasetFormatError
        If a cell is not in the coding.
    """
    words = {POSITIVE: "positive", NEGATIVE: "negative", UNKNOWN: "unknown"}
    valid = " or ".join(f"{cell!r} ({words[code]})" for cell, code in coding.items())
    codes = np.empty(table.shape, dtype=np.int8, order="F")
    for j, name in enumerate(names):
        column = table.iloc[:, j]
        codes[:, j] = translate(column, f"attribute {name!r}", coding.get, valid, place)
    return codes


def read_numbers(table: pd.DataFrame, names: Sequence[str], place: Place) -> NDArray[np.int64]:
    """Return the whole numbers in a table of categoricals, as a matrix."""
    columns = [
        translate(table.iloc[:, j], name, _whole_number, "a whole number", place)
        for j, name in enumerate(names)
    ]
    return np.column_stack(columns).astype(np.int64)


def _whole_number(cell: str) -> int | None:
    return int(cell) if re.fullmatch(r"-?[0-9]{1,9}", cell) else None


def check_unique(column: "pd.Series[Any]", name: str, place: Place) -> None:
    """Raise an error if a value of a column that names each row is there twice."""
    twice = column.duplicated().to_numpy()
    if twice.any():
        row = int(np.argmax(twice))
        earlier = int(np.argmax((column == column.iloc[row]).to_numpy()))
        raise DatasetFormatError(
            f"{place(row)}: {name} {column.iloc[row]!r} is there already ({place(earlier)}), but "
            "each may be there once."
        )
