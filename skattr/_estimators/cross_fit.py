"""Out-of-fold outputs of AttributeClassifier for `fit_transform`."""

import warnings
from collections.abc import Iterable
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import indexable

from skattr._estimators.data import (
    Codes,
    Metadata,
    check_X,
    find_readable,
    select_rows,
)
from skattr._estimators.options import ImageReading, resolve
from skattr._estimators.parameters import random_generator
from skattr._estimators.validation import hold_out
from skattr._targets.encoder import AttributeEncoder
from skattr._targets.groups import read_groups
from skattr._utils.warnings import find_stack_level
from skattr.exceptions import InSampleWarning
from skattr.model_selection import MultilabelStratifiedGroupKFold, MultilabelStratifiedKFold

if TYPE_CHECKING:
    from skattr._estimators.classifier import AttributeClassifier


def cross_fit_transform(
    classifier: "AttributeClassifier",
    X: Any,
    y: Any,
    codes: Codes,
    metadata: Metadata,
    encoder: AttributeEncoder,
) -> NDArray[Any]:
    """Fit `classifier`, and return the outputs that its `cross_fit` asks for.

    Parameters
    ----------
    classifier : AttributeClassifier
    X, y : rows and labels
    codes : ndarray of shape (n, n_outputs), int64
        Labels encoded by `encoder`.
    metadata : (sample_weight, label_weight, category, groups)
        As for `fit`.
    encoder : AttributeEncoder
        Fitted on all of y, so that all folds have the same classes. It learns nothing but the
        names of labels, so that nothing leaks from one fold to another.

    Returns
    -------
    ndarray of shape (n, n_columns)
    """
    X, codes, *metadata_parts = indexable(X, codes, *metadata)

    def fit(model: "AttributeClassifier", rows: Any) -> None:
        X_rows, codes_rows, *parts = select_rows(rows, X, codes, *metadata_parts)
        model._fit(X_rows, codes_rows, tuple(parts), encoder)

    def outputs(model: "AttributeClassifier", rows: Any) -> NDArray[Any]:
        return np.asarray(model.transform(_safe_indexing(X, rows)))

    cross_fit = classifier.cross_fit
    is_readable = _is_readable(classifier, X, len(codes))
    # A slice selects without a copy.
    usable = slice(None) if is_readable.all() else np.flatnonzero(is_readable)
    parts: list[tuple[Any, NDArray[Any]]] = []
    if cross_fit is None:
        warnings.warn(
            "fit_transform returns outputs for the rows that the network was trained on, on which "
            "a threshold or a model that is fitted on them is optimistically biased. Set "
            "cross_fit=5 for out-of-fold outputs, or cross_fit=0.2 for those of held-out rows.",
            InSampleWarning,
            stacklevel=find_stack_level(),
        )
        fit(classifier, usable)
        parts = [(usable, outputs(classifier, usable))]
    else:
        # With a share a single network is trained, which is the fitted one: it has not seen the
        # rows that are held out.
        is_share = isinstance(cross_fit, Real) and not isinstance(cross_fit, Integral)
        for split in _splits(classifier, X, y, codes, metadata_parts[-1], encoder):
            train, test = (np.asarray(rows)[is_readable[rows]] for rows in split)
            model = classifier if is_share else clone(classifier)
            fit(model, train)
            if len(test):
                parts.append((test, outputs(model, test)))
        if not is_share:
            fit(classifier, usable)
    shape = (len(codes), len(classifier.get_feature_names_out()))
    dtype = parts[0][1].dtype if parts else np.float64
    result = np.full(shape, np.nan, dtype=dtype)
    for rows, values in parts:
        result[rows] = values
    return result


def _is_readable(classifier: "AttributeClassifier", X: Any, n_rows: int) -> NDArray[np.bool_]:
    """Return which rows can be read, after one warning for all folds about the others."""
    if resolve(ImageReading, classifier.images).on_bad_image != "warn":
        return np.ones(n_rows, dtype=bool)
    rows, _, _ = check_X(classifier, X)
    return np.isin(np.arange(n_rows), find_readable(classifier, rows))


def _splits(
    classifier: "AttributeClassifier",
    X: Any,
    y: Any,
    codes: Codes,
    groups: Any,
    encoder: AttributeEncoder,
) -> Iterable[tuple[Any, Any]]:
    cross_fit: Any = classifier.cross_fit
    seed = int(random_generator(classifier.random_state).integers(2**31))
    numbers = None if groups is None else read_groups(groups, len(codes))
    if not isinstance(cross_fit, Real):
        params = {} if groups is None else {"groups": groups}
        splits: Iterable[tuple[Any, Any]] = cross_fit.split(X, y, **params)
        return splits
    if not isinstance(cross_fit, Integral):
        is_held_out = hold_out(
            codes, numbers, float(cross_fit), np.random.default_rng(seed), encoder
        )
        return [(np.flatnonzero(~is_held_out), np.flatnonzero(is_held_out))]
    options: dict[str, Any] = {"shuffle": True, "random_state": seed}
    labels = np.where(codes < 0, np.nan, codes)
    if numbers is None:
        return MultilabelStratifiedKFold(int(cross_fit), **options).split(codes, labels)
    return MultilabelStratifiedGroupKFold(int(cross_fit), **options).split(codes, labels, numbers)
