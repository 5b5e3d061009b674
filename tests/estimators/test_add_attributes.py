"""add_attributes: predictions of old attributes are bit-identical, new ones are learned."""

import pickle

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone

from skattr import AttributeClassifier, AttributeEncoder, Branches, TrainingOptions
from skattr._estimators.add_attributes import (
    merge_encoders,
    name_new_attributes,
    new_attribute_params,
)
from skattr.exceptions import MissingLabelWarning
from tests.tiny_models import tiny

FAST = {"max_epochs": 15, "lr": 0.05, "batch_size": 8, "random_state": 0}


def problem(n=120):
    """Return features and a table of six attributes that depend on them, with missing labels."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 4))
    y = pd.DataFrame(
        {
            "hat": (X[:, 0] > 0).astype(float),
            "color": np.array(["blue", "green", "red"])[X[:, 1:].argmax(axis=1)],
            "age": np.digitize(X[:, 1], [-1, 0, 1]),
            "scarf": pd.array(X[:, 2] > 0.3, dtype="boolean"),
            "shape": np.array(["flat", "round", "tall"])[np.digitize(X[:, 3], [-0.4, 0.4])],
            "beard": X[:, 0] + X[:, 3] > 0,
        }
    )
    y.loc[::7, ["hat", "scarf"]] = None
    return X, y


AGE = {"attributes": {"age": ("ordinal", [0, 1, 2, 3])}}
OLD, NEW = ["hat", "color", "age"], ["scarf", "shape"]


@pytest.mark.parametrize("params", [
    {},
    {"branches": Branches("softmax")},
    {"branches": Branches(hidden=5), "backbone": "mlp"},
    AGE,
    {**AGE, "branches": Branches(hidden=5)},
    {"category_prior": "joint"},
    {"category_prior": "auxiliary"},
    {"category_prior": "condition"},
    {"training": TrainingOptions(precision="float32"), "loss": "focal", "pos_weight": "balanced"},
    {"training": TrainingOptions(ema_decay=0.9), "early_stopping": True},
], ids=str)  # fmt: skip
def test_old_columns_are_bit_identical_and_new_ones_are_learned(params):
    """Old probabilities are bit-identical and new attributes well above chance, for all options."""
    X, y = problem()
    X = pd.DataFrame(X, columns=list("abcd")).assign(category=np.where(X[:, 0] > 1, "seal", "boat"))
    classifier = AttributeClassifier(**{**FAST, **params}).fit(X, y[OLD])
    before, columns = classifier.predict_proba(X), classifier.transform(X)
    assert classifier.add_attributes(X, y[NEW]) is classifier
    after = classifier.predict_proba(X)
    assert [proba.shape[1] for proba in after] == [2, 3, 4, 2, 3]
    for old, same in zip(before, after, strict=False):
        assert_array_equal(old, same)
        assert old.dtype == same.dtype
    assert_array_equal(classifier.transform(X)[:, : columns.shape[1]], columns)
    known = y["scarf"].notna()
    assert ((after[3][:, 1] > 0.5) == y["scarf"])[known].mean() > 0.8
    assert (classifier.classes_[4][after[4].argmax(axis=1)] == y["shape"]).mean() > 0.55


def test_images_keep_their_predictions(images, table):
    """In float32 too, however the rows are batched; twice in a row, and after pickling."""
    classifier = tiny().fit(images, table[["hat"]])
    hat = classifier.predict_proba(images)
    assert classifier.classes_.tolist() == [False, True]
    classifier.add_attributes(images, table[["color"]])
    assert isinstance(classifier.classes_, list)
    first = classifier.predict_proba(images)
    assert_array_equal(first[0], hat)
    classifier.add_attributes(images, table["count"])
    second = classifier.predict_proba(images)
    assert [proba.shape[1] for proba in second] == [2, 3, 4]
    for old, same in zip(first, second, strict=False):
        assert_array_equal(old, same)
    assert classifier.output_names_ == ["hat", "color", "count"]
    copy = pickle.loads(pickle.dumps(classifier))
    for one, other in zip(second, copy.predict_proba(images), strict=True):
        assert_array_equal(one, other)
    assert len(clone(classifier).fit(images, table[["hat"]]).predict_proba(images)) == 24


def test_public_state_tells_of_all_attributes():
    """Names, kinds, classes, columns, predictions and the score are those of both together."""
    X, y = problem()
    classifier = AttributeClassifier(**FAST, **AGE, transform_output="logit").fit(X, y[OLD])
    classifier.add_attributes(
        X, y[NEW], attributes={"shape": ("ordinal", ["flat", "round", "tall"])}
    )
    assert classifier.output_names_ == OLD + NEW
    assert classifier.n_outputs_ == 5
    assert classifier.attribute_kinds_ == ["binary", "categorical", "ordinal", "binary", "ordinal"]
    assert [levels.tolist() for levels in classifier.classes_[3:]] == [
        [False, True], ["flat", "round", "tall"],
    ]  # fmt: skip
    names = list(classifier.get_feature_names_out())
    assert names[-4:] == ["scarf", "shape=flat", "shape=round", "shape=tall"]
    logits = classifier.transform(X)
    assert logits.shape == (120, len(names))
    probas = classifier.predict_proba(X)
    assert_allclose(1 / (1 + np.exp(-logits[:, -4])), probas[3][:, 1])
    assert_allclose(np.exp(logits[:, -3:]), probas[4])
    predicted = classifier.predict(X)
    assert predicted.shape == (120, 5)
    for j, levels in enumerate(classifier.classes_):
        assert_array_equal(predicted[:, j], levels.astype(object)[probas[j].argmax(axis=1)])
    known = y[OLD + NEW].notna().all(axis=1).to_numpy()
    hits = (predicted == y[OLD + NEW].to_numpy(object, na_value=-1)).all(axis=1)
    assert classifier.score(X[known], y.loc[known, OLD + NEW]) == pytest.approx(hits[known].mean())
    features = classifier.set_params(transform_output="features").transform(X)
    assert_array_equal(features, X)


def test_new_branches_are_those_of_a_classifier_of_features():
    """They equal those of a linear classifier on the shared features with the same seed."""
    X, y = problem()
    classifier = AttributeClassifier("mlp", **FAST).fit(X, y[OLD])
    features = classifier.set_params(transform_output="features").transform(X)
    classifier.set_params(transform_output="proba").add_attributes(X, y[NEW])
    alone = AttributeClassifier(**{**FAST, "lr": "auto"}).fit(features, y[NEW])
    expected = alone.predict_proba(features)
    for one, other in zip(classifier.predict_proba(X)[3:], expected, strict=True):
        assert_array_equal(one, other)


def test_weights_of_new_labels():
    """`sample_weight` and `label_weight` count; weights by attribute may name new ones."""
    X, y = problem()
    fit = AttributeClassifier(**FAST).fit(X, y[OLD])
    plain = pickle.loads(pickle.dumps(fit)).add_attributes(X, y[NEW]).predict_proba(X)
    weight = np.random.default_rng(0).random(120)
    for given in ({"sample_weight": weight}, {"label_weight": np.stack([weight, weight], axis=1)}):
        weighted = pickle.loads(pickle.dumps(fit)).add_attributes(X, y[NEW], **given)
        assert np.abs(weighted.predict_proba(X)[3] - plain[3]).max() > 1e-3
    dear = pickle.loads(pickle.dumps(fit)).set_params(pos_weight={"hat": 2, "scarf": 20})
    assert dear.add_attributes(X, y[NEW]).predict_proba(X)[3].mean(axis=0)[1] > 0.6
    uneven = AttributeClassifier(**FAST, attribute_weight=[1, 2, 3]).fit(X, y[OLD])
    with pytest.raises(ValueError, match="attribute_weight has one number for each attribute of f"):
        uneven.add_attributes(X, y[NEW])
    assert uneven.output_names_ == OLD


def test_names_that_clash_and_columns_without_names():
    """A name that is there is an error that changes nothing; arrays are named on."""
    X, y = problem()
    classifier = AttributeClassifier(**FAST).fit(X, y[["hat", "age"]].to_numpy())
    classifier.add_attributes(X, y[["age", "scarf"]].to_numpy()[:, 1])
    classifier.add_attributes(X, y[["shape", "beard"]].to_numpy().tolist())
    assert classifier.output_names_ == ["y0", "y1", "y2", "y3", "y4"]
    before = classifier.predict_proba(X)
    for clash in (y[["beard"]].rename(columns={"beard": "y1"}), y["beard"].rename("y4")):
        with pytest.raises(ValueError, match=r"y has the attribute\(s\) \['y[14]'\], which"):
            classifier.add_attributes(X, clash)
    with pytest.raises(ValueError, match="Input y contains NaN"):
        classifier.add_attributes(X, np.full(120, np.nan))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        classifier.add_attributes(X, y["beard"][:7])
    assert classifier.n_outputs_ == 5
    for one, other in zip(before, classifier.predict_proba(X), strict=True):
        assert_array_equal(one, other)


def test_naming_of_new_attributes():
    """Series keep their name, arrays and lists are counted on from the old attributes."""
    old = ["hat", "color"]
    assert list(name_new_attributes(pd.Series([1], name="scarf"), old)) == ["scarf"]
    assert list(name_new_attributes(pd.Series([1]), old)) == ["y2"]
    assert list(name_new_attributes([1, None], old)) == ["y2"]
    assert list(name_new_attributes([[1, "a"], [0, None]], old)) == ["y2", "y3"]
    assert list(name_new_attributes(pd.array([True, None]), old)) == ["y2"]
    for bad, error, sentence in [
        (np.zeros((1, 1, 1)), ValueError, r"of shape \(n,\) or \(n, n_outputs\), got \(1, 1, 1\)"),
        (None, ValueError, "requires y to be passed"),
        (pd.DataFrame([[1, 0]], columns=["a", "a"]), ValueError, "more than once"),
    ]:
        with pytest.raises(error, match=sentence):
            name_new_attributes(bad, old)


def test_parameters_of_new_branches():
    """Parameters for images and old attributes are reset, the others are the classifier's."""
    params = {
        "augment": "flip",
        "fine_tuning": "backbone",
        "weights": "DEFAULT",
        "backbone": "resnet50",
    }
    classifier = AttributeClassifier(
        **params, lr=3.0, category_prior="joint", loss="focal", max_epochs=7, cross_fit=3,
        pos_weight={"hat": 2, "scarf": 3}, class_weight="balanced", constraints={"implies": []},
    )  # fmt: skip
    found = new_attribute_params(classifier.get_params(deep=False), pd.DataFrame({"scarf": [1]}))
    assert found["pos_weight"] == {"scarf": 3}
    assert (found["class_weight"], found["loss"], found["max_epochs"]) == ("balanced", "focal", 7)
    for name in ("augment", "fine_tuning", "weights", "category_prior", "constraints"):
        assert found[name] is None
    assert (found["backbone"], found["lr"]) == ("linear", "auto")


