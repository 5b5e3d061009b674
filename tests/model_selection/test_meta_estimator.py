"""Behavior that TunedThresholdMultiOutputCV and CalibratedMultiOutputCV share."""

import inspect

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import make_multilabel_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, KFold, TunedThresholdClassifierCV
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skattr.calibration import CalibratedMultiOutputCV
from skattr.exceptions import SkattrWarning, UnseenLabelError
from skattr.thresholds import ThresholdCalibrator, TunedThresholdMultiOutputCV, find_thresholds

BOTH = pytest.mark.parametrize("cls", [TunedThresholdMultiOutputCV, CalibratedMultiOutputCV])
X, Y = make_multilabel_classification(300, n_classes=3, n_labels=1, random_state=0)


def probabilities(fitted):
    """Return the probability of the positive class of each output."""
    return np.stack([part[:, 1] for part in fitted.predict_proba(X)], axis=1)


@pytest.fixture(scope="module")
def fitted_forest():
    """Return a forest that was fitted on the same rows."""
    return RandomForestClassifier(20, random_state=0).fit(X, Y)


@BOTH
def test_frozen_classifier_without_cv_is_prefit(cls, fitted_forest):
    """All rows are used, as with cv="prefit"."""
    params = {"refit": False} if cls is TunedThresholdMultiOutputCV else {}
    prefit = cls(fitted_forest, cv="prefit", **params).fit(X, Y)
    frozen = cls(FrozenEstimator(fitted_forest)).fit(X, Y)
    np.testing.assert_array_equal(frozen.predict(X), prefit.predict(X))
    np.testing.assert_array_equal(probabilities(frozen), probabilities(prefit))


def test_folds_of_a_frozen_classifier_are_those_of_cv(fitted_forest):
    """They count in the cross-validated score; the thresholds are those of all rows."""
    groups = np.arange(300) // 30
    tuned = TunedThresholdMultiOutputCV(
        FrozenEstimator(fitted_forest), cv=GroupKFold(5), store_cv_results=True
    ).fit(X, Y, groups=groups)
    folds = tuned.cv_results_["folds"]
    assert all(len(set(folds[groups == group])) == 1 for group in range(10))
    np.testing.assert_array_equal(tuned.cv_results_["scores"], probabilities(fitted_forest))
    prefit = TunedThresholdMultiOutputCV(fitted_forest, cv="prefit", refit=False).fit(X, Y)
    np.testing.assert_array_equal(tuned.best_threshold_, prefit.best_threshold_)


def test_frozen_classifier_has_scores_where_training_rows_lack_a_class(fitted_forest):
    """It was not fitted on the training rows of the fold."""
    y = Y.copy()
    y[:, 0] = np.arange(300) < 100
    splits = [(np.arange(100, 300), np.arange(100)), (np.arange(200), np.arange(100, 300))]
    frozen = TunedThresholdMultiOutputCV(
        FrozenEstimator(fitted_forest), cv=splits, store_cv_results=True
    )
    assert np.isfinite(frozen.fit(X, y).cv_results_["scores"]).all()


@BOTH
@pytest.mark.parametrize("cv", [None, 3])
def test_label_that_a_frozen_classifier_does_not_know(cls, cv, fitted_forest):
    """It is an error, also with folds."""
    with pytest.raises(UnseenLabelError, match=r"labels \[2\]"):
        cls(FrozenEstimator(fitted_forest), cv=cv).fit(X, np.where(Y == 1, 2, 0))


@BOTH
def test_frozen_classifier_that_is_not_fitted(cls):
    """The message says so, whatever the `cv`."""
    for cv in (None, 3):
        with pytest.raises(NotFittedError, match="the `estimator` must be fitted"):
            cls(FrozenEstimator(RandomForestClassifier()), cv=cv).fit(X, Y)


@BOTH
def test_fit_parameters_of_pipeline_steps(cls):
    """Without metadata routing, further arguments of `fit` reach the classifier."""
    pipeline = make_pipeline(StandardScaler(), RandomForestClassifier(20, random_state=0))
    weight = 1.0 + 9 * (X[:, 0] > 2)
    weighted = cls(pipeline, cv=3).fit(X, Y, randomforestclassifier__sample_weight=weight)
    expected = clone(pipeline).fit(X, Y, randomforestclassifier__sample_weight=weight)
    np.testing.assert_array_equal(probabilities(weighted.estimator_), probabilities(expected))
    with pytest.raises(TypeError, match="unexpected keyword argument"):
        cls(RandomForestClassifier(), cv=3).fit(X, Y, unknown=weight)


@BOTH
def test_weights_as_lists(cls):
    """They are divided among the folds as arrays are."""
    weight = np.random.default_rng(0).integers(1, 4, 300)
    forest = RandomForestClassifier(10, random_state=0)
    from_list = cls(forest, cv=3).fit(X, Y, weight.tolist())
    from_array = cls(forest, cv=3).fit(X, Y, weight)
    np.testing.assert_array_equal(probabilities(from_list), probabilities(from_array))


