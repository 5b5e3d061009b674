"""Calibrators of all outputs of a classifier, fitted on held-out predictions."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline

from skattr._multioutput.classes import classes_per_output
from skattr._multioutput.scores import Scores
from skattr._multioutput.unreadable import unpredicted_rows
from skattr._targets.encoder import AttributeEncoder, is_binary
from skattr._targets.weights import positive_weights
from skattr.calibration._calibrators import (
    Array,
    Calibrator,
    Codes,
    Identity,
    Prior,
    fit_calibrator,
)
from skattr.model_selection._out_of_fold import (
    FoldPrediction,
    collect_out_of_fold,
    saw_both_classes,
)

FittedCalibrators = tuple[list[Calibrator], dict[Any, str]]


def find_pos_weight(estimator: BaseEstimator) -> Any:
    """Return the first `pos_weight` set on an estimator or the estimators inside it."""
    inner = estimator
    while getattr(inner, "pos_weight", None) is None:
        if isinstance(inner, Pipeline):
            inner = inner.steps[-1][1]
        elif hasattr(inner, "estimator"):
            inner = inner.estimator
        else:
            raise ValueError(
                "method='prior' undoes the weight of positives in training, but neither pos_weight "
                f"is set nor a parameter of that name of {type(inner).__name__}."
            )
    return inner.pos_weight


def scores_per_output(scores: Scores, encoder: AttributeEncoder) -> Iterator[Array]:
    """Yield the scores of each output: (n,) if it is binary, else (n, n_classes)."""
    binary_scores, others = iter(scores.binary.T), iter(scores.others)
    for binary in is_binary(encoder):
        yield next(binary_scores) if binary else next(others)


def fit_prior_calibrators(
    pos_weight: Any, encoder: AttributeEncoder, codes: Codes, weights: Array, is_proba: bool
) -> FittedCalibrators:
    """Return a :class:`Prior` per binary output; see :func:`fit_calibrators`."""
    calibrators: list[Calibrator] = []
    reasons = {}
    prior_weights = positive_weights(pos_weight, encoder, codes, weights)
    for name, binary, weight in zip(
        encoder.output_names_, is_binary(encoder), prior_weights, strict=True
    ):
        if np.isnan(weight):
            reasons[name] = "'balanced' needs a positive and a negative label"
        has_weight = binary and not np.isnan(weight)
        calibrators.append(Prior(is_proba, float(weight)) if has_weight else Identity(is_proba))
    return calibrators, reasons


def fit_calibrators(
    predictions: list[FoldPrediction],
    estimator: BaseEstimator,
    encoder: AttributeEncoder,
    codes: Codes,
    weights: Array,
    method: str,
    min_support: int | None,
) -> FittedCalibrators:
    """Fit a calibrator per output on held-out predictions.

    Parameters
    ----------
    predictions : list of FoldPrediction
    estimator : classifier
        Tells whether rows without a score are unreadable images.
    encoder : AttributeEncoder
    codes : ndarray of shape (n, n_outputs), int64
        -1 where missing.
    weights : ndarray of shape (n, n_outputs)
    method : {"auto", "temperature", "sigmoid", "isotonic", "beta"}
    min_support : int or None

    Returns
    -------
    calibrators : list of Calibrator
    reasons : dict of {name: str}
        Why outputs are not calibrated.

    Raises
    ------
    ValueError
        If a score of a known label is NaN in a readable row.
    """
    scores, folds = collect_out_of_fold(predictions, encoder, len(codes))
    usable = (weights > 0) & (folds >= 0)[:, np.newaxis]
    usable[unpredicted_rows(estimator, scores)] = False
    for prediction in predictions:
        usable[prediction.test] &= _has_own_score(prediction, encoder, codes[prediction.test])
    calibrators: list[Calibrator] = []
    reasons = {}
    for j, (name, part) in enumerate(
        zip(encoder.output_names_, scores_per_output(scores, encoder), strict=True)
    ):
        rows = usable[:, j]
        is_nan = rows & np.isnan(part.reshape(len(part), -1)).any(axis=1)
        if is_nan.any():
            raise ValueError(
                f"The classifier's scores of output {name!r} contain NaN, first in row "
                f"{int(is_nan.argmax())}."
            )
        calibrator, reason = fit_calibrator(
            method, part[rows], codes[rows, j], weights[rows, j], scores.is_proba, min_support
        )
        calibrators.append(calibrator)
        if reason is not None:
            reasons[name] = reason
    return calibrators, reasons


def _has_own_score(
    prediction: FoldPrediction, encoder: AttributeEncoder, codes: Codes
) -> NDArray[np.bool_]:
    """Return a mask of the labels whose class the fold's classifier was trained on."""
    fold_classes = classes_per_output(prediction.estimator, encoder)
    mask = np.tile(saw_both_classes(prediction, fold_classes), (len(codes), 1))
    for j, (classes, binary) in enumerate(zip(encoder.classes_, is_binary(encoder), strict=True)):
        has_score = np.isin(classes, fold_classes[j])
        mask[:, j] = mask[:, j] & has_score.all() if binary else has_score[codes[:, j]]
    return mask
