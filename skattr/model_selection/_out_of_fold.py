"""Out-of-fold predictions of multi-output classifiers."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from numbers import Integral, Real
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.model_selection import GroupShuffleSplit, check_cv
from sklearn.utils.metaestimators import _safe_split
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import _check_method_params, _num_samples, indexable

from skattr._multioutput.classes import (
    classes_per_output,
    ignore_label_warnings,
    missing_label_of,
    read_labels_for,
    warn_labels_of,
)
from skattr._multioutput.scores import Scores, align_scores, as_predict_proba, get_response
from skattr._targets.alignment import align_rows
from skattr._targets.columns import fill_masked, read_labels
from skattr._targets.declarations import as_attributes, infer_kind
from skattr._targets.encoder import AttributeEncoder, is_binary
from skattr.model_selection._split import (
    MultilabelStratifiedGroupKFold,
    MultilabelStratifiedKFold,
    MultilabelStratifiedShuffleSplit,
)

Split = tuple[NDArray[np.intp], NDArray[np.intp]]


@dataclass(frozen=True)
class FoldPrediction:
    """Prediction of one fold's classifier for the rows it was not trained on.

    Attributes
    ----------
    test : ndarray of shape (n_test,), int
        Positions of the held-out rows.
    response : ndarray, or list of ndarray
        Probabilities or decisions, in the form the classifier returns them.
    is_proba : bool
    estimator : object
        The fitted classifier, or only its `classes_`.
    n_seen : ndarray of shape (n_outputs,), int, or None
        Number of classes of each output among the training labels.
    """

    test: NDArray[np.intp]
    response: Any
    is_proba: bool
    estimator: Any
    n_seen: NDArray[np.intp] | None = None


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

    :func:`sklearn.model_selection.cross_val_predict` label-encodes y, which turns a missing
    label into a class. This function does not change y: a missing label reaches the classifier
    as NaN, None or pandas.NA.

    Parameters
    ----------
    estimator : classifier with `predict_proba`
        It is cloned for each fold.
    X : array-like, DataFrame or list of n rows
    y : array-like of shape (n,) or (n, n_outputs), Series or DataFrame
    groups : array-like of shape (n,), default=None
        Group of each row, passed to the splitter. Rows of one group are in one fold.
    cv : int, float, splitter or iterable of splits, default=None
        None means 5. An int is the number of folds of a :class:`MultilabelStratifiedKFold`, or
        of a :class:`MultilabelStratifiedGroupKFold` if there are `groups`. A float is the share
        of rows that a :class:`MultilabelStratifiedShuffleSplit` holds out once, or of groups.
    n_jobs : int, default=None
        Number of folds that are fitted in parallel.
    params : dict, default=None
        Further arguments of `fit`. Arguments with one value per row are split like X.
    missing_label : scalar, default=None
        Additional value of y that marks a missing label. None uses the estimator's own.
    random_state : int, RandomState or None, default=None
        Used if `cv` is a float.

    Returns
    -------
    ndarray of shape (n, n_classes), or a list of them if there are several outputs
        Rows that no fold holds out are NaN. Columns are in the order of the classifiers'
        `classes_`. A class that a fold's classifier has not seen has probability 0.

    Raises
    ------
    ValueError
        If a row is held out by more than one fold, or the outputs of the classifier differ from
        those of y.

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
    given = {f"params[{name!r}]": value for name, value in (params or {}).items()}
    X, y, groups, *others = align_rows(X=X, y=y, groups=groups, **given)
    params = dict(zip(params or {}, others, strict=True))
    if missing_label is None:
        missing_label = missing_label_of(estimator)
    encoder = AttributeEncoder(missing_label=missing_label)
    codes = encoder.fit_transform(read_labels_for(estimator, y, missing_label))
    y = fill_masked(y)
    warn_labels_of(estimator, y, encoder, positive=False)
    splits = make_splits(cv, X, y, codes, random_state=random_state, groups=groups)
    with ignore_label_warnings():
        predictions = predict_folds(
            estimator, X, y, splits, response_method="predict_proba", n_jobs=n_jobs, params=params
        )
    encoder = _encoder_of_folds(encoder, predictions, y)
    scores, _ = collect_out_of_fold(predictions, encoder, len(codes))
    return as_predict_proba(scores, encoder)


def make_splits(
    cv: Any, X: Any, y: Any, codes: NDArray[np.int64], *, random_state: Any = None, **params: Any
) -> list[Split]:
    """Return the splits that a `cv` parameter describes.

    Parameters
    ----------
    cv : None, int, float, splitter or iterable of splits
        None, an int and a float select a multilabel stratified splitter. If there are `groups`,
        an int selects one that keeps them together, and a float is a share of them.
    X, y
        Passed to a splitter given by the caller.
    codes : ndarray of shape (n, n_outputs), int
        Class codes of y, -1 if missing. They replace y if the splitter is one of this package.
    random_state : int, RandomState or None
        Used if `cv` is a float.
    **params : dict
        Further arguments of `split`, such as `groups`.

    Returns
    -------
    list of (train, test)

    Raises
    ------
    ValueError
        If `cv` has another type.
    """
    is_own = cv is None or isinstance(cv, Real)
    is_grouped = params.get("groups") is not None
    if cv is None or isinstance(cv, Integral):
        folds = MultilabelStratifiedGroupKFold if is_grouped else MultilabelStratifiedKFold
        cv = folds(5 if cv is None else int(cv))
    elif isinstance(cv, Real) and is_grouped:
        cv = GroupShuffleSplit(1, test_size=cv, random_state=random_state)
    elif isinstance(cv, Real):
        cv = MultilabelStratifiedShuffleSplit(1, test_size=cv, random_state=random_state)
    elif isinstance(cv, str) or not (hasattr(cv, "split") or isinstance(cv, Iterable)):
        raise ValueError(
            f"cv must be an int, a float, a splitter or an iterable of splits; got {cv!r}."
        )
    if is_own:
        # The codes are at hand, so the splitter need not encode y a second time; without missing
        # labels they stay integers, which its fast path accepts.
        X = y = codes if codes.min(initial=0) >= 0 else np.where(codes < 0, np.nan, codes)
    return list(check_cv(cv).split(X, y, **params))


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
    """Fit a clone of the classifier on each split and predict the held-out rows.

    If `codes` (class codes of y, -1 if missing) is given, `n_seen` of each prediction is set.

    Raises
    ------
    ValueError
        If there is no split, if a row is held out by more than one split, or if only some folds
        return probabilities.
    """
    n = _num_samples(X)
    splits = [(_positions(train, n), _positions(test, n)) for train, test in splits]
    if not splits:
        raise ValueError("cv yields no split; an iterator yields its splits only once.")
    times = np.bincount(np.concatenate([test for _, test in splits]), minlength=n)
    if (times > 1).any():
        raise ValueError(
            f"cv puts row {int(times.argmax())} into {int(times.max())} test folds; each row may "
            "be held out at most once."
        )
    predictions: list[FoldPrediction] = Parallel(n_jobs=n_jobs)(
        delayed(_fit_and_predict)(
            clone(estimator), X, y, split, response_method, params or {}, keep_estimators
        )
        for split in splits
    )
    if len({prediction.is_proba for prediction in predictions}) > 1:
        raise ValueError(
            f"{type(estimator).__name__} returns probabilities in some folds and decisions in "
            "others; set response_method."
        )
    if codes is None:
        return predictions
    return [
        replace(prediction, n_seen=_n_classes(codes[train]))
        for prediction, (train, _) in zip(predictions, splits, strict=True)
    ]


def _positions(rows: Any, n: int) -> NDArray[np.intp]:
    """Return non-negative row positions for an index array or a boolean mask."""
    rows = np.asarray(rows)
    return np.flatnonzero(rows) if rows.dtype == bool else np.arange(n)[rows]


def _n_classes(codes: NDArray[np.int64]) -> NDArray[np.intp]:
    """Count the classes of each output that occur."""
    return np.array([len(np.unique(column[column >= 0])) for column in codes.T])


def saw_both_classes(prediction: FoldPrediction, classes: list[NDArray[Any]]) -> NDArray[np.bool_]:
    """Return a mask of the outputs of which a fold's classifier has seen two or more classes."""
    n_seen = np.array([len(labels) for labels in classes])
    if prediction.n_seen is not None:
        n_seen = np.minimum(n_seen, prediction.n_seen)
    return n_seen > 1