@BOTH
def test_invalid_weights_are_rejected_before_the_first_fit(cls):
    """Row and output are named."""

    class NeverFitted(RandomForestClassifier):
        def fit(self, X, y, sample_weight=None):
            raise AssertionError("fit was called")

    weight = np.ones(Y.shape)
    weight[4, 2] = np.nan
    with pytest.raises(ValueError, match="label_weight of row 4, attribute 'y2'"):
        cls(NeverFitted()).fit(X, Y, label_weight=weight)


@BOTH
def test_classifier_without_weights(cls):
    """One warning, at the caller's line, says what is weighted."""
    part = {TunedThresholdMultiOutputCV: "thresholds", CalibratedMultiOutputCV: "calibrators"}[cls]
    pipeline = make_pipeline(StandardScaler(), RandomForestClassifier(10, random_state=0))
    message = f"Pipeline.fit does not take sample_weight: only the {part} are weighted"
    with pytest.warns(SkattrWarning, match=message) as caught:
        cls(pipeline, cv=3).fit(X, Y, np.ones(300))
    assert [warning.filename for warning in caught] == [__file__]


@BOTH
def test_failed_fit_leaves_the_last_state(cls):
    """Predictions and fitted attributes are those of the last fit that succeeded."""
    fitted = cls(RandomForestClassifier(20, random_state=0), cv=3).fit(X, Y)
    before = {name: value for name, value in vars(fitted).items() if name.endswith("_")}
    broken = Y.astype(float)
    broken[::2] = np.nan
    for invalid in (broken, Y[:10]):
        with pytest.raises(ValueError):
            fitted.fit(X, invalid)
        after = {name: value for name, value in vars(fitted).items() if name.endswith("_")}
        assert before.keys() == after.keys()
        assert all(after[name] is before[name] for name in before)


@BOTH
def test_prediction_uses_the_response_method_of_fit(cls):
    """A parameter that was changed after `fit` counts from the next `fit` on."""
    classifier = MultiOutputClassifier(LogisticRegression())
    params = {"response_method": "predict_proba", "cv": 3}
    fitted = cls(classifier, **params).fit(X, Y)
    expected = fitted.predict(X)
    fitted.set_params(response_method="decision_function")
    np.testing.assert_array_equal(fitted.predict(X), expected)


def test_ties_are_predicted_as_scikit_learn_does():
    """At a probability of exactly one half, `predict` is the first class: it is the argmax."""
    X, y = np.zeros((40, 1)), np.arange(40) % 2
    prior = LogisticRegression().fit(X, y)
    assert (prior.predict_proba(X) == 0.5).all()
    frozen = FrozenEstimator(prior)
    calibrated = CalibratedMultiOutputCV(frozen, method="prior", pos_weight=1.0).fit(X, y)
    assert not calibrated.predict(X).any()
    theirs = CalibratedClassifierCV(frozen, method="isotonic").fit(X, y)
    np.testing.assert_array_equal(calibrated.predict(X), theirs.predict(X))
    # A threshold, in contrast, is positive from the threshold on.
    fixed = TunedThresholdMultiOutputCV(frozen, thresholds=0.5).fit(X, y)
    assert fixed.predict(X).all()


def test_default_strategy_is_the_same_everywhere():
    """The function and both estimators return the same thresholds from the same scores."""
    rng = np.random.default_rng(0)
    y = rng.random((200, 3)) < 0.2
    scores = rng.beta(1 + 2 * y, 4)
    found = find_thresholds(y, scores)
    calibrator = ThresholdCalibrator().fit(scores, y)
    np.testing.assert_array_equal(calibrator.best_threshold_, found.thresholds)
    assert calibrator.in_sample_score_ == found.value
    defaults = {
        inspect.signature(function).parameters["strategy"].default
        for function in (find_thresholds, ThresholdCalibrator, TunedThresholdMultiOutputCV)
    }
    assert defaults == {"auto"}
    assert (found.thresholds != find_thresholds(y, scores, strategy="exact").thresholds).any()


def test_parameters_are_in_the_order_of_scikit_learn():
    """Shared parameters have the order they have in TunedThresholdClassifierCV."""
    theirs = list(inspect.signature(TunedThresholdClassifierCV).parameters)
    for cls in (TunedThresholdMultiOutputCV, CalibratedMultiOutputCV, ThresholdCalibrator):
        ours = list(inspect.signature(cls).parameters)
        shared = [name for name in theirs if name in ours]
        assert [name for name in ours if name in theirs] == shared


@BOTH
def test_folds_come_before_the_fit_on_all_rows(cls):
    """A classifier that fails on a fold does so after a smaller fit."""
    sizes = []

    class Recording(RandomForestClassifier):
        def fit(self, X, y, sample_weight=None):
            sizes.append(len(X))
            return super().fit(X, y, sample_weight)

    cls(Recording(5, random_state=0), cv=KFold(3)).fit(X, Y)
    assert sizes == [200, 200, 200, 300]
