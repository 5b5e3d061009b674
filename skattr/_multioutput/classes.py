"""Classes of a multi-output classifier."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from skattr._targets.encoder import AttributeEncoder

# What scikit-learn's classifiers, and Python itself, say of a missing label in y.
_NO_LABEL = re.compile(
    "Input (y )?contains NaN|Missing label type|'<' not supported|boolean value of NA is ambiguous"
)


@contextmanager
def explain_missing_label_error(
    estimator: Any, codes: NDArray[np.int64], names: Sequence[Any]
) -> Iterator[None]:
    """Say of a classifier that fails on missing labels that it takes none; other errors pass.

    Parameters
    ----------
    estimator : classifier
        One with a `missing_label`, its own or that of a part of it, can take them.
    codes : ndarray of shape (n, n_outputs)
        Those of y, -1 where unknown.
    names : sequence
        Of the outputs.

    Raises
    ------
    ValueError
        From the classifier's own error.
    """
    try:
        yield
    except (TypeError, ValueError) as error:
        unknown = [name for name, column in zip(names, codes.T, strict=True) if (column < 0).any()]
        takes_them = any(name.endswith("missing_label") for name in estimator.get_params())
        if takes_them or not unknown or not _NO_LABEL.search(str(error)):
            raise
        raise ValueError(
            f"{type(estimator).__name__} cannot take missing labels, and y has some in the "
            f"output(s) {unknown}. Take a classifier that can, such as AttributeClassifier, or fit "
            f"one per output on the rows whose label is known. Its own error: {error}"
        ) from error


def missing_label_of(estimator: Any) -> Any:
    """Return the `missing_label` of a classifier, of the one a pipeline ends in, or None."""
    while getattr(estimator, "missing_label", None) is None:
        if isinstance(estimator, Pipeline):
            estimator = estimator.steps[-1][1]
        elif hasattr(estimator, "estimator"):
            estimator = estimator.estimator
        else:
            return None
    return estimator.missing_label


def encoder_for(
    estimator: Any, y: Any, missing_label: Any = None, *, strict: bool = False
) -> AttributeEncoder:
    """Fit an encoder on y that has the classes of a fitted classifier.

    Parameters
    ----------
    estimator : fitted classifier
    y : array-like of shape (n,) or (n, n_outputs), Series or DataFrame
    missing_label : scalar, optional
        None reads the estimator's own.
    strict : bool
        Refuse a label that the classifier does not know; otherwise it is a class that is never
        predicted. Both classes of a column of zeros and ones are always there.

    Returns
    -------
    AttributeEncoder

    Raises
    ------
    ValueError
        If the classifier has another number of outputs than y, or no classes.
    UnseenLabelError
        With `strict`, if y holds a label the classifier does not know.
    """
    if missing_label is None:
        missing_label = missing_label_of(estimator)
    plain = AttributeEncoder(missing_label=missing_label).fit(y)
    _refuse_missing_class(estimator, plain, missing_label)
    orders: dict[Any, Any] = {}
    levels: dict[Any, Any] = {}
    for name, kind, known, seen in zip(
        plain.output_names_,
        plain.kinds_,
        classes_per_output(estimator, plain),
        plain.classes_,
        strict=True,
    ):
        zero_one = len(seen) == 2 and np.array_equal(seen, [0, 1])
        missing = np.setdiff1d(seen, known) if zero_one or not strict else known[:0]
        classes = np.concatenate([known, missing]) if len(missing) else known
        is_sorted = np.array_equal(np.unique(classes), classes)
        if kind == "ordinal" or not is_sorted:
            orders[name] = ("ordinal", classes.tolist())
        else:
            levels[name] = classes
    return AttributeEncoder(orders, levels, missing_label).fit(y)


def _refuse_missing_class(estimator: Any, encoder: AttributeEncoder, missing_label: Any) -> None:
    """Raise if a classifier has learned the mark of missing labels as a class."""
    if missing_label is None or pd.isna(missing_label):
        return
    classes = classes_per_output(estimator, encoder)
    for name, labels in zip(encoder.output_names_, classes, strict=True):
        is_text = isinstance(missing_label, str)
        if (labels.dtype.kind == "U") == is_text and (labels == missing_label).any():
            raise ValueError(
                f"{type(estimator).__name__} was fitted with {missing_label!r} as a class of "
                f"{name!r}, but it marks missing labels, which the classifier does not know."
            )


def classes_per_output(estimator: Any, encoder: AttributeEncoder) -> list[NDArray[Any]]:
    """Return the classes of each output of a fitted classifier.

    A classifier with several outputs and a plain array of classes is taken to be one that is
    trained on a matrix of zeros and ones, such as OneVsRestClassifier.
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


def public_classes(encoder: AttributeEncoder) -> Any:
    """Return `classes_`: a sorted array, or a list of arrays if outputs are several."""
    if encoder.n_outputs_ == 1:
        return np.sort(encoder.classes_[0])
    return encoder.classes_
