"""TunedThresholdMultiOutputCV with classifiers of all kinds."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import make_multilabel_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.metrics import f1_score
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    TunedThresholdClassifierCV,
    cross_validate,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from skattr import AttributeClassifier
from skattr.exceptions import SkattrWarning, ThresholdNotTunedWarning, UnseenLabelError
from skattr.model_selection import cross_val_predict_proba
from skattr.thresholds import ThresholdCalibrator, TunedThresholdMultiOutputCV, find_thresholds


class CountingForest(RandomForestClassifier):
    """Forest that counts its fits, including those of clones."""

    fits = 0

    def fit(self, X, y, sample_weight=None):
        """Count and fit."""
        type(self).fits += 1
        return super().fit(X, y, sample_weight)


@pytest.fixture
def data():
    """Return 300 rows of three labels."""
    return make_multilabel_classification(300, n_classes=3, n_labels=1, random_state=0)


CLASSIFIERS = {
    "forest": RandomForestClassifier(20, random_state=0),
    "neighbours": KNeighborsClassifier(9),
    "multioutput": MultiOutputClassifier(LogisticRegression()),
    "one-vs-rest": OneVsRestClassifier(LogisticRegression()),
    "svm": OneVsRestClassifier(LinearSVC()),
    "ridge": RidgeClassifier(),
    "chain": ClassifierChain(LogisticRegression()),
    "mlp": MLPClassifier((8,), solver="lbfgs", max_iter=20, random_state=0),
    "pipeline": make_pipeline(StandardScaler(), KNeighborsClassifier(9)),
    "attributes": AttributeClassifier(max_epochs=3, random_state=0),
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_any_classifier(name, data):
    """Lists, matrices and decisions all give thresholds, and predictions are labels of y."""
    X, y = data
    tuned = TunedThresholdMultiOutputCV(CLASSIFIERS[name], cv=3).fit(X, y)
    predicted = tuned.predict(X)
    assert predicted.shape == y.shape
    assert predicted.dtype == y.dtype
    assert tuned.best_threshold_.shape == (3,)
    assert [labels.tolist() for labels in tuned.classes_] == [[0, 1]] * 3
    assert f1_score(y, predicted, average="macro") > 0.5
    assert 0.3 < tuned.best_score_ < tuned.in_sample_score_ + 0.1
    if hasattr(CLASSIFIERS[name], "predict_proba"):
        probas = tuned.predict_proba(X)
        assert [part.shape for part in probas] == [(300, 2)] * 3
        positive = np.stack([part[:, 1] for part in probas], axis=1)
        np.testing.assert_array_equal(predicted, positive >= tuned.best_threshold_)
        assert not hasattr(tuned, "decision_function")
    else:
        decisions = tuned.decision_function(X)
        np.testing.assert_array_equal(predicted, decisions >= tuned.best_threshold_)
        assert not hasattr(tuned, "predict_proba")


def test_thresholds_are_those_of_the_out_of_fold_scores(data):
    """They equal those of cross_val_predict_proba and find_thresholds."""
    X, y = data
    forest = RandomForestClassifier(20, random_state=0)
    tuned = TunedThresholdMultiOutputCV(forest, strategy="exact", cv=4).fit(X, y)
    probas = cross_val_predict_proba(forest, X, y, cv=4)
    scores = np.stack([part[:, 1] for part in probas], axis=1)
    found = find_thresholds(y, scores, strategy="exact")
    np.testing.assert_array_equal(tuned.best_threshold_, found.thresholds)
    assert tuned.in_sample_score_ == pytest.approx(found.value)


def test_best_score_by_hand(data):
    """Each fold is predicted with thresholds of the others; F1 is that of the summed counts."""
    X, y = data
    forest = RandomForestClassifier(20, random_state=0)
    splits = list(KFold(4).split(X))
    tuned = TunedThresholdMultiOutputCV(forest, strategy="exact", cv=splits).fit(X, y)
    scores = np.empty(y.shape)
    for train, test in splits:
        probas = clone(forest).fit(X[train], y[train]).predict_proba(X[test])
        scores[test] = np.stack([part[:, 1] for part in probas], axis=1)
    predicted = np.empty(y.shape, dtype=bool)
    thresholds = []
    for train, test in splits:
        thresholds.append(find_thresholds(y[train], scores[train], strategy="exact").thresholds)
        predicted[test] = scores[test] >= thresholds[-1]
    expected = f1_score(y, predicted, average=None)
    np.testing.assert_allclose(tuned.cv_results_["cross_validated_scores"], expected)
    assert tuned.best_score_ == pytest.approx(expected.mean())
    np.testing.assert_array_equal(tuned.cv_results_["fold_thresholds"], thresholds)
    np.testing.assert_allclose(tuned.cv_results_["std_threshold"], np.std(thresholds, axis=0))


def test_one_binary_output_agrees_with_scikit_learn(data):
    """The score is at least that of TunedThresholdClassifierCV."""
    X, y = data
    forest = RandomForestClassifier(20, random_state=0)
    ours = TunedThresholdMultiOutputCV(forest, objective="balanced_accuracy", strategy="exact")
    theirs = TunedThresholdClassifierCV(forest, scoring="balanced_accuracy")
    ours.fit(X, y[:, 0])
    theirs.fit(X, y[:, 0])
    assert isinstance(ours.best_threshold_, float)
    assert ours.predict(X).shape == (300,)
    np.testing.assert_array_equal(ours.classes_, theirs.classes_)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X))
    assert ours.in_sample_score_ >= theirs.best_score_ - 0.02


@pytest.mark.filterwarnings("ignore::skattr.exceptions.ThresholdNotTunedWarning")
def test_number_of_fits():
    """40 labels and five folds are six fits; a held-out share without refit is one; prefit none."""
    X, y = make_multilabel_classification(200, n_classes=40, n_labels=20, random_state=0)
    forest = CountingForest(5, random_state=0)
    for params, fits in (
        ({"cv": 5}, 6),
        ({}, 6),
        ({"cv": 0.2}, 2),
        ({"cv": 0.2, "refit": False}, 1),
        ({"cv": 3}, 4),
    ):
        CountingForest.fits = 0
        TunedThresholdMultiOutputCV(forest, random_state=0, **params).fit(X, y)
        assert CountingForest.fits == fits
    fitted = forest.fit(X[:100], y[:100])
    CountingForest.fits = 0
    TunedThresholdMultiOutputCV(fitted, cv="prefit", refit=False).fit(X[100:], y[100:])
    TunedThresholdMultiOutputCV(FrozenEstimator(fitted), cv="prefit", refit=False).fit(X, y)
    TunedThresholdMultiOutputCV(FrozenEstimator(fitted), cv=3).fit(X[100:], y[100:])
    assert CountingForest.fits == 0


def test_prefit_and_frozen_are_the_same(data):
    """A fitted classifier is not fitted again, and all rows are used for tuning."""
    X, y = data
    forest = RandomForestClassifier(20, random_state=0).fit(X[:200], y[:200])
    prefit = TunedThresholdMultiOutputCV(forest, cv="prefit", refit=False).fit(X[200:], y[200:])
    frozen = TunedThresholdMultiOutputCV(FrozenEstimator(forest), cv="prefit", refit=False)
    frozen.fit(X[200:], y[200:])
    assert prefit.estimator_ is forest
    np.testing.assert_array_equal(prefit.best_threshold_, frozen.best_threshold_)
    scores = np.stack([part[:, 1] for part in forest.predict_proba(X[200:])], axis=1)
    alone = ThresholdCalibrator().fit(scores, y[200:])
    np.testing.assert_array_equal(prefit.best_threshold_, alone.best_threshold_)
    assert prefit.best_score_ == alone.best_score_


def test_held_out_share(data):
    """Only the held-out rows are used for tuning, and the classifier of the split is kept."""
    X, y = data
    forest = RandomForestClassifier(20, random_state=0)
    tuned = TunedThresholdMultiOutputCV(
        forest, cv=0.3, refit=False, random_state=1, store_cv_results=True
    ).fit(X, y)
    scores = tuned.cv_results_["scores"]
    held_out = ~np.isnan(scores[:, 0])
    assert held_out.sum() == 90
    probas = tuned.estimator_.predict_proba(X[held_out])
    np.testing.assert_array_equal(scores[held_out, 0], probas[0][:, 1])
    again = TunedThresholdMultiOutputCV(forest, cv=0.3, random_state=1).fit(X, y)
    np.testing.assert_array_equal(again.best_threshold_, tuned.best_threshold_)


def test_retune_needs_no_fit(data):
    """Thresholds for other objectives equal those of a new fit."""
    X, y = data
    forest = CountingForest(20, random_state=0)
    tuned = TunedThresholdMultiOutputCV(forest, store_cv_results=True).fit(X, y)
    CountingForest.fits = 0
    for params in (
        {"objective": "jaccard"},
        {"objective": "recall", "constraint": ("precision", 0.6), "strategy": "exact"},
        {"objective": "f1", "constraint": None, "average": "micro"},
        {"thresholds": 0.4},
    ):
        assert tuned.retune(**params) is tuned
        assert CountingForest.fits == 0
        fresh = clone(tuned).fit(X, y)
        np.testing.assert_array_equal(tuned.best_threshold_, fresh.best_threshold_)
        assert tuned.best_score_ == fresh.best_score_
        np.testing.assert_array_equal(tuned.predict(X), fresh.predict(X))
        CountingForest.fits = 0


def test_failed_retune_changes_nothing(data):
    """Invalid parameters leave thresholds and parameters as they were."""
    X, y = data
    tuned = TunedThresholdMultiOutputCV(KNeighborsClassifier(9), store_cv_results=True).fit(X, y)
    before = tuned.best_threshold_.copy()
    for params in ({"objective": "auc"}, {"constraint": ("recall", 2.0)}, {"cv": 3}):
        with pytest.raises(ValueError):
            tuned.retune(**params)
    assert tuned.objective == "f1"
    np.testing.assert_array_equal(tuned.best_threshold_, before)
    with pytest.raises(ValueError, match="fit with store_cv_results=True"):
        TunedThresholdMultiOutputCV(KNeighborsClassifier(9)).fit(X, y).retune(objective="mcc")
    with pytest.raises(NotFittedError):
        TunedThresholdMultiOutputCV(KNeighborsClassifier(9)).retune(objective="mcc")


class FeatureClassifier(ClassifierMixin, BaseEstimator):
    """Classifier whose features are its probabilities; it supports missing labels."""

    def fit(self, X, y):
        """Remember the table's columns."""
        self.classes_ = [np.array([False, True]) for _ in range(np.shape(y)[1])]
        self.saw_ = pd.DataFrame(y).isna().to_numpy().sum()
        return self

    def predict_proba(self, X):
        """Return the features as probabilities."""
        return [np.stack([1 - column, column], axis=1) for column in np.asarray(X).T]

    def predict(self, X):
        """Return whether the features are above one half."""
        return np.asarray(X) > 0.5


