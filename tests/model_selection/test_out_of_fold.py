"""Tests of out-of-fold predictions."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import load_iris, make_multilabel_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold, cross_val_predict
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.neighbors import KNeighborsClassifier

from skattr import AttributeClassifier
from skattr.model_selection import cross_val_predict_proba
from skattr.model_selection._out_of_fold import predict_folds


@pytest.fixture
def data():
    """Return 120 rows with three labels."""
    return make_multilabel_classification(120, n_classes=3, n_labels=1, random_state=0)


@pytest.mark.parametrize(
    "classifier",
    [
        KNeighborsClassifier(),
        RandomForestClassifier(5, random_state=0),
        MultiOutputClassifier(LogisticRegression()),
        OneVsRestClassifier(LogisticRegression()),
        ClassifierChain(LogisticRegression()),
    ],
    ids=lambda classifier: type(classifier).__name__,
)
def test_equals_a_loop_over_folds(classifier, data):
    """Each row's probabilities come from the clone that was not trained on it."""
    X, y = data
    cv = KFold(3)
    probas = cross_val_predict_proba(classifier, X, y, cv=cv)
    for train, test in cv.split(X):
        expected = clone(classifier).fit(X[train], y[train]).predict_proba(X[test])
        for j, part in enumerate(probas):
            is_matrix = isinstance(expected, np.ndarray)
            positive = expected[:, j] if is_matrix else expected[j][:, 1]
            np.testing.assert_allclose(part[test, 1], positive)
            np.testing.assert_allclose(part[test].sum(axis=1), 1)


def test_one_output_equals_scikit_learn():
    """Without missing labels the result equals that of cross_val_predict."""
    X, y = load_iris(return_X_y=True)
    cv = StratifiedKFold(4)
    ours = cross_val_predict_proba(KNeighborsClassifier(), X, y, cv=cv)
    theirs = cross_val_predict(KNeighborsClassifier(), X, y, cv=cv, method="predict_proba")
    np.testing.assert_array_equal(ours, theirs)


class SometimesProba(LogisticRegression):
    """Classifier that has probabilities only if trained on the last row."""

    def predict_proba(self, X):
        """Return probabilities, or lack them."""
        if not self.has_proba_:
            raise AttributeError("no probabilities")
        return super().predict_proba(X)

    def fit(self, X, y):
        """Fit, and remember the last row."""
        self.has_proba_ = bool((X[:, 0] == 59).any())
        return super().fit(X, y)


def test_probabilities_and_decisions_are_not_mixed():
    """Folds that return different scores are an error, unless one kind is asked for."""
    X, y = np.arange(60.0)[:, np.newaxis], np.arange(60) % 2
    splits = list(KFold(3).split(X))
    with pytest.raises(ValueError, match="probabilities in some folds and decisions in others"):
        predict_folds(SometimesProba(), X, y, splits)
    found = predict_folds(SometimesProba(), X, y, splits, response_method="decision_function")
    assert [prediction.is_proba for prediction in found] == [False] * 3
    assert len(predict_folds(SometimesProba(), X, y, splits[:2])) == 2


@pytest.mark.parametrize("keep", [False, True])
def test_classifiers_of_folds_are_kept_if_asked_for(keep):
    """Otherwise only their classes are."""
    X, y = np.arange(20.0)[:, np.newaxis], np.arange(20) % 2
    found = predict_folds(LogisticRegression(), X, y, list(KFold(2).split(X)), keep_estimators=keep)
    for prediction in found:
        assert prediction.estimator.classes_.tolist() == [0, 1]
        assert isinstance(prediction.estimator, LogisticRegression) == keep


class Recorder(ClassifierMixin, BaseEstimator):
    """Classifier that records the number of missing labels passed to fit."""

    n_missing: list[int] = []

    def fit(self, X, y, sample_weight=None):
        """Count missing labels and store the classes."""
        frame = pd.DataFrame(y)
        Recorder.n_missing.append(int(frame.isna().to_numpy().sum()))
        self.classes_ = [np.unique(frame[name].dropna().tolist()) for name in frame]
        self.weighted_ = sample_weight is not None and len(sample_weight) == len(frame)
        return self

    def predict_proba(self, X):
        """Return ones if weights were passed to fit, else equal probabilities of all classes."""
        return [
            np.full((len(X), len(labels)), float(self.weighted_) or 1 / len(labels))
            for labels in self.classes_
        ]


def test_missing_labels_reach_the_classifier():
    """Missing labels are not encoded as a class."""
    y = pd.DataFrame({"hat": [True, None, False, True] * 5, "color": ["a", "b", None, "a"] * 5})
    Recorder.n_missing.clear()
    probas = cross_val_predict_proba(Recorder(), np.zeros((20, 1)), y, cv=KFold(4, shuffle=False))
    assert sum(Recorder.n_missing) == 3 * 10
    assert [part.shape for part in probas] == [(20, 2), (20, 2)]


