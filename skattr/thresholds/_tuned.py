"""Any multi-output classifier with tuned thresholds."""

import copy
import warnings
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    MetaEstimatorMixin,
    _fit_context,
    clone,
)
from sklearn.utils import get_tags
from sklearn.utils._param_validation import HasMethods, Interval, RealNotInt, StrOptions
from sklearn.utils.metadata_routing import (
    MetadataRouter,
    MethodMapping,
    _raise_for_params,
    _routing_enabled,
    process_routing,
)
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import (
    _check_method_params,
    _num_samples,
    check_is_fitted,
    has_fit_parameter,
    indexable,
)

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
    apply_thresholds,
    as_predict_proba,
    check_no_nan,
    exact_match,
    get_response,
)
from skattr._multioutput.unreadable import unpredicted_rows
from skattr._targets.encoder import UNKNOWN, AttributeEncoder, is_binary
from skattr._targets.weights import check_label_weights
from skattr.exceptions import SkattrWarning
from skattr.model_selection._out_of_fold import (
    FoldPrediction,
    collect_out_of_fold,
    make_splits,
    predict_folds,
)
from skattr.thresholds._score_table import ScoreTable
from skattr.thresholds._tuning import (
    CONSTRAINTS_OF_PARAMETERS,
    TuningResult,
    check_before_fit,
    check_fixed,
    of_binary,
    table_of,
    tune,
)

_TUNABLE = (
    "objective",
    "average",
    "strategy",
    "constraint",
    "confidence",
    "correction",
    "beta",
    "costs",
    "thresholds",
    "default_threshold",
)


def _estimator_has(name: str) -> Callable[[Any], bool]:
    def check(self: Any) -> bool:
        getattr(getattr(self, "estimator_", self.estimator), name)
        return True

    return check


def _only_decides(self: Any) -> bool:
    estimator = getattr(self, "estimator_", self.estimator)
    return bool(estimator.decision_function) and not hasattr(estimator, "predict_proba")


