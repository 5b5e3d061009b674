"""Scores for rows by classifiers that were not trained on them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.utils.metaestimators import _safe_split
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import _check_method_params, _num_samples, indexable

from skattr._multioutput.classes import classes_per_output, missing_label_of
from skattr._multioutput.scores import Scores, align, as_predict_proba, get_response
from skattr._targets.columns import fill_masked
from skattr._targets.declarations import as_attributes, infer_kind
from skattr._targets.encoder import AttributeEncoder, is_binary
from skattr.model_selection._split import (
    MultilabelStratifiedKFold,
    MultilabelStratifiedShuffleSplit,
)

Split = tuple[NDArray[np.intp], NDArray[np.intp]]


@dataclass(frozen=True)
class FoldPrediction:
    """What the classifier of one fold says about the rows it was not trained on."""

    test: NDArray[np.intp]
    response: Any
    is_proba: bool
    estimator: Any
    n_seen: NDArray[np.intp] | None = None  # classes of each output among its training labels


def cross_val_predict_proba(
    estimator: Any,
    X: Any,
    y: Any,
    *,
    groups: Any = None,
    cv: Any = None,
    n_jobs: int | None = None,
    params: Mapping[str, Any] | None = None,
    missing_label: Any = None,
    random_state: Any = None,
) -> Any:
    """Return out-of-fold probabilities of any multi-output classifier.

    Unlike :func:`sklearn.model_selection.cross_val_predict`, which label-encodes y, it leaves
    y as it is: a missing label reaches the classifier as NaN, None or pandas.NA.

    Parameters
    ----------
    estimator : classifier with `predict_proba`
        It is cloned for each fold.
    X : array-like, DataFrame or list of n rows
    y : array-like of shape (n,) or (n, n_outputs), Series or DataFrame
    groups : array-like of shape (n,), default=None
        For splitters that keep groups whole.
    cv : int, float, splitter or iterable of splits, default=None
        None is 5. An int is the number of folds of a
        :class:`MultilabelStratifiedKFold`, a float the share of rows held out once by a
        :class:`MultilabelStratifiedShuffleSplit`.
    n_jobs : int, default=None
        Folds fitted side by side.
    params : dict, default=None
        Further arguments of `fit`; those with a value per row are split like X.
    missing_label : scalar, default=None
        One more value of y that means unknown; None reads the estimator's own.
    random_state : int, RandomState or None, default=None
        For a float `cv`.

    Returns
    -------
    ndarray of shape (n, n_classes), or a list of them if there are several outputs
        NaN in rows that no fold holds out. Columns are in the order of the classifiers'
        `classes_`; a class that a fold has not seen has the probability 0 there.

    Raises
    ------
    ValueError
        If a row is held out by more than one fold, or the classifier's outputs are not those
        of y.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import make_multilabel_classification
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from skattr.model_selection import cross_val_predict_proba
    >>> X, y = make_multilabel_classification(n_classes=3, random_state=0)
    >>> probas = cross_val_predict_proba(KNeighborsClassifier(), X, y, cv=5)
    >>> len(probas), probas[0].shape
    (3, (100, 2))
    """
    X, y, groups = indexable(X, y, groups)
    if missing_label is None:
        missing_label = missing_label_of(estimator)
    encoder = AttributeEncoder(missing_label=missing_label)
    codes = encoder.fit_transform(y)
    y = fill_masked(y)
    splits = make_splits(cv, X, y, codes, random_state=random_state, groups=groups)
    answers = predict_folds(
        estimator, X, y, splits, response_method="predict_proba", n_jobs=n_jobs, params=params
    )
    encoder = _encoder_of_folds(encoder, answers, y)
    scores, _ = gather(answers, encoder, len(codes))
    return as_predict_proba(scores, encoder)


def make_splits(
    cv: Any, X: Any, y: Any, codes: NDArray[np.int64], *, random_state: Any = None, **params: Any
) -> list[Split]:
    """Return the splits that a `cv` means.

    Parameters
    ----------
    cv : None, int, float, splitter or iterable of splits
        None, an int and a float mean a multilabel stratified splitter.
    X, y
        What a splitter is given.
    codes : ndarray of shape (n, n_outputs), int
        Those of y, -1 where unknown; they stand for y where the splitter is ours.
    random_state : int, RandomState or None
        For a float.
    **params : dict
        Further arguments of `split`, such as groups.

    Raises
    ------
    ValueError
        If `cv` is none of these.
    """
    own: Any = None
    if cv is None or isinstance(cv, Integral):
        own = MultilabelStratifiedKFold(5 if cv is None else int(cv))
    elif isinstance(cv, Real):
        own = MultilabelStratifiedShuffleSplit(1, test_size=cv, random_state=random_state)
    if own is not None:
        labels = codes if codes.min(initial=0) >= 0 else np.where(codes < 0, np.nan, codes)
        return list(own.split(labels, labels, **params))
    if hasattr(cv, "split") and not isinstance(cv, str):
        return list(cv.split(X, y, **params))
    if isinstance(cv, Iterable) and not isinstance(cv, str):
        return [(np.asarray(train), np.asarray(test)) for train, test in cv]
    raise ValueError(
        f"cv should be an int, a float, a splitter or an iterable of splits, got {cv!r}."
    )


def predict_folds(
    estimator: Any,
    X: Any,
    y: Any,
    splits: Iterable[Split],
    *,
    response_method: str = "auto",
    n_jobs: int | None = None,
    params: Mapping[str, Any] | None = None,
    keep_estimators: bool = False,
    codes: NDArray[np.int64] | None = None,
) -> list[FoldPrediction]:
    """Fit a clone per split and ask it about the rows held out.

    With the codes of y (-1 unknown) an answer also tells how many classes its training labels
    had.

    Raises
    ------
    ValueError
        If a row is held out by more than one split.
    """
    n = _num_samples(X)
    splits = [(_positions(train, n), _positions(test, n)) for train, test in splits]
    if not splits:
        raise ValueError("cv yields no split; an iterator yields its splits only once.")
    times = np.bincount(np.concatenate([test for _, test in splits]), minlength=n)
    if (times > 1).any():
        raise ValueError(
            f"cv puts row {int(times.argmax())} into {int(times.max())} test folds; each row may "
            "be held out once."
        )
    parallel = Parallel(n_jobs=n_jobs)
    answers = list(
        parallel(
            delayed(_fit_and_ask)(
                clone(estimator), X, y, split, response_method, params or {}, keep_estimators
            )
            for split in splits
        )
    )
    if len({answer.is_proba for answer in answers}) > 1:
        raise ValueError(
            f"{type(estimator).__name__} answers with probabilities in some folds and decisions in "
            "others; set response_method."
        )
    if codes is None:
        return answers
    return [
        replace(answer, n_seen=_n_classes(codes[train]))
        for answer, (train, _) in zip(answers, splits, strict=True)
    ]


def _positions(rows: Any, n: int) -> NDArray[np.intp]:
    """Return row numbers from 0 on, of numbers or of a mask."""
    rows = np.asarray(rows)
    return np.flatnonzero(rows) if rows.dtype == bool else np.arange(n)[rows]


def _n_classes(codes: NDArray[np.int64]) -> NDArray[np.intp]:
    """Return how many classes of each output occur."""
    return np.array([len(np.unique(column[column >= 0])) for column in codes.T])


def saw_both_classes(answer: FoldPrediction, classes: list[NDArray[Any]]) -> NDArray[np.bool_]:
    """Tell of which outputs a fold's classifier has seen two classes or more."""
    n_seen = np.array([len(found) for found in classes])
    if answer.n_seen is not None:
        n_seen = np.minimum(n_seen, answer.n_seen)
    return n_seen > 1