def test_merged_encoder_reads_a_table_of_both():
    """Codes and labels of both go through it; the old encoder is not changed."""
    _, y = problem()
    old, new = AttributeEncoder(**AGE).fit(y[OLD]), AttributeEncoder().fit(y[NEW])
    both = merge_encoders(old, new)
    expected = np.hstack([old.transform(y[OLD]), new.transform(y[NEW])])
    assert_array_equal(both.transform(y[OLD + NEW]), expected)
    assert both.known_.tolist() == [*old.known_, *new.known_]
    assert old.n_outputs_ == 3


def test_constraints_are_checked_again():
    """Rules may name new attributes, and hold in prediction from then on."""
    X, y = problem()
    rules = {"implies": [("beard", "scarf")], "at_most_one": [["hat", "scarf"]]}
    classifier = AttributeClassifier(**FAST).fit(X, y[OLD])
    old = classifier.predict_proba(X)
    classifier.set_params(constraints=rules).add_attributes(X, y[["scarf", "beard"]])
    hat, _, _, scarf, beard = classifier.predict(X).T
    assert not (beard.astype(bool) & ~scarf.astype(bool)).any()
    assert not ((hat == 1) & scarf.astype(bool)).any()
    for one, other in zip(old, classifier.predict_proba(X), strict=False):
        assert_array_equal(one, other)
    classifier.set_params(constraints={"implies": [("shape", "scarf")]})
    with pytest.raises(ValueError, match="'shape', which is categorical"):
        classifier.add_attributes(X, y[["shape"]])
    assert classifier.n_outputs_ == 5


