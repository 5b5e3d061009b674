"""Enforce a classifier's constraints on thresholded or calibrated labels.

Thresholds and calibrators decide each label by itself and may violate constraints that the
classifier satisfies. Thresholds are not tuned for that, which would be a joint search.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit
from sklearn.pipeline import Pipeline

from skattr._multioutput.scores import Scores
from skattr._targets.constraints import (
    LogicalConstraints,
    decode,
    parse_constraints,
    violations,
)
from skattr._targets.encoder import AttributeEncoder, is_binary


def get_constraints(estimator: Any, encoder: AttributeEncoder) -> LogicalConstraints | None:
    """Return the constraints of a classifier, its inner estimator or the last step of a pipeline.

    Parameters
    ----------
    estimator : fitted classifier
    encoder : AttributeEncoder
        Names and classes of the outputs.

    Returns
    -------
    LogicalConstraints or None
    """
    while not isinstance(getattr(estimator, "constraints", None), Mapping):
        if isinstance(estimator, Pipeline):
            estimator = estimator.steps[-1][1]
        else:
            estimator = getattr(estimator, "estimator_", getattr(estimator, "estimator", None))
        if estimator is None:
            return None
    kinds = np.where(is_binary(encoder), "binary", encoder.kinds_).tolist()
    n_classes = [len(classes) for classes in encoder.classes_]
    return parse_constraints(estimator.constraints, encoder.output_names_, kinds, n_classes)


def enforce_constraints(
    codes: NDArray[np.int64],
    scores: Scores,
    thresholds: NDArray[np.float64],
    encoder: AttributeEncoder,
    constraints: LogicalConstraints | None,
) -> NDArray[np.int64]:
    """Return codes that satisfy the constraints in every row.

    Rows that satisfy them are unchanged. A row that does not gets the valid labels that maximize
    the sum, over its positive labels, of the log odds of the score minus the log odds of the
    threshold. At thresholds of 0.5 these are the most probable valid labels.

    Parameters
    ----------
    codes : ndarray of shape (n, n_outputs), int64
        The codes from scores and thresholds, -1 where there is no score. Changed in place.
    scores : Scores
    thresholds : ndarray of shape (n_outputs,)
    encoder : AttributeEncoder
    constraints : LogicalConstraints or None
    """
    if constraints is None:
        return codes
    columns = constraints.columns
    rows = np.flatnonzero(violations(codes[:, columns], constraints).any(axis=1))
    if not len(rows):
        return codes
    cells = np.ix_(rows, columns)
    part = scores.binary[rows][:, np.searchsorted(np.flatnonzero(is_binary(encoder)), columns)]
    gains = _log_odds_above(part.astype(np.float64), thresholds[columns], scores.is_proba)
    is_positive = codes[cells] == 1
    # Rounding must not turn a label that the threshold made positive into one without gain.
    gains = np.where(is_positive, np.maximum(gains, np.finfo(float).tiny), np.minimum(gains, 0))
    gains = np.where(np.isnan(gains), np.where(is_positive, np.inf, -np.inf), gains)
    codes[cells] = decode(gains, constraints)
    return codes


def _log_odds_above(
    scores: NDArray[np.float64], thresholds: NDArray[np.float64], is_proba: bool
) -> NDArray[np.float64]:
    """Return log odds of scores minus those of thresholds, NaN where both are infinite."""
    with np.errstate(invalid="ignore"):
        if not is_proba:
            return scores - thresholds
        result: NDArray[np.float64] = logit(scores) - logit(np.clip(thresholds, 0, 1))
        return result