def _fit_and_ask(
    estimator: Any,
    X: Any,
    y: Any,
    split: Split,
    response_method: str,
    params: Mapping[str, Any],
    keep_estimators: bool,
) -> FoldPrediction:
    train, test = split
    X_train, y_train = _safe_split(estimator, X, y, train)
    X_test, _ = _safe_split(estimator, X, y, test, train)
    chosen = _check_method_params(X, params=dict(params), indices=train)
    estimator.fit(X_train, y_train, **chosen)
    response, is_proba = get_response(estimator, X_test, response_method)
    if not keep_estimators:
        estimator = _Classes(estimator.classes_)
    return FoldPrediction(test, response, is_proba, estimator)


class _Classes:
    """What is left of a fold's classifier when its answer is all that is wanted."""

    def __init__(self, classes: Any) -> None:
        self.classes_ = classes


def gather(
    answers: list[FoldPrediction], encoder: AttributeEncoder, n: int, *, need_both: bool = False
) -> tuple[Scores, NDArray[np.intp]]:
    """Put the answers of the folds where they belong among n rows.

    Parameters
    ----------
    answers : list of FoldPrediction
    encoder : AttributeEncoder
    n : int
    need_both : bool
        Whether a binary output has no score (NaN) where the fold's classifier has seen one of
        its classes only; otherwise the class it has not seen has the probability 0.

    Returns
    -------
    scores : Scores
        NaN in rows that no fold holds out.
    folds : ndarray of shape (n,), int
        The fold that holds out each row, -1 where none does.
    """
    folds = np.full(n, -1, dtype=np.intp)
    parts = []
    for number, answer in enumerate(answers):
        classes = classes_per_output(answer.estimator, encoder)
        part = align(answer.response, answer.is_proba, encoder, classes)
        if need_both:
            taught = saw_both_classes(answer, classes)[is_binary(encoder)]
            part = Scores(np.where(taught, part.binary, np.nan), part.others, part.is_proba)
        parts.append(part)
        folds[answer.test] = number
    arrays = []
    for columns in zip(*([part.binary, *part.others] for part in parts), strict=True):
        dtype = np.result_type(np.float32, *columns)
        array = np.full((n, columns[0].shape[1]), np.nan, dtype=dtype)
        for answer, part in zip(answers, columns, strict=True):
            array[answer.test] = part
        arrays.append(array)
    return Scores(arrays[0], tuple(arrays[1:]), parts[0].is_proba), folds


def _encoder_of_folds(
    encoder: AttributeEncoder, answers: list[FoldPrediction], y: Any
) -> AttributeEncoder:
    """Return an encoder whose classes stand in the order of the folds' `classes_`."""
    per_fold = [classes_per_output(answer.estimator, encoder) for answer in answers]
    kinds: list[str] = []
    all_classes = []
    for kind, seen, *found in zip(encoder.kinds_, encoder.classes_, *per_fold, strict=True):
        longest = max(found, key=len)
        complete = not len(np.setdiff1d(np.concatenate([seen, *found]), longest))
        classes = longest if complete else np.unique(np.concatenate([seen, *found]))
        all_classes.append(classes)
        kinds.append(kind if kind == "ordinal" and complete else infer_kind(classes))
    attributes = as_attributes(encoder.output_names_, kinds, all_classes)
    return AttributeEncoder(attributes, encoder.missing_label).fit(y)
