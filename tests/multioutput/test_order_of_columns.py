"""The columns of `predict_proba` and `transform` are in the order of `classes_`, everywhere."""

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline

from skattr import AttributeClassifier, ThresholdCalibrator, TunedThresholdMultiOutputCV
from skattr.exceptions import ClassOrderWarning
from skattr.inspection import CooccurrenceDisplay, ThresholdCurveDisplay
from skattr.metrics import (
    attribute_report,
    f1_score,
    get_scorer,
    log_loss,
    make_attribute_scorer,
    roc_auc_score,
)

LEVELS = ["young", "adult", "old"]  # sorted: adult, old, young
AGES = {"age": ("ordinal", LEVELS)}
RNG = np.random.default_rng(0)
X = RNG.normal(size=(500, 3))
LATENT = X[:, 0] + 0.3 * RNG.normal(size=500)
AGE = pd.Series(np.array(LEVELS)[np.digitize(LATENT, [-0.7, 0.7])], name="age")
HAT = pd.Series(np.where(LATENT > 0.3, "hat", "no hat"), name="hat")


def ordinal(**params):
    """Return a classifier of one ordinal attribute."""
    return AttributeClassifier(attributes=AGES, max_epochs=30, random_state=0, **params)


@pytest.fixture(scope="module")
def fitted():
    """Return it fitted."""
    return ordinal().fit(X, AGE)


def test_one_ordinal_attribute(fitted):
    """All outputs have the order of `classes_`, which scikit-learn's metrics assume sorted."""
    assert fitted.classes_.tolist() == sorted(LEVELS)
    proba = fitted.predict_proba(X)
    np.testing.assert_array_equal(fitted.transform(X), proba)
    assert fitted.get_feature_names_out().tolist() == [f"age={level}" for level in sorted(LEVELS)]
    np.testing.assert_array_equal(fitted.classes_[proba.argmax(axis=1)], fitted.predict(X))
    logits = fitted.set_params(transform_output="logit").transform(X)
    fitted.set_params(transform_output="proba")
    np.testing.assert_allclose(np.exp(logits), proba, rtol=1e-5)
    assert sklearn.metrics.log_loss(AGE, proba) == pytest.approx(log_loss(AGE, proba), rel=1e-6)


@pytest.mark.parametrize("method", ["predict_proba", "transform"])
def test_one_ordinal_attribute_downstream(fitted, method):
    """Every reader of scores reads them as `predict` does."""
    scores = getattr(fitted, method)(X)
    accuracy = (fitted.predict(X) == AGE).mean()
    calibrator = ThresholdCalibrator(attributes=AGES).fit(scores, AGE)
    assert calibrator.score(scores, AGE) == accuracy
    np.testing.assert_array_equal(calibrator.predict_proba(scores), scores)
    np.testing.assert_array_equal(calibrator.transform(scores), scores)
    assert calibrator.classes_.tolist() == sorted(LEVELS)
    np.testing.assert_array_equal(
        calibrator.get_feature_names_out(), fitted.get_feature_names_out()
    )
    report = attribute_report(AGE, y_score=scores, attributes=AGES)
    assert report.loc["age", "accuracy"] == pytest.approx(accuracy)
    # names decide where there are some, in any order
    frame = pd.DataFrame(scores, columns=fitted.get_feature_names_out())
    by_level = pd.DataFrame(scores, columns=fitted.classes_)[LEVELS]
    for table in (frame, frame.iloc[:, [2, 0, 1]], by_level):
        named = ThresholdCalibrator(attributes=AGES).fit(table, AGE)
        assert named.score(table, AGE) == accuracy


