"""Tables that meet: columns are matched by name, rows by the index of pandas objects.

Everything in the package that takes two tables comes here: y and a fitted estimator, true labels
and predictions, labels and weights.
"""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from skattr._targets.codes import format_classes
from skattr._utils.warnings import find_stack_level, is_called_from
from skattr.exceptions import RowIndexWarning


def column_order(
    given: Sequence[Any], wanted: Sequence[Any], what: str, other: str
) -> list[int] | None:
    """Return the positions of the wanted columns among the given ones.

    Parameters
    ----------
    given, wanted : sequence of column names
    what, other : str
        The tables that have these columns, for the message.

    Returns
    -------
    list of int, or None
        None if the columns are in the wanted order, or are to be matched by position, as those
        of one table are only numbered: 0, 1, ... in a DataFrame without names, y0, y1, ... in an
        array.

    Raises
    ------
    ValueError
        If names repeat, or the tables have different columns.
    """
    given, wanted = list(given), list(wanted)
    if given == wanted:
        return None
    repeated = pd.Index(given)[pd.Index(given).duplicated()].tolist()
    if repeated:
        raise ValueError(f"{what} has the column names {format_classes(repeated)} more than once.")
    if set(given) != set(wanted) and set(map(str, given)) == set(map(str, wanted)):
        # Names that a transformer or a file has turned into strings.
        given, wanted = list(map(str, given)), list(map(str, wanted))
    if set(given) == set(wanted) and len(given) == len(wanted):
        at = {name: position for position, name in enumerate(given)}
        order = [at[name] for name in wanted]
        return None if order == list(range(len(order))) else order
    # Chosen numbers, such as [0, 2] beside [0, 1], are names.
    if is_numbered(given) or (is_numbered(wanted) and set(given).isdisjoint(wanted)):
        return None
    differences = [
        f"{verb} {format_classes([name for name in names if name not in set(others)])}"
        for verb, names, others in (("lacks", wanted, given), ("also has", given, wanted))
        if set(names) - set(others)
    ]
    raise ValueError(
        f"The columns of {what} and {other} differ: {what} {' and '.join(differences)}. Columns "
        f"are matched by name; those of {other} are {format_classes(wanted)}."
    )


def is_numbered(names: list[Any]) -> bool:
    """Whether names are those of pandas, or of this package, for columns without names."""
    return names in (list(range(len(names))), array_names(len(names)))


def array_names(n: int) -> list[Any]:
    """Return the names of the n columns of a table of labels without names."""
    return [f"y{j}" for j in range(n)]


def column_names_of(table: Any) -> list[Any] | None:
    """Return the column names of a DataFrame (pandas, polars, pyarrow), None for other tables."""
    # The `columns` of pyarrow are not names, but values.
    columns = getattr(table, "column_names", getattr(table, "columns", None))
    return None if columns is None or callable(columns) else list(columns)


def match_columns(table: Any, names: Sequence[Any] | None, what: str, other: str) -> Any:
    """Return a table with its columns in the order of `names`.

    Parameters
    ----------
    table : object
        Returned as it is unless it is a DataFrame.
    names : sequence, or None
        None if the other table has no names.
    what, other : str
        The two tables, for the message.

    Raises
    ------
    ValueError
        If the DataFrame has other columns.
    """
    given = column_names_of(table)
    if given is None or names is None:
        return table
    order = column_order(given, names, what, other)
    return table if order is None else take_columns(table, order)


def take_columns(table: Any, order: list[int]) -> Any:
    """Return a table with its columns in another order."""
    if isinstance(table, pd.DataFrame):
        return table.iloc[:, order]
    if hasattr(table, "column_names"):
        return table.select(order)
    return np.asarray(table)[:, order] if isinstance(table, list | tuple) else table[:, order]


def dict_if_named(values: Any) -> Any:
    """Return a Series as a dict by name, unless its index only numbers its values."""
    is_named = isinstance(values, pd.Series) and not is_numbered(values.index.tolist())
    return values.to_dict() if is_named else values


