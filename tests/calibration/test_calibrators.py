"""Calibrators against published formulas in float64, brute force and scikit-learn's own."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit, log_softmax, logit, softmax
from scipy.stats import chi2

from skattr.calibration._calibrators import (
    MIN_SUPPORT,
    Beta,
    Identity,
    Isotonic,
    Prior,
    Sigmoid,
    Temperature,
    find_edges,
    fit_calibrator,
)
from skattr.calibration._outputs import find_pos_weight

BINARY = sorted(MIN_SUPPORT)
KINDS = {
    "auto": Sigmoid,
    "temperature": Temperature,
    "sigmoid": Sigmoid,
    "isotonic": Isotonic,
    "beta": Beta,
}
# Platt's smoothing and the prior of "auto" count effective rows: weights 3 are not three rows.
WITHOUT_PRIOR = ["beta", "isotonic", "temperature"]


def draw(rng, n=400, slope=2.0, shift=0.5):
    """Return miscalibrated probabilities, labels and weights."""
    odds = rng.normal(-0.5, 1.5, n)
    codes = (rng.random(n) < expit(odds)).astype(np.int64)
    return expit(slope * odds + shift), codes, rng.integers(1, 4, n).astype(float)


def log_loss(probabilities, codes, weights):
    """Return the mean log loss of probabilities of the positive class."""
    p = np.clip(probabilities, 1e-12, 1 - 1e-12)
    return -np.average(np.where(codes == 1, np.log(p), np.log1p(-p)), weights=weights)


@pytest.mark.parametrize("method", BINARY)
def test_class_of_each_method(rng, method):
    """Each method has its calibrator, a callable."""
    scores, codes, weights = draw(rng)
    calibrator, reason = fit_calibrator(method, scores, codes, weights, True)
    assert type(calibrator) is KINDS[method]
    assert reason is None
    assert calibrator(scores).shape == scores.shape


@pytest.mark.parametrize("is_proba", [True, False])
def test_temperature_minimizes_the_log_loss(rng, is_proba):
    """No temperature of a fine grid has a smaller log loss (Guo et al. 2017)."""
    scores, codes, weights = draw(rng)
    odds = logit(scores)
    calibrator, _ = fit_calibrator(
        "temperature", scores if is_proba else odds, codes, weights, is_proba
    )
    grid = calibrator.temperature * np.exp(np.linspace(-0.1, 0.1, 2001))
    losses = [log_loss(expit(odds / t), codes, weights) for t in grid]
    assert int(np.argmin(losses)) == 1000
    assert calibrator.temperature > 1.3  # log odds were twice too steep


@pytest.mark.parametrize("is_proba", [True, False])
def test_temperature_of_several_classes(rng, is_proba):
    """For softmax(logits / T), T is as good as any of a fine grid."""
    logits = rng.normal(0, 1, (500, 4))
    codes = np.array([rng.choice(4, p=row) for row in softmax(logits, axis=1)])
    weights = rng.random(500) + 0.1
    scores = softmax(3 * logits, axis=1) if is_proba else 3 * logits
    calibrator, _ = fit_calibrator("isotonic", scores, codes, weights, is_proba)
    assert type(calibrator) is Temperature
    grid = calibrator.temperature * np.exp(np.linspace(-0.1, 0.1, 2001))
    losses = [
        -np.average(log_softmax(3 * logits / t, axis=1)[np.arange(500), codes], weights=weights)
        for t in grid
    ]
    assert int(np.argmin(losses)) == 1000
    assert calibrator.temperature == pytest.approx(3, rel=0.2)
    expected = softmax(3 * logits / calibrator.temperature, axis=1)
    np.testing.assert_allclose(calibrator(scores), expected, atol=1e-6)


def test_extreme_temperatures(rng):
    """Uninformative, inverted and separating scores have a temperature at an end of the range."""
    codes = np.arange(40) % 2
    weights = np.ones(40)
    for scores, low, high in [
        (np.full(40, 0.5), 0, np.inf),
        (np.where(codes == 1, 0.1, 0.9), 1e4, np.inf),
        (np.where(codes == 1, 0.9, 0.1), 0, 1e-4),
    ]:
        calibrator, _ = fit_calibrator("temperature", scores, codes, weights, True)
        assert low <= calibrator.temperature <= high
        assert np.isfinite(calibrator(scores)).all()


@pytest.mark.parametrize("is_proba", [True, False])
def test_sigmoid_minimizes_platts_loss(rng, is_proba):
    """Slope and intercept, of log odds or decisions, are best for Platt's smoothed labels."""
    scores, codes, weights = draw(rng)
    decisions = logit(scores) if is_proba else scores
    effective = weights * weights.sum() / (weights**2).sum()  # sums are numbers of rows
    positives, negatives = effective[codes == 1].sum(), effective[codes == 0].sum()
    targets = np.where(codes == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))

    def loss(parameters):
        odds = parameters[0] * decisions + parameters[1]
        return np.average(np.logaddexp(0, odds) - targets * odds, weights=weights)

    best = minimize(loss, [0.0, 0.0], method="BFGS", options={"gtol": 1e-9}).x
    calibrator, _ = fit_calibrator("sigmoid", scores, codes, weights, is_proba)
    np.testing.assert_allclose([calibrator.slope, calibrator.intercept], best, rtol=1e-4)
    np.testing.assert_allclose(calibrator(scores), expit(best[0] * decisions + best[1]), atol=1e-5)


