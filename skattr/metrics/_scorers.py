"""Scorers that support missing labels and mixed attribute types."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics._scorer import _BaseScorer
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import _check_method_params

from skattr._multioutput.classes import (
    classes_per_output,
    encoder_for,
    fitted_encoder,
    match_outputs,
)
from skattr._multioutput.scores import (
    align_scores,
    as_predict_proba,
    check_distinct_names,
    get_response,
)
from skattr._multioutput.unreadable import check_predicted_rows, select_response
from skattr._targets.alignment import align_rows
from skattr._targets.declarations import as_attributes
from skattr._targets.encoder import sorted_positives
from skattr._targets.positive import warn_sorted_positives
from skattr.metrics._classification import (
    accuracy_score,
    balanced_accuracy_score,
    f1_score,
    fbeta_score,
    hamming_accuracy,
    hamming_loss,
    jaccard_score,
    matthews_corrcoef,
    precision_score,
    recall_score,
    subset_accuracy,
)
from skattr.metrics._inputs import label_inputs
from skattr.metrics._ordinal import mean_absolute_error, quadratic_kappa
from skattr.metrics._probabilistic import brier_score_loss, calibration_error, log_loss
from skattr.metrics._protocols.pedestrian import pedestrian_metrics
from skattr.metrics._ranking import average_precision_score, roc_auc_score

Metric = Callable[..., Any]
_PREDICTED, _PROBA, _SCORE = "predict", "predict_proba", "score"


class _UncutResponse(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Wrapper whose methods return the complete response of a classifier to a scorer.

    scikit-learn's scorers select methods, and cache their output, by name. From the
    ``predict_proba`` of a classifier with the classes 0 and 1 they pass on one column only, which
    for two binary labels is the second label. Hence the methods here have other names.
    """

    classes_ = np.array([0, 1])  # scikit-learn reads them, and ignores them for these methods

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator

    def uncut_predict_proba(self, X: Any) -> Any:
        """Return the probabilities."""
        return get_response(self.estimator, X, "predict_proba")[0]

    def uncut_decision_function(self, X: Any) -> Any:
        """Return the decisions."""
        return get_response(self.estimator, X, "decision_function")[0]


class AttributeScorer(_BaseScorer):  # type: ignore[misc]
    """A callable ``(estimator, X, y) -> float`` made by :func:`make_attribute_scorer`.

    With one number per attribute it returns a dict, which cross_validate and GridSearchCV treat
    as several metrics. Columns of a DataFrame y are matched by name with the outputs of a
    classifier of this package. Rows that a classifier with ``on_bad_image="warn"`` could not read
    do not count, as in its `score`.
    """

    def __init__(
        self,
        score_func: Metric,
        sign: int,
        kwargs: dict[str, Any],
        response_method: str = _PREDICTED,
        per_attribute: bool = False,
        name: str | None = None,
    ) -> None:
        super().__init__(score_func, sign, kwargs, response_method=response_method)
        self.per_attribute = per_attribute
        self.name = name or getattr(score_func, "__name__", "score")
        # scikit-learn's learning curves and displays take the name of a scorer from here.
        self.__name__ = self.name

    def __repr__(self) -> str:
        """Show the metric and its response method."""
        return f"AttributeScorer({self.__name__}, response_method={self._response_method!r})"

    def _score(
        self, method_caller: Any, estimator: Any, X: Any, y_true: Any, **kwargs: Any
    ) -> float | dict[str, float]:
        X, y_true, *others = align_rows(X=X, y=y_true, **kwargs)
        kwargs = dict(zip(kwargs, others, strict=True))
        y_true, label_weight = match_outputs(estimator, y_true, kwargs.get("label_weight"))
        if label_weight is not None:
            kwargs["label_weight"] = label_weight
        declared = self._kwargs.get("attributes")
        encoder = encoder_for(estimator, y_true, attributes=declared)
        names = encoder.output_names_
        response, is_unpredicted = self._response(method_caller, estimator, X, encoder)
        if is_unpredicted.any():
            rows = np.flatnonzero(~is_unpredicted)
            kwargs = _check_method_params(is_unpredicted, kwargs, indices=rows)
            y_true, response = _safe_indexing(y_true, rows), select_response(response, rows)
        params = {
            "missing_label": encoder.missing_label,
            **self._kwargs,
            **kwargs,
            "attributes": as_attributes(names, encoder.kinds_, encoder.classes_),
        }
        metric = getattr(self._score_func, "func", self._score_func)
        if metric in _OF_POSITIVES and fitted_encoder(estimator) is None:
            warn_sorted_positives(sorted_positives(encoder, declared))
        values = self._score_func(y_true, response, **params)
        if not self.per_attribute:
            return float(self._sign * values)
        check_distinct_names([(f"{self.name}__{name}", name, None) for name in names])
        return {
            f"{self.name}__{name}": self._sign * float(value)
            for name, value in zip(names, values, strict=True)
        }

    def as_metric(self) -> Metric:
        """Return the scorer's metric of labels, as the objective of a threshold search.

        Returns
        -------
        callable
            ``(y_true, y_pred, sample_weight=None) -> float``, higher is better.

        Raises
        ------
        ValueError
            If the scorer uses scores, or returns a number per attribute.
        """
        if self._response_method != _PREDICTED or self.per_attribute:
            raise ValueError(
                f"{self!r} has no threshold: it uses scores, or returns a number per attribute."
            )

        def metric(y_true: Any, y_pred: Any, sample_weight: Any = None) -> float:
            weights = {} if sample_weight is None else {"sample_weight": sample_weight}
            return float(self._sign * self._score_func(y_true, y_pred, **self._kwargs, **weights))

        return metric

    def _response(
        self, method_caller: Any, estimator: Any, X: Any, encoder: Any
    ) -> tuple[Any, NDArray[np.bool_]]:
        """Return labels, or scores in the order of the encoder's classes, and unpredicted rows.

        The second array marks the rows that the classifier could not read.
        """
        method = self._response_method
        if method == _SCORE:
            is_proba = hasattr(estimator, "predict_proba")
            method = "predict_proba" if is_proba else "decision_function"
        if method == "predict":
            labels = method_caller(estimator, method, X)
            return labels, check_predicted_rows(estimator, labels)
        response = method_caller(_UncutResponse(estimator), f"uncut_{method}", X)
        classes = classes_per_output(estimator, encoder)
        scores = align_scores(response, method == "predict_proba", encoder, classes)
        is_unpredicted = check_predicted_rows(estimator, scores)
        if method == "predict_proba":
            return as_predict_proba(scores, encoder), is_unpredicted
        if scores.others:
            raise ValueError(
                "Decision values of attributes that are not binary cannot be scored; the "
                "classifier needs predict_proba."
            )
        return scores.binary, is_unpredicted