def test_missing_labels_stay_missing(rng):
    """They reach the classifier unchanged and have no influence on the thresholds."""
    y = pd.DataFrame(rng.random((200, 2)) < 0.4, columns=["hat", "beard"]).astype("boolean")
    X = rng.beta(1 + 2 * y.to_numpy(bool), 4)
    full = TunedThresholdMultiOutputCV(FeatureClassifier(), cv=KFold(4), store_cv_results=True).fit(
        X, y
    )
    y.loc[::5, "beard"] = None
    tuned = TunedThresholdMultiOutputCV(
        FeatureClassifier(), cv=KFold(4), store_cv_results=True
    ).fit(X, y)
    assert tuned.estimator_.saw_ == 40
    assert tuned.best_threshold_[0] == full.best_threshold_[0]
    assert (tuned.cv_results_["labels"][::5, 1] == -1).all()
    assert tuned.output_names_ == ["hat", "beard"]
    known = y["beard"].notna().to_numpy()
    alone = find_thresholds(y["beard"][known].astype(bool), X[known, 1], strategy="exact")
    exact = TunedThresholdMultiOutputCV(FeatureClassifier(), strategy="exact", cv=KFold(4)).fit(
        X, y
    )
    assert exact.best_threshold_[1] == alone.thresholds[0]
    assert 0 <= tuned.score(X, y) <= 1


