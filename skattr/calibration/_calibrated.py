"""Calibrated probabilities, attribute by attribute, of any multi-output classifier."""

import warnings
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, _fit_context, clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils import Bunch, get_tags, indexable
from sklearn.utils._param_validation import HasMethods, Interval, RealNotInt, StrOptions
from sklearn.utils.metadata_routing import (
    MetadataRouter,
    MethodMapping,
    _routing_enabled,
    process_routing,
)
from sklearn.utils.validation import check_is_fitted, has_fit_parameter

from skattr._multioutput.classes import (
    classes_per_output,
    encoder_for,
    explain_missing_label_error,
    missing_label_of,
    public_classes,
)
from skattr._multioutput.constraints import enforce_constraints, get_constraints
from skattr._multioutput.scores import (
    Scores,
    align,
    as_predict_proba,
    check_no_nan,
    exact_match,
    get_response,
)
from skattr._multioutput.unreadable import unpredicted_rows
from skattr._targets.encoder import UNKNOWN, AttributeEncoder
from skattr._targets.weights import check_label_weights
from skattr.calibration._calibrators import (
    METHODS,
    Calibrator,
    fit_all,
    fit_priors,
    per_output,
    pos_weight_of,
)
from skattr.exceptions import SkattrWarning
from skattr.model_selection._out_of_fold import FoldPrediction, make_splits, predict_folds

__all__ = ["CalibratedMultiOutputCV"]

Array = NDArray[Any]


