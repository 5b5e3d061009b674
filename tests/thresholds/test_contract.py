"""Contract suite of scikit-learn for estimators with tuned thresholds."""

import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from skattr import AttributeClassifier
from skattr.thresholds import ThresholdCalibrator, TunedThresholdMultiOutputCV

# scikit-learn lists this for its own TunedThresholdClassifierCV and FixedThresholdClassifier.
THRESHOLD = {"check_classifiers_train": "Threshold at probability 0.5 does not hold"}
# The same check for several outputs; scikit-learn's own estimators have one.
THRESHOLDS = {"check_classifier_multioutput": "Thresholds at probability 0.5 do not hold"}
# scikit-learn lists these for its own Pipeline.
STEPS = {
    "check_dont_overwrite_parameters": "Pipeline changes the `steps` parameter",
    "check_estimators_overwrite_params": "Pipeline changes the `steps` parameter",
}


def network(**params):
    """Return a classifier with a short fit."""
    return AttributeClassifier(random_state=0, batch_size=100_000, **params)


ESTIMATORS = [
    TunedThresholdMultiOutputCV(LogisticRegression(C=1), cv=3),
    TunedThresholdMultiOutputCV(network(), cv=3),
    make_pipeline(network(cross_fit=3), ThresholdCalibrator()),
]


def expected_failures(estimator):
    """Return the checks that may fail, each with its reason."""
    if isinstance(estimator, Pipeline):
        return THRESHOLD | THRESHOLDS | STEPS
    is_network = isinstance(estimator.estimator, AttributeClassifier)
    return THRESHOLD | THRESHOLDS if is_network else {}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks(ESTIMATORS, expected_failed_checks=expected_failures)
def test_scikit_learn_contract(estimator, check):
    """All checks of scikit-learn pass."""
    assert check(estimator) is None
