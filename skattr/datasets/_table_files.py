"""Tables of cells: a text file, a parquet file or a DataFrame."""

import codecs
import csv
import io
import os
from typing import Any

import numpy as np
import pandas as pd

from skattr._utils.tables import as_pandas
from skattr.datasets._annotation_files import Place
from skattr.exceptions import DatasetFormatError

# The mark of UTF-32 begins with that of UTF-16, and is looked for first.
_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def read_table(file: Any, separator: str, encoding: str | None) -> tuple[str, pd.DataFrame, Place]:
    """Return the name of a table, its columns, and a function that describes the place of a row."""
    file = as_pandas(file)
    if isinstance(file, pd.DataFrame):
        return "the DataFrame", _read_frame(file), lambda row: f"the DataFrame, row {row} (from 0)"
    if not isinstance(file, str | os.PathLike):
        raise TypeError(
            "file must be a str, a path-like object or a DataFrame, got a value of type "
            f"{type(file).__name__}."
        )
    name = os.fspath(file)
    if not os.path.isfile(name):
        raise FileNotFoundError(f"There is no file {name!r}; a table of attributes is expected.")
    if name.lower().endswith((".parquet", ".pq")):
        table = _read_parquet(name)
        return name, table, lambda row: f"{name}, row {row} (from 0)"
    # pandas' reader is not used: it would turn "NA" into a missing value and does not say in which
    # line a row begins.
    table, lines = _read_text(name, separator, encoding)
    return name, table, lambda row: f"{name}, line {lines[row]}"


def _read_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a DataFrame with whole numbers as integers, which missing values make floats."""
    if not frame.columns.is_unique:
        raise ValueError(f"The names of the columns must be distinct, got {list(frame.columns)}.")
    if not len(frame):
        raise DatasetFormatError("The DataFrame contains no row.")
    frame = frame.reset_index(drop=True)
    for name, column in frame.items():
        if pd.api.types.is_float_dtype(column.dtype):
            known = column.dropna().to_numpy(dtype=np.float64)
            if np.isfinite(known).all() and (known == np.floor(known)).all():
                frame[name] = column.astype("Int64")
    return frame


def _decode(name: str, content: bytes, encoding: str | None) -> str:
    """Return the text of a file without its byte order mark."""
    marked = next((codec for mark, codec in _MARKS.items() if content.startswith(mark)), None)
    own = encoding or marked or "utf-8"
    try:
        if marked and not codecs.lookup(own).name.startswith(marked):
            raise DatasetFormatError(
                f"{name} begins with the byte order mark of {marked.upper()}, but encoding is "
                f"{encoding!r}; pass encoding={marked!r}."
            )
        text = content.decode(own)
    except (LookupError, TypeError):
        raise ValueError(
            f"encoding must be the name of a text encoding, such as 'cp1252', got {encoding!r}."
        ) from None
    except UnicodeDecodeError as error:
        line = content[: error.start].decode(own, "ignore").count("\n") + 1
        raise DatasetFormatError(
            f"{name}, line {line}: the byte 0x{content[error.start]:02x} is not {own.upper()}; "
            f"pass the `encoding` of the file, such as {_likely(content)}, or save it as UTF-8."
        ) from None
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise DatasetFormatError(
            f"{name}, line {line}: the line contains a NUL; pass the `encoding` of the file, such "
            f"as {_likely(content)}."
        )
    return text.removeprefix("\ufeff")


def _likely(content: bytes) -> str:
    return "'utf-16-le' or 'utf-16-be'" if b"\0" in content else "'cp1252' or 'latin-1'"


def _read_text(name: str, separator: str, encoding: str | None) -> tuple[pd.DataFrame, list[int]]:
    """Return the cells of a text file and the first line of each row."""
    if not isinstance(separator, str) or len(separator) != 1 or separator in '"\r\n':
        raise ValueError(f"separator must be one character other than a quote, got {separator!r}.")
    with open(name, "rb") as file:
        text = _decode(name, file.read(), encoding)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    rows, lines = [], []
    line = 1
    try:
        for row in reader:
            rows.append(row)
            lines.append(line)
            line = reader.line_num + 1
    except csv.Error as error:
        raise DatasetFormatError(
            f"{name}: the row that begins in line {line} cannot be read ({error}); a quote may be "
            "left open, or the file cut short."
        ) from None
    while rows and not rows[-1]:
        rows.pop()
    if len(rows) < 2:
        raise DatasetFormatError(f"{name} contains no row; line 1 must name the columns.")
    header = rows[0]
    if len(set(header)) < len(header):
        raise DatasetFormatError(
            f"{name}, line 1: expected the distinct names of the columns, got {header}."
        )
    for row, start in zip(rows, lines, strict=False):
        if len(row) != len(header):
            raise DatasetFormatError(
                f"{name}, line {start}: expected {len(header)} fields, as in line 1, got "
                f"{len(row)}."
            )
    return pd.DataFrame(rows[1:], columns=header, dtype=object), lines[1:]


def _read_parquet(name: str) -> pd.DataFrame:
    try:
        return pd.read_parquet(name, dtype_backend="numpy_nullable")
    except ImportError:
        raise ImportError(f"To read {name!r}, install pyarrow or fastparquet.") from None
    # pyarrow's errors are subclasses of the first two, fastparquet raises the others.
    except (ValueError, OSError, KeyError, TypeError, RuntimeError) as error:
        raise DatasetFormatError(
            f"{name} cannot be read as a parquet file ({error}); it may be cut short."
        ) from None


def as_cells(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """Return a column as categories of text. A null becomes the empty text."""
    try:
        codes, levels = pd.factorize(column)
    except TypeError:
        raise DatasetFormatError(
            f"The column {column.name!r} must contain text, numbers or bools, but has lists."
        ) from None
    texts = np.array([*map(str, levels), ""], dtype=object)
    return pd.Series(pd.Categorical(texts[codes]))
