"""Thresholds of all folds from one sort, against a search of the rows outside of each fold."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skattr.thresholds import ThresholdCalibrator, TunedThresholdMultiOutputCV, _tuning
from skattr.thresholds._fold_search import can_search_folds, search_folds
from skattr.thresholds._score_table import ScoreTable
from skattr.thresholds._search import make_search_config, search_thresholds

OBJECTIVES = ["f1", "fbeta", "accuracy", "mcc", "precision", "recall", "cost", "balanced_accuracy"]


def outside(table, config, folds, fold):
    """Return the thresholds of a search on the rows that are in a fold, but not in this one."""
    return search_thresholds(table.rows((folds >= 0) & (folds != fold)), config).thresholds


@settings(deadline=None, max_examples=120)
@given(st.integers(0, 2**32 - 1), st.sampled_from(OBJECTIVES), st.booleans(), st.booleans())
def test_equals_a_search_of_each_fold(seed, objective, has_ties, has_gaps):
    """With ties, zeros of both signs, infinite scores, missing labels and rows in no fold."""
    rng = np.random.default_rng(seed)
    n, n_labels = int(rng.integers(10, 150)), 3
    scores = rng.random((n, n_labels)).astype(np.float32)
    if has_ties:
        scores = scores.round(1)
        scores[rng.random(scores.shape) < 0.05] = -0.0
        scores[rng.random(scores.shape) < 0.02] = np.inf
    labels = rng.random((n, n_labels)) < rng.random(n_labels)
    folds = rng.permutation(n) % 5
    if has_gaps:
        labels = np.where(rng.random(labels.shape) < 0.2, -1, labels).astype(np.int8)
        folds[rng.integers(5, n)] = -1
    table = ScoreTable(scores, labels)
    config = make_search_config(objective, n_labels, beta=2.0, costs=(1, 2), strategy="exact")
    assert can_search_folds(table, folds) == (len(np.unique(folds[folds >= 0])) == 5)
    found = search_folds(table, config.objective, folds)
    for fold, thresholds in enumerate(found):
        np.testing.assert_array_equal(thresholds, outside(table, config, folds, fold))


def test_other_tables_are_left_to_the_general_search():
    """Weights, log odds, float64, NaN and another number of folds have no such keys."""
    scores, labels, folds = np.full((10, 1), 0.5, np.float32), np.ones((10, 1), bool), np.arange(10)
    folds = folds % 5
    assert can_search_folds(ScoreTable(scores, labels), folds)
    for table in (
        ScoreTable(scores, labels, np.full((10, 1), 2.0)),
        ScoreTable(-scores, labels),
        ScoreTable(scores.astype(np.float64), labels),
        ScoreTable(np.where(np.arange(10)[:, np.newaxis] == 3, np.nan, scores), labels),
    ):
        assert not can_search_folds(table, folds)
    assert not can_search_folds(ScoreTable(scores, labels), folds % 4)


def sample(n=600):
    """Return float32 probabilities of four labels, and the labels, one of them rare."""
    rng = np.random.default_rng(0)
    labels = rng.random((n, 4)) < [0.5, 0.3, 0.2, 0.02]
    return rng.beta(1 + 2 * labels, 4).astype(np.float32), labels


def test_calibrator_is_the_same_either_way(monkeypatch):
    """Thresholds and scores of `fit` do not depend on how folds are searched."""
    scores, labels = sample()
    fast = ThresholdCalibrator(strategy="exact").fit(scores, labels)
    monkeypatch.setattr(_tuning, "can_search_folds", lambda *_: False)
    slow = ThresholdCalibrator(strategy="exact").fit(scores, labels)
    np.testing.assert_array_equal(fast.best_threshold_, slow.best_threshold_)
    assert (fast.best_score_, fast.in_sample_score_) == (slow.best_score_, slow.in_sample_score_)
    for name, values in fast.cv_results_.items():
        np.testing.assert_array_equal(values, slow.cv_results_[name])


@pytest.mark.parametrize("strategy", ["exact", "auto"])
@pytest.mark.parametrize("average", ["macro", "micro", "samples", "global"])
def test_without_the_cross_validated_score(average, strategy):
    """Thresholds and the score on their own rows stay; the cross-validated score is NaN."""
    scores, labels = sample()
    params = {"average": average, "strategy": strategy}
    full = ThresholdCalibrator(**params).fit(scores, labels)
    quick = ThresholdCalibrator(**params, cross_validate=False).fit(scores, labels)
    np.testing.assert_array_equal(quick.best_threshold_, full.best_threshold_)
    assert quick.in_sample_score_ == pytest.approx(full.in_sample_score_)
    np.testing.assert_allclose(
        quick.cv_results_["in_sample_scores"], full.cv_results_["in_sample_scores"]
    )
    assert np.isnan(quick.best_score_)
    assert quick.cv_results_["fold_thresholds"].shape == (0, 4)
    for name in ("mean_threshold", "std_threshold", "cross_validated_scores"):
        assert np.isnan(quick.cv_results_[name]).all()
    np.testing.assert_array_equal(quick.predict(scores), full.predict(scores))


def test_without_the_cross_validated_score_in_the_meta_estimator():
    """The folds' scores are needed for the thresholds, but not searched one by one."""
    from sklearn.neighbors import KNeighborsClassifier

    scores, labels = sample()
    params = {"estimator": KNeighborsClassifier(9), "cv": 3}
    full = TunedThresholdMultiOutputCV(**params).fit(scores, labels[:, :3])
    quick = TunedThresholdMultiOutputCV(**params, cross_validate=False).fit(scores, labels[:, :3])
    np.testing.assert_array_equal(quick.best_threshold_, full.best_threshold_)
    assert np.isnan(quick.best_score_)


