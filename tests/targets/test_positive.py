"""Positive levels of two labels: their choice, their names, and the warning of a choice."""

import itertools
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import average_precision_score, f1_score
from sklearn.model_selection import KFold, cross_validate

from skattr import (
    AttributeClassifier,
    AttributeEncoder,
    CalibratedMultiOutputCV,
    ThresholdCalibrator,
    TunedThresholdMultiOutputCV,
    metrics,
)
from skattr._targets.positive import is_known_pair, positive_name, sort_classes
from skattr.exceptions import PositiveLevelWarning
from skattr.inspection import (
    AttributeScoresDisplay,
    CooccurrenceDisplay,
    ReliabilityDisplay,
    ThresholdCurveDisplay,
)

plt = pytest.importorskip("matplotlib.pyplot")
RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 3))
HAT = np.where(X[:, 0] + 0.5 * RNG.normal(size=120) > 0.4, "hat", "no hat")
Y = pd.DataFrame({"hat": HAT, "old": np.where(X[:, 1] > 0, 1, 0), "tie": X[:, 2] > 0})
DECLARED = {"hat": ("binary", "hat")}
ORDERS = [DECLARED, {"hat": ("binary", ["no hat", "hat"])}, {0: ("binary", "hat")}]


def fitted(attributes=None):
    """Return a classifier fitted without a warning."""
    classifier = AttributeClassifier(attributes=attributes, max_epochs=3, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore" if attributes is None else "error")
        return classifier.fit(X, Y)


@pytest.fixture(autouse=True)
def close_figures():
    """Close the figures of a test."""
    yield
    plt.close("all")


def caught(call):
    """Return the result of a call and its warnings of positive levels."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        result = call()
    assert all(warning.filename == __file__ for warning in found)
    return result, [w for w in found if w.category is PositiveLevelWarning]


def cased(pair):
    """Return a pair in every mix of lower, capital and upper letters."""
    forms = [(str.lower, str.title, str.upper)] * 2
    return [
        [f(label) for f, label in zip(fs, pair, strict=True)] for fs in itertools.product(*forms)
    ]


@pytest.mark.parametrize(
    "pair",
    [("no", "yes"), ("false", "true"), ("absent", "present"), ("off", "on"), ("n", "y"),
     ("negative", "positive"), ("0", "1"), ("-", "+"), ("without", "with")],
)  # fmt: skip
def test_known_pairs_have_their_positive_level(pair):
    """Whatever their case and the order of rows, nothing is warned of."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for negative, positive in cased(pair):
            for labels in ([negative, positive], [positive, negative]):
                for y in (labels, pd.Series(labels, dtype="category"), np.array(labels)):
                    encoder = AttributeEncoder().fit(y)
                    assert encoder.classes_[0].tolist() == [negative, positive]
                    assert encoder.kinds_ == ["binary"]


@pytest.mark.parametrize(
    "labels", [["no hat", "hat"], ["ja", "nein"], ["Men", "Women"], ["yes", "nope"], ["1", "2"]]
)
def test_one_warning_says_which_level_is_positive(labels):
    """It names the level, the column and the declaration of either level."""
    y = pd.DataFrame({"a": labels, "b": labels[::-1], "c": ["no", "yes"], "d": [1, 2]})
    encoder, found = caught(lambda: AttributeEncoder().fit(y))
    first, last = sorted(labels)
    assert [classes.tolist() for classes in encoder.classes_[:2]] == [[first, last]] * 2
    assert len(found) == 1
    message = str(found[0].message)
    for name in ("a", "b"):
        assert f"{last!r} of {name!r} ({first!r} is negative)" in message
    assert "'c'" not in message and "'d'" not in message
    for level in labels:
        assert f"{{'a': ('binary', {level!r})}}" in message
        declared = dict.fromkeys("ab", ("binary", level))
        encoder, found = caught(lambda d=declared: AttributeEncoder(d).fit(y))
        assert not found
        assert {classes[1] for classes in encoder.classes_[:2]} == {level}


def test_orders_that_are_declared_are_kept_without_a_warning():
    """As a pair of levels, a positive level, a categorical, or an ordered pandas Categorical."""
    labels = ["hat", "no hat", "hat"]
    ordered = pd.Series(pd.Categorical(labels, ["no hat", "hat"], ordered=True))
    cases = [
        (labels, {0: ("binary", ["no hat", "hat"])}),
        (labels, {0: ("categorical", ["no hat", "hat"])}),
        (labels, {0: ("ordinal", ["no hat", "hat"])}),
        (ordered, None),
        (ordered, {0: "binary"}),
    ]
    for y, attributes in cases:
        encoder, found = caught(lambda y=y, a=attributes: AttributeEncoder(a).fit(y))
        assert encoder.classes_[0].tolist() == ["no hat", "hat"] and not found
    for attributes in ({0: "binary"}, None):
        _, found = caught(lambda a=attributes: AttributeEncoder(a).fit(labels))
        assert len(found) == 1


def test_fits_warn_once():
    """However many folds and clones a fit has; partial_fit with sorted classes warns, too."""
    estimators = [
        lambda **a: AttributeClassifier(max_epochs=1, random_state=0, **a),
        lambda **a: TunedThresholdMultiOutputCV(
            AttributeClassifier(max_epochs=1, random_state=0, **a), cv=3
        ),
    ]
    for make in estimators:
        _, found = caught(lambda m=make: m().fit(X, Y))
        assert len(found) == 1
        for attributes in ORDERS:
            _, found = caught(lambda m=make, a=attributes: m(attributes=a).fit(X, Y))
            assert not found
    forest = RandomForestClassifier(5, random_state=0)
    _, found = caught(lambda: TunedThresholdMultiOutputCV(forest, cv=3).fit(X, Y.astype(str)))
    assert len(found) == 1
    _, found = caught(lambda: CalibratedMultiOutputCV(forest, cv=3).fit(X, Y.astype(str)))
    assert not found  # both classes are calibrated alike
    _, found = caught(lambda: ThresholdCalibrator().fit(RNG.random((120, 3)), Y))
    assert len(found) == 1
    cross_fit = AttributeClassifier(max_epochs=1, random_state=0, cross_fit=3)
    _, found = caught(lambda: cross_fit.fit_transform(X, Y))
    assert len(found) == 1
    classes = [["no hat", "hat"], [0, 1], [False, True]]
    for attributes, n in ((None, 1), (DECLARED, 0)):
        streamed = AttributeClassifier(attributes=attributes)
        _, found = caught(lambda s=streamed: s.partial_fit(X, Y, classes=classes))
        assert len(found) == n
        _, found = caught(lambda s=streamed: s.partial_fit(X, Y))
        assert not found


def test_columns_are_named_by_the_positive_level():
    """Unless that is 1 or True; the names of other attributes stay as they are."""
    names = ["hat=no hat", "old", "tie"]
    assert fitted().get_feature_names_out().tolist() == names
    classifier = fitted(DECLARED).set_output(transform="pandas")
    names[0] = "hat=hat"
    table = classifier.transform(X)
    assert list(table) == names
    calibrator = ThresholdCalibrator(attributes=DECLARED).fit(table, Y)
    assert calibrator.get_feature_names_out().tolist() == names
    codes = pd.DataFrame({"a": [1, 2], "b": [-1.0, 1.0], "c": [0.0, 1.0], "d": ["x", "y"]})
    encoder = AttributeEncoder({"d": ("binary", "x")}).fit(codes)
    calibrator = ThresholdCalibrator(attributes={"d": ("binary", "x")})
    calibrator.encoder_, calibrator.output_names_ = encoder, encoder.output_names_
    calibrator.best_threshold_ = 0.5
    assert calibrator.get_feature_names_out().tolist() == ["a=2", "b=1.0", "c", "d=x"]


def test_reports_and_displays_show_the_level():
    """The report in a column of its own, displays in the names of attributes."""
    classifier = fitted(DECLARED)
    predicted, proba = classifier.predict(X), classifier.predict_proba(X)
    report = metrics.attribute_report(Y, predicted, proba, attributes=DECLARED)
    assert report["positive_level"].tolist()[:3] == ["hat", "1", "True"]
    assert report.loc["hat", "positives"] == (HAT == "hat").sum()
    assert "no hat" not in str(report) and "hat" in report.to_markdown()
    plain = metrics.attribute_report(Y[["old", "tie"]], predicted[:, 1:])
    assert "positive_level" not in plain
    shown = ["hat=hat", "old", "tie"]
    displays = [
        AttributeScoresDisplay.from_estimator(classifier, X, Y, confidence=None),
        AttributeScoresDisplay.from_predictions(
            Y, predicted, confidence=None, metric_params={"attributes": DECLARED}
        ),
        ThresholdCurveDisplay.from_estimator(classifier, X, Y),
        ReliabilityDisplay.from_predictions(Y, proba, attributes=DECLARED),
    ]
    assert [display.names for display in displays] == [shown] * 4
    assert list(CooccurrenceDisplay.from_labels(Y, attributes=DECLARED).matrix) == shown
    assert list(metrics.attribute_profiles(Y, ["a"] * 120, attributes=DECLARED)) == shown
    expected = f1_score(HAT, predicted[:, 0].astype(str), pos_label="hat")
    assert displays[0].values[0] == displays[1].values[0] == pytest.approx(expected)


def test_metrics_warn_where_the_positive_level_matters():
    """Not if it is declared, and not if both levels are treated alike."""
    predicted = np.where(RNG.random(120) < 0.3, HAT[::-1], HAT)
    score = RNG.random(120)
    both = [np.stack([1 - score, score], axis=1)]
    warned = {
        "f1": lambda a: metrics.f1_score(HAT, predicted, attributes=a),
        "precision": lambda a: metrics.precision_score(HAT, predicted, attributes=a),
        "jaccard": lambda a: metrics.jaccard_score(HAT, predicted, attributes=a),
        "ap": lambda a: metrics.average_precision_score(HAT, both, attributes=a),
        "roc": lambda a: metrics.roc_auc_score(HAT, score, attributes=a),
        "report": lambda a: metrics.attribute_report(HAT, predicted, score, attributes=a),
        "report of lists": lambda a: metrics.attribute_report(HAT, None, both, attributes=a),
        "curve": lambda a: ThresholdCurveDisplay.from_predictions(HAT, score, attributes=a),
        "consistency": lambda a: metrics.consistency_score(
            Y, {"implies": [(0, 1)]}, attributes=a
        ),
    }  # fmt: skip
    silent = {
        "accuracy": lambda a: metrics.accuracy_score(HAT, predicted, attributes=a),
        "balanced": lambda a: metrics.balanced_accuracy_score(HAT, predicted, attributes=a),
        "mcc": lambda a: metrics.matthews_corrcoef(HAT, predicted, attributes=a),
        "log loss": lambda a: metrics.log_loss(HAT, both, attributes=a),
        "roc of both": lambda a: metrics.roc_auc_score(HAT, both, attributes=a),
        "consistency": lambda a: metrics.consistency_score(
            Y, {"implies": [("old", "tie")]}, attributes=a
        ),
    }  # fmt: skip
    for name, call in warned.items():
        assert len(caught(lambda c=call: c(None))[1]) == 1, name
        assert not caught(lambda c=call: c({0: ("binary", "hat")}))[1], name
    for name, call in silent.items():
        assert not caught(lambda c=call: c(None))[1], name
    for level in ("hat", "no hat"):
        attributes = {0: ("binary", level)}
        assert metrics.f1_score(HAT, predicted, attributes=attributes) == pytest.approx(
            f1_score(HAT, predicted, pos_label=level)
        )
        assert metrics.average_precision_score(HAT, score, attributes=attributes) == pytest.approx(
            average_precision_score(level == HAT, score)
        )


def test_scorers_have_the_positive_level_of_the_classifier_or_their_own():
    """Of this package's classifiers silently; of others by declaration, or with a warning."""
    for attributes, level in ((DECLARED, "hat"), (None, "no hat")):
        classifier = fitted(attributes)
        scorer = metrics.get_scorer("macro_f1", per_attribute=True)
        value, found = caught(lambda s=scorer, c=classifier: s(c, X, Y)["f1__hat"])
        predicted = classifier.predict(X)[:, 0].astype(str)
        assert value == pytest.approx(f1_score(HAT, predicted, pos_label=level)) and not found
    text = Y.astype(str)
    forest = RandomForestClassifier(5, max_depth=1, random_state=0).fit(X, text)
    predicted, proba = forest.predict(X)[:, 0].astype(str), forest.predict_proba(X)[0]
    for kind, metric in (("predict", metrics.f1_score), ("score", metrics.average_precision_score)):
        for attributes, level, n in ((DECLARED, "hat", 0), (None, "no hat", 1)):
            scorer = metrics.make_attribute_scorer(
                metric, response_method=kind, per_attribute=True, name="m", attributes=attributes
            )
            value, found = caught(lambda s=scorer: s(forest, X, text)["m__hat"])
            column = forest.classes_[0].tolist().index(level)
            expected = (
                f1_score(HAT, predicted, pos_label=level)
                if kind == "predict"
                else average_precision_score(level == HAT, proba[:, column])
            )
            assert value == pytest.approx(expected) and len(found) == n
    _, found = caught(lambda: metrics.get_scorer("accuracy")(forest, X, text))
    assert not found


def test_known_pairs_of_other_classifiers():
    """Their classes are sorted; the positive level of "no" and "Yes" is "Yes" all the same."""
    y = np.stack([np.where(X[:, 0] > 0.4, "Yes", "no"), np.where(X[:, 1] > 0, "on", "OFF")], axis=1)
    forest = RandomForestClassifier(5, max_depth=1, random_state=0)
    tuned = TunedThresholdMultiOutputCV(forest, cv=3).fit(X, y)
    assert [classes.tolist() for classes in tuned.classes_] == [["no", "Yes"], ["OFF", "on"]]
    zero_one = np.stack([y[:, 0] == "Yes", y[:, 1] == "on"], axis=1).astype(int)
    same = TunedThresholdMultiOutputCV(forest, cv=3).fit(X, zero_one)
    np.testing.assert_allclose(tuned.best_threshold_, same.best_threshold_)
    np.testing.assert_array_equal((tuned.predict(X) == ["Yes", "on"]).astype(int), same.predict(X))
    scores = cross_validate(forest, X, y, cv=KFold(3), scoring=metrics.get_scorer("macro_f1"))
    others = cross_validate(
        forest, X, zero_one, cv=KFold(3), scoring=metrics.get_scorer("macro_f1")
    )
    np.testing.assert_allclose(scores["test_score"], others["test_score"])
    predicted = ["Yes"] * 5
    assert metrics.f1_score(["no"] * 5, predicted, zero_division=0) == 0  # no true "Yes"


def test_other_classifiers_with_an_order_of_their_own():
    """Two classes that are not sorted were put in their order, which is kept."""
    text = Y.astype(str)
    forest = RandomForestClassifier(5, max_depth=1, random_state=0).fit(X, text)
    forest.classes_[0] = forest.classes_[0][::-1]  # "no hat", "hat"
    predicted = forest.predict(X)[:, 0].astype(str)
    scorer = metrics.get_scorer("macro_f1", per_attribute=True)
    expected = f1_score(HAT, predicted, pos_label="hat")
    assert scorer(forest, X, text)["f1__hat"] == pytest.approx(expected)


def test_a_class_that_a_classifier_has_not_seen_does_not_become_positive():
    """Of zeros and ones the ones are positive, whichever of them the classifier knows."""
    forest = RandomForestClassifier(5, random_state=0).fit(X, np.stack([Y["old"], [1] * 120], 1))
    y = np.stack([Y["old"], Y["tie"]], axis=1).astype(int)
    scorer = metrics.get_scorer("macro_f1", per_attribute=True)
    assert scorer(forest, X, y)["f1__y1"] == pytest.approx(f1_score(y[:, 1], [1] * 120))


@pytest.mark.parametrize(("n", "more"), [(10, ""), (12, " and those of 2 more")])
def test_ten_positive_levels_are_listed(n, more):
    """Of more columns the number is told."""
    y = pd.DataFrame({f"c{j}": ["a", "b"] for j in range(n)})
    _, found = caught(lambda: AttributeEncoder().fit(y))
    message = str(found[0].message)
    assert f"'b' of 'c9' ('a' is negative){more}. Declare the positive level" in message
    assert "'c10'" not in message


@pytest.mark.parametrize(
    ("classes", "name"),
    [
        ([0.0, 1.0], "a"),
        ([False, True], "a"),
        ([1, 0], "a=0"),
        (["0", "1"], "a=1"),
        ([1, 2], "a=2"),
    ],
)
def test_only_numbers_0_and_1_are_plain_levels(classes, name):
    """In this order; strings of them are named."""
    assert positive_name("a", np.array(classes)) == name


def test_blanks_around_a_known_pair():
    """They do not hide its positive level, and three levels are no pair."""
    assert sort_classes(np.array([" with", "without "])).tolist() == ["without ", " with"]
    assert sort_classes(np.array(["no", "Yes", "?"])).tolist() == ["?", "Yes", "no"]
    assert is_known_pair(np.array(["No ", " YES"])) and not is_known_pair(np.array(["yes", "no"]))
    assert not is_known_pair(np.array([0, 1]))
