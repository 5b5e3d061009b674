"""Checks of X, labels and metadata for AttributeClassifier."""

import copy
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn import get_config
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import validate_data

from skattr._cache.decoded_images import CachedFileRows
from skattr._estimators.options import ImageReading, resolve
from skattr._estimators.parameters import ClassifierParameters, check_image_size
from skattr._inputs.category import (
    category_codes,
    category_for_fit,
    category_series,
    read_categories,
    split_category,
    warn_numeric_category,
)
from skattr._inputs.checks import (
    check_features,
    check_images,
    check_same_kind,
    find_nan_rows,
    infer_kind,
)
from skattr._inputs.decoding import Decoding
from skattr._inputs.deep import ValueRange
from skattr._inputs.rows import FeatureRows, FileRows, Rows
from skattr._inputs.unreadable import check_any_readable, readable_rows, warn_unreadable
from skattr._targets.alignment import match_columns
from skattr._targets.columns import read_labels
from skattr._targets.declarations import with_classes
from skattr._targets.encoder import AttributeEncoder
from skattr._targets.groups import read_groups
from skattr._targets.weights import check_label_weights
from skattr._training.loader import find_unreadable
from skattr._utils.parallel import sum_is_finite
from skattr._utils.tables import as_pandas
from skattr._utils.tensors import detached
from skattr._utils.warnings import find_stack_level
from skattr.exceptions import MissingLabelWarning

Metadata = tuple[Any, Any, Any, Any]  # sample_weight, label_weight, category, groups
Floats = NDArray[np.float64]
Codes = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class InputKind:
    """Kind of X that a classifier is fitted on, and how it is read.

    Attributes
    ----------
    dtype : dtype or None
        Type that 2-D features are computed in; None for images.
    n_features : int or None
    feature_names : ndarray of shape (n_features,), object, or None
    image_size : (height, width) or None
        Size of images; None for 2-D features.
    decoding : {"exact", "scaled"}
        Decoding of image files.
    value_range : (float, float) or None
        Range that samples of deep images are scaled from.
    """

    dtype: np.dtype[Any] | None = None
    n_features: int | None = None
    feature_names: NDArray[np.object_] | None = None
    image_size: tuple[int, int] | None = None
    decoding: Decoding = "exact"
    value_range: ValueRange | None = None


@dataclass(frozen=True)
class TrainingData:
    """Checked arguments of `fit`.

    Attributes
    ----------
    rows : Rows
    kind : InputKind
    encoder : AttributeEncoder
    codes : ndarray of shape (n, n_outputs), int
        Labels encoded by `encoder`; -1 for a missing label.
    weights : ndarray of shape (n, n_outputs)
        0 for a missing label. Of dtype float32 if no weights are given, else float64.
    row_weights : ndarray of shape (n,)
    unknown_weights : ndarray of shape (n, n_outputs)
        Weight of each label if it is missing and the loss counts it as a negative.
    category : ndarray of shape (n,), int64, or None
        -1 for an unknown category; None if categories are not used.
    categories : ndarray of shape (n_categories,), or None
    groups : ndarray of shape (n,), intp, or None
        Number of each row's group.
    """

    rows: Rows
    kind: InputKind
    encoder: AttributeEncoder
    codes: Codes
    weights: Floats
    row_weights: Floats
    unknown_weights: Floats
    category: NDArray[np.int64] | None = None
    categories: NDArray[Any] | None = None
    groups: NDArray[np.intp] | None = None

    @property
    def n_categories(self) -> int:
        """Number of categories."""
        return 0 if self.categories is None else len(self.categories)


