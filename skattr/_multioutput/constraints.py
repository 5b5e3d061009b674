"""Labels that are decided around a classifier obey its rules."""

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
    """Return the `constraints` of a classifier, of the one inside it or at a pipeline's end.

    Parameters
    ----------
    estimator : fitted classifier
    encoder : AttributeEncoder
        Names and classes of its outputs.
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
    rules: LogicalConstraints | None,
) -> NDArray[np.int64]:
    """Return codes whose rows all obey the rules; those that do are as before.

    Of the labels that obey, a row gets those whose positives have the largest sum of what their
    log odds are above those of their thresholds: at 0.5, the most probable.

    Parameters
    ----------
    codes : ndarray of shape (n, n_outputs), int64
        What scores and thresholds decide, -1 where there is no score. Changed in place.
    scores : Scores
    thresholds : ndarray of shape (n_outputs,)
    encoder : AttributeEncoder
    rules : LogicalConstraints or None
    """
    if rules is None:
        return codes
    columns = rules.columns
    rows = np.flatnonzero(violations(codes[:, columns], rules).any(axis=1))
    if not len(rows):
        return codes
    cells = np.ix_(rows, columns)
    part = scores.binary[rows][:, np.searchsorted(np.flatnonzero(is_binary(encoder)), columns)]
    gains = _above(part.astype(np.float64), thresholds[columns], scores.is_proba)
    is_positive = codes[cells] == 1
    gains = np.where(is_positive, np.maximum(gains, np.finfo(float).tiny), np.minimum(gains, 0))
    gains = np.where(np.isnan(gains), np.where(is_positive, np.inf, -np.inf), gains)
    codes[cells] = decode(gains, rules)
    return codes


def _above(
    scores: NDArray[np.float64], thresholds: NDArray[np.float64], is_proba: bool
) -> NDArray[np.float64]:
    """Return what log odds are above those of thresholds, NaN where both are infinite."""
    with np.errstate(invalid="ignore"):
        if not is_proba:
            return scores - thresholds
        result: NDArray[np.float64] = logit(scores) - logit(np.clip(thresholds, 0, 1))
        return result