def expected_loss(probabilities, truth):
    """Return the mean log loss over all labels that true probabilities make possible."""
    truth, probabilities = (np.clip(p, 1e-12, 1 - 1e-12) for p in (truth, probabilities))
    if truth.ndim == 2:
        return -np.mean((truth * np.log(probabilities)).sum(axis=1))
    return -np.mean(truth * np.log(probabilities) + (1 - truth) * np.log1p(-probabilities))


@pytest.mark.parametrize("prevalence", [0.5, 0.1, 0.01])
@pytest.mark.parametrize("n", [200, 1000, 5000])
def test_auto_leaves_calibrated_scores_as_they_are(n, prevalence):
    """The excess log loss is that of one in twenty fits, far below that of a fit: 1 / n."""
    rng, losses, kept = np.random.default_rng(0), [], []
    for _ in range(60):
        truth = expit(rng.normal(logit(prevalence), 2, n))
        calibrator, _ = fit_calibrator("auto", truth, rng.binomial(1, truth), np.ones(n), True)
        losses.append(expected_loss(calibrator(truth), truth) - expected_loss(truth, truth))
        kept.append(type(calibrator) is Identity)
    assert np.mean(losses) < 0.75 / n
    assert np.mean(kept) > 0.85


@pytest.mark.parametrize("prevalence", [0.5, 0.1])
@pytest.mark.parametrize(("slope", "shift"), [(2.0, 0.0), (0.5, 0.0), (1.0, 1.5), (1.5, -1.0)])
def test_auto_mends_what_is_miscalibrated(slope, shift, prevalence):
    """Over-confident, timid and shifted log odds end near the loss of the true probabilities."""
    rng = np.random.default_rng(0)
    odds = rng.normal(logit(prevalence), 2, 3000)
    truth, codes = expit(odds), rng.binomial(1, expit(odds))
    scores = expit(slope * odds + shift)
    calibrator, _ = fit_calibrator("auto", scores, codes, np.ones(3000), True)
    best = expected_loss(truth, truth)
    assert expected_loss(scores, truth) > best + 0.01
    assert expected_loss(calibrator(scores), truth) < best + 0.003


@pytest.mark.parametrize("n", [200, 1000, 5000])
def test_auto_of_several_classes(rng, n):
    """A temperature of calibrated probabilities is 1, and of others what it would be anyway."""
    losses = []
    for _ in range(40):
        logits = rng.normal(0, 2, (n, 4))
        truth = softmax(logits, axis=1)
        codes = (truth.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1).clip(0, 3)
        calibrator, _ = fit_calibrator("auto", truth, codes, np.ones(n), True)
        losses.append(expected_loss(calibrator(truth), truth) - expected_loss(truth, truth))
    assert np.mean(losses) < 0.4 / n
    sharp = softmax(2 * logits, axis=1)
    auto, _ = fit_calibrator("auto", sharp, codes, np.ones(n), True)
    assert auto == fit_calibrator("temperature", sharp, codes, np.ones(n), True)[0]