def test_columns_called_like_classes(fitted):
    """Columns of probabilities with the names of the classes are matched by name."""
    proba = fitted.predict_proba(X)
    by_level = pd.DataFrame(proba, columns=fitted.classes_)[LEVELS]
    for attributes in (AGES, None):
        expected, found = (log_loss(AGE, p, attributes=attributes) for p in (proba, by_level))
        assert found == expected
    hats = pd.DataFrame({"hat": (HAT == "hat").astype(int)})
    positive = 1 / (1 + np.exp(-LATENT))
    named = pd.DataFrame({1: positive, 0: 1 - positive})
    expected = sklearn.metrics.roc_auc_score(hats["hat"], positive)
    for scores in (positive, named, named[[0, 1]], [named]):
        assert roc_auc_score(hats, scores) == pytest.approx(expected)
    y = AGE.to_frame().assign(hat=hats)
    scores = [by_level.iloc[:, [2, 0, 1]], named]
    report = attribute_report(y, y_score=scores)
    assert report.loc["age", "accuracy"] == pytest.approx((fitted.predict(X) == AGE).mean())
    assert report.loc["hat", "roc_auc"] == pytest.approx(expected)
    calibrator = ThresholdCalibrator().fit(scores, y)
    assert calibrator.best_score_ > 0.5
    np.testing.assert_array_equal(calibrator.predict(scores)[:, 0], fitted.predict(X))
    curve = ThresholdCurveDisplay.from_predictions(hats, [named])
    assert curve.at("recall", [0.5])[0] == pytest.approx(
        sklearn.metrics.recall_score(hats["hat"], positive >= 0.5)
    )


def test_a_pipeline_of_one_ordinal_attribute():
    """Out-of-fold columns reach the calibrator in the order in which it reads them."""
    pipeline = make_pipeline(ordinal(cross_fit=3), ThresholdCalibrator(attributes=AGES))
    assert pipeline.fit(X, AGE).score(X, AGE) > 0.7
    tuned = TunedThresholdMultiOutputCV(ordinal(), cv=2).fit(X, AGE)
    assert tuned.score(X, AGE) == pipeline.score(X, AGE)


def test_scores_in_the_order_of_levels_are_detected(fitted):
    """Columns in another order are a warning, although the order of levels is declared."""
    in_level_order = fitted.predict_proba(X)[:, [2, 0, 1]]
    assert fitted.classes_[[2, 0, 1]].tolist() == LEVELS
    match = r"class order \['young', 'adult', 'old'\] than in the order \['adult', 'old', 'young'\]"
    with pytest.warns(ClassOrderWarning, match=match + ", in which they are read. Reorder"):
        ThresholdCalibrator(attributes=AGES).fit(in_level_order, AGE)
    with pytest.warns(ClassOrderWarning, match=match):
        attribute_report(AGE, y_score=in_level_order, attributes=AGES)


def test_declared_levels_among_several_are_detected():
    """With several attributes, columns are in the order of levels; sorted ones are a warning."""
    y = AGE.to_frame().assign(hat=(HAT == "hat").astype(int))
    several = ordinal().fit(X, y)
    assert several.classes_[0].tolist() == LEVELS
    assert several.get_feature_names_out().tolist()[:3] == [f"age={level}" for level in LEVELS]
    probas = several.predict_proba(X)
    assert attribute_report(y, y_score=probas, attributes=AGES).loc["age", "accuracy"] > 0.7
    probas[0] = probas[0][:, [1, 2, 0]]
    with pytest.warns(ClassOrderWarning, match="'age'.*Reorder the columns of the scores"):
        attribute_report(y, y_score=probas, attributes=AGES)


@pytest.mark.parametrize(
    ("y", "attributes", "scoring"),
    [
        (AGE, AGES, ["neg_log_loss", "roc_auc_ovr", "neg_brier_score", "top_k_accuracy"]),
        (HAT, {"hat": ("binary", "hat")}, ["neg_log_loss", "roc_auc"]),
        (HAT, {"hat": ("binary", "no hat")}, ["neg_log_loss", "roc_auc"]),
    ],
)
def test_scorers_of_scikit_learn(y, attributes, scoring):
    """They assume sorted classes: with others the area under the curve would be 1 minus itself."""
    classifier = AttributeClassifier(attributes=attributes, max_epochs=20, random_state=0)
    plain = AttributeClassifier(max_epochs=20, random_state=0)
    for name in scoring:
        declared, undeclared = (
            cross_val_score(c, X, y, scoring=name, cv=2) for c in (classifier, plain)
        )
        np.testing.assert_allclose(declared, undeclared, atol=0.1)


