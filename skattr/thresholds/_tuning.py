"""Tuning as the meta-estimators do it: thresholds and their cross-validated score."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit
from sklearn.utils._param_validation import StrOptions

from skattr._multioutput.scores import Scores
from skattr._targets.codes import row_blocks
from skattr._targets.encoder import AttributeEncoder, is_binary
from skattr._targets.weights import check_label_weights
from skattr._utils.parameters import Number
from skattr._utils.warnings import find_stack_level
from skattr.exceptions import ThresholdNotTunedWarning
from skattr.model_selection import MultilabelStratifiedGroupKFold, MultilabelStratifiedKFold
from skattr.thresholds._fixed import (
    FixedThresholds,
    check_fixed_thresholds,
    expand_to_outputs,
    read_fixed_thresholds,
)
from skattr.thresholds._fold_search import can_search_folds, search_folds
from skattr.thresholds._objectives import OBJECTIVES, Objective
from skattr.thresholds._per_label import ThresholdSet
from skattr.thresholds._risk_control import warn_independence
from skattr.thresholds._score_table import ScoreTable, group_column
from skattr.thresholds._search import (
    AVERAGES,
    SearchConfig,
    evaluate,
    evaluate_found,
    make_search_config,
    search_thresholds,
)
from skattr.thresholds._strategies import STRATEGIES

Floats = NDArray[np.float64]
Folds = NDArray[np.intp]
_N_FOLDS = 5
# Known labels of each class from which random folds are as even as stratified ones, which take
# longer than the search.
_ENOUGH_FOR_RANDOM_FOLDS = 50

TUNING_CONSTRAINTS: dict[str, Any] = {
    "objective": [StrOptions(set(OBJECTIVES)), callable],
    "average": [StrOptions(set(AVERAGES))],
    "strategy": [StrOptions(set(STRATEGIES))],
    "constraint": [tuple, list, None],
    "confidence": [Number(Real, 0, 1, closed="neither"), None],
    "correction": [StrOptions({"bonferroni"}), None],
    "beta": [Number(Real, 0, None, closed="neither")],
    "costs": [tuple, list],
    "thresholds": [
        StrOptions({"tune"}),
        Number(Real, None, None, closed="neither"),
        "array-like",
        Mapping,
    ],
    "default_threshold": [Number(Real, 0, 1, closed="both")],
    "cross_validate": ["boolean"],
}


class TuningParameters(Protocol):
    """Parameters of ThresholdCalibrator and TunedThresholdMultiOutputCV that tuning reads."""

    objective: str | Callable[..., float]
    average: str
    strategy: str
    constraint: tuple[str, Any] | None
    confidence: float | None
    correction: str | None
    beta: float
    costs: tuple[Any, Any]
    thresholds: FixedThresholds | str
    default_threshold: float
    n_jobs: int | None
    cross_validate: bool


@dataclass(frozen=True)
class TuningResult:
    """Thresholds and their scores; arrays have an entry per output, NaN if it is not binary.

    An output that cannot be tuned counts with its default threshold, which `predict` uses too. If
    the known labels of an output do not define the objective, such as F1 without a known positive,
    its score is NaN and left out of the average, as in the metrics of this package.

    Attributes
    ----------
    thresholds : ndarray of shape (n_outputs,)
    scores : ndarray of shape (n_outputs,)
        Cross-validated objective of each output: each fold is predicted with thresholds found
        on the other folds.
    in_sample_scores : ndarray of shape (n_outputs,)
        Objective of each output on the rows its threshold was found on (optimistically biased).
    score, in_sample_score : float
        The same, averaged according to `average`.
    fold_thresholds : ndarray of shape (n_folds, n_outputs)
    """

    thresholds: Floats
    scores: Floats
    in_sample_scores: Floats
    score: float
    in_sample_score: float
    fold_thresholds: Floats


class TuningResultMixin:
    """Fitted attributes of an estimator that has tuned thresholds."""

    best_threshold_: float | Floats
    best_score_: float
    in_sample_score_: float
    cv_results_: dict[str, Any]
    _thresholds: Floats

    def _set_tuning_result(self, result: TuningResult) -> None:
        self._thresholds = result.thresholds
        is_single = len(result.thresholds) == 1
        self.best_threshold_ = float(result.thresholds[0]) if is_single else result.thresholds
        self.best_score_ = result.score
        self.in_sample_score_ = result.in_sample_score
        mean, spread = np.full((2, len(result.thresholds)), np.nan)
        if len(result.fold_thresholds):
            with np.errstate(invalid="ignore"):  # thresholds may be infinite
                mean, spread = (
                    result.fold_thresholds.mean(axis=0),
                    result.fold_thresholds.std(axis=0),
                )
        self.cv_results_ = {
            "fold_thresholds": result.fold_thresholds,
            "mean_threshold": mean,
            "std_threshold": spread,
            "cross_validated_scores": result.scores,
            "in_sample_scores": result.in_sample_scores,
        }


def make_table(
    scores: Scores,
    codes: NDArray[np.int64],
    encoder: AttributeEncoder,
    sample_weight: Any,
    label_weight: Any,
    groups: Any = None,
) -> ScoreTable:
    """Return the score table of the binary outputs; codes are -1 if missing."""
    binary = is_binary(encoder)
    weights = None
    if binary.any() and (sample_weight is not None or label_weight is not None):
        weights = check_label_weights(
            codes, codes, sample_weight, label_weight, encoder.output_names_
        )
        # Row weights stay one column: average="samples" rejects weights per label.
        per_row = label_weight is None
        weights = weights.max(axis=1, keepdims=True) if per_row else weights[:, binary]
    number = group_column(groups, len(codes))
    labels = codes if binary.all() else codes[:, binary]
    labels = labels.astype(np.int8, copy=False)
    if labels.size and labels.min() >= 0:  # bools spare a comparison of every entry
        labels = labels.view(np.bool_)
    return ScoreTable(scores.binary, labels, weights, groups=number)


def tune(
    params: TuningParameters,
    table: ScoreTable,
    encoder: AttributeEncoder,
    is_proba: bool,
    folds: Folds | None = None,
) -> TuningResult:
    """Find thresholds, or evaluate fixed ones, according to `params`.

    Parameters
    ----------
    params : ThresholdCalibrator or TunedThresholdMultiOutputCV
    table : ScoreTable
        Score table of the binary outputs.
    encoder : AttributeEncoder
    is_proba : bool
        Whether the scores are probabilities.
    folds : ndarray of shape (n,), int, or None
        Fold of each row for the cross-validated score, -1 for a row in no fold. None makes five
        stratified folds.

    Returns
    -------
    TuningResult
    """
    binary = is_binary(encoder)
    names = _binary_names(encoder)
    default = _default_threshold(params, is_proba)
    if not names:
        nan = np.full(len(binary), np.nan)
        return TuningResult(nan, nan, nan, np.nan, np.nan, nan[np.newaxis])
    config = _search_config(params, names, is_proba)
    if isinstance(params.thresholds, str):
        warn_independence(params.confidence, table.groups)
        at_once = None
        if folds is None and params.cross_validate:
            folds = _make_folds(table)
            at_once = _search_folds_at_once(table, config, folds)
        if at_once is None:
            found = search_thresholds(table, config)
        else:  # rows in no fold have no label
            found = _as_threshold_set(at_once[-1], table)
        _report_untuned(found, names, config, default)
        thresholds = _fill_default(found, default)
        if not params.cross_validate:
            return _in_sample_result(table, found, thresholds, config, binary)
        assert folds is not None
        fold_thresholds, predicted = _predict_out_of_fold(table, config, folds, default, at_once)
        in_fold = folds >= 0
    else:
        thresholds = read_fixed_thresholds(params.thresholds, encoder)[binary]
        fold_thresholds = thresholds[np.newaxis]
        # Fixed thresholds do not depend on the labels, so every row is out of sample.
        predicted = table.scores >= thresholds
        in_fold = np.ones(len(table.scores), dtype=bool)
    has_label = np.add(*table.support()) > 0
    in_sample = evaluate(table, table.scores >= thresholds, config, has_label)
    # Counts are summed over folds first: the F1 of a fold without positives is undefined.
    if not in_fold.all():
        table, predicted = table.rows(in_fold), predicted[in_fold]
    cross_validated = evaluate(table, predicted, config, has_label)
    return TuningResult(
        expand_to_outputs(thresholds, binary),
        expand_to_outputs(cross_validated[0], binary),
        expand_to_outputs(in_sample[0], binary),
        cross_validated[1],
        in_sample[1],
        expand_to_outputs(fold_thresholds, binary),
    )


def _in_sample_result(
    table: ScoreTable,
    found: ThresholdSet,
    thresholds: Floats,
    config: SearchConfig,
    binary: NDArray[np.bool_],
) -> TuningResult:
    """Return thresholds without a cross-validated score."""
    if found.failed:
        has_label = np.add(*table.support()) > 0
        values, value = evaluate(table, table.scores >= thresholds, config, has_label)
    else:
        values, value = evaluate_found(table, found, config)
    nothing = np.full(len(binary), np.nan)
    return TuningResult(
        expand_to_outputs(thresholds, binary),
        nothing,
        expand_to_outputs(values, binary),
        float("nan"),
        value,
        np.empty((0, len(binary))),
    )


def check_tuning_parameters(
    params: TuningParameters, encoder: AttributeEncoder, may_be_proba: bool
) -> None:
    """Raise for invalid parameters before any classifier is fitted.

    Parameters
    ----------
    params : TunedThresholdMultiOutputCV
    encoder : AttributeEncoder
        Encoder fitted on y. The classifier may declare classes that y lacks, so which outputs are
        binary is only known after the fit; checks that depend on it run then.
    may_be_proba : bool
        Whether the scores will be probabilities.
    """
    names = _binary_names(encoder)
    costs = params.costs if isinstance(params.costs, tuple | list) else [params.costs]
    per_label = [*costs, *(params.constraint or [])[1:]]
    if names and all(np.ndim(value) == 0 and not isinstance(value, Mapping) for value in per_label):
        _search_config(params, names, is_proba=True)
    if len(names) == encoder.n_outputs_:
        check_fixed_thresholds(params.thresholds, encoder, may_be_proba)


def _binary_names(encoder: AttributeEncoder) -> list[Any]:
    pairs = zip(encoder.output_names_, is_binary(encoder), strict=True)
    return [name for name, binary in pairs if binary]


def _search_config(params: TuningParameters, names: list[Any], is_proba: bool) -> SearchConfig:
    return make_search_config(
        params.objective,
        len(names),
        average=params.average,
        strategy=params.strategy,
        constraint=params.constraint,
        confidence=params.confidence,
        correction=params.correction,
        beta=params.beta,
        costs=params.costs,
        is_proba=is_proba,
        n_jobs=params.n_jobs,
        names=names,
    )


def _default_threshold(params: TuningParameters, is_proba: bool) -> float:
    """Return the default threshold on the scale of the scores."""
    value = float(params.default_threshold)
    return value if is_proba else float(logit(value))


def _fill_default(found: ThresholdSet, default: float) -> Floats:
    return np.where(np.isnan(found.thresholds), default, found.thresholds)


def _report_untuned(
    found: ThresholdSet, names: list[Any], config: SearchConfig, default: float
) -> None:
    """Warn about outputs that could not be tuned, or raise if none could."""
    if not found.failed:
        return
    reasons = "; ".join(f"{names[label]!r}: {reason}" for label, reason in found.failed.items())
    if config.confidence is not None:
        message = (
            "No threshold satisfies the constraint with confidence "
            f"{config.confidence:g} for {reasons}. The most conservative threshold is used."
        )
    elif len(found.failed) == len(names):
        raise ValueError(f"No threshold can be tuned: {reasons}.")
    else:
        message = f"The default threshold {default:g} is used for {reasons}."
    warnings.warn(message, ThresholdNotTunedWarning, stacklevel=find_stack_level())


def _make_folds(table: ScoreTable) -> Folds:
    """Return stratified folds of the rows that have a label and a score, -1 for the others."""
    known = table.known()
    n = len(table.scores)
    rows = np.arange(n) if known is None else np.flatnonzero(known.any(axis=1))
    folds = np.full(n, -1, dtype=np.intp)
    if len(rows) < _N_FOLDS:
        folds[rows] = np.arange(len(rows))
        return folds
    n_positive, n_negative = table.support()
    if table.groups is None and min(n_positive.min(), n_negative.min()) >= _ENOUGH_FOR_RANDOM_FOLDS:
        folds[rows] = np.random.default_rng(0).permutation(len(rows)) % _N_FOLDS
        return folds
    labels: NDArray[Any] = table.is_positive()[rows]
    if known is not None:
        labels = np.where(known[rows], labels, np.nan)
    # Fixed seed: the folds affect only the score, not the thresholds.
    groups = None if table.groups is None else table.groups[rows, 0]
    if groups is not None and len(np.unique(groups)) < _N_FOLDS:
        raise ValueError(
            f"The cross-validated score needs at least {_N_FOLDS} groups with a known label; got "
            f"{len(np.unique(groups))}."
        )
    kind = MultilabelStratifiedKFold if groups is None else MultilabelStratifiedGroupKFold
    splitter = kind(_N_FOLDS, shuffle=True, random_state=0)
    for fold, (_, test) in enumerate(splitter.split(labels, labels, groups)):
        folds[rows[test]] = fold
    return folds


def _search_folds_at_once(table: ScoreTable, config: SearchConfig, folds: Folds) -> Floats | None:
    """Return the result of :func:`search_folds`, None if it is not one of its searches."""
    table, objective = table.without_scale(), config.objective
    if not isinstance(objective, Objective) or objective.constraint is not None:
        return None
    if (config.average, config.strategy) != ("macro", "exact"):
        return None
    return search_folds(table, objective, folds) if can_search_folds(table, folds) else None


def _as_threshold_set(thresholds: Floats, table: ScoreTable) -> ThresholdSet:
    failed = np.flatnonzero(np.isnan(thresholds)).tolist()
    reasons = {label: table.untunable_reason(label) for label in failed}
    return ThresholdSet(thresholds, np.full((4, len(thresholds)), np.nan), reasons)


def _predict_out_of_fold(
    table: ScoreTable, config: SearchConfig, folds: Folds, default: float, at_once: Floats | None
) -> tuple[Floats, NDArray[np.bool_]]:
    """Predict the rows of each fold with thresholds found on the other folds.

    Returns
    -------
    fold_thresholds : ndarray of shape (n_folds, n_labels)
    predicted : ndarray of shape (n, n_labels), bool
        False for rows in no fold.
    """
    if at_once is None:
        at_once = _search_folds_at_once(table, config, folds)
    if at_once is not None:
        fold_thresholds = np.where(np.isnan(at_once[:-1]), default, at_once[:-1])
    else:
        fold_thresholds = np.full((int(folds.max()) + 1, table.n_labels), default)
        for fold, thresholds in enumerate(fold_thresholds):
            others = (folds >= 0) & (folds != fold)
            if others.any():
                found = search_thresholds(table.rows(others), config)
                thresholds[:] = _fill_default(found, default)
    predicted = np.zeros(table.scores.shape, dtype=bool)
    for rows in row_blocks(len(folds)):
        # A row in no fold gets any threshold here, and is not predicted.
        np.greater_equal(table.scores[rows], fold_thresholds[folds[rows]], out=predicted[rows])
    predicted[folds < 0] = False
    return fold_thresholds, predicted
