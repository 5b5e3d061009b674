"""From scores, labels and an estimator's parameters to thresholds and what they are worth."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import logit
from sklearn.utils._param_validation import Interval, StrOptions

from skattr._targets.encoder import AttributeEncoder, is_binary
from skattr.exceptions import ThresholdNotTunedWarning
from skattr.model_selection import MultilabelStratifiedKFold
from skattr.thresholds._objectives import OBJECTIVES
from skattr.thresholds._per_label import ThresholdSet
from skattr.thresholds._risk_control import safest
from skattr.thresholds._score_table import ScoreTable
from skattr.thresholds._search import AVERAGES, SearchConfig, evaluate, make_plan, run
from skattr.thresholds._strategies import STRATEGIES

Array = NDArray[Any]
_FOLDS = 5

CONSTRAINTS_OF_PARAMETERS: dict[str, Any] = {
    "objective": [StrOptions(set(OBJECTIVES)), callable],
    "average": [StrOptions(set(AVERAGES))],
    "strategy": [StrOptions(set(STRATEGIES))],
    "constraint": [tuple, list, None],
    "confidence": [Interval(Real, 0, 1, closed="neither"), None],
    "correction": [StrOptions({"bonferroni"}), None],
    "beta": [Interval(Real, 0, None, closed="neither")],
    "costs": [tuple, list],
    "thresholds": [StrOptions({"tune"}), Real, "array-like", Mapping],
    "default_threshold": [Interval(Real, 0, 1, closed="both")],
    "missing_label": "no_validation",
    "n_jobs": [Integral, None],
}


@dataclass(frozen=True)
class TuningResult:
    """Thresholds and what they are worth; arrays have an entry per output, NaN if not binary.

    What cannot be tuned counts with its default threshold, as it will be predicted. A label whose
    known labels do not define the objective, such as F1 without a known positive, is NaN and left
    out of the average, as in the metrics of this package.

    Attributes
    ----------
    thresholds : ndarray of shape (n_outputs,)
    scores, in_sample_scores : ndarray of shape (n_outputs,)
        The objective of each output: of thresholds found on other rows, and of these
        thresholds on the rows they were found on.
    score, in_sample_score : float
        The same as `average` says.
    fold_thresholds : ndarray of shape (n_folds, n_outputs)
    """

    thresholds: NDArray[np.float64]
    scores: NDArray[np.float64]
    in_sample_scores: NDArray[np.float64]
    score: float
    in_sample_score: float
    fold_thresholds: NDArray[np.float64]

    def results(self) -> dict[str, Any]:
        """Return what `cv_results_` tells of it."""
        return {
            "fold_thresholds": self.fold_thresholds,
            "mean_threshold": self.fold_thresholds.mean(axis=0),
            "std_threshold": _spread_of(self.fold_thresholds),
            "out_of_fold_scores": self.scores,
            "in_sample_scores": self.in_sample_scores,
        }


def _spread_of(fold_thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):  # infinite thresholds
        return np.asarray(fold_thresholds.std(axis=0))


def table_of(scores: Array, codes: Array, weights: Array | None) -> ScoreTable:
    """Return a table of binary outputs' scores and codes (-1 unknown)."""
    return ScoreTable(scores, codes.astype(np.int8), weights)


def of_binary(
    weights: NDArray[np.float64] | None, two: NDArray[np.bool_], per_row: bool
) -> NDArray[np.float64] | None:
    """Return the weights of the binary attributes, (n, 1) if they are those of rows."""
    if weights is None or not two.any():
        return None
    return weights.max(axis=1, keepdims=True) if per_row else weights[:, two]