def make_attribute_scorer(
    metric: Metric,
    *,
    response_method: str = "predict",
    greater_is_better: bool = True,
    per_attribute: bool = False,
    name: str | None = None,
    **kwargs: Any,
) -> AttributeScorer:
    """Make a scorer from a metric of this package.

    Parameters
    ----------
    metric : callable
        ``metric(y_true, y_pred, **kwargs)``, or ``metric(y_true, y_score, **kwargs)``. It also
        receives `attributes` and `missing_label` of the classifier.
    response_method : {"predict", "predict_proba", "score"}, default="predict"
        Input of the metric. "score" stands for probabilities or, if the classifier has none,
        decision values.
    greater_is_better : bool, default=True
        Whether the metric is a score. The sign of a loss is flipped.
    per_attribute : bool, default=False
        Whether to return a dict with a number per attribute, such as ``f1_score__hat``; the
        metric is called with ``average=None``.
    name : str, default=None
        Name of the scorer; None takes that of the metric.
    **kwargs : dict
        Further arguments of the metric.

    Returns
    -------
    AttributeScorer

    Examples
    --------
    >>> from sklearn.datasets import make_multilabel_classification
    >>> from sklearn.model_selection import cross_validate
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from skattr.metrics import f1_score, make_attribute_scorer
    >>> X, y = make_multilabel_classification(n_classes=2, random_state=0)
    >>> scorer = make_attribute_scorer(f1_score, per_attribute=True, name="f1")
    >>> sorted(cross_validate(KNeighborsClassifier(), X, y, scoring=scorer, cv=3))
    ['fit_time', 'score_time', 'test_f1__y0', 'test_f1__y1']
    """
    if response_method not in (_PREDICTED, _PROBA, _SCORE):
        raise ValueError(
            "response_method must be 'predict', 'predict_proba' or 'score'; got "
            f"{response_method!r}."
        )
    if per_attribute:
        kwargs = {**kwargs, "average": None}
    sign = 1 if greater_is_better else -1
    return AttributeScorer(metric, sign, kwargs, response_method, per_attribute, name)


def instance_metric(y_true: Any, y_pred: Any, *, key: str, **options: Any) -> float:
    """Return one of the :func:`pedestrian_metrics` of predicted labels.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n, n_attributes) or DataFrame
        Labels of binary attributes.
    key : {"mA", "accuracy", "precision", "recall", "f1"}
    **options : dict
        `attributes` and `missing_label`, as for the metrics.

    Returns
    -------
    float
    """
    inputs = label_inputs(y_true, y_pred, **options)
    warn_sorted_positives(inputs.sorted_positives)
    if not inputs.binary.all():
        other = [inputs.names[j] for j in np.flatnonzero(~inputs.binary)]
        raise ValueError(f"The protocol is defined for binary attributes; {other} are not.")
    codes = np.where(inputs.codes < 0, np.nan, inputs.codes)
    predicted = np.asarray(inputs.predicted, dtype=np.float64)
    return pedestrian_metrics(codes, predicted, threshold=0.5)[key]


def _named(metric: Metric, name: str, average: str | None, **params: Any) -> dict[str, Any]:
    kwargs = {} if average is None else {"average": average}
    return {"metric": metric, "name": name, "kwargs": kwargs, **params}


