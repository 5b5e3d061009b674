"""Thresholds of a network by three equivalent routes, with their number of fits."""

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import GridSearchCV, KFold, cross_validate
from sklearn.pipeline import Pipeline

from skattr import AttributeClassifier, ThresholdCalibrator, TunedThresholdMultiOutputCV
from skattr.datasets import make_attribute_images
from skattr.model_selection import MultilabelStratifiedKFold
from tests.tiny_models import tiny_backbone


class CountedClassifier(AttributeClassifier):
    """Classifier that counts the networks it trains, including those of a cross-fit."""

    trained = 0

    def _fit(self, X, codes, metadata, encoder):
        CountedClassifier.trained += 1
        return super()._fit(X, codes, metadata, encoder)


@pytest.fixture
def data():
    """Return 60 images and a table of two binary columns and a category with missing labels."""
    X, _ = make_attribute_images(60, image_size=16, random_state=0, return_X_y=True)
    rng = np.random.default_rng(0)
    y = pd.DataFrame(
        {
            "hat": rng.random(60) < 0.4,
            "color": rng.choice(["blue", "red"], 60),
            "size": rng.choice(["l", "m", "s"], 60),
        }
    ).astype({"hat": "boolean"})
    y.loc[::7, "hat"] = None
    y.loc[::5, "size"] = None
    CountedClassifier.trained = 0
    return X, y


def network(**params):
    """Return a tiny classifier that counts its fits."""
    return CountedClassifier(
        tiny_backbone, image_size=16, max_epochs=2, batch_size=16, random_state=0, **params
    )


def count_fits():
    """Return the number of networks trained since the last call."""
    trained, CountedClassifier.trained = CountedClassifier.trained, 0
    return trained


def exact_match(estimator, X, y):
    """Return the exact match over the known labels."""
    return estimator.score(X, y)


def test_calibrator_after_the_network(tmp_path, data):
    """With memory, networks are trained once per outer fold, whatever the thresholds."""
    X, y = data
    pipeline = Pipeline(
        [("net", network(cross_fit=3)), ("thresholds", ThresholdCalibrator())],
        memory=str(tmp_path / "memory"),
    )
    grid = GridSearchCV(
        pipeline,
        {
            "thresholds__objective": ["f1", "balanced_accuracy"],
            "thresholds__thresholds": ["tune", 0.3, [0.4, 0.6]],
        },
        scoring=exact_match,
        cv=KFold(3),
    ).fit(X, y)
    # (3 outer folds + 1 refit) x (3 cross-fit networks + 1 that predicts), whatever the candidates
    assert count_fits() == 4 * 4
    assert np.isfinite(grid.cv_results_["mean_test_score"]).all()
    assert grid.predict(X).shape == (60, 3)
    best = grid.best_estimator_["thresholds"]
    assert np.isnan(best.best_threshold_).tolist() == [False, False, True]
    by_hand = grid.best_estimator_["net"].transform(X)[:, 0] >= best.best_threshold_[0]
    np.testing.assert_array_equal(grid.predict(X)[:, 0], by_hand)


def test_held_out_share_after_the_network(data):
    """cross_fit=0.3 trains one network, and the calibrator sees only the held-out rows."""
    X, y = data
    pipeline = Pipeline(
        [("net", network(cross_fit=0.3)), ("thresholds", ThresholdCalibrator())]
    ).fit(X, y)
    assert count_fits() == 1
    assert pipeline.predict(X).shape == (60, 3)


def test_meta_estimator_in_cross_validate(data):
    """In every outer fold, the thresholds come from inner folds only."""
    X, y = data
    tuned = TunedThresholdMultiOutputCV(network(), cv=3)
    scores = cross_validate(
        tuned, X, y, cv=MultilabelStratifiedKFold(2), scoring=exact_match, return_estimator=True
    )
    assert count_fits() == 2 * (3 + 1)
    for estimator in scores["estimator"]:
        assert estimator.best_threshold_.shape == (3,)
        assert np.isfinite(estimator.best_score_)


def test_forty_labels_take_six_fits():
    """There is one fit per fold and one on all rows, or a single fit with a held-out share."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 6))
    y = X @ rng.normal(size=(6, 40)) + rng.normal(size=(120, 40)) > 0.5
    classifier = CountedClassifier(max_epochs=2, random_state=0)
    tuned = TunedThresholdMultiOutputCV(classifier, cv=5).fit(X, y)
    assert count_fits() == 6
    assert tuned.best_threshold_.shape == (40,)
    once = TunedThresholdMultiOutputCV(classifier, cv=0.2, refit=False, random_state=0)
    once.fit(X, y)
    assert count_fits() == 1
    assert once.predict(X).shape == (120, 40)


def test_fixed_thresholds_need_no_folds(data):
    """Given thresholds are used with a single network."""
    X, y = data
    fitted = network().fit(X, y)
    assert count_fits() == 1
    fixed = TunedThresholdMultiOutputCV(
        fitted, thresholds={"hat": 0.3, "color": 0.6}, cv="prefit", refit=False
    ).fit(X, y)
    assert count_fits() == 0
    probas = fitted.predict_proba(X)
    np.testing.assert_array_equal(fixed.predict(X)[:, 0], probas[0][:, 1] >= 0.3)
    np.testing.assert_array_equal(
        fixed.predict(X)[:, 1], np.where(probas[1][:, 1] >= 0.6, "red", "blue")
    )
    behind = Pipeline(
        [("net", network()), ("thresholds", ThresholdCalibrator(thresholds=[0.3, 0.6]))]
    )
    with pytest.warns(match="the rows that the network was trained on"):
        behind.fit(X, y)
    assert count_fits() == 1
    np.testing.assert_array_equal(behind.predict(X), fixed.predict(X))