def check_X(
    classifier: ClassifierParameters,
    X: Any,
    fitted: InputKind | None = None,
    *,
    defer_finite_check: bool = False,
) -> tuple[Rows, pd.Series | None, InputKind]:
    """Check X and return its rows.

    Parameters
    ----------
    classifier : ClassifierParameters
    X : images, paths, or features
    fitted : InputKind, optional
        Kind of X in `fit`. None in `fit` itself, where any kind is valid.
    defer_finite_check : bool
        Whether :func:`check_finite` is called later, with the outputs of the network.

    Returns
    -------
    rows : Rows
    category : Series of shape (n,), or None
        Column ``category`` of X.
    kind : InputKind

    Raises
    ------
    ValueError
        If X is of another kind than in `fit`, or not valid at all.
    """
    images = resolve(ImageReading, classifier.images)
    X, category = split_category(as_pandas(detached(X)))
    kind = infer_kind(X)
    if fitted is not None:
        check_same_kind(X, is_features=fitted.dtype is not None)
    if kind != "features":
        used = fitted
        if used is None:
            size = check_image_size(classifier.image_size)
            used = InputKind(
                image_size=size, decoding=images.decoding, value_range=images.value_range
            )
        assert used.image_size is not None
        rows = check_images(
            X, used.image_size, images.on_bad_image, used.decoding, used.value_range
        )
        # The cache lives for one fit: a prediction decodes each file once anyway.
        if fitted is None and images.cache == "memory" and isinstance(rows, FileRows):
            rows = CachedFileRows(rows)
        return rows, category, used
    check_features(X)
    # validate_data writes n_features_in_ and feature_names_in_ to the estimator. In `fit` it gets
    # a copy, so that a fit that fails later leaves the last fitted state whole.
    estimator: Any = copy.copy(classifier) if fitted is None else classifier
    dtypes = [np.float64, np.float32]
    X = validate_data(estimator, X, reset=fitted is None, dtype=dtypes, ensure_all_finite=False)
    if fitted is None:
        names = getattr(estimator, "feature_names_in_", None)
        fitted = InputKind(X.dtype, estimator.n_features_in_, names)
    unreadable = None
    if images.on_bad_image == "warn":
        unreadable = find_nan_rows(X)
        check_finite(X, X, fitted, skipped=list(unreadable))
    elif not defer_finite_check:
        check_finite(X, X, fitted)
    return FeatureRows(X.astype(fitted.dtype, copy=False), unreadable), category, fitted


def check_finite(
    X: NDArray[Any], probe: NDArray[Any], kind: InputKind, skipped: Sequence[int] = ()
) -> None:
    """Raise a ValueError if X is not finite, in scikit-learn's words and with the first position.

    Parameters
    ----------
    X : ndarray of shape (n, n_features)
    probe : ndarray
        Array that is not finite where X is not: X, or the outputs of a linear network. X itself
        is searched only if the probe is not finite.
    kind : InputKind
    skipped : sequence of int
        Rows of NaN that are skipped.
    """
    if sum_is_finite(probe) or get_config()["assume_finite"]:
        return
    bad = ~np.isfinite(X)
    bad[list(skipped)] = False
    if not bad.any():
        return
    row, column = np.unravel_index(np.argmax(bad), bad.shape)
    name = int(column) if kind.feature_names is None else kind.feature_names[column]
    what = "NaN" if np.isnan(X[row, column]) else f"infinity or a value too large for {X.dtype!r}"
    message = f"Input X contains {what}. The first is in row {row}, column {name!r}."
    if np.isnan(X[row]).all():
        message += (
            f" All of row {row} is NaN, as ImageEmbedder returns an image that it could not read "
            "with on_bad_image='warn'; a classifier with images=ImageReading(on_bad_image='warn') "
            "skips such rows too."
        )
    raise ValueError(message)


def find_readable(classifier: ClassifierParameters, rows: Rows) -> NDArray[np.intp]:
    """Return the rows that can be read, after a warning that names the others.

    By default all rows are returned, as unreadable ones are errors. With ``on_bad_image="warn"``
    every file is read once.

    Raises
    ------
    ImageReadError
        If no row can be read.
    """
    # Files are read before training so that unreadable rows enter no count of labels, held-out
    # share, batch or step. Placeholders of weight 0 would still change BatchNorm's statistics.
    find_unreadable(
        rows,
        batch_size=classifier.batch_size,
        num_workers=resolve(ImageReading, classifier.images).num_workers,
        verbose=int(classifier.verbose),
    )
    check_any_readable(rows)
    warn_unreadable(rows, "their labels count as missing")
    return readable_rows(rows)


