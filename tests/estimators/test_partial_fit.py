"""Training on a stream, chunk by chunk."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from sklearn.utils.estimator_checks import estimator_checks_generator

from skattr import AttributeClassifier, Branches, TrainingOptions
from skattr.exceptions import MissingLabelWarning, UnseenCategoryWarning, UnseenLabelError
from skattr.losses import CrossEntropyLoss, FocalLoss
from tests.tiny_models import tiny

FAST = {"lr": 0.02, "batch_size": 16, "random_state": 0}
CLASSES = [[0, 1], ["blue", "green", "red"]]
DECLARED = {"color": ("categorical", ["blue", "green", "red"])}


def problem(n=320, seed=0):
    """Return features and a table of two attributes of them."""
    X = np.random.default_rng(seed).normal(size=(n, 3))
    color = np.array(["blue", "green", "red"])[X.argmax(axis=1)]
    return X, pd.DataFrame({"hat": np.where(X[:, 0] > 0, 1.0, 0.0), "color": color})


def chunks(X, y, size=64):
    """Yield consecutive rows."""
    for start in range(0, len(X), size):
        yield X[start : start + size], y[start : start + size]


def streamed(passes=1, **params):
    """Return a classifier that saw the stream so many times."""
    X, y = problem()
    classifier = AttributeClassifier(**{**FAST, **params})
    for _ in range(passes):
        for rows, labels in chunks(X, y):
            classifier.partial_fit(rows, labels, classes=CLASSES)
    return classifier


def matrix(classifier, X):
    """Return all probabilities side by side."""
    return np.hstack(classifier.predict_proba(X))


@pytest.mark.parametrize("params", [
    {}, {"optimizer": "sgd", "backbone": "mlp"}, {"loss": FocalLoss(), "pos_weight": 2},
    {"training": TrainingOptions(ema_decay=0.9)},
    {"attribute_weight": "uncertainty", "branches": Branches(hidden=4)},
], ids=str)  # fmt: skip
def test_it_learns_over_chunks(params):
    """Accuracy on fresh rows rises with the stream; one epoch is recorded per chunk."""
    X, y = problem(seed=1)
    once, often = streamed(**params), streamed(passes=6, **params)
    accuracy = [(c.predict(X) == y.to_numpy(object)).mean() for c in (once, often)]
    assert accuracy[1] > max(accuracy[0], 0.85)
    assert once.n_iter_ == len(once.history_) == 5
    assert often.n_iter_ == 30
    assert often.history_[-1]["train_loss"] < once.history_[0]["train_loss"]
    assert [row["epoch"] for row in once.history_] == [1, 2, 3, 4, 5]


def test_the_same_seed_gives_the_same_stream():
    """It is bit-identical, with new draws of mixup and dropout in every chunk."""
    params = {"backbone": "mlp", "branches": Branches(dropout=0.3)}
    X, _ = problem()
    first, second = streamed(**params), streamed(**params)
    assert_array_equal(matrix(first, X), matrix(second, X))
    other = streamed(**{**params, "random_state": 1})
    assert not np.array_equal(matrix(first, X), matrix(other, X))


def test_one_chunk_of_one_batch_is_a_step_of_fit():
    """A single chunk equals one epoch of `fit` at a constant learning rate."""
    X, y = problem()
    params = {**FAST, "batch_size": 64}
    chunk = AttributeClassifier(**params).partial_fit(X, y)
    epoch = AttributeClassifier(**params, max_epochs=1, training=TrainingOptions(None)).fit(X, y)
    assert_array_equal(matrix(chunk, X), matrix(epoch, X))


def test_classes_are_those_of_the_first_call():
    """Given there, as a parameter, or seen in it; a label beyond them is an error."""
    X, y = problem()
    blue = y["color"] == "blue"
    classifier = AttributeClassifier(**FAST).partial_fit(X[blue], y[blue], classes=CLASSES)
    assert [len(levels) for levels in classifier.classes_] == [2, 3]
    before = matrix(classifier, X)
    classifier.partial_fit(X, y)
    assert not np.array_equal(matrix(classifier, X), before)
    declared = AttributeClassifier(**FAST, attributes=DECLARED).partial_fit(X[blue], y[blue])
    assert_array_equal(matrix(declared, X), before)
    seen = AttributeClassifier(**FAST).partial_fit(X, y)
    before = matrix(seen, X)
    with pytest.raises(UnseenLabelError, match="the label 'pink' is not among the classes"):
        seen.partial_fit(X, y.replace("blue", "pink"))
    assert_array_equal(matrix(seen, X), before)
    with pytest.raises(ValueError, match=r"y lacks \['color'\]"):
        seen.partial_fit(X, y[["hat"]])
    # classes of later calls, in the order of the columns of their y
    reverse, hats = CLASSES[::-1], [[1, 0], CLASSES[1]]
    for classes, table in ((CLASSES, y), (None, y), (reverse, y[["color", "hat"]]), (hats, y)):
        seen.partial_fit(X, table, classes=classes)
    for classes in ([[0, 1, 2], CLASSES[1]], [CLASSES[0], CLASSES[1][:-1]]):
        with pytest.raises(
            ValueError, match=r"`classes` lists .* for '(hat|color)', but the first"
        ):
            seen.partial_fit(X, y, classes=classes)
    with pytest.raises(ValueError, match="`classes` must list the labels of each of the 2"):
        seen.partial_fit(X, y, classes=[[0, 1]])
    with pytest.raises(ValueError, match="X has 2 features, but"):
        seen.partial_fit(X[:, :2], y)


def test_it_continues_from_fit_and_fit_starts_from_scratch():
    """After `fit` a stream refines the network; after a stream `fit` forgets it."""
    X, y = problem()
    fitted = AttributeClassifier(**FAST, max_epochs=10).fit(X, y)
    expected, loss = matrix(fitted, X), fitted.history_[-1]["train_loss"]
    fitted.partial_fit(X, y)
    assert fitted.history_[0]["train_loss"] < loss + 0.02
    assert not np.array_equal(matrix(fitted, X), expected)
    assert_array_equal(matrix(fitted.fit(X, y), X), expected)
    assert_array_equal(matrix(streamed(max_epochs=10).fit(X, y), X), expected)


def test_it_continues_with_the_same_layers_only():
    """Another backbone or other hidden layers than those of the fit are an error that says so."""
    X, y = problem()
    for params in ({"branches": Branches(hidden=3)}, {"backbone": "mlp"}):
        classifier = AttributeClassifier(**FAST, max_epochs=1, warm_start=True).fit(X, y)
        for call in (classifier.set_params(**params).fit, classifier.partial_fit):
            with pytest.raises(
                ValueError, match="other layers .* keep `backbone` and `branches=Br"
            ):
                call(X, y)


@pytest.mark.parametrize("weights", [
    {"pos_weight": "balanced"}, {"pos_weight": "balanced:20"}, {"pos_weight": {"hat": "balanced"}},
    {"class_weight": "balanced"}, {"class_weight": {"hat": "balanced"}},
    {"class_weight": ["balanced", None]}, {"attribute_weight": "balanced"},
    {"pos_weight": ["balanced"]},
], ids=str)  # fmt: skip
def test_rejects_balanced_weights(weights):
    """However they are written: a stream has no counts of all labels."""
    X, y = problem()
    [(name, _)] = weights.items()
    with pytest.raises(ValueError, match=f"{name}=.* counts labels that partial_fit has not seen"):
        AttributeClassifier(**FAST, **weights).partial_fit(X, y)
    AttributeClassifier(**FAST, **weights, max_epochs=1).fit(X, y)


def test_other_weights_are_used():
    """Numbers by attribute, class or row count in a stream as in `fit`."""
    X, y = problem()
    plain = AttributeClassifier(**FAST).partial_fit(X, y)
    for params, given in [
        ({"pos_weight": [4]}, {}), ({"pos_weight": np.array([4.0])}, {}),
        ({"class_weight": {"color": {"red": 9}}}, {}), ({"attribute_weight": [1, 9]}, {}),
        ({}, {"sample_weight": np.linspace(0, 1, 320)}),
        ({}, {"label_weight": np.linspace(0, 1, 640).reshape(320, 2)}),
    ]:  # fmt: skip
        weighted = AttributeClassifier(**FAST, **params).partial_fit(X, y, **given)
        assert weighted.history_[0]["train_loss"] != plain.history_[0]["train_loss"]


def test_categories_in_a_stream():
    """Categories are those of the first chunk; others count as unknown later."""
    X, y = problem()
    category = np.where(np.arange(320) < 200, np.where(X[:, 0] > 0, "boat", "seal"), "whale")
    joint = AttributeClassifier(**FAST, category_prior="joint")
    joint.partial_fit(X[:100], y[:100], category=category[:100])
    joint.partial_fit(X[100:200], y[100:200], category=category[100:200])
    with pytest.warns(UnseenCategoryWarning, match="'whale'"):
        joint.partial_fit(X[200:], y[200:], category=category[200:])
    assert joint.categories_.tolist() == ["boat", "seal"]
    with pytest.raises(ValueError, match=r"category has shape \(320,\), but X has 9 row\(s\)"):
        joint.partial_fit(X[:9], y[:9], category=category)
    plain = AttributeClassifier(**FAST).partial_fit(X, y).set_params(category_prior="joint")
    with pytest.raises(ValueError, match="its categories or the form of its branches differ"):
        plain.partial_fit(X, y, category=category)


def test_images_in_a_stream(images, table):
    """Chunks of images; one image alone is too few, in any call."""
    classifier = tiny(attributes=DECLARED | {"count": ("categorical", [1, 2, 3, 4])})
    with pytest.raises(ValueError, match="two rows or more per batch"):
        classifier.partial_fit(images[1:2], table[1:2])
    classifier.partial_fit(images[:12], table[:12]).partial_fit(images[12:], table[12:])
    before = matrix(classifier, images)
    with pytest.raises(ValueError, match="two rows or more per batch .* and 1 row"):
        classifier.partial_fit(images[:1], table[:1])
    assert_array_equal(matrix(classifier, images), before)


def test_a_chunk_without_labels_of_an_attribute():
    """It trains the other attributes under every policy, and this one once it has labels."""
    X, y = problem()
    classifier = AttributeClassifier(**FAST, loss=CrossEntropyLoss(unknown="negative"))
    with pytest.warns(MissingLabelWarning, match="hat"):
        classifier.partial_fit(X, y.assign(hat=np.nan))
    hat, color = classifier.predict_proba(X)
    assert (hat == 0.5).all()
    assert (classifier.classes_[1][color.argmax(axis=1)] == y["color"]).mean() > 0.7
    classifier.partial_fit(X, y)
    assert (classifier.predict(X)[:, 0] == y["hat"]).mean() > 0.8


@pytest.mark.parametrize("hidden", [None, 4])
def test_an_attribute_stays_while_none_of_its_labels_come(hidden):
    """Neither decay nor momentum moves it, between two chunks and in a warm start."""
    X, y = problem()
    params = {**FAST, "branches": Branches(hidden=hidden), "weight_decay": 0.5}
    blank = y.assign(color=None)
    classifier = AttributeClassifier(**params).partial_fit(X, y)
    before = classifier.predict_proba(X)
    classifier.partial_fit(X, blank)
    after = classifier.predict_proba(X)
    assert_array_equal(after[1], before[1])
    assert not np.array_equal(after[0], before[0])
    classifier.partial_fit(X, y)
    assert not np.array_equal(classifier.predict_proba(X)[1], before[1])
    warm = AttributeClassifier(**params, warm_start=True, attributes=DECLARED).fit(X, y)
    before = warm.predict_proba(X)
    with pytest.warns(MissingLabelWarning, match="color"):
        warm.fit(X, blank)
    assert_array_equal(warm.predict_proba(X)[1], before[1])


def test_scikit_learns_checks_of_partial_fit_are_collected():
    """Its contract suite, which is run whole elsewhere, looks at streams too."""
    checks = estimator_checks_generator(AttributeClassifier())
    names = {getattr(check, "func", check).__name__ for _, check in checks}
    assert {"check_estimators_partial_fit_n_features", "check_n_features_in"} <= names
