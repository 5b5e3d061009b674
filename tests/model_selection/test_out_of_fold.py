"""Out-of-fold probabilities of any multi-output classifier."""

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


@pytest.fixture
def data():
    """120 rows of three labels."""
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
    """Each row's probabilities are those of the clone that has not seen it."""
    X, y = data
    cv = KFold(3)
    probas = cross_val_predict_proba(classifier, X, y, cv=cv)
    for train, test in cv.split(X):
        expected = clone(classifier).fit(X[train], y[train]).predict_proba(X[test])
        for j, part in enumerate(probas):
            matrix = isinstance(expected, np.ndarray)
            positive = expected[:, j] if matrix else expected[j][:, 1]
            np.testing.assert_allclose(part[test, 1], positive)
            np.testing.assert_allclose(part[test].sum(axis=1), 1)


def test_one_output_equals_scikit_learn():
    """Without missing labels cross_val_predict says the same."""
    X, y = load_iris(return_X_y=True)
    cv = StratifiedKFold(4)
    ours = cross_val_predict_proba(KNeighborsClassifier(), X, y, cv=cv)
    theirs = cross_val_predict(KNeighborsClassifier(), X, y, cv=cv, method="predict_proba")
    np.testing.assert_array_equal(ours, theirs)


class Recorder(ClassifierMixin, BaseEstimator):
    """A classifier of tables that notes how many labels it was not told."""

    unknown: list[int] = []

    def fit(self, X, y, sample_weight=None):
        """Count, and learn the shares."""
        frame = pd.DataFrame(y)
        Recorder.unknown.append(int(frame.isna().to_numpy().sum()))
        self.classes_ = [np.unique(frame[name].dropna().to_list()) for name in frame]
        self.weighted_ = sample_weight is not None and len(sample_weight) == len(frame)
        return self

    def predict_proba(self, X):
        """Return equal probabilities of all classes, or zeros where weights did not come."""
        return [
            np.full((len(X), len(labels)), float(self.weighted_) or 1 / len(labels))
            for labels in self.classes_
        ]


def test_unknown_labels_reach_the_classifier():
    """They are not encoded as a class."""
    y = pd.DataFrame({"hat": [True, None, False, True] * 5, "color": ["a", "b", None, "a"] * 5})
    Recorder.unknown.clear()
    probas = cross_val_predict_proba(Recorder(), np.zeros((20, 1)), y, cv=KFold(4, shuffle=False))
    assert sum(Recorder.unknown) == 3 * 10
    assert [part.shape for part in probas] == [(20, 2), (20, 2)]


def test_a_held_out_share_leaves_nan(data):
    """Rows that no fold holds out have no probability."""
    X, y = data
    probas = cross_val_predict_proba(KNeighborsClassifier(), X, y, cv=0.25, random_state=0)
    held_out = ~np.isnan(probas[0][:, 0])
    assert held_out.sum() == 30
    again = cross_val_predict_proba(KNeighborsClassifier(), X, y, cv=0.25, random_state=0)
    np.testing.assert_array_equal(probas[0], again[0])


def test_a_class_that_a_fold_has_not_seen():
    """It has the probability 0 there, and a column everywhere."""
    X = np.arange(12.0)[:, None]
    y = np.array([[0, 0], [1, 1], [2, 0]] * 4)
    y[:, 0] = [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]
    [first, _] = cross_val_predict_proba(KNeighborsClassifier(1), X, y, cv=KFold(3))
    assert first.shape == (12, 3)
    assert (first[:4, 0] == 0).all()
    assert (first[4:8, 1] == 0).all()
    np.testing.assert_allclose(first.sum(axis=1), 1)


def test_columns_stand_in_the_order_of_the_classifiers_classes():
    """Levels of a declared order, of which y knows nothing, keep it."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3))
    size = np.array(["s", "m", "l"])[np.digitize(X[:, 0], [-0.5, 0.5])]
    y = pd.DataFrame({"size": size, "hat": X[:, 1] > 0})
    classifier = AttributeClassifier(
        attributes={"size": ("ordinal", ["s", "m", "l"])}, max_epochs=60, random_state=0
    )
    [sizes, _] = cross_val_predict_proba(classifier, X, y, cv=3)
    found = np.array(["s", "m", "l"])[sizes.argmax(axis=1)]
    assert (found == size).mean() > 0.6


def test_a_code_for_unknown(data):
    """missing_label is the classifier's own, or is given; also as a string among numbers."""
    X, y = data
    coded = np.where(np.arange(120)[:, None] % 7 == 0, -1, y)
    classifier = AttributeClassifier(missing_label=-1, max_epochs=1, random_state=0)
    probas = cross_val_predict_proba(classifier, X, coded, cv=3)
    assert [part.shape for part in probas] == [(120, 2)] * 3
    marked = coded.astype(object)
    marked[coded == -1] = "?"
    classifier = AttributeClassifier(missing_label="?", max_epochs=1, random_state=0)
    same = cross_val_predict_proba(classifier, X, marked, cv=3)
    np.testing.assert_allclose(same[0], probas[0])


def test_groups_and_fit_parameters(data):
    """Groups go to the splitter, params to fit, split like X."""
    X, y = data
    groups = np.arange(120) // 10
    weights = np.ones(120)
    Recorder.unknown.clear()
    probas = cross_val_predict_proba(
        Recorder(), X, y, groups=groups, cv=GroupKFold(3), params={"sample_weight": weights}
    )
    assert (probas[0][:, 1] == 1).all()
    assert len(Recorder.unknown) == 3


def test_parallel_equals_serial(data):
    """Folds side by side give the same."""
    X, y = data
    forest = RandomForestClassifier(5, random_state=0)
    serial = cross_val_predict_proba(forest, X, y, cv=3)
    parallel = cross_val_predict_proba(forest, X, y, cv=3, n_jobs=2)
    np.testing.assert_array_equal(serial, parallel)


def test_one_shot_splits(data):
    """A generator of splits will do."""
    X, y = data
    probas = cross_val_predict_proba(KNeighborsClassifier(), X, y, cv=KFold(3).split(X))
    expected = cross_val_predict_proba(KNeighborsClassifier(), X, y, cv=KFold(3))
    np.testing.assert_array_equal(probas, expected)


def test_bad_input(data):
    """Each is said in a sentence."""
    X, y = data
    twice = [(np.arange(60), np.arange(60, 120)), (np.arange(60), np.arange(110, 120))]
    with pytest.raises(ValueError, match="row 110 into 2 test folds"):
        cross_val_predict_proba(KNeighborsClassifier(), X, y, cv=twice)
    with pytest.raises(ValueError, match="cv should be an int, a float, a splitter"):
        cross_val_predict_proba(KNeighborsClassifier(), X, y, cv="five")
    with pytest.raises(AttributeError, match="RidgeClassifier has none of .* predict_proba"):
        cross_val_predict_proba(RidgeClassifier(), X, y)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        cross_val_predict_proba(KNeighborsClassifier(), X, y[:-1])