def align_rows(**parts: Any) -> list[Any]:
    """Compare the indexes of pandas objects whose rows belong together.

    Rows are matched by position. That is wrong where the indexes have the same labels in
    another order, and doubtful where they have other labels.

    Parameters
    ----------
    **parts : object
        The arguments of a call by name, in which None, arrays and lists have no index. A list of
        DataFrames, as of scores, has those of its parts. The first index is compared with the
        others.

    Returns
    -------
    list
        The arguments. If indexes differ, they all have the first one, so that what the call
        itself calls does not warn again.

    Raises
    ------
    ValueError
        If two indexes have the same labels in another order; the message says how to align them.

    Warns
    -----
    RowIndexWarning
        Once, if the labels of two indexes differ.

    Examples
    --------
    >>> X, y = pd.DataFrame({"a": [1, 2]}), pd.Series([0, 1], index=[1, 0])
    >>> align_rows(X=X, y=y)
    Traceback (most recent call last):
    ...
    ValueError: The index of y has the labels of the index of X in another order, but rows are \
matched by position. Pass y.loc[X.index], or set y.index = X.index if the rows are in order.
    """
    indexed = [(name, table.index) for name, part in parts.items() for table in _tables(part)]
    if not indexed:
        return list(parts.values())
    (first, index), *others = indexed
    differing = [
        (name, other)
        for name, other in others
        if len(other) == len(index) and not index.equals(other)
    ]
    for name, other in differing:
        if _is_permutation(index, other):
            align = f"Pass {name}.loc[{first}.index]"
            if not index.is_unique:
                align = f"Labels repeat, so that .loc cannot align them: sort {name} as {first} is"
            raise ValueError(
                f"The index of {name} has the labels of the index of {first} in another order, but "
                f"rows are matched by position. {align}, or set {name}.index = {first}.index if "
                "the rows are in order."
            )
    if differing:
        _warn_labels(first, index, *differing[0])
        return [_with_index(part, index) for part in parts.values()]
    return list(parts.values())


def _warn_labels(first: str, index: "pd.Index[Any]", name: str, other: "pd.Index[Any]") -> None:
    # A step of a Pipeline that returns a DataFrame for an array numbers its rows: that index says
    # nothing about the rows, and the user did not set it.
    pair = (index, other)
    is_numbered = [isinstance(labels, pd.RangeIndex) and labels.start == 0 for labels in pair]
    if any(is_numbered) and is_called_from("sklearn.pipeline"):
        return
    row = int(np.argmax(np.asarray(index != other)))
    [label], [other_label] = index[row : row + 1].tolist(), other[row : row + 1].tolist()
    warnings.warn(
        f"The indexes of {first} and {name} have different labels, such as {label!r} and "
        f"{other_label!r} in row {row}; rows are matched by position. Set {name}.index = "
        f"{first}.index if the rows are in order.",
        RowIndexWarning,
        stacklevel=find_stack_level(),
    )


def _tables(part: Any) -> list[Any]:
    """Return the pandas objects with row labels: the argument itself, or those in a list."""
    if isinstance(part, pd.DataFrame | pd.Series):
        return [part]
    # Lists of paths may be long: a list of tables begins with one.
    if isinstance(part, list | tuple) and len(part) and _tables(part[0]):
        return [table for table in part if isinstance(table, pd.DataFrame | pd.Series)]
    return []


def _is_permutation(first: "pd.Index[Any]", second: "pd.Index[Any]") -> bool:
    """Whether two indexes of one length hold the same labels, each as often."""
    codes, _ = pd.factorize(first.append(second), use_na_sentinel=False)
    n = len(first)
    return np.array_equal(np.sort(codes[:n]), np.sort(codes[n:]))


def _with_index(part: Any, index: "pd.Index[Any]") -> Any:
    if isinstance(part, pd.DataFrame | pd.Series):
        return part.set_axis(index, axis=0) if len(part) == len(index) else part
    return [_with_index(table, index) for table in part] if _tables(part) else part
