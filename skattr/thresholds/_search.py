"""Threshold search over all labels at once, as pure functions of labels and scores."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skattr._multioutput.scores import looks_like_proba
from skattr.thresholds._joint import check_pooled, joint_thresholds
from skattr.thresholds._metric_grid import grid_thresholds, metric_values
from skattr.thresholds._objectives import OBJECTIVES, Objective, make_objective
from skattr.thresholds._per_label import ThresholdSet, collect, counts_of, per_label_thresholds
from skattr.thresholds._risk_control import (
    CERTIFIABLE,
    certified_thresholds,
    warn_independence,
)
from skattr.thresholds._samples import (
    check_row_objective,
    check_row_weights,
    row_thresholds,
    row_value,
)
from skattr.thresholds._score_table import ScoreTable, read_table
from skattr.thresholds._strategies import STRATEGIES, with_strategy

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]
AVERAGES = ("macro", "micro", "samples", "global")


@dataclass(frozen=True)
class SearchConfig:
    """Checked parameters of a search.

    Attributes
    ----------
    objective : Objective or callable
        An objective with its constraint, or a metric ``(y_true, y_pred) -> float``.
    average : {"macro", "micro", "samples", "global"}
    strategy : {"auto", "exact", "plugin", "shrunk"}
    confidence : float or None
    correction : {None, "bonferroni"}
    is_proba : bool
        Whether the scores are probabilities.
    n_jobs : int or None
    """

    objective: Objective | Callable[..., float]
    average: str = "macro"
    strategy: str = "auto"
    confidence: float | None = None
    correction: str | None = None
    is_proba: bool = True
    n_jobs: int | None = None


def make_search_config(
    objective: str | Callable[..., float],
    n_labels: int,
    *,
    average: str = "macro",
    strategy: str = "auto",
    constraint: tuple[str, Any] | None = None,
    confidence: float | None = None,
    correction: str | None = None,
    beta: float = 1.0,
    costs: tuple[Any, Any] = (1.0, 1.0),
    is_proba: bool = True,
    n_jobs: int | None = None,
    names: Sequence[Any] | None = None,
) -> SearchConfig:
    """Check the parameters of a search; see :func:`find_thresholds`.

    Raises
    ------
    ValueError
        If one of them is invalid, or two of them exclude each other.
    """
    for name, value, valid in (
        ("average", average, AVERAGES),
        ("strategy", strategy, STRATEGIES),
        ("correction", correction, (None, "bonferroni")),
    ):
        if value not in valid:
            raise ValueError(f"{name} must be one of {valid}; got {value!r}.")
    if hasattr(objective, "as_metric"):  # a scorer of skattr.metrics
        objective = objective.as_metric()
    checked: Objective | Callable[..., float]
    if callable(objective):
        _check_metric_parameters(average, strategy, constraint)
        checked = objective
    else:
        checked = make_objective(
            objective, n_labels, beta=beta, costs=costs, constraint=constraint, names=names
        )
        if average == "samples":
            check_row_objective(checked)
        elif average == "global" or (average == "micro" and constraint is not None):
            check_pooled(checked)
    _check_confidence(average, strategy, constraint, confidence, correction)
    return SearchConfig(checked, average, strategy, confidence, correction, is_proba, n_jobs)


def _check_metric_parameters(average: str, strategy: str, constraint: object) -> None:
    """Raise for parameters that a callable objective does not support."""
    if average not in ("macro", "global"):
        raise ValueError(
            f"A callable objective takes average='macro' or 'global'; got {average!r}."
        )
    if constraint is not None or strategy in ("plugin", "shrunk"):
        raise ValueError(
            "A callable objective takes no constraint, and strategy 'exact' or 'auto'; use one of "
            f"{', '.join(OBJECTIVES)} for more."
        )


def _check_confidence(
    average: str,
    strategy: str,
    constraint: tuple[str, Any] | None,
    confidence: float | None,
    correction: str | None,
) -> None:
    """Raise if strategy, confidence or correction do not go with the constraint."""
    if strategy in ("plugin", "shrunk") and (constraint is not None or confidence is not None):
        raise ValueError(
            f"strategy={strategy!r} does not support a constraint; use 'exact' or 'auto'."
        )
    if confidence is None:
        if correction is not None:
            raise ValueError(f"correction={correction!r} requires a confidence, such as 0.9.")
        return
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1; got {confidence!r}.")
    if constraint is None or average != "macro" or constraint[0] not in CERTIFIABLE:
        raise ValueError(
            "confidence requires a constraint per label: pass constraint=('recall', 0.95) or one "
            f"on another of {', '.join(CERTIFIABLE)}, with average='macro'."
        )


def search_thresholds(table: ScoreTable, config: SearchConfig) -> ThresholdSet:
    """Find the thresholds of a table."""
    objective = config.objective
    if config.average == "samples":
        check_row_weights(table)
    table = table.without_scale()
    if config.average == "global":
        return _single_threshold(table, config)
    if not isinstance(objective, Objective):
        return grid_thresholds(table, objective)
    if config.confidence is not None:
        return certified_thresholds(
            table,
            objective,
            config.confidence,
            config.correction,
            is_proba=config.is_proba,
            n_jobs=config.n_jobs,
        )
    searches = {
        "macro": per_label_thresholds,
        "micro": joint_thresholds,
        "samples": row_thresholds,
    }
    search = searches[config.average]
    strategy = config.strategy
    if strategy == "auto" and objective.constraint is not None:
        # The average of two thresholds that satisfy a constraint need not satisfy it.
        strategy = "exact"
    return with_strategy(
        table,
        objective,
        lambda part, its_objective: search(part, its_objective, config.n_jobs),
        strategy,
        is_proba=config.is_proba,
        is_joint=config.average != "macro",
    )


def _single_threshold(table: ScoreTable, config: SearchConfig) -> ThresholdSet:
    """Find one threshold for all labels."""
    pooled = search_thresholds(table.pooled(), replace(config, average="macro"))
    if pooled.failed:
        return collect([pooled.failed[0]] * table.n_labels, table.untunable_reason)
    thresholds = np.repeat(pooled.thresholds, table.n_labels)
    return ThresholdSet(thresholds, np.full((4, table.n_labels), np.nan))


def evaluate(
    table: ScoreTable, predicted: Mask, config: SearchConfig, counted: Mask
) -> tuple[Floats, float]:
    """Return the objective of predictions.

    Parameters
    ----------
    table : ScoreTable
    predicted : ndarray of shape (n, n_labels), bool
    config : SearchConfig
    counted : ndarray of shape (n_labels,), bool
        Labels that count in the average.

    Returns
    -------
    values : ndarray of shape (n_labels,), float64
        Objective of each label; NaN for those that do not count, and where it is undefined.
    value : float
        Objective averaged as the parameter `average` says, over the labels of which it is
        defined; NaN if there is none.
    """
    objective = config.objective
    if not isinstance(objective, Objective):
        values = np.where(counted, metric_values(table, predicted, objective), np.nan)
        if config.average == "macro":
            return values, _mean(values[counted])
        return values, float(metric_values(table.pooled(), predicted.reshape(-1, 1), objective)[0])
    counts = counts_of(table, predicted)
    if config.average == "samples" and counted.any():
        value = row_value(table.columns(counted), predicted[:, counted], objective.metric())
        return _from_counts(counts, objective, "macro", counted)[0], value
    return _from_counts(counts, objective, config.average, counted)


def _from_counts(
    counts: Floats, objective: Objective, average: str, counted: Mask
) -> tuple[Floats, float]:
    """Return the objective of each label, and that of their mean or of the summed counts."""
    labels = np.flatnonzero(counted)
    values = np.full(counts.shape[1], np.nan)
    values[labels] = objective.rate(labels)(*counts[:, labels])
    if average == "macro" or not len(labels):
        return values, _mean(values[labels])
    if objective.name == "cost":  # costs may differ from label to label
        return values, float(np.average(values[labels], weights=counts[2:, labels].sum(axis=0)))
    return values, float(objective.rate()(*counts[:, labels].sum(axis=1)))


def _mean(values: Floats) -> float:
    """Average the labels of which the objective is defined, as the metrics do."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else float("nan")


