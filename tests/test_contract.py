"""scikit-learn's contract suite, with all of its checks."""

import pytest
from sklearn.utils.estimator_checks import estimator_checks_generator, parametrize_with_checks

from skattr import AttributeClassifier, Branches

CLASSIFIERS = [
    AttributeClassifier(),
    AttributeClassifier(batch_size=100_000, max_epochs=30),
    AttributeClassifier("mlp", branches=Branches("softmax", hidden=8), batch_size=100_000),
]
# Checks that are expected to fail, each with a reason; there are none.
EXPECTED_FAILURES: dict[str, str] = {}


def expected_failures(_estimator):
    """Return the checks that are expected to fail."""
    return EXPECTED_FAILURES


@pytest.mark.filterwarnings("ignore::skattr.exceptions.InSampleWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks(CLASSIFIERS, expected_failed_checks=expected_failures)
def test_scikit_learn_contract(estimator, check):
    """The classifier passes every check scikit-learn collects for it on 2-D X."""
    assert check(estimator) is None


def test_number_of_checks():
    """At least 70 checks are collected, and none is expected to fail."""
    checks = list(estimator_checks_generator(AttributeClassifier()))
    assert len(checks) >= 70
    assert len(EXPECTED_FAILURES) == 0
