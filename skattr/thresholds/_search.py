"""From scores and labels to thresholds: pure functions over all labels at once."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skattr._multioutput.scores import looks_like_proba
from skattr.thresholds._joint import joint_thresholds, of_sums
from skattr.thresholds._metric_grid import grid_thresholds, metric_values
from skattr.thresholds._objectives import OBJECTIVES, Objective, make_objective
from skattr.thresholds._per_label import ThresholdSet, collect, counts_of, per_label_thresholds
from skattr.thresholds._risk_control import LEGAL as CERTIFIED
from skattr.thresholds._risk_control import certified_thresholds
from skattr.thresholds._samples import check_rows, row_thresholds, row_value
from skattr.thresholds._score_table import ScoreTable, read_table
from skattr.thresholds._strategies import STRATEGIES, with_strategy

Array = NDArray[Any]
AVERAGES = ("macro", "micro", "samples", "global")


@dataclass(frozen=True)
class SearchConfig:
    """All that a search needs to know besides scores and labels.

    Attributes
    ----------
    goal : Objective or callable
        An objective with its constraint, or a metric ``(y_true, y_pred) -> float``.
    average : {"macro", "micro", "samples", "global"}
    strategy : {"exact", "plugin", "shrunk", "auto"}
    confidence : float or None
    correction : {None, "bonferroni"}
    is_proba : bool
        Whether the scores are probabilities.
    n_jobs : int or None
    """

    goal: Objective | Callable[..., float]
    average: str = "macro"
    strategy: str = "exact"
    confidence: float | None = None
    correction: str | None = None
    is_proba: bool = True
    n_jobs: int | None = None


def make_plan(
    objective: str | Callable[..., float],
    n_labels: int,
    *,
    average: str = "macro",
    strategy: str = "exact",
    constraint: Any = None,
    confidence: float | None = None,
    correction: str | None = None,
    beta: float = 1.0,
    costs: Any = (1.0, 1.0),
    is_proba: bool = True,
    n_jobs: int | None = None,
    names: Any = None,
) -> SearchConfig:
    """Check the parameters of a search; see :func:`find_thresholds`.

    Raises
    ------
    ValueError
        If one of them is invalid, or two of them do not go together.
    """
    for value, what, valid in (
        (average, "average", AVERAGES),
        (strategy, "strategy", STRATEGIES),
        (correction, "correction", (None, "bonferroni")),
    ):
        if value not in valid:
            raise ValueError(f"{what} must be one of {valid}, got {value!r}.")
    if hasattr(objective, "as_metric"):  # a scorer
        objective = objective.as_metric()
    if callable(objective):
        if average not in ("macro", "global"):
            raise ValueError(
                f"A callable objective takes average='macro' or 'global', got {average!r}."
            )
        if constraint is not None or strategy in ("plugin", "shrunk"):
            raise ValueError(
                "A callable objective takes no constraint, and strategy 'exact' or 'auto'; name "
                f"one of {', '.join(OBJECTIVES)} for more."
            )
        goal: Objective | Callable[..., float] = objective
    else:
        goal = make_objective(
            objective, n_labels, beta=beta, costs=costs, constraint=constraint, names=names
        )
        if average == "samples":
            check_rows(goal)
        elif average == "global" or (average == "micro" and constraint is not None):
            of_sums(goal)
    if strategy in ("plugin", "shrunk") and (constraint is not None or confidence is not None):
        raise ValueError(
            f"strategy={strategy!r} does not keep to a constraint; take 'exact' or 'auto'."
        )
    if confidence is not None:
        if not 0 < confidence < 1:
            raise ValueError(f"confidence must be between 0 and 1, got {confidence!r}.")
        if constraint is None or average != "macro" or constraint[0] not in CERTIFIED:
            raise ValueError(
                "confidence is that of a constraint per label: pass constraint=('recall', 0.95) "
                f"or one on another of {', '.join(CERTIFIED)}, with average='macro'."
            )
    elif correction is not None:
        raise ValueError(f"correction={correction!r} is of a confidence; pass confidence=0.9.")
    return SearchConfig(goal, average, strategy, confidence, correction, is_proba, n_jobs)


def run(table: ScoreTable, plan: SearchConfig) -> ThresholdSet:
    """Search the cuts of a table as a plan says."""
    goal = plan.goal
    if plan.average == "global":
        return _one_for_all(table, plan)
    if not isinstance(goal, Objective):
        return grid_thresholds(table, goal)
    if plan.confidence is not None:
        return certified_thresholds(
            table,
            goal,
            plan.confidence,
            plan.correction,
            is_proba=plan.is_proba,
            n_jobs=plan.n_jobs,
        )
    average = {"macro": per_label_thresholds, "micro": joint_thresholds, "samples": row_thresholds}[
        plan.average
    ]
    strategy = plan.strategy
    if strategy == "auto" and goal.constraint is not None:
        strategy = "exact"  # an average of two cuts need not meet the constraint
    return with_strategy(
        table,
        goal,
        lambda part, its_goal: average(part, its_goal, plan.n_jobs),
        strategy,
        is_proba=plan.is_proba,
        is_joint=plan.average != "macro",
    )


def _one_for_all(table: ScoreTable, plan: SearchConfig) -> ThresholdSet:
    """Search one cut for all labels."""
    if isinstance(plan.goal, Objective):
        plan = replace(plan, goal=of_sums(plan.goal))
    one = run(table.pooled(), replace(plan, average="macro"))
    if one.failed:
        return collect([one.failed[0]] * table.n_labels, table.untunable_reason)
    thresholds = np.repeat(one.thresholds, table.n_labels)
    return ThresholdSet(thresholds, np.full((4, table.n_labels), np.nan))


def evaluate(
    table: ScoreTable, predicted: Array, plan: SearchConfig, counted: Array
) -> tuple[NDArray[np.float64], float]:
    """Return the objective of predictions.

    Parameters
    ----------
    table : ScoreTable
    predicted : ndarray of shape (n, n_labels), bool
    plan : SearchConfig
    counted : ndarray of shape (n_labels,), bool
        The labels that count in the average.

    Returns
    -------
    values : ndarray of shape (n_labels,), float64
        Of each label by itself; NaN for those that do not count, and where the objective is
        undefined.
    value : float
        As `average` says, over the labels of which the objective is defined; NaN if there is
        none.
    """
    goal = plan.goal
    if not isinstance(goal, Objective):
        values = np.where(counted, metric_values(table, predicted, goal), np.nan)
        if plan.average == "macro":
            return values, _mean(values[counted])
        pooled = table.pooled()
        return values, float(metric_values(pooled, predicted.reshape(-1, 1), goal)[0])
    if plan.average == "samples" and counted.any():
        value = row_value(table.columns(counted), predicted[:, counted], goal.metric())
        return _from_counts(counts_of(table, predicted), goal, "macro", counted)[0], value
    return _from_counts(counts_of(table, predicted), goal, plan.average, counted)


def _from_counts(
    counts: NDArray[np.float64], goal: Objective, average: str, counted: Array
) -> tuple[NDArray[np.float64], float]:
    """Return the objective of each label, and that of their mean or of their sums."""
    labels = np.flatnonzero(counted)
    values = np.full(counts.shape[1], np.nan)
    values[labels] = goal.rate(labels)(*counts[:, labels])
    if average == "macro" or not len(labels):
        return values, _mean(values[labels])
    if goal.name == "cost":  # which may differ from label to label
        return values, float(np.average(values[labels], weights=counts[2:, labels].sum(axis=0)))
    return values, float(goal.rate()(*counts[:, labels].sum(axis=1)))


def _mean(values: Array) -> float:
    """Average the labels of which the objective is defined, as the metrics do."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else float("nan")


