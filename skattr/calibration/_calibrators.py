"""Calibrators: functions from a classifier's scores of one attribute to probabilities.

A binary attribute has one score per row, that of its positive class. Any other attribute has
one score per class. Scores are probabilities, log odds or margins.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit, logit, softmax
from scipy.stats import chi2
from sklearn.calibration import _SigmoidCalibration
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from skattr._multioutput.logistic import logistic_fit
from skattr._targets.support import as_effective, effective_number

Floats = NDArray[np.floating[Any]]
Array = NDArray[Any]
Codes = NDArray[np.int64]

METHODS = ("auto", "temperature", "sigmoid", "isotonic", "beta", "prior")
# Effective number of known labels that the smaller class needs. In simulations with normal log
# odds, a calibrator fitted on as many labels has no larger error than log odds that are too steep
# by a factor of 1.5. For the parametric calibrators this is about ten labels per parameter. "auto"
# needs fewer, as its prior is the identity.
MIN_SUPPORT = {"auto": 5, "temperature": 10, "sigmoid": 20, "beta": 30, "isotonic": 100}
# Probabilities are clipped to [_EDGE, 1 - _EDGE], as infinite log odds cannot be calibrated;
# float32 resolves no probability nearer to 1.
_EDGE = 1e-7
Edges = tuple[float, float]
DEFAULT_EDGES: Edges = (_EDGE, 1 - _EDGE)
_LARGEST = 1e100  # replaces infinite decisions, whose products with 0 would be NaN
# Gain in log likelihood from which "auto" departs from the identity, by the number of parameters:
# that of a likelihood-ratio test at a level of 5 %.
_LEAST_GAIN = {1: chi2.isf(0.05, 1) / 2, 2: chi2.isf(0.05, 2) / 2}
# Bounds of the search. A temperature has no optimum if the scores separate the classes.
_LOG_TEMPERATURES = (-10.0, 10.0)


@dataclass(frozen=True)
class Calibrator:
    """Base class: a function from scores to probabilities.

    Attributes
    ----------
    is_proba : bool
        Whether the scores are probabilities.
    """

    is_proba: bool

    def __call__(self, scores: Array) -> Floats:
        """Return probabilities in the shape of the scores, float64."""
        raise NotImplementedError


@dataclass(frozen=True)
class Identity(Calibrator):
    """Unchanged probabilities, or the sigmoid or softmax of decisions."""

    def __call__(self, scores: Array) -> Floats:
        scores = np.asarray(scores, dtype=np.float64)
        if self.is_proba:
            return scores
        return np.asarray(expit(scores) if scores.ndim == 1 else softmax(scores, axis=1))


@dataclass(frozen=True)
class Prior(Calibrator):
    """Correction of probabilities for positives that had a weight in training.

    The odds of such a classifier are too high by the factor `weight`, so that
    p = p' / (p' + weight * (1 - p')).
    """

    weight: float

    def __call__(self, scores: Array) -> Floats:
        scores = np.asarray(scores, dtype=np.float64)
        if not self.is_proba:
            return np.asarray(expit(scores - np.log(self.weight)))
        return np.asarray(scores / (scores + self.weight * (1 - scores)))


@dataclass(frozen=True)
class Temperature(Calibrator):
    """Log odds, or log probabilities of the classes, divided by `temperature`."""

    temperature: float
    edges: Edges = DEFAULT_EDGES

    def __call__(self, scores: Array) -> Floats:
        if np.ndim(scores) == 1:
            return np.asarray(expit(log_odds(scores, self.is_proba, self.edges) / self.temperature))
        logits = log_scores(scores, self.is_proba, self.edges)
        return np.asarray(softmax(logits / self.temperature, axis=1))


@dataclass(frozen=True)
class Sigmoid(Calibrator):
    """``expit(slope * log odds + intercept)``, of decisions as they are."""

    slope: float
    intercept: float
    edges: Edges = DEFAULT_EDGES

    def __call__(self, scores: Array) -> Floats:
        odds = log_odds(scores, self.is_proba, self.edges)
        return np.asarray(expit(self.slope * odds + self.intercept))


@dataclass(frozen=True)
class Isotonic(Calibrator):
    """Isotonic regression, interpolated linearly between its steps."""

    regression: IsotonicRegression

    def __call__(self, scores: Array) -> Floats:
        return np.asarray(self.regression.predict(_finite(scores)))


@dataclass(frozen=True)
class Beta(Calibrator):
    """``expit(a * log(p) - b * log(1 - p) + c)`` with a and b at least 0."""

    a: float
    b: float
    c: float
    edges: Edges = DEFAULT_EDGES

    def __call__(self, scores: Array) -> Floats:
        slopes = np.array([self.a, self.b])
        features = _beta_features(scores, self.is_proba, self.edges)
        return np.asarray(expit(features @ slopes + self.c))


def find_edges(scores: Array, is_proba: bool) -> Edges:
    """Return the lowest and the highest probability that log odds are computed of.

    A forest of 20 trees says 0 where it means less than 1 / 20: such a 0 has the log odds of half
    the smallest probability above 0, and a 1 likewise. Scores without an exact 0 or 1 are clipped
    at 1e-7 and 1 - 1e-7 only.
    """
    if not is_proba:
        return DEFAULT_EDGES
    p = np.asarray(scores, dtype=np.float64)
    distances = []
    for part in (p, 1 - p):
        has_edge = part.min(initial=1) <= 0
        distance = part.min(initial=1, where=part > 0) / 2 if has_edge else 0.0
        distances.append(float(np.clip(distance, _EDGE, 0.25)))
    return distances[0], 1 - distances[1]


def log_odds(scores: Array, is_proba: bool, edges: Edges = DEFAULT_EDGES) -> Floats:
    """Return finite log odds of the positive class."""
    if not is_proba:
        return _finite(scores)
    return np.asarray(logit(np.clip(np.asarray(scores, np.float64), *edges)))


def log_scores(scores: Array, is_proba: bool, edges: Edges = DEFAULT_EDGES) -> Floats:
    """Return logits of several classes, minus infinity for a class that is never predicted."""
    scores = np.asarray(scores, dtype=np.float64)
    return np.log(np.maximum(scores, edges[0])) if is_proba else scores


def _finite(scores: Array) -> Floats:
    return np.clip(np.asarray(scores, dtype=np.float64), -_LARGEST, _LARGEST)


def fit_calibrator(
    method: str,
    scores: Array,
    codes: Codes,
    weights: Array,
    is_proba: bool,
    min_support: int | None = None,
) -> tuple[Calibrator, str | None]:
    """Fit the calibrator of one attribute.

    Parameters
    ----------
    method : {"auto", "temperature", "sigmoid", "isotonic", "beta"}
        Used for a binary attribute; other attributes use "temperature", or "auto".
    scores : ndarray of shape (n,) or (n, n_classes)
    codes, weights : ndarray of shape (n,)
        Classes (no label is missing) and positive weights.
    is_proba : bool
    min_support : int, optional
        Effective number of labels needed, of each class if the attribute is binary. None uses
        `MIN_SUPPORT`.

    Returns
    -------
    calibrator : Calibrator
        :class:`Identity` if there are too few labels.
    reason : str or None
        Why it is the identity; None if it is fitted.
    """
    binary = scores.ndim == 1
    if not binary and scores.shape[1] == 1:
        return Identity(is_proba), None
    method = method if binary or method == "auto" else "temperature"
    needed = (
        MIN_SUPPORT[method if binary else "temperature"] if min_support is None else min_support
    )
    known = float(effective_number(weights))
    n, p = (float(effective_number(weights[codes == code])) for code in (0, 1))
    reason = None
    if binary and round(min(n, p), 6) < needed:  # rounding must not reject a number that is enough
        reason = f"{p:.6g} positive and {n:.6g} negative labels, of each {needed} needed"
    elif not binary and round(known, 6) < needed:
        reason = f"{known:.6g} labels, {needed} needed"
    elif np.bincount(codes).max() == len(codes):
        reason = "labels of one class only"
    if reason is not None:
        return Identity(is_proba), reason
    # Numbers of rows: Platt's smoothing must not depend on the scale of the weights.
    return _FITS[method](scores, codes, as_effective(weights), is_proba), None


def fit_auto(scores: Array, codes: Codes, weights: Array, is_proba: bool) -> Calibrator:
    """Fit a sigmoid of log odds, or a temperature, and keep it if it is better than the identity.

    The prior of the sigmoid is the identity, so that few labels suffice. It is better if a
    likelihood-ratio test rejects the identity: otherwise the noise of the labels would harm scores
    that are calibrated already. Decisions have no known scale, and get Platt's sigmoid.
    """
    if scores.ndim > 1:
        fitted: Calibrator = fit_temperature(scores, codes, weights, is_proba)
    elif is_proba:
        edges = find_edges(scores, is_proba)
        odds, positive = log_odds(scores, is_proba, edges), weights * (codes == 1)
        fitted = Sigmoid(is_proba, *logistic_fit(odds, positive, weights - positive), edges)
    else:
        return fit_sigmoid(scores, codes, weights, is_proba)
    identity = Identity(is_proba)
    gain = _log_likelihood(fitted, scores, codes) - _log_likelihood(identity, scores, codes)
    is_better = weights @ gain > _LEAST_GAIN[1 if scores.ndim > 1 else 2]
    return fitted if is_better else identity


def _log_likelihood(calibrator: Calibrator, scores: Array, codes: Codes) -> Floats:
    """Return the log of the probability of each label."""
    proba = calibrator(scores)
    if proba.ndim == 1:
        own = np.where(codes == 1, proba, 1 - proba)
    else:
        own = np.take_along_axis(proba, codes[:, np.newaxis], axis=1)[:, 0]
    return np.asarray(np.log(np.maximum(own, _EDGE)))


def fit_temperature(scores: Array, codes: Codes, weights: Array, is_proba: bool) -> Temperature:
    """Fit the temperature that minimizes the log loss (Guo, Pleiss, Sun and Weinberger 2017).

    The loss is convex in 1 / temperature, so that its slope has one root.
    """
    edges = find_edges(scores, is_proba)
    if scores.ndim == 1:
        odds = log_odds(scores, is_proba, edges)
        gaps = np.stack([np.zeros_like(odds), np.where(codes == 1, -odds, odds)], axis=1)
    else:
        logits = log_scores(scores, is_proba, edges)
        gaps = _finite(logits - np.take_along_axis(logits, codes[:, np.newaxis], axis=1))

    def slope(log_temperature: float) -> float:
        expected = softmax(gaps * np.exp(-log_temperature), axis=1) * gaps
        return float(weights @ expected.sum(axis=1))

    sharpest, flattest = _LOG_TEMPERATURES
    if slope(flattest) >= 0:
        log_temperature = flattest
    elif slope(sharpest) <= 0:
        log_temperature = sharpest
    else:
        log_temperature = brentq(slope, sharpest, flattest, xtol=1e-13)
    return Temperature(is_proba, float(np.exp(log_temperature)), edges)


def fit_sigmoid(scores: Array, codes: Codes, weights: Array, is_proba: bool) -> Sigmoid:
    """Fit a sigmoid of log odds, or of decisions, to smoothed labels (Platt 1999).

    With P positives and N negatives, the labels are (P + 1) / (P + 2) and 1 / (N + 2).
    """
    edges = find_edges(scores, is_proba)
    odds = np.ascontiguousarray(log_odds(scores, is_proba, edges))
    platt = _SigmoidCalibration().fit(odds, codes.astype(np.float64), weights)
    return Sigmoid(is_proba, -float(platt.a_), -float(platt.b_), edges)


def fit_isotonic(scores: Array, codes: Codes, weights: Array, is_proba: bool) -> Isotonic:
    """Fit an isotonic regression (Zadrozny and Elkan 2002)."""
    regression = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")
    return Isotonic(is_proba, regression.fit(_finite(scores), codes, sample_weight=weights))


def fit_beta(scores: Array, codes: Codes, weights: Array, is_proba: bool) -> Beta:
    """Fit a logistic regression on log p and -log(1 - p) (Kull, Silva Filho and Flach 2017).

    As in the paper, a feature with a negative slope is removed and the rest fitted again.
    """
    edges = find_edges(scores, is_proba)
    features = _beta_features(scores, is_proba, edges)
    slopes = np.zeros(2)
    used = [0, 1]
    while used:
        # C=inf means no penalty in every version of scikit-learn; the value of `penalty` that
        # means it has changed between versions.
        regression = LogisticRegression(C=np.inf, tol=1e-7, max_iter=10_000)
        regression.fit(features[:, used], codes, sample_weight=weights)
        negative = np.flatnonzero(regression.coef_[0] < 0)
        if not len(negative):
            slopes[used] = regression.coef_[0]
            a, b = slopes.tolist()
            return Beta(is_proba, a, b, float(regression.intercept_[0]), edges)
        del used[negative[0]]
    return Beta(is_proba, 0.0, 0.0, float(logit(np.average(codes, weights=weights))), edges)


def _beta_features(scores: Array, is_proba: bool, edges: Edges) -> Floats:
    """Return log p and -log(1 - p), computed from log odds, which do not round p near 1."""
    odds = log_odds(scores, is_proba, edges)
    return np.stack([-np.logaddexp(0, -odds), np.logaddexp(0, odds)], axis=1)


_FITS: dict[str, Callable[..., Calibrator]] = {
    "auto": fit_auto,
    "temperature": fit_temperature,
    "sigmoid": fit_sigmoid,
    "isotonic": fit_isotonic,
    "beta": fit_beta,
}
