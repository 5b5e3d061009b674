"""Effective numbers of rows, and weights without their scale."""

import numpy as np
import pytest
from scipy.special import expit

from skattr._targets.support import as_effective, effective_number, relative_weights
from skattr.calibration._calibrators import MIN_SUPPORT, fit_calibrator
from skattr.metrics import attribute_report
from skattr.thresholds import ThresholdCalibrator, find_thresholds

SCALES = [1 / 400, 3.0, 1e-12, 7e9]


def sample(n=400, seed=0):
    """Return probabilities of three labels, two of them rare, and the labels, some missing."""
    rng = np.random.default_rng(seed)
    odds = rng.normal([-3.0, -2.0, 0.0], 1.5, (n, 3))
    labels = (rng.random(odds.shape) < expit(odds)).astype(float)
    labels[rng.random(odds.shape) < 0.1] = np.nan
    return expit(1.5 * odds + 0.5), labels


def test_effective_number_is_kishs():
    """It is the square of the sum over the sum of squares of a column, and never overflows."""
    weights = np.array([[1.0, 0.0], [2.0, 0.0], [5.0, 0.0]])
    np.testing.assert_allclose(effective_number(weights), [64 / 30, 0])
    assert effective_number(np.full(7, 1e-200)) == 7
    assert effective_number(np.full(7, 1e200)) == 7
    assert as_effective(np.array([1e-9, 2e-9, 5e-9])).sum() == pytest.approx(64 / 30)


def test_relative_weights_do_not_depend_on_the_scale():
    """They are the same numbers, bit for bit, for weights of few distinct sizes."""
    weights = np.array([1.0, 3.0, 7.0, 0.0, 1e-20])
    expected = relative_weights(weights)
    np.testing.assert_allclose(expected, weights / 7, rtol=1e-11)
    for scale in SCALES:
        np.testing.assert_array_equal(relative_weights(scale * weights), expected)


@pytest.mark.parametrize("as_labels", [False, True])
@pytest.mark.parametrize("strategy", ["auto", "exact", "plugin", "shrunk"])
@pytest.mark.parametrize("average", ["macro", "micro", "samples", "global"])
def test_constant_weights_are_no_weights(average, strategy, as_labels):
    """Thresholds are bit-identical to those without weights, for rows and for labels."""
    scores, labels = sample()
    if as_labels and average == "samples":
        pytest.skip("weights are those of rows")
    plain = find_thresholds(labels, scores, average=average, strategy=strategy)
    for scale in SCALES:
        weights = np.full(scores.shape if as_labels else len(scores), scale)
        params = {"average": average, "strategy": strategy, "sample_weight": weights}
        found = find_thresholds(labels, scores, **params)
        np.testing.assert_array_equal(found.thresholds, plain.thresholds)
        np.testing.assert_allclose(found.values, plain.values)
        assert found.value == pytest.approx(plain.value)


@pytest.mark.parametrize("strategy", ["auto", "exact", "plugin", "shrunk"])
@pytest.mark.parametrize("objective", ["f1", "balanced_accuracy", "cost", "mcc"])
def test_the_scale_of_weights_changes_no_threshold(objective, strategy):
    """Thresholds and values are the same for w and c w, whatever w is."""
    scores, labels = sample()
    weights = np.random.default_rng(1).choice([1.0, 2.0, 3.0, 0.0], len(scores))
    params = {"strategy": strategy, "costs": (1.0, 3.0)}
    plain = find_thresholds(labels, scores, objective, sample_weight=weights, **params)
    for scale in SCALES:
        found = find_thresholds(labels, scores, objective, sample_weight=scale * weights, **params)
        np.testing.assert_array_equal(found.thresholds, plain.thresholds)
        np.testing.assert_allclose(found.values, plain.values)


