"""Encode tables of labels as integer codes, and decode them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from skattr._targets.alignment import column_names_of, column_order, take_columns
from skattr._targets.codes import UNKNOWN as UNKNOWN
from skattr._targets.codes import (
    class_positions,
    code_dtype,
    format_classes,
    label_counts,
    positions,
)
from skattr._targets.columns import LabelTable, read_labels
from skattr._targets.declarations import (
    Declaration,
    Declared,
    infer_kind,
    kind_and_classes,
    parse_attributes,
)
from skattr._targets.mistakes import FIT_REMEDIES, Column, warn_mistakes
from skattr._targets.positive import is_known_pair, warn_sorted_positives
from skattr.exceptions import UnseenLabelError

_FIT = "the y of fit"


class AttributeEncoder(TransformerMixin, BaseEstimator):
    """Encode a table of attributes as integer codes, with -1 where a label is missing.

    A column is *binary* when it holds bools, numbers that are all 0 or 1, or two distinct
    labels; *ordinal* when it is an ordered pandas Categorical; otherwise *categorical*. The
    positive level of two labels is the one declared in `attributes`, that of a known pair such as
    no and yes, or the second in sorted order. NaN, None, pandas.NA and what a masked array
    hides are missing labels; what a sparse matrix does not store is 0.

    Parameters
    ----------
    attributes : dict of {name: declaration}, default=None
        Kinds, classes and positive levels that are not to be read from y. Attributes of an array
        are named by their position: ``{0: "categorical"}``. A declaration is one of

        - "binary" or "categorical": the kind, with the classes that y holds, sorted;
        - "ordinal", for a column that is an ordered pandas Categorical;
        - ``("binary", positive)``: the other level, which y holds, is the negative class;
        - ``("binary", [negative, positive])``, ``("categorical", [classes])`` or ``("ordinal",
          [levels])``: all labels the attribute may take, also those absent from y, in the order
          of the classes.

    missing_label : scalar, default=None
        One more value that marks a missing label, such as -1 or "?". It never matches across
        types: 0 is not False.

    Attributes
    ----------
    classes_ : list of ndarray
        The labels of each attribute, in the dtype of y (never object), the positive class of a
        binary attribute last. A bool or 0/1 column always has two. An attribute without any
        known label has the classes 0 and 1.
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
    >>> y = pd.DataFrame({"hat": ["hat", None, "no hat"], "age": ["young", "old", None]})
    >>> declared = {"hat": ("binary", "hat"), "age": ("ordinal", ["young", "old"])}
    >>> encoder = AttributeEncoder(declared).fit(y)
    >>> encoder.kinds_
    ['binary', 'ordinal']
    >>> encoder.transform(y)
    array([[ 1,  0],
           [-1,  1],
           [ 0, -1]])
    """

    def __init__(
        self, attributes: Mapping[Any, Any] | None = None, missing_label: Any = None
    ) -> None:
        self.attributes = attributes
        self.missing_label = missing_label

    def fit(self, y: Any, _ignored: Any = None) -> "AttributeEncoder":
        """Learn the kind and the classes of each attribute.

        Parameters
        ----------
        y : array-like of shape (n,) or (n, n_outputs), Series, DataFrame, sparse or masked array

        Returns
        -------
        AttributeEncoder

        Raises
        ------
        ValueError
            If y is empty, no label at all is known, a column is continuous or mixes types, rows
            are collections of tags, or `attributes` or `missing_label` do not fit y.

        Warns
        -----
        LabelWarning
            If labels that are not declared look like mistakes of the table: missing labels
            written as text, -1 beside 0 and 1, levels that differ in case or blanks only, several
            labels in one cell, about as many classes as rows, or a single label in all rows.
        PositiveLevelWarning
            If the positive one of two strings was chosen by sorting.
        """
        table = read_labels(y, self.missing_label)
        self._learn(table, table.integer_codes())
        if table is not y:  # callers that have read y warn of it themselves, or need not
            warn_labels(self, table.what)
        return self

    def _learn(self, table: LabelTable, codes: NDArray[Any] | None) -> None:
        """Learn from labels, and from their integer codes if they have any."""
        if self.attributes is None and codes is not None and codes.max() >= 0:
            self._learn_integers(table, codes)
        else:
            self._learn_columns(table)
        self.output_names_ = table.names
        self.n_outputs_ = len(table.names)

    def _learn_columns(self, table: LabelTable) -> None:
        declared = parse_attributes(self.attributes, table.names)
        if any(name not in declared or declared[name].levels is None for name in table.names):
            table.reject_tags()
        columns = [table.known_labels(j) for j in range(len(table.names))]
        learned = [
            kind_and_classes(table, j, known, declared.get(name, Declaration()))
            for j, (name, known) in enumerate(zip(table.names, columns, strict=True))
        ]
        counts = np.array([len(known) for known in columns])
        check_any_known(counts > 0, table.what)
        self.known_ = counts
        self.kinds_ = [attribute.kind for attribute in learned]
        self.classes_ = [attribute.classes for attribute in learned]
        self._n_seen = [attribute.n_seen for attribute in learned]
        self._is_ordered = [attribute.is_ordered for attribute in learned]

    def _learn_integers(self, table: LabelTable, codes: NDArray[Any]) -> None:
        """Learn from integer codes what `_learn_columns` would learn."""
        assert isinstance(table.data, np.ndarray)
        dtype = table.data.dtype.newbyteorder("=")
        counts = label_counts(codes)
        seen = [np.flatnonzero(column) for column in counts]
        self.known_ = counts.sum(axis=1)
        self.classes_ = [
            np.array([0, 1]).astype(dtype if count else np.int64)
            if levels.max(initial=0) <= 1
            else levels.astype(dtype)
            for levels, count in zip(seen, self.known_, strict=True)
        ]
        self.kinds_ = [infer_kind(levels) for levels in self.classes_]
        self._n_seen = [len(levels) for levels in seen]
        self._is_ordered = [False] * len(seen)

    def fit_transform(self, y: Any, _ignored: Any = None) -> NDArray[np.int64]:
        """Do what :meth:`fit` and :meth:`transform` do, and read y once."""
        return self.fit_small_codes(y).astype(np.int64, copy=False)

    def fit_small_codes(self, y: Any) -> NDArray[Any]:
        """Do what :meth:`fit_transform` does, with codes of the smallest type that holds them.

        These take an eighth of the memory if all attributes have at most 128 classes, and may be
        a view of y.
        """
        table = read_labels(y, self.missing_label)
        codes = table.integer_codes(1)
        if codes is None or self.attributes is not None:
            codes = table.integer_codes()
        self._learn(table, codes)
        if table is not y:
            warn_labels(self, table.what)
        return self._encode(table, codes)

    def match_names(self, table: LabelTable) -> LabelTable:
        """Return a table with its columns in the order of the attributes.

        Raises
        ------
        ValueError
            If the table has other columns than the y of `fit`, or another number of them.
        """
        table, what = table.matched(self.output_names_, _FIT), table.what
        if len(table.names) != self.n_outputs_:
            raise ValueError(
                f"{what} has {len(table.names)} column(s), but {self.n_outputs_} were fitted: "
                f"{format_classes(self.output_names_)}."
            )
        return table

    def match_columns(self, y: Any, label_weight: Any = None) -> tuple[Any, Any]:
        """Return y with its columns in the order of the attributes, and its label weights.

        For callers that pass y on. Weights without names have the order of the columns of y.

        Raises
        ------
        ValueError
            If y has other columns than the y of `fit`.
        """
        given = column_names_of(y)
        order = None if given is None else column_order(given, self.output_names_, "y", _FIT)
        if given is None or order is None:
            return y, label_weight
        columns = column_names_of(label_weight)
        if label_weight is not None and (columns is None or set(columns) != set(given)):
            label_weight = take_columns(label_weight, order)
        return take_columns(y, order), label_weight

    def transform(self, y: Any) -> NDArray[np.int64]:
        """Encode labels.

        Parameters
        ----------
        y : array-like of shape (n,) or (n, n_outputs), Series, DataFrame, sparse or masked array
            Columns of a DataFrame are matched with those of `fit` by name, in any order.

        Returns
        -------
        ndarray of shape (n, n_outputs), int64
            Positions in `classes_`, -1 where the label is missing.

        Raises
        ------
        UnseenLabelError
            If a label is not among the classes of its attribute.
        ValueError
            If y has other columns than the y of `fit`.
        """
        check_is_fitted(self, "classes_")
        table = self.match_names(read_labels(y, self.missing_label))
        return self._encode(table, table.integer_codes()).astype(np.int64, copy=False)

    def _encode(self, table: LabelTable, codes: NDArray[Any] | None) -> NDArray[Any]:
        """Encode labels, whose integer codes are given if they have any."""
        if codes is not None:
            found = class_positions(codes, self.classes_)
            if found is not None:
                return found
        shape = len(table), len(table.names)
        result = np.full(shape, UNKNOWN, dtype=code_dtype(self.classes_))
        for j, classes in enumerate(self.classes_):
            known = table.known_labels(j)
            rows, found = known.index.to_numpy(), positions(known, classes)
            if (found < 0).any():
                first = int(np.argmax(found < 0))
                [label] = known.iloc[[first]].tolist()
                raise UnseenLabelError(
                    f"{table.place(j, rows[first])}: the label {label!r} is not among the classes "
                    f"{format_classes(classes)}; declare every label that may occur in "
                    "`attributes`."
                )
            result[rows, j] = found
        return result

    def inverse_transform(self, codes: NDArray[np.integer[Any]]) -> NDArray[Any]:
        """Return the labels for codes, each column's own dtype kept where columns agree.

        Parameters
        ----------
        codes : ndarray of shape (n, n_outputs), int
            Positions in `classes_`; -1, a missing label, comes back as None.

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
    """Return which outputs have a negative and a positive class."""
    return np.array(
        [
            kind == "binary" and len(classes) == 2
            for kind, classes in zip(encoder.kinds_, encoder.classes_, strict=True)
        ]
    )


