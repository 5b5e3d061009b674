"""Multi-output classifier with thresholds tuned on out-of-fold scores."""

import copy
import warnings
from collections.abc import Callable
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from skattr._multioutput.scores import as_predict_proba
from skattr._targets.encoder import AttributeEncoder
from skattr._utils.warnings import find_stack_level
from skattr.exceptions import AssumptionWarning
from skattr.model_selection._meta_estimator import BaseMultiOutputCV, HeldOutData
from skattr.model_selection._out_of_fold import collect_out_of_fold
from skattr.thresholds._fixed import FixedThresholds, check_fixed_thresholds
from skattr.thresholds._score_table import ScoreTable
from skattr.thresholds._tuning import (
    TUNING_CONSTRAINTS,
    TuningResultMixin,
    check_tuning_parameters,
    make_table,
    tune,
)


def _has_predict_proba(self: "TunedThresholdMultiOutputCV") -> bool:
    return hasattr(getattr(self, "estimator_", self.estimator), "predict_proba")


def _has_decision_function_only(self: "TunedThresholdMultiOutputCV") -> bool:
    estimator = getattr(self, "estimator_", self.estimator)
    return hasattr(estimator, "decision_function") and not hasattr(estimator, "predict_proba")


class TunedThresholdMultiOutputCV(TuningResultMixin, BaseMultiOutputCV):
    """Multi-output classifier whose thresholds are tuned on out-of-fold scores.

    This is :class:`sklearn.model_selection.TunedThresholdClassifierCV` for several outputs. The
    classifier is fitted once per fold and once on all rows, whatever the number of outputs. The
    thresholds of all binary outputs are found from the out-of-fold scores. An output that is not
    binary is predicted as the class with the highest score.

    Parameters
    ----------
    estimator : classifier
        Classifier with `predict_proba` or `decision_function`, fitted or not.
    objective : str or callable, default="f1"
        Metric that the thresholds maximize. See :func:`skattr.thresholds.find_thresholds` for
        its values and those of the next parameters.
    average : {"macro", "micro", "samples", "global"}, default="macro"
        Whether each label is tuned by itself or all labels together.
    strategy : {"auto", "exact", "plugin", "shrunk"}, default="auto"
        How closely a threshold follows the labels it is found on:

        - `"exact"`: the best threshold for the given labels.
        - `"plugin"`: the best threshold for their calibrated probabilities, which varies less
          if positives are few.
        - `"auto"`: an average of these two, weighted by the number of positives. It is the
          default because its test score is as good as the better of the two or within .003 of
          it.
        - `"shrunk"`: the exact threshold, drawn towards one threshold for all labels.
    constraint : (name, bound), default=None
        Constraint on the thresholds, such as ``("recall", 0.95)``.
    confidence : float, default=None
        Probability with which a threshold must satisfy the constraint on new data.

        .. warning::
            It is assumed that rows are independent, or else the `groups` given to `fit`; that
            labels are missing at random; and that no predicted label is changed by the
            classifier's `constraints`. The probability is exact only for scores of the very
            classifier that predicts: with ``cv="prefit"``, or with a float `cv` and
            ``refit=False``. With several folds, the scores come from other classifiers than the
            refitted one, and the probability is approximate.
    correction : {None, "bonferroni"}, default=None
        Whether `confidence` holds for each label, or for all labels at once.
    beta : float, default=1.0
        Weight of recall if the objective is "fbeta".
    costs : pair of float or array-like, default=(1.0, 1.0)
        Costs of a false positive and of a false negative if the objective is "cost".
    response_method : {"auto", "predict_proba", "decision_function"}, default="auto"
        Method of the classifier that gives the scores. "auto" is the first of the two that the
        classifier has.
    thresholds : "tune", float, array-like or dict, default="tune"
        Fixed thresholds, which are evaluated instead of tuned: one for all outputs, one per
        binary output, one per output (NaN if it is not binary), or a dict that names each binary
        output. Thresholds of probabilities lie in [0, 1].
    default_threshold : float, default=0.5
        Threshold of labels that cannot be tuned, as a probability. For decisions, its logit is
        used.
    missing_label : scalar, default=None
        Value of y that marks a missing label, in addition to NaN, None and pandas.NA. None uses
        the classifier's own.
    cv : int, float, splitter, iterable or "prefit", default=None
        How the held-out rows are chosen:

        - int: number of multilabel stratified folds; None means 5.
        - float: share of rows that are held out once.
        - "prefit": the classifier is used as it was fitted, and all rows are used for tuning.
          The same holds for a :class:`~sklearn.frozen.FrozenEstimator` if `cv` is None; with
          another `cv`, its folds are those of the cross-validated score.
    refit : bool, default=True
        Whether to fit the classifier on all rows after tuning. Must be False if
        ``cv="prefit"``. If False with a single split, the classifier of that split predicts.
    n_jobs : int, default=None
        Number of folds fitted in parallel, and of threads of the search.
    random_state : int, RandomState or None, default=None
        Seed of the split if `cv` is a float.
    cross_validate : bool, default=True
        Whether to compute the cross-validated score, which takes up to six searches. If
        False, `best_score_` is NaN.
    store_cv_results : bool, default=False
        Whether to store the out-of-fold scores, which :meth:`retune` needs.

    Attributes
    ----------
    estimator_ : classifier
        The fitted classifier that predicts.
    best_threshold_ : float, or ndarray of shape (n_outputs,) if there are several outputs
        ``score >= threshold`` is positive. NaN for outputs that are not binary.
    best_score_ : float
        Cross-validated objective: the rows of each fold are predicted with thresholds found on
        the other folds.
    in_sample_score_ : float
        Objective on the scores that the thresholds were found on (optimistically biased).
    cv_results_ : dict
        "fold_thresholds" of shape (n_folds, n_outputs) with their "mean_threshold" and
        "std_threshold" of shape (n_outputs,); "cross_validated_scores" and "in_sample_scores"
        of shape (n_outputs,), the objective of each output. With `store_cv_results` also
        "scores" of shape (n, n_binary), "labels" of shape (n, n_binary), -1 if missing,
        "weights", "groups" of shape (n, 1), and "folds" of shape (n,), -1 for rows in no fold.
    classes_ : ndarray, or list of ndarray if there are several outputs
        Class labels.
    n_outputs_ : int
        Number of outputs.
    output_names_ : list
        Names of the outputs.
    encoder_ : AttributeEncoder
        Converts between the labels of y and class codes.
    n_features_in_, feature_names_in_
        Those of the classifier, if it has them.

    See Also
    --------
    ThresholdCalibrator : Tunes thresholds as a step behind a classifier in a Pipeline.

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

    _weighted_part = "thresholds"

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseMultiOutputCV._parameter_constraints,
        **TUNING_CONSTRAINTS,
        "refit": ["boolean"],
        "store_cv_results": ["boolean"],
    }

    def __init__(
        self,
        estimator: BaseEstimator,
        *,
        objective: str | Callable[..., float] = "f1",
        average: str = "macro",
        strategy: str = "auto",
        constraint: tuple[str, Any] | None = None,
        confidence: float | None = None,
        correction: str | None = None,
        beta: float = 1.0,
        costs: tuple[Any, Any] = (1.0, 1.0),
        response_method: str = "auto",
        thresholds: FixedThresholds | str = "tune",
        default_threshold: float = 0.5,
        missing_label: Any = None,
        cv: Any = None,
        refit: bool = True,
        n_jobs: int | None = None,
        random_state: int | np.random.RandomState | None = None,
        cross_validate: bool = True,
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
        self.response_method = response_method
        self.thresholds = thresholds
        self.default_threshold = default_threshold
        self.missing_label = missing_label
        self.cv = cv
        self.refit = refit
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.cross_validate = cross_validate
        self.store_cv_results = store_cv_results

    def _check_parameters(self, encoder: AttributeEncoder) -> None:
        if isinstance(self.cv, str) and self.refit:
            raise ValueError("When cv='prefit', refit cannot be True.")
        may_be_proba = self.response_method != "decision_function"
        check_tuning_parameters(
            self, encoder, may_be_proba and hasattr(self.estimator, "predict_proba")
        )

    def _refits(self) -> bool:
        return self.refit

    def _fit_held_out(self, data: HeldOutData) -> None:
        # In a fold whose training rows lack a class, the score of a binary output is a constant
        # that says nothing about the others: it is left out. A prefitted classifier has no
        # training rows here.
        scores, folds = collect_out_of_fold(
            data.predictions, data.encoder, len(data.codes), need_both=not self._is_prefit()
        )
        check_fixed_thresholds(self.thresholds, data.encoder, scores.is_proba)
        table = make_table(
            scores, data.codes, data.encoder, data.sample_weight, data.label_weight, data.groups
        )
        if self.confidence is not None and data.constraints is not None:
            warnings.warn(
                "Predicted labels that violate the classifier's `constraints` are changed after "
                f"the thresholds; the confidence of {self.confidence:g} does not hold for them.",
                AssumptionWarning,
                stacklevel=find_stack_level(),
            )
        own_folds = folds if len(data.predictions) > 1 else None
        self._set_tuning_result(tune(self, table, data.encoder, scores.is_proba, own_folds))
        self._is_proba = scores.is_proba
        if self.store_cv_results:
            self.cv_results_ |= {
                "scores": table.scores,
                "labels": table.labels,
                "weights": table.weights,
                "groups": table.groups,
                "folds": own_folds,
            }

    def retune(self, **params: Any) -> Self:
        """Find other thresholds from the stored out-of-fold scores, without fitting again.

        Parameters
        ----------
        **params : dict
            Parameters of the constructor that select the thresholds, such as
            ``objective="recall", constraint=("precision", 0.9)``. They are set on the estimator.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter is another one or is invalid, or if `fit` has not stored the scores
            (``store_cv_results=True``).
        """
        check_is_fitted(self)
        unexpected = sorted(set(params) - set(TUNING_CONSTRAINTS))
        if unexpected:
            raise ValueError(
                f"retune takes {', '.join(TUNING_CONSTRAINTS)}; got {', '.join(unexpected)}."
            )
        if "scores" not in self.cv_results_:
            raise ValueError("No out-of-fold scores are stored: fit with store_cv_results=True.")
        names = ("scores", "labels", "weights", "groups", "folds")
        stored = {name: self.cv_results_[name] for name in names}
        # Parameters are set on a copy first: a retune that fails must change nothing.
        candidate = copy.copy(self).set_params(**params)
        candidate._validate_params()
        check_fixed_thresholds(candidate.thresholds, self.encoder_, self._is_proba)
        table = ScoreTable(
            stored["scores"], stored["labels"], stored["weights"], groups=stored["groups"]
        )
        result = tune(candidate, table, self.encoder_, self._is_proba, stored["folds"])
        self.set_params(**params)
        self._set_tuning_result(result)
        self.cv_results_ |= stored
        return self

    @available_if(_has_predict_proba)
    def predict_proba(self, X: Any) -> NDArray[Any] | list[NDArray[Any]]:
        """Return the classifier's probabilities.

        Parameters
        ----------
        X : n rows of the kind given to `fit`

        Returns
        -------
        ndarray of shape (n, n_classes) for one output, else a list of them
            Columns are in the order of `classes_`. Unreadable rows are NaN.

        Raises
        ------
        ValueError
            If the classifier's score of a readable row is NaN.
        """
        scores, _ = self._predict_scores(X, "predict_proba")
        proba: NDArray[Any] | list[NDArray[Any]] = as_predict_proba(scores, self.encoder_)
        return proba

    @available_if(_has_decision_function_only)
    def decision_function(self, X: Any) -> NDArray[Any]:
        """Return the decisions of a classifier without probabilities.

        Parameters
        ----------
        X : n rows of the kind given to `fit`

        Returns
        -------
        ndarray
            In the shape that the classifier returns.
        """
        check_is_fitted(self)
        return np.asarray(self.estimator_.decision_function(X))
