"""Read and check X, y and metadata for AttributeClassifier."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import get_config
from sklearn.utils.validation import validate_data

from skattr._cache.decoded_images import CachedFileRows
from skattr._estimators.parameters import check_image_size
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
from skattr._inputs.rows import FeatureRows, FileRows, Rows
from skattr._inputs.unreadable import check_any_readable, readable_rows, warn_unreadable
from skattr._targets.constraints import LogicalConstraints, parse_constraints
from skattr._targets.encoder import AttributeEncoder
from skattr._targets.weights import (
    check_label_weights,
)
from skattr._training import (
    find_unreadable,
)
from skattr._utils.parallel import sum_is_finite
from skattr.exceptions import MissingLabelWarning

Metadata = tuple[Any, Any, Any]  # sample_weight, label_weight, category


Floats = NDArray[np.float64]


Codes = NDArray[np.int64]


@dataclass(frozen=True)
class Labels:
    """The labels of all rows.

    Attributes
    ----------
    codes : ndarray of shape (n, n_outputs), int64
        -1 where unknown.
    weights : ndarray of shape (n, n_outputs)
        0 where unknown.
    row_weights : ndarray of shape (n,)
    unknown_weights : ndarray of shape (n, n_outputs)
        What a missing label weighs where it may count as a negative.
    category : ndarray of shape (n,), int64, or None
        -1 where unknown; None if categories are not used.
    categories : ndarray of shape (n_categories,), or None
    """

    codes: Codes
    weights: Floats
    row_weights: Floats
    unknown_weights: Floats
    category: Codes | None = None
    categories: NDArray[Any] | None = None

    @property
    def n_categories(self) -> int:
        """Number of categories."""
        return 0 if self.categories is None else len(self.categories)


def check_X(classifier: Any, X: Any, *, reset: bool) -> tuple[Rows, Any]:
    """Check X and return its rows.

    Parameters
    ----------
    classifier : AttributeClassifier
        With `reset`, it learns what kind of X it is fitted on; without, X is held against that.
    X : images, paths, or features
    reset : bool

    Returns
    -------
    rows : Rows
    category : Series of shape (n,), or None
        The column ``category`` of X.

    Raises
    ------
    ValueError
        If X is of another kind than in `fit`, or not valid at all.
    """
    X, category = split_category(X)
    is_features = infer_kind(X) == "features"
    if reset:
        for name in ("n_features_in_", "feature_names_in_"):
            classifier.__dict__.pop(name, None)
        classifier._is_features = is_features
    else:
        check_same_kind(X, is_features=classifier._is_features)
    if is_features:
        return _open_features(classifier, X, reset=reset), category
    size = check_image_size(classifier.image_size)
    rows = check_images(X, size, classifier.on_bad_image, classifier.decoding)
    # The cache lives for one fit: a prediction decodes each file once anyway.
    if reset and classifier.decoded_cache == "memory" and isinstance(rows, FileRows):
        rows = CachedFileRows(rows)
    return rows, category


def _open_features(classifier: Any, X: Any, *, reset: bool) -> FeatureRows:
    check_features(X)
    X = validate_data(
        classifier, X, reset=reset, dtype=[np.float64, np.float32], ensure_all_finite=False
    )
    unreadable = None
    if classifier.on_bad_image == "warn":
        unreadable = find_nan_rows(X)
        check_finite(classifier, X, np.delete(X, list(unreadable), axis=0) if unreadable else X)
    elif reset or not classifier._network.propagates_non_finite:
        check_finite(classifier, X, X)
    if reset:
        classifier._feature_type = X.dtype
    return FeatureRows(X.astype(classifier._feature_type, copy=False), unreadable)


def check_finite(classifier: Any, X: NDArray[Any], shown: NDArray[Any]) -> None:
    """Raise a ValueError if X is not finite, which `shown` would not be either.

    Its words are scikit-learn's, and the place of the first such number. Rows of NaN that the
    classifier leaves out are none.
    """
    if sum_is_finite(shown) or get_config()["assume_finite"]:
        return
    bad = ~np.isfinite(X)
    if classifier.on_bad_image == "warn":
        bad &= ~np.isnan(X).all(axis=1, keepdims=True)
    if not bad.any():
        return
    row, column = np.unravel_index(np.argmax(bad), bad.shape)
    name = getattr(classifier, "feature_names_in_", range(X.shape[1]))[column]
    what = "NaN" if np.isnan(X[row, column]) else f"infinity or a value too large for {X.dtype!r}"
    message = f"Input X contains {what}. The first is in row {row}, column {name!r}."
    if np.isnan(X[row]).all():
        message += (
            f" All of row {row} is NaN, as ImageEmbedder(on_bad_image='warn') leaves an image it "
            "could not read; with on_bad_image='warn' the classifier leaves such rows out too."
        )
    raise ValueError(message)


def find_readable(classifier: Any, rows: Rows) -> NDArray[np.intp]:
    """Return the rows that can be read, having warned of the others; by default these are all.

    With ``on_bad_image="warn"`` every file is read for that before training, so that labels are
    counted, rows held out and batches filled with what can be read only.

    Raises
    ------
    ImageReadError
        If no row can be read.
    """
    find_unreadable(
        rows,
        batch_size=classifier.batch_size,
        num_workers=classifier.num_workers,
        verbose=int(classifier.verbose),
    )
    check_any_readable(rows)
    warn_unreadable(rows, "their labels count as unknown")
    return readable_rows(rows)


def read_data(
    classifier: Any,
    X: Any,
    codes: NDArray[np.int64],
    metadata: Metadata,
    encoder: AttributeEncoder,
    *,
    reset: bool,
) -> tuple[Rows, Labels]:
    """Check what `fit` was given.

    Parameters
    ----------
    classifier : AttributeClassifier
    X : rows
    codes : ndarray of shape (n, n_outputs), int64
        What `encoder` makes of their labels.
    metadata : (sample_weight, label_weight, category)
    encoder : AttributeEncoder
    reset : bool
        Whether the classifier learns kind of X and categories anew.

    Returns
    -------
    rows : Rows
    labels : Labels
    """
    sample_weight, label_weight, category = metadata
    rows, column = check_X(classifier, X, reset=reset)
    if not reset and isinstance(rows, FeatureRows) and rows.unreadable is None:
        # As check_X leaves it to the outputs of a linear network, which training has none of.
        check_finite(classifier, rows.array, rows.array)
    names = encoder.output_names_
    weights = check_label_weights(rows, codes, sample_weight, label_weight, names)
    row_weights = np.full(len(rows), 1.0 if sample_weight is None else sample_weight)
    unknown_weights = np.broadcast_to(row_weights[:, np.newaxis], codes.shape)
    if label_weight is not None:
        given = np.asarray(label_weight, dtype=np.float64).reshape(codes.shape)
        is_weight = np.isfinite(given) & (given >= 0)
        unknown_weights = unknown_weights * np.where(is_weight, given, 1)
    if classifier.category_prior is None and isinstance(rows, FeatureRows) and reset:
        warn_numeric_category(column)
    category = category_for_fit(classifier.category_prior, column, category)
    if category is None:
        return rows, Labels(codes, weights, row_weights, unknown_weights)
    category = category_series(category, len(rows))
    categories = None if reset else getattr(classifier, "categories_", None)
    if categories is None:
        categories = read_categories(category)
    found = category_codes(category, categories)
    return rows, Labels(codes, weights, row_weights, unknown_weights, found, categories)


def read_rules(constraints: Any, encoder: AttributeEncoder) -> LogicalConstraints | None:
    """Check logical constraints against the attributes of y."""
    if constraints is None:
        return None
    n_classes = [len(classes) for classes in encoder.classes_]
    return parse_constraints(constraints, encoder.output_names_, encoder.kinds_, n_classes)


def category_for_prediction(classifier: Any, column: Any) -> NDArray[np.int64] | None:
    """Return the category codes of rows to predict, None if the network does not take any.

    Raises
    ------
    ValueError
        If X has no column for them.
    """
    if not classifier._network.n_conditions:
        return None
    if column is None:
        raise ValueError(
            "The network was fitted with category_prior='condition', but X has no column "
            "'category'; add it, with None where the category is unknown."
        )
    return category_codes(category_series(column, len(column)), classifier.categories_)


def warn_unknown_columns(encoder: AttributeEncoder) -> None:
    """Warn once of all attributes without a known label."""
    unknown = [
        name
        for name, count in zip(encoder.output_names_, encoder.known_, strict=True)
        if count == 0
    ]
    if unknown:
        warnings.warn(
            f"No label of {unknown} is known; their classes are predicted with equal "
            "probabilities.",
            MissingLabelWarning,
            stacklevel=5,
        )
