"""Tests that `fit` and `predict` do not change the state of the process or their inputs."""

import random
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from skattr import AttributeClassifier
from tests.tiny_models import (
    NoisyBackbone,
    dropping_backbone,
    lstm_backbone,
    tiny,
    tiny_backbone,
    transformer_backbone,
)

DRAWING_BACKBONES = [dropping_backbone, lstm_backbone, transformer_backbone, NoisyBackbone]


@pytest.mark.filterwarnings("ignore:Lazy modules")
@pytest.mark.parametrize("random_state", [None, 0])
@pytest.mark.parametrize("backbone", [tiny_backbone, *DRAWING_BACKBONES, "resnet18"])
def test_global_state_is_unchanged(images, table, backbone, random_state):
    """Random states, thread counts, warning filters and flags of torch stay the same."""

    def state():
        numpy_state = np.random.get_state()  # noqa: NPY002  (the user's global state)
        return {
            "torch": torch.get_rng_state().tolist(),
            "numpy": [part.tolist() if hasattr(part, "tolist") else part for part in numpy_state],
            "python": random.getstate(),
            "threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
            "filters": list(warnings.filters),
            "gradients": torch.is_grad_enabled(),
            "deterministic": torch.are_deterministic_algorithms_enabled(),
            "cudnn": (torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic),
            "dtype": torch.get_default_dtype(),
        }

    before = state()
    classifier = AttributeClassifier(
        backbone, image_size=(12, 10), max_epochs=1, augment="flip", random_state=random_state,
        early_stopping=True,
    )  # fmt: skip
    classifier.fit(images, table).predict(images)
    assert state() == before


def test_fit_does_not_modify_data_or_parameters(images, table):
    """X, y, weights and parameters stay the same."""
    X, y = images.copy(), table.copy()
    weight = np.ones((24, 3))
    classifier = AttributeClassifier(
        tiny_backbone, image_size=(12, 10), max_epochs=1, augment="flip_shift", net_params={}
    )
    params = classifier.get_params()
    classifier.fit(X, y, label_weight=weight).predict(X)
    np.testing.assert_array_equal(X, images)
    assert y.equals(table)
    assert (weight == 1).all()
    assert classifier.get_params() == params


def test_no_seed_means_fresh_entropy(images, table):
    """With random_state=None, fits differ even if the global generators are seeded."""
    results = []
    for _ in range(2):
        np.random.seed(0)  # noqa: NPY002
        torch.manual_seed(0)
        classifier = AttributeClassifier(tiny_backbone, image_size=(12, 10), batch_size=8)
        results.append(classifier.fit(images, table).predict_proba(images)[0])
    assert not np.array_equal(*results)


def fitted_weights(images, table, backbone, seed):
    """Return all parameters after a fit, as one tensor."""
    classifier = tiny(backbone=backbone, random_state=seed).fit(images, table)
    parameters = classifier.net_.module_.parameters()
    return torch.cat([one.detach().flatten() for one in parameters])


@pytest.mark.filterwarnings("ignore:Lazy modules")
@pytest.mark.parametrize("backbone", DRAWING_BACKBONES)
def test_same_seed_same_weights(images, table, backbone):
    """Networks that draw in training depend on `random_state`, not on torch's global state."""
    first = fitted_weights(images, table, backbone, 0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        second = fitted_weights(images, table, backbone, 0)
    assert torch.equal(first, second)
    assert not torch.equal(first, fitted_weights(images, table, backbone, 1))


@pytest.mark.filterwarnings("ignore:Lazy modules")
@pytest.mark.parametrize("backbone", [dropping_backbone, lstm_backbone, NoisyBackbone])
def test_fits_in_threads(images, table, backbone):
    """Fits in four threads of one process are bit-identical to the same fits one by one."""
    seeds = range(4)
    expected = [fitted_weights(images, table, backbone, seed) for seed in seeds]
    before = torch.get_rng_state()
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda one: fitted_weights(images, table, backbone, one), seeds))
    assert all(map(torch.equal, results, expected))
    assert torch.equal(torch.get_rng_state(), before)
