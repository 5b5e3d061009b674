"""Multi-output classifier with calibrated probabilities."""

import warnings
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import StrOptions

from skattr._multioutput.scores import Scores, as_predict_proba
from skattr._targets.encoder import AttributeEncoder
from skattr._targets.weights import check_label_weights
from skattr._utils.parameters import AT_LEAST_1, Number
from skattr._utils.warnings import find_stack_level
from skattr.calibration._calibrators import METHODS, Calibrator
from skattr.calibration._outputs import (
    find_pos_weight,
    fit_calibrators,
    fit_prior_calibrators,
    scores_per_output,
)
from skattr.exceptions import SkattrWarning
from skattr.model_selection._meta_estimator import BaseMultiOutputCV, HeldOutData

__all__ = ["CalibratedMultiOutputCV"]

# `predict` is the argmax of the probabilities, of which scikit-learn's classifiers take the first
# class if two are equal: a positive needs more than one half.
_ABOVE_HALF = np.nextafter(0.5, 1)


class CalibratedMultiOutputCV(BaseMultiOutputCV):
    """Multi-output classifier whose probabilities are calibrated for each attribute.

    Each attribute has one calibrator, fitted on its known labels and the scores of rows that the
    classifier was not trained on. For one output this does what
    :class:`sklearn.calibration.CalibratedClassifierCV` does with ``ensemble=False``.

    Parameters
    ----------
    estimator : classifier
        Classifier with one or several outputs and `predict_proba` or `decision_function`, fitted
        or not.
    method : {"auto", "temperature", "sigmoid", "isotonic", "beta", "prior"}, default="auto"
        How binary attributes are calibrated, see Notes. The other attributes are calibrated by
        "temperature", only if it is better than the identity if the method is "auto", or not at
        all if it is "prior".
    pos_weight : number, array-like, dict by name or "balanced", default=None
        Weight of positives in training, for ``method="prior"``: one number, one per binary
        attribute or per output, or a dict (1 for attributes it does not name). "balanced" is the
        number of negatives divided by the number of positives among the known labels of y, and
        "balanced:20" is the same, but at most 20. None uses the estimator's own `pos_weight`.
    min_support : int, default=None
        Number of known labels that an attribute needs to be calibrated: of each class if it is
        binary, else in total. With weights it is their effective number, (sum of weights)^2 /
        (sum of squares). An attribute with fewer is not calibrated, with a warning. None means 5
        for "auto", 10 for temperatures, 20 for "sigmoid", 30 for "beta" and 100 for "isotonic".
    response_method : {"auto", "predict_proba", "decision_function"}, default="auto"
        Method of the classifier that gives the scores. "auto" is the first of the two that the
        classifier has.
    missing_label : scalar, default=None
        Value of y that marks a missing label, in addition to NaN, None and pandas.NA. None uses
        the classifier's own.
    cv : int, float, splitter, iterable of splits or "prefit", default=None
        How the held-out rows are chosen:

        - int: number of multilabel stratified folds; None means 5. The classifier is fitted once
          per fold and once on all rows.
        - float: share of rows that are held out. The classifier is fitted once, on the others.
        - "prefit": the classifier is used as it was fitted, and all rows are used for the
          calibration; they should not be those it was trained on. The same holds for a
          :class:`~sklearn.frozen.FrozenEstimator` if `cv` is None.
    n_jobs : int, default=None
        Number of folds fitted in parallel.
    random_state : int, RandomState or None, default=None
        Seed of the split if `cv` is a float.

    Attributes
    ----------
    estimator_ : classifier
        The fitted classifier.
    classes_ : ndarray, or list of ndarray if there are several outputs
        Class labels.
    calibrators_ : list of calibrators
        One per output, each a callable from scores to probabilities.
    encoder_ : AttributeEncoder
        Converts between the labels of y and class codes.
    n_outputs_ : int
        Number of outputs.
    output_names_ : list
        Names of the outputs.
    n_features_in_, feature_names_in_
        Those of `estimator_`, if it has them.

    See Also
    --------
    sklearn.calibration.CalibratedClassifierCV : Calibrates a single output.

    Notes
    -----
    Scores are transformed as log odds if they are probabilities, and as they are if they are
    decisions. A probability of exactly 0, as of a small forest, has the log odds of half the
    smallest probability above 0; likewise 1.

    "auto"
        The sigmoid of the log odds if it is better than no calibration, by a likelihood-ratio test
        at a level of 5 %, and no calibration otherwise. The fit has a weak prior at the identity.
        Probabilities that are calibrated already stay as they are but for one attribute in
        twenty, and miscalibrated ones are mended from five positives on. Decisions get "sigmoid".
    "temperature"
        Divides log odds (or logits) by the number that minimizes the log loss [1]_. The most
        probable class never changes.
    "sigmoid"
        Platt's sigmoid ``a * log odds + b``, fitted to smoothed labels [2]_. It includes the
        identity, unlike a sigmoid of the probabilities. Of decisions it is scikit-learn's.
    "isotonic"
        The best increasing function [3]_.
    "beta"
        A sigmoid of ``a log(p) - b log(1 - p) + c`` with a and b at least 0 [4]_.
    "prior"
        Undoes a known `pos_weight` w exactly: training with it multiplies the odds by w, so that
        ``p = p' / (p' + w (1 - p'))``. The classifier is fitted once, and `cv` is not used.

    If the training rows of a fold lack a class, the fold's classifier has no score for it. The
    labels of this class in that fold do not count, and for a binary attribute all its labels in
    that fold.

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
    >>> from skattr.calibration import CalibratedMultiOutputCV
    >>> X, y = make_multilabel_classification(400, n_classes=3, random_state=0)
    >>> forest = RandomForestClassifier(20, random_state=0)
    >>> calibrated = CalibratedMultiOutputCV(forest, cv=3).fit(X, y)
    >>> [proba.shape for proba in calibrated.predict_proba(X)]
    [(400, 2), (400, 2), (400, 2)]
    """

    _weighted_part = "calibrators"

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseMultiOutputCV._parameter_constraints,
        "method": [StrOptions(set(METHODS))],
        "pos_weight": [
            Number(Real, 0, None, closed="neither"),
            "array-like",
            Mapping,
            str,
            None,
        ],
        "min_support": [AT_LEAST_1, None],
    }

    def __init__(
        self,
        estimator: BaseEstimator,
        *,
        method: str = "auto",
        pos_weight: Any = None,
        min_support: int | None = None,
        response_method: str = "auto",
        missing_label: Any = None,
        cv: Any = None,
        n_jobs: int | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.estimator = estimator
        self.method = method
        self.pos_weight = pos_weight
        self.min_support = min_support
        self.response_method = response_method
        self.missing_label = missing_label
        self.cv = cv
        self.n_jobs = n_jobs
        self.random_state = random_state

    def _check_parameters(self, encoder: AttributeEncoder) -> None:
        if self.method == "prior":
            find_pos_weight(self)

    def _needs_scores(self) -> bool:
        return self.method != "prior"

    def _needs_positive(self) -> bool:
        return self.method == "prior"

    def _refits(self) -> bool:
        # The rows held out once serve the calibration only, as in CalibratedClassifierCV of a
        # classifier that was fitted on other rows.
        is_float = isinstance(self.cv, Real) and not isinstance(self.cv, Integral)
        return not self._needs_scores() or not is_float

    def _fit_held_out(self, data: HeldOutData) -> None:
        encoder, codes = data.encoder, data.codes
        weights = check_label_weights(
            codes, codes, data.sample_weight, data.label_weight, encoder.output_names_
        )
        if self._needs_scores():
            calibrators, reasons = fit_calibrators(
                data.predictions,
                data.estimator,
                encoder,
                codes,
                weights,
                self.method,
                self.min_support,
            )
        else:
            by_proba = self.response_method != "decision_function"
            is_proba = by_proba and hasattr(data.estimator, "predict_proba")
            pos_weight = find_pos_weight(self)
            calibrators, reasons = fit_prior_calibrators(
                pos_weight, encoder, codes, weights, is_proba
            )
        if reasons:
            listed = "; ".join(f"{name!r}: {reason}" for name, reason in reasons.items())
            warnings.warn(
                f"{len(reasons)} of {len(calibrators)} attributes are not calibrated, because "
                f"they have too few known labels: {listed}.",
                SkattrWarning,
                stacklevel=find_stack_level(),
            )
        self.calibrators_: list[Calibrator] = calibrators
        self._thresholds = np.full(encoder.n_outputs_, _ABOVE_HALF)

    def _transform_scores(self, scores: Scores, unreadable: NDArray[np.bool_]) -> Scores:
        pairs = zip(self.calibrators_, scores_per_output(scores, self.encoder_), strict=True)
        parts = [_calibrate_readable(calibrator, part, unreadable) for calibrator, part in pairs]
        binary = [part for part in parts if part.ndim == 1]
        matrix = np.stack(binary, axis=1) if binary else scores.binary
        return Scores(matrix, tuple(part for part in parts if part.ndim == 2), True)

    def predict_proba(self, X: Any) -> NDArray[Any] | list[NDArray[Any]]:
        """Predict the calibrated probability of each class of each attribute.

        Parameters
        ----------
        X : n rows of the kind given to `fit`

        Returns
        -------
        ndarray of shape (n, n_classes) for one attribute, else a list of them
            Columns are in the order of `classes_`. Unreadable rows are NaN.

        Raises
        ------
        ValueError
            If the classifier's score of a readable row is NaN.
        """
        scores, _ = self._predict_scores(X)
        proba: NDArray[Any] | list[NDArray[Any]] = as_predict_proba(scores, self.encoder_)
        return proba


def _calibrate_readable(
    calibrator: Calibrator, scores: NDArray[Any], unreadable: NDArray[np.bool_]
) -> NDArray[Any]:
    """Return calibrated probabilities, NaN in unreadable rows."""
    if not unreadable.any():
        return calibrator(scores)
    result = np.full(scores.shape, np.nan)
    if not unreadable.all():  # scikit-learn's isotonic regression rejects an empty array
        result[~unreadable] = calibrator(scores[~unreadable])
    return result
