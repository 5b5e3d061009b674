"""Loader of an attribute table in a CSV or parquet file, or in a DataFrame."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

from skattr._targets.mistakes import Column, warn_mistakes
from skattr.datasets._annotation_files import (
    BOX_COLUMNS,
    NEGATIVE,
    POSITIVE,
    UNKNOWN,
    Folder,
    Place,
    check_choice,
    read_codes,
    translate,
)
from skattr.datasets._bunch import boolean_table, describe_counts, existing_rows, join_paths
from skattr.datasets._table_files import as_cells, read_table
from skattr.datasets._tags import holds_collections, read_tags, warn_tags
from skattr.exceptions import DatasetFormatError

# What mends labels that look like mistakes.
_REMEDIES = {
    "missing": "list them in `unknown`",
    "sentinel": "list it in `unknown` if it marks a missing label",
    "spelling": "write each level in one way",
    "tags": "name the column in `tags`, with its `tag_separator`",
    "rows": "leave the column out of `attributes`",
    "constant": "nothing can be learned for them; leave them out of `attributes`",
}
Cells = str | int | float | bool | Sequence[str | int | float | bool] | None


def load_attribute_table(
    file: Folder | pd.DataFrame,
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
    tags: str | Mapping[str, Sequence[str]] | None = None,
    tag_separator: str = "|",
    no_tag: str | None = None,
    separator: str = ",",
    encoding: str | None = None,
    existing_only: bool = False,
    return_X_y: bool = False,
) -> Any:
    r"""Load a table of images and their attributes from a CSV or parquet file, or a DataFrame.

    No value is guessed: a cell that is not in the coding is an error that names its line and
    column. "NA", "None" and "nan" are levels, unless they are in `unknown`; a warning names them
    if the levels are not declared.

    Parameters
    ----------
    file : str, path-like or DataFrame (pandas, polars or pyarrow)
        A file whose name ends in ``.parquet`` or ``.pq`` is read as parquet, any other as text
        whose first line names the columns. Fields may be quoted with ``"``.
    attributes : list of str, or dict, default=None
        The columns of attributes. A dict maps them to their kinds, ``"binary"``,
        ``"categorical"``, ``("categorical", levels)`` or ``("ordinal", levels)``, these in
        rising order. In a list all are binary if `positive` and `negative` are given, and
        categorical otherwise. None means all columns that no other parameter names, but none if
        `tags` is given.
    positive, negative : scalar or list of scalars, default=None
        The cells of binary attributes that mean true and false. They are required if there is a
        binary attribute. Numbers and bools are compared as Python formats them.
    unknown : scalar or list of scalars, default=("",)
        The cells of any attribute, of `category` and of `tags` that mean that the value is
        missing. The default is the empty cell only.
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
    tags : str, or dict of {str: list of str}, default=None
        A column whose cells have any number of tags, such as "hat|tie", each of which becomes a
        binary attribute, as of :func:`tags_to_table`. A dict lists all tags that may occur, in
        the order of the attributes. A DataFrame or parquet file may have lists in its cells.
    tag_separator : str, default="|"
        What separates the tags of a cell.
    no_tag : str, default=None
        A tag that means that the row has none, such as "No Finding". It is no attribute.
    separator : str, default=","
        The character between the fields of a text file.
    encoding : str, default=None
        The encoding of a text file, such as "cp1252", "latin-1" or "utf-16". None means the one
        that a byte order mark at its begin declares, and UTF-8 without such a mark.
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
            A column for each attribute: boolean where binary, a pandas Categorical where
            categorical, and an ordered one where ordinal, so that `fit`, metrics, reports and
            calibrators know the levels and their order. Missing labels are NA or NaN.
        attribute_kinds : dict
            Maps attributes to their kinds. It is a valid `attributes` of
            :class:`skattr.AttributeClassifier`.
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

    Warns
    -----
    LabelWarning
        If levels of a categorical attribute that are not declared, or tags that are not listed,
        look like mistakes, such as "nan" or "?", levels that differ in case or blanks only, several
        labels in one cell, or about as many levels as rows.

    Notes
    -----
    The cells of a parquet file or DataFrame are compared as Python formats them, such as
    ``True``, ``1`` or ``1.0``. A null is the empty cell. Floats of a DataFrame that are all whole
    numbers, as integers with missing values are, are read as integers. The index of a DataFrame
    is not kept.

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
    ...         attributes={"hat": "binary", "color": ("categorical", ["NA", "red"])},
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
    name, table, place = read_table(file, separator, encoding)
    tag_column, tag_names = _tag_column(tags)
    used = _columns_of_roles(boxes, path=path, category=category, group=group, split=split)
    coding = _coding(positive, negative, unknown)
    is_coded = POSITIVE in coding.values()
    others = [column for column in table if column not in used.values()]
    kinds = {}
    if attributes is not None or tag_column is None:
        kinds = _kinds(others if attributes is None else attributes, is_coded)
    named = [*used.items(), *(("attributes", column) for column in kinds)]
    if tag_column is not None:
        named.append(("tags", tag_column))
    for parameter, column in named:
        if column not in table:
            raise ValueError(
                f"{parameter} names the column {column!r}, but {name} has only {list(table)}."
            )
    cells = {column: as_cells(table[column]) for role, column in named if role != "tags"}
    missing = [cell for cell, code in coding.items() if code == UNKNOWN]
    data = _data({role: cells[column] for role, column in used.items()}, folder, missing, place)
    columns = {
        column: _attribute(cells[column], column, kind, coding, place)
        for column, kind in kinds.items()
    }
    _warn_mistakes({c: columns[c] for c, kind in kinds.items() if kind == "categorical"}, name)
    if tag_column is not None:
        tag_table = _tags(table[tag_column], missing, tag_separator, tag_names, no_tag, place)
        if repeated := [tag for tag in tag_table if tag in columns]:
            raise ValueError(f"The tags {repeated} have the names of attributes.")
        if tag_names is None:
            declare = f"list all tags, tags={{{tag_column!r}: [...]}}"
            warn_tags(tag_table, tag_column, name, _REMEDIES, declare)
        columns |= {tag: tag_table[tag] for tag in tag_table.columns}
        kinds |= dict.fromkeys(tag_table.columns, "binary")
    data, target = existing_rows(data, pd.DataFrame(columns), existing_only)
    for column, kind in kinds.items():
        if kind == "categorical":  # levels of dropped rows only
            target[column] = target[column].cat.remove_unused_categories()
    check_choice("return_X_y", return_X_y, (True, False))
    if return_X_y:
        return data, target
    return Bunch(
        data=data,
        target=target,
        attribute_kinds=kinds,
        category_names=None if category is None else sorted(data["category"].dropna().unique()),
        DESCR=_describe(name, coding, target),
    )


