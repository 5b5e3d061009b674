"""Missing labels are without influence, from y to the last prediction."""

import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.model_selection import KFold, cross_validate

from skattr import AttributeClassifier, Branches, TrainingOptions
from skattr.exceptions import MissingLabelWarning
from tests.tiny_models import tiny


def weights_of(classifier):
    """Return all parameters and buffers of the fitted network."""
    return {name: value.numpy() for name, value in classifier.net_.module_.state_dict().items()}


def assert_same_network(one, other):
    """Compare two fitted networks bit by bit."""
    one, other = weights_of(one), weights_of(other)
    assert one.keys() == other.keys()
    for name in one:
        assert_array_equal(one[name], other[name])


def test_values_of_missing_labels_are_ignored(images, rng):
    """All forms of missing labels, with any weight, give the same network."""
    y = rng.integers(0, 2, (24, 3))
    unknown = rng.random((24, 3)) < 0.4
    weight = rng.random((24, 3))
    as_nan = tiny().fit(images, np.where(unknown, np.nan, y), label_weight=weight)
    as_none = tiny().fit(images, np.where(unknown, None, y.astype(object)), label_weight=weight)
    as_number = tiny(missing_label=-1).fit(
        images, np.where(unknown, -1, y), label_weight=np.where(unknown, 1e30, weight)
    )
    as_na = tiny().fit(
        images,
        pd.DataFrame(y).astype("Int64").mask(unknown),
        label_weight=np.where(unknown, np.nan, weight),
    )
    for other in (as_none, as_number, as_na):
        assert_same_network(as_nan, other)


def test_weight_zero_is_missing(images, rng):
    """A label of weight 0 has the effect of a missing label."""
    y = rng.integers(0, 2, (24, 3)).astype(float)
    unknown = rng.random((24, 3)) < 0.4
    weighted = tiny().fit(images, y, label_weight=~unknown * 1.0)
    masked = tiny().fit(images, np.where(unknown, np.nan, y))
    assert_same_network(weighted, masked)


def test_a_half_blanked_column_trains_on_its_known_rows(rng):
    """A branch with half of its labels missing is trained as on the known rows alone.

    On features the branches share no parameter, so one full-batch fit of two columns must
    equal the fit of each column on the rows in which it is known.
    """
    X = rng.normal(size=(40, 5))
    y = rng.integers(0, 3, (40, 2)).astype(float)
    y[::2, 1] = np.nan
    params = {"batch_size": 40, "random_state": 0, "max_epochs": 20}
    both = AttributeClassifier(**params).fit(X, y)
    alone = AttributeClassifier(**params).fit(X[1::2], y[1::2, 1])
    assert_allclose(both.predict_proba(X)[1], alone.predict_proba(X), rtol=1e-9)


def test_gradient_of_a_half_blanked_column(images, rng):
    """The gradient of a branch is that of torch's own loss over the known rows."""
    y = rng.integers(0, 3, (24, 2)).astype(float)
    y[::2, 1] = np.nan
    classifier = tiny(batch_size=24, max_epochs=1).fit(images, y)
    network = classifier.net_.module_.eval()
    codes = torch.from_numpy(classifier.encoder_.transform(y))
    features = network.forward_features(torch.from_numpy(images)).detach()
    loss = classifier.net_.criterion_(network.forward_head(features), codes, torch.ones(24, 2))
    loss.backward()
    columns = network.layout.slices[1]
    weight = network.branches.weight.detach()[columns].clone().requires_grad_()
    bias = network.branches.bias.detach()[columns]
    logits = features[1::2] @ weight.T + bias
    torch.nn.functional.cross_entropy(logits, codes[1::2, 1]).backward()
    assert_allclose(network.branches.weight.grad[columns], weight.grad, rtol=1e-4, atol=1e-7)


def test_a_column_without_labels_is_predicted_with_its_prior(images, table):
    """A column without a label keeps its place, gets equal probabilities and one warning."""
    y = table.assign(scarf=np.nan, era=None)
    y["era"] = pd.Categorical(y["era"], ["old", "new", "newest"])
    with pytest.warns(MissingLabelWarning, match=r"\['scarf', 'era'\]") as caught:
        classifier = tiny().fit(images, y)
    assert len(caught) == 1
    probas = classifier.predict_proba(images)
    assert_array_equal(probas[3], np.full((24, 2), 0.5, dtype=np.float32))
    assert_allclose(probas[4], np.full((24, 3), 1 / 3), atol=1e-7)
    assert classifier.output_names_ == ["hat", "color", "count", "scarf", "era"]
    assert classifier.predict(images).shape == (24, 5)