_AVERAGED: dict[str, Metric] = {
    "precision": precision_score,
    "recall": recall_score,
    "f1": f1_score,
    "jaccard": jaccard_score,
}
_LOSS: dict[str, Any] = {"greater_is_better": False, "response_method": _PROBA}
_SCORERS: dict[str, dict[str, Any]] = (
    {
        f"{average}_{name}": _named(metric, name, average)
        for name, metric in _AVERAGED.items()
        for average in ("macro", "micro", "weighted", "samples")
    }
    | {
        "accuracy": _named(accuracy_score, "accuracy", "macro"),
        "subset_accuracy": _named(subset_accuracy, "subset_accuracy", None),
        "hamming_accuracy": _named(hamming_accuracy, "hamming_accuracy", None),
        "neg_hamming_loss": _named(hamming_loss, "neg_hamming_loss", None, greater_is_better=False),
        "balanced_accuracy": _named(balanced_accuracy_score, "balanced_accuracy", "macro"),
        "mean_accuracy": _named(balanced_accuracy_score, "mean_accuracy", "macro"),
        "mcc": _named(matthews_corrcoef, "mcc", "macro"),
        "mean_average_precision": _named(
            average_precision_score, "average_precision", "macro", response_method=_SCORE
        ),
        "micro_average_precision": _named(
            average_precision_score, "average_precision", "micro", response_method=_SCORE
        ),
        "mean_roc_auc": _named(roc_auc_score, "roc_auc", "macro", response_method=_SCORE),
        "neg_log_loss": _named(log_loss, "neg_log_loss", "macro", **_LOSS),
        "neg_brier_score": _named(brier_score_loss, "neg_brier_score", "macro", **_LOSS),
        "neg_calibration_error": _named(
            calibration_error, "neg_calibration_error", "macro", **_LOSS
        ),
        "neg_mean_absolute_error": _named(
            mean_absolute_error, "neg_mean_absolute_error", "macro", greater_is_better=False
        ),
        "quadratic_kappa": _named(quadratic_kappa, "quadratic_kappa", "macro"),
    }
    | {
        f"instance_{key}": _named(partial(instance_metric, key=key), f"instance_{key}", None)
        for key in ("accuracy", "precision", "recall", "f1")
    }
)
_OF_POSITIVES = (*_AVERAGED.values(), fbeta_score, average_precision_score, instance_metric)
_OF_ROWS = ("subset_accuracy", "hamming_accuracy", "neg_hamming_loss")  # no value per attribute


def get_scorer_names() -> list[str]:
    """Return the names of all scorers.

    Returns
    -------
    list of str
        Valid arguments of :func:`get_scorer`.

    Examples
    --------
    >>> from skattr.metrics import get_scorer_names
    >>> "macro_f1" in get_scorer_names()
    True
    """
    return sorted(_SCORERS)


def get_scorer(scoring: str, *, per_attribute: bool = False) -> AttributeScorer:
    """Return a scorer by its name.

    It works in cross_validate, GridSearchCV and wherever else scikit-learn takes a scorer. Labels
    may be missing, and attributes may have different kinds and numbers of classes.

    Parameters
    ----------
    scoring : str
        One of :func:`get_scorer_names`:

        - an average ("macro", "micro", "weighted", "samples"), an underscore and "precision",
          "recall", "f1" or "jaccard";
        - "accuracy", "balanced_accuracy", "mcc", "mean_roc_auc", "mean_average_precision" and
          others: macro averages;
        - "mean_accuracy": the mA of pedestrian attribute recognition;
        - "instance_f1" and similar: its means over rows;
        - losses with flipped sign, such as "neg_hamming_loss".
    per_attribute : bool, default=False
        Whether to return a number per attribute instead of an average, as "test_f1__hat".

    Returns
    -------
    AttributeScorer

    Raises
    ------
    ValueError
        If there is no scorer of that name, or it has no number per attribute.

    Examples
    --------
    >>> from sklearn.datasets import make_multilabel_classification
    >>> from sklearn.model_selection import cross_validate
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from skattr.metrics import get_scorer
    >>> X, y = make_multilabel_classification(random_state=0)
    >>> names = ["macro_f1", "neg_hamming_loss"]
    >>> scoring = {name: get_scorer(name) for name in names}
    >>> scores = cross_validate(KNeighborsClassifier(), X, y, scoring=scoring, cv=3)
    >>> sorted(name for name in scores if name.startswith("test"))
    ['test_macro_f1', 'test_neg_hamming_loss']
    """
    if scoring not in _SCORERS:
        raise ValueError(f"scoring must be one of {get_scorer_names()}; got {scoring!r}.")
    params = dict(_SCORERS[scoring])
    kwargs = params.pop("kwargs")
    if per_attribute and (scoring in _OF_ROWS or scoring.startswith("instance_")):
        raise ValueError(f"{scoring!r} averages over rows; it has no value per attribute.")
    scorer = make_attribute_scorer(**params, per_attribute=per_attribute, **kwargs)
    scorer.__name__ = scoring
    return scorer