def test_missing_label_is_read_from_the_classifier(rng):
    """The marker of missing labels is also found inside a pipeline."""
    X = rng.normal(size=(80, 4))
    y = np.where(X[:, :2] + rng.normal(size=(80, 2)) > 0, 1, 0)
    y[::6, 1] = -1
    classifier = AttributeClassifier(missing_label=-1, max_epochs=2, random_state=0)
    tuned = TunedThresholdMultiOutputCV(classifier, cv=3).fit(X, y)
    assert [labels.tolist() for labels in tuned.classes_] == [[0, 1], [0, 1]]
    piped = TunedThresholdMultiOutputCV(make_pipeline(StandardScaler(), classifier), cv=3)
    assert [labels.tolist() for labels in piped.fit(X, y).classes_] == [[0, 1], [0, 1]]


def test_mixed_outputs(rng):
    """A category is predicted by its highest probability."""
    n = 90
    X = rng.normal(size=(n, 4))
    y = pd.DataFrame(
        {
            "hat": X[:, 0] + rng.normal(size=n) > 0.5,
            "color": np.array(["blue", "green", "red"])[np.digitize(X[:, 1], [-0.5, 0.5])],
            "size": pd.Categorical(
                np.array(["s", "m", "l"])[np.digitize(X[:, 2], [-0.5, 0.5])],
                ["s", "m", "l"],
                ordered=True,
            ),
        }
    )
    y.loc[::8, "color"] = None
    classifier = AttributeClassifier(max_epochs=15, random_state=0)
    tuned = TunedThresholdMultiOutputCV(classifier, cv=3).fit(X, y)
    assert np.isnan(tuned.best_threshold_).tolist() == [False, True, True]
    assert tuned.classes_[2].tolist() == ["s", "m", "l"]
    predicted = tuned.predict(X)
    inner = tuned.estimator_.predict(X)
    np.testing.assert_array_equal(predicted[:, 1:], inner[:, 1:])
    for ours, theirs in zip(tuned.predict_proba(X), tuned.estimator_.predict_proba(X), strict=True):
        np.testing.assert_allclose(ours, theirs)
    assert tuned.score(X, y) > 0.1


