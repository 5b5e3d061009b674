"""Loader of an attribute table in a CSV or parquet file."""

import csv
import io
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

from skattr.datasets._annotation_files import (
    BOX_COLUMNS,
    NEGATIVE,
    POSITIVE,
    UNKNOWN,
    Folder,
    Place,
    check_choice,
    read_codes,
    read_text,
    translate,
)
from skattr.datasets._bunch import boolean_table, describe_counts, existing_rows, join_paths
from skattr.exceptions import DatasetFormatError

Cells = str | int | float | bool | Sequence[str | int | float | bool] | None


def load_attribute_table(
    file: Folder,
    *,
    attributes: Sequence[str] | Mapping[str, Any] | None = None,
    positive: Cells = None,
    negative: Cells = None,
    unknown: Cells = ("",),
    path: str = "path",
    folder: Folder | None = None,
    group: str | None = None,
    category: str | None = None,
    split: str | None = None,
    boxes: Sequence[str] | None = None,
    separator: str = ",",
    existing_only: bool = False,
    return_X_y: bool = False,
) -> Any:
    r"""Load a table of images and their attributes from a CSV or parquet file.

    No value is guessed: a cell that is not in the coding is an error that names its line and
    column. "NA", "None" and "nan" are ordinary levels, unless they are in `unknown`.

    Parameters
    ----------
    file : str or path-like
        A file whose name ends in ``.parquet`` or ``.pq`` is read as parquet, any other as UTF-8
        text whose first line names the columns. Fields may be quoted with ``"``.
    attributes : list of str, or dict, default=None
        The columns of attributes. A dict maps them to their kinds, ``"binary"``,
        ``"categorical"`` or ``("ordinal", levels)``, the levels in rising order. In a list all
        are binary if `positive` and `negative` are given, and categorical otherwise. None means
        all columns that no other parameter names.
    positive, negative : scalar or list of scalars, default=None
        The cells of binary attributes that mean true and false. They are required if there is a
        binary attribute. Numbers and bools are compared as Python formats them.
    unknown : scalar or list of scalars, default=("",)
        The cells of any attribute, and of `category`, that mean that the value is missing. The
        default is the empty cell only.
    path : str, default="path"
        The column of the paths of the images.
    folder : str or path-like, default=None
        The folder that paths are relative to. None leaves them unchanged.
    group, category, split : str, default=None
        The columns of groups (such as the person in each image), of object categories, and of
        official splits.
    boxes : list of four str, default=None
        The columns of xmin, ymin, xmax and ymax: whole pixels, 0-based and half-open. Four empty
        cells mean the whole image.
    separator : str, default=","
        The character between the fields of a text file.
    existing_only : bool, default=False
        Whether to drop rows whose image file does not exist.
    return_X_y : bool, default=False
        Whether to return the pair ``(data, target)`` instead of a Bunch.

    Returns
    -------
    data : sklearn.utils.Bunch
        With these entries:

        data : DataFrame
            Column ``path`` and, if given, ``xmin``, ``ymin``, ``xmax``, ``ymax``, ``category``,
            ``group`` and ``split``.
        target : DataFrame
            A column for each attribute: boolean where binary, str where categorical, and of its
            levels' type (str or Int64) where ordinal. Missing labels are NA or NaN.
        attribute_kinds : dict
            Maps attributes to their kinds.
        category_names : list of str, or None
            The categories that occur, sorted.
        DESCR : str
            The file, the coding and the counts of the loaded rows.
    (data, target) : tuple
        Returned instead of the Bunch if `return_X_y` is true.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    DatasetFormatError
        If a row has more or fewer fields than the first line, a cell is not in the coding, or a
        path is empty. The message names the line and the column.
    ImportError
        If the file is parquet and neither pyarrow nor fastparquet is installed.
    ValueError, TypeError
        If a parameter has an invalid value.

    Notes
    -----
    The cells of a parquet file are compared as Python formats them, such as ``True``, ``1`` or
    ``1.0``. A null is the empty cell.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from skattr.datasets import load_attribute_table
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder) / "labels.csv"
    ...     _ = file.write_text("image,hat,color\na.jpg,1,red\nb.jpg,0,NA\nc.jpg,,red\n")
    ...     labels = load_attribute_table(
    ...         file,
    ...         attributes={"hat": "binary", "color": "categorical"},
    ...         positive=1,
    ...         negative=0,
    ...         path="image",
    ...     )
    >>> labels.target
         hat color
    0   True   red
    1  False    NA
    2   <NA>   red
    """
    name, table, place = _read(file, separator)
    roles = {"path": path, "category": category, "group": group, "split": split}
    if boxes is not None:
        if isinstance(boxes, str) or len(boxes) != 4:
            raise ValueError(f"boxes must be the names of four columns, got {boxes!r}.")
        roles |= dict(zip(BOX_COLUMNS, boxes, strict=True))
    used = {role: column for role, column in roles.items() if column is not None}
    coding = _coding(positive, negative, unknown)
    is_coded = POSITIVE in coding.values()
    others = [column for column in table if column not in used.values()]
    kinds = _kinds(others if attributes is None else attributes, is_coded)
    named = [*used.items(), *(("attributes", column) for column in kinds)]
    for parameter, column in named:
        if column not in table:
            raise ValueError(
                f"{parameter} names the column {column!r}, but {name} has only {list(table)}."
            )
    cells = {column: _cells(table[column]) for _, column in named}
    missing = [cell for cell, code in coding.items() if code == UNKNOWN]
    data = _data({role: cells[column] for role, column in used.items()}, folder, missing, place)
    columns = {
        column: _attribute(cells[column], column, kind, coding, place)
        for column, kind in kinds.items()
    }
    data, target = existing_rows(data, pd.DataFrame(columns), existing_only)
    check_choice("return_X_y", return_X_y, (True, False))
    if return_X_y:
        return data, target
    words = {"Positive": POSITIVE, "Negative": NEGATIVE, "Unknown": UNKNOWN}
    listed = {word: [c for c in coding if coding[c] == code] for word, code in words.items()}
    meanings = [f"{word}: {some}" for word, some in listed.items() if some]
    return Bunch(
        data=data,
        target=target,
        attribute_kinds=kinds,
        category_names=None if category is None else sorted(data["category"].dropna().unique()),
        DESCR="\n".join(
            [f"Attributes read from {name}", "", *meanings, "", describe_counts(target)]
        ),
    )


