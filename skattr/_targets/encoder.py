"""From a table of labels to integer codes with a mask, and back to the user's own labels."""

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from skattr._targets.columns import UNKNOWN as UNKNOWN
from skattr._targets.columns import (
    _known,
    _label_array,
    _shown,
    _table_names,
    _without_missing_category,
    class_positions,
    encode_integer_table,
    label_columns,
    label_counts,
    positions,
)
from skattr.exceptions import UnseenLabelError

Kind = Literal["binary", "categorical", "ordinal"]
_KINDS = "'binary', 'categorical' or ('ordinal', [levels in order])"


class AttributeEncoder(TransformerMixin, BaseEstimator):
    """Encode a table of attributes as integer codes, with -1 where a label is unknown.

    A column is *binary* when it holds bools, numbers that are all 0 or 1, or two distinct
    labels, the second in sorted order being the positive one; *ordinal* when it is an ordered
    pandas categorical; otherwise *categorical*. NaN, None and pandas.NA are unknown.

    Parameters
    ----------
    attributes : dict of {name: kind}, default=None
        Kinds that are not to be read from y: "binary", "categorical" or
        ``("ordinal", [levels in order])``. Attributes of an array are named by their position.
    classes : dict of {name: levels} or list of levels per attribute, default=None
        All labels an attribute may take, also those absent from y; for a single output an
        array of levels will do. Levels are sorted, except those of ordinal attributes.
    missing_label : scalar, default=None
        One more value that means unknown, such as -1 or "?". It never matches across types:
        0 is not False.

    Attributes
    ----------
    classes_ : list of ndarray
        The labels of each attribute, in the dtype of y (never object). A bool or 0/1 column
        always has two. An attribute without any known label has the classes 0 and 1.
    kinds_ : list of str
        "binary", "categorical" or "ordinal".
    known_ : ndarray of shape (n_outputs,), int
        The number of known labels of each attribute in the y of `fit`.
    output_names_ : list
        Column names of a DataFrame, or the name of a Series, else "y0", "y1", ...
    n_outputs_ : int
        The number of attributes.

    Examples
    --------
    >>> import pandas as pd
    >>> from skattr import AttributeEncoder
    >>> y = pd.DataFrame({"hat": [True, None, False], "age": ["young", "old", None]})
    >>> encoder = AttributeEncoder(attributes={"age": ("ordinal", ["young", "old"])}).fit(y)
    >>> encoder.kinds_
    ['binary', 'ordinal']
    >>> encoder.transform(y)
    array([[ 1,  0],
           [-1,  1],
           [ 0, -1]])
    """

    def __init__(
        self,
        attributes: Mapping[Any, Any] | None = None,
        classes: Mapping[Any, Any] | Sequence[Any] | None = None,
        missing_label: Any = None,
    ) -> None:
        self.attributes = attributes
        self.classes = classes
        self.missing_label = missing_label

    def fit(self, y: Any, _ignored: Any = None) -> "AttributeEncoder":
        """Learn the kind and the classes of each attribute.

        Parameters
        ----------
        y : array-like of shape (n,) or (n, n_outputs), Series or DataFrame

        Returns
        -------
        AttributeEncoder

        Raises
        ------
        ValueError
            If y is empty, no label at all is known, a column is continuous or mixes types, or
            `attributes`, `classes` or `missing_label` do not fit y.
        """
        self._learn(y, encode_integer_table(y, self.missing_label))
        return self

    def _learn(self, y: Any, small: NDArray[np.int64] | None) -> None:
        """Learn from y, and from what :func:`encode_integer_table` makes of it."""
        is_free = self.attributes is None and self.classes is None
        if is_free and small is not None and small.max() >= 0:
            self._learn_small(y, small)
            return
        columns, names = label_columns(y)
        if len(columns[0]) == 0:
            raise ValueError("y is empty: found 0 sample(s) while a minimum of 1 is required.")
        if not pd.api.types.is_scalar(self.missing_label):
            raise ValueError(f"`missing_label` must be one value, got {self.missing_label!r}.")
        declared = by_attribute_name(self.attributes, names, "attributes")
        levels = by_attribute_name(classes_per_name(self.classes, names), names, "classes")
        kinds: list[Kind] = []
        classes: list[NDArray[Any]] = []
        counts: list[int] = []
        for name, column in zip(names, columns, strict=True):
            known = _known(column, self.missing_label)
            labels = _without_missing_category(column[known], self.missing_label)
            kind, values = _kind_and_classes(labels, name, declared.get(name), levels.get(name))
            kinds.append(kind)
            classes.append(values)
            counts.append(int(known.sum()))
        if not any(counts):
            raise ValueError("Input y contains NaN. None of its labels is known.")
        self.kinds_ = kinds
        self.classes_ = classes
        self.known_ = np.array(counts)
        self.output_names_ = names
        self.n_outputs_ = len(names)

    def _learn_small(self, y: Any, values: NDArray[np.int64]) -> None:
        """Learn from a table of small whole numbers what `fit` would learn from its columns."""
        names = _table_names(y)
        dtype = y.dtypes.iloc[0] if isinstance(y, pd.DataFrame) else y.dtype
        dtype = dtype.newbyteorder("=")
        counts = label_counts(values)
        seen = [np.flatnonzero(column) for column in counts]
        self.known_ = counts.sum(axis=1)
        self.classes_ = [
            np.array([0, 1]).astype(dtype if count else np.int64)
            if levels.max(initial=0) <= 1
            else levels.astype(dtype)
            for levels, count in zip(seen, self.known_, strict=True)
        ]
        self.kinds_ = ["binary" if len(one) == 2 else "categorical" for one in self.classes_]
        self.output_names_ = names
        self.n_outputs_ = len(names)

    def fit_transform(self, y: Any, _ignored: Any = None) -> NDArray[np.int64]:
        """Do what :meth:`fit` and :meth:`transform` do, and read y once."""
        small = encode_integer_table(y, self.missing_label)
        self._learn(y, small)
        return self._codes(y, small)

    def transform(self, y: Any) -> NDArray[np.int64]:
        """Encode labels.

        Parameters
        ----------
        y : array-like of shape (n,) or (n, n_outputs), Series or DataFrame

        Returns
        -------
        ndarray of shape (n, n_outputs), int64
            Positions in `classes_`, -1 where unknown.

        Raises
        ------
        UnseenLabelError
            If a label is not among the classes of its attribute.
        ValueError
            If y has other columns than the y of `fit`.
        """
        check_is_fitted(self, "classes_")
        return self._codes(y, encode_integer_table(y, self.missing_label))

    def _codes(self, y: Any, small: NDArray[np.int64] | None) -> NDArray[np.int64]:
        """Encode y, of which :func:`encode_integer_table` makes `small`."""
        if small is not None and _table_names(y) == self.output_names_:
            all_found = class_positions(small, self.classes_)
            if all_found is not None:
                return all_found
        columns, names = label_columns(y)
        if len(names) != self.n_outputs_:
            raise ValueError(
                f"y has {len(names)} column(s), but {self.n_outputs_} were fitted: "
                f"{self.output_names_}."
            )
        if isinstance(y, pd.DataFrame) and names != self.output_names_:
            raise ValueError(
                f"The columns of y are {names}, but those of fit were {self.output_names_}; "
                "they must have the same names in the same order."
            )
        codes = np.full((len(columns[0]), len(columns)), UNKNOWN, dtype=np.int64)
        for position, (column, classes) in enumerate(zip(columns, self.classes_, strict=True)):
            known = _known(column, self.missing_label)
            found = positions(column[known], classes)
            if (found < 0).any():
                row = np.flatnonzero(known)[np.argmax(found < 0)]
                [label] = column.iloc[[row]].tolist()
                raise UnseenLabelError(
                    f"Column {self.output_names_[position]!r} of y, row {row}: the label {label!r} "
                    f"is not among the classes {_shown(classes)}; declare every label that may "
                    "occur in the parameter `classes`."
                )
            codes[known, position] = found
        return codes

    def inverse_transform(self, codes: NDArray[np.integer[Any]]) -> NDArray[Any]:
        """Return the labels for codes, each column's own dtype kept where columns agree.

        Parameters
        ----------
        codes : ndarray of shape (n, n_outputs), int
            Positions in `classes_`; -1 (unknown) is allowed and comes back as None.

        Returns
        -------
        ndarray of shape (n,) for a single output, else (n, n_outputs)
            Of dtype object if the attributes have different dtypes or a code is -1.
        """
        check_is_fitted(self, "classes_")
        codes = np.asarray(codes)
        columns = []
        for position, classes in enumerate(self.classes_):
            column = classes[codes[:, position]]
            if (codes[:, position] == UNKNOWN).any():
                column = column.astype(object)
                column[codes[:, position] == UNKNOWN] = None
            columns.append(column)
        if self.n_outputs_ == 1:
            return np.asarray(columns[0])
        if len({column.dtype.kind for column in columns}) == 1:
            return np.stack(columns, axis=1)
        return np.stack([column.astype(object) for column in columns], axis=1)