def test_without_binary_outputs(data):
    """Predictions are the classifier's own, without an error."""
    X, y = data
    levels = y[:, :2].sum(axis=1)
    tuned = TunedThresholdMultiOutputCV(RandomForestClassifier(20, random_state=0)).fit(X, levels)
    np.testing.assert_array_equal(tuned.predict(X), tuned.estimator_.predict(X))
    assert np.isnan(tuned.best_threshold_)
    assert np.isnan(tuned.best_score_)


def test_label_that_cannot_be_tuned(data):
    """It gets the default threshold with one warning, and the others are tuned."""
    X, y = data
    y = np.column_stack([y, np.zeros(len(y), dtype=int)])
    forest = RandomForestClassifier(20, random_state=0)
    with pytest.warns(
        ThresholdNotTunedWarning, match="'y3': one class only, the negative one"
    ) as caught:
        tuned = TunedThresholdMultiOutputCV(forest, default_threshold=0.6).fit(X, y)
    assert len(caught) == 1
    assert tuned.best_threshold_[3] == 0.6
    assert not tuned.predict(X)[:, 3].any()
    with pytest.raises(ValueError, match="No threshold can be tuned"):
        TunedThresholdMultiOutputCV(forest).fit(X, y[:, [3, 3]])


def test_weights_reach_classifier_and_thresholds(data):
    """They are passed to a classifier that takes them; integer weights equal repeated rows."""
    X, y = data
    times = 1 + np.arange(300) % 2
    prefit = RandomForestClassifier(20, random_state=0).fit(X, y, sample_weight=times)
    params = {"cv": "prefit", "refit": False, "strategy": "exact"}
    weighted = TunedThresholdMultiOutputCV(prefit, **params).fit(X, y, sample_weight=times)
    repeated = TunedThresholdMultiOutputCV(prefit, **params)
    repeated.fit(np.repeat(X, times, axis=0), np.repeat(y, times, axis=0))
    np.testing.assert_allclose(weighted.best_threshold_, repeated.best_threshold_)
    tuned = TunedThresholdMultiOutputCV(RandomForestClassifier(20, random_state=0))
    tuned.fit(X, y, sample_weight=times)
    probas = prefit.predict_proba(X)
    for ours, theirs in zip(tuned.predict_proba(X), probas, strict=True):
        np.testing.assert_allclose(ours, theirs)