@pytest.mark.parametrize(
    ("y", "attributes"), [(HAT, {"hat": ("binary", "hat")}), (AGE, AGES)], ids=["hat", "age"]
)
def test_added_attributes_leave_columns_where_they_are(y, attributes):
    """The columns of a single attribute keep their order when it is no longer the only one."""
    classifier = AttributeClassifier(attributes=attributes, max_epochs=5, random_state=0).fit(X, y)
    classes, names = classifier.classes_, classifier.get_feature_names_out()
    proba, transformed = classifier.predict_proba(X), classifier.transform(X)
    new = pd.DataFrame({"tall": (X[:, 1] > 0).astype(int), "size": np.arange(500) % 3})
    levels = ("ordinal", [2, 0, 1])
    classifier.add_attributes(X, new, attributes={"size": levels})
    np.testing.assert_array_equal(classifier.classes_[0], classes)
    np.testing.assert_array_equal(classifier.predict_proba(X)[0], proba)
    np.testing.assert_array_equal(classifier.transform(X)[:, : len(names)], transformed)
    np.testing.assert_array_equal(classifier.get_feature_names_out()[: len(names)], names)
    assert classifier.classes_[2].tolist() == levels[1]
    table = pd.concat([y, new], axis=1)
    for j, labels in enumerate(classifier.predict(X).T):
        chosen = classifier.classes_[j][classifier.predict_proba(X)[j].argmax(axis=1)]
        np.testing.assert_array_equal(labels, chosen)
    # a scorer reads the columns in the order of classes_
    expected = np.mean([
        sklearn.metrics.log_loss(column, part, labels=None)
        if sorted(order) == list(order)
        else sklearn.metrics.log_loss(column, part[:, np.argsort(order)])
        for (_, column), part, order in zip(
            table.items(), classifier.predict_proba(X), classifier.classes_, strict=True
        )
    ])  # fmt: skip
    assert get_scorer("neg_log_loss")(classifier, X, table) == pytest.approx(-expected, rel=1e-6)
    assert classifier.score(X, table[["size", *table.columns[:2]]]) == classifier.score(X, table)


COLLIDING = [
    (
        pd.DataFrame({"a": list("012") * 4, "a=1": [0, 1] * 6}),
        "'a=1': the level '1' of the attribute 'a' and the attribute 'a=1'",
    ),
    (
        pd.DataFrame({"a": list("xyz") * 4, "a=x": list("uvw") * 4, "a=x=u": [0, 1] * 6}),
        "'a=x=u': the level 'u' of the attribute 'a=x' and the attribute 'a=x=u'",
    ),
    (
        pd.DataFrame({1: [0, 1] * 6, "1": [1, 0] * 6}),
        "'1': the attribute 1 and the attribute '1'",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("y", "message"), COLLIDING)
def test_names_of_columns_that_collide(y, message):
    """Both sources are named, before the network is trained or another fit is lost."""
    features = X[:12]
    classifier = AttributeClassifier(max_epochs=1, random_state=0)
    with pytest.raises(ValueError, match=f"Two columns would be called {message}; rename"):
        classifier.fit(features, y)
    with pytest.raises(ValueError, match="Two columns would be called"):
        classifier.fit(features, y.iloc[:, :1]).add_attributes(features, y.iloc[:, 1:])
    assert classifier.output_names_ == [y.columns[0]]


def test_names_of_other_columns_that_collide():
    """Scores per attribute and heat maps have names of columns, too."""
    y = pd.DataFrame({1: [0, 1] * 6, "1": [1, 0] * 6})
    classifier = MultiOutputClassifier(LogisticRegression()).fit(X[:12], y.to_numpy())
    scorer = make_attribute_scorer(f1_score, per_attribute=True, name="f1")
    with pytest.raises(ValueError, match="called 'f1__1': the attribute 1 and the attribute '1'"):
        scorer(classifier, X[:12], y)
    levels = pd.DataFrame({"a": list("xyz") * 4, "a=x": [0, 1] * 6})
    with pytest.raises(ValueError, match="'a=x': the level 'x' of the attribute 'a' and the"):
        CooccurrenceDisplay.from_labels(levels)
    with pytest.raises(ValueError, match="'a=x': the level 'x' of the attribute 'a' and the"):
        ThresholdCalibrator().fit(np.full((12, 4), 0.5), levels)
    with pytest.raises(ValueError, match="group '2' of `tail` has the name of the row of another"):
        attribute_report(y, y, tail={2: [1], "2": ["1"]})