def test_support_is_an_effective_number():
    """Rows whose weight is next to nothing add no support: "auto" is that of the other rows."""
    scores, labels = sample(800)
    weights = np.where(np.arange(800) < 400, 1.0, 1e-9)
    found = find_thresholds(labels, scores, sample_weight=weights)
    alone = find_thresholds(labels[:400], scores[:400])
    np.testing.assert_allclose(found.thresholds, alone.thresholds, atol=1e-3)


def test_constant_weights_change_nothing_in_the_calibrator():
    """In `ThresholdCalibrator` neither thresholds nor the cross-validated score change."""
    scores, labels = sample()
    plain = ThresholdCalibrator().fit(scores, labels)
    for weights in (
        {"sample_weight": np.full(400, 1 / 400)},
        {"label_weight": np.full((400, 3), 1 / 400)},
        {"sample_weight": np.full(400, 20.0), "label_weight": np.full((400, 3), 1 / 400)},
    ):
        weighted = ThresholdCalibrator().fit(scores, labels, **weights)
        np.testing.assert_array_equal(weighted.best_threshold_, plain.best_threshold_)
        assert weighted.best_score_ == pytest.approx(plain.best_score_)


def test_a_confidence_takes_constant_weights():
    """Rows of weight 0 are left out, and other weights are equal, so that rows can be counted."""
    scores, labels = sample(1200)
    params = {"constraint": ("recall", 0.8), "confidence": 0.9}
    keep = np.arange(1200) % 3 > 0
    plain = find_thresholds(labels[keep], scores[keep], groups=range(keep.sum()), **params)
    found = find_thresholds(
        labels, scores, groups=range(1200), sample_weight=np.where(keep, 1 / 1200, 0), **params
    )
    np.testing.assert_array_equal(found.thresholds, plain.thresholds)
    with pytest.raises(ValueError, match="got weights that differ"):
        find_thresholds(labels, scores, sample_weight=scores[:, 0], groups=range(1200), **params)


@pytest.mark.parametrize("method", sorted(MIN_SUPPORT))
def test_calibrators_do_not_depend_on_the_scale(method):
    """Probabilities are those of weights of any scale; constant weights are no weights."""
    scores, labels = sample()
    known = ~np.isnan(labels[:, 2])
    scores, codes = scores[known, 2], labels[known, 2].astype(int)
    for weights in (np.ones(len(codes)), np.random.default_rng(0).choice([1.0, 2.0], len(codes))):
        plain, _ = fit_calibrator(method, scores, codes, weights, True)
        for scale in SCALES:
            scaled, _ = fit_calibrator(method, scores, codes, scale * weights, True)
            np.testing.assert_allclose(scaled(scores), plain(scores), rtol=1e-6)


@pytest.mark.parametrize("scale", SCALES)
def test_minimal_support_of_calibrators_is_effective(scale):
    """Twenty positives of equal weight are twenty; of one weight they count as about one."""
    codes = np.repeat([0, 1], [100, 20])
    scores = np.linspace(0.01, 0.99, 120)
    assert fit_calibrator("sigmoid", scores, codes, np.full(120, scale), True)[1] is None
    weights = np.full(120, scale)
    weights[101:] *= 1e-6
    reason = fit_calibrator("sigmoid", scores, codes, weights, True)[1]
    assert reason == "1.00004 positive and 100 negative labels, of each 20 needed"


@pytest.mark.parametrize("scale", SCALES)
def test_tail_of_a_report_is_separated_by_effective_numbers(scale):
    """Weights of any scale leave the attributes in their groups."""
    scores, labels = sample()
    guess = scores > 0.5
    positives = (labels == 1).sum(axis=0)
    bounds = (positives[2], positives[1])
    weights = np.full(len(labels), scale)
    report = attribute_report(labels, guess, tail=bounds, sample_weight=weights)
    plain = attribute_report(labels, guess, tail=bounds)
    np.testing.assert_allclose(
        report.loc[["head", "medium", "tail"], "f1"], plain.loc[["head", "medium", "tail"], "f1"]
    )