def test_label_weight(data):
    """A weight of 0 is equivalent to a missing label."""
    X, y = data
    weight = np.ones(y.shape)
    weight[::3, 1] = 0
    forest = RandomForestClassifier(20, random_state=0).fit(X, y)
    params = {"cv": "prefit", "refit": False, "strategy": "exact"}
    tuned = TunedThresholdMultiOutputCV(forest, **params).fit(X, y, label_weight=weight)
    blanked = y.astype(float)
    blanked[::3, 1] = np.nan
    missing = TunedThresholdMultiOutputCV(forest, **params).fit(X, blanked)
    np.testing.assert_allclose(tuned.best_threshold_, missing.best_threshold_)


def test_metadata_routing(data):
    """The classifier gets what it requests, and the splitter gets the groups."""
    X, y = data
    groups = np.arange(300) // 5
    with config_context(enable_metadata_routing=True):
        forest = RandomForestClassifier(20, random_state=0).set_fit_request(sample_weight=True)
        tuned = TunedThresholdMultiOutputCV(forest, cv=GroupKFold(4), store_cv_results=True)
        tuned.set_fit_request(sample_weight=True)
        tuned.fit(X, y, sample_weight=np.ones(300), groups=groups)
        folds = tuned.cv_results_["folds"]
        assert all(len(set(folds[groups == group])) == 1 for group in range(60))
        scores = cross_validate(
            tuned, X, y, cv=GroupKFold(3), params={"groups": groups}, scoring="f1_macro"
        )
        assert (scores["test_score"] > 0).all()
    tuned = TunedThresholdMultiOutputCV(KNeighborsClassifier(9), cv=GroupKFold(4))
    tuned.fit(X, y, groups=groups)
    with pytest.raises(TypeError, match="unexpected keyword argument 'check_input'"):
        tuned.fit(X, y, groups=groups, check_input=True)


def test_parallel_equals_serial(data):
    """Results do not depend on n_jobs."""
    X, y = data
    forest = RandomForestClassifier(10, random_state=0)
    serial = TunedThresholdMultiOutputCV(forest).fit(X, y)
    parallel = TunedThresholdMultiOutputCV(forest, n_jobs=2).fit(X, y)
    np.testing.assert_array_equal(serial.best_threshold_, parallel.best_threshold_)
    assert serial.best_score_ == parallel.best_score_


def test_in_scikit_learns_tools(data):
    """cross_validate and GridSearchCV work; a grid reaches the classifier's parameters, too."""
    X, y = data
    tuned = TunedThresholdMultiOutputCV(RandomForestClassifier(10, random_state=0), cv=3)
    scores = cross_validate(tuned, X, y, cv=3, scoring=["f1_macro", "f1_micro"])
    assert (scores["test_f1_macro"] > 0.3).all()
    grid = GridSearchCV(
        tuned,
        {"objective": ["f1", "mcc"], "estimator__max_depth": [2, None]},
        scoring="f1_macro",
        cv=3,
    ).fit(X, y)
    assert grid.best_params_["estimator__max_depth"] is None
    scores = cross_validate(grid.best_estimator_, X, y[:, 0], cv=3, scoring="roc_auc")
    assert (scores["test_score"] > 0.5).all()


