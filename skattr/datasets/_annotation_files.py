"""Strict readers of annotation files.

Nothing is guessed: every error names the file and the line, and codings are always explicit,
because they differ between datasets (0 is a missing label in one and negative in another).
"""

import csv
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice, pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import union_categoricals

from skattr.exceptions import DatasetFormatError

Folder = str | os.PathLike[str]
# Describes the place of a row in its file, for error messages.
Place = Callable[[int], str]
Rows = tuple[pd.DataFrame, Place]
Codes = NDArray[np.int8]

BOX_COLUMNS = ["xmin", "ymin", "xmax", "ymax"]
POSITIVE, NEGATIVE, UNKNOWN = 1, 0, -1
# Rows are converted to categories in chunks: a str takes eight bytes per cell, a category one.
_CHUNK_SIZE = 65536


def check_choice(name: str, value: Any, valid: Sequence[Any]) -> None:
    """Raise a ValueError if a parameter does not have one of its valid values."""
    if not any(value is v or (isinstance(value, str) and value == v) for v in valid):
        raise ValueError(f"{name} must be one of {list(valid)}, got {value!r}.")


def read_text(path: str) -> str:
    """Return the text of a UTF-8 file without its byte order mark, if any."""
    with open(path, "rb") as file:
        content = file.read()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise DatasetFormatError(
            f"{path}, line {line}: the byte 0x{error.object[error.start]:02x} is not UTF-8; the "
            "file must be saved as UTF-8."
        ) from None


def text_lines(path: str) -> Iterator[str]:
    """Yield the lines of a UTF-8 file without their line ends (LF or CRLF)."""
    try:
        with open(path, encoding="utf-8-sig", newline="\n") as file:
            for number, line in enumerate(file, start=1):
                text = line.rstrip("\r\n")
                if "\r" in text or "\0" in text:
                    raise DatasetFormatError(
                        f"{path}, line {number}: the line contains a carriage return or a NUL; "
                        "lines must end with LF or CRLF."
                    )
                yield text
    except UnicodeDecodeError:
        read_text(path)  # raises an error that names the line
        raise


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
    """Return the names in a file with one distinct name per line."""
    names = [line.strip() for line in text_lines(path)]
    while names and not names[-1]:
        names.pop()
    if not names:
        raise DatasetFormatError(f"{path} contains no name; one name per line is expected.")
    for row, name in enumerate(names):
        if not name or name in names[:row]:
            raise DatasetFormatError(f"{path}, line {row + 1}: expected a new name, got {name!r}.")
    return names


def check_order(names: Sequence[str], official: str, where: str) -> None:
    """Raise an error if names are not in the order of `official`, which is comma-separated.

    Rows of such files have no attribute names, so another order would mix up attributes silently.
    """
    rank = {name: k for k, name in enumerate(official.split(","))}
    known = [name for name in names if name in rank]
    for name, following in pairwise(known):
        if rank[following] < rank[name]:
            raise DatasetFormatError(
                f"{where}: the attribute {following!r} comes after {name!r}, but before it in "
                "this format, whose rows do not name attributes."
            )


def read_header(path: str, separator: str | None = ",", line: int = 1) -> list[str]:
    """Return the names of columns in a line of a file, which must be distinct."""
    text = next(islice(text_lines(path), line - 1, None), "")
    names = text.split(separator)
    if not names or "" in names or len(set(names)) < len(names):
        raise DatasetFormatError(
            f"{path}, line {line}: expected the distinct names of the columns, got {text!r}."
        )
    return names


def read_csv(path: str, columns: list[str], n_text: int = 1) -> Rows:
    """Read a comma-separated file whose first line must name these columns."""
    header = next(text_lines(path), "")
    if header != ",".join(columns):
        raise DatasetFormatError(
            f"{path}, line 1: expected the columns {','.join(columns)!r} in this order, got "
            f"{header!r}."
        )
    return read_rows(path, len(columns), separator=",", first=2, n_text=n_text)


