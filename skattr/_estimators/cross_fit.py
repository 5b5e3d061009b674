"""Out-of-fold outputs of AttributeClassifier for `fit_transform`."""

import warnings
from collections.abc import Iterable, Iterator
from numbers import Integral, Real
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.model_selection import KFold, ShuffleSplit, StratifiedKFold
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import check_consistent_length, indexable

from skattr._estimators.data import Codes, Metadata, check_X, find_readable
from skattr._estimators.options import ImageReading, resolve
from skattr._estimators.parameters import ClassifierParameters, random_generator
from skattr._targets.encoder import AttributeEncoder
from skattr._utils.warnings import find_stack_level
from skattr.exceptions import InSampleWarning

Split = tuple[NDArray[np.intp], NDArray[np.intp]]


class TrainingData(NamedTuple):
    """Arguments of `AttributeClassifier._fit`."""

    X: Any
    codes: Codes
    metadata: Metadata
    encoder: AttributeEncoder

    def select(self, rows: NDArray[np.intp]) -> "TrainingData":
        """Return the data of some rows."""
        weight, label_weight, category = (
            None if part is None else _safe_indexing(part, rows)
            for part in indexable(*self.metadata)
        )
        metadata = (weight, label_weight, category)
        return TrainingData(_safe_indexing(self.X, rows), self.codes[rows], metadata, self.encoder)


class CrossFitClassifier(ClassifierParameters, Protocol):
    """Methods and parameters of AttributeClassifier that cross-fitting uses."""

    cross_fit: Any

    def _fit(self, X: Any, codes: Codes, metadata: Metadata, encoder: AttributeEncoder) -> Any: ...

    def transform(self, X: Any) -> NDArray[Any]:
        """Return outputs."""
        ...

    def get_feature_names_out(self) -> NDArray[np.object_]:
        """Name the outputs."""
        ...


def cross_fit_transform(
    classifier: CrossFitClassifier,
    X: Any,
    y: Any,
    codes: Codes,
    metadata: Metadata,
    encoder: AttributeEncoder,
) -> NDArray[Any]:
    """Fit `classifier`, and return the outputs that its `cross_fit` asks for.

    Parameters
    ----------
    classifier : CrossFitClassifier
    X, y : rows and labels
    codes : ndarray of shape (n, n_outputs), int64
        Labels encoded by `encoder`.
    metadata : (sample_weight, label_weight, category)
        As for `fit`.
    encoder : AttributeEncoder
        Fitted on all of y, so that all folds have the same classes. It learns nothing but the
        names of labels, so that nothing leaks from one fold to another.

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
            "fit_transform returns outputs for the rows that the network was trained on, on which "
            "a threshold or a model that is fitted on them is optimistically biased. Set "
            "cross_fit=5 for out-of-fold outputs, or cross_fit=0.2 for those of held-out rows.",
            InSampleWarning,
            stacklevel=find_stack_level(),
        )
    else:
        rng = random_generator(classifier.random_state)
        splits = _splits(classifier.cross_fit, X, y, codes, rng)
    data = TrainingData(X, codes, metadata, encoder)
    usable = _usable_rows(classifier, X, n_rows)
    if len(usable) == n_rows:
        return _outputs(classifier, data, splits)
    splits = None if splits is None else _renumber(splits, usable)
    return _scatter(n_rows, [(usable, _outputs(classifier, data.select(usable), splits))])


def _usable_rows(classifier: CrossFitClassifier, X: Any, n_rows: int) -> NDArray[np.intp]:
    """Return the rows that can be read, after one warning for all folds about the others."""
    images = resolve(ImageReading, classifier.images)
    if images.on_bad_image != "warn":
        return np.arange(n_rows)
    rows, _, _ = check_X(classifier, X, images)
    return find_readable(classifier, images, rows)


def _renumber(splits: Iterable[Split], usable: NDArray[np.intp]) -> Iterator[Split]:
    """Restrict splits to the usable rows, and number these from zero."""
    for split in splits:
        positions = np.full(1 + max(part.max(initial=0) for part in (usable, *split)), -1)
        positions[usable] = np.arange(len(usable))
        train, test = (positions[part] for part in split)
        yield train[train >= 0], test[test >= 0]


def _outputs(
    classifier: CrossFitClassifier, data: TrainingData, splits: Iterable[Split] | None
) -> NDArray[Any]:
    """Fit `classifier`, and return outputs: of held-out rows, or without splits of all rows."""
    cross_fit, n_rows = classifier.cross_fit, len(data.codes)
    if splits is None:
        classifier._fit(*data)
        return np.asarray(classifier.transform(data.X))
    if isinstance(cross_fit, Real) and not isinstance(cross_fit, Integral):
        # A single network is trained, which is the fitted one: it has not seen the held-out rows.
        [(train, test)] = splits
        return _scatter(n_rows, [(test, _held_out(classifier, data, train, test))])
    parts = [(test, _held_out(clone(classifier), data, train, test)) for train, test in splits]
    classifier._fit(*data)
    return _scatter(n_rows, parts)


def _held_out(
    classifier: CrossFitClassifier,
    data: TrainingData,
    train: NDArray[np.intp],
    test: NDArray[np.intp],
) -> NDArray[Any]:
    """Fit on `train` and return outputs for `test`."""
    classifier._fit(*data.select(train))
    if not len(test):  # none of these rows can be read
        return np.empty((0, len(classifier.get_feature_names_out())))
    return np.asarray(classifier.transform(_safe_indexing(data.X, test)))


def _scatter(n: int, parts: list[tuple[NDArray[np.intp], NDArray[Any]]]) -> NDArray[Any]:
    """Put the outputs of some rows at their positions among `n`, and NaN into the others."""
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
    # Several outputs have no common strata; a class with fewer rows than folds cannot be spread.
    counts = np.unique(codes[:, 0], return_counts=True)[1]
    stratify = codes.shape[1] == 1 and counts.min() >= cross_fit
    kind = StratifiedKFold if stratify else KFold
    yield from kind(int(cross_fit), shuffle=True, random_state=seed).split(codes, codes[:, 0])
