"""Features of frozen networks, against one pass by hand."""

import copy
import pickle

import numpy as np
import pytest
import torch

from skattr._training import embedding
from skattr._training.embedding import FrozenNetwork
from skattr.nn._embedding import EmbeddingNetwork
from tests.tiny_models import tiny_backbone

SIZE = (12, 10)


def frozen(backbone=tiny_backbone, **params):
    """Return a network for the images."""
    defaults = {"weights": None, "layer": "pool", "image_size": SIZE, "seed": 0}
    return FrozenNetwork(backbone, **{**defaults, **params})


@pytest.mark.parametrize(
    ("precision", "tolerance"), [("float64", 1e-6), ("float32", 1e-5), ("bfloat16", 0.05)]
)
def test_features_equal_the_network_in_float64(images, precision, tolerance):
    """In every precision, features equal those of the network in float64, up to rounding."""
    network = frozen()
    result = network.embed(torch.from_numpy(images), "cpu", precision)
    with torch.no_grad():
        expected = frozen().build().double()(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(result, expected, rtol=tolerance, atol=tolerance)
    assert result.dtype == np.float32


def test_precisions_in_turn(images):
    """One network gives the features of each precision, whichever it computed before."""
    pixels, names = torch.from_numpy(images), ("float32", "float64", "bfloat16")
    expected = [frozen().embed(pixels, "cpu", name) for name in names]
    assert not any(np.array_equal(expected[k - 1], expected[k]) for k in range(3))
    network = frozen()
    for number in (0, 1, 1, 0, 2, 1):
        result = network.embed(pixels, "cpu", names[number])
        np.testing.assert_array_equal(result, expected[number])


def test_a_network_is_prepared_once_for_a_type(images, monkeypatch):
    """Its batch normalization is folded again only for parameters of another type."""
    prepared, original = [], embedding.with_folded_batchnorm
    monkeypatch.setattr(
        embedding, "with_folded_batchnorm", lambda *args: prepared.append(1) or original(*args)
    )
    network, pixels = frozen("resnet18", layer="layer1"), torch.from_numpy(images[:2])
    for name in ("float32", "float32", "float64"):
        network.embed(pixels, "cpu", name)
    assert len(prepared) == 2


def test_some_images_of_a_batch(images):
    """Chosen images have the features that they have in the whole batch."""
    network, pixels = frozen(), torch.from_numpy(images)
    whole = network.embed(pixels, "cpu", "float32")
    some = network.embed(pixels, "cpu", "float32", [5, 2, 9])
    np.testing.assert_allclose(some, whole[[5, 2, 9]], rtol=1e-5, atol=1e-6)


def test_a_named_network_is_built_when_needed(monkeypatch, images):
    """Construction, copies and pickles build no network, embedding builds one."""
    built = []
    init = EmbeddingNetwork.__init__

    def counted(*args, **kwargs):
        built.append(1)
        init(*args, **kwargs)

    monkeypatch.setattr(EmbeddingNetwork, "__init__", counted)
    network = pickle.loads(pickle.dumps(copy.deepcopy(frozen("resnet18", layer="layer1"))))
    assert not built
    for _ in range(2):
        network.embed(torch.from_numpy(images), "cpu", "float32")
    assert len(built) == 1


@pytest.mark.parametrize("layer", ["pool", "3"])
def test_pickles_hold_the_network(images, monkeypatch, layer):
    """A pickle or a copy of a built network is bit-identical, and builds nothing."""
    network, pixels = frozen(layer=layer), torch.from_numpy(images)
    expected = network.embed(pixels, "cpu", "float32")
    monkeypatch.setattr(EmbeddingNetwork, "__init__", None)
    for other in (pickle.loads(pickle.dumps(network)), copy.deepcopy(network)):
        np.testing.assert_array_equal(other.embed(pixels, "cpu", "float32"), expected)
        assert other.identity == network.identity


def test_seeds_determine_the_weights(images):
    """Equal seeds give equal weights, other seeds others; the global generator is not used."""
    state = torch.get_rng_state()
    pixels = torch.from_numpy(images)
    results = [frozen(seed=seed).embed(pixels, "cpu", "float32") for seed in (0, 0, 1)]
    np.testing.assert_array_equal(results[0], results[1])
    assert not np.allclose(results[0], results[2])
    assert torch.equal(torch.get_rng_state(), state)
    identities = [frozen(seed=seed).identity for seed in (0, 0, 1)]
    assert identities[0] == identities[1] != identities[2]


def test_weights_that_change_before_they_are_read(tmp_path):
    """A weight file that changed since its identity was taken is rejected."""
    path = tmp_path / "weights.pt"
    torch.save(frozen("resnet18").build().features.state_dict(), path)
    network = frozen("resnet18", weights=str(path), seed=1)
    torch.save(frozen("resnet18", seed=2).build().features.state_dict(), path)
    with pytest.raises(ValueError, match=r"weights='.*weights\.pt' have changed since fit"):
        network.build()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-2), ("bfloat16", 0.1)])
def test_features_on_a_gpu(images, precision, tolerance):
    """Features equal those of the CPU up to rounding, and a pickle is on the CPU."""
    network, pixels = frozen("resnet18"), torch.from_numpy(images)
    expected = network.embed(pixels, "cpu", "float64")
    result = network.embed(pixels, "cuda", precision)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(result / scale, expected / scale, atol=tolerance)
    restored = pickle.loads(pickle.dumps(network))
    assert {value.device.type for value in restored._module.buffers()} == {"cpu"}
    assert {value.device.type for value in network._module.buffers()} == {"cuda"}
