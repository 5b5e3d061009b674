"""Warnings about scores and labels with different class orders."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.pipeline import make_pipeline

from skattr import AttributeClassifier
from skattr._multioutput.class_order import better_order
from skattr.exceptions import ClassOrderWarning
from skattr.inspection import suspected_label_errors
from skattr.metrics import attribute_report, get_scorer, log_loss, roc_auc_score
from skattr.model_selection import cross_val_predict_proba
from skattr.thresholds import ThresholdCalibrator

LEVELS = ["young", "adult", "senior"]
KINDS = {"age": ("ordinal", LEVELS)}


@pytest.fixture(scope="module")
def material():
    """Return features, an ordinal and a binary attribute, and the probabilities of a classifier."""
    X = np.random.default_rng(0).normal(size=(300, 4))
    age = np.array(LEVELS)[np.digitize(X[:, 0], [-0.5, 0.5])]
    y = pd.DataFrame({"age": age, "hat": X[:, 1] > 0})
    classifier = AttributeClassifier(attributes=KINDS, max_epochs=40, random_state=0)
    return X, y, classifier.fit(X, y)


@given(
    order=st.permutations(range(4)),
    error=st.sampled_from([0.0, 0.2, 0.4]),
    shares=st.sampled_from([[1, 1, 1, 1], [20, 10, 3, 3], [5, 1, 1, 1]]),
    seed=st.integers(0, 9),
)
def test_finds_the_order_of_the_scores(order, error, shares, seed):
    """The order is found if most scores are right, and None if it is that of the labels."""
    rng = np.random.default_rng(seed)
    codes = rng.choice(4, 2000, p=np.array(shares) / sum(shares))
    chosen = np.where(rng.random(2000) < error, rng.integers(4, size=2000), codes)
    found = better_order(codes, np.argsort(order)[chosen], 4)
    if list(order) == [0, 1, 2, 3]:
        assert found is None
    elif found is not None:
        assert list(found) == list(order)
    if sorted(shares)[-2] == sorted(shares)[-1] and list(order) != [0, 1, 2, 3]:
        assert found is not None


@given(
    n=st.integers(0, 400), n_classes=st.integers(2, 60), seed=st.integers(0, 99),
    is_constant=st.booleans(),
)  # fmt: skip
def test_random_predictions_have_no_order(n, n_classes, seed, is_constant):
    """Random and constant predictions do not suggest an order, whatever the number of classes."""
    rng = np.random.default_rng(seed)
    codes, guesses = rng.integers(n_classes, size=(2, n))
    assert better_order(codes, 0 * guesses if is_constant else guesses, n_classes) is None


def test_overpredicted_classes_do_not_suggest_an_order():
    """A rare class that is predicted too often is not taken for the frequent one."""
    codes = np.repeat([0, 1], [7000, 350])
    chosen = np.concatenate([np.arange(7000) % 7 >= 3, np.arange(350) % 7 >= 1]).astype(int)
    rng = np.random.default_rng(0).permutation(7350)
    assert better_order(codes[rng], chosen[rng], 2) is None


@pytest.mark.parametrize("function", [log_loss, roc_auc_score, suspected_label_errors])
def test_metrics_warn(material, function):
    """There is one warning with both orders, and none if the order is declared."""
    X, y, classifier = material
    probas = classifier.predict_proba(X)
    with pytest.warns(
        ClassOrderWarning, match=r"'age'.*\['young', 'adult', 'senior'\] than"
    ) as caught:
        function(y, probas)
    assert len(caught) == 1
    ordered = y.assign(age=pd.Categorical(y["age"], LEVELS, ordered=True))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        function(y, probas, attributes=KINDS)
        function(ordered, probas)


def test_the_warning_says_what_to_change(material):
    """The orders are those of the columns; a declared order, or that of one attribute, stands."""
    X, y, classifier = material
    probas = classifier.predict_proba(X)
    wrong = {"age": ("ordinal", ["senior", "young", "adult"])}
    right = r"\['young', 'adult', 'senior'\]"
    with pytest.warns(
        ClassOrderWarning,
        match=rf"{right} than in the order \['senior', 'young', 'adult'\].* Reorder the columns",
    ):
        log_loss(y, probas, attributes=wrong)
    in_order = rf"{right} than in the order \['adult', 'senior', 'young'\]"
    with pytest.warns(ClassOrderWarning, match=f"{in_order}.* Declare the order"):
        log_loss(y, probas)
    for attributes in (None, wrong):
        with pytest.warns(ClassOrderWarning, match=f"{in_order}.* Reorder the columns"):
            log_loss(y["age"], probas[0], attributes=attributes)


def test_reports_warn_and_scorers_know_the_order(material):
    """A report warns once; a scorer uses the order of the classifier."""
    X, y, classifier = material
    with pytest.warns(ClassOrderWarning) as caught:
        attribute_report(y, None, classifier.predict_proba(X))
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert get_scorer("neg_log_loss")(classifier, X, y) > -1


def test_threshold_calibrator_warns_in_a_pipeline(material):
    """Scores without names are a warning; columns with names are matched by name."""
    X, y, _ = material
    classifier = AttributeClassifier(attributes=KINDS, max_epochs=40, random_state=0, cross_fit=3)
    with pytest.warns(ClassOrderWarning, match="'age'"):
        make_pipeline(classifier, ThresholdCalibrator()).fit(X, y)
    named = make_pipeline(classifier, ThresholdCalibrator()).set_output(transform="pandas")
    right = make_pipeline(classifier, ThresholdCalibrator(attributes=KINDS))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        right.fit(X, y)
        right.set_output(transform="pandas").fit(X, y)
        named.fit(X, y)
    np.testing.assert_array_equal(named.predict(X), right.predict(X))
    assert (right.predict(X)[:, 0] == y["age"]).mean() > 0.8


def test_ordinal_attribute_with_two_levels(material):
    """Out-of-fold columns are in the order of `classes_`."""
    X, y, _ = material
    size = pd.DataFrame({"size": np.where(X[:, 2] > 0.5, "large", "small"), "hat": y["hat"]})
    kinds = {"size": ("ordinal", ["small", "large"])}
    classifier = AttributeClassifier(attributes=kinds, max_epochs=40, random_state=0)
    proba = cross_val_predict_proba(classifier, X, size, cv=3)[0]
    classes = classifier.fit(X, size).classes_[0]
    assert classes.tolist() == ["small", "large"]
    assert (classes[proba.argmax(axis=1)] == size["size"]).mean() > 0.7
    with pytest.warns(ClassOrderWarning, match="'size'"):
        log_loss(size, classifier.predict_proba(X))
