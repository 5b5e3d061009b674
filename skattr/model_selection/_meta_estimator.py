"""Base class of the meta-estimators that fit something on a classifier's out-of-fold scores."""

import copy
import warnings
from abc import ABCMeta, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
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
from sklearn.frozen import FrozenEstimator
from sklearn.utils import Tags, get_tags
from sklearn.utils._param_validation import HasMethods, Interval, RealNotInt, StrOptions
from sklearn.utils.metadata_routing import (
    MetadataRouter,
    MethodMapping,
    _routing_enabled,
    process_routing,
)
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
    ignore_label_warnings,
    match_outputs,
    missing_label_of,
    read_labels_for,
    warn_labels_of,
)
from skattr._multioutput.constraints import enforce_constraints, get_constraints
from skattr._multioutput.predictor import LabelPredictorMixin
from skattr._multioutput.scores import (
    Scores,
    align_scores,
    apply_thresholds,
    check_no_nan,
    get_response,
)
from skattr._multioutput.unreadable import unpredicted_rows
from skattr._targets.alignment import align_rows
from skattr._targets.columns import fill_masked
from skattr._targets.constraints import LogicalConstraints
from skattr._targets.encoder import UNKNOWN, AttributeEncoder
from skattr._targets.weights import check_label_weights
from skattr._utils.parameters import N_JOBS, RANDOM_STATE
from skattr._utils.warnings import find_stack_level
from skattr.exceptions import SkattrWarning
from skattr.model_selection._out_of_fold import FoldPrediction, make_splits, predict_folds

Codes = NDArray[np.int64]
Params = dict[str, Any]


@dataclass(frozen=True)
class HeldOutData:
    """Labels and the predictions for rows that the predicting classifier was not trained on.

    Attributes
    ----------
    estimator : fitted classifier
        The one that will predict.
    encoder : AttributeEncoder
        Has the classes of the estimator.
    codes : ndarray of shape (n, n_outputs), int64
        Labels, -1 where missing.
    predictions : list of FoldPrediction
        One per fold; a single one over all rows for a prefitted classifier; empty if the
        subclass needs no scores.
    sample_weight, label_weight, groups : array-like or None
        As given to `fit`.
    constraints : LogicalConstraints or None
        Those of the estimator, which change predicted labels.
    """

    estimator: BaseEstimator
    encoder: AttributeEncoder
    codes: Codes
    predictions: list[FoldPrediction]
    sample_weight: Any
    label_weight: Any
    groups: Any
    constraints: LogicalConstraints | None