def read_rows(
    path: str, width: int, *, separator: str | None = None, first: int = 1, n_text: int = 1
) -> Rows:
    """Read a file with one row per line.

    Parameters
    ----------
    path : str
    width : int
        Number of fields each line must have.
    separator : str, optional
        One character that no field contains. None means any run of blanks and tabs.
    first : int
        Number of the first line with a row, from 1.
    n_text : int
        Number of first columns to be read as str. The others become categoricals of str, for few
        levels.

    Returns
    -------
    rows : DataFrame
        One column per field, named from 0.
    place : callable
        Maps a row to its file and line.

    Raises
    ------
    DatasetFormatError
        If a line has another number of fields, or the file has no row.
    """
    # Lines are counted first, because pandas fills short lines and may drop surplus fields.
    counts = np.fromiter((_width(line, separator) for line in text_lines(path)), dtype=np.int64)
    filled = np.flatnonzero(counts)
    counts = counts[first - 1 : filled[-1] + 1 if len(filled) else 0]
    if not len(counts):
        raise DatasetFormatError(f"{path} contains no row; rows are expected from line {first} on.")
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
        # With dtype="category" some versions of pandas would read numbers.
        dtype=object,
        skiprows=first - 1,
        nrows=len(counts),
        na_filter=False,  # "NA" and empty cells stay text; the coding decides what is missing
        quoting=csv.QUOTE_NONE,
        encoding="utf-8-sig",
        chunksize=_CHUNK_SIZE,
    )
    kinds = {field: "str" if field < n_text else "category" for field in range(width)}
    parts = [chunk.astype(kinds) for chunk in chunks]
    rows = parts[0]
    if len(parts) > 1:  # which may have different categories
        cells = {
            field: union_categoricals([part[field] for part in parts])
            for field in range(n_text, width)
        }
        text = pd.concat([part.iloc[:, :n_text] for part in parts], ignore_index=True)
        rows = text.join(pd.DataFrame(cells))
    return rows, lambda row: f"{path}, line {first + row}"


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
        Name of the column, for the message.
    value_of : callable
        Maps a cell to its value, and an invalid cell to None.
    valid : str
        Description of the valid cells, for the message.
    place : callable
        Maps a row to its place, for the message.

    Raises
    ------
    DatasetFormatError
        If a cell is invalid. The message names its first row and the column.
    """
    codes = column.cat.codes.to_numpy()
    values = [value_of(level) for level in column.cat.categories]
    is_invalid = np.array([value is None for value in values])
    check_cells(is_invalid[codes], column, name, valid, place)
    return np.array(values)[codes]


def check_cells(is_wrong: Any, cells: Any, name: str, valid: str, place: Place) -> None:
    """Raise an error that names the first wrong cell, its place and column, and valid cells."""
    if is_wrong.any():
        row = int(np.argmax(is_wrong))
        raise DatasetFormatError(f"{place(row)}: {name} is {cells[row]!r}, but must be {valid}.")


def read_codes(
    table: pd.DataFrame, names: Sequence[str], coding: Mapping[str, int], place: Place
) -> Codes:
    """Return the labels of binary attributes: 1 positive, 0 negative, -1 missing.

    Parameters
    ----------
    table : DataFrame of categoricals, shape (n, len(names))
    names : sequence of str
        The attributes.
    coding : mapping
        Maps each valid cell to its code.
    place : callable
        Maps a row to its place, for the message.

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
    # Columns are read one by one, hence the Fortran order.
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
    """Raise an error if a value occurs twice in a column of identifiers."""
    is_repeated = column.duplicated().to_numpy()
    if is_repeated.any():
        row = int(np.argmax(is_repeated))
        earlier = int(np.argmax((column == column.iloc[row]).to_numpy()))
        raise DatasetFormatError(
            f"{place(row)}: {name} {column.iloc[row]!r} occurs twice, first in {place(earlier)}."
        )
