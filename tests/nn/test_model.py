"""The network as a plain torch module."""

import pickle

import pytest
import torch
from torch import nn

from skattr.nn import BranchLayout, MultiBranchNetwork, MultiBranchResNet
from tests.tiny import tiny_backbone

LAYOUT = BranchLayout((2, 3, 1, 2))


def pictures(n=4, height=12, width=10):
    """Return random uint8 pictures."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (n, height, width, 3), dtype=torch.uint8, generator=generator)


def test_forward_is_head_of_features():
    """The network is forward_head after forward_features, of the widths it declares."""
    network = MultiBranchNetwork(tiny_backbone, LAYOUT, image_size=(12, 10), branch_hidden=3)
    network.eval()
    features = network.forward_features(pictures())
    assert features.shape == (4, network.n_features) == (4, 8)
    logits = network(pictures())
    assert logits.shape == (4, LAYOUT.n_logits)
    assert torch.equal(logits, network.forward_head(features))


@pytest.mark.parametrize("branch_hidden", [None, 3])
@pytest.mark.parametrize("backbone", [tiny_backbone, "resnet18"])
def test_fresh_network_predicts_its_prior(backbone, branch_hidden):
    """Before training it predicts the prior exactly, for every picture."""
    prior = torch.arange(float(LAYOUT.n_logits))
    network = MultiBranchNetwork(
        backbone, LAYOUT, image_size=(32, 32), branch_hidden=branch_hidden, prior=prior
    )
    assert torch.equal(network(pictures(3, 32, 32)), prior.expand(3, -1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("given", [torch.float32, torch.float64])
def test_features_of_another_type(dtype, given):
    """2-D features are computed in the network's own type, whatever theirs is."""
    network = MultiBranchNetwork("mlp", LAYOUT, n_inputs=5, dtype=dtype)
    assert network(torch.ones(2, 5, dtype=given)).dtype == dtype


def test_pictures_in_float64():
    """A network in float64 agrees with the same one in float32 to float32's precision."""
    network = MultiBranchNetwork(tiny_backbone, LAYOUT, image_size=(12, 10)).eval()
    nn.init.normal_(network.branches.weight, generator=torch.Generator().manual_seed(0))
    single = network(pictures())
    double = network.double()(pictures())
    assert double.dtype == torch.float64
    torch.testing.assert_close(double.float(), single, rtol=1e-4, atol=1e-4)


def test_resnet_by_class_counts():
    """MultiBranchResNet takes class counts; a slice of its output is a branch."""
    network = MultiBranchResNet([2, 5, 2], image_size=(32, 32), binary_head="softmax").eval()
    logits = network(pictures(2, 32, 32))
    assert logits.shape == (2, 9)
    assert [logits[:, part].shape[1] for part in network.layout.slices] == [2, 5, 2]


def test_trains_without_scikit_learn_or_skorch():
    """It is a plain module: torch alone trains it, and every parameter gets a gradient."""
    network = MultiBranchNetwork(tiny_backbone, LAYOUT, image_size=(12, 10))
    nn.init.normal_(network.branches.weight, generator=torch.Generator().manual_seed(0))
    network(pictures()).square().sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_pickles_and_state_dict_round_trip():
    """A pickled copy, and one that loads the state dict, compute the same."""
    network = MultiBranchNetwork(tiny_backbone, LAYOUT, image_size=(12, 10)).eval()
    nn.init.normal_(network.branches.weight, generator=torch.Generator().manual_seed(0))
    expected = network(pictures())
    assert torch.equal(pickle.loads(pickle.dumps(network))(pictures()), expected)
    other = MultiBranchNetwork(tiny_backbone, LAYOUT, image_size=(12, 10)).eval()
    other.load_state_dict(network.state_dict())
    assert torch.equal(other(pictures()), expected)


def test_features_have_no_weights():
    """Pretrained weights for 2-D features are an error."""
    with pytest.raises(ValueError, match="weights='DEFAULT' needs pictures"):
        MultiBranchNetwork("mlp", LAYOUT, n_inputs=5, weights="DEFAULT")