def test_clone_and_pickle(data):
    """A clone is not fitted, and a pickled copy predicts the same."""
    X, y = data
    tuned = TunedThresholdMultiOutputCV(KNeighborsClassifier(9)).fit(X, y)
    assert not hasattr(clone(tuned), "best_threshold_")
    loaded = pickle.loads(pickle.dumps(tuned))
    np.testing.assert_array_equal(loaded.predict(X), tuned.predict(X))
    assert tuned.n_features_in_ == X.shape[1]
    frame = pd.DataFrame(X)
    frame.columns = frame.columns.astype(str)
    assert (
        TunedThresholdMultiOutputCV(KNeighborsClassifier(9)).fit(frame, y).feature_names_in_[0]
        == "0"
    )


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"refit": False}, "When cv has several folds, refit cannot be False"),
        ({"cv": "prefit"}, "When cv='prefit', refit cannot be True"),
        ({"objective": "auc"}, "The 'objective' parameter"),
        ({"cv": 1.5}, "The 'cv' parameter"),
        ({"constraint": ("auc", 0.3)}, "constraint must bound one of"),
        ({"thresholds": [0.1, 0.2]}, r"each of the 3 binary output\(s\)"),
        ({"thresholds": -1}, r"that of output 'y0' is -1; .* must lie in \[0, 1\]"),
        ({"thresholds": [0.1, 0.2, 1.5]}, r"^thresholds: that of output 'y2' is 1.5"),
        ({"thresholds": {"y1": 0.2}}, r"must name all .*: \['y0', 'y2'\] are lacking"),
        ({"confidence": 0.9}, "confidence requires a constraint per label"),
    ],
)
def test_rejects_invalid_parameters(data, params, message):
    """The message says what is valid."""
    with pytest.raises(ValueError, match=message):
        TunedThresholdMultiOutputCV(KNeighborsClassifier(9), **params).fit(*data)


def test_rejects_invalid_fits(data):
    """Such as an unfitted prefit classifier, other outputs, unseen labels or overlapping folds."""
    X, y = data
    prefit = TunedThresholdMultiOutputCV(KNeighborsClassifier(9), cv="prefit", refit=False)
    with pytest.raises(NotFittedError):
        prefit.fit(X, y)
    fitted = KNeighborsClassifier(9).fit(X, y)
    prefit = TunedThresholdMultiOutputCV(fitted, cv="prefit", refit=False)
    with pytest.raises(ValueError, match="y has 2 output"):
        prefit.fit(X, y[:, :2])
    with pytest.raises(UnseenLabelError, match=r"labels \[2\]"):
        prefit.fit(X, np.where(y[:, [0, 1, 2]] == 1, 2, 0))
    twice = [(np.arange(100), np.arange(100, 200)), (np.arange(50), np.arange(150, 250))]
    with pytest.raises(ValueError, match="puts row 150 into 2 test folds"):
        TunedThresholdMultiOutputCV(KNeighborsClassifier(9), cv=twice).fit(X, y)
    with pytest.raises(ValueError, match="parameter of TunedThresholdMultiOutputCV must be"):
        TunedThresholdMultiOutputCV(StandardScaler()).fit(X, y)


def test_predict_rejects_nan_scores(data):
    """The message names the row."""
    X, y = data
    tuned = TunedThresholdMultiOutputCV(FeatureClassifier()).fit(np.clip(X[:, :3] / 10, 0, 1), y)
    rows = np.full((3, 3), 0.5)
    rows[2, 1] = np.nan
    with pytest.raises(ValueError, match="the score of row 2 is NaN"):
        tuned.predict(rows)


@pytest.mark.filterwarnings("ignore::skattr.exceptions.AssumptionWarning")
def test_range_of_fixed_thresholds(data):
    """Thresholds of decisions may be any number, and every tuned threshold can be fixed."""
    X, y = data
    tuned = TunedThresholdMultiOutputCV(RidgeClassifier(), thresholds=-1).fit(X, y)
    np.testing.assert_array_equal(tuned.best_threshold_, [-1] * 3)
    knn, params = KNeighborsClassifier(9), {"store_cv_results": True, "thresholds": 0}
    tuned = TunedThresholdMultiOutputCV(knn, **params).fit(X, y)
    with pytest.raises(ValueError, match="that of output 'y1' is 2"):
        tuned.retune(thresholds=[0, 2, 1])
    with pytest.warns(ThresholdNotTunedWarning, match="No threshold satisfies the constraint"):
        tuned.retune(thresholds="tune", constraint=("precision", 0.999), confidence=0.999)
    never = tuned.best_threshold_
    assert (never > 1).all()
    fixed = TunedThresholdMultiOutputCV(knn, thresholds=never).fit(X, y)
    assert not fixed.predict(X).any()


