"""MajorityClassifier against scikit-learn's DummyClassifier on the known labels of each column."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.dummy import DummyClassifier
from sklearn.model_selection import GridSearchCV, KFold, LearningCurveDisplay, cross_validate
from sklearn.utils.estimator_checks import check_estimator

from skattr import CalibratedMultiOutputCV, MajorityClassifier, TunedThresholdMultiOutputCV
from skattr.exceptions import MissingLabelWarning
from skattr.metrics import attribute_report, f1_score, get_scorer


@pytest.fixture
def data(rng):
    """Return features, and a binary, a categorical and an ordinal attribute with missing labels."""
    n = 90
    y = pd.DataFrame(
        {
            "hat": pd.array(rng.random(n) < 0.3, dtype="boolean"),
            "color": rng.choice(["blue", "green", "red"], n, p=[0.2, 0.3, 0.5]),
            "age": pd.Categorical(
                rng.choice(["young", "middle", "old"], n), ["young", "middle", "old"], ordered=True
            ),
        }
    )
    y.loc[::7, "hat"] = pd.NA
    y.loc[::5, "color"] = None
    y.loc[::4, "age"] = None
    return rng.normal(size=(n, 3)), y


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
def test_estimator_contract():
    """It passes the checks of scikit-learn."""
    check_estimator(MajorityClassifier())


@pytest.mark.parametrize("weighted", [False, True])
def test_equals_dummy_classifiers_of_the_known_labels(data, rng, weighted):
    """Probabilities and predictions of each column are those of ``strategy="prior"``."""
    X, y = data
    weight = rng.random(len(y)) if weighted else None
    baseline = MajorityClassifier().fit(X, y, sample_weight=weight)
    assert baseline.output_names_ == ["hat", "color", "age"]
    predicted, proba = baseline.predict(X), baseline.predict_proba(X)
    for j, name in enumerate(y):
        known = y[name].notna().to_numpy()
        labels = y.loc[known, name].to_numpy(dtype=object)
        own = None if weight is None else weight[known]
        classes = baseline.classes_[j].tolist()
        codes = np.array([classes.index(label) for label in labels])
        dummy = DummyClassifier(strategy="prior").fit(X[known], codes, own)
        np.testing.assert_allclose(proba[j], dummy.predict_proba(X))
        np.testing.assert_allclose(baseline.class_prior_[j], dummy.class_prior_)
        assert predicted[:, j].tolist() == [classes[code] for code in dummy.predict(X)]
    assert baseline.classes_[2].tolist() == ["young", "middle", "old"]


def test_one_output_and_ties():
    """Columns are sorted, whichever class is positive; of equal shares the first class wins."""
    baseline = MajorityClassifier({"y0": ("binary", "hat")}).fit(
        range(4), ["no hat", "hat", "hat", "no hat"]
    )
    assert baseline.classes_.tolist() == ["hat", "no hat"]
    assert baseline.predict(range(2)).tolist() == ["hat", "hat"]
    unequal = MajorityClassifier({"y0": ("binary", "hat")}).fit(
        range(4), ["no hat", "hat", "no hat", "no hat"]
    )
    np.testing.assert_allclose(unequal.predict_proba(range(1)), [[0.25, 0.75]])
    assert unequal.predict(range(1)).tolist() == ["no hat"]


def test_label_weights_and_attributes_without_labels():
    """A label of weight 0 is missing; without any, classes get equal shares, with a warning."""
    y = np.array([[1, 1], [0, 1], [0, 0]])
    weights = np.array([[1, 0], [0, 0], [0, 0]])
    with pytest.warns(MissingLabelWarning, match=r"No label of \['y1'\] is known or has a weight"):
        baseline = MajorityClassifier().fit(y, y, label_weight=weights)
    np.testing.assert_array_equal(baseline.class_prior_, [[0, 1], [0.5, 0.5]])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        MajorityClassifier().fit(y[:2], y)


def test_works_with_the_tools(data):
    """Searches, scorers, learning curves, thresholds and calibrators take missing labels."""
    plt = pytest.importorskip("matplotlib.pyplot")
    X, y = data
    scores = cross_validate(MajorityClassifier(), X, y, scoring=get_scorer("macro_f1"), cv=KFold(3))
    assert np.isfinite(scores["test_score"]).all()
    scorer = get_scorer("neg_log_loss")
    params = {"missing_label": [None, "?"]}
    grid = GridSearchCV(MajorityClassifier(), params, scoring=scorer, cv=KFold(3))
    assert np.isfinite(grid.fit(X, y).cv_results_["mean_test_score"]).all()
    display = LearningCurveDisplay.from_estimator(
        MajorityClassifier(), X, y, scoring=scorer, cv=KFold(3), train_sizes=[0.5, 1.0]
    )
    assert display.ax_.get_ylabel() == "Negative log loss"
    plt.close(display.figure_)
    tuned = TunedThresholdMultiOutputCV(MajorityClassifier(), thresholds=0.5, cv=3).fit(X, y)
    assert tuned.predict(X).shape == y.shape
    calibrated = CalibratedMultiOutputCV(MajorityClassifier(), cv=3, min_support=1).fit(X, y)
    assert calibrated.predict(X).shape == y.shape
    assert clone(tuned.estimator).get_params() == {"attributes": None, "missing_label": None}


def test_a_report_has_it_beside_the_model(rng):
    """Columns are the metrics of its predictions, for attributes, averages and slices."""
    y = (rng.random((60, 3)) < [0.3, 0.6, 0.7]).astype(float)
    y[::7, 1] = np.nan
    guess = rng.random((60, 3)) < 0.5
    said = MajorityClassifier().fit(y, y).predict(y)
    part = np.arange(60) % 2
    report = attribute_report(y, guess, baseline=said, slices=part)
    alone = attribute_report(y, said, slices=part)
    for name in ("precision", "recall", "f1", "accuracy", "balanced_accuracy"):
        np.testing.assert_allclose(report[f"{name}_baseline"], alone[name])
    assert report.loc[(0, "macro"), "f1_baseline"] == f1_score(y[part == 0], said[part == 0])
    assert list(report.columns[-5:]) == [f"{n}_baseline" for n in (
        "precision", "recall", "f1", "accuracy", "balanced_accuracy")]  # fmt: skip