def _describe(name: str, coding: Mapping[str, int], target: pd.DataFrame) -> str:
    """Return the description of a table: its file, coding and counts."""
    words = {"Positive": POSITIVE, "Negative": NEGATIVE, "Unknown": UNKNOWN}
    listed = {word: [c for c in coding if coding[c] == code] for word, code in words.items()}
    meanings = [f"{word}: {some}" for word, some in listed.items() if some]
    return "\n".join([f"Attributes read from {name}", "", *meanings, "", describe_counts(target)])


def _columns_of_roles(boxes: Any, **roles: str | None) -> dict[str, str]:
    """Return the columns that are no attributes, by role; a role without a column is left out."""
    if boxes is not None:
        if isinstance(boxes, str) or len(boxes) != 4:
            raise ValueError(f"boxes must be the names of four columns, got {boxes!r}.")
        roles |= dict(zip(BOX_COLUMNS, boxes, strict=True))
    return {role: column for role, column in roles.items() if column is not None}


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
    if isinstance(kind, tuple | list) and len(kind) == 2 and kind[0] in ("ordinal", "categorical"):
        levels = list(kind[1]) if not isinstance(kind[1], str) else []
        of_one_type = any(all(type(level) is t for level in levels) for t in (str, int))
        if len(levels) > 1 and of_one_type and len(set(levels)) == len(levels):
            return (kind[0], levels)
    raise ValueError(
        f"The kind of the attribute {name!r} must be 'binary', 'categorical', ('categorical', "
        "levels) or ('ordinal', levels), with at least two levels, all str or all int, got "
        f"{kind!r}."
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
        levels = [cell for cell in cells.cat.categories if cell not in missing]
        return cells.cat.set_categories(levels)
    levels = kind[1]
    ranks = {str(level): rank for rank, level in enumerate(levels)}
    ranks |= dict.fromkeys(missing, UNKNOWN)  # last: a cell in `unknown` is never a level
    valid = f"one of {levels} or unknown ({missing})"
    found = translate(cells, f"attribute {name!r}", ranks.get, valid, place)
    is_ordered = kind[0] == "ordinal"
    return pd.Series(pd.Categorical.from_codes(found, levels, ordered=is_ordered))


def _warn_mistakes(columns: Mapping[str, "pd.Series[Any]"], name: str) -> None:
    """Warn of levels that are not declared and look like mistakes."""
    learned = [
        Column(
            column,
            np.array(labels.cat.categories.tolist(), dtype=np.str_),
            int(labels.count()),
            len(labels.cat.categories),
        )
        for column, labels in columns.items()
    ]
    declare = "declare them in `attributes`, such as ('categorical', [levels])"
    warn_mistakes([column for column in learned if column.n_seen], name, _REMEDIES, declare)


def _tag_column(tags: Any) -> tuple[str | None, list[str] | None]:
    """Return the column of tags, and the names of all tags if they are given."""
    if isinstance(tags, Mapping):
        if len(tags) != 1:
            raise ValueError(f"tags must name one column, got {list(tags)}.")
        [(column, names)] = tags.items()
        return column, list(names)
    return tags, None


def _tags(
    column: "pd.Series[Any]",
    missing: list[str],
    separator: str,
    names: list[str] | None,
    no_tag: str | None,
    place: Place,
) -> pd.DataFrame:
    """Return the table of the tags in a column of texts or collections."""
    if not holds_collections(column):
        cells = as_cells(column)
        column = cells.astype(object).mask(cells.isin(missing), None)
    try:
        return read_tags(column, separator, names, no_tag, place)
    except (TypeError, ValueError) as error:
        raise DatasetFormatError(str(error)) from None