class TunedThresholdMultiOutputCV(ClassifierMixin, MetaEstimatorMixin, BaseEstimator):
    """A multi-output classifier whose thresholds are tuned on out-of-fold scores.

    What :class:`sklearn.model_selection.TunedThresholdClassifierCV` is for one binary output,
    for many: the classifier is fitted once per fold and once on all rows, and all thresholds are
    found at once. Outputs that are not binary are predicted by their highest score.

    Parameters
    ----------
    estimator : classifier
        With `predict_proba` or `decision_function`, fitted or not.
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

        .. warning::
            The probability is exact for scores of the very classifier that predicts: with
            ``cv="prefit"``, or a float `cv` and ``refit=False``. With several folds the scores
            come from other classifiers than the one that is refitted, and it is approximate.
    correction : {None, "bonferroni"}, default=None
        Whether the confidence is that of each label, or of all at once.
    beta : float, default=1.0
        For "fbeta".
    costs : pair of float or array-like, default=(1.0, 1.0)
        Of a false positive and a false negative, for "cost".
    thresholds : "tune", float, array-like or dict, default="tune"
        Fixed thresholds instead: one for all, one per binary output, one per output (NaN where
        it is not binary), or a dict that names each binary output. Those of probabilities lie
        in [0, 1].
    default_threshold : float, default=0.5
        A probability, for labels that cannot be tuned; of decisions, its logit is taken.
    response_method : {"auto", "predict_proba", "decision_function"}, default="auto"
        What gives the scores; "auto" takes the first of the two that the classifier has.
    cv : int, float, splitter, iterable or "prefit", default=None
        None is 5. An int is the number of multilabel stratified folds; a float the share of rows
        held out once. "prefit" takes the classifier as it is fitted, and all rows for tuning.
    refit : bool, default=True
        Whether to fit the classifier on all rows. Must be False with "prefit"; False with a
        single split keeps the classifier of that split.
    missing_label : scalar, default=None
        A value of y that means unknown, besides NaN, None and pandas.NA; None reads the
        classifier's own.
    n_jobs : int, default=None
        Folds fitted side by side; threads of the search.
    random_state : int, RandomState or None, default=None
        For a float `cv`.
    store_cv_results : bool, default=False
        Whether to keep the out-of-fold scores, from which :meth:`retune` finds other thresholds.

    Attributes
    ----------
    estimator_ : classifier
        The one that predicts.
    best_threshold_ : float, or ndarray of shape (n_outputs,) if there are several outputs
        NaN for outputs that are not binary.
    best_score_ : float
        The objective for rows of each fold with thresholds found on the other folds: what to
        expect.
    in_sample_score_ : float
        The objective of the thresholds for the scores they were found on: it flatters.
    cv_results_ : dict
        "fold_thresholds" (n_folds, n_outputs) and their "mean_threshold" and "std_threshold";
        "out_of_fold_scores" and "in_sample_scores" (n_outputs,), the objective of each output.
        With `store_cv_results` also "scores" (n, n_binary), "labels" (n, n_binary; -1 unknown),
        "weights" and "folds" (n,; -1 in none).
    classes_ : ndarray, or list of ndarray if there are several outputs
    n_outputs_ : int
    output_names_ : list
    encoder_ : AttributeEncoder
        Between the labels of y and class codes.
    n_features_in_, feature_names_in_
        Those of the classifier, if it has them.

    See Also
    --------
    ThresholdCalibrator : The same as a step behind a classifier in a Pipeline.

    Examples
    --------
    >>> from sklearn.datasets import make_multilabel_classification
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from sklearn.metrics import f1_score
    >>> from skattr.thresholds import TunedThresholdMultiOutputCV
    >>> X, y = make_multilabel_classification(600, n_classes=4, n_labels=1, random_state=0)
    >>> forest = RandomForestClassifier(30, random_state=0).fit(X[:400], y[:400])
    >>> round(f1_score(y[400:], forest.predict(X[400:]), average="macro"), 2)
    0.68
    >>> tuned = TunedThresholdMultiOutputCV(forest).fit(X[:400], y[:400])
    >>> round(f1_score(y[400:], tuned.predict(X[400:]), average="macro"), 2)
    0.73
    >>> tuned.best_threshold_.round(2)
    array([0.3, 0.4, 0.4, 0.3])
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **CONSTRAINTS_OF_PARAMETERS,
        "estimator": [
            HasMethods(["fit", "predict_proba"]),
            HasMethods(["fit", "decision_function"]),
        ],
        "response_method": [StrOptions({"auto", "predict_proba", "decision_function"})],
        "cv": [
            "cv_object",
            StrOptions({"prefit"}),
            Interval(RealNotInt, 0.0, 1.0, closed="neither"),
        ],
        "refit": ["boolean"],
        "random_state": ["random_state"],
        "store_cv_results": ["boolean"],
    }

    def __init__(
        self,
        estimator: Any,
        *,
        objective: str | Callable[..., float] = "f1",
        average: str = "macro",
        strategy: str = "auto",
        constraint: Any = None,
        confidence: float | None = None,
        correction: str | None = None,
        beta: float = 1.0,
        costs: Any = (1.0, 1.0),
        thresholds: Any = "tune",
        default_threshold: float = 0.5,
        response_method: str = "auto",
        cv: Any = None,
        refit: bool = True,
        missing_label: Any = None,
        n_jobs: int | None = None,
        random_state: Any = None,
        store_cv_results: bool = False,
    ) -> None:
        self.estimator = estimator
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
        self.response_method = response_method
        self.cv = cv
        self.refit = refit
        self.missing_label = missing_label
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.store_cv_results = store_cv_results

    def __sklearn_tags__(self) -> Any:
        """Declare that X and y may be what the classifier's may."""
        tags = super().__sklearn_tags__()
        inner = get_tags(self.estimator)
        tags.input_tags = inner.input_tags
        tags.target_tags = inner.target_tags
        tags.classifier_tags.multi_class = inner.classifier_tags.multi_class
        tags.classifier_tags.multi_label = inner.classifier_tags.multi_label
        return tags

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, label_weight: Any = None, **params: Any
    ) -> Self:
        """Fit the classifier and find its thresholds.

        Parameters
        ----------
        X : n rows as the classifier takes them
        y : array-like of shape (n,) or (n, n_outputs), Series or DataFrame
            Labels; NaN, None and pandas.NA are unknown to the thresholds; the classifier must
            know what to do with them.
        sample_weight : array-like of shape (n,), default=None
        label_weight : array-like of shape (n, n_outputs), default=None
            Weights of the thresholds' objective, passed on to the classifier if it takes them
            (with metadata routing enabled: if it requests them).
        **params : dict
            ``groups`` for a splitter that keeps them whole; with metadata routing enabled, all
            that the classifier and the splitter request.

        Returns
        -------
        TunedThresholdMultiOutputCV

        Raises
        ------
        ValueError
            If parameters do not go together, or no label can be tuned.
        """
        X, y = indexable(X, y)
        weights = {"sample_weight": sample_weight, "label_weight": label_weight}
        weights = {name: value for name, value in weights.items() if value is not None}
        fit_params, split_params = self._routed(weights, params)
        missing = self.missing_label
        missing = missing_label_of(self.estimator) if missing is None else missing
        plain = AttributeEncoder(missing_label=missing).fit(y)
        codes = plain.transform(y)
        check_before_fit(self, plain)
        splits = self._splits(X, y, codes, split_params)
        with explain_missing_label_error(self.estimator, codes, plain.output_names_):
            estimator, answers = self._fitted(X, y, codes, splits, fit_params)
        encoder = encoder_for(estimator, y, self.missing_label, strict=splits is None)
        folds = None
        if splits is None:
            scores = self._scores_of(estimator, X, encoder)
        else:
            scores, folds = collect_out_of_fold(answers, encoder, _num_samples(X), need_both=True)
            folds = folds if len(splits) > 1 else None
        self._tune(estimator, encoder, scores, y, weights, folds)
        return self

    def _fitted(
        self,
        X: Any,
        y: Any,
        codes: NDArray[np.int64],
        splits: list[Any] | None,
        fit_params: Mapping[str, Any],
    ) -> tuple[Any, list[FoldPrediction]]:
        """Return the classifier that will predict, and what those of the folds have answered."""
        if splits is None:
            check_is_fitted(self.estimator, "classes_")
            return self.estimator, []
        refitted = None
        if self.refit:
            refitted = clone(self.estimator).fit(X, y, **_check_method_params(X, fit_params))
        answers = predict_folds(
            self.estimator,
            X,
            y,
            splits,
            response_method=self.response_method,
            n_jobs=self.n_jobs,
            params=fit_params,
            keep_estimators=not self.refit,
            codes=codes,
        )
        return (refitted if self.refit else answers[0].estimator), answers

    def _routed(
        self, weights: Mapping[str, Any], params: dict[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what goes to the classifier's `fit` and to the splitter's `split`."""
        if _routing_enabled():
            routed = process_routing(self, "fit", **weights, **params)
            return dict(routed.estimator.fit), dict(routed.splitter.split)
        split_params = {"groups": params.pop("groups")} if "groups" in params else {}
        _raise_for_params(params, self, None)
        taken = {
            name: value
            for name, value in weights.items()
            if has_fit_parameter(self.estimator, name)
        }
        if len(taken) < len(weights) and not isinstance(self.cv, str):
            warnings.warn(
                f"{type(self.estimator).__name__}.fit does not take "
                f"{' and '.join(sorted(set(weights) - set(taken)))}: only the thresholds are "
                "weighted.",
                SkattrWarning,
                stacklevel=4,
            )
        return taken, split_params

    def _splits(
        self, X: Any, y: Any, codes: NDArray[np.int64], split_params: Mapping[str, Any]
    ) -> list[Any] | None:
        """Return the splits, None for a classifier that is fitted already."""
        if isinstance(self.cv, str):
            if self.refit:
                raise ValueError("When cv='prefit', refit cannot be True.")
            return None
        splits = make_splits(self.cv, X, y, codes, random_state=self.random_state, **split_params)
        if not self.refit and len(splits) > 1:
            raise ValueError("When cv has several folds, refit cannot be False.")
        return splits

    def _scores_of(self, estimator: Any, X: Any, encoder: AttributeEncoder) -> Scores:
        response, is_proba = get_response(estimator, X, self.response_method)
        return align(response, is_proba, encoder, classes_per_output(estimator, encoder))

    def _tune(
        self,
        estimator: Any,
        encoder: AttributeEncoder,
        scores: Scores,
        y: Any,
        weights: Mapping[str, Any],
        folds: NDArray[np.intp] | None,
    ) -> None:
        check_fixed(self.thresholds, encoder, scores.is_proba)
        codes = encoder.transform(y)
        two = is_binary(encoder)
        label_weights = None
        if weights:
            label_weights = check_label_weights(
                codes,
                codes,
                weights.get("sample_weight"),
                weights.get("label_weight"),
                encoder.output_names_,
            )
            label_weights = of_binary(label_weights, two, "label_weight" not in weights)
        table = table_of(scores.binary, codes[:, two], label_weights)
        self._keep(tune(self, table, encoder, scores.is_proba, folds, stacklevel=5), encoder)
        if self.store_cv_results:
            self.cv_results_ |= {
                "scores": table.scores,
                "labels": table.labels,
                "weights": table.weights,
                "folds": folds,
            }
        self.estimator_ = estimator
        self.encoder_ = encoder
        self.classes_ = public_classes(encoder)
        self.n_outputs_ = encoder.n_outputs_
        self.output_names_ = encoder.output_names_
        self._is_proba = scores.is_proba
        self._rules = get_constraints(estimator, encoder)
        for name in ("n_features_in_", "feature_names_in_"):
            self.__dict__.pop(name, None)
            if hasattr(estimator, name):
                setattr(self, name, getattr(estimator, name))

    def _keep(self, tuning: TuningResult, encoder: AttributeEncoder) -> None:
        self._thresholds = tuning.thresholds
        single = encoder.n_outputs_ == 1
        self.best_threshold_ = float(tuning.thresholds[0]) if single else tuning.thresholds
        self.best_score_ = tuning.score
        self.in_sample_score_ = tuning.in_sample_score
        self.cv_results_ = tuning.results()

    def retune(self, **params: Any) -> Self:
        """Find other thresholds from the out-of-fold scores that `fit` has kept.

        Nothing is fitted again. Needs ``store_cv_results=True`` at `fit`.

        Parameters
        ----------
        **params : dict
            Parameters of the constructor that tell what thresholds are best for, such as
            ``objective="recall", constraint=("precision", 0.9)``; they are set on the estimator.

        Returns
        -------
        TunedThresholdMultiOutputCV
            Itself, with other thresholds and scores.

        Raises
        ------
        ValueError
            If a parameter is none of those, or no scores were kept.
        """
        check_is_fitted(self)
        other = sorted(set(params) - set(_TUNABLE))
        if other:
            raise ValueError(f"retune takes {', '.join(_TUNABLE)}; got {', '.join(other)}.")
        if "scores" not in self.cv_results_:
            raise ValueError("No out-of-fold scores were kept: fit with store_cv_results=True.")
        kept = {name: self.cv_results_[name] for name in ("scores", "labels", "weights", "folds")}
        candidate = copy.copy(self).set_params(**params)
        candidate._validate_params()
        check_fixed(candidate.thresholds, self.encoder_, self._is_proba)
        table = ScoreTable(kept["scores"], kept["labels"], kept["weights"])
        tuning = tune(candidate, table, self.encoder_, self._is_proba, kept["folds"], stacklevel=3)
        self.set_params(**params)
        self._keep(tuning, self.encoder_)
        self.cv_results_ |= kept
        return self

    def __sklearn_is_fitted__(self) -> bool:
        """Whether a fit has succeeded."""
        return hasattr(self, "estimator_")

    def predict(self, X: Any) -> NDArray[Any]:
        """Predict labels with the tuned thresholds.

        Where these break `constraints` of the classifier, a row gets labels that obey: those
        whose positives lie the furthest above their thresholds, in the sum of log odds. The
        thresholds, and their scores, know nothing of it.

        Parameters
        ----------
        X : n rows as the classifier takes them

        Returns
        -------
        ndarray of shape (n,) for one output, else (n, n_outputs)
            In the dtype of y; object if the outputs differ in it, or the classifier has
            ``on_bad_image="warn"`` and could not read a row: its labels are None.
        """
        codes = self._predicted_codes(X)
        return self.encoder_.inverse_transform(codes)

    def _predicted_codes(self, X: Any) -> NDArray[np.int64]:
        check_is_fitted(self)
        scores = self._scores_of(self.estimator_, X, self.encoder_)
        lost = unpredicted_rows(self.estimator_, scores)
        check_no_nan(scores, "X makes the classifier return NaN: the score", but=lost)
        codes = apply_thresholds(scores, self._thresholds, self.encoder_)
        codes[lost] = UNKNOWN
        return enforce_constraints(codes, scores, self._thresholds, self.encoder_, self._rules)

    @available_if(_estimator_has("predict_proba"))
    def predict_proba(self, X: Any) -> Any:
        """Return the classifier's probabilities.

        Parameters
        ----------
        X : n rows as the classifier takes them

        Returns
        -------
        ndarray of shape (n, n_classes) for one output, else a list of them
            Columns in the order of `classes_`.
        """
        check_is_fitted(self)
        response = self.estimator_.predict_proba(X)
        classes = classes_per_output(self.estimator_, self.encoder_)
        return as_predict_proba(align(response, True, self.encoder_, classes), self.encoder_)

    @available_if(_only_decides)
    def decision_function(self, X: Any) -> NDArray[Any]:
        """Return the decisions of a classifier that has no probabilities.

        Parameters
        ----------
        X : n rows as the classifier takes them

        Returns
        -------
        ndarray
            As the classifier returns it.
        """
        check_is_fitted(self)
        return np.asarray(self.estimator_.decision_function(X))

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the share of rows all of whose known labels are predicted.

        Parameters
        ----------
        X : n rows as the classifier takes them
        y : array-like of shape (n,) or (n, n_outputs)
        sample_weight : array-like of shape (n,), default=None

        Returns
        -------
        float
        """
        predicted = self._predicted_codes(X)
        return exact_match(self.encoder_.transform(y), predicted, sample_weight)

    def get_metadata_routing(self) -> MetadataRouter:
        """Return how metadata reaches the classifier and the splitter.

        Returns
        -------
        MetadataRouter
        """
        return (
            MetadataRouter(owner=self)
            .add_self_request(self)
            .add(
                estimator=self.estimator,
                method_mapping=MethodMapping().add(caller="fit", callee="fit"),
            )
            .add(
                splitter=self.cv if hasattr(self.cv, "split") else None,
                method_mapping=MethodMapping().add(caller="fit", callee="split"),
            )
        )
