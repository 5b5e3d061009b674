"""Outputs of a classifier for rows it was not trained on."""

import warnings
from collections.abc import Iterable, Iterator
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.model_selection import KFold, ShuffleSplit, StratifiedKFold
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import check_consistent_length, indexable

from skattr._estimators.data import Metadata, check_X, find_readable
from skattr._estimators.fitting import random_generator
from skattr.exceptions import InSampleWarning

Codes = NDArray[np.int64]
Split = tuple[NDArray[np.intp], NDArray[np.intp]]


def cross_fit_transform(
    classifier: Any, X: Any, y: Any, codes: Codes, metadata: Metadata, encoder: Any
) -> NDArray[Any]:
    """Fit `classifier`, and return the outputs its `cross_fit` asks for.

    Parameters
    ----------
    classifier : AttributeClassifier
    X, y : rows and labels
    codes : ndarray of shape (n, n_outputs), int64
        What `encoder` makes of y.
    metadata : (sample_weight, label_weight, category)
        As for its `fit`.
    encoder : AttributeEncoder
        Fitted on all of y, so that all folds share the classes.

    Returns
    -------
    ndarray of shape (n, n_columns)
    """
    X, codes = indexable(X, codes)
    check_consistent_length(codes, *metadata)
    n_rows = len(codes)
    splits = None
    if classifier.cross_fit is None:
        warnings.warn(
            "fit_transform returns outputs for the very rows the network was trained on: a "
            "threshold or model fitted on them looks better than it is. Set cross_fit=5 for "
            "out-of-fold outputs, or cross_fit=0.2 for those of held-out rows.",
            InSampleWarning,
            stacklevel=5,
        )
    else:
        rng = random_generator(classifier.random_state)
        splits = _splits(classifier.cross_fit, X, y, codes, rng)
    usable = _usable_rows(classifier, X, n_rows)
    if len(usable) == n_rows:
        return _outputs(classifier, X, codes, metadata, encoder, splits)
    weight, label_weight, category = (
        None if part is None else _safe_indexing(part, usable) for part in indexable(*metadata)
    )
    X, codes = _safe_indexing(X, usable), codes[usable]
    splits = None if splits is None else _among(usable, splits)
    values = _outputs(classifier, X, codes, (weight, label_weight, category), encoder, splits)
    return _scattered(n_rows, [(usable, values)])


def _usable_rows(classifier: Any, X: Any, n_rows: int) -> NDArray[np.intp]:
    """Return the rows that can be read, having warned of the others, so that folds need not."""
    if classifier.on_bad_image != "warn":
        return np.arange(n_rows)
    rows, _ = check_X(classifier, X, reset=True)
    return find_readable(classifier, rows)


def _among(usable: NDArray[np.intp], splits: Iterable[Split]) -> Iterator[Split]:
    """Restrict splits to some rows, and number those from zero."""
    for split in splits:
        positions = np.full(1 + max(part.max(initial=0) for part in (usable, *split)), -1)
        positions[usable] = np.arange(len(usable))
        train, test = (positions[part] for part in split)
        yield train[train >= 0], test[test >= 0]


def _outputs(
    classifier: Any,
    X: Any,
    codes: Codes,
    metadata: Metadata,
    encoder: Any,
    splits: Iterable[Split] | None,
) -> NDArray[Any]:
    """Fit `classifier`, and return outputs: of held-out rows, or without splits of all rows."""
    cross_fit = classifier.cross_fit
    if splits is None:
        classifier._fit(X, codes, metadata, encoder)
        return np.asarray(classifier.transform(X))
    if isinstance(cross_fit, Real) and not isinstance(cross_fit, Integral):
        [(train, test)] = splits
        return _scattered(
            len(codes), [(test, _held_out(classifier, X, codes, metadata, encoder, train, test))]
        )
    parts = [
        (test, _held_out(clone(classifier), X, codes, metadata, encoder, train, test))
        for train, test in splits
    ]
    classifier._fit(X, codes, metadata, encoder)
    return _scattered(len(codes), parts)


def _held_out(
    classifier: Any,
    X: Any,
    codes: Codes,
    metadata: Metadata,
    encoder: Any,
    train: NDArray[np.intp],
    test: NDArray[np.intp],
) -> NDArray[Any]:
    """Fit on `train` and return outputs for `test`."""
    weight, label_weight, category = (
        None if part is None else _safe_indexing(part, train) for part in metadata
    )
    chosen = (weight, label_weight, category)
    classifier._fit(_safe_indexing(X, train), codes[train], chosen, encoder)
    if not len(test):  # none of them can be read
        return np.empty((0, len(classifier.get_feature_names_out())))
    return np.asarray(classifier.transform(_safe_indexing(X, test)))


def _scattered(n: int, parts: list[tuple[NDArray[np.intp], NDArray[Any]]]) -> NDArray[Any]:
    """Put the outputs of some rows where they belong among `n`, NaN in the other rows."""
    _, first = parts[0]
    result = np.full((n, first.shape[1]), np.nan, dtype=first.dtype)
    for rows, values in parts:
        result[rows] = values
    return result


def _splits(
    cross_fit: Any, X: Any, y: Any, codes: Codes, rng: np.random.Generator
) -> Iterator[Split]:
    if not isinstance(cross_fit, Real):
        yield from cross_fit.split(X, y)
        return
    seed = int(rng.integers(2**31))
    if not isinstance(cross_fit, Integral):
        yield from ShuffleSplit(1, test_size=cross_fit, random_state=seed).split(codes)
        return
    counts = np.unique(codes[:, 0], return_counts=True)[1]
    stratify = codes.shape[1] == 1 and counts.min() >= cross_fit
    kind = StratifiedKFold if stratify else KFold
    yield from kind(int(cross_fit), shuffle=True, random_state=seed).split(codes, codes[:, 0])
