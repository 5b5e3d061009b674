"""The network as a plain torch module."""

import pickle

import pytest
import torch
from torch import nn

from skattr.nn import BranchLayout, FusedBranches, MultiBranchNetwork, MultiBranchResNet
from tests.tiny_models import tiny_backbone

LAYOUT = BranchLayout((2, 3, 1, 2))


def images(n=4, height=12, width=10):
    """Return random uint8 images."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (n, height, width, 3), dtype=torch.uint8, generator=generator)


def test_forward_is_head_of_features():
    """The network is forward_head after forward_features, of the widths it declares."""
    network = MultiBranchNetwork(tiny_backbone, LAYOUT, image_size=(12, 10), branch_hidden=3)
    network.eval()
    features = network.forward_features(images())
    assert features.shape == (4, network.n_features) == (4, 8)
    logits = network(images())
    assert logits.shape == (4, LAYOUT.n_logits)
    assert torch.equal(logits, network.forward_head(features))


@pytest.mark.parametrize("branch_hidden", [None, 3])
@pytest.mark.parametrize("backbone", ["linear", "mlp"])
def test_fresh_network_predicts_its_prior(backbone, branch_hidden):
    """Before training a network for features predicts the prior exactly, for every row."""
    prior = torch.arange(float(LAYOUT.n_logits))
    network = MultiBranchNetwork(
        backbone, LAYOUT, n_inputs=5, branch_hidden=branch_hidden, prior=prior
    )
    assert torch.equal(network(torch.randn(3, 5)), prior.expand(3, -1))


@pytest.mark.parametrize("branch_hidden", [None, 3])
@pytest.mark.parametrize("backbone", [tiny_backbone, "resnet18"])
def test_fresh_network_for_images(backbone, branch_hidden):
    """It predicts about the prior, exactly so for what is not trained, and its backbone learns."""
    prior = torch.arange(float(LAYOUT.n_logits))
    untrained = LAYOUT.order[::2]
    network = MultiBranchNetwork(
        backbone, LAYOUT, image_size=(32, 32), branch_hidden=branch_hidden, prior=prior,
        untrained=untrained,
    )  # fmt: skip
    logits = network(images(3, 32, 32))
    for attribute, columns in enumerate(LAYOUT.slices):
        is_prior = torch.equal(logits[:, columns], prior[columns].expand(3, -1))
        assert is_prior == (attribute in untrained or attribute not in LAYOUT.order)
    assert 0 < (logits - prior).abs().max() < 5
    logits.square().sum().backward()
    assert all(parameter.grad.any() for parameter in network.backbone.parameters())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("given", [torch.float32, torch.float64])
def test_features_of_another_type(dtype, given):
    """2-D features are computed in the network's own type, whatever theirs is."""
    network = MultiBranchNetwork("mlp", LAYOUT, n_inputs=5, dtype=dtype)
    assert network(torch.ones(2, 5, dtype=given)).dtype == dtype


def test_images_in_float64():
    """A network in float64 agrees with the same one in float32 to float32's precision."""
    network = MultiBranchNetwork(tiny_backbone, LAYOUT, image_size=(12, 10)).eval()
    nn.init.normal_(network.branches.weight, generator=torch.Generator().manual_seed(0))
    single = network(images())
    double = network.double()(images())
    assert double.dtype == torch.float64
    torch.testing.assert_close(double.float(), single, rtol=1e-4, atol=1e-4)


def test_resnet_by_class_counts():
    """MultiBranchResNet takes class counts; a slice of its output is a branch."""
    network = MultiBranchResNet([2, 5, 2], image_size=(32, 32), binary_head="softmax").eval()
    logits = network(images(2, 32, 32))
    assert logits.shape == (2, 9)
    assert [logits[:, part].shape[1] for part in network.layout.slices] == [2, 5, 2]


def test_trains_without_scikit_learn_or_skorch():
    """It is a plain module: torch alone trains it, and every parameter gets a gradient."""
    network = MultiBranchNetwork(tiny_backbone, LAYOUT, image_size=(12, 10))
    nn.init.normal_(network.branches.weight, generator=torch.Generator().manual_seed(0))
    network(images()).square().sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_pickles_and_state_dict_round_trip():
    """A pickled copy, and one that loads the state dict, compute the same."""
    network = MultiBranchNetwork(tiny_backbone, LAYOUT, image_size=(12, 10)).eval()
    nn.init.normal_(network.branches.weight, generator=torch.Generator().manual_seed(0))
    expected = network(images())
    assert torch.equal(pickle.loads(pickle.dumps(network))(images()), expected)
    other = MultiBranchNetwork(tiny_backbone, LAYOUT, image_size=(12, 10)).eval()
    other.load_state_dict(network.state_dict())
    assert torch.equal(other(images()), expected)


def test_features_have_no_weights():
    """Pretrained weights for 2-D features are an error."""
    with pytest.raises(ValueError, match="weights='DEFAULT' needs images"):
        MultiBranchNetwork("mlp", LAYOUT, n_inputs=5, weights="DEFAULT")


def conditioned(**params):
    """Return a network of features that is given one of three categories."""
    network = MultiBranchNetwork("mlp", LAYOUT, n_inputs=5, n_conditions=3, **params).eval()
    generator = torch.Generator().manual_seed(0)
    for parameter in [*network.branches.parameters(), network.modulation.table]:
        nn.init.normal_(parameter, generator=generator)
    return network


def test_the_category_modulates_the_features():
    """Features and logits depend on the category; a network without conditions has no place."""
    network, x = conditioned(), torch.randn(4, 5)
    plain = network.backbone(x)
    category = torch.tensor([0, 2, -1, 0])
    features = network.forward_features(x, category)
    assert torch.equal(features, network.modulation(plain, category))
    assert torch.equal(network(x, category), network.forward_head(features))
    other = network(x, torch.tensor([1, 2, -1, 0]))
    assert [torch.equal(a, b) for a, b in zip(other, network(x, category), strict=True)] == [
        False, True, True, True,
    ]  # fmt: skip
    assert MultiBranchNetwork("mlp", LAYOUT, n_inputs=5).modulation is None


def test_dropout_of_features_and_hidden_units():
    """In training shared features and hidden units are dropped; in evaluation nothing is."""
    network = conditioned(dropout=0.5, branch_hidden=3)
    x, category = torch.randn(4, 5), torch.zeros(4, dtype=torch.long)
    assert torch.equal(network(x, category), network(x, category))
    network.train()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        assert not torch.equal(network(x, category), network(x, category))
    assert [type(part) for part in (network.dropout, network.branches.dropout)] == [nn.Dropout] * 2


@pytest.mark.parametrize("branch_hidden", [None, 3])
def test_network_with_appended_branches(branch_hidden):
    """Old columns are bit-identical, new ones those of the new branches."""
    network = conditioned(branch_hidden=branch_hidden)
    x, category = torch.randn(70, 5), torch.arange(70) % 3
    before = network(x, category)
    new = FusedBranches(network.n_features, BranchLayout((3, 2)))
    nn.init.normal_(new.weight, generator=torch.Generator().manual_seed(3))
    network.grow(new)
    after = network(x, category)
    assert torch.equal(after[:, : LAYOUT.n_logits], before)
    assert torch.equal(after[:, LAYOUT.n_logits :], new(network.forward_features(x, category)))
    assert torch.equal(pickle.loads(pickle.dumps(network))(x, category), after)