def warn_labels(
    encoder: AttributeEncoder,
    what: str = "y",
    *,
    constant: bool = True,
    positive: bool = True,
) -> None:
    """Warn of labels that an encoder has learned.

    Parameters
    ----------
    encoder : fitted AttributeEncoder
    what : str
        The name of the labels in the message.
    constant : bool
        Whether to warn of columns with a single label.
    positive : bool
        Whether to warn of positive levels that were chosen by sorting.

    Warns
    -----
    LabelWarning, PositiveLevelWarning
    """
    declared = parse_attributes(encoder.attributes, encoder.output_names_)
    columns = [
        Column(name, encoder.classes_[j], int(encoder.known_[j]), encoder._n_seen[j])
        for j, name in enumerate(encoder.output_names_)
        if encoder.known_[j]
        and not encoder._is_ordered[j]
        and (name not in declared or declared[name].levels is None)
    ]
    remedies = {kind: text for kind, text in FIT_REMEDIES.items() if constant or kind != "constant"}
    warn_mistakes(columns, what, remedies)
    if positive:
        warn_sorted_positives(sorted_positives(encoder, encoder.attributes))


def sorted_positives(encoder: AttributeEncoder, attributes: Declared) -> dict[Any, NDArray[Any]]:
    """Return the classes of binary attributes whose positive level was chosen by sorting strings.

    Parameters
    ----------
    encoder : fitted AttributeEncoder
    attributes : dict or None
        Declarations of the user. Attributes whose positive level they contain are left out, as
        are known pairs such as no and yes.
    """
    declared = parse_attributes(attributes, encoder.output_names_)
    result = {}
    for j in np.flatnonzero(is_binary(encoder)):
        name, classes = encoder.output_names_[j], encoder.classes_[j]
        own = declared.get(name, Declaration())
        is_chosen = encoder._is_ordered[j] or own.levels is not None or own.positive is not None
        if classes.dtype.kind == "U" and not is_known_pair(classes) and not is_chosen:
            result[name] = classes
    return result


def check_any_known(known: NDArray[np.bool_], what: str) -> None:
    """Raise a ValueError if no label is known."""
    if not known.any():
        # The first words are those that scikit-learn's contract suite asks for.
        raise ValueError(f"Input {what} contains NaN. None of its labels is known.")