def tune(
    estimator: Any,
    table: ScoreTable,
    encoder: AttributeEncoder,
    is_proba: bool,
    folds: Array | None,
    stacklevel: int,
) -> TuningResult:
    """Find thresholds as an estimator's parameters say.

    Parameters
    ----------
    estimator : ThresholdCalibrator or TunedThresholdMultiOutputCV
    table : ScoreTable
        Of the binary outputs.
    encoder : AttributeEncoder
    is_proba : bool
    folds : ndarray of shape (n,), int, or None
        Rows that are scored by thresholds found on the other rows, -1 for none of them. None
        makes five stratified folds.
    stacklevel : int
        From here to the user's line, for warnings.

    Returns
    -------
    TuningResult
    """
    two = is_binary(encoder)
    names = [name for name, binary in zip(encoder.output_names_, two, strict=True) if binary]
    default = default_threshold(estimator, is_proba)
    if not names:
        nothing = np.full(len(two), np.nan)
        return TuningResult(nothing, nothing, nothing, np.nan, np.nan, nothing[np.newaxis])
    plan = plan_of(estimator, names, is_proba)
    if isinstance(estimator.thresholds, str):
        cuts = run(table, plan)
        _report(cuts, names, plan, default, stacklevel + 1)
        thresholds = _filled(cuts, default)
        if folds is None:
            folds = _make_folds(table)
        per_fold, predicted, scored = _out_of_fold(table, plan, folds, default)
    else:
        thresholds = fixed_thresholds(estimator.thresholds, encoder)[two]
        per_fold = thresholds[np.newaxis]
        predicted, scored = table.scores >= thresholds, np.ones(len(table.scores), dtype=bool)
    known = np.add(*table.support()) > 0
    in_sample = evaluate(table, table.scores >= thresholds, plan, known)
    honest = evaluate(table.rows(scored), predicted[scored], plan, known)
    return TuningResult(
        _spread(thresholds, two),
        _spread(honest[0], two),
        _spread(in_sample[0], two),
        honest[1],
        in_sample[1],
        _spread(per_fold, two),
    )


def plan_of(estimator: Any, names: list[Any], is_proba: bool = True) -> SearchConfig:
    """Return the plan that an estimator's parameters make for binary outputs."""
    return make_plan(
        estimator.objective,
        len(names),
        average=estimator.average,
        strategy=estimator.strategy,
        constraint=estimator.constraint,
        confidence=estimator.confidence,
        correction=estimator.correction,
        beta=estimator.beta,
        costs=estimator.costs,
        is_proba=is_proba,
        n_jobs=estimator.n_jobs,
        names=names,
    )


def check_before_fit(estimator: Any, encoder: AttributeEncoder) -> None:
    """Raise for what is wrong with the parameters before any classifier is fitted.

    `encoder` is that of y; the classifier may declare more classes, so only what does not
    depend on which outputs are binary is held against it.
    """
    two = is_binary(encoder)
    names = [name for name, binary in zip(encoder.output_names_, two, strict=True) if binary]
    per_label = [estimator.costs] if not isinstance(estimator.costs, tuple | list) else []
    per_label += list(estimator.costs) if not per_label else []
    per_label += list(estimator.constraint or [])[1:]
    if names and all(np.ndim(value) == 0 and not isinstance(value, Mapping) for value in per_label):
        plan_of(estimator, names)
    if len(names) == len(two):
        may_be_proba = estimator.response_method != "decision_function"
        check_fixed(
            estimator.thresholds,
            encoder,
            may_be_proba and hasattr(estimator.estimator, "predict_proba"),
        )


def check_fixed(given: Any, encoder: AttributeEncoder, is_proba: bool) -> None:
    """Raise for thresholds that are given and invalid; `is_proba` is that of their scores.

    A hair above 1 is valid: tuning takes it where nothing is to be positive.
    """
    if isinstance(given, str):
        return
    values = fixed_thresholds(given, encoder)
    outside = (values < 0) | (values > safest(False, True))
    if is_proba and outside.any():
        j = int(outside.argmax())
        raise ValueError(
            f"thresholds: that of output {encoder.output_names_[j]!r} is {values[j]:g}; those of "
            "probabilities must lie in [0, 1], and only those of decisions "
            "(response_method='decision_function') may be any number."
        )


def default_threshold(estimator: Any, is_proba: bool) -> float:
    """Return the default threshold on the scale of the scores."""
    value = float(estimator.default_threshold)
    return value if is_proba else float(logit(value))


