"""Scores in, labels out: the threshold as a step of a pipeline."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin, _fit_context
from sklearn.utils.validation import check_consistent_length, check_is_fitted, validate_data

from skattr._multioutput.class_order import warn_class_order
from skattr._multioutput.classes import public_classes
from skattr._multioutput.scores import (
    Scores,
    align,
    apply_thresholds,
    as_predict_proba,
    check_no_nan,
    check_same_columns,
    column_names,
    exact_match,
    looks_like_proba,
)
from skattr._multioutput.unreadable import rows_of_nan
from skattr._targets.encoder import UNKNOWN, AttributeEncoder, is_binary
from skattr._targets.weights import check_label_weights
from skattr._utils.warnings import find_stack_level
from skattr.exceptions import BadImageWarning
from skattr.thresholds._tuning import CONSTRAINTS_OF_PARAMETERS, of_binary, table_of, tune


class ThresholdCalibrator(ClassifierMixin, TransformerMixin, BaseEstimator):
    """Turn scores into labels, with a threshold tuned for each binary attribute.

    It follows a classifier that gives scores for rows it was not trained on, such as
    ``AttributeClassifier(cross_fit=5)`` in a Pipeline. Attributes that are not binary are
    predicted by their highest score.

    Parameters
    ----------
    objective : str or callable, default="f1"
        What a threshold is best for; see :func:`skattr.thresholds.find_thresholds`, also for
        the next parameters.
    average : {"macro", "micro", "samples", "global"}, default="macro"
        Whether labels are tuned each by itself, or together.
    strategy : {"auto", "exact", "plugin", "shrunk"}, default="auto"
        "exact" is the best threshold for the given labels; "plugin" for their calibrated
        probabilities, which is steadier when positives are few; "auto" lies between the two by
        the number of positives; "shrunk" is drawn to one threshold for all labels.
    constraint : (name, bound), default=None
        Such as ``("recall", 0.95)``: only thresholds that meet it.
    confidence : float, default=None
        Only thresholds that meet the constraint with this probability.
    correction : {None, "bonferroni"}, default=None
        Whether the confidence is that of each label, or of all at once.
    beta : float, default=1.0
        For "fbeta".
    costs : pair of float or array-like, default=(1.0, 1.0)
        Of a false positive and a false negative, for "cost".
    thresholds : "tune", float, array-like or dict, default="tune"
        Fixed thresholds instead: one for all, one per binary attribute, one per attribute (NaN
        where it is not binary), or a dict that names each binary attribute.
    default_threshold : float, default=0.5
        A probability, for labels that cannot be tuned; of log odds, its logit is taken.
    attributes, classes, missing_label : default=None
        How y is read; see :class:`skattr.AttributeEncoder`. The same as those of the classifier
        the scores come from: the order of ordinal levels is that of their columns.
    n_jobs : int, default=None
        Threads.

    Attributes
    ----------
    thresholds_ : ndarray of shape (n_outputs,), float64
        ``score >= threshold`` is positive; NaN for attributes that are not binary.
    scores_, in_sample_scores_ : ndarray of shape (n_outputs,), float64
        The objective of each label: honest, for rows of five folds with thresholds found on the
        other folds; and for the rows the thresholds were found on. A label that cannot be tuned
        counts with the default threshold. NaN for attributes that are not binary, and where the
        known labels do not define the objective, such as F1 without a known positive; averages
        leave these out.
    best_score_, in_sample_score_ : float
        The same as `average` says.
    fold_thresholds_ : ndarray of shape (n_folds, n_outputs), float64
        The thresholds of the folds: their spread tells how firm a threshold is.
    classes_ : ndarray, or list of ndarray if there are several attributes
    n_outputs_ : int
    output_names_ : list
    encoder_ : AttributeEncoder
        Between the labels of y and class codes.
    n_features_in_ : int
        Columns of the scores; only if they are one table.

    See Also
    --------
    TunedThresholdMultiOutputCV : Makes the out-of-fold scores itself.

    Notes
    -----
    Scores are taken for probabilities if all scores in `fit` lie between 0 and 1, and for log
    odds otherwise.

    A row without any score is that of an image that could not be read, as a classifier with
    ``on_bad_image="warn"`` has it: what is predicted of it is missing, with a
    :class:`~skattr.exceptions.BadImageWarning`.

    Examples
    --------
    >>> import numpy as np
    >>> from skattr.thresholds import ThresholdCalibrator
    >>> rng = np.random.default_rng(0)
    >>> y = rng.random((500, 2)) < [0.3, 0.1]
    >>> scores = rng.beta(1 + 2 * y, 5)
    >>> calibrator = ThresholdCalibrator("f1").fit(scores, y)
    >>> calibrator.thresholds_.round(2)
    array([0.23, 0.36])
    >>> calibrator.predict(scores).shape
    (500, 2)
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **CONSTRAINTS_OF_PARAMETERS,
        "attributes": [Mapping, None],
        "classes": ["array-like", Mapping, None],
    }

    def __init__(
        self,
        objective: str | Callable[..., float] = "f1",
        *,
        average: str = "macro",
        strategy: str = "auto",
        constraint: Any = None,
        confidence: float | None = None,
        correction: str | None = None,
        beta: float = 1.0,
        costs: Any = (1.0, 1.0),
        thresholds: Any = "tune",
        default_threshold: float = 0.5,
        attributes: Mapping[Any, Any] | None = None,
        classes: Any = None,
        missing_label: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        self.objective = objective
        self.average = average
        self.strategy = strategy
        self.constraint = constraint
        self.confidence = confidence
        self.correction = correction
        self.beta = beta
        self.costs = costs
        self.thresholds = thresholds
        self.default_threshold = default_threshold
        self.attributes = attributes
        self.classes = classes
        self.missing_label = missing_label
        self.n_jobs = n_jobs

    def __sklearn_tags__(self) -> Any:
        """Declare what X and y may be."""
        tags = super().__sklearn_tags__()
        tags.target_tags.single_output = True
        tags.target_tags.multi_output = True
        tags.classifier_tags.multi_label = True
        tags.transformer_tags.preserves_dtype = []
        return tags

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, sample_weight: Any = None, label_weight: Any = None) -> Self:
        """Find the thresholds.

        Parameters
        ----------
        X : scores of n rows
            An array-like of shape (n, n_columns) with a column per binary attribute and one per
            class of the others, as ``AttributeClassifier.transform`` returns; or a list of
            (n, n_classes) arrays, one per attribute, as ``predict_proba`` returns. Entries that
            are NaN do not count.
        y : array-like of shape (n,) or (n, n_outputs), Series or DataFrame
            Labels; NaN, None and pandas.NA are unknown.
        sample_weight : array-like of shape (n,), default=None
        label_weight : array-like of shape (n, n_outputs), default=None

        Returns
        -------
        ThresholdCalibrator

        Raises
        ------
        ValueError
            If a parameter, score or label is invalid, or no label can be tuned.
        """
        encoder = AttributeEncoder(self.attributes, self.classes, self.missing_label).fit(y)
        codes = encoder.transform(y)
        check_same_columns(X, y, "the scores", "y")
        probe = ThresholdCalibrator()  # takes the names of columns, which a failure must not
        _check_column_names(X, encoder)
        scores = self._read(X, encoder, probe)
        check_consistent_length(scores, codes)
        warn_class_order(scores, codes, encoder)
        weights = None
        if sample_weight is not None or label_weight is not None:
            weights = check_label_weights(
                codes, codes, sample_weight, label_weight, encoder.output_names_
            )
        two = is_binary(encoder)
        table = table_of(
            scores.binary, codes[:, two], of_binary(weights, two, label_weight is None)
        )
        tuning = tune(self, table, encoder, scores.is_proba, None, stacklevel=4)
        for name in ("n_features_in_", "feature_names_in_"):
            self.__dict__.pop(name, None)
            if hasattr(probe, name):
                setattr(self, name, getattr(probe, name))
        self.encoder_ = encoder
        self.classes_ = public_classes(encoder)
        self.n_outputs_ = encoder.n_outputs_
        self.output_names_ = encoder.output_names_
        self.thresholds_ = tuning.thresholds
        self.scores_ = tuning.scores
        self.in_sample_scores_ = tuning.in_sample_scores
        self.best_score_ = tuning.score
        self.in_sample_score_ = tuning.in_sample_score
        self.fold_thresholds_ = tuning.fold_thresholds
        self._is_proba = scores.is_proba
        return self

    def _read(self, X: Any, encoder: AttributeEncoder, probe: Any = None) -> Scores:
        """Bring the scores into one form; in `fit` the names of columns go to `probe`."""
        classes = None
        if isinstance(X, list | tuple) and len(X) and all(np.ndim(part) == 2 for part in X):
            parts: Sequence[Any] = [np.asarray(part) for part in X]
            if len(parts) == 1:  # as predict_proba returns a single output
                classes = [np.sort(encoder.classes_[0])]
        else:
            array = validate_data(
                self if probe is None else probe,
                X,
                reset=probe is not None,
                dtype=[np.float64, np.float32],
                ensure_all_finite=False,
            )
            parts = split_columns(array, encoder)
        scores = align(parts, True, encoder, classes)
        is_proba = self._is_proba if probe is None else _all_proba(scores)
        return Scores(scores.binary, scores.others, is_proba)

    def __sklearn_is_fitted__(self) -> bool:
        """Whether a fit has succeeded."""
        return hasattr(self, "thresholds_")

    def _scores(self, X: Any) -> tuple[Scores, NDArray[np.bool_]]:
        """Return the scores, and which rows have none."""
        check_is_fitted(self)
        scores = self._read(X, self.encoder_)
        lost = rows_of_nan(scores)
        check_no_nan(scores, "Input X contains NaN: a score", but=lost)
        if lost.any():
            warnings.warn(
                f"{lost.sum()} of the {len(lost)} row(s) of X, the first of them row "
                f"{lost.argmax()}, have no score; their labels are unknown.",
                BadImageWarning,
                stacklevel=find_stack_level(),
            )
        return scores, lost

    def predict(self, X: Any) -> NDArray[Any]:
        """Predict labels.

        Parameters
        ----------
        X : scores as for `fit`; NaN only throughout a row

        Returns
        -------
        ndarray of shape (n,) for one attribute, else (n, n_outputs)
            In the dtype of y; object if the attributes differ in it, or a row has no score: its
            labels are None.
        """
        codes = self._predicted_codes(X)
        return self.encoder_.inverse_transform(codes)

    def _predicted_codes(self, X: Any) -> NDArray[np.int64]:
        scores, lost = self._scores(X)
        codes = apply_thresholds(scores, self.thresholds_, self.encoder_)
        codes[lost] = UNKNOWN
        return codes

    def predict_proba(self, X: Any) -> Any:
        """Pass the scores on, as `predict_proba` of a classifier returns them.

        Parameters
        ----------
        X : scores as for `fit`; NaN only throughout a row

        Returns
        -------
        ndarray of shape (n, n_classes) for one attribute, else a list of them

        Raises
        ------
        ValueError
            If the scores are no probabilities.
        """
        scores, _ = self._scores(X)
        if not scores.is_proba:
            raise ValueError("The scores are log odds, not probabilities: there is no proba.")
        return as_predict_proba(scores, self.encoder_)

    def transform(self, X: Any) -> NDArray[Any]:
        """Return how far each score lies above its threshold.

        Parameters
        ----------
        X : scores as for `fit`; NaN only throughout a row

        Returns
        -------
        ndarray of shape (n, n_columns)
            Score minus threshold of each binary attribute, the scores of the classes of the
            others; see :meth:`get_feature_names_out`.
        """
        scores, _ = self._scores(X)
        two = is_binary(self.encoder_)
        binary = iter((scores.binary - self.thresholds_[two]).T)
        others = iter(scores.others)
        return np.concatenate(
            [next(binary)[:, np.newaxis] if is_two else next(others) for is_two in two], axis=1
        )

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Name the columns of `transform`: "hat", or "color=red" for each class.

        Parameters
        ----------
        input_features : ignored

        Returns
        -------
        ndarray of shape (n_columns,), object
        """
        check_is_fitted(self)
        return column_names(self.output_names_, self.encoder_.classes_, self.encoder_.kinds_)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the share of rows all of whose known labels are predicted.

        Rows without any score do not count.

        Parameters
        ----------
        X : scores as for `fit`; NaN only throughout a row
        y : array-like of shape (n,) or (n, n_outputs)
        sample_weight : array-like of shape (n,), default=None

        Returns
        -------
        float
        """
        predicted = self._predicted_codes(X)
        return exact_match(self.encoder_.transform(y), predicted, sample_weight)