def _read(file: Any, separator: str) -> tuple[str, pd.DataFrame, Place]:
    """Return the name of a file, its columns, and a function that describes the place of a row."""
    if not isinstance(file, str | os.PathLike):
        raise TypeError(f"file must be a str or a path-like object, got {file!r}.")
    name = os.fspath(file)
    if not os.path.isfile(name):
        raise FileNotFoundError(f"There is no file {name!r}; a table of attributes is expected.")
    if name.lower().endswith((".parquet", ".pq")):
        table = _read_parquet(name)
        return name, table, lambda row: f"{name}, row {row} (from 0)"
    # pandas' reader is not used: it would turn "NA" into a missing value and does not say in which
    # line a row begins.
    table, lines = _read_text(name, separator)
    return name, table, lambda row: f"{name}, line {lines[row]}"


def _read_text(name: str, separator: str) -> tuple[pd.DataFrame, list[int]]:
    """Return the cells of a text file and the first line of each row."""
    if not isinstance(separator, str) or len(separator) != 1 or separator in '"\r\n':
        raise ValueError(f"separator must be one character other than a quote, got {separator!r}.")
    reader = csv.reader(io.StringIO(read_text(name), newline=""), delimiter=separator, strict=True)
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


def _cells(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """Return a column as categories of text. A null becomes the empty text."""
    try:
        codes, levels = pd.factorize(column)
    except TypeError:
        raise DatasetFormatError(
            f"The column {column.name!r} must contain text, numbers or bools, but has lists."
        ) from None
    texts = np.array([*map(str, levels), ""], dtype=object)
    return pd.Series(pd.Categorical(texts[codes]))


def _texts(name: str, cells: Any) -> list[str]:
    """Return cells of the coding as text."""
    if cells is None:
        return []
    listed = [cells] if isinstance(cells, str) or not isinstance(cells, Iterable) else list(cells)
    for cell in listed:
        if not isinstance(cell, str | int | float | np.generic):
            raise TypeError(f"{name} must be a str, a number, a bool or a list of them: {cell!r}.")
    return [str(cell) for cell in listed]


def _coding(positive: Any, negative: Any, unknown: Any) -> dict[str, int]:
    """Return the code of each cell that the parameters name."""
    if (positive is None) != (negative is None):
        raise ValueError("positive and negative must be given together or not at all.")
    coding: dict[str, int] = {}
    parameters = {"positive": positive, "negative": negative, "unknown": unknown}
    for (name, cells), code in zip(parameters.items(), (POSITIVE, NEGATIVE, UNKNOWN), strict=True):
        if cells is not None and name != "unknown" and not _texts(name, cells):
            raise ValueError(f"{name} must have at least one cell.")
        for cell in _texts(name, cells):
            if coding.setdefault(cell, code) != code:
                raise ValueError(
                    f"{name} has the cell {cell!r}, which already has another meaning."
                )
    return coding


def _kinds(attributes: Any, is_coded: bool) -> dict[str, Any]:
    """Return the kind of each attribute, checked."""
    if isinstance(attributes, str) or not isinstance(attributes, Iterable):
        raise TypeError(f"attributes must be a list or a dict of columns, got {attributes!r}.")
    names = list(attributes)
    if not names or "" in names or len(set(names)) < len(names):
        raise ValueError(
            f"attributes must be at least one column, distinct and with a name, got {names}."
        )
    if isinstance(attributes, Mapping):
        kinds = {name: _kind(name, kind) for name, kind in attributes.items()}
    else:
        kinds = dict.fromkeys(names, "binary" if is_coded else "categorical")
    binary = [name for name, kind in kinds.items() if kind == "binary"]
    # Which of two levels is positive is never guessed.
    if binary and not is_coded:
        raise ValueError(f"positive and negative must be given, for the binary {binary}.")
    if is_coded and not binary:
        raise ValueError("positive and negative are given, but no attribute is binary.")
    return kinds


def _kind(name: str, kind: Any) -> Any:
    if kind in ("binary", "categorical"):
        return kind
    if isinstance(kind, tuple | list) and len(kind) == 2 and kind[0] == "ordinal":
        levels = list(kind[1]) if not isinstance(kind[1], str) else []
        of_one_type = any(all(type(level) is t for level in levels) for t in (str, int))
        if len(levels) > 1 and of_one_type and len(set(levels)) == len(levels):
            return ("ordinal", levels)
    raise ValueError(
        f"The kind of the attribute {name!r} must be 'binary', 'categorical' or ('ordinal', "
        f"levels), with at least two levels, all str or all int, got {kind!r}."
    )


def _data(
    cells: Mapping[str, "pd.Series[Any]"], folder: Any, missing: list[str], place: Place
) -> pd.DataFrame:
    """Return the table of paths, boxes, categories, groups and splits."""
    for role in ("path", "group"):
        if role in cells:
            valid = {c: c for c in cells[role].cat.categories if c != ""}
            name = f"the column of {role}s"
            translate(cells[role], name, valid.get, "something", place)
    paths = cells["path"].astype("str")
    data = pd.DataFrame({"path": paths if folder is None else join_paths(folder, "", paths)})
    if "xmin" in cells:
        edges = np.column_stack(
            [translate(cells[k], k, _edge, "a whole number or empty", place) for k in BOX_COLUMNS]
        )
        absent = np.isnan(edges)
        is_partial = absent.any(axis=1) & ~absent.all(axis=1)
        if is_partial.any():
            raise DatasetFormatError(
                f"{place(int(np.argmax(is_partial)))}: a box must be four numbers or empty."
            )
        data[BOX_COLUMNS] = edges if absent.any() else edges.astype(np.int64)
    for role in ("category", "group", "split"):
        if role in cells:
            unknown = missing if role == "category" else [""]
            data[role] = cells[role].astype("str").mask(cells[role].isin(unknown))
    return data


def _edge(cell: str) -> float | None:
    if cell == "":
        return math.nan
    return float(cell) if re.fullmatch(r"-?[0-9]{1,9}(\.0*)?", cell) else None


def _attribute(
    cells: "pd.Series[Any]", name: str, kind: Any, coding: Mapping[str, int], place: Place
) -> "pd.Series[Any]":
    """Return the column of an attribute."""
    if kind == "binary":
        codes = read_codes(cells.to_frame(), [name], coding, place)
        return boolean_table(codes, [name])[name]
    missing = [cell for cell, code in coding.items() if code == UNKNOWN]
    if kind == "categorical":
        return cells.astype("str").mask(cells.isin(missing))
    levels = kind[1]
    ranks = {str(level): rank for rank, level in enumerate(levels)}
    ranks |= dict.fromkeys(missing, UNKNOWN)  # last: a cell in `unknown` is never a level
    valid = f"one of {levels} or unknown ({missing})"
    found = translate(cells, f"attribute {name!r}", ranks.get, valid, place)
    dtype = "str" if isinstance(levels[0], str) else "Int64"
    return pd.Series([levels[rank] for rank in found.tolist()], dtype=dtype).mask(found < 0)