@dataclass(frozen=True)
class Thresholds:
    """Result of :func:`find_thresholds`.

    Attributes
    ----------
    thresholds : ndarray of shape (n_labels,), float64
        ``score >= threshold`` is positive. NaN for labels in `failed`; with a `confidence`, these
        have the safest threshold: always positive for a constraint on recall, else never.
    values : ndarray of shape (n_labels,), float64
        Objective of each label at its threshold on the given scores (optimistically biased).
    value : float
        Objective averaged as the parameter `average` says.
    failed : dict of {label index: reason}
        Labels that cannot be tuned.
    """

    thresholds: Floats
    values: Floats
    value: float
    failed: dict[int, str]


def find_thresholds(
    y_true: Any,
    y_score: Any,
    objective: str | Callable[..., float] = "f1",
    *,
    average: str = "macro",
    strategy: str = "auto",
    constraint: tuple[str, Any] | None = None,
    confidence: float | None = None,
    correction: str | None = None,
    beta: float = 1.0,
    costs: tuple[Any, Any] = (1.0, 1.0),
    sample_weight: Any = None,
    groups: Any = None,
    n_jobs: int | None = None,
) -> Thresholds:
    """Find the thresholds of all labels that are best for an objective.

    With ``strategy="exact"`` the search is exact over all distinct thresholds of a label.
    ``score >= threshold`` is positive. A threshold lies midway between the neighboring scores. Of
    equally good thresholds, the lowest one right below the score of a positive is returned.

    Parameters
    ----------
    y_true : array-like of shape (n,) or (n, n_labels)
        Labels: 0 and 1, or booleans; NaN, None or pandas.NA if missing.
    y_score : array-like of the same shape
        Probabilities, log odds or other scores that increase with the chance of a positive. An
        entry whose score is NaN counts as a missing label. Non-negative float32 scores are
        fastest. Columns of two DataFrames are matched by name.
    objective : str or callable, default="f1"
        Metric to maximize:

        - "f1", "fbeta", "precision", "recall", "jaccard" or "mcc".
        - "balanced_accuracy", which has the same optimum as Youden's J.
        - "accuracy": 1 minus the Hamming loss.
        - "cost": minus the mean cost.
        - A callable ``(y_true, y_pred) -> float`` of 0/1 arrays, which also takes
          ``sample_weight`` if there are weights, or a scorer of `skattr.metrics`. It is
          evaluated at up to 200 thresholds.

        The search treats 0 / 0 as 0.
    average : {"macro", "micro", "samples", "global"}, default="macro"
        Counts that the objective is computed from:

        - "macro": those of each label.
        - "micro": those summed over labels; the thresholds are jointly optimal.
        - "samples": those of each row, averaged over rows; a local optimum.
        - "global": those summed over labels, with one threshold for all labels.
    strategy : {"auto", "exact", "plugin", "shrunk"}, default="auto"
        How closely a threshold follows the given labels:

        - "exact": the best threshold for these labels.
        - "plugin": the best threshold for their calibrated probabilities.
        - "auto": the average of these two, weighted by the support of the label. It is "exact"
          if there is a constraint or from a support of 2,000 on. It is the default because the
          exact threshold of a label with few positives follows their noise, and the plug-in
          threshold the error of the calibration; on new data, the average is at least as good as
          the better of the two within .003 macro-F1. The support is the number of known
          positives, or of known negatives if they are fewer; with weights, their effective
          number.
        - "shrunk": the exact threshold, drawn towards one threshold for all labels.

        "plugin" and "shrunk" do not support a constraint.
    constraint : (name, bound), default=None
        Lower bound on "precision", "recall" or "specificity", or upper bound on
        "false_positive_rate" or "positive_share" (the share of rows that are predicted
        positive). The bound is a number, one per label, or a dict. It holds per label ("macro")
        or for the sums over labels ("micro", "global"). Joint thresholds are exact up to some
        thousand positives, and within one step of the optimum beyond.
    confidence : float, default=None
        Probability with which a threshold must satisfy the constraint on new data. It holds if
        scores are those of rows that the classifier has not seen, labels are missing at random,
        and rows are independent, or else `groups`.
    correction : {None, "bonferroni"}, default=None
        Whether `confidence` holds for each label, or for all labels at once.
    beta : float, default=1.0
        Weight of recall in "fbeta".
    costs : pair of float or array-like of shape (n_labels,), default=(1.0, 1.0)
        Costs of a false positive and of a false negative, for "cost".
    sample_weight : array-like of shape (n,) or (n, n_labels), default=None
        Weight of each row or of each label. Only their ratios matter; with a `confidence` all
        that are not 0 must be equal.
    groups : array-like of shape (n,), default=None
        Rows of one group, such as the images of one person, need not be independent; groups are.
        Used with a `confidence`.
    n_jobs : int, default=None
        Number of threads.

    Returns
    -------
    Thresholds

    Raises
    ------
    ValueError
        If a parameter, score, label or weight is invalid.

    Warns
    -----
    AssumptionWarning
        If `confidence` is given without `groups`.

    Notes
    -----
    With a `confidence`, rows are counted by exact binomial tests if they are independent. If
    several rows are of one group, each group is bet on as a whole: this holds for any dependence
    within groups, for the mean over rows of groups of the given sizes, and needs more labels.

    Examples
    --------
    >>> import numpy as np
    >>> from skattr.thresholds import find_thresholds
    >>> y_true = np.array([[0, 1], [0, 1], [1, np.nan], [1, 0]])
    >>> y_score = np.array([[0.1, 0.6], [0.4, 0.7], [0.35, 0.2], [0.8, 0.3]])
    >>> found = find_thresholds(y_true, y_score, strategy="exact")
    >>> found.thresholds.round(3)
    array([0.225, 0.45 ])
    >>> found.values
    array([0.8, 1. ])
    """
    table = read_table(y_true, y_score, sample_weight, groups)
    columns = getattr(y_true, "columns", None)
    config = make_search_config(
        objective,
        table.n_labels,
        average=average,
        strategy=strategy,
        constraint=constraint,
        confidence=confidence,
        correction=correction,
        beta=beta,
        costs=costs,
        is_proba=looks_like_proba(table.scores),
        n_jobs=n_jobs,
        names=None if columns is None else list(columns),
    )
    warn_independence(confidence, groups)
    found = search_thresholds(table, config)
    values, value = evaluate_found(table, found, config)
    return Thresholds(found.thresholds, values, value, found.failed)


def evaluate_found(
    table: ScoreTable, found: ThresholdSet, config: SearchConfig
) -> tuple[Floats, float]:
    """Return the objective at thresholds on the scores that they were found on."""
    tuned = np.ones(table.n_labels, dtype=bool)
    tuned[list(found.failed)] = False
    if config.average in ("macro", "micro") and isinstance(config.objective, Objective):
        # The search has counted already; counting again would read all scores a second time.
        return _from_counts(found.counts, config.objective, config.average, tuned)
    return evaluate(table, table.scores >= found.thresholds, config, tuned)