class BaseMultiOutputCV(
    LabelPredictorMixin, ClassifierMixin, MetaEstimatorMixin, BaseEstimator, metaclass=ABCMeta
):
    """Base class that validates, cross-validates a classifier and delegates prediction to it.

    If predicted labels violate the classifier's `constraints`, a row gets the labels that satisfy
    them and whose positives have the largest sum of log odds above those of their thresholds.
    Thresholds and calibrators are fitted without regard to the constraints: this would be a
    search over all of them together.

    A subclass implements :meth:`_fit_held_out`, which must set `_thresholds`, one per output,
    and may override the other hooks below it.
    """

    estimator: BaseEstimator
    response_method: str
    missing_label: Any
    cv: Any
    n_jobs: int | None
    random_state: int | np.random.RandomState | None

    estimator_: BaseEstimator
    _thresholds: NDArray[np.float64]
    _rules: LogicalConstraints | None
    _response_method: str

    # What weights are used for if `estimator.fit` takes none; for a warning.
    _weighted_part: ClassVar[str]

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "estimator": [
            HasMethods(["fit", "predict_proba"]),
            HasMethods(["fit", "decision_function"]),
        ],
        "response_method": [StrOptions({"auto", "predict_proba", "decision_function"})],
        "missing_label": "no_validation",
        "cv": ["cv_object", StrOptions({"prefit"}), Interval(RealNotInt, 0, 1, closed="neither")],
        "n_jobs": N_JOBS,
        "random_state": RANDOM_STATE,
    }

    @abstractmethod
    def _fit_held_out(self, data: HeldOutData) -> None:
        """Fit the subclass's own part; attributes are set only after all that can fail."""

    def _check_parameters(self, encoder: AttributeEncoder) -> None:
        """Raise for invalid parameters before any classifier is fitted.

        `encoder` has the classes of y; the fitted classifier may have more.
        """

    def _refits(self) -> bool:
        """Whether the classifier is fitted on all rows after the folds."""
        return True

    def _needs_scores(self) -> bool:
        """Whether :meth:`_fit_held_out` reads scores."""
        return True

    def _needs_positive(self) -> bool:
        """Whether the result depends on which level of an attribute is positive."""
        return True

    def _transform_scores(self, scores: Scores, unreadable: NDArray[np.bool_]) -> Scores:
        """Return the scores that thresholds are applied to."""
        return scores

    def __sklearn_tags__(self) -> Tags:
        """Take over the classifier's tags about X, y and determinism."""
        tags = super().__sklearn_tags__()
        inner = get_tags(self.estimator)
        tags.input_tags = inner.input_tags
        tags.target_tags = inner.target_tags
        tags.classifier_tags = inner.classifier_tags or tags.classifier_tags
        tags.non_deterministic = inner.non_deterministic
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        """Whether a fit has succeeded."""
        return hasattr(self, "estimator_")

    def get_metadata_routing(self) -> MetadataRouter:
        """Return how metadata reaches the classifier and the splitter.

        Returns
        -------
        MetadataRouter
        """
        to_fit = MethodMapping().add(caller="fit", callee="fit")
        to_split = MethodMapping().add(caller="fit", callee="split")
        splitter = self.cv if self._has_splitter() else None
        router = MetadataRouter(owner=self).add_self_request(self)
        router = router.add(estimator=self.estimator, method_mapping=to_fit)
        return router.add(splitter=splitter, method_mapping=to_split)

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, label_weight: Any = None, **params: Any
    ) -> Self:
        """Fit the classifier, and thresholds or calibrators on its out-of-fold scores.

        Parameters
        ----------
        X : n rows of any kind that the classifier takes
        y : array-like of shape (n,) or (n, n_outputs), Series or DataFrame
            Labels. NaN, None and pandas.NA are missing labels; the classifier is given y
            unchanged and must support them. Columns of a DataFrame are matched by name with the
            outputs of a fitted classifier of this package.
        sample_weight : array-like of shape (n,), default=None
            Weight of each row. It is also passed to the classifier if its `fit` takes it (with
            metadata routing enabled: if it requests it).
        label_weight : array-like of shape (n, n_outputs), default=None
            Weight of each label, multiplied with `sample_weight`, and passed on likewise.
        **params : dict
            ``groups`` for the splitter, and further arguments of the classifier's `fit`. With
            metadata routing enabled, all that the classifier and the splitter request. Groups are
            rows that need not be independent; an int or float `cv` does not divide them.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter, y or a weight is invalid, parameters exclude each other, the
            classifier has other outputs than y, or the indexes of two pandas objects have the
            same labels in another order.
        UnseenLabelError
            If y has a label that a prefitted classifier does not know.
        """
        X, y = indexable(X, y)
        X, y, sample_weight, label_weight, *others = align_rows(
            X=X, y=y, sample_weight=sample_weight, label_weight=label_weight, **params
        )
        params = dict(zip(params, others, strict=True))
        if self._is_prefit():
            y, label_weight = match_outputs(self.estimator, y, label_weight)
        missing_label = self.missing_label
        if missing_label is None:
            missing_label = missing_label_of(self.estimator)
        encoder = AttributeEncoder(missing_label=missing_label)
        codes = encoder.fit_transform(read_labels_for(self.estimator, y, missing_label))
        y = fill_masked(y)
        check_label_weights(X, codes, sample_weight, label_weight, encoder.output_names_)
        self._check_parameters(encoder)
        groups = params.get("groups")
        fit_params, split_params = self._route(sample_weight, label_weight, params)
        if not self._is_prefit():
            warn_labels_of(self.estimator, y, encoder, positive=self._needs_positive())
        names = encoder.output_names_
        with ignore_label_warnings(), explain_missing_label_error(self.estimator, codes, names):
            estimator, predictions = self._fit_estimator(X, y, codes, fit_params, split_params)
        encoder = encoder_for(estimator, y, missing_label, strict=self._is_prefit())
        codes = encoder.transform(y)
        rules = get_constraints(estimator, encoder)
        # A copy is fitted, and its attributes are taken over in one assignment: an error or Ctrl-C
        # leaves the last fit whole.
        fitted = copy.copy(self)
        weights = (sample_weight, label_weight)
        fitted._fit_held_out(
            HeldOutData(estimator, encoder, codes, predictions, *weights, groups, rules)
        )
        fitted.estimator_ = estimator
        fitted._set_outputs(encoder, estimator)
        fitted._rules = rules
        fitted._response_method = self.response_method
        self.__dict__ = fitted.__dict__
        return self

    def _has_splitter(self) -> bool:
        """Whether `cv` is a splitter; the string "prefit" has a method `split`, too."""
        return hasattr(self.cv, "split") and not isinstance(self.cv, str)

    def _is_prefit(self) -> bool:
        """Whether the classifier is taken as it was fitted before."""
        return isinstance(self.cv, str) or isinstance(self.estimator, FrozenEstimator)

    def _route(
        self, sample_weight: Any, label_weight: Any, params: Params
    ) -> tuple[Params, Params]:
        """Return the arguments of the classifier's `fit` and of the splitter's `split`."""
        weights = {
            # scikit-learn selects the rows of a fold from arrays, but not from lists.
            name: np.asarray(weight) if isinstance(weight, list | tuple) else weight
            for name, weight in (("sample_weight", sample_weight), ("label_weight", label_weight))
            if weight is not None
        }
        split_params = {}
        if "groups" in params and not (_routing_enabled() and self._has_splitter()):
            split_params = {"groups": params.pop("groups")}
        if _routing_enabled():
            routed = process_routing(self, "fit", **weights, **params)
            return dict(routed.estimator.fit), {**split_params, **routed.splitter.split}
        ignored = [name for name in weights if not has_fit_parameter(self.estimator, name)]
        if ignored and not self._is_prefit():
            warnings.warn(
                f"{type(self.estimator).__name__}.fit does not take {' and '.join(ignored)}: only "
                f"the {self._weighted_part} are weighted.",
                SkattrWarning,
                stacklevel=find_stack_level(),
            )
        accepted = {name: weight for name, weight in weights.items() if name not in ignored}
        return {**accepted, **params}, split_params

    def _fit_estimator(
        self,
        X: Any,
        y: Any,
        codes: Codes,
        fit_params: Mapping[str, Any],
        split_params: Mapping[str, Any],
    ) -> tuple[BaseEstimator, list[FoldPrediction]]:
        """Return the classifier that will predict, and predictions of held-out rows."""
        if self._is_prefit():
            needed = "With cv='prefit' or FrozenEstimator, the `estimator` must be fitted."
            check_is_fitted(self.estimator, msg=needed)
            # With a `cv`, its folds of a frozen classifier's rows are made below, without a fit.
            if isinstance(self.cv, str) or self.cv is None or not self._needs_scores():
                return self.estimator, self._predict_prefit(X) if self._needs_scores() else []
        predictions = []
        # The folds come before the fit on all rows: what fails, fails after a smaller fit.
        if self._needs_scores():
            splits = make_splits(
                self.cv, X, y, codes, random_state=self.random_state, **split_params
            )
            if not self._refits() and len(splits) > 1:
                raise ValueError("When cv has several folds, refit cannot be False.")
            predictions = predict_folds(
                self.estimator,
                X,
                y,
                splits,
                response_method=self.response_method,
                n_jobs=self.n_jobs,
                params=fit_params,
                keep_estimators=not self._refits(),
                # A frozen classifier has not seen the training rows of the fold.
                codes=None if self._is_prefit() else codes,
            )
            if not self._refits():
                return predictions[0].estimator, predictions
        estimator = clone(self.estimator).fit(X, y, **_check_method_params(X, fit_params))
        return estimator, predictions

    def _predict_prefit(self, X: Any) -> list[FoldPrediction]:
        response, is_proba = get_response(self.estimator, X, self.response_method)
        return [FoldPrediction(np.arange(_num_samples(X)), response, is_proba, self.estimator)]

    def _predict_scores(
        self, X: Any, response_method: str | None = None
    ) -> tuple[Scores, NDArray[np.bool_]]:
        """Return the scores of X after :meth:`_transform_scores`, and the unreadable rows."""
        check_is_fitted(self)
        method = self._response_method if response_method is None else response_method
        response, is_proba = get_response(self.estimator_, X, method)
        classes = classes_per_output(self.estimator_, self.encoder_)
        scores = align_scores(response, is_proba, self.encoder_, classes)
        unreadable = unpredicted_rows(self.estimator_, scores)
        check_no_nan(scores, "X makes the classifier return NaN: the score", but=unreadable)
        return self._transform_scores(scores, unreadable), unreadable

    def _predict_codes(self, X: Any) -> Codes:
        scores, unreadable = self._predict_scores(X)
        codes = apply_thresholds(scores, self._thresholds, self.encoder_)
        codes[unreadable] = UNKNOWN
        return enforce_constraints(codes, scores, self._thresholds, self.encoder_, self._rules)