def test_fixed_thresholds_as_a_series(data):
    """They are matched by name."""
    X, y = data
    frame = pd.DataFrame(y, columns=["c", "a", "b"])
    given = {"a": 0.1, "b": 0.2, "c": 0.3}
    for thresholds in (given, pd.Series(given)):
        tuned = TunedThresholdMultiOutputCV(KNeighborsClassifier(9), thresholds=thresholds)
        np.testing.assert_array_equal(tuned.fit(X, frame).best_threshold_, [0.3, 0.1, 0.2])


@pytest.mark.parametrize("refit", [True, False])
@pytest.mark.parametrize("single", [True, False])
def test_classifier_without_support_for_missing_labels(data, refit, single):
    """The message says so and names the outputs, for all notations of missing labels."""
    X, y = data
    missing = (np.arange(300)[:, None] % 7 == 0) & [False, True, False]
    words = np.array(["no", "yes"], dtype=object)[y]
    tables = [
        pd.DataFrame(y).astype("boolean").mask(missing),
        np.where(missing, np.nan, y),
        np.where(missing, None, words),
        np.where(missing, np.nan, words),
    ]
    for table in tables:
        frame = pd.DataFrame(table).set_axis(list("abc"), axis=1)
        target, named = (frame["b"], r"\['b'\]") if single else (table, r"\[('y1'|1)\]")
        tuned = TunedThresholdMultiOutputCV(RandomForestClassifier(2), cv=0.3, refit=refit)
        message = rf"RandomForestClassifier does not support missing labels, .* output\(s\) {named}"
        with pytest.raises(ValueError, match=message) as caught:
            tuned.fit(X, target)
        assert isinstance(caught.value.__cause__, TypeError | ValueError)


def test_other_errors_of_a_classifier_are_unchanged(data):
    """Only errors about missing labels are explained."""
    X, y = data
    y = np.where(np.arange(300)[:, None] % 7 == 0, np.nan, y)
    with pytest.raises(ValueError, match="^Input X contains NaN"):
        TunedThresholdMultiOutputCV(AttributeClassifier()).fit(np.full_like(X, np.nan), y)
    with pytest.raises(ValueError, match="^The 'n_estimators' parameter"):
        TunedThresholdMultiOutputCV(RandomForestClassifier(-1)).fit(X, y)
    splits = [(np.arange(0, 300, 7), np.arange(1, 300, 7))]
    with pytest.raises(ValueError, match="^Input y contains NaN"):
        TunedThresholdMultiOutputCV(AttributeClassifier(), cv=splits, refit=False).fit(X, y)


def test_rejects_marker_of_missing_labels_as_a_class(data):
    """A classifier that does not know the marker has learned it as a class."""
    X, y = data
    coded = np.where(np.arange(300)[:, None] % 7 == 0, -1, y)
    tuned = TunedThresholdMultiOutputCV(KNeighborsClassifier(9), missing_label=-1)
    with pytest.raises(ValueError, match="fitted with -1 as a class of 'y0'"):
        tuned.fit(X, coded)


def test_row_weights_with_the_mean_over_rows(data):
    """average="samples" supports one weight per row."""
    X, y = data
    forest = RandomForestClassifier(10, random_state=0).fit(X, y)
    tuned = TunedThresholdMultiOutputCV(forest, average="samples", cv="prefit", refit=False)
    tuned.fit(X, y, sample_weight=np.ones(300))
    plain = clone(tuned).set_params(estimator=forest).fit(X, y)
    np.testing.assert_allclose(tuned.best_threshold_, plain.best_threshold_)