def _fit_and_predict(
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
    fit_params = _check_method_params(X, params=dict(params), indices=train)
    estimator.fit(X_train, y_train, **fit_params)
    response, is_proba = get_response(estimator, X_test, response_method)
    if not keep_estimators:
        # A network need not be sent back from the worker process: only classes_ is read later.
        estimator = SimpleNamespace(classes_=estimator.classes_)
    return FoldPrediction(test, response, is_proba, estimator)


def collect_out_of_fold(
    predictions: list[FoldPrediction],
    encoder: AttributeEncoder,
    n: int,
    *,
    need_both: bool = False,
) -> tuple[Scores, NDArray[np.intp]]:
    """Arrange the predictions of all folds by row.

    Parameters
    ----------
    predictions : list of FoldPrediction
    encoder : AttributeEncoder
    n : int
        Number of rows.
    need_both : bool
        If True, a binary output has the score NaN in the folds whose classifier has seen only
        one of its classes. If False, the class it has not seen has probability 0.

    Returns
    -------
    scores : Scores
        Rows that no fold holds out are NaN.
    folds : ndarray of shape (n,), int
        The fold that holds out each row, -1 if none does.
    """
    folds = np.full(n, -1, dtype=np.intp)
    parts = []
    for fold, prediction in enumerate(predictions):
        classes = classes_per_output(prediction.estimator, encoder)
        part = align_scores(prediction.response, prediction.is_proba, encoder, classes)
        if need_both:
            saw_both = saw_both_classes(prediction, classes)[is_binary(encoder)]
            part = Scores(np.where(saw_both, part.binary, np.nan), part.others, part.is_proba)
        parts.append(part)
        folds[prediction.test] = fold
    arrays = []
    for columns in zip(*([part.binary, *part.others] for part in parts), strict=True):
        dtype = np.result_type(np.float32, *columns)
        array = np.full((n, columns[0].shape[1]), np.nan, dtype=dtype)
        for prediction, values in zip(predictions, columns, strict=True):
            array[prediction.test] = values
        arrays.append(array)
    return Scores(arrays[0], tuple(arrays[1:]), parts[0].is_proba), folds


def _encoder_of_folds(
    encoder: AttributeEncoder, predictions: list[FoldPrediction], y: Any
) -> AttributeEncoder:
    """Return an encoder with the class order of the folds' `classes_`.

    A classifier may declare an order of its levels that y does not show. If one fold has seen
    all classes, its order is used; otherwise the classes are sorted.
    """
    classes_per_fold = [
        classes_per_output(prediction.estimator, encoder) for prediction in predictions
    ]
    kinds, all_classes = [], []
    for kind, seen, *fold_classes in zip(
        encoder.kinds_, encoder.classes_, *classes_per_fold, strict=True
    ):
        longest = max(fold_classes, key=len)
        union = np.unique(np.concatenate([seen, *fold_classes]))
        is_complete = not len(np.setdiff1d(union, longest))
        all_classes.append(longest if is_complete else union)
        is_ordinal = kind == "ordinal" and is_complete
        kinds.append(kind if is_ordinal else infer_kind(all_classes[-1]))
    attributes = as_attributes(encoder.output_names_, kinds, all_classes)
    labels = read_labels(y, encoder.missing_label)
    return AttributeEncoder(attributes, encoder.missing_label).fit(labels)
