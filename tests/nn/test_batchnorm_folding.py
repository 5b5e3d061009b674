"""Folded copies against the networks they are copies of."""

import pytest
import torch
import torchvision
from torch import nn
from torchvision.models.vgg import cfgs, make_layers

from skattr.nn import BranchLayout, MultiBranchNetwork
from skattr.nn._batchnorm_folding import with_folded_batchnorm
from skattr.nn._embedding import EmbeddingNetwork
from skattr.nn._random import use_generators

LAYOUT = BranchLayout((2, 3, 1, 2))
# BatchNorm2d of a model, and those that do not follow a convolution.
MODELS = {
    "resnet18": (20, 0),
    "resnet50": (53, 0),
    "resnext50_32x4d": (53, 0),
    "mobilenet_v2": (52, 0),
    "mobilenet_v3_small": (34, 0),
    "efficientnet_b0": (49, 0),
    "regnet_y_400mf": (53, 0),
    "mnasnet0_5": (52, 0),
    "densenet121": (121, 62),  # 59 follow a convolution, the others a concatenation
    "shufflenet_v2_x0_5": (56, 0),
    "googlenet": (57, 0),
    "vgg11_bn": (8, 0),
}


def with_random_statistics(build):
    """Build a network in evaluation mode, with random running statistics, scales and shifts."""
    with use_generators(torch.Generator().manual_seed(0)):
        network = build().eval()
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.running_mean, -0.5, 0.5)
                nn.init.uniform_(module.running_var, 0.5, 2.0)
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.uniform_(module.bias, -0.5, 0.5)
    return network


def torchvision_model(name):
    """Return a torchvision model as the child "backbone"."""
    if name == "vgg11_bn":  # without its classifier of 120 million weights
        model = make_layers(cfgs["A"], batch_norm=True)
    else:
        options = {"aux_logits": False, "init_weights": False} if name == "googlenet" else {}
        model = torchvision.models.get_model(name, weights=None, **options)
    return nn.ModuleDict({"backbone": model})


