"""Tuned thresholds as the last step of a Pipeline."""

import warnings
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin, _fit_context
from sklearn.utils import Tags
from sklearn.utils.validation import check_consistent_length, check_is_fitted, validate_data

from skattr._multioutput.class_order import warn_class_order
from skattr._multioutput.classes import classes_of_columns, score_names
from skattr._multioutput.predictor import LabelPredictorMixin
from skattr._multioutput.scores import (
    Scores,
    align_scores,
    apply_thresholds,
    as_predict_proba,
    check_no_nan,
    looks_like_proba,
    select_public,
)
from skattr._multioutput.unreadable import rows_of_nan
from skattr._targets.alignment import align_rows, column_names_of, column_order, is_numbered
from skattr._targets.columns import read_labels, reject_masked
from skattr._targets.encoder import UNKNOWN, AttributeEncoder, is_binary, warn_labels
from skattr._utils.parameters import N_JOBS
from skattr._utils.tensors import detached
from skattr._utils.warnings import find_stack_level
from skattr.exceptions import BadImageWarning
from skattr.thresholds._fixed import FixedThresholds
from skattr.thresholds._tuning import (
    TUNING_CONSTRAINTS,
    TuningResultMixin,
    make_table,
    tune,
)


class ThresholdCalibrator(
    TuningResultMixin, LabelPredictorMixin, ClassifierMixin, TransformerMixin, BaseEstimator
):
    """Classify scores with a tuned threshold for each binary attribute.

    It follows a classifier in a Pipeline whose transform returns scores of rows it was not
    trained on, such as ``AttributeClassifier(cross_fit=5)``. An attribute that is not binary is
    predicted as the class with the highest score.

    Parameters
    ----------
    objective : str or callable, default="f1"
        Metric that the thresholds maximize. See :func:`skattr.thresholds.find_thresholds` for
        its values and those of the next parameters.
    average : {"macro", "micro", "samples", "global"}, default="macro"
        Whether each label is tuned by itself or all labels together.
    strategy : {"auto", "exact", "plugin", "shrunk"}, default="auto"
        How closely a threshold follows the labels it is found on. "auto" averages "exact" and
        "plugin" by the number of positives, as neither is better everywhere.
    constraint : (name, bound), default=None
        Constraint on the thresholds, such as ``("recall", 0.95)``.
    confidence : float, default=None
        Probability with which a threshold must satisfy the constraint on new data. It holds if
        scores are those of rows that the classifier has not seen, labels are missing at random,
        and rows are independent, or else the `groups` given to `fit`.
    correction : {None, "bonferroni"}, default=None
        Whether `confidence` holds for each label, or for all labels at once.
    beta : float, default=1.0
        Weight of recall if the objective is "fbeta".
    costs : pair of float or array-like, default=(1.0, 1.0)
        Costs of a false positive and of a false negative if the objective is "cost".
    thresholds : "tune", float, array-like or dict, default="tune"
        Fixed thresholds, which are evaluated instead of tuned: one for all attributes, one per
        binary attribute, one per attribute (NaN if it is not binary), or a dict that names each
        binary attribute.
    default_threshold : float, default=0.5
        Threshold of labels that cannot be tuned, as a probability. For log odds, its logit is
        used.
    attributes, missing_label : default=None
        Declaration of y, see :class:`skattr.AttributeEncoder`. They must be those of the
        classifier the scores come from: among several attributes, the order of ordinal levels is
        that of their columns if these have no names.
    cross_validate : bool, default=True
        Whether to compute the cross-validated score, which takes most of the time of `fit`. If
        False, `best_score_` is NaN.
    n_jobs : int, default=None
        Number of threads.

    Attributes
    ----------
    best_threshold_ : float, or ndarray of shape (n_outputs,) if there are several attributes
        ``score >= threshold`` is positive. NaN for attributes that are not binary.
    best_score_ : float
        Cross-validated objective: the rows of each of five folds are predicted with thresholds
        found on the other folds.
    in_sample_score_ : float
        Objective on the scores that the thresholds were found on (optimistically biased).
    cv_results_ : dict
        "fold_thresholds" of shape (n_folds, n_outputs) with their "mean_threshold" and
        "std_threshold" of shape (n_outputs,); "cross_validated_scores" and "in_sample_scores"
        of shape (n_outputs,), the objective of each attribute. A label that cannot be tuned
        counts with the default threshold. NaN for attributes that are not binary, and where the
        known labels do not define the objective, such as F1 without a known positive; averages
        leave these out.
    classes_ : ndarray, or list of ndarray if there are several attributes
        Class labels.
    n_outputs_ : int
        Number of attributes.
    output_names_ : list
        Names of the attributes.
    encoder_ : AttributeEncoder
        Converts between the labels of y and class codes.
    n_features_in_ : int
        Number of columns of the scores, if they are one table.

    See Also
    --------
    TunedThresholdMultiOutputCV : Also computes the out-of-fold scores.

    Notes
    -----
    Scores are probabilities if all scores given to `fit` lie between 0 and 1. Otherwise they are
    log odds.

    A row without any score is that of an unreadable image, as returned by a classifier with
    ``on_bad_image="warn"``. Its predicted labels are missing, with a
    :class:`~skattr.exceptions.BadImageWarning`.

    Examples
    --------
    >>> import numpy as np
    >>> from skattr.thresholds import ThresholdCalibrator
    >>> rng = np.random.default_rng(0)
    >>> y = rng.random((500, 2)) < [0.3, 0.1]
    >>> scores = rng.beta(1 + 2 * y, 5)
    >>> calibrator = ThresholdCalibrator("f1").fit(scores, y)
    >>> calibrator.best_threshold_.round(2)
    array([0.23, 0.36])
    >>> calibrator.predict(scores).shape
    (500, 2)
    """

    # The order in which columns of X belong to y, None if it is their own.
    _order: list[int] | None

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **TUNING_CONSTRAINTS,
        "missing_label": "no_validation",
        "n_jobs": N_JOBS,
        "attributes": [Mapping, None],
    }

    def __init__(
        self,
        objective: str | Callable[..., float] = "f1",
        *,
        average: str = "macro",
        strategy: str = "auto",
        constraint: tuple[str, Any] | None = None,
        confidence: float | None = None,
        correction: str | None = None,
        beta: float = 1.0,
        costs: tuple[Any, Any] = (1.0, 1.0),
        thresholds: FixedThresholds | str = "tune",
        default_threshold: float = 0.5,
        attributes: Mapping[Any, Any] | None = None,
        missing_label: Any = None,
        cross_validate: bool = True,
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
        self.missing_label = missing_label
        self.cross_validate = cross_validate
        self.n_jobs = n_jobs

    def __sklearn_tags__(self) -> Tags:
        """Declare valid X and y."""
        tags = super().__sklearn_tags__()
        tags.target_tags.single_output = True
        tags.target_tags.multi_output = True
        tags.classifier_tags.multi_label = True
        tags.transformer_tags.preserves_dtype = []
        return tags

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        label_weight: Any = None,
        groups: Any = None,
    ) -> Self:
        """Find the thresholds.

        Parameters
        ----------
        X : scores of n rows
            An array-like of shape (n, n_columns) with a column per binary attribute and one per
            class of the others, as ``AttributeClassifier.transform`` returns; or a list of
            (n, n_classes) arrays, one per attribute, as ``predict_proba`` returns. Columns of a
            DataFrame are matched with the attributes and classes of y by name. Columns of an
            array have the order of y, those of a single attribute the sorted order of its
            classes. Entries that are NaN do not count: ``cross_fit=0.2`` has scores for a part
            of the rows only.
        y : array-like of shape (n,) or (n, n_outputs), Series or DataFrame
            Labels. NaN, None and pandas.NA are missing labels.
        sample_weight : array-like of shape (n,), default=None
            Weight of each row.
        label_weight : array-like of shape (n, n_outputs), default=None
            Weight of each label, multiplied with `sample_weight`.
        groups : array-like of shape (n,), default=None
            Rows of one group, such as the images of one person, need not be independent: they are
            in one fold of the cross-validated score, and `confidence` holds for groups.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter, score or label is invalid, or no label can be tuned.

        Warns
        -----
        ThresholdNotTunedWarning
            If a label cannot be tuned.
        AssumptionWarning
            If `confidence` is given without `groups`.
        LabelWarning, PositiveLevelWarning
            As :meth:`skattr.AttributeEncoder.fit`.
        """
        X, y, sample_weight, label_weight, groups = align_rows(
            X=X, y=y, sample_weight=sample_weight, label_weight=label_weight, groups=groups
        )
        encoder = AttributeEncoder(self.attributes, self.missing_label)
        codes = encoder.fit_small_codes(read_labels(y, self.missing_label))
        warn_labels(encoder, constant=False)  # ThresholdNotTunedWarning names constant columns
        # validate_data sets n_features_in_ on this probe: a fit that fails must not change self.
        probe = ThresholdCalibrator()
        probe._order = _column_order(X, encoder)
        scores = self._read(X, encoder, probe)
        check_consistent_length(scores, codes)
        warn_class_order(scores, codes, encoder)
        table = make_table(scores, codes, encoder, sample_weight, label_weight, groups)
        self._set_tuning_result(tune(self, table, encoder, scores.is_proba))
        self._set_outputs(encoder, probe)
        self._is_proba = scores.is_proba
        self._order = probe._order
        return self

    def _read(
        self, X: Any, encoder: AttributeEncoder, probe: "ThresholdCalibrator | None" = None
    ) -> Scores:
        """Read X as scores; in `fit`, `probe` stores its number and names of columns."""
        X = detached(X)
        reject_masked(X, "X")
        classes = None
        if isinstance(X, list | tuple) and len(X) and all(np.ndim(part) == 2 for part in X):
            parts: Any = [np.asarray(part) for part in X]
            classes = classes_of_columns(parts, encoder, X)
        else:
            owner: Any = self if probe is None else probe
            array = validate_data(
                owner,
                X,
                reset=probe is not None,
                dtype=[np.float64, np.float32],
                ensure_all_finite=False,
            )
            # scikit-learn has checked that a DataFrame has the columns of fit in their order.
            array = array if owner._order is None else array[:, owner._order]
            parts = split_columns(array, encoder)
            classes = classes_of_columns(array, encoder, None)
            if len(parts) == array.shape[1] > 1 and is_binary(encoder).all():
                parts = array  # spares a copy
        scores = align_scores(parts, True, encoder, classes)
        is_proba = self._is_proba if probe is None else _are_probabilities(scores)
        return Scores(scores.binary, scores.others, is_proba)

    def __sklearn_is_fitted__(self) -> bool:
        """Whether a fit has succeeded."""
        return hasattr(self, "best_threshold_")

    def _scores(self, X: Any) -> tuple[Scores, NDArray[np.bool_]]:
        """Return the scores and a mask of the rows without any."""
        check_is_fitted(self)
        scores = self._read(X, self.encoder_)
        unreadable = rows_of_nan(scores)
        check_no_nan(scores, "Input X contains NaN: a score", but=unreadable)
        if unreadable.any():
            # A classifier warns of unreadable images itself, but scores may come from a file.
            warnings.warn(
                f"{unreadable.sum()} of the {len(unreadable)} row(s) of X, the first of them row "
                f"{unreadable.argmax()}, have no score; their predicted labels are missing.",
                BadImageWarning,
                stacklevel=find_stack_level(),
            )
        return scores, unreadable

    def _predict_codes(self, X: Any) -> NDArray[np.int64]:
        scores, unreadable = self._scores(X)
        codes = apply_thresholds(scores, self._thresholds, self.encoder_)
        codes[unreadable] = UNKNOWN
        return codes

    def predict_proba(self, X: Any) -> NDArray[Any] | list[NDArray[Any]]:
        """Return the scores in the form of a classifier's `predict_proba`.

        Parameters
        ----------
        X : scores as for `fit`, of which a row has all or none

        Returns
        -------
        ndarray of shape (n, n_classes) for one attribute, else a list of them

        Raises
        ------
        ValueError
            If the scores are not probabilities.
        """
        scores, _ = self._scores(X)
        if not scores.is_proba:
            raise ValueError("The scores are log odds, but predict_proba needs probabilities.")
        proba: NDArray[Any] | list[NDArray[Any]] = as_predict_proba(scores, self.encoder_)
        return proba

    def transform(self, X: Any) -> NDArray[Any]:
        """Return the scores, minus their thresholds if they are binary.

        Parameters
        ----------
        X : scores as for `fit`, of which a row has all or none

        Returns
        -------
        ndarray of shape (n, n_columns)
            Score minus threshold of each binary attribute, and the scores of the classes of each
            other attribute; see :meth:`get_feature_names_out`.
        """
        scores, _ = self._scores(X)
        binary = is_binary(self.encoder_)
        margins = iter((scores.binary - self._thresholds[binary]).T)
        others = iter(scores.others)
        parts = [next(margins)[:, np.newaxis] if flag else next(others) for flag in binary]
        if len(parts) == 1 and not binary[0]:
            return select_public(parts[0], self.encoder_)
        return np.concatenate(parts, axis=1)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Return the names of the columns of `transform`: "hat", "gender=Women" or "color=red".

        Parameters
        ----------
        input_features : ignored

        Returns
        -------
        ndarray of shape (n_columns,), object
        """
        check_is_fitted(self)
        return score_names(self.encoder_)


def _column_order(X: Any, encoder: AttributeEncoder) -> list[int] | None:
    """Return the positions of the columns of scores that y's attributes and classes have by name.

    Raises
    ------
    ValueError
        If X and y are DataFrames, and X has other columns.
    """
    own, given = score_names(encoder).tolist(), column_names_of(X)
    if given is None:
        return None
    texts = sorted(map(str, given))
    classes = [] if encoder.n_outputs_ > 1 else np.sort(encoder.classes_[0]).tolist()
    # Columns are named by `transform`, or as in y, or, for a single attribute, by its classes.
    for names in (own, encoder.output_names_, classes):
        if texts == sorted(map(str, names)):
            return column_order(given, names, "X", "y")
    is_named = not is_numbered(encoder.output_names_) and encoder.n_outputs_ > 1
    return column_order(given, own, "X", "the scores of y") if is_named else None


def split_columns(array: NDArray[Any], encoder: AttributeEncoder) -> list[NDArray[Any]]:
    """Split a table of scores into the columns of each attribute."""
    binary = is_binary(encoder)
    widths = [
        1 if flag else len(classes) for flag, classes in zip(binary, encoder.classes_, strict=True)
    ]
    if len(widths) == 1 and binary[0] and array.shape[1] == 2:
        return [array]
    if array.shape[1] != sum(widths):
        raise ValueError(
            f"The scores have {array.shape[1]} column(s), but y needs {sum(widths)}: one per "
            "binary attribute, one per class of the others; the attributes "
            f"{encoder.output_names_} need {widths}."
        )
    return np.split(array, np.cumsum(widths)[:-1], axis=1)


def _are_probabilities(scores: Scores) -> bool:
    parts = [part for part in (scores.binary, *scores.others) if part.size]
    return all(looks_like_proba(part) for part in parts)