def read_data(
    classifier: ClassifierParameters,
    X: Any,
    codes: Codes,
    metadata: Metadata,
    encoder: AttributeEncoder,
    fitted: InputKind | None = None,
    categories: NDArray[Any] | None = None,
) -> TrainingData:
    """Check the arguments of `fit`.

    Parameters
    ----------
    classifier : ClassifierParameters
    X : rows
    codes : ndarray of shape (n, n_outputs), int
        Labels of the rows, encoded by `encoder`.
    metadata : (sample_weight, label_weight, category, groups)
    encoder : AttributeEncoder
    fitted : InputKind, optional
        Kind of X that an earlier call was fitted on, if this one continues from it.
    categories : ndarray, optional
        Categories of the earlier call. By default they are read from the rows.

    Returns
    -------
    TrainingData
    """
    sample_weight, label_weight, category, groups = map(detached, metadata)
    label_weight = match_columns(label_weight, encoder.output_names_, "label_weight", "y")
    rows, column, kind = check_X(classifier, X, fitted)
    # Weights of 0 and 1 are exact in float32, which takes half the memory.
    is_weighted = sample_weight is not None or label_weight is not None
    weights = check_label_weights(
        rows,
        codes,
        sample_weight,
        label_weight,
        encoder.output_names_,
        dtype=np.float64 if is_weighted else np.float32,
    )
    row_weights = np.full(len(rows), 1.0 if sample_weight is None else sample_weight)
    unknown_weights = np.broadcast_to(row_weights[:, np.newaxis], codes.shape)
    if label_weight is not None:
        given = np.asarray(label_weight, dtype=np.float64).reshape(codes.shape)
        is_weight = np.isfinite(given) & (given >= 0)
        unknown_weights = unknown_weights * np.where(is_weight, given, 1)
    if classifier.category_prior is None and isinstance(rows, FeatureRows) and fitted is None:
        warn_numeric_category(column)
    category = category_for_fit(classifier.category_prior, column, category)
    data = TrainingData(
        rows,
        kind,
        encoder,
        codes,
        weights,
        row_weights,
        unknown_weights,
        groups=None if groups is None else read_groups(groups, len(rows)),
    )
    if category is None:
        return data
    category = category_series(category, len(rows))
    categories = read_categories(category) if categories is None else categories
    return replace(data, category=category_codes(category, categories), categories=categories)


def check_same_classes(classes: Any, y: Any, encoder: AttributeEncoder) -> None:
    """Raise a ValueError if the `classes` of a later `partial_fit` are not those of the encoder."""
    if classes is None:
        return
    table = read_labels(y, encoder.missing_label)
    # `classes` lists attributes in the order of the columns of this y.
    declared = with_classes(None, classes, table.names) or {}
    names = encoder.match_names(table).names
    for name, levels in zip(names, encoder.classes_, strict=True):
        given = declared[name][1] if name in declared else levels.tolist()
        if set(given) != set(levels.tolist()):
            raise ValueError(
                f"`classes` lists {given} for {name!r}, but the first call of partial_fit (or fit) "
                f"had {levels.tolist()}; pass the same classes, or None."
            )


def select_rows(rows: Any, *parts: Any) -> list[Any]:
    """Return some rows of arrays, lists and tables; None stays None."""
    return [None if part is None else _safe_indexing(part, rows) for part in parts]


def category_for_prediction(column: Any, categories: NDArray[Any]) -> NDArray[np.int64]:
    """Return the category codes of rows for a network that takes the category as input.

    Raises
    ------
    ValueError
        If X has no column ``category``.
    """
    if column is None:
        raise ValueError(
            "The network was fitted with category_prior='condition', but X has no column "
            "'category'; add it, with None where the category is unknown."
        )
    return category_codes(column, categories)


def warn_no_label(encoder: AttributeEncoder, is_missing: NDArray[np.bool_], details: str) -> None:
    """Warn once about all attributes without a label; `details` ends the sentence."""
    names = [encoder.output_names_[j] for j in np.flatnonzero(is_missing)]
    if names:
        message = f"No label of {names} is known{details}"
        warnings.warn(message, MissingLabelWarning, stacklevel=find_stack_level())