def _check_column_names(X: Any, encoder: AttributeEncoder) -> None:
    """Refuse a table whose names say that its columns are in another order than y's classes."""
    names = list(getattr(X, "columns", []))
    own = column_names(encoder.output_names_, encoder.classes_, encoder.kinds_).tolist()
    if names != own and sorted(map(str, names)) == sorted(own):
        raise ValueError(
            f"The columns of the scores are {names}, but y's attributes and classes are in the "
            f"order {own}; declare the order of levels in `attributes`, as that of the classifier."
        )


def split_columns(array: NDArray[Any], encoder: AttributeEncoder) -> list[NDArray[Any]]:
    """Split a table of scores into the columns of each attribute."""
    two = is_binary(encoder)
    widths = [
        1 if is_two else len(classes) for is_two, classes in zip(two, encoder.classes_, strict=True)
    ]
    if len(widths) == 1 and two[0] and array.shape[1] == 2:
        return [array]
    if array.shape[1] != sum(widths):
        raise ValueError(
            f"The scores have {array.shape[1]} column(s), but y needs {sum(widths)}: one per "
            f"binary attribute, one per class of the others; the attributes "
            f"{encoder.output_names_} have {widths}."
        )
    return np.split(array, np.cumsum(widths)[:-1], axis=1)


def _all_proba(scores: Scores) -> bool:
    parts = [part for part in (scores.binary, *scores.others) if part.size]
    known = [part[~np.isnan(part)] for part in parts]
    return all(looks_like_proba(part) for part in known if part.size)
