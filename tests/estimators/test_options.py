"""Parameter objects: scikit-learn's protocol, shorthands and nested names."""

import inspect
import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skattr import (
    AttributeClassifier,
    Augmentation,
    Branches,
    FineTuning,
    ImageEmbedder,
    ImageReading,
    TrainingOptions,
)
from skattr._estimators.options import as_object

OBJECTS = {
    "augment": (Augmentation(flip=True, mixup=0.2), "Augmentation(flip=True, mixup=0.2)"),
    "branches": (Branches("softmax", hidden=3), "Branches(binary='softmax', hidden=3)"),
    "fine_tuning": (
        FineTuning("stages:2", layer_decay=0.7),
        "FineTuning(freeze='stages:2', layer_decay=0.7)",
    ),
    "images": (
        ImageReading("scaled", num_workers=2),
        "ImageReading(decoding='scaled', num_workers=2)",
    ),
    "training": (
        TrainingOptions(None, clip_norm=1.0),
        "TrainingOptions(clip_norm=1.0, lr_schedule=None)",
    ),
}
each_object = pytest.mark.parametrize("name", OBJECTS)
each_class = pytest.mark.parametrize(
    ("cls", "first", "value"),
    [
        (Branches, "binary", "softmax"),
        (FineTuning, "freeze", "backbone"),
        (ImageReading, "decoding", "scaled"),
        (TrainingOptions, "lr_schedule", "cosine"),
    ],
)


@each_object
def test_objects_follow_scikit_learn(name):
    """They clone, pickle and show what differs from the defaults; the constructor only assigns."""
    one, text = OBJECTS[name]
    copy = clone(one)
    assert copy is not one
    assert copy.get_params() == one.get_params() == pickle.loads(pickle.dumps(one)).get_params()
    assert repr(one) == text
    value = object()
    for parameter in one.get_params():
        assert getattr(type(one)(**{parameter: value}), parameter) is value


@each_object
def test_settings_are_all_parameters(name):
    """Settings are the arguments of the constructor."""
    one, _ = OBJECTS[name]
    assert set(one.settings()) == set(inspect.signature(type(one)).parameters)
    assert one.settings() == one.get_params()


@each_class
def test_string_is_shorthand_for_the_first_parameter(cls, first, value):
    """None is the object with its defaults, a string sets its first parameter."""
    assert as_object(cls, None).get_params() == cls().get_params()
    assert as_object(cls, value).get_params() == {**cls().get_params(), first: value}
    one = cls(value)
    assert as_object(cls, one) is one


@each_object
def test_nested_names_set_parameters_of_objects(name):
    """Nested names change the object that is there, and none of its clones."""
    one, _ = OBJECTS[name]
    classifier = clone(AttributeClassifier(**{name: one}))
    parameter = list(one.get_params())[-1]
    classifier.set_params(**{f"{name}__{parameter}": "new"})
    assert getattr(getattr(classifier, name), parameter) == "new"
    assert getattr(one, parameter) != "new"


@pytest.mark.parametrize(
    ("start", "params", "expected"),
    [
        ({}, {"training__ema_decay": 0.9}, TrainingOptions(ema_decay=0.9)),
        (
            {"training": "cosine"},
            {"training__ema_decay": 0.9},
            TrainingOptions("cosine", ema_decay=0.9),
        ),
        (
            {"training": TrainingOptions(None)},
            {"training__ema_decay": 0.9, "training": "cosine"},
            TrainingOptions("cosine", ema_decay=0.9),
        ),
        ({}, {"branches__hidden": 3}, Branches(hidden=3)),
        ({"branches": "softmax"}, {"branches__hidden": 3}, Branches("softmax", hidden=3)),
        ({}, {"images__num_workers": 1}, ImageReading(num_workers=1)),
        (
            {"fine_tuning": "backbone"},
            {"fine_tuning__unfreeze_every": 2},
            FineTuning("backbone", unfreeze_every=2),
        ),
        ({}, {"augment__mixup": 0.2}, Augmentation(mixup=0.2)),
        ({"augment": "flip"}, {"augment__mixup": 0.2}, Augmentation(flip=True, mixup=0.2)),
    ],
)
def test_nested_names_create_objects(start, params, expected):
    """Where the value is None or a string, a nested name creates the object."""
    classifier = AttributeClassifier(**start).set_params(**params)
    name = next(iter(params)).partition("__")[0]
    assert repr(getattr(classifier, name)) == repr(expected)


def test_nested_names_of_the_embedder():
    """The embedder has `images` like the classifier, and none of the other objects."""
    embedder = ImageEmbedder(images="scaled").set_params(images__num_workers=1)
    assert repr(embedder.images) == "ImageReading(decoding='scaled', num_workers=1)"
    with pytest.raises(
        ValueError, match="Invalid parameter 'training' for estimator ImageEmbedder"
    ):
        embedder.set_params(training__ema_decay=0.9)


def test_rejects_unknown_nested_names():
    """scikit-learn's error lists the parameters of the object."""
    with pytest.raises(ValueError, match="Invalid parameter 'dropuot'.*'dropout'"):
        AttributeClassifier().set_params(branches__dropuot=0.3)


def test_nested_names_beside_an_invalid_value(rng):
    """A value that is neither an object nor a string is an error of fit, not of `set_params`."""
    classifier = AttributeClassifier(training=3).set_params(training__ema_decay=0.9)
    with pytest.raises(ValueError, match="'lr_schedule' parameter of TrainingOptions.* Got 3"):
        classifier.fit(rng.normal(size=(8, 2)), np.arange(8) % 2)


def test_a_grid_reaches_all_objects(rng):
    """A search over nested names starts from the defaults, also through a pipeline."""
    X = rng.normal(size=(60, 4))
    y = (X[:, :2] > 0).astype(int)
    grid = {
        "attributeclassifier__branches__hidden": [None, 3],
        "attributeclassifier__training__ema_decay": [None, 0.9],
        "attributeclassifier__images__on_bad_image": ["warn"],
        "attributeclassifier__augment__mixup": [0.1],
    }
    classifier = AttributeClassifier(max_epochs=1, random_state=0)
    search = GridSearchCV(make_pipeline(StandardScaler(), classifier), grid, cv=2).fit(X, y)
    assert len(search.cv_results_["params"]) == 4
    assert classifier.branches is None
    best = search.best_estimator_[-1]
    assert best.images.on_bad_image == "warn"
    assert best.net_.module__branch_hidden == best.branches.hidden


def test_options_reach_the_net(rng):
    """Each option arrives at the skorch net and its module."""
    X, y = rng.normal(size=(40, 3)), np.arange(40) % 2
    classifier = AttributeClassifier(
        branches=Branches("softmax", hidden=5, dropout=0.25),
        training=TrainingOptions(
            "cosine", ema_decay=0.9, clip_norm=2.0, accumulate=2, precision="float32"
        ),
        max_epochs=1,
        random_state=0,
    ).fit(X, y)
    net = classifier.net_
    assert net.module_.layout.forms == ("softmax",)
    assert (net.module__branch_hidden, net.module__dropout) == (5, 0.25)
    assert (net.config.ema_decay, net.config.clip_norm, net.config.accumulate) == (0.9, 2.0, 2)
    assert [type(c).__name__ for _, c in net.callbacks] == ["LRScheduler"]
    assert classifier.predict_proba(X).dtype == np.float32
