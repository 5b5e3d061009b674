"""Classes of a multi-output classifier."""

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline

from skattr._multioutput.scores import column_names
from skattr._targets.alignment import column_names_of, is_numbered
from skattr._targets.columns import LabelTable, read_labels
from skattr._targets.declarations import Declared, as_attributes, infer_kind, parse_attributes
from skattr._targets.encoder import AttributeEncoder, is_binary, warn_labels
from skattr._targets.positive import sort_classes
from skattr.exceptions import LabelWarning, PositiveLevelWarning

# Errors of scikit-learn's classifiers, NumPy and pandas for a missing label in y.
_MISSING_LABEL_ERRORS = re.compile(
    "Input (y )?contains NaN|Unknown label type|'<' not supported|boolean value of NA is ambiguous"
)


@contextmanager
def explain_missing_label_error(
    estimator: Any, codes: NDArray[np.int64], names: Sequence[Any]
) -> Iterator[None]:
    """Replace the error of a classifier that does not support missing labels by a clear one.

    Parameters
    ----------
    estimator : classifier
        A classifier that has a parameter `missing_label`, its own or that of a part of it,
        supports missing labels. Its errors are not replaced.
    codes : ndarray of shape (n, n_outputs)
        Codes of y, -1 where a label is missing.
    names : sequence
        Names of the outputs.

    Raises
    ------
    ValueError
        If the error is one that missing labels cause. Other errors are unchanged.
    """
    try:
        yield
    except (TypeError, ValueError) as error:
        missing = [name for name, column in zip(names, codes.T, strict=True) if (column < 0).any()]
        is_supported = any(name.endswith("missing_label") for name in estimator.get_params())
        if is_supported or not missing or not _MISSING_LABEL_ERRORS.search(str(error)):
            raise
        raise ValueError(
            f"{type(estimator).__name__} does not support missing labels, but y has some in the "
            f"output(s) {missing}. Use a classifier that does, such as AttributeClassifier, or fit "
            f"one per output on the rows whose label is known. Its own error: {error}"
        ) from error


def missing_label_of(estimator: Any) -> Any:
    """Return the `missing_label` of a classifier, its inner estimator or last step, or None."""
    while getattr(estimator, "missing_label", None) is None:
        if isinstance(estimator, Pipeline):
            estimator = estimator.steps[-1][1]
        elif hasattr(estimator, "estimator"):
            estimator = estimator.estimator
        else:
            return None
    return estimator.missing_label


def read_labels_for(estimator: Any, y: Any, missing_label: Any) -> LabelTable:
    """Read the y of a classifier that is fitted, or will be fitted on y.

    Rows are no tags if the classifier has its outputs; if it declares attributes, its own `fit`
    looks for tags in the others.
    """
    table = read_labels(y, missing_label)
    is_known = hasattr(estimator, "classes_") or attributes_of(estimator) is not None
    return table.matched(table.names, "y") if is_known else table


def attributes_of(estimator: Any) -> Mapping[Any, Any] | None:
    """Return the `attributes` of a classifier, its inner estimator or last step, or None."""
    while not isinstance(getattr(estimator, "attributes", None), Mapping):
        if isinstance(estimator, Pipeline):
            estimator = estimator.steps[-1][1]
        elif hasattr(estimator, "estimator"):
            estimator = estimator.estimator
        else:
            return None
    attributes: Mapping[Any, Any] = estimator.attributes
    return attributes


def warn_labels_of(
    estimator: Any, y: Any, encoder: AttributeEncoder, *, positive: bool = True
) -> None:
    """Warn once about labels that are given to a classifier and its clones.

    Parameters
    ----------
    estimator : classifier, not fitted
        Its `attributes` say what is declared.
    y : array-like of shape (n,) or (n, n_outputs), Series or DataFrame
    encoder : AttributeEncoder
        Fitted on y without declarations.
    positive : bool
        Whether to warn of positive levels that were chosen by sorting.

    Warns
    -----
    LabelWarning, PositiveLevelWarning
    """
    attributes = attributes_of(estimator)
    if attributes is not None:
        table = read_labels_for(estimator, y, encoder.missing_label)
        # The classifier may be given other columns by a wrapper: it checks the names itself.
        own = {
            name: declared
            for name, declared in attributes.items()
            if name in table.names or name in range(len(table.names))
        }
        encoder = AttributeEncoder(own, encoder.missing_label).fit(table)
    # Callers that need two classes of a column warn of constant ones themselves.
    warn_labels(encoder, constant=False, positive=positive)