@pytest.mark.parametrize("weighted", [False, True])
def test_auto_is_a_likelihood_ratio_test(weighted):
    """Twice the gain in log likelihood exceeds the 95 % quantile of chi2, of 2 parameters or 1."""
    rng, kept = np.random.default_rng(0), []
    for shift in np.linspace(0.1, 0.6, 30):
        odds = rng.normal(0, 1.5, 150)
        codes = rng.binomial(1, expit(odds))
        weights = rng.random(150) + 0.1 if weighted else np.ones(150)
        effective = weights * weights.sum() / (weights**2).sum()  # their sum is Kish's number
        scores = expit(odds + shift)

        def loss(at, odds=odds + shift, codes=codes, weights=effective):
            fit = weights @ (np.logaddexp(0, at[0] * odds + at[1]) - codes * (at[0] * odds + at[1]))
            return fit + ((at[0] - 1) ** 2 + at[1] ** 2 / 10) / 4

        best = minimize(loss, [1.0, 0.0], tol=1e-10).x
        mended = expit(best[0] * (odds + shift) + best[1])
        gain = log_loss(scores, codes, effective) - log_loss(mended, codes, effective)
        is_better = 2 * effective.sum() * gain > chi2.ppf(0.95, 2)
        calibrator, _ = fit_calibrator("auto", scores, codes, weights, True)
        kept.append(type(calibrator) is Identity)
        assert kept[-1] != is_better
        if is_better:
            np.testing.assert_allclose([calibrator.slope, calibrator.intercept], best, atol=1e-3)
    assert 5 < sum(kept) < 25
    kept = []
    for sharpness in np.linspace(1.0, 1.7, 30):
        truth = softmax(rng.normal(0, 1.5, (150, 3)), axis=1)
        codes = (truth.cumsum(axis=1) < rng.random((150, 1))).sum(axis=1).clip(0, 2)
        scores = softmax(sharpness * np.log(truth), axis=1)
        fitted, _ = fit_calibrator("temperature", scores, codes, np.ones(150), True)
        own = (np.arange(150), codes)
        gain = np.log(fitted(scores)[own]).sum() - np.log(scores[own]).sum()
        calibrator, _ = fit_calibrator("auto", scores, codes, np.ones(150), True)
        kept.append(type(calibrator) is Identity)
        assert kept[-1] == (2 * gain <= chi2.ppf(0.95, 1))
    assert 5 < sum(kept) < 25


@pytest.mark.parametrize(
    ("scores", "edges"),
    [
        ([0.2, 0.4, 0.9], (1e-7, 1 - 1e-7)),
        ([0.0, 0.2, 0.4], (0.1, 1 - 1e-7)),
        ([0.2, 0.8, 1.0], (1e-7, 0.9)),
        ([0.0, 0.6, 0.7], (0.25, 1 - 1e-7)),
        ([0.3, 0.4, 1.0], (1e-7, 0.75)),
        ([0.0, 1e-9, 0.5], (1e-7, 1 - 1e-7)),
        ([], (1e-7, 1 - 1e-7)),
    ],
)
def test_edges_are_half_the_smallest_distance(scores, edges):
    """Only on the side that has an exact 0 or 1, and 0.25 at most; decisions have none."""
    np.testing.assert_allclose(find_edges(np.array(scores), True), edges, rtol=1e-12)
    assert find_edges(np.array(scores), False) == (1e-7, 1 - 1e-7)


def test_exact_zeros_are_half_the_smallest_probability(rng):
    """A forest's 0 does not mean 1e-7: one positive among them does not flatten the whole curve."""
    truth = expit(rng.normal(-1, 2, 4000))
    codes = rng.binomial(1, truth)
    votes = rng.binomial(20, truth) / 20  # of trees
    assert (codes[votes == 0] == 1).any()
    calibrator, _ = fit_calibrator("sigmoid", votes, codes, np.ones(4000), True)
    assert calibrator.edges == (0.025, 0.975)
    best = min(
        expected_loss(expit(a * logit(np.clip(votes, 0.025, 0.975)) + b), truth)
        for a in np.linspace(0.5, 1.5, 21)
        for b in np.linspace(-0.5, 0.5, 21)
    )
    assert expected_loss(calibrator(votes), truth) < best + 0.002
    np.testing.assert_array_equal(
        calibrator(np.array([0.0, 0.01])), calibrator(np.array([0.01] * 2))
    )
    several = np.stack([votes / 2, votes / 2, 1 - votes], axis=1)
    temperature, _ = fit_calibrator("auto", several, 2 * (1 - codes), np.ones(4000), True)
    assert np.isfinite(np.log(temperature(several))).all()