@dataclass(frozen=True)
class Thresholds:
    """What :func:`find_thresholds` returns.

    Attributes
    ----------
    thresholds : ndarray of shape (n_labels,), float64
        ``score >= threshold`` is positive; NaN for the failed. With a `confidence` those have
        the safest threshold there is: always positive for recall, never for the others.
    values : ndarray of shape (n_labels,), float64
        The objective of each label at its threshold on these very scores; it flatters.
    value : float
        The objective as `average` says.
    failed : dict of {label index: reason}
    """

    thresholds: NDArray[np.float64]
    values: NDArray[np.float64]
    value: float
    failed: dict[int, str]


def find_thresholds(
    scores: Any,
    labels: Any,
    objective: str | Callable[..., float] = "f1",
    *,
    average: str = "macro",
    strategy: str = "exact",
    constraint: Any = None,
    confidence: float | None = None,
    correction: str | None = None,
    beta: float = 1.0,
    costs: Any = (1.0, 1.0),
    sample_weight: Any = None,
    n_jobs: int | None = None,
) -> Thresholds:
    """Find the threshold of each label that is best for an objective.

    The search is exact over every distinct cut through the scores of a label; a threshold lies
    midway between the neighbouring scores, and ``score >= threshold`` is positive. Of equally
    good cuts the lowest that has a positive's score next above it is taken.

    Parameters
    ----------
    scores : array-like of shape (n,) or (n, n_labels)
        Probabilities, log odds or other scores that rise with the chance of a positive. NaN is
        as good as a missing label. float32 and not negative is fastest. Columns of DataFrames
        must have the same names in both, or other names.
    labels : array-like of the same shape
        0 and 1 or bools; NaN, None or pandas.NA where unknown.
    objective : str or callable, default="f1"
        "f1", "fbeta", "precision", "recall", "balanced_accuracy" (Youden's J), "accuracy" (1
        minus the Hamming loss), "jaccard", "mcc", or "cost" (minus the mean cost). The search
        treats 0 / 0 as 0. Or a metric ``(y_true, y_pred) -> float`` of 0/1 arrays (and
        ``sample_weight=`` if there are weights), or a scorer of labels of `skattr.metrics`, which
        is tried at up to 200 cuts.
    average : {"macro", "micro", "samples", "global"}, default="macro"
        Over which counts: each label's own; the sums over all labels, the cuts chosen jointly
        (exact); each row's, averaged over rows (a local optimum); or the sums over all labels
        with one cut for all.
    strategy : {"exact", "plugin", "shrunk", "auto"}, default="exact"
        Exact for these labels; for their calibrated probabilities; shrunk towards one cut for
        all labels; or between the first two by the support, which generalises best. With a
        constraint "auto" is "exact", and the other two are refused.
    constraint : (name, bound), default=None
        Only cuts with "precision", "recall" or "specificity" of at least, or
        "false_positive_rate" or "positive_share" (of rows predicted positive) of at most the
        bound: a number, one per label, or a dict. It holds per label ("macro") or for the sums
        over labels ("micro", "global"); then the joint cuts are exact up to some thousand
        positives, and within one step of the optimum beyond.
    confidence : float, default=None
        Choose among cuts that meet the constraint with this probability, by exact tests.
    correction : {None, "bonferroni"}, default=None
        Whether the confidence is that of each label, or of all at once.
    beta : float, default=1.0
        Weight of recall in "fbeta".
    costs : pair of float or array-like of shape (n_labels,), default=(1.0, 1.0)
        Of a false positive and of a false negative, for "cost".
    sample_weight : array-like of shape (n,) or (n, n_labels), default=None
    n_jobs : int, default=None
        Threads.

    Returns
    -------
    Thresholds

    Raises
    ------
    ValueError
        If a parameter, score, label or weight is invalid.

    Examples
    --------
    >>> import numpy as np
    >>> from skattr.thresholds import find_thresholds
    >>> scores = np.array([[0.1, 0.6], [0.4, 0.7], [0.35, 0.2], [0.8, 0.3]])
    >>> labels = np.array([[0, 1], [0, 1], [1, np.nan], [1, 0]])
    >>> found = find_thresholds(scores, labels)
    >>> found.thresholds.round(3)
    array([0.225, 0.45 ])
    >>> found.values
    array([0.8, 1. ])
    """
    table = read_table(scores, labels, sample_weight)
    columns = getattr(labels, "columns", None)
    plan = make_plan(
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
    cuts = run(table, plan)
    values, value = _values_of(table, cuts, plan)
    return Thresholds(cuts.thresholds, values, value, cuts.failed)


def _values_of(
    table: ScoreTable, cuts: ThresholdSet, plan: SearchConfig
) -> tuple[NDArray[np.float64], float]:
    tuned = np.ones(table.n_labels, dtype=bool)
    tuned[list(cuts.failed)] = False
    if plan.average in ("macro", "micro") and isinstance(plan.goal, Objective):  # counted already
        return _from_counts(cuts.counts, plan.goal, plan.average, tuned)
    return evaluate(table, table.scores >= cuts.thresholds, plan, tuned)
