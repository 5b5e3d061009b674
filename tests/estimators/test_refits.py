"""Fitted estimators: changed parameters, and refits that fail, leave predictions as they are."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.linear_model import LogisticRegression
from skorch.callbacks import Callback

from skattr import (
    AttributeClassifier,
    Augmentation,
    Branches,
    FineTuning,
    ImageEmbedder,
    ImageReading,
    TrainingOptions,
)
from skattr.calibration import CalibratedMultiOutputCV
from skattr.exceptions import DivergedError, ImageReadError
from skattr.thresholds import TunedThresholdMultiOutputCV
from tests.tiny_models import tiny, tiny_backbone

CHANGED = {
    "backbone": "resnet18",
    "weights": "DEFAULT",
    "image_size": 40,
    "augment": Augmentation(test_flip=True),
    "max_epochs": 1,
    "random_state": 5,
    "attributes": {"hat": ("binary", False)},
    "missing_label": True,
    "constraints": {"implies": [("hat", "hat")]},
    "category_prior": "condition",
    "branches": Branches("softmax", ordinal_predict="median"),
    "loss": "focal",
    "pos_weight": 7.0,
    "class_weight": "balanced",
    "attribute_weight": "balanced",
    "optimizer": "sgd",
    "lr": 0.5,
    "weight_decay": 0.5,
    "batch_size": 3,
    "validation_fraction": 0.4,
    "early_stopping": 1,
    "fine_tuning": FineTuning("backbone"),
    "training": TrainingOptions(None, ema_decay=0.5, precision="bfloat16"),
    "net_params": {"optimizer__betas": (0.5, 0.5)},
    "warm_start": True,
    "images": ImageReading("scaled", cache="memory", num_workers=1),
    "cross_fit": 3,
    "device": "meta",
    "verbose": 1,
}


@pytest.fixture
def jpegs(tmp_path, rng):
    """Return the paths of 24 JPEG files that are larger than the images of a classifier."""
    paths = []
    for number in range(24):
        path = tmp_path / f"{number}.jpg"
        Image.fromarray(rng.integers(0, 256, (60, 70, 3)).astype(np.uint8)).save(path)
        paths.append(str(path))
    return paths


@pytest.fixture
def levels(table):
    """Attributes of the images, one of which is ordinal."""
    ages = table["count"].astype("category").cat.as_ordered()
    return table.assign(count=ages)


def outputs(classifier, X):
    """Return all that a classifier predicts for X."""
    return [classifier.predict(X), *classifier.predict_proba(X), classifier.transform(X)]


def equal(one, other):
    """Whether two lists of arrays are bit-identical."""
    return all(
        np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("name", CHANGED)
def test_changed_parameters_change_no_prediction(jpegs, levels, name):
    """Predictions after `set_params` are those of the network that was fitted."""
    classifier = tiny(max_epochs=1).fit(jpegs, levels)
    expected = outputs(classifier, jpegs)
    classifier.set_params(**{name: CHANGED[name]})
    assert equal(outputs(classifier, jpegs), expected)


def test_every_parameter_is_tried():
    """Only `transform_output` is left out, which says what `transform` returns."""
    assert CHANGED.keys() | {"transform_output"} == AttributeClassifier().get_params(False).keys()


@pytest.mark.parametrize(
    "changed",
    [
        {"image_size": 33},
        {"images": "scaled"},
        {"precision": "bfloat16"},
        {"layer": "0"},
        {"backbone": "resnet18"},
        {"random_state": None},
        {"weights": "DEFAULT"},
    ],
)
def test_changed_parameters_change_no_feature(jpegs, changed, tmp_path):
    """Features after `set_params` are those of the network that was fitted, also from a cache."""
    for cache in (None, tmp_path / "cache"):
        embedder = ImageEmbedder(tiny_backbone, image_size=(12, 10), cache=cache).fit(jpegs)
        expected = embedder.transform(jpegs)
        assert np.array_equal(embedder.set_params(**changed).transform(jpegs), expected)
        assert np.array_equal(embedder.transform(jpegs[::-1]), expected[::-1])


class Trap(Callback):
    """Raises an error in one event of the second epoch, or of the first."""

    def __init__(self, event, error):
        self.event, self.error = event, error

    def notify_of(self, event):
        """Raise the error if this is its event."""
        if event == self.event:
            _raise(self.error)

    def on_train_begin(self, net, **_):
        """Raise."""
        self.notify_of("train begins")

    def on_batch_end(self, net, **_):
        """Raise."""
        self.notify_of("batch ends")

    def on_epoch_end(self, net, **_):
        """Raise."""
        self.notify_of("epoch ends")

    def on_train_end(self, net, **_):
        """Raise."""
        self.notify_of("train ends")


def _raise(error):
    raise error


def state_of(estimator):
    """Return the fitted attributes of an estimator, and a copy of its weights."""
    weights = copy.deepcopy(estimator.net_.module_.state_dict())
    return dict(vars(estimator)), weights


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize("event", ["train begins", "batch ends", "epoch ends", "train ends"])
@pytest.mark.parametrize("method", ["fit", "warm", "partial_fit", "partial_fit again", "add"])
def test_a_failing_refit_leaves_the_last_fit(images, table, method, event, error):
    """Predictions, attributes and weights are those before it, and training goes on as before."""
    classifier = tiny(max_epochs=1, training=TrainingOptions(ema_decay=0.9))
    trap = Trap(None, error)
    classifier.set_params(net_params={"callbacks": [trap]})
    if method == "partial_fit again":
        classifier.partial_fit(images, table)
    else:
        classifier.fit(images, table)
    attributes, weights = state_of(classifier)
    expected = outputs(classifier, images)
    twin = copy.deepcopy(classifier)
    trap.event = event
    classifier.set_params(warm_start=method == "warm")
    with pytest.raises(error):
        if method == "add":
            classifier.add_attributes(images, np.arange(24) % 2)
        elif method.startswith("partial_fit"):
            classifier.partial_fit(images[:20], table[:20])
        else:
            classifier.fit(images[:20], table[:20])
    after, weights_after = state_of(classifier)
    del after["warm_start"], attributes["warm_start"]
    assert all(after[key] is value for key, value in attributes.items())
    assert after.keys() == attributes.keys()
    assert all(torch.equal(weights[key], weights_after[key]) for key in weights)
    assert equal(outputs(classifier, images), expected)
    trap.event = None
    for one in (classifier, twin):
        one.partial_fit(images, table)
    assert equal(outputs(classifier, images), outputs(twin, images))


def test_a_file_that_is_gone_leaves_the_stream(files, table):
    """A partial_fit that cannot read an image in its last batch changes nothing."""
    classifier = tiny(batch_size=4, max_epochs=1).partial_fit(files, table)
    expected = outputs(classifier, files[:20])
    Path(files[23]).write_bytes(b"no image")
    with pytest.raises(ImageReadError):
        classifier.partial_fit(files, table)
    assert equal(outputs(classifier, files[:20]), expected)


@pytest.mark.parametrize("kind", [TunedThresholdMultiOutputCV, CalibratedMultiOutputCV])
def test_meta_estimators_keep_their_last_fit(rng, kind, monkeypatch):
    """A refit that is interrupted at its very end changes no attribute; nor do parameters."""
    X = rng.normal(size=(80, 3))
    y = (X[:, :2] + rng.normal(size=(80, 2)) > 0).astype(int)
    estimator = AttributeClassifier(max_epochs=3, random_state=0)
    meta = kind(estimator, cv=2).fit(X, y)
    expected, attributes = meta.predict_proba(X), dict(vars(meta))
    labels = meta.predict(X)
    for name, value in {
        "estimator": LogisticRegression(),
        "response_method": "decision_function",
        "cv": "prefit",
        "missing_label": 1,
        "random_state": 3,
    }.items():
        meta.set_params(**{name: value})
        assert equal(meta.predict_proba(X), expected)
        assert np.array_equal(meta.predict(X), labels)
        meta.set_params(**{name: attributes[name]})

    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(kind, "_set_outputs", interrupt)
    with pytest.raises(KeyboardInterrupt):
        meta.fit(X[:, ::-1], y)
    assert all(vars(meta)[key] is value for key, value in attributes.items())
    assert equal(meta.predict_proba(X), expected)


class Breaks(Callback):
    """Writes a number into a tensor of the network after the last step."""

    def __init__(self, part, value):
        self.part, self.value = part, value

    def on_train_end(self, net, **_):
        """Write it."""
        with torch.no_grad():
            net.module_.state_dict()[self.part][0] = self.value


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    "part", ["branches.weight", "branches.bias", "backbone.0.0.weight", "backbone.0.1.running_var"]
)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_divergence_in_the_last_step(images, table, method, part, value):
    """Weights or statistics that are not finite after the last step are an error that names them.

    The losses, which were computed before it, are finite.
    """
    classifier = tiny(net_params={"callbacks": [Breaks(part, value)]})
    with pytest.raises(DivergedError, match=f"last step of training, {part} .*smaller `lr`"):
        getattr(classifier, method)(images, table)
    assert not hasattr(classifier, "net_")


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_last_step_that_is_too_large(rng, optimizer):
    """One step of a rate that overflows is an error, though its loss is finite."""
    X, y = rng.normal(size=(40, 3)).astype(np.float32), rng.integers(0, 3, (40, 2))
    classifier = AttributeClassifier(
        "mlp", optimizer=optimizer, lr=3e38, weight_decay=0.0, max_epochs=1, training=None
    ).set_params(training__lr_schedule=None)
    with pytest.raises(DivergedError, match="last step"):
        classifier.fit(X, y)


def test_new_branches_that_diverge(images, table):
    """The method add_attributes raises, and leaves the classifier as it was."""
    classifier = tiny(max_epochs=1).fit(images, table)
    expected = outputs(classifier, images)
    classifier.set_params(net_params={"callbacks": [Breaks("branches.weight", np.nan)]})
    with pytest.raises(DivergedError):
        classifier.add_attributes(images, np.arange(24) % 2)
    assert equal(outputs(classifier, images), expected)


def test_predictions_that_overflow(rng):
    """Outputs that are not finite are an error that names the row, not NaN probabilities."""
    X, y = rng.normal(size=(40, 3)).astype(np.float32), rng.integers(0, 3, (40, 2))
    classifier = AttributeClassifier(max_epochs=1).fit(X, y)
    with torch.no_grad():
        classifier.net_.module_.branches.weight.fill_(2)
    X[7] = 3e38
    with pytest.raises(DivergedError, match="outputs for row 7 of X and 0 other"):
        classifier.predict_proba(X)


def broken_backbone():
    """Return a network whose weights are not finite."""
    backbone = tiny_backbone()
    with torch.no_grad():
        backbone[0].weight.fill_(np.nan)
    return backbone


def test_features_that_are_not_finite(images, tmp_path):
    """The embedder does not return them, and stores none in its cache."""
    for cache in (None, tmp_path / "cache"):
        embedder = ImageEmbedder(broken_backbone, image_size=(12, 10), cache=cache).fit(images)
        for _ in range(2):
            with pytest.raises(DivergedError, match=r"features of 24 image\(s\) are not finite"):
                embedder.transform(images)