def fixed_thresholds(given: Any, encoder: AttributeEncoder) -> NDArray[np.float64]:
    """Read thresholds that are given, one per output; NaN for those that are not binary.

    Parameters
    ----------
    given : float, dict by name, or array-like
        One for all binary outputs; by name; one per output, NaN where it is not binary; or one
        per binary output.
    encoder : AttributeEncoder

    Raises
    ------
    ValueError
        If there are more or fewer, or one is missing.
    """
    two = is_binary(encoder)
    names = encoder.output_names_
    binary = [name for name, is_two in zip(names, two, strict=True) if is_two]
    if isinstance(given, pd.Series) and set(given.index) == set(binary):
        given = given.to_dict()
    if isinstance(given, Mapping):
        lacking = [name for name in binary if name not in given]
        strange = [name for name in given if name not in binary]
        if lacking or strange:
            wrong = [f"{lacking} are lacking"] * bool(lacking)
            wrong += [f"{strange} are no binary outputs"] * bool(strange)
            raise ValueError(
                f"thresholds by name must name all binary outputs and no others: "
                f"{', and '.join(wrong)}; the binary outputs are {binary}."
            )
        values = np.array([given[name] for name in binary], dtype=np.float64)
    else:
        values = np.asarray(given, dtype=np.float64)
    if values.ndim == 0:
        values = np.full(len(binary), float(values))
    if values.shape == two.shape and not two.all():
        if not np.isnan(values[~two]).all():
            raise ValueError(
                "thresholds must be NaN for outputs that are not binary: "
                f"{[name for name in names if name not in binary]}."
            )
        values = values[two]
    if values.shape != (len(binary),):
        raise ValueError(
            f"thresholds must be 'tune', a number, or one number for each of the {len(binary)} "
            f"binary output(s) {binary}; got the shape {values.shape}."
        )
    if np.isnan(values).any():
        raise ValueError(f"The threshold of {binary[int(np.isnan(values).argmax())]!r} is NaN.")
    return _spread(values, two)


def _spread(values: Array, two: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Put values of binary outputs among those of all outputs."""
    result = np.full((*values.shape[:-1], len(two)), np.nan)
    result[..., two] = values
    return result


def _filled(cuts: ThresholdSet, default: float) -> NDArray[np.float64]:
    return np.where(np.isnan(cuts.thresholds), default, cuts.thresholds)


def _report(
    cuts: ThresholdSet, names: list[Any], plan: SearchConfig, default: float, stacklevel: int
) -> None:
    """Warn of the outputs that have no threshold of their own, or raise if none has."""
    if not cuts.failed:
        return
    reasons = "; ".join(f"{names[label]!r}: {reason}" for label, reason in cuts.failed.items())
    if plan.confidence is not None:
        warnings.warn(
            f"No threshold is guaranteed with confidence {plan.confidence:g} for {reasons}. The "
            "safest threshold is used.",
            ThresholdNotTunedWarning,
            stacklevel=stacklevel,
        )
        return
    if len(cuts.failed) == len(names):
        raise ValueError(f"No threshold can be tuned: {reasons}.")
    warnings.warn(
        f"The default threshold {default:g} is used for {reasons}.",
        ThresholdNotTunedWarning,
        stacklevel=stacklevel,
    )


def _make_folds(table: ScoreTable) -> NDArray[np.intp]:
    """Put the rows that have a label and a score into stratified folds."""
    known = table.known()
    n = len(table.scores)
    rows = np.arange(n) if known is None else np.flatnonzero(known.any(axis=1))
    folds = np.full(n, -1, dtype=np.intp)
    if len(rows) < _FOLDS:
        folds[rows] = np.arange(len(rows))
        return folds
    labels: Array = table.is_positive()[rows]
    if known is not None:
        labels = np.where(known[rows], labels, np.nan)
    splitter = MultilabelStratifiedKFold(_FOLDS, shuffle=True, random_state=0)
    for number, (_, test) in enumerate(splitter.split(labels, labels)):
        folds[rows[test]] = number
    return folds


def _out_of_fold(
    table: ScoreTable, plan: SearchConfig, folds: Array, default: float
) -> tuple[NDArray[np.float64], Array, Array]:
    """Return thresholds per fold, found on the other folds, and what they predict.

    Returns
    -------
    fold_thresholds : ndarray of shape (n_folds, n_labels)
    predicted : ndarray of shape (n, n_labels), bool
    scored : ndarray of shape (n,), bool
        Rows of some fold.
    """
    predicted = np.zeros(table.scores.shape, dtype=bool)
    per_fold = []
    for fold in range(int(folds.max()) + 1):
        others, rows = (folds >= 0) & (folds != fold), folds == fold
        thresholds = np.full(table.n_labels, default)
        if others.any():
            thresholds = _filled(run(table.rows(others), plan), default)
        predicted[rows] = table.scores[rows] >= thresholds
        per_fold.append(thresholds)
    return np.array(per_fold), predicted, folds >= 0
