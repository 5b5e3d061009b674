"""Declared kinds, classes and positive levels: the parameter `attributes`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skattr._targets.codes import format_classes, positions
from skattr._targets.columns import LabelTable
from skattr._targets.labels import label_array, label_categories
from skattr._targets.positive import sort_classes
from skattr.exceptions import UnseenLabelError

Kind = Literal["binary", "categorical", "ordinal"]
Declared = Mapping[Any, Any] | None
_KINDS: tuple[Kind, ...] = ("binary", "categorical", "ordinal")
_VALID = (
    "'binary', ('binary', positive level), ('binary', [negative, positive]), 'categorical', "
    "('categorical', [classes]), 'ordinal' for an ordered pandas Categorical, or ('ordinal', "
    "[levels in order])"
)


@dataclass(frozen=True)
class Declaration:
    """Declaration of one attribute; None means that it is inferred from y.

    Attributes
    ----------
    kind : {"binary", "categorical", "ordinal"} or None
    levels : ndarray or None
        All classes, in their order.
    positive : scalar or None
        The second class of a binary attribute.
    """

    kind: Kind | None = None
    levels: NDArray[Any] | None = None
    positive: Any = None

    def ordered(self, classes: NDArray[Any], name: Any) -> NDArray[Any]:
        """Return classes in the declared order, those that are not declared last."""
        if self.positive is not None:
            return _with_positive(classes, classes, self.positive, name)
        if self.levels is None:
            return classes
        others = classes[positions(pd.Series(classes), self.levels) < 0]
        return np.concatenate([self.levels, others]) if len(others) else self.levels


def parse_attributes(attributes: Declared, names: list[Any]) -> dict[Any, Declaration]:
    """Return the declaration of each attribute, keyed by its name.

    Raises
    ------
    ValueError
        If a key is not an attribute, or a value is invalid.
    """
    declared = by_attribute_name(attributes, names, "attributes")
    return {name: _parse(value, name) for name, value in declared.items()}


def _parse(declared: Any, name: Any) -> Declaration:
    if isinstance(declared, str) and declared in _KINDS:
        return Declaration(next(kind for kind in _KINDS if kind == declared))
    is_pair = isinstance(declared, tuple) and len(declared) == 2
    if not is_pair or declared[0] not in _KINDS:
        raise ValueError(_invalid(declared, name))
    kind, value = declared
    if kind == "binary" and pd.api.types.is_scalar(value) and not pd.isna(value):
        return Declaration(kind, positive=value)
    if np.ndim(value) != 1:  # np.ndim is 0 for strings and sets
        raise ValueError(_invalid(declared, name))
    levels = list(value)
    if kind == "binary" and len(levels) != 2:
        raise ValueError(_invalid(declared, name))
    series = pd.Series(levels, dtype=object)
    if not levels or series.isna().any() or len(set(levels)) < len(levels):
        raise ValueError(
            f"`attributes`: the levels of {name!r} must be a non-empty list of distinct values "
            f"that are not missing; got {levels}."
        )
    return Declaration(kind, label_array(series, "`attributes`", name))


def _invalid(declared: Any, name: Any) -> str:
    return f"`attributes`: {name!r} must be {_VALID}; got {declared!r}."


def by_attribute_name(
    given: Mapping[Any, Any] | None, names: list[Any], parameter: str
) -> dict[Any, Any]:
    """Key a parameter by attribute name; an integer key is a position unless it is a name."""
    result: dict[Any, Any] = {}
    for key, value in (given or {}).items():
        is_position = isinstance(key, Integral) and 0 <= int(key) < len(names)
        if key in names:
            name = key
        elif is_position and not isinstance(key, bool):
            name = names[int(key)]
        else:
            raise ValueError(f"`{parameter}` names {key!r}, which is no attribute; y has {names}.")
        if name in result:
            raise ValueError(f"`{parameter}` names {name!r} twice, by name and by position.")
        result[name] = value
    return result


def as_attributes(
    names: Sequence[Any], kinds: Sequence[str], classes: Sequence[NDArray[Any]]
) -> dict[Any, Any]:
    """Return `attributes` that declare kinds and classes learned in an earlier fit."""
    return {
        # A binary attribute with only one known class is declared categorical.
        name: ("categorical" if kind == "binary" and len(levels) != 2 else kind, levels.tolist())
        for name, kind, levels in zip(names, kinds, classes, strict=True)
    }


def with_classes(attributes: Declared, classes: Any, names: list[Any]) -> Declared:
    """Add the `classes` of scikit-learn's `partial_fit` to `attributes`.

    Parameters
    ----------
    attributes : dict or None
    classes : array-like, or list of array-like
        Labels of the only attribute, or of each of several. None uses the declaration in
        `attributes`.
    names : list

    Returns
    -------
    dict or None
        Attributes whose levels are declared are left as they are.
    """
    if classes is None:
        return attributes
    is_list = isinstance(classes, list | tuple | np.ndarray | pd.Series | pd.Index)
    is_flat = is_list and all(levels is not None and np.ndim(levels) == 0 for levels in classes)
    levels_of = [classes] if len(names) == 1 and is_flat else list(classes) if is_list else []
    if len(levels_of) != len(names) or (is_flat and len(names) > 1):
        raise ValueError(
            f"`classes` must list the labels of each of the {len(names)} attributes {names}; got "
            f"{classes!r}."
        )
    result = by_attribute_name(attributes, names, "attributes")
    for name, levels in zip(names, levels_of, strict=True):
        declared = result.get(name)
        if levels is None:
            continue
        ordered = sort_classes(label_array(pd.Series(list(levels)), "`classes`", name))
        if declared is None or isinstance(declared, str):
            result[name] = (declared or infer_kind(ordered), ordered.tolist())
        elif (positive := _parse(declared, name).positive) is not None:
            both = _with_positive(ordered, ordered, positive, name)
            result[name] = ("binary", both.tolist())
    return result


class Learned(NamedTuple):
    """What is declared of an attribute, or learned from its labels.

    Attributes
    ----------
    kind : {"binary", "categorical", "ordinal"}
    classes : ndarray
    n_seen : int
        Number of different labels.
    is_ordered : bool
        Whether the labels are an ordered pandas Categorical, which declares all classes.
    """

    kind: Kind
    classes: NDArray[Any]
    n_seen: int
    is_ordered: bool


def kind_and_classes(table: LabelTable, j: int, known: pd.Series, declared: Declaration) -> Learned:
    """Determine the kind and the classes of an attribute.

    Parameters
    ----------
    table : LabelTable
    j : int
        The attribute's column.
    known : Series
        Its labels that are not missing, indexed by row.
    declared : Declaration
        What is not declared is read from the labels.

    Returns
    -------
    Learned
    """
    name, kind, classes = table.names[j], declared.kind, declared.levels
    dtype = label_categories(known, table.missing_label)
    if classes is None and dtype is not None and len(dtype.categories):
        classes = label_array(pd.Series(list(dtype.categories)), table.what, name)
        if dtype.ordered and kind in (None, "ordinal"):
            kind = "ordinal"
        elif not (dtype.ordered and kind == "binary"):
            classes = sort_classes(classes)
    if kind == "ordinal" and declared.levels is None and not (dtype is not None and dtype.ordered):
        raise ValueError(
            f"`attributes`: {name!r} is declared 'ordinal', but its column of {table.what} is "
            "not an ordered pandas Categorical; write ('ordinal', [levels in order])."
        )
    labels = label_array(known, table.what, name, known.index.to_numpy())
    seen = np.unique(labels)
    if classes is None:
        is_number = labels.dtype.kind in "biuf"
        zero_one = len(seen) == 0 or (is_number and np.isin(seen, (0, 1)).all())
        classes = np.array([0, 1]).astype(labels.dtype) if zero_one else sort_classes(seen)
    if declared.positive is not None:
        classes = _with_positive(classes, seen, declared.positive, name)
    unseen = seen[positions(pd.Series(seen), classes) < 0]
    if len(unseen):
        raise UnseenLabelError(
            f"{table.what}, column {name!r} contains the labels {format_classes(unseen)}, which "
            f"are not among its declared classes {format_classes(classes)}."
        )
    if kind == "binary" and len(classes) > 2:
        raise ValueError(
            f"Attribute {name!r} is declared binary but has the classes {format_classes(classes)}."
        )
    is_ordered = dtype is not None and bool(dtype.ordered)
    return Learned(kind or infer_kind(classes), classes, len(seen), is_ordered)


def infer_kind(classes: Sequence[Any] | NDArray[Any]) -> Kind:
    """Return the kind of an attribute that is not declared."""
    return "binary" if len(classes) == 2 else "categorical"


def _with_positive(
    classes: NDArray[Any], seen: NDArray[Any], positive: Any, name: Any
) -> NDArray[Any]:
    """Return the two classes of a binary attribute, the declared positive level last."""
    [position] = positions(pd.Series([positive]), classes)
    negatives = np.delete(classes, position) if position >= 0 else classes
    if len(seen) == 0 and position < 0:
        negatives = classes[:0]  # 0 and 1 are placeholders, as y has no labels
    if len(negatives) == 0:
        raise ValueError(
            f"`attributes` declares the positive level {positive!r} of {name!r}, but y contains no "
            f"other class; declare both levels: ('binary', [negative, {positive!r}])."
        )
    if len(negatives) > 1:
        raise ValueError(
            f"Attribute {name!r} is declared binary, with the positive level {positive!r}, but has "
            f"the classes {format_classes(classes)}."
        )
    if position >= 0:
        return np.append(negatives, classes[position])
    return label_array(pd.Series([negatives[0].item(), positive]), "`attributes`", name)