class CalibratedMultiOutputCV(ClassifierMixin, MetaEstimatorMixin, BaseEstimator):
    """Calibrate the probabilities of every attribute of a classifier.

    Each attribute has one calibrator, fitted on scores for rows that the classifier was not
    trained on, over the attribute's known labels. It is what
    ``CalibratedClassifierCV(ensemble=False)`` is for one output.

    Parameters
    ----------
    estimator : classifier
        With one output or several, in any of scikit-learn's forms. One that is fitted and in a
        :class:`~sklearn.frozen.FrozenEstimator` is calibrated as it is.
    method : {"temperature", "sigmoid", "isotonic", "beta", "prior"}, default="sigmoid"
        How binary attributes are calibrated; see Notes. Attributes of other kinds have their
        temperature set, and "prior" leaves them alone.
    cv : int, float, splitter, iterable of splits or "prefit", default=None
        An int (None is 5) is a number of multilabel-stratified folds: `estimator` is fitted
        once per fold and once on all rows. A float is a share of rows held out to calibrate a
        classifier that is fitted once, on the others. "prefit" calibrates an `estimator` that
        is fitted already; X and y should not be the rows it was trained on.
    pos_weight : number, array-like, dict by name or "balanced", default=None
        For ``method="prior"``, what positives weighed in training: one number, one per binary
        attribute or per output, or by name (1 for those not named). "balanced" is the number
        of negatives over that of positives among the known labels of y, "balanced:20" that
        but at most 20. None reads the estimator's own `pos_weight`.
    min_support : int, default=None
        Known labels, of weight above 0, that an attribute needs to be calibrated: of each class
        if it is binary, else in all. With fewer it stays as it is, with a warning. None: 10
        for temperatures, 20 for "sigmoid", 30 for "beta", 100 for "isotonic".
    response_method : {"auto", "predict_proba", "decision_function"}, default="auto"
        The scores that are calibrated; "auto" prefers probabilities.
    missing_label : scalar, default=None
        One more value of y that means unknown, besides NaN, None and pandas.NA; None reads the
        estimator's own.
    n_jobs : int, default=None
        Folds fitted side by side.
    random_state : int, RandomState or None, default=None
        For a float `cv`.

    Attributes
    ----------
    estimator_ : classifier
        The fitted classifier.
    classes_ : ndarray, or list of ndarray
        The labels of the output, or of each output.
    calibrators_ : list of calibrators
        One per output, each a callable from scores to probabilities.
    encoder_ : AttributeEncoder
        Kinds and classes of the outputs.
    n_outputs_, output_names_ : int, list
    n_features_in_, feature_names_in_
        Those of `estimator_`, if it has them.

    See Also
    --------
    sklearn.calibration.CalibratedClassifierCV : For a single output.

    Notes
    -----
    "temperature"
        Divides log odds (or logits) by the number that makes the log loss smallest [1]_. Never
        changes which class is most probable.
    "sigmoid"
        Platt's sigmoid of the scores as they are, fitted to smoothed labels [2]_. With
        ``response_method="decision_function"``, or a classifier that has probabilities only,
        the same as scikit-learn's.
    "isotonic"
        The best increasing function [3]_.
    "beta"
        A sigmoid of ``a log(p) - b log(1 - p) + c`` with a and b at least 0 [4]_: unlike
        "sigmoid", it can leave probabilities that are right as they are.
    "prior"
        Undoes a known `pos_weight` w exactly: training with it makes odds w times too high, so
        ``p = p' / (p' + w (1 - p'))``. The classifier is fitted once, and `cv` is not used.

    In a fold whose training rows lack a class, that class has no score: its labels there, or
    all labels there of a binary attribute, do not count.

    References
    ----------
    .. [1] C. Guo, G. Pleiss, Y. Sun and K. Q. Weinberger, "On Calibration of Modern Neural
       Networks", ICML 2017.
    .. [2] J. Platt, "Probabilistic Outputs for Support Vector Machines and Comparisons to
       Regularized Likelihood Methods", 1999.
    .. [3] B. Zadrozny and C. Elkan, "Transforming Classifier Scores into Accurate Multiclass
       Probability Estimates", KDD 2002.
    .. [4] M. Kull, T. Silva Filho and P. Flach, "Beta calibration: a well-founded and easily
       implemented improvement on logistic calibration for binary classifiers", AISTATS 2017.

    Examples
    --------
    >>> from sklearn.datasets import make_multilabel_classification
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from skattr.calibration._calibrated import CalibratedMultiOutputCV
    >>> X, y = make_multilabel_classification(400, n_classes=3, random_state=0)
    >>> forest = RandomForestClassifier(20, random_state=0)
    >>> calibrated = CalibratedMultiOutputCV(forest, cv=3).fit(X, y)
    >>> [proba.shape for proba in calibrated.predict_proba(X)]
    [(400, 2), (400, 2), (400, 2)]
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "estimator": [
            HasMethods(["fit", "predict_proba"]),
            HasMethods(["fit", "decision_function"]),
        ],
        "method": [StrOptions(set(METHODS))],
        "cv": ["cv_object", StrOptions({"prefit"}), Interval(RealNotInt, 0, 1, closed="neither")],
        "pos_weight": [
            Interval(Real, 0, None, closed="neither"),
            "array-like",
            Mapping,
            str,
            None,
        ],
        "min_support": [Interval(Integral, 1, None, closed="left"), None],
        "response_method": [StrOptions({"auto", "predict_proba", "decision_function"})],
        "missing_label": "no_validation",
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator: Any,
        *,
        method: str = "sigmoid",
        cv: Any = None,
        pos_weight: Any = None,
        min_support: int | None = None,
        response_method: str = "auto",
        missing_label: Any = None,
        n_jobs: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.estimator = estimator
        self.method = method
        self.cv = cv
        self.pos_weight = pos_weight
        self.min_support = min_support
        self.response_method = response_method
        self.missing_label = missing_label
        self.n_jobs = n_jobs
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        """Declare X and y as the estimator does."""
        tags = super().__sklearn_tags__()
        inner = get_tags(self.estimator)
        tags.input_tags = inner.input_tags
        tags.target_tags = inner.target_tags
        tags.classifier_tags = inner.classifier_tags or tags.classifier_tags
        tags.non_deterministic = inner.non_deterministic
        return tags

    def get_metadata_routing(self) -> MetadataRouter:
        """Return where the further arguments of `fit` go."""
        to_fit = MethodMapping().add(caller="fit", callee="fit")
        to_split = MethodMapping().add(caller="fit", callee="split")
        router = MetadataRouter(owner=self).add_self_request(self)
        router = router.add(estimator=self.estimator, method_mapping=to_fit)
        return router.add(splitter=self.cv, method_mapping=to_split)

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, label_weight: Any = None, **fit_params: Any
    ) -> Self:
        """Fit the classifier and the calibrators.

        Parameters
        ----------
        X : array-like, DataFrame or list of n rows
        y : array-like of shape (n,) or (n, n_outputs), Series or DataFrame
            Labels; NaN, None and pandas.NA are unknown. The estimator is given y as it is.
        sample_weight : array-like of shape (n,), default=None
            Weight of each row, in the calibration and, if its `fit` takes it, the estimator.
        label_weight : array-like of shape (n, n_outputs), default=None
            Weight of each label, likewise; multiplied with `sample_weight`.
        **fit_params : dict
            Further arguments of the estimator's `fit` and, with metadata routing, the splitter.

        Returns
        -------
        CalibratedMultiOutputCV

        Raises
        ------
        ValueError
            If a parameter, y or a weight is invalid, or the classifier has other outputs than y.
        UnseenLabelError
            If y holds a label that a prefitted classifier does not know.
        """
        X, y = indexable(X, y)
        missing = self.missing_label
        missing = missing_label_of(self.estimator) if missing is None else missing
        plain = AttributeEncoder(missing_label=missing).fit(y)
        codes = plain.transform(y)
        weights = check_label_weights(X, codes, sample_weight, label_weight, plain.output_names_)
        routed = self._routed(sample_weight, label_weight, fit_params)
        with explain_missing_label_error(self.estimator, codes, plain.output_names_):
            estimator, answers = self._fit_estimator(X, y, codes, routed)
        encoder = encoder_for(estimator, y, missing, strict=self._is_prefit())
        calibrators, reasons = self._fit_calibrators(answers, encoder, y, weights, estimator)
        if reasons:
            listed = "; ".join(f"{name!r}: {reason}" for name, reason in reasons.items())
            warnings.warn(
                f"{len(reasons)} of {len(calibrators)} attributes are not calibrated, for too few "
                f"labels are known: {listed}.",
                SkattrWarning,
                stacklevel=3,
            )
        self.estimator_, self.encoder_, self.calibrators_ = estimator, encoder, calibrators
        self._rules = get_constraints(estimator, encoder)
        self.classes_ = public_classes(encoder)
        self.n_outputs_ = encoder.n_outputs_
        self.output_names_ = encoder.output_names_
        for name in ("n_features_in_", "feature_names_in_"):
            self.__dict__.pop(name, None)
            if hasattr(estimator, name):
                setattr(self, name, getattr(estimator, name))
        return self

    def _is_prefit(self) -> bool:
        return isinstance(self.cv, str) or isinstance(self.estimator, FrozenEstimator)

    def _routed(self, sample_weight: Any, label_weight: Any, fit_params: dict[str, Any]) -> Any:
        """Return what the estimator's `fit` and the splitter's `split` are given."""
        weights = {"sample_weight": sample_weight, "label_weight": label_weight}
        for name, weight in weights.items():
            if isinstance(weight, list | tuple):  # which are not split like X
                weights[name] = np.asarray(weight)
        if _routing_enabled():
            return process_routing(self, "fit", **weights, **fit_params)
        given = {name: weight for name, weight in weights.items() if weight is not None}
        ignored = [name for name in given if not has_fit_parameter(self.estimator, name)]
        accepted = {name: weight for name, weight in given.items() if name not in ignored}
        if ignored and not self._is_prefit():
            warnings.warn(
                f"{type(self.estimator).__name__}.fit does not take {' and '.join(ignored)}: only "
                "the calibration is weighted.",
                SkattrWarning,
                stacklevel=4,
            )
        split = {"groups": fit_params.pop("groups")} if "groups" in fit_params else {}
        return Bunch(estimator=Bunch(fit={**accepted, **fit_params}), splitter=Bunch(split=split))

    def _fit_estimator(
        self, X: Any, y: Any, codes: Array, routed: Any
    ) -> tuple[Any, list[FoldPrediction]]:
        """Return the fitted classifier, and scores for rows it, or its like, was not fitted on."""
        if self._is_prefit():
            asked = "With cv='prefit' or FrozenEstimator, the `estimator` must be fitted."
            check_is_fitted(self.estimator, msg=asked)
            if self.method == "prior":
                return self.estimator, []
            response = get_response(self.estimator, X, self.response_method)
            return self.estimator, [FoldPrediction(np.arange(len(y)), *response, self.estimator)]
        estimator, answers = clone(self.estimator), []
        if self.method == "prior":
            pos_weight_of(self)  # an error had better come before the work
        else:
            splits = make_splits(
                self.cv, X, y, codes, random_state=self.random_state, **routed.splitter.split
            )
            once = isinstance(self.cv, Real) and not isinstance(self.cv, Integral)
            answers = predict_folds(
                self.estimator,
                X,
                y,
                splits,
                response_method=self.response_method,
                n_jobs=self.n_jobs,
                params=routed.estimator.fit,
                keep_estimators=once,
                codes=codes,
            )
            if once:
                return answers[0].estimator, answers
        estimator.fit(X, y, **routed.estimator.fit)
        return estimator, answers

    def _fit_calibrators(
        self,
        answers: list[FoldPrediction],
        encoder: AttributeEncoder,
        y: Any,
        weights: Array,
        fitted: Any,
    ) -> tuple[list[Calibrator], dict[Any, str]]:
        codes = encoder.transform(y)
        if self.method != "prior":
            for answer in answers:  # what could not be read weighs nothing
                classes = classes_per_output(answer.estimator, encoder)
                scores = align(answer.response, answer.is_proba, encoder, classes)
                weights[answer.test[unpredicted_rows(self.estimator, scores)]] = 0
            return fit_all(answers, encoder, codes, weights, self.method, self.min_support)
        is_proba = self.response_method != "decision_function" and hasattr(fitted, "predict_proba")
        return fit_priors(pos_weight_of(self), encoder, codes, weights, is_proba)

    def predict_proba(self, X: Any) -> Any:
        """Predict the calibrated probability of each class of each attribute.

        Parameters
        ----------
        X : n rows of the kind `fit` was given

        Returns
        -------
        ndarray of shape (n, n_classes) for one attribute, else a list of them
            Columns in the order of `classes_`; NaN where the classifier has
            ``on_bad_image="warn"`` and could not read a row.

        Raises
        ------
        ValueError
            If the classifier's score of any other row is NaN.
        """
        return self._calibrated(X)[0]

    def _calibrated(self, X: Any) -> tuple[Any, NDArray[np.bool_]]:
        """Return what `predict_proba` does, and which rows the classifier could not read."""
        check_is_fitted(self)
        response, is_proba = get_response(self.estimator_, X, self.response_method)
        classes = classes_per_output(self.estimator_, self.encoder_)
        scores = align(response, is_proba, self.encoder_, classes)
        lost = unpredicted_rows(self.estimator_, scores)
        check_no_nan(scores, "X makes the classifier return NaN: the score", but=lost)
        pairs = zip(self.calibrators_, per_output(scores, self.encoder_), strict=True)
        parts = [_calibrated_but(lost, calibrator, part) for calibrator, part in pairs]
        binary = [part for part in parts if part.ndim == 1]
        matrix = np.stack(binary, axis=1) if binary else scores.binary
        others = tuple(part for part in parts if part.ndim == 2)
        return as_predict_proba(Scores(matrix, others, True), self.encoder_), lost

    def predict(self, X: Any) -> Array:
        """Predict the most probable label of each attribute, calibrated.

        Where the classifier has `constraints`, these are the most probable labels that obey.

        Parameters
        ----------
        X : n rows of the kind `fit` was given

        Returns
        -------
        ndarray of shape (n,) for one attribute, else (n, n_outputs)
            In the dtype of y; object if the attributes differ in it, or the classifier has
            ``on_bad_image="warn"`` and could not read a row: its labels are None.
        """
        codes = self._predicted_codes(X)
        return self.encoder_.inverse_transform(codes)

    def _predicted_codes(self, X: Any) -> NDArray[np.int64]:
        probas, lost = self._calibrated(X)
        parts = [probas] if self.n_outputs_ == 1 else probas
        codes: NDArray[np.int64] = np.stack([part.argmax(axis=1) for part in parts], axis=1)
        if self.n_outputs_ == 1:  # whose columns are sorted
            codes = np.argsort(self.encoder_.classes_[0])[codes]
        codes[lost] = UNKNOWN
        if self._rules is None:
            return codes
        scores = align(probas, True, self.encoder_)
        return enforce_constraints(
            codes, scores, np.full(self.n_outputs_, 0.5), self.encoder_, self._rules
        )

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the share of rows all of whose known labels are predicted.

        With one attribute this is the accuracy. Rows without a known label do not count, nor do
        those that the classifier could not read (``on_bad_image="warn"``).

        Parameters
        ----------
        X : n rows of the kind `fit` was given
        y : array-like of shape (n,) or (n, n_outputs)
        sample_weight : array-like of shape (n,), default=None

        Returns
        -------
        float
        """
        predicted = self._predicted_codes(X)
        return exact_match(self.encoder_.transform(y), predicted, sample_weight)


def _calibrated_but(lost: NDArray[np.bool_], calibrator: Calibrator, scores: Array) -> Array:
    """Return probabilities, NaN in lost rows."""
    if not lost.any():
        return calibrator(scores)
    result = np.full(scores.shape, np.nan)
    if not lost.all():
        result[~lost] = calibrator(scores[~lost])
    return result