def test_isotonic_is_pool_adjacent_violators(rng):
    """The values are the maxima over starts of minima over ends of means (Barlow et al. 1972)."""
    scores, codes, weights = draw(rng, n=60)
    calibrator, _ = fit_calibrator("isotonic", scores, codes, weights, True, 1)
    order = np.argsort(scores)
    y, w = codes[order], weights[order]
    expected = [
        max(
            min(np.average(y[a : b + 1], weights=w[a : b + 1]) for b in range(i, len(y)))
            for a in range(i + 1)
        )
        for i in range(len(y))
    ]
    np.testing.assert_allclose(calibrator(scores[order]), expected, atol=1e-9)


@pytest.mark.parametrize("is_proba", [True, False])
def test_beta_minimizes_the_log_loss(rng, is_proba):
    """a, b and c minimize the log loss of expit(a log p - b log(1 - p) + c)."""
    scores, codes, weights = draw(rng)

    def loss(parameters):
        a, b, c = parameters
        odds = a * np.log(scores) - b * np.log1p(-scores) + c
        return np.average(np.logaddexp(0, odds) - codes * odds, weights=weights)

    bounds = [(0, None), (0, None), (None, None)]
    best = minimize(loss, [1, 1, 0], bounds=bounds, options={"ftol": 1e-15, "gtol": 1e-9})
    given_scores = scores if is_proba else logit(scores)
    calibrator, _ = fit_calibrator("beta", given_scores, codes, weights, is_proba)
    np.testing.assert_allclose([calibrator.a, calibrator.b, calibrator.c], best.x, atol=2e-3)
    assert loss([calibrator.a, calibrator.b, calibrator.c]) <= best.fun + 1e-9


@pytest.mark.parametrize("seed", range(12))
def test_beta_never_decreases(seed):
    """A slope that would be negative is 0, which is as good as the constrained optimum."""
    rng = np.random.default_rng(seed)
    scores, codes, weights = draw(rng, n=40, slope=[1, -1][seed % 2])
    calibrator, _ = fit_calibrator("beta", scores, codes, weights, True, 1)
    assert calibrator.a >= 0
    assert calibrator.b >= 0
    found = log_loss(calibrator(scores), codes, weights)

    def loss(parameters):
        a, b, c = parameters
        p = expit(a * np.log(scores) - b * np.log1p(-scores) + c)
        return log_loss(p, codes, weights)

    bounds = [(0, None), (0, None), (None, None)]
    best = minimize(loss, [1, 1, 0], bounds=bounds, method="L-BFGS-B").fun
    assert found == pytest.approx(best, abs=1e-3)


@given(
    st.floats(1e-6, 1 - 1e-6),
    st.floats(0.01, 100),
)
def test_prior_undoes_the_weight(p, weight):
    """Odds that are too high by a factor are corrected, for probabilities and log odds."""
    biased = expit(logit(p) + np.log(weight))
    formula = biased / (biased + weight * (1 - biased))
    for scores, is_proba in [(biased, True), (logit(p) + np.log(weight), False)]:
        found = Prior(is_proba, weight)(np.array([scores]))
        np.testing.assert_allclose(found, [p], rtol=1e-7)
    np.testing.assert_allclose(Prior(True, weight)(np.array([biased])), [formula], rtol=1e-12)
    np.testing.assert_array_equal(Prior(True, weight)(np.array([0.0, 1.0])), [0, 1])


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.sampled_from(WITHOUT_PRIOR), st.booleans())
def test_weights_equal_repetition(seed, method, is_proba):
    """A row of weight 3 is equivalent to three rows."""
    scores, codes, weights = draw(np.random.default_rng(seed), n=80)
    scores = scores if is_proba else logit(scores)
    rows = np.repeat(np.arange(80), weights.astype(int))
    weighted, _ = fit_calibrator(method, scores, codes, weights, is_proba, 1)
    repeated, _ = fit_calibrator(method, scores[rows], codes[rows], np.ones(len(rows)), is_proba, 1)
    np.testing.assert_allclose(weighted(scores), repeated(scores), atol=1e-5)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.sampled_from(BINARY), st.booleans())