def test_a_column_without_labels_does_not_change_the_others(images, table):
    """The other attributes are predicted as without it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MissingLabelWarning)
        with_it = tiny().fit(images, table.assign(scarf=np.nan))
    without = tiny().fit(images, table)
    for one, other in zip(
        with_it.predict_proba(images)[:3], without.predict_proba(images), strict=True
    ):
        assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("hidden", [None, 4])
@pytest.mark.parametrize(
    "params", [{}, {"training": TrainingOptions(ema_decay=0.9)}, {"early_stopping": 3}]
)
def test_an_ordinal_attribute_without_labels_is_predicted_evenly(rng, hidden, params):
    """Weight decay without a gradient does not change its equal probabilities."""
    X = rng.normal(size=(200, 5))
    y = pd.DataFrame({"known": X[:, 0] > 0, "level": np.nan})
    classifier = AttributeClassifier(
        attributes={"level": ("ordinal", [0, 1, 2, 3])}, lr=0.1, random_state=0,
        branches=Branches(hidden=hidden), weight_decay=0.5, **params,
    )  # fmt: skip
    with pytest.warns(MissingLabelWarning, match="level"):
        probas = classifier.fit(X, y).predict_proba(X)
    assert_allclose(probas[1], np.full((200, 4), 0.25), atol=1e-12)
    assert probas[0].std() > 0.1


def test_a_joint_attribute_without_labels_is_predicted_evenly(rng):
    """The same where the category is a target."""
    X, category = rng.normal(size=(200, 5)), rng.choice(["a", "b", "c"], 200)
    y = pd.DataFrame({"known": X[:, 0] > 0, "hat": np.nan})
    classifier = AttributeClassifier(category_prior="joint", weight_decay=0.5, random_state=0)
    with pytest.warns(MissingLabelWarning, match="hat"):
        classifier.fit(X, y, category=category)
    assert_allclose(classifier.predict_proba(X)[1], np.full((200, 2), 0.5), atol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_held_out_rows_have_labels(rng, seed):
    """So that early stopping has a loss to go by, however few of the rows have one."""
    X = rng.normal(size=(100, 5))
    y = np.full((100, 1), np.nan)
    y[:12, 0] = [0, 1] * 6
    classifier = AttributeClassifier(max_epochs=3, early_stopping=True, random_state=seed)
    classifier.fit(X, y)
    assert all(epoch["valid_loss"] > 0 for epoch in classifier.history_)
    y[1:] = np.nan
    with pytest.raises(ValueError, match=r"0.1 of 1 row\(s\) with a label leaves none"):
        classifier.fit(X, y)


@pytest.mark.parametrize("scale", [1e-30, 1e-12, 1e37])
def test_the_scale_of_weights_is_ignored(rng, scale):
    """Even where sums in single precision would leave its range."""
    X = rng.normal(size=(100, 5)).astype(np.float32)
    y = X[:, :2] > 0
    weight = rng.uniform(0.5, 1.5, 100)
    probas = [
        AttributeClassifier(random_state=0)
        .fit(X, y, sample_weight=factor * weight)
        .predict_proba(X)
        for factor in (1, scale)
    ]
    assert_allclose(probas[1], probas[0], atol=0.02)  # the prior counts one label more


def test_rejects_y_without_known_labels(images):
    """There is nothing to learn from a y without a label."""
    with pytest.raises(ValueError, match="Input y contains NaN"):
        tiny().fit(images, np.full((24, 2), np.nan))


def test_many_classes_and_rare_levels(rng):
    """Columns of 2, 3, 10 and 47 classes go together, levels seen once among them."""
    X = rng.integers(0, 256, (60, 12, 10, 3)).astype(np.uint8)
    y = pd.DataFrame(
        {
            "two": rng.random(60) < 0.5,
            "three": rng.choice(["a", "b", "c"], 60),
            "ten": np.arange(60) % 10,
            "many": [f"level {min(row, 46)}" for row in range(60)],
        }
    )
    classifier = tiny().fit(X, y)
    assert [proba.shape[1] for proba in classifier.predict_proba(X)] == [2, 3, 10, 47]
    counts = y["many"].value_counts()
    assert (counts == 1).sum() == 46
    assert set(classifier.predict(X)[:, 3]) <= set(y["many"])


def test_a_column_of_one_class_gives_two_columns(images, table):
    """A bool or 0/1 column shows both classes though a fold shows one."""
    y = table.assign(hat=True, number=0)
    classifier = tiny().fit(images, y)
    assert_array_equal(classifier.classes_[0], [False, True])
    assert_array_equal(classifier.classes_[3], [0, 1])
    probas = classifier.predict_proba(images)
    assert probas[0].shape == probas[3].shape == (24, 2)
    assert (probas[0][:, 1] > 0.5).all()


def test_constant_columns_alone(images):
    """A network without a logit can be fitted, and is certain."""
    classifier = tiny().fit(images, np.full((24, 2), 5))
    assert_array_equal(classifier.predict(images), np.full((24, 2), 5))
    assert all((proba == 1).all() for proba in classifier.predict_proba(images))


def test_a_string_column_of_one_class_is_constant(images, table):
    """A single level is predicted with certainty, and teaches the backbone nothing."""
    with_it = tiny().fit(images, table.assign(place="here"))
    without = tiny().fit(images, table)
    assert_array_equal(with_it.predict_proba(images)[3], np.ones((24, 1), dtype=np.float32))
    assert set(with_it.predict(images)[:, 3]) == {"here"}
    assert_allclose(with_it.predict_proba(images)[0], without.predict_proba(images)[0], atol=1e-6)


def test_no_fold_is_nan_where_a_column_shows_one_class(images):
    """roc_auc is computed in every fold whose test rows show both classes."""
    hat = np.zeros(24, dtype=int)
    hat[[0, 1, 12, 13]] = 1
    result = cross_validate(
        tiny(), images, hat, cv=KFold(2), scoring="average_precision", error_score="raise"
    )
    assert np.isfinite(result["test_score"]).all()