def is_binary(encoder: AttributeEncoder) -> NDArray[np.bool_]:
    """Tell which outputs have a positive and a negative class."""
    return np.array(
        [
            kind == "binary" and len(classes) == 2
            for kind, classes in zip(encoder.kinds_, encoder.classes_, strict=True)
        ]
    )


def by_attribute_name(
    given: Mapping[Any, Any] | None, names: list[Any], parameter: str
) -> dict[Any, Any]:
    """Key a parameter by output name; an integer key is a position unless it is a name."""
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


def classes_per_name(classes: Any, names: list[Any]) -> Mapping[Any, Any] | None:
    if classes is None or isinstance(classes, Mapping):
        return classes
    per_attribute = [np.ndim(levels) > 0 or levels is None for levels in classes]
    if len(names) == 1 and not any(per_attribute):
        return {names[0]: classes}
    if len(classes) != len(names) or not all(per_attribute):
        raise ValueError(
            f"`classes` must be a dict, or list the levels of each of the {len(names)} "
            f"attributes {names}; it has {len(classes)} element(s)."
        )
    return dict(zip(names, classes, strict=True))


def _kind_and_classes(
    known: pd.Series, name: Any, declared: Any, levels: Any
) -> tuple[Kind, NDArray[Any]]:
    """Determine an attribute's kind and classes from its known labels and what is declared."""
    kind, order = _declared_kind(declared, name)
    is_category = isinstance(known.dtype, pd.CategoricalDtype)
    if order is None and is_category and len(known.cat.categories):
        categories = known.cat.categories
        if known.cat.ordered and kind is None:
            kind, order = "ordinal", categories.tolist()
        elif levels is None:
            levels = categories
    values = _label_array(pd.Series(known.to_numpy()).infer_objects(), name)
    seen = np.unique(values)
    if order is not None:
        classes = _label_array(pd.Series(list(order)), name)
    elif levels is not None:
        declared_levels = pd.Series(list(levels))
        if len(declared_levels) == 0 or declared_levels.isna().any():
            raise ValueError(
                f"`classes`: the classes of {name!r} must be one label or more, none of them "
                f"missing, got {list(levels)}."
            )
        classes = np.unique(_label_array(declared_levels, name))
    elif len(seen) == 0:
        classes = np.array([0, 1])
    elif values.dtype.kind == "b" or (values.dtype.kind in "iuf" and np.isin(seen, (0, 1)).all()):
        classes = np.array([0, 1]).astype(values.dtype)
    else:
        classes = seen
    unseen = seen[positions(pd.Series(seen), classes) < 0]
    if len(unseen):
        raise UnseenLabelError(
            f"Column {name!r} of y holds the label(s) {_shown(unseen)}, which are not among its "
            f"declared classes {_shown(classes)}."
        )
    if kind == "binary" and len(classes) > 2:
        raise ValueError(f"Attribute {name!r} is declared binary but has {_shown(classes)}.")
    return kind or ("binary" if len(classes) == 2 else "categorical"), classes


def _declared_kind(declared: Any, name: Any) -> tuple[Kind | None, Sequence[Any] | None]:
    if declared is None:
        return None, None
    if isinstance(declared, str) and declared in ("binary", "categorical"):
        return ("binary" if declared == "binary" else "categorical"), None
    is_pair = isinstance(declared, tuple) and len(declared) == 2
    if is_pair and declared[0] == "ordinal" and np.ndim(declared[1]) == 1:
        order = list(declared[1])
        if len(set(order)) != len(order) or not order:
            raise ValueError(
                f"`attributes`: the levels of {name!r} must be one or more and distinct: {order}."
            )
        return "ordinal", order
    raise ValueError(f"`attributes`: the kind of {name!r} must be {_KINDS}, got {declared!r}.")