def test_calibrators_never_decrease(seed, method, is_proba):
    """Higher scores never have lower probabilities, also outside the range of fit."""
    scores, codes, weights = draw(np.random.default_rng(seed), n=100)
    grid = np.linspace(0, 1, 101) if is_proba else np.array([-np.inf, -1e9, -5, 0, 5, 1e9, np.inf])
    scores = scores if is_proba else logit(scores)
    calibrator, _ = fit_calibrator(method, scores, codes, weights, is_proba, 1)
    found = calibrator(grid)
    assert np.isfinite(found).all()
    assert (np.diff(found) >= -1e-12).all()
    assert ((found >= 0) & (found <= 1)).all()


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.sampled_from(["temperature", "beta"]))
def test_log_loss_never_increases(seed, method):
    """A family that includes the identity has no larger log loss after the fit."""
    scores, codes, weights = draw(np.random.default_rng(seed), n=100)
    calibrator, _ = fit_calibrator(method, scores, codes, weights, True, 1)
    before = log_loss(scores, codes, weights)
    assert log_loss(calibrator(scores), codes, weights) <= before + 1e-7


def test_float32_edges():
    """Probabilities of exactly 0 and 1 in float32 have finite calibrations."""
    scores = np.tile(np.array([0, 1e-30, 0.3, 0.8, 1], dtype=np.float32), 40)
    codes = np.tile([0, 0, 0, 1, 1, 0, 1, 1, 0, 1], 20)
    for method in BINARY:
        calibrator, _ = fit_calibrator(method, scores, codes, np.ones(200), True, 1)
        found = calibrator(scores)
        assert found.dtype == np.float64
        assert np.isfinite(found).all()


@pytest.mark.parametrize("method", BINARY)
def test_too_few_labels(rng, method):
    """With one label too few the calibrator is the identity and has a reason."""
    least = MIN_SUPPORT[method]
    for positives in (least - 1, least):
        codes = np.repeat([1, 0], [positives, 300])
        scores = expit(rng.normal(size=len(codes)) + codes)
        calibrator, reason = fit_calibrator(method, scores, codes, np.ones(len(codes)), True)
        if positives == least:
            assert reason is None
            assert type(calibrator) in (KINDS[method], Identity if method == "auto" else None)
        else:
            assert type(calibrator) is Identity
            assert reason == f"{positives} positive and 300 negative labels, of each {least} needed"
            np.testing.assert_array_equal(calibrator(scores), scores)


def test_too_few_labels_of_several_classes():
    """Ten known labels of two or more classes are needed; a single class needs none."""
    scores = np.full((30, 3), 1 / 3)
    ones = np.ones(30)
    few = fit_calibrator("temperature", scores[:9], np.arange(9) % 3, ones[:9], True)
    assert few == (Identity(True), "9 labels, 10 needed")
    same = fit_calibrator("temperature", scores, np.full(30, 2), ones, True)
    assert same == (Identity(True), "labels of one class only")
    alone = fit_calibrator("temperature", scores[:, :1], np.zeros(30, int), ones, True)
    assert alone == (Identity(True), None)


def test_identity_of_decisions():
    """Decisions become probabilities by the sigmoid or softmax function."""
    scores = np.array([[-np.inf, 0.0, 2.0], [1.0, 2.0, 3.0]])
    np.testing.assert_allclose(Identity(False)(scores[1]), expit(scores[1]))
    np.testing.assert_allclose(Identity(False)(scores), softmax(scores, axis=1))
    assert Identity(False)(scores)[0, 0] == 0


class Parameters:
    """Object with the given attributes."""

    def __init__(self, **params):
        self.__dict__.update(params)


def test_pos_weight_of_wrapped_estimators():
    """The outermost pos_weight that is set is used; without any, there is an error."""
    assert find_pos_weight(Parameters(pos_weight=3)) == 3
    assert find_pos_weight(Parameters(pos_weight=None, estimator=Parameters(pos_weight=4))) == 4
    with pytest.raises(ValueError, match="neither pos_weight is set .* of Parameters"):
        find_pos_weight(Parameters(pos_weight=None, estimator=Parameters()))
