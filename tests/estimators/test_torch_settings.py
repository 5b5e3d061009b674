"""Settings of torch that the caller has, tensors that need gradients, and very few rows."""

import contextlib

import numpy as np
import pytest
import torch
from torch import nn

from skattr import AttributeClassifier, ImageEmbedder
from skattr.metrics import f1_score, log_loss, roc_auc_score
from skattr.thresholds import ThresholdCalibrator, find_thresholds
from tests.tiny_models import tiny, tiny_backbone


@contextlib.contextmanager
def setting(setter, value, before):
    """Set a default of torch, and set it back."""
    setter(value)
    try:
        yield
    finally:
        setter(before)


CONTEXTS = {
    "inference mode": torch.inference_mode,
    "no gradients": torch.no_grad,
    "float64": lambda: setting(torch.set_default_dtype, torch.float64, torch.float32),
    "float16": lambda: setting(torch.set_default_dtype, torch.float16, torch.float32),
    "meta": lambda: setting(torch.set_default_device, "meta", "cpu"),
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
}


@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize("kind", ["images", "files", "linear", "mlp", "embedder"])
def test_settings_of_the_caller_change_nothing(images, files, rng, context, kind):
    """A fit and a prediction inside of it are those outside, and it is as it was afterwards."""
    X, y = rng.normal(size=(24, 3)), np.arange(24) % 2
    if kind in ("images", "files", "embedder"):
        X = files if kind == "files" else images

    def make():
        if kind == "embedder":
            return ImageEmbedder(tiny_backbone, image_size=(12, 10))
        if kind in ("images", "files"):
            return tiny(augment="strong", max_epochs=2)
        return AttributeClassifier("auto" if kind == "linear" else "mlp", random_state=0)

    expected = make().fit(X, y).transform(X)
    with CONTEXTS[context]():
        before = [torch.is_grad_enabled(), torch.is_inference_mode_enabled(),
                  torch.get_default_dtype(), torch.get_default_device(),
                  torch.is_autocast_enabled("cpu")]  # fmt: skip
        inside = make().fit(X, y)
        assert np.array_equal(inside.transform(X), expected)
        assert before == [torch.is_grad_enabled(), torch.is_inference_mode_enabled(),
                          torch.get_default_dtype(), torch.get_default_device(),
                          torch.is_autocast_enabled("cpu")]  # fmt: skip
    assert np.array_equal(inside.transform(X), expected)
    if kind != "embedder":
        inside.partial_fit(X, y)


def graded(values, dtype=torch.float32):
    """Return a tensor that needs a gradient."""
    return torch.tensor(np.asarray(values), dtype=dtype, requires_grad=True)


CALLS = {
    "find_thresholds": lambda y, s, w: find_thresholds(y, s, sample_weight=w).thresholds,
    "f1_score": lambda y, s, w: f1_score(y, y, sample_weight=w),
    "roc_auc_score": lambda y, s, w: roc_auc_score(y, s, sample_weight=w),
    "log_loss": lambda y, s, w: log_loss(y, s, sample_weight=w),
    "calibrator": lambda y, s, w: ThresholdCalibrator().fit(s, y, sample_weight=w).predict(s),
    "fit": lambda y, s, w: AttributeClassifier(max_epochs=1, random_state=0)
    .fit(s, y, sample_weight=w).predict_proba(s),
}  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", CALLS)
def test_tensors_that_need_gradients(rng, name, dtype):
    """They are read as arrays of their values, wherever labels, scores or weights are taken."""
    y, s, w = rng.integers(0, 2, (60, 2)), rng.random((60, 2)), rng.random(60)
    tensors = [graded(values, dtype) for values in (y, s, w)]
    arrays = [tensor.detach().float().numpy() for tensor in tensors]
    found, expected = CALLS[name](*tensors), CALLS[name](*arrays)
    assert np.array_equal(np.asarray(found, dtype=object), np.asarray(expected, dtype=object))


def normalizing(n_inputs):
    """Return a network with batch normalization, for features."""
    return nn.Sequential(nn.Linear(n_inputs, 4), nn.BatchNorm1d(4))


def layer_normalizing():
    """Return a network for images without batch normalization."""
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(4), nn.LayerNorm(4))


@pytest.mark.parametrize("n_rows", [1, 2, 3])
@pytest.mark.parametrize("params", [{}, {"batch_size": 1}, {"validation_fraction": 0.1},
                                    {"early_stopping": True}])  # fmt: skip
@pytest.mark.parametrize("backbone", ["auto", "mlp", normalizing, tiny_backbone, layer_normalizing])
def test_very_few_rows(images, rng, n_rows, params, backbone):
    """A fit ends, or one sentence says why the rows left are too few."""
    is_images = backbone in (tiny_backbone, layer_normalizing)
    X = images[:n_rows] if is_images else rng.normal(size=(n_rows, 3))
    classifier = tiny(backbone=backbone) if is_images else AttributeClassifier(backbone)
    classifier.set_params(max_epochs=1, **params)
    held_out = 0 if params in ({}, {"batch_size": 1}) else 1
    y = np.tile([0, 1], 2)[:n_rows]
    n_train = n_rows - held_out
    messages = {
        n_train == 0: "leaves none to train on",
        backbone in (normalizing, tiny_backbone)
        and min(n_train, classifier.batch_size) == 1: "batch normalization needs two rows or more",
    }
    if True not in messages:
        with pytest.warns(UserWarning) if held_out and n_rows == 2 else contextlib.nullcontext():
            assert len(classifier.fit(X, y).predict(X)) == n_rows
        return
    with contextlib.suppress(UserWarning), pytest.raises(ValueError, match=messages[True]):
        classifier.fit(X, y)