def test_rejects_warm_start_after_added_attributes():
    """Neither warm starts nor streams go on from branches that were added; a plain fit may."""
    X, y = problem()
    classifier = AttributeClassifier(**FAST, warm_start=True).fit(X, y[OLD])
    classifier.add_attributes(X, y[NEW])
    before = classifier.predict_proba(X)
    for call in (classifier.fit, classifier.partial_fit):
        with pytest.raises(ValueError, match="attributes were added to it; call fit on all"):
            call(X, y[OLD + NEW])
    for one, other in zip(before, classifier.predict_proba(X), strict=True):
        assert_array_equal(one, other)
    classifier.set_params(warm_start=False).fit(X, y[OLD])
    assert classifier.output_names_ == OLD
    unfitted = clone(classifier)
    with pytest.raises(ValueError, match="not fitted yet"):
        unfitted.add_attributes(X, y[NEW])


def test_an_added_attribute_without_labels_stays_even():
    """One warning, equal probabilities, as in `fit`."""
    X, y = problem()
    classifier = AttributeClassifier(**FAST).fit(X, y[OLD])
    blank = y[["scarf"]].assign(era=None)
    with pytest.warns(MissingLabelWarning, match=r"\['era'\]"):
        declared = {"era": ("categorical", ["old", "new", "newest"])}
        classifier.add_attributes(X, blank, attributes=declared)
    assert_allclose(classifier.predict_proba(X)[4], 1 / 3)


def test_columns_of_polars_keep_their_names():
    """Names of a polars DataFrame are those of the new attributes, as of a pandas one."""
    pl = pytest.importorskip("polars")
    X, y = problem(40)
    classifier = AttributeClassifier(max_epochs=1, random_state=0).fit(X, y[OLD])
    classifier.add_attributes(X, pl.from_pandas(y[NEW]))
    assert classifier.output_names_ == [*OLD, *NEW]
