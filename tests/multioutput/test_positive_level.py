"""Classes and positive levels of fitted classifiers reach metrics, thresholds and calibration."""

import numpy as np
import pandas as pd
import pytest
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skattr import (
    AttributeClassifier,
    AttributeEncoder,
    CalibratedMultiOutputCV,
    TunedThresholdMultiOutputCV,
    metrics,
)
from skattr._multioutput.classes import (
    classes_of_columns,
    encoder_for,
    fitted_encoder,
    public_classes,
)
from skattr._multioutput.scores import align_scores
from skattr.model_selection import cross_val_predict_proba

DECLARED = {"hat": ("binary", "hat")}
PARAMS = {"attributes": DECLARED, "max_epochs": 20, "lr": 0.05, "random_state": 0}


@pytest.fixture(scope="module")
def data():
    """Return features, and an attribute whose positive level comes first in the alphabet."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3))
    is_hat = X[:, 0] + 0.7 * rng.normal(size=200) > 0.8
    return X, pd.DataFrame({"hat": np.where(is_hat, "hat", "no hat")}), is_hat


@pytest.fixture(scope="module")
def fitted(data):
    """Return a classifier of this attribute alone."""
    X, y, _ = data
    return AttributeClassifier(**PARAMS).fit(X, y)


def test_one_output_has_sorted_classes_and_the_declared_positive_code(fitted, data):
    """predict_proba follows classes_, as scikit-learn asks; transform is of the positive level."""
    X, y, is_hat = data
    assert fitted.classes_.tolist() == ["hat", "no hat"]
    assert fitted.encoder_.classes_[0].tolist() == ["no hat", "hat"]
    proba = fitted.predict_proba(X)
    np.testing.assert_allclose(
        fitted.set_params(transform_output="proba").transform(X)[:, 0], proba[:, 0]
    )
    assert proba[is_hat, 0].mean() > proba[~is_hat, 0].mean() + 0.2
    np.testing.assert_array_equal(fitted.predict(X), fitted.classes_[proba.argmax(axis=1)])


@pytest.mark.parametrize("wrap", [
    lambda c, X, y: c,
    lambda c, X, y: FrozenEstimator(c),
    lambda c, X, y: make_pipeline(StandardScaler(), AttributeClassifier(**PARAMS)).fit(X, y),
    lambda c, X, y: GridSearchCV(c, {"lr": [0.05]}, cv=2).fit(X, y["hat"]),
    lambda c, X, y: CalibratedMultiOutputCV(c, cv=3).fit(X, y),
    lambda c, X, y: TunedThresholdMultiOutputCV(c, cv=3).fit(X, y),
])  # fmt: skip
def test_the_positive_level_of_a_classifier_is_that_of_its_scorers(fitted, data, wrap):
    """Its score is that of zeros and ones, through pipelines, searches and meta-estimators."""
    X, y, is_hat = data
    estimator = wrap(fitted, X, y)
    encoder = encoder_for(estimator, y)
    assert encoder.classes_[0].tolist() == ["no hat", "hat"]
    assert encoder.kinds_ == ["binary"]
    predicted = estimator.predict(X) == "hat"
    found = metrics.get_scorer("macro_f1")(estimator, X, y)
    assert found == pytest.approx(metrics.f1_score(is_hat, predicted))
    scores = estimator.predict_proba(X)[:, 0]
    found = metrics.get_scorer("mean_average_precision")(estimator, X, y)
    assert found == pytest.approx(metrics.average_precision_score(is_hat, scores))


def test_thresholds_are_of_the_positive_level(data):
    """Tuned thresholds of a declared positive level are those of zeros and ones."""
    X, y, is_hat = data
    params = {key: value for key, value in PARAMS.items() if key != "attributes"}
    text = TunedThresholdMultiOutputCV(AttributeClassifier(**PARAMS), cv=3).fit(X, y)
    numbers = TunedThresholdMultiOutputCV(AttributeClassifier(**params), cv=3).fit(X, is_hat)
    np.testing.assert_allclose(text.best_threshold_, numbers.best_threshold_)
    np.testing.assert_array_equal(text.predict(X) == "hat", numbers.predict(X))
    assert text.best_score_ == pytest.approx(numbers.best_score_)


def test_out_of_fold_probabilities_keep_a_declared_order(data):
    """Columns of several outputs are in the order of the classifier's classes."""
    X, y, is_hat = data
    y = y.assign(size=np.select([X[:, 1] < -0.5, X[:, 1] < 0.5], ["s", "m"], "l"))
    declared = {**DECLARED, "size": ("ordinal", ["s", "m", "l"])}
    hat, size = cross_val_predict_proba(
        AttributeClassifier(**{**PARAMS, "attributes": declared}), X, y, cv=3
    )
    assert hat[is_hat, 1].mean() > hat[~is_hat, 1].mean() + 0.2
    assert np.mean(np.array(["s", "m", "l"])[size.argmax(axis=1)] == y["size"]) > 0.6


def test_decisions_of_the_other_class_change_their_sign():
    """A decision is for the second class of its classifier, whichever is positive in y."""
    X = np.array([[0.0], [1.0], [2.0], [3.0]])
    y = np.array(["hat", "hat", "no", "no"])
    decision = LogisticRegression().fit(X, y).decision_function(X)
    encoder = AttributeEncoder({0: ("binary", "hat")}).fit(y)
    classes = [np.array(["hat", "no"])]
    found = align_scores(decision, False, encoder, classes)
    np.testing.assert_array_equal(found.binary[:, 0], -decision)
    proba = 1 / (1 + np.exp(-decision))
    np.testing.assert_array_equal(
        align_scores(proba, True, encoder, classes).binary[:, 0], 1 - proba
    )
    both = np.stack([1 - proba, proba], axis=1)
    np.testing.assert_array_equal(
        align_scores(both, True, encoder, classes).binary[:, 0], 1 - proba
    )


def test_columns_of_one_output():
    """Two columns are sorted as classes_ is; one column, or several outputs, are not."""
    one = AttributeEncoder({0: ("binary", "hat")}).fit(["hat", "no"])
    two = AttributeEncoder({0: ("binary", "hat")}).fit([["hat", 1], ["no", 2]])
    pair, column = np.zeros((2, 2)), np.zeros((2, 1))
    for response in (pair, [pair]):
        assert classes_of_columns(response, one)[0].tolist() == ["hat", "no"]
    for response in (column, [column], column[:, 0], [column[:, 0]], [0.1, 0.2], []):
        assert classes_of_columns(response, one) is None
    assert classes_of_columns([pair, pair], two) is None
    assert public_classes(two)[0].tolist() == ["no", "hat"]


def test_classifiers_of_others_have_no_encoder():
    """Their classes are those they show."""
    classifier = LogisticRegression().fit([[0.0], [1.0]], ["a", "b"])
    assert fitted_encoder(classifier) is None
    assert encoder_for(classifier, ["a", "c", None]).classes_[0].tolist() == ["a", "b", "c"]