def test_random_folds_are_used_only_if_labels_are_frequent(monkeypatch):
    """A label with few positives needs folds that share them evenly."""
    scores, labels = sample(3000)
    table = ScoreTable(scores, labels)
    assert labels[:, 3].sum() >= 50
    sizes = [np.bincount(_tuning._make_folds(table)[labels[:, 3]], minlength=5)]
    assert min(sizes[0]) >= 3
    rare = labels.copy()
    rare[np.flatnonzero(rare[:, 3])[10:], 3] = False
    folds = _tuning._make_folds(ScoreTable(scores, rare))
    np.testing.assert_array_equal(np.bincount(folds[rare[:, 3]]), [2] * 5)


@pytest.mark.parametrize("excess", [0, 1])
def test_largest_folds(excess):
    """Folds of up to 65,535 rows are counted in 16 bits; larger ones are left to the search."""
    n = 5 * 65535 + excess
    folds = np.arange(n) % 5
    rng = np.random.default_rng(0)
    labels = rng.random((n, 1)) < 0.02
    table = ScoreTable(rng.beta(1 + 2 * labels, 2).astype(np.float32), labels)
    assert can_search_folds(table, folds) == (excess == 0)
    if excess:
        return
    config = make_search_config("mcc", 1, strategy="exact")
    found = search_folds(table, config.objective, folds)
    np.testing.assert_array_equal(found[3], outside(table, config, folds, 3))


@pytest.mark.parametrize("n_rare", [49, 50])
@pytest.mark.parametrize("is_rare", [False, True])
def test_folds_are_random_from_50_labels_of_each_class_on(n_rare, is_rare):
    """Stratified folds share the rare class evenly; random ones have equal numbers of rows."""
    labels = np.zeros((1000, 2), dtype=np.int8)
    labels[::2, 0] = 1
    labels[:n_rare, 1] = 1
    labels[900:, :] = -1
    if not is_rare:
        labels[:900, 1] = 1 - labels[:900, 1]
    folds = _tuning._make_folds(ScoreTable(np.ones(labels.shape, np.float32), labels))
    assert (folds[900:] == -1).all()
    np.testing.assert_array_equal(np.bincount(folds[:900]), [180] * 5)
    spread = np.ptp(np.bincount(folds[:n_rare], minlength=5))
    assert (spread > 1) == (n_rare == 50)


@pytest.mark.parametrize("n", [3, 4, 5])
def test_folds_of_few_rows(n):
    """Fewer than five known rows are folds by themselves."""
    labels = np.full((9, 1), -1, dtype=np.int8)
    labels[1 : n + 1, 0] = np.arange(n) % 2
    folds = _tuning._make_folds(ScoreTable(np.ones((9, 1), np.float32), labels))
    assert sorted(folds[1 : n + 1]) == list(range(n))
    assert (np.delete(folds, range(1, n + 1)) == -1).all()
    if n < 5:
        np.testing.assert_array_equal(folds[1 : n + 1], np.arange(n))
