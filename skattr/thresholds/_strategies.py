"""Threshold strategies: exact, from calibrated probabilities, shrunk, or an average."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from skattr._multioutput.logistic import logistic_fit
from skattr._targets.support import effective_number
from skattr.thresholds._objectives import Objective
from skattr.thresholds._per_label import ThresholdSet, counts_at, per_label_thresholds
from skattr.thresholds._score_table import ScoreTable

Array = NDArray[Any]
Search = Callable[[ScoreTable, Objective], ThresholdSet]

STRATEGIES = ("exact", "plugin", "shrunk", "auto")
# Support at which the exact threshold weighs one half: against the threshold for calibrated
# probabilities in "auto", against the pooled threshold in "shrunk". With these values, "auto" is
# within .003 macro-F1 of the better of its two parts in all settings of
# benchmarks/bench_threshold_strategies.py.
HALF_AUTO = 100.0
HALF_SHRUNK = 20.0
# Support from which "auto" is "exact": the other threshold would weigh 5 % or less, and need a
# second search.
ENOUGH = 2000
_EDGE = 1e-6  # probabilities of 0 and 1 are replaced by this and 1 minus this, at most


def log_odds_of(scores: Array, is_proba: bool) -> Array:
    """Return finite scores on the scale on which they are calibrated.

    Probabilities become log odds; those of 0 and 1 lie beyond all others. Other scores have no
    known scale and are standardized to a standard deviation of 2, which is typical of log odds.
    """
    scores = np.asarray(scores, dtype=np.float64)
    if not is_proba:
        spread = scores.std()
        return np.asarray(2 * (scores - scores.mean()) / (spread if spread > 0 else 1))
    low, high = (min(_EDGE, part[part > 0].min(initial=1) / 2) for part in (scores, 1 - scores))
    return np.asarray(logit(np.clip(scores, low, 1 - high)))


def with_strategy(
    table: ScoreTable,
    objective: Objective,
    search: Search,
    strategy: str,
    *,
    is_proba: bool,
    is_joint: bool,
) -> ThresholdSet:
    """Find thresholds by one of the strategies.

    Parameters
    ----------
    table : ScoreTable
    objective : Objective
    search : callable
        Returns the exact thresholds of a table for an objective.
    strategy : {"exact", "plugin", "shrunk", "auto"}
        - "exact": the exact thresholds.
        - "plugin": the exact thresholds for calibrated probabilities instead of labels.
        - "auto": the average of these two on the scale of log odds. The exact threshold has the
          weight s / (s + 100) for a label of support s (its effective number of known
          positives, or of known negatives if they are fewer), and 1 from s = 2,000 on.
        - "shrunk": the average of the exact threshold and the best single threshold of all
          labels. The exact one has the weight s / (s + 20).
    is_proba : bool
        Whether the scores are probabilities.
    is_joint : bool
        Whether the threshold of one label depends on the other labels.

    Returns
    -------
    ThresholdSet
    """
    exact = search(table, objective)
    support = np.minimum(*table.support())
    adjusted = np.setdiff1d(np.arange(table.n_labels), list(exact.failed))
    # In a joint search, the labels of large support take part in the second search as well: the
    # thresholds of the others depend on them.
    if strategy == "auto" and not (is_joint and (support[adjusted] < ENOUGH).any()):
        adjusted = adjusted[support[adjusted] < ENOUGH]
    if strategy == "exact" or not len(adjusted):
        return exact
    thresholds = exact.thresholds.copy()
    part, support = table.columns(adjusted), support[adjusted]
    if strategy == "shrunk":
        smooth = per_label_thresholds(part.pooled(), objective.mean()).thresholds[0]
        weight = support / (support + HALF_SHRUNK)
    else:
        smooth = search(with_calibrated_labels(part, is_proba), objective.columns(adjusted))
        smooth = smooth.thresholds
        weight = support / (support + HALF_AUTO) if strategy == "auto" else 0.0 * support
        weight[support >= ENOUGH] = strategy == "auto"
    own = thresholds[adjusted]
    smooth = np.where(np.isnan(smooth), own, smooth)
    thresholds[adjusted] = _average(own, smooth, weight, is_proba)
    counts = exact.counts.copy()
    counts[:, adjusted] = counts_at(part, thresholds[adjusted])
    return ThresholdSet(thresholds, counts, exact.failed)


def _average(exact: Array, smooth: Array, weight: Array, is_proba: bool) -> Array:
    """Average thresholds on the scale of log odds; a weight of 0 or 1 returns one unchanged."""
    first, second = exact, smooth
    if is_proba:
        info = np.finfo(np.float64)
        first, second = (logit(np.clip(t, info.tiny, 1 - info.epsneg)) for t in (exact, smooth))
    with np.errstate(invalid="ignore"):  # thresholds may be infinite
        middle = weight * first + (1 - weight) * second
    if is_proba:
        middle = expit(middle)
    middle = np.clip(middle, np.minimum(exact, smooth), np.maximum(exact, smooth))
    middle = np.where(np.isnan(middle), exact, middle)
    return np.select([weight == 1, weight == 0], [exact, smooth], middle)


def with_calibrated_labels(table: ScoreTable, is_proba: bool) -> ScoreTable:
    """Return the table with calibrated probabilities instead of labels."""
    positive, negative = table.label_weights_by_class()
    soft = np.empty(table.scores.shape)
    for label, scores in enumerate(table.scores.T):
        used = np.isfinite(scores) & (positive[:, label] + negative[:, label] > 0)
        log_odds = log_odds_of(scores[used], is_proba)
        # Weights whose sum is a number of rows: the prior of the fit must not depend on their
        # scale.
        sides = np.stack([positive[used, label], negative[used, label]])
        weight = sides.sum(axis=0)
        sides *= effective_number(weight) / weight.sum() if len(weight) else 1.0
        slope, intercept = logistic_fit(log_odds, *sides)
        soft[:, label] = scores > 0  # for infinite scores, which the fit leaves out
        soft[used, label] = expit(slope * log_odds + intercept)
    return replace(table, soft=soft)