def images(*shape):
    """Return random images (n, 3, H, W)."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(2))


def pixels(n=3, height=32, width=32):
    """Return random uint8 images (n, H, W, 3)."""
    generator = torch.Generator().manual_seed(3)
    return torch.randint(0, 256, (n, height, width, 3), dtype=torch.uint8, generator=generator)


def count(network):
    """Return how many BatchNorm2d a network has."""
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


def assert_close(output, expected, tolerance):
    """Compare relative to the largest value, and types and shapes."""
    atol = tolerance * float(expected.detach().abs().max())
    torch.testing.assert_close(output, expected, rtol=0, atol=atol)


@torch.no_grad()
@pytest.mark.parametrize("name", MODELS)
def test_torchvision_models(name):
    """Outputs are equal to rounding in both precisions, with all pairs folded."""
    network = with_random_statistics(lambda: torchvision_model(name))
    n_norms, n_left = MODELS[name]
    assert count(network) == n_norms
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.float64, 1e-12)):
        network.to(dtype)
        x = images(2, 3, 40, 32).to(dtype)
        folded = with_folded_batchnorm(network, "backbone", (40, 32))
        assert count(folded) == n_left
        assert_close(folded.backbone(x), network.backbone(x), tolerance)


@torch.no_grad()
@pytest.mark.parametrize("n_conditions", [0, 3])
def test_multi_branch_network(n_conditions):
    """The copy shares all but the backbone, which is folded and keeps its memory format."""
    network = with_random_statistics(
        lambda: MultiBranchNetwork(
            "resnet18", LAYOUT, image_size=(32, 32), n_conditions=n_conditions
        )
    )
    inputs = (pixels(), torch.tensor([0, -1, 2])) if n_conditions else (pixels(),)
    folded = with_folded_batchnorm(network, "backbone", (32, 32))
    assert type(folded) is MultiBranchNetwork
    assert count(folded) == 0
    assert folded.branches is network.branches
    assert_close(folded(*inputs), network(*inputs), 1e-5)
    assert_close(folded.forward_features(*inputs), network.forward_features(*inputs), 1e-5)
    weights = [part.weight for part in folded.modules() if isinstance(part, nn.Conv2d)]
    assert all(one.is_contiguous(memory_format=torch.channels_last) for one in weights)


@pytest.mark.parametrize(
    ("layer", "n_left"),
    [
        ("pool", 0),
        ("layer3.0", 0),
        ("layer3.0.conv2", 1),  # the output is that of the convolution alone
        ("layer3.0.bn1", 1),
        ("bn1", 1),
    ],
)
def test_embedding_network(layer, n_left):
    """A layer at which the network ends has the same output, even if it is a convolution."""
    network = with_random_statistics(
        lambda: EmbeddingNetwork("resnet18", layer=layer, image_size=(32, 32))
    )
    folded = with_folded_batchnorm(network, "features", (32, 32))
    assert count(folded) == n_left
    assert_close(folded(pixels()), network(pixels()), 1e-5)


class Pair(nn.Module):
    """A convolution and the normalization registered after it, in an order of execution."""

    def __init__(self, forward, conv=nn.Conv2d, norm=nn.BatchNorm2d):
        super().__init__()
        self.conv, self.norm = conv(3, 3, 3, padding=1), norm(3)
        self.compute = forward

    def forward(self, x):
        """Map (n, 3, H, W) to (n, 3, H, W)."""
        return self.compute(self.conv, self.norm, x)


def in_order(conv, norm, x):
    """Normalize what the convolution gives."""
    return norm(conv(x))


def norm_first(conv, norm, x):
    """Normalize before the convolution."""
    return conv(norm(x))


def read_twice(conv, norm, x):
    """Add what is not normalized."""
    x = conv(x)
    return norm(x) + x


def activation_between(conv, norm, x):
    """Normalize what an activation gives."""
    return norm(conv(x).relu())


def norm_elsewhere(conv, norm, x):
    """Normalize something else as well."""
    return norm(conv(x)) + norm(x)


class OtherConv(nn.Conv2d):
    """A convolution with another forward pass."""

    def forward(self, x):
        """Square the outputs."""
        return super().forward(x).square()


class OtherNorm(nn.BatchNorm2d):
    """A normalization with another forward pass."""

    def forward(self, x):
        """Square the outputs."""
        return super().forward(x).square()


def pair(forward, **layers):
    """Return such a network with random statistics."""
    return with_random_statistics(lambda: nn.ModuleDict({"backbone": Pair(forward, **layers)}))


@torch.no_grad()
def test_folds_a_pair():
    """Of the networks below, the one in order is folded."""
    network, x = pair(in_order), images(2, 3, 8, 8)
    folded = with_folded_batchnorm(network, "backbone", (8, 8))
    assert count(folded) == 0
    assert_close(folded.backbone(x), network.backbone(x), 1e-5)


@pytest.mark.parametrize("forward", [norm_first, read_twice, activation_between, norm_elsewhere])
def test_rejects_a_wrong_pair(forward):
    """Where the two are neighbors in name only, the noise shows it and the network is used."""
    network = pair(forward)
    assert with_folded_batchnorm(network, "backbone", (8, 8)) is network


@pytest.mark.parametrize("layers", [{"conv": OtherConv}, {"norm": OtherNorm}])
def test_subclasses_are_not_folded(layers):
    """A subclass of a layer may compute something else."""
    network = pair(in_order, **layers)
    assert with_folded_batchnorm(network, "backbone", (8, 8)) is network


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_diverged_networks_are_not_folded(value):
    """Outputs that are NaN or infinite cannot be compared."""
    network = pair(in_order)
    network.backbone.norm.running_mean[1] = value
    assert with_folded_batchnorm(network, "backbone", (8, 8)) is network


def test_images_too_small_for_a_network():
    """The error is left to the pass over the images themselves."""
    network = with_random_statistics(
        lambda: nn.ModuleDict({"backbone": nn.Sequential(nn.Conv2d(3, 4, 5), nn.BatchNorm2d(4))})
    )
    assert with_folded_batchnorm(network, "backbone", (3, 3)) is network
    assert with_folded_batchnorm(network, "backbone", (5, 5)) is not network


def test_no_batch_normalization():
    """A network with layer normalization alone is not even run: its weights are on "meta"."""
    with torch.device("meta"):
        model = torchvision.models.get_model("convnext_tiny", weights=None)
    network = nn.ModuleDict({"backbone": model})
    assert with_folded_batchnorm(network, "backbone", (32, 32)) is network


@pytest.mark.parametrize("kind", ["register_forward_hook", "register_forward_pre_hook"])
@pytest.mark.parametrize("name", ["", "conv", "norm"])
def test_hooks_of_the_user(kind, name):
    """Hooks would be called with modules of the copy, so the network itself is used."""
    seen, network = [], pair(in_order)
    getattr(network.backbone.get_submodule(name), kind)(lambda *given: seen.append(given))
    assert with_folded_batchnorm(network, "backbone", (8, 8)) is network
    assert not seen


def test_compiled_network():
    """The copy of a compiled network runs without compilation."""

    def fail(graph, example):
        raise AssertionError("compiled")

    network = with_random_statistics(lambda: torchvision_model("resnet18"))
    network.compile(backend=fail)
    folded = with_folded_batchnorm(network, "backbone", (32, 32))
    assert folded._compiled_call_impl is None
    assert network._compiled_call_impl is not None


def test_original_is_unchanged():
    """Values, gradients, modes and the random state are what they were; no tensor is shared."""
    network = with_random_statistics(lambda: torchvision_model("resnet18"))
    network.backbone(images(2, 3, 32, 32)).sum().backward()
    network.backbone.conv1.weight.requires_grad_(False)
    tensors = [*network.parameters(), *network.buffers()]
    modules = list(network.modules())

    def state():
        return [(one._version, one.stride(), one.requires_grad, id(one.grad)) for one in tensors]

    before, random_state = state(), torch.get_rng_state()
    values = [one.clone() for one in tensors]
    folded = with_folded_batchnorm(network, "backbone", (32, 32))
    assert count(folded) == 0
    assert state() == before
    assert all(map(torch.equal, tensors, values))
    assert list(network.modules()) == modules
    assert torch.equal(torch.get_rng_state(), random_state)
    pointers = {one.data_ptr() for one in tensors}
    assert pointers.isdisjoint(one.data_ptr() for one in folded.parameters())