@contextmanager
def ignore_label_warnings() -> Iterator[None]:
    """Leave out warnings of clones, which see parts of the same labels."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LabelWarning)
        warnings.simplefilter("ignore", PositiveLevelWarning)
        yield


def encoder_for(
    estimator: Any,
    y: Any,
    missing_label: Any = None,
    *,
    attributes: Declared = None,
    strict: bool = False,
) -> AttributeEncoder:
    """Fit an encoder on y with the classes of a fitted classifier.

    Parameters
    ----------
    estimator : fitted classifier
    y : array-like of shape (n,) or (n, n_outputs), Series or DataFrame
        Columns are matched with the outputs by name, if the classifier knows their names.
    missing_label : scalar, optional
        None uses the `missing_label` of the estimator.
    attributes : dict, optional
        Declarations of y that have priority over those of the estimator.
    strict : bool
        Whether a label that the classifier does not know is an error. Otherwise it becomes a
        class that is never predicted. A column of zeros and ones always has both classes.

    Returns
    -------
    AttributeEncoder

    Raises
    ------
    ValueError
        If the numbers of outputs of classifier and y differ, or the classifier has no classes.
    UnseenLabelError
        With `strict`, if y has a label that the classifier does not know.
    """
    if missing_label is None:
        missing_label = missing_label_of(estimator)
    table = read_labels_for(estimator, y, missing_label)
    fitted = fitted_encoder(estimator)
    if fitted is not None:
        table = fitted.match_names(table)
    plain = AttributeEncoder().fit(table)
    _check_missing_label_is_not_a_class(estimator, plain, missing_label)
    learned = classes_per_output(estimator, plain)
    kinds: list[Any] = ["ordinal" if kind == "ordinal" else None for kind in plain.kinds_]
    if fitted is not None:
        kinds = list(fitted.kinds_)
        # The public classes of a single output are sorted, whichever of two is positive.
        learned = [
            own if set(own.tolist()) == set(public.tolist()) else public
            for own, public in zip(fitted.classes_, learned, strict=True)
        ]
    all_classes = []
    declared = parse_attributes(attributes, plain.output_names_)
    for j, seen in enumerate(plain.classes_):
        zero_one = np.array_equal(seen, [0, 1])
        added = np.setdiff1d(seen, learned[j]) if zero_one or not strict else seen[:0]
        classes = np.concatenate([learned[j], added]) if len(added) else learned[j]
        if fitted is None and len(classes) == 2:
            # Sorted classes are those of a classifier that does not know of positive levels.
            is_sorted = len(added) or np.array_equal(np.unique(classes), classes)
            classes = sort_classes(classes) if is_sorted else classes
        own = declared.get(plain.output_names_[j])
        if own is not None:
            classes, kinds[j] = own.ordered(classes, plain.output_names_[j]), own.kind
        all_classes.append(classes)
        if kinds[j] is None or (kinds[j] == "binary" and len(classes) != 2):
            # Only declared levels have another order than the sorted one.
            is_ordered = len(classes) > 2 and not np.array_equal(np.unique(classes), classes)
            kinds[j] = "ordinal" if is_ordered else infer_kind(classes)
    attributes = as_attributes(plain.output_names_, kinds, all_classes)
    return AttributeEncoder(attributes, missing_label).fit(table)


def fitted_encoder(estimator: Any) -> AttributeEncoder | None:
    """Return the encoder of a classifier of this package, also inside a search or a pipeline."""
    while not isinstance(getattr(estimator, "encoder_", None), AttributeEncoder):
        if isinstance(estimator, Pipeline):
            estimator = estimator.steps[-1][1]
        elif hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        elif hasattr(estimator, "estimator_"):
            estimator = estimator.estimator_
        elif isinstance(estimator, FrozenEstimator):
            estimator = estimator.estimator
        else:
            return None
    return estimator.encoder_  # type: ignore[no-any-return]


def match_outputs(estimator: Any, y: Any, label_weight: Any = None) -> tuple[Any, Any]:
    """Return y with its columns in the order of a classifier's outputs, and its label weights.

    A classifier of this package knows the names of its outputs, others do not.

    Raises
    ------
    ValueError
        If y is a DataFrame with other columns than that of `fit`.
    """
    fitted = fitted_encoder(estimator)
    return (y, label_weight) if fitted is None else fitted.match_columns(y, label_weight)


def _check_missing_label_is_not_a_class(
    estimator: Any, encoder: AttributeEncoder, missing_label: Any
) -> None:
    """Raise a ValueError if the classifier has learned `missing_label` as a class."""
    if pd.isna(missing_label):
        return
    classes = classes_per_output(estimator, encoder)
    for name, labels in zip(encoder.output_names_, classes, strict=True):
        # Compare values of one type only: text never equals a number.
        is_text = isinstance(missing_label, str)
        if (labels.dtype.kind == "U") == is_text and (labels == missing_label).any():
            raise ValueError(
                f"{type(estimator).__name__} was fitted with {missing_label!r} as a class of "
                f"{name!r}, but missing_label={missing_label!r} marks missing labels."
            )


def classes_per_output(estimator: Any, encoder: AttributeEncoder) -> list[NDArray[Any]]:
    """Return the classes of each output of a fitted classifier.

    If a classifier with several outputs has a plain array of classes, it was trained on a matrix
    of zeros and ones, as OneVsRestClassifier is.
    """
    classes = getattr(estimator, "classes_", None)
    if classes is None:
        raise ValueError(
            f"{type(estimator).__name__} has no classes_: it is not a fitted classifier."
        )
    n_outputs = encoder.n_outputs_
    if isinstance(classes, list | tuple):
        found = [np.asarray(labels) for labels in classes]
    elif n_outputs == 1:
        found = [np.asarray(classes)]
    else:
        found = [labels if len(labels) == 2 else np.array([0, 1]) for labels in encoder.classes_]
        if len(classes) != n_outputs:
            raise ValueError(
                f"y has {n_outputs} outputs, but {type(estimator).__name__} was fitted on "
                f"{len(classes)}."
            )
    if len(found) != n_outputs:
        raise ValueError(
            f"y has {n_outputs} output(s), but {type(estimator).__name__} was fitted on "
            f"{len(found)}."
        )
    return found


def class_orders(encoder: AttributeEncoder) -> list[NDArray[np.intp] | None]:
    """Return the order of each output's classes in `classes_` and in the columns of scores.

    None is the order of the encoder: for several outputs, an ordinal attribute keeps the order of
    its levels. The classes of a single output are sorted, whichever level is positive: of the
    metrics of scikit-learn, `roc_auc_score`, `log_loss` and others take columns of scores to be
    in the sorted order of the labels in y_true, so that they would be wrong without an error.
    """
    if encoder.n_outputs_ != 1:
        return [None] * encoder.n_outputs_
    order = np.argsort(encoder.classes_[0])
    return [None if np.array_equal(order, np.arange(len(order))) else order]


def public_classes(encoder: AttributeEncoder) -> Any:
    """Return `classes_`: a sorted array, or a list of arrays for several outputs."""
    if encoder.n_outputs_ == 1:
        return np.sort(encoder.classes_[0])
    return encoder.classes_


def score_names(encoder: AttributeEncoder) -> NDArray[np.object_]:
    """Return the names of the columns of a table of scores, as `transform` returns it."""
    # The positive level of a binary output is its second class, whatever the order of classes_.
    is_sorted = encoder.n_outputs_ == 1 and not is_binary(encoder)[0]
    classes = [public_classes(encoder)] if is_sorted else encoder.classes_
    return column_names(encoder.output_names_, classes, encoder.kinds_)


def classes_of_columns(
    response: Any, encoder: AttributeEncoder, given: Any = None
) -> list[NDArray[Any]] | None:
    """Return the classes of the columns of a `predict_proba`, None for those of the encoder.

    Parameters
    ----------
    response : ndarray, or list with one per output
    encoder : AttributeEncoder
    given : object, optional
        What the response was read from. Columns of a DataFrame that are called like the classes
        are these classes, in any order. Without names, two or more columns of a single output are
        in sorted order. One column has the scores of the positive class.
    """
    parts, tables = (
        list(values) if isinstance(values, list | tuple) else [values]
        for values in (response, given)
    )
    if len(parts) != encoder.n_outputs_:
        return None
    public = [public_classes(encoder)] if encoder.n_outputs_ == 1 else encoder.classes_
    tables = tables if len(tables) == len(parts) else [None] * len(parts)
    found = [
        _named_classes(table, levels) if np.ndim(part) == 2 and np.shape(part)[1] > 1 else own
        for part, table, levels, own in zip(parts, tables, public, encoder.classes_, strict=True)
    ]
    is_own = all(one is other for one, other in zip(found, encoder.classes_, strict=True))
    return None if is_own else found


def _named_classes(part: Any, classes: NDArray[Any]) -> NDArray[Any]:
    """Return classes in the order of the columns that are called like them, if these are."""
    names, labels = column_names_of(part), classes.tolist()
    if names is None or is_numbered(names):
        return classes
    if set(names) != set(labels):  # columns of a file are called "1" for the class 1
        names, labels = list(map(str, names)), list(map(str, labels))
    if len(names) != len(labels) or set(names) != set(labels):
        return classes
    return classes[[labels.index(name) for name in names]]
