"""Constraints of a classifier on labels of thresholds and calibrators."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skattr import AttributeClassifier, CalibratedMultiOutputCV, TunedThresholdMultiOutputCV
from skattr._multioutput.constraints import enforce_constraints, get_constraints
from skattr._multioutput.scores import Scores
from skattr._targets.constraints import decode, parse_constraints, violations
from skattr._targets.encoder import AttributeEncoder

NAMES = ["goatee", "beard", "hair", "young", "old"]
CONSTRAINTS = {"implies": [("goatee", "beard")], "at_most_one": [["young", "old"]]}
KINDS = ["binary", "binary", "categorical", "binary", "binary"]


def table(n):
    """Return labels of four binary attributes and one of three classes."""
    rng = np.random.default_rng(0)
    y = pd.DataFrame(rng.integers(0, 2, (n, 5)), columns=NAMES)
    return y.assign(hair=rng.choice(["no", "gray", "red"], n))


def encoder_and_constraints():
    """Return the encoder of the labels and their constraints."""
    encoder = AttributeEncoder().fit(table(30))
    return encoder, parse_constraints(CONSTRAINTS, NAMES, KINDS, [2, 2, 3, 2, 2])


@given(seed=st.integers(0, 99), is_proba=st.booleans(), extreme=st.booleans())
def test_rows_that_violate_constraints_get_the_best_valid_labels(seed, is_proba, extreme):
    """The labels equal those of a search over all assignments; other rows are unchanged."""
    rng = np.random.default_rng(seed)
    encoder, constraints = encoder_and_constraints()
    binary = rng.random((40, 4)) if is_proba else rng.normal(size=(40, 4))
    limits = rng.uniform(0.1, 0.9, 5)
    if extreme:
        binary[rng.random(binary.shape) < 0.2] = 1.0
        limits[[0, 3]] = 0.0, np.nextafter(np.float32(1), np.float32(2))
    scores = Scores(binary, (rng.random((40, 3)),), is_proba)
    codes = np.full((40, 5), 2)
    codes[:, constraints.columns] = binary >= limits[constraints.columns]
    codes[0] = -1
    before = codes.copy()
    after = enforce_constraints(codes, scores, limits, encoder, constraints)[:, constraints.columns]
    assert (codes[1:, 2] == 2).all()
    assert (codes[0] == -1).all()
    assert not violations(after, constraints).any()
    is_violated = violations(before[:, constraints.columns], constraints).any(axis=1)
    np.testing.assert_array_equal(after[~is_violated], before[~is_violated][:, constraints.columns])
    if extreme or not is_proba:
        return
    gains = np.log(binary / (1 - binary)) - np.log(limits / (1 - limits))[constraints.columns]
    assignments = np.array(np.meshgrid(*[[0, 1]] * 4)).reshape(4, -1).T
    assignments = assignments[~violations(assignments, constraints).any(axis=1)]
    for row in np.flatnonzero(is_violated):
        assert gains[row] @ after[row] == pytest.approx((assignments @ gains[row]).max())


def test_thresholds_of_one_half_give_the_labels_of_the_classifier():
    """At 0.5 the result is the most probable valid labels."""
    encoder, constraints = encoder_and_constraints()
    odds = np.random.default_rng(0).normal(size=(200, 4))
    proba = 1 / (1 + np.exp(-odds))
    codes = np.zeros((200, 5), dtype=np.int64)
    codes[:, constraints.columns] = proba >= 0.5
    scores = Scores(proba, (np.zeros((200, 3)),), True)
    found = enforce_constraints(codes, scores, np.full(5, 0.5), encoder, constraints)
    np.testing.assert_array_equal(found[:, constraints.columns], decode(odds, constraints))


@pytest.mark.parametrize("wrap", [
    lambda classifier: TunedThresholdMultiOutputCV(classifier, cv=3),
    lambda classifier: CalibratedMultiOutputCV(classifier, cv=3),
    lambda classifier: TunedThresholdMultiOutputCV(CalibratedMultiOutputCV(classifier, cv=3), cv=2),
    lambda classifier: CalibratedMultiOutputCV(make_pipeline(StandardScaler(), classifier), cv=3),
])  # fmt: skip
def test_meta_estimators_satisfy_constraints(wrap):
    """All rows satisfy the constraints; without them some rows would not."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 4))
    beard = X[:, 0] > 0.2
    y = pd.DataFrame({"goatee": X[:, 0] + rng.normal(size=300) > 0.5, "beard": beard})
    n_violations = []
    for constraints in (None, {"implies": [("goatee", "beard")]}):
        classifier = AttributeClassifier(max_epochs=5, random_state=0, constraints=constraints)
        labels = wrap(classifier).fit(X, y).predict(X).astype(bool)
        n_violations.append(int((labels[:, 0] & ~labels[:, 1]).sum()))
    assert n_violations[0] > 0
    assert n_violations[1] == 0


def test_estimators_without_constraints():
    """An estimator without the parameter, or with None, has no constraints."""
    encoder, _ = encoder_and_constraints()
    assert get_constraints(StandardScaler(), encoder) is None
    assert get_constraints(AttributeClassifier(), encoder) is None
