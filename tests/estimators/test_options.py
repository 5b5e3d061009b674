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
    CalibratedMultiOutputCV,
    FineTuning,
    ImageEmbedder,
    ImageReading,
    ThresholdCalibrator,
    TrainingOptions,
    TunedThresholdMultiOutputCV,
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
    """The error lists the parameters of the object, also of one that a string stands for."""
    with pytest.raises(ValueError, match="Invalid parameter 'dropuot'.*'dropout'"):
        AttributeClassifier().set_params(branches__dropuot=0.3)
    with pytest.raises(ValueError, match=r"'gamma' of loss='auto', .* CrossEntropyLoss\(\). Valid"):
        AttributeClassifier().set_params(loss__gamma=1.0)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"loss": "bad", "loss__gamma": 1}, "loss must be one of .*; got 'bad'"),
        ({"augment": "bad", "augment__flip": True}, "augment must be one of .*; got 'bad'"),
        ({"augment": Branches(), "augment__flip": True}, "augment must be one of .*; got Branches"),
        ({"backbone__width": 3}, "'backbone__width' .* backbone='auto' has no parameters"),
        ({"cross_fit": 5, "cross_fit__shuffle": True}, "cross_fit=5 has no parameters"),
        ({"attributes__hat": "binary"}, "attributes=None has no parameters"),
        ({"augment": len, "augment__flip": True}, "augment=<built-in .* has no parameters"),
    ],
)
def test_nested_names_of_values_without_parameters(params, message):
    """The message names the parameter and its value, and nothing is set."""
    classifier = AttributeClassifier()
    with pytest.raises(ValueError, match=message):
        classifier.set_params(**params)
    assert repr(classifier) == "AttributeClassifier()"


def test_names_of_losses_are_shorthands(rng):
    """A grid reaches the parameters of a loss that is given by name, as of other objects."""
    classifier = AttributeClassifier(loss="focal").set_params(loss__gamma=1.0)
    assert repr(classifier.loss) == "FocalLoss(gamma=1.0)"
    assert repr(clone(classifier).set_params(loss="bce").loss) == "'bce'"
    X = rng.normal(size=(40, 3))
    y = (X[:, 0] > 0).astype(int)
    start = AttributeClassifier(max_epochs=5, random_state=0)
    grid = [{"loss__label_smoothing": [0.0, 0.5]}, {"loss": ["focal"], "loss__gamma": [0.0]}]
    search = GridSearchCV(start, grid, cv=2, error_score="raise").fit(X, y)
    losses = [
        clone(start).set_params(**params).fit(X, y) for params in search.cv_results_["params"]
    ]
    plain = clone(start).fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(losses[0].predict_proba(X), plain)
    assert not np.allclose(losses[1].predict_proba(X), plain)
    np.testing.assert_allclose(losses[2].predict_proba(X), plain, rtol=1e-5)  # gamma=0


BOOLS = [
    *[{name: True} for name in ("max_epochs", "batch_size", "lr", "pos_weight", "random_state")],
    *[{"weight_decay": False}, {"image_size": True}, {"image_size": (True, True)}],
    *[{"branches__hidden": True}, {"branches__dropout": False}, {"training__accumulate": True}],
    *[{"training__clip_norm": True}, {"images__num_workers": False}, {"augment__mixup": True}],
    *[{"augment__zoom": False}, {"fine_tuning__layer_decay": True}, {"max_epochs": np.True_}],
    *[{"loss": "focal", "loss__gamma": True}, {"loss__top_k": True}, {"pos_weight": {0: True}}],
    *[{"class_weight": {0: True, 1: 2.0}}, {"attribute_weight": [True]}],
]


@pytest.mark.parametrize("params", BOOLS, ids=str)
def test_bools_are_no_numbers(rng, params):
    """The message shows the bool and what is valid."""
    X, y = rng.normal(size=(8, 2)), np.arange(8) % 2
    classifier = AttributeClassifier(max_epochs=1).set_params(**params)
    with pytest.raises(ValueError, match=r"True|False|is 1; weights must be"):
        classifier.fit(X, y)


@pytest.mark.parametrize(
    ("estimator", "params"),
    [
        (ThresholdCalibrator, {"beta": True}),
        (ThresholdCalibrator, {"n_jobs": True}),
        (ThresholdCalibrator, {"default_threshold": True}),
        (ThresholdCalibrator, {"thresholds": True}),
        (CalibratedMultiOutputCV, {"min_support": True}),
        (CalibratedMultiOutputCV, {"pos_weight": True}),
        (TunedThresholdMultiOutputCV, {"random_state": False}),
        (ImageEmbedder, {"batch_size": True}),
    ],
)
def test_bools_are_no_numbers_of_other_estimators(rng, estimator, params):
    """They have the same constraints."""
    own = {"estimator": AttributeClassifier()} if "MultiOutput" in estimator.__name__ else {}
    with pytest.raises(ValueError, match=r"Got (True|False)"):
        estimator(**own, **params).fit(rng.random(size=(8, 1)), np.arange(8) % 2)


def test_nested_names_beside_an_invalid_value(rng):
    """A value that is neither a string nor an object of its kind is not wrapped into one."""
    for value in (3, True, TrainingOptions()):
        classifier = AttributeClassifier(branches=value)
        with pytest.raises(ValueError, match="branches must be an object of Branches, a string or"):
            classifier.set_params(branches__hidden=3)
        with pytest.raises(ValueError, match="'branches' parameter of AttributeClassifier"):
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