@pytest.mark.parametrize(
    "params",
    [
        {"constraint": ("auc", 0.3)},
        {"confidence": 0.9},
        {"average": "samples", "objective": "mcc"},
        {"thresholds": [0.1, 0.2]},
        {"thresholds": 1.5},
        {"average": "micro", "objective": f1_score},
    ],
)
def test_parameters_are_checked_before_the_first_fit(data, params):
    """Invalid parameters do not cost a fit."""
    CountingForest.fits = 0
    with pytest.raises(ValueError):
        TunedThresholdMultiOutputCV(CountingForest(5), **params).fit(*data)
    assert CountingForest.fits == 0


def test_splits_as_an_iterator_and_as_masks(data):
    """An iterator works for one fit, retune does not need it, and boolean masks are valid."""
    X, y = data
    forest = RandomForestClassifier(10, random_state=0)
    tuned = TunedThresholdMultiOutputCV(forest, cv=KFold(3).split(X), store_cv_results=True)
    tuned.fit(X, y)
    assert np.isfinite(tuned.retune(objective="mcc").best_score_)
    with pytest.raises(ValueError, match="cv yields no split"):
        tuned.fit(X, y)
    masks = [
        (np.isin(np.arange(300), train), np.isin(np.arange(300), test))
        for train, test in KFold(3).split(X)
    ]
    by_mask = TunedThresholdMultiOutputCV(forest, cv=masks).fit(X, y)
    by_number = TunedThresholdMultiOutputCV(forest, cv=KFold(3)).fit(X, y)
    np.testing.assert_array_equal(by_mask.best_threshold_, by_number.best_threshold_)


@pytest.mark.filterwarnings("ignore:Label not")
def test_constant_first_label_of_one_versus_rest(data):
    """Its part has probabilities and the others have decisions; decisions are used."""
    X, y = data
    y = np.column_stack([np.zeros(300, dtype=int), y])
    with pytest.warns(ThresholdNotTunedWarning, match="'y0': one class only"):
        tuned = TunedThresholdMultiOutputCV(OneVsRestClassifier(RidgeClassifier())).fit(X, y)
    assert f1_score(y[:, 1:], tuned.predict(X)[:, 1:], average="macro") > 0.5


@pytest.mark.filterwarnings("ignore:Label not")
def test_labels_of_one_class_in_a_folds_training_rows_have_no_score(data):
    """Neither lists of probabilities nor a matrix of them have one."""
    X, y = data
    y = y.copy()
    y[:, 0] = np.arange(300) < 100
    for classifier in (OneVsRestClassifier(LogisticRegression()), KNeighborsClassifier(9)):
        splits = [(np.arange(100, 300), np.arange(100)), (np.arange(200), np.arange(200, 300))]
        tuned = TunedThresholdMultiOutputCV(classifier, cv=splits, store_cv_results=True)
        with pytest.warns(ThresholdNotTunedWarning, match="with a score"):
            tuned.fit(X, y)
        assert np.isnan(tuned.cv_results_["scores"][:100, 0]).all()
        assert not np.isnan(tuned.cv_results_["scores"][:100, 1]).any()


def test_classifier_without_weights(data):
    """A warning says that only the thresholds are weighted."""
    X, y = data
    tuned = TunedThresholdMultiOutputCV(KNeighborsClassifier(9))
    with pytest.warns(SkattrWarning, match="does not take sample_weight") as caught:
        tuned.fit(X, y, sample_weight=np.ones(300))
    assert caught[0].filename == __file__


def test_warning_of_untuned_labels_points_at_the_callers_line(data):
    """Both fit and retune warn at the line that calls them."""
    X, y = data
    y = np.column_stack([y, np.zeros(300, dtype=int)])
    tuned = TunedThresholdMultiOutputCV(KNeighborsClassifier(9), store_cv_results=True)
    with pytest.warns(ThresholdNotTunedWarning) as caught:
        tuned.fit(X, y)
        tuned.retune(objective="mcc")
    assert [warning.filename for warning in caught] == [__file__] * 2
