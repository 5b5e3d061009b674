"""Tests that `fit` and `predict` do not change the state of the process or their inputs."""

import random
import warnings

import numpy as np
import pytest
import torch

from skattr import AttributeClassifier
from tests.tiny_models import dropping_backbone, tiny_backbone


@pytest.mark.filterwarnings("ignore:Lazy modules")
@pytest.mark.parametrize("random_state", [None, 0])
@pytest.mark.parametrize("backbone", [tiny_backbone, dropping_backbone, "resnet18"])
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