def test_float_cv_leaves_other_rows_nan(data):
    """Rows that are not held out have NaN probabilities."""
    X, y = data
    probas = cross_val_predict_proba(KNeighborsClassifier(), X, y, cv=0.25, random_state=0)
    held_out = ~np.isnan(probas[0][:, 0])
    assert held_out.sum() == 30
    repeated = cross_val_predict_proba(KNeighborsClassifier(), X, y, cv=0.25, random_state=0)
    np.testing.assert_array_equal(probas[0], repeated[0])


def test_class_missing_from_a_fold():
    """A class that a fold has not seen has probability 0 there, and a column in every row."""
    X = np.arange(12.0)[:, None]
    y = np.array([[0, 0], [1, 1], [2, 0]] * 4)
    y[:, 0] = [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]
    [first, _] = cross_val_predict_proba(KNeighborsClassifier(1), X, y, cv=KFold(3))
    assert first.shape == (12, 3)
    assert (first[:4, 0] == 0).all()
    assert (first[4:8, 1] == 0).all()
    np.testing.assert_allclose(first.sum(axis=1), 1)


def test_columns_follow_the_class_order_of_the_classifier():
    """Levels keep the order declared in the classifier, which y does not show."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3))
    size = np.array(["s", "m", "l"])[np.digitize(X[:, 0], [-0.5, 0.5])]
    y = pd.DataFrame({"size": size, "hat": X[:, 1] > 0})
    classifier = AttributeClassifier(
        attributes={"size": ("ordinal", ["s", "m", "l"])}, max_epochs=60, random_state=0
    )
    [sizes, _] = cross_val_predict_proba(classifier, X, y, cv=3)
    predicted = np.array(["s", "m", "l"])[sizes.argmax(axis=1)]
    assert (predicted == size).mean() > 0.6


def test_missing_label_of_the_classifier_is_used(data):
    """The classifier's missing_label applies, also a string in a column of numbers."""
    X, y = data
    coded = np.where(np.arange(120)[:, None] % 7 == 0, -1, y)
    classifier = AttributeClassifier(missing_label=-1, max_epochs=1, random_state=0)
    probas = cross_val_predict_proba(classifier, X, coded, cv=3)
    assert [part.shape for part in probas] == [(120, 2)] * 3
    marked = coded.astype(object)
    marked[coded == -1] = "?"
    classifier = AttributeClassifier(missing_label="?", max_epochs=1, random_state=0)
    from_strings = cross_val_predict_proba(classifier, X, marked, cv=3)
    np.testing.assert_allclose(from_strings[0], probas[0])


def test_groups_and_fit_parameters(data):
    """Groups are passed to the splitter; params are split like X and passed to fit."""
    X, y = data
    groups = np.arange(120) // 10
    weights = np.ones(120)
    Recorder.n_missing.clear()
    probas = cross_val_predict_proba(
        Recorder(), X, y, groups=groups, cv=GroupKFold(3), params={"sample_weight": weights}
    )
    assert (probas[0][:, 1] == 1).all()
    assert len(Recorder.n_missing) == 3


def test_parallel_equals_serial(data):
    """Folds fitted in parallel give the same probabilities."""
    X, y = data
    forest = RandomForestClassifier(5, random_state=0)
    serial = cross_val_predict_proba(forest, X, y, cv=3)
    parallel = cross_val_predict_proba(forest, X, y, cv=3, n_jobs=2)
    np.testing.assert_array_equal(serial, parallel)


def test_accepts_a_generator_of_splits(data):
    """A generator of splits gives the same probabilities as the splitter."""
    X, y = data
    probas = cross_val_predict_proba(KNeighborsClassifier(), X, y, cv=KFold(3).split(X))
    expected = cross_val_predict_proba(KNeighborsClassifier(), X, y, cv=KFold(3))
    np.testing.assert_array_equal(probas, expected)


def test_rejects_invalid_input(data):
    """Overlapping folds, an invalid cv, a missing method and differing lengths are rejected."""
    X, y = data
    overlapping = [(np.arange(60), np.arange(60, 120)), (np.arange(60), np.arange(110, 120))]
    with pytest.raises(ValueError, match="row 110 into 2 test folds"):
        cross_val_predict_proba(KNeighborsClassifier(), X, y, cv=overlapping)
    with pytest.raises(ValueError, match="cv must be an int, a float, a splitter"):
        cross_val_predict_proba(KNeighborsClassifier(), X, y, cv="five")
    with pytest.raises(AttributeError, match="RidgeClassifier has none of .* predict_proba"):
        cross_val_predict_proba(RidgeClassifier(), X, y)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        cross_val_predict_proba(KNeighborsClassifier(), X, y[:-1])
