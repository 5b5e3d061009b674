"""Tables of tags: one column per tag, from a collection or a text of tags per row."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from skattr._targets.mistakes import Column, warn_mistakes
from skattr.datasets._annotation_files import Place

# What mends each kind of mistake in tags.
_REMEDIES = {
    "missing": "replace them by None, or pass one of them as `no_tag`",
    "spelling": "write each tag in one way",
    "tags": "pass their separator, and split rows into single tags",
}
_COLLECTIONS = (list, tuple, set, frozenset, np.ndarray, pd.Series, pd.Index)


def tags_to_table(
    tags: Iterable[Any],
    *,
    separator: str | None = None,
    names: Sequence[Any] | None = None,
    no_tag: Any = None,
) -> pd.DataFrame:
    """Make a table of labels, with one column per tag, from the tags of each row.

    Parameters
    ----------
    tags : list, array or Series of n rows
        Each row is a list, set or other collection of tags, in any order and number, or a text
        if `separator` is given. An empty collection or text has no tag. None, NaN and pandas.NA
        mean that all labels of the row are missing.
    separator : str, default=None
        What separates the tags of a text, such as "|". Blanks around tags are removed. A text may
        be a list as Python writes it, such as "['hat', 'tie']". None means that rows are
        collections.
    names : list, default=None
        The tags of the table, in the order of its columns. None means all tags that occur,
        sorted.
    no_tag : str, default=None
        A tag that means that the row has no tag, such as "No Finding". It has no column.

    Returns
    -------
    DataFrame of shape (n, n_tags), boolean
        Whether a row has a tag; NA where the row is missing. A Series keeps its index.

    Raises
    ------
    TypeError
        If a row is neither a collection, nor a text with `separator`, nor missing.
    ValueError
        If a tag is missing or not in `names`, `names` has a tag twice, a row has `no_tag` beside
        another tag, or there is no tag at all.

    Warns
    -----
    LabelWarning
        If tags look like mistakes, and `names` does not list them: several tags in one text, tags
        that differ in case or blanks only, missing values written as text.

    See Also
    --------
    load_attribute_table : Reads a column of tags of a file.

    Examples
    --------
    >>> from skattr.datasets import tags_to_table
    >>> tags_to_table([["hat", "tie"], [], None, ["hat"]])
         hat    tie
    0   True   True
    1  False  False
    2   <NA>   <NA>
    3   True  False
    >>> tags_to_table(["hat|tie", "none"], separator="|", no_tag="none").columns.tolist()
    ['hat', 'tie']
    """
    table = read_tags(tags, separator, names, no_tag, lambda row: f"row {row}")
    if names is None:
        warn_tags(table, "tags", "the tags", _REMEDIES, "list all tags in `names`")
    return table


def warn_tags(
    table: pd.DataFrame, name: Any, what: str, remedies: Mapping[str, str], declare: str
) -> None:
    """Warn of tags that look like mistakes; each of them has become an attribute.

    Parameters
    ----------
    table : DataFrame
        The table of the tags.
    name : object
        The column that they come from.
    what, remedies, declare
        See :func:`skattr._targets.mistakes.warn_mistakes`.
    """
    texts = np.array([tag for tag in table.columns if isinstance(tag, str)], dtype=np.str_)
    column = Column(name, texts, len(table), len(texts))
    remedies = {kind: remedies[kind] for kind in ("missing", "spelling", "tags")}
    warn_mistakes([column], what, remedies, declare)


def read_tags(
    tags: Iterable[Any],
    separator: str | None,
    names: Sequence[Any] | None,
    no_tag: Any,
    place: Place,
) -> pd.DataFrame:
    """Do what :func:`tags_to_table` does; `place` describes a row in messages."""
    if separator is not None and (not isinstance(separator, str) or not separator):
        raise ValueError(f"The separator of tags must be a str that is not empty: {separator!r}.")
    index = tags.index if isinstance(tags, pd.Series) else None
    rows = [_read_row(row, place(number), separator) for number, row in enumerate(tags)]
    for number, row in enumerate(rows):
        if row is not None and no_tag is not None and no_tag in row:
            if len(set(row)) > 1:
                raise ValueError(
                    f"{place(number)}: {no_tag!r} means no tag, but the tags are {row}."
                )
            row.clear()
    found = dict.fromkeys(tag for row in rows for tag in row or ())
    columns = _sorted(found) if names is None else list(names)
    if len(set(columns)) < len(columns) or not columns:
        raise ValueError(f"There must be one tag or more, each of them once; got {columns}.")
    position = {name: j for j, name in enumerate(columns)}
    values = np.zeros((len(rows), len(columns)), dtype=bool)
    for number, row in enumerate(rows):
        for tag in row or ():
            if tag not in position:
                raise ValueError(f"{place(number)}: the tag {tag!r} is not one of {columns}.")
            values[number, position[tag]] = True
    missing = np.array([row is None for row in rows], dtype=bool)
    arrays = [pd.arrays.BooleanArray(column.copy(), missing.copy()) for column in values.T]
    table = pd.DataFrame(dict(enumerate(arrays)), index=index)
    return table.set_axis(pd.Index(columns, tupleize_cols=False), axis=1)


def holds_collections(column: "pd.Series[Any]") -> bool:
    """Whether a column has a collection in some cell."""
    return any(isinstance(cell, _COLLECTIONS) for cell in column)


def _read_row(row: Any, place: str, separator: str | None) -> list[Any] | None:
    """Return the tags of a row, None if it is missing."""
    if isinstance(row, str) and separator is not None:
        text = row.strip()
        if text[:1] + text[-1:] in ("[]", "()", "{}"):
            return [tag for part in text[1:-1].split(separator) if (tag := part.strip(" \n'\""))]
        return [tag for part in text.split(separator) if (tag := part.strip())]
    if isinstance(row, _COLLECTIONS):
        result = list(row)
        for tag in result:
            if not pd.api.types.is_scalar(tag) or pd.isna(tag):
                raise ValueError(f"{place}: {tag!r} is no tag; the tags are {result}.")
        return result
    if pd.api.types.is_scalar(row) and pd.isna(row):
        return None
    hint = "; pass the separator of its tags" if isinstance(row, str) else ""
    raise TypeError(f"{place} must be a collection of tags, or missing; got {row!r}{hint}.")


def _sorted(tags: Collection[Any]) -> list[Any]:
    try:
        return sorted(tags)
    except TypeError:
        raise ValueError(f"Tags must be of one type, such as str; got {list(tags)[:10]}.") from None
