"""Strategies of the threshold search against the formulas of their documentation."""

import numpy as np
import pytest
from scipy.special import expit, logit

from skattr._multioutput.logistic import logistic_fit
from skattr._targets.support import effective_number
from skattr.thresholds import find_thresholds
from skattr.thresholds._score_table import ScoreTable
from skattr.thresholds._search import make_search_config, search_thresholds
from skattr.thresholds._strategies import log_odds_of


def sample(n=300, n_labels=4, seed=0):
    """Return log odds, and labels of which some are missing."""
    rng = np.random.default_rng(seed)
    y = (rng.random((n, n_labels)) < np.linspace(0.08, 0.8, n_labels)).astype(np.float64)
    odds = rng.normal(size=y.shape) + 2 * y - 1
    y[rng.random(y.shape) < 0.1] = np.nan
    return odds, y, rng.choice([0.0, 0.5, 1.0, 2.0], size=(n, 1))


def search(y, scores, strategy, weights, is_proba):
    """Return the thresholds of a strategy on the scale of log odds."""
    config = make_search_config("f1", y.shape[1], strategy=strategy, is_proba=is_proba)
    found = search_thresholds(ScoreTable(scores, y, weights), config).thresholds
    return logit(found) if is_proba else found


@pytest.mark.parametrize("is_proba", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
def test_averages(is_proba, weighted):
    """The exact threshold weighs s / (s + 100), or s / (s + 20) against that of all labels."""
    odds, y, weights = sample()
    scores, weights = expit(odds) if is_proba else odds, weights if weighted else None
    full = np.ones(y.shape) if weights is None else np.broadcast_to(weights, y.shape)
    support = np.minimum(*(effective_number(np.where(y == c, full, 0)) for c in (0, 1)))
    exact, plugin, auto, shrunk = (
        search(y, scores, strategy, weights, is_proba)
        for strategy in ("exact", "plugin", "auto", "shrunk")
    )
    pooled_weights = None if weights is None else full.reshape(-1, 1)
    pooled = search(y.reshape(-1, 1), scores.reshape(-1, 1), "exact", pooled_weights, is_proba)
    share = support / (support + 100)
    np.testing.assert_allclose(auto, share * exact + (1 - share) * plugin, atol=1e-9)
    share = support / (support + 20)
    np.testing.assert_allclose(shrunk, share * exact + (1 - share) * pooled, atol=1e-9)
    assert (np.abs(exact - plugin) > 1e-3).any()
    assert (np.abs(exact - pooled) > 1e-3).all()


@pytest.mark.parametrize("is_proba", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
def test_plugin_is_best_for_calibrated_probabilities(is_proba, weighted):
    """The expected F1 is highest, of all thresholds, for probabilities of a logistic fit."""
    odds, y, weights = sample(n_labels=2, seed=1)
    scores = expit(odds) if is_proba else odds
    found = find_thresholds(
        y, scores, strategy="plugin", sample_weight=weights if weighted else None
    )
    for j in range(2):
        w = weights[:, 0] if weighted else np.ones(len(y))
        used = ~np.isnan(y[:, j]) & (w > 0)
        w, s, labels = w[used], scores[used, j], y[used, j]
        w = w * effective_number(w) / w.sum()
        z = logit(s) if is_proba else 2 * (s - s.mean()) / s.std()
        slope, intercept = logistic_fit(z, w * labels, w * (1 - labels))
        p = w * expit(slope * z + intercept)
        predicted = s >= np.append(np.unique(s), np.inf)[:, np.newaxis]
        expected = 2 * predicted @ p / (predicted @ w + p.sum())
        best = s >= found.thresholds[j]
        assert 2 * best @ p / (best @ w + p.sum()) == pytest.approx(expected.max(), abs=1e-9)


@pytest.mark.parametrize("average", ["macro", "micro"])
@pytest.mark.parametrize("excess", [0, -1])
def test_auto_is_exact_from_a_support_of_2000(average, excess):
    """The other label is averaged in any case."""
    rng = np.random.default_rng(2)
    y = np.arange(5000)[:, np.newaxis] < [2000 + excess, 100]
    scores = expit(rng.normal(size=y.shape) + 2 * y - 1)
    exact, plugin, auto = (
        find_thresholds(y, scores, average=average, strategy=strategy).thresholds
        for strategy in ("exact", "plugin", "auto")
    )
    assert (auto[0] == exact[0]) == (excess == 0)
    assert np.sign(auto[1] - exact[1]) == np.sign(plugin[1] - exact[1]) != 0


def test_log_odds():
    """Decisions get a standard deviation of 2; 0 and 1 lie beyond all other probabilities."""
    decisions = np.random.default_rng(3).normal(5, 3, size=50)
    scaled = log_odds_of(decisions, is_proba=False)
    assert (scaled.mean(), scaled.std()) == pytest.approx((0, 2))
    assert np.corrcoef(scaled, decisions)[0, 1] == pytest.approx(1)
    np.testing.assert_array_equal(log_odds_of(np.full(3, 7.0), is_proba=False), 0)
    for p, clipped in (
        ([0, 0.2, 1], [1e-6, 0.2, 1 - 1e-6]),
        ([0, 1e-7, 0.5], [5e-8, 1e-7, 0.5]),
        ([0.5, 1 - 1e-8, 1], [0.5, 1 - 1e-8, 1 - 5e-9]),
        ([0, 1], [1e-6, 1 - 1e-6]),
    ):
        odds = log_odds_of(np.array(p), is_proba=True)
        np.testing.assert_allclose(odds, logit(clipped), rtol=1e-6)
