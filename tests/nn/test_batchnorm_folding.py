"""Folded copies against the networks they are copies of."""

import copy
import threading

import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrizations
from torchvision.models.vgg import cfgs, make_layers

from skattr.nn import BranchLayout, FusedBranches, MultiBranchNetwork
from skattr.nn._batchnorm_folding import folded
from skattr.nn._embedding import EmbeddingNetwork
from skattr.nn._random import use_generator

LAYOUT = BranchLayout((2, 3, 1, 2))


def seeded(build):
    """Call something that initialises layers."""
    with use_generator(torch.Generator().manual_seed(0)):
        return build()


def lived(network):
    """Give a network statistics, scales and shifts that are not those it is born with."""
    generator = torch.Generator().manual_seed(1)

    def spread(tensor, low, high):
        if tensor is not None:
            values = torch.rand(tensor.shape, generator=generator, dtype=torch.float64)
            tensor.copy_(low + (high - low) * values)

    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                spread(module.running_mean, -0.5, 0.5)
                spread(module.running_var, 0.5, 2.0)
                spread(module.weight, 0.5, 1.5)
                spread(module.bias, -0.5, 0.5)
    return network


def built(build):
    """Build a network that has lived, in evaluation mode."""
    return lived(seeded(build)).eval()


def noise(*shape, dtype=torch.float32):
    """Return random images (n, 3, H, W)."""
    generator = torch.Generator().manual_seed(2)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)


def pixels(n=3, height=32, width=32):
    """Return random uint8 images (n, H, W, 3)."""
    generator = torch.Generator().manual_seed(3)
    return torch.randint(0, 256, (n, height, width, 3), dtype=torch.uint8, generator=generator)


def count(network):
    """Return how many BatchNorm2d a network has."""
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


def difference(one, other):
    """Return the largest difference, relative to the largest value."""
    assert one.shape == other.shape
    assert one.dtype == other.dtype
    return float(((one - other).abs().max() / other.abs().max()).detach())


@torch.no_grad()
def check(network, *example, left=0, tolerance=1e-5):
    """Assert that a copy computes the same with `left` BatchNorms left, and return it."""
    expected = network(*example)
    result = folded(network, *example)
    assert count(result) == left < count(network)
    assert difference(result(*example), expected) < tolerance
    more = torch.cat([tensor.flip(-2) for tensor in (example[0], example[0])])
    assert difference(result(more, *example[1:]), network(more, *example[1:])) < tolerance
    return result


# --- torchvision's models ----------------------------------------------------------------------

MODELS = {
    "resnet18": (20, 0),
    "resnet50": (53, 0),
    "resnext50_32x4d": (53, 0),
    "mobilenet_v2": (52, 0),
    "mobilenet_v3_small": (34, 0),
    "efficientnet_b0": (49, 0),
    "regnet_y_400mf": (53, 0),
    "mnasnet0_5": (52, 0),
    "densenet121": (121, 62),  # 59 of them follow a convolution, the others a concatenation
    "shufflenet_v2_x0_5": (56, 0),
    "googlenet": (57, 0),
    "vgg11_bn": (8, 0),  # its convolutions alone
}


@pytest.mark.parametrize("name", MODELS)
def test_torchvision_models(name):
    """Every BatchNorm behind a convolution is folded; outputs are equal in both precisions."""
    options = {"aux_logits": False, "init_weights": False} if name == "googlenet" else {}

    def build():
        if name == "vgg11_bn":
            return make_layers(cfgs["A"], batch_norm=True)
        return torchvision.models.get_model(name, weights=None, **options)

    network = built(build)
    total, left = MODELS[name]
    assert count(network) == total
    x = noise(2, 3, 40, 32)
    check(network, x, left=left, tolerance=1e-5)
    check(network.double(), x.double(), left=left, tolerance=1e-10)


@pytest.mark.parametrize("name", ["convnext_tiny", "vit_b_16"])
def test_models_without_normalization_of_batches(name):
    """There is nothing to be folded, so the network is not even run."""
    options = {"image_size": 32} if name == "vit_b_16" else {}
    with torch.device("meta"):
        network = torchvision.models.get_model(name, weights=None, **options)
    assert folded(network, torch.zeros(1, 3, 32, 32)) is None


# --- the networks of this package --------------------------------------------------------------


def randomized(network):
    """Make a network's branches depend on its features."""
    generator = torch.Generator().manual_seed(4)
    for parameter in network.branches.parameters():
        nn.init.normal_(parameter, generator=generator)
    if network.modulation is not None:
        nn.init.normal_(network.modulation.table, generator=generator)
    return network


def small():
    """Two convolutions with batch normalisation: (n, 3, H, W) to maps of 8 channels."""
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, stride=2, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(inplace=True),
        nn.Conv2d(6, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
    )


@pytest.mark.parametrize("branch_hidden", [None, 3])
@pytest.mark.parametrize("backbone", [small, "resnet18"])
def test_multi_branch_network(backbone, branch_hidden):
    """The copy is of the same class, and its features and logits are the same."""
    network = randomized(
        built(
            lambda: MultiBranchNetwork(
                backbone, LAYOUT, image_size=(32, 32), branch_hidden=branch_hidden, dropout=0.5
            )
        )
    )
    result = check(network, pixels(), tolerance=1e-4)
    assert type(result) is MultiBranchNetwork
    assert (result.layout, result.n_features) == (network.layout, network.n_features)
    features = network.forward_features(pixels())
    assert difference(result.forward_features(pixels()), features) < 1e-5
    assert torch.equal(result.forward_head(features), network.forward_head(features))


def test_features_behind_which_all_is_zero_are_right():
    """Where all weights behind the features are zero, outputs alone would tell nothing."""

    class Reused(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.bn = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
            self.conv2, self.bn2 = nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4)

        def forward(self, x):
            x = self.conv(x)
            return self.bn2(self.conv2(x + self.bn(x)))

    network = built(lambda: MultiBranchNetwork(Reused, LAYOUT, image_size=(12, 10)))
    nn.init.zeros_(network.branches.weight)
    assert not network(pixels(3, 12, 10)).any()
    result = folded(network, pixels(3, 12, 10))
    assert count(result) == 1
    expected = network.forward_features(pixels(3, 12, 10))
    assert difference(result.forward_features(pixels(3, 12, 10)), expected) < 1e-5


def test_categories_and_grown_branches():
    """The copy takes a category too, and has the branches added later."""
    network = randomized(
        built(lambda: MultiBranchNetwork(small, LAYOUT, image_size=(12, 10), n_conditions=3))
    )
    new = seeded(lambda: FusedBranches(network.n_features, BranchLayout((3, 2)), 4))
    network.grow(new)
    x, category = pixels(3, 12, 10), torch.tensor([0, -1, 2])
    with torch.no_grad():
        result = folded(network, x, category)
        assert count(result) == 0
        for other in (category, torch.tensor([1, 1, -1])):
            assert difference(result(x, other), network(x, other)) < 1e-5


@pytest.mark.parametrize(
    ("layer", "left"),
    [
        ("pool", 0),
        ("layer2", 10),  # what lies behind the layer is never run
        ("layer3.0.bn1", 10),
        ("layer3.0.conv2", 9),
        ("layer3.0", 7),
        ("bn1", None),
        ("conv1", None),
    ],
)
def test_embedding_network(layer, left):
    """A layer that the network stops at is the same in the copy, be it a normalisation."""
    network = lived(seeded(lambda: EmbeddingNetwork("resnet18", layer=layer, image_size=(32, 32))))
    result = folded(network, pixels())
    if left is None:
        assert result is None
        return
    assert count(result) == left
    assert type(result) is EmbeddingNetwork
    assert difference(result(pixels()), network(pixels())) < 1e-5


# --- what is not what it seems -----------------------------------------------------------------


class Traps(nn.Module):
    """A convolution and its normalisation that fold, and others put together by `join`."""

    def __init__(self, join, **options):
        super().__init__()
        self.join = join
        self.conv0, self.bn0 = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.conv1, self.bn1 = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4, **options)
        self.conv2, self.bn2 = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)

    def forward(self, x):
        """Map (n, 3, H, W) to (n, 4, H - 2, W - 2)."""
        return self.join(self, functional.relu(self.bn0(self.conv0(x))))


def residual_of_the_convolution(net, x):
    """Read the output of a convolution a second time, afterwards."""
    x = net.conv1(x)
    return net.bn1(x) + x


def residual_before(net, x):
    """Read the output of a convolution a second time, beforehand."""
    x = net.conv1(x)
    y = x.relu()
    return net.bn1(x) + y


def convolution_twice(net, x):
    """Call one convolution twice, each time with a normalisation of its own."""
    return net.bn2(net.conv1(net.bn1(net.conv1(x))))


def normalization_twice(net, x):
    """Call one normalisation behind two convolutions."""
    return net.bn1(net.conv2(net.bn1(net.conv1(x))))


def two_normalizations(net, x):
    """Normalise one output in two ways."""
    x = net.conv1(x)
    return net.bn1(x) + net.bn2(x)


def changed_in_place(net, x):
    """Give the normalisation the tensor of the convolution, with other values."""
    return net.bn1(functional.relu_(net.conv1(x)))


def through_a_view(net, x):
    """Put something between the two."""
    return net.bn1(net.conv1(x)[:, [1, 0, 2, 3]])


def weights_read_elsewhere(net, x):
    """Use the weights of a convolution in a function too."""
    return net.bn1(net.conv1(x)) + functional.conv2d(x, net.conv1.weight, padding=1)


def bias_read_elsewhere(net, x):
    """Use the bias of a convolution in a function too."""
    return net.bn1(net.conv1(x)) * net.conv1.bias.sum()


def normalization_first(net, x):
    """Normalise before the convolution."""
    return net.conv1(net.bn1(x))


def in_training(net, x):
    """Normalise by the statistics of the batch, always."""
    net.bn1.training = True
    return net.bn1(net.conv1(x))


JOINS = [
    residual_of_the_convolution, residual_before, convolution_twice, normalization_twice,
    two_normalizations, changed_in_place, through_a_view, weights_read_elsewhere,
    bias_read_elsewhere, normalization_first,
]  # fmt: skip


@pytest.mark.parametrize("join", JOINS)
def test_what_must_not_be_folded(join):
    """It stays, and what can be folded beside it is."""
    check(built(lambda: Traps(join)), noise(3, 3, 8, 9), left=2)


def one_after_the_other(net, x):
    """Both pairs one after the other."""
    return net.bn2(net.conv2(net.bn1(net.conv1(x))))


def test_weights_are_rounded_once():
    """In float32 they are those of float64, rounded."""
    network, x = built(small), noise(1, 3, 12, 10)
    single = folded(network, x)
    double = folded(network.double(), x.double())
    for one, other in zip(single.parameters(), double.parameters(), strict=True):
        assert torch.equal(one, other.float())


def test_shared_weights():
    """Two convolutions of one weight are not folded, each would need its own."""
    network = built(lambda: Traps(one_after_the_other))
    network.conv2.weight = network.conv1.weight
    check(network, noise(3, 3, 8, 9), left=2)


def test_statistics_and_affine():
    """No scale and shift are as good as one and zero; no statistics cannot be folded."""
    x = noise(3, 3, 8, 9)
    check(built(lambda: Traps(one_after_the_other, affine=False)), x)
    network = built(lambda: Traps(one_after_the_other, track_running_stats=False))
    result = folded(network, x)
    assert count(result) == 1
    assert difference(result(x), network(x)) < 1e-5


def test_a_normalization_that_always_trains():
    """One that uses the statistics of the batch in evaluation stays."""
    network = built(lambda: Traps(in_training))
    result, x = folded(network, noise(3, 3, 8, 9)), noise(3, 3, 8, 9)
    assert isinstance(result.bn1, nn.BatchNorm2d)
    assert isinstance(result.bn0, nn.Identity)
    assert difference(result(x), network(x)) < 1e-5


@pytest.mark.parametrize("norm", [parametrizations.weight_norm, parametrizations.spectral_norm])
def test_computed_weights(norm):
    """A convolution whose weight is computed in each call stays as it is."""
    network = built(lambda: Traps(one_after_the_other))
    with torch.random.fork_rng(devices=[]):
        norm(network.conv1)
    check(network.eval(), noise(3, 3, 8, 9), left=1)


class Standardised(nn.Conv2d):
    """A convolution with another `forward`."""

    def forward(self, x):
        """Convolve with the standardised weight."""
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        return self._conv_forward(x, weight, self.bias)


class BatchHalver(nn.BatchNorm2d):
    """A normalisation with another `forward`."""

    def forward(self, x):
        """Normalise and halve."""
        return super().forward(x) / 2


@pytest.mark.parametrize(
    ("convolution", "normalization"),
    [
        (Standardised, nn.BatchNorm2d),
        (nn.Conv2d, BatchHalver),
        (nn.ConvTranspose2d, nn.BatchNorm2d),
        (nn.Conv2d, lambda n: nn.InstanceNorm2d(n, track_running_stats=True)),
    ],
)
def test_other_layers_stay(convolution, normalization):
    """Subclasses and other layers are not folded."""
    network = built(lambda: Traps(one_after_the_other))
    network.conv1, network.bn1 = built(lambda: convolution(4, 4, 3, padding=1)), normalization(4)
    lived(network).eval()
    left = int(isinstance(network.bn1, nn.BatchNorm2d))
    check(network, noise(3, 3, 8, 9), left=left)


def test_a_module_in_several_places():
    """A normalisation that has two names is gone from both."""
    network = built(lambda: Traps(one_after_the_other))
    network.alias, network.blocks = network.bn1, nn.ModuleList([network.bn1, network.conv1])
    result = check(network, noise(3, 3, 8, 9))
    assert [type(result.alias), type(result.blocks[0])] == [nn.Identity] * 2


def from_a_list(net, x):
    """Use a normalisation that no module knows of."""
    return net.kept[0](net.conv1(x))


def reading_the_normalization(net, x):
    """Need an attribute that an identity has not."""
    return net.bn1(net.conv1(x)) * net.bn1.eps


@pytest.mark.parametrize("join", [from_a_list, reading_the_normalization])
def test_copies_that_would_compute_something_else(join):
    """None is returned where the copy fails or gives other results."""
    network = built(lambda: Traps(join))
    network.kept = [network.bn1]
    assert folded(network, noise(3, 3, 8, 9)) is None


class Several(nn.Module):
    """Outputs in a structure, one of them that of a convolution."""

    def __init__(self, escapes):
        super().__init__()
        self.escapes = escapes
        self.net = small()

    def forward(self, x):
        """Return a dict with a tuple."""
        first = self.net[0](x)
        return {"maps": (first if self.escapes else x, self.net[1:](first)), "name": "maps"}


@pytest.mark.parametrize("escapes", [False, True])
def test_structures_of_outputs(escapes):
    """All tensors of a structure are compared: one that folding changes forbids it."""
    network, x = built(lambda: Several(escapes)), noise(2, 3, 12, 10)
    result = folded(network, x)
    if escapes:
        assert result is None
    else:
        assert count(result) == 0
        assert difference(result(x)["maps"][1], network(x)["maps"][1]) < 1e-5


def flat(net, x):
    """Take the output of a convolution to be contiguous."""
    return net.bn1(net.conv1(x)).view(len(x), -1)


def test_views_that_need_contiguous_maps():
    """Where channels_last weights would break a view, they are contiguous."""
    network, x = built(lambda: Traps(flat)), noise(2, 3, 8, 9)
    result = folded(network, x)
    assert count(result) == 1  # the last of the three is never run
    assert difference(result(x), network(x)) < 1e-5
    other = folded(built(lambda: Traps(one_after_the_other)), x)
    assert other.conv2.weight.is_contiguous(memory_format=torch.channels_last)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_convolution(data):
    """Groups, strides, paddings and sizes do not matter."""
    groups = data.draw(st.sampled_from([1, 2, 3]))
    options = {
        "kernel_size": data.draw(st.tuples(st.integers(1, 3), st.integers(1, 3))),
        "stride": data.draw(st.integers(1, 2)),
        "padding": data.draw(st.integers(0, 2)),
        "dilation": data.draw(st.integers(1, 2)),
        "padding_mode": data.draw(st.sampled_from(["zeros", "reflect", "circular"])),
        "bias": data.draw(st.booleans()),
    }
    normalization = nn.BatchNorm2d(
        6, eps=data.draw(st.sampled_from([1e-5, 1e-3, 1.0])), affine=data.draw(st.booleans())
    )
    network = built(lambda: nn.Sequential(nn.Conv2d(6, 6, groups=groups, **options), normalization))
    check(network.double(), noise(2, 6, 7, 8, dtype=torch.float64), tolerance=1e-12)


# --- what no copy stands for -------------------------------------------------------------------


@pytest.mark.parametrize("where", ["", "0", "1", "2"])
@pytest.mark.parametrize("kind", ["register_forward_hook", "register_forward_pre_hook"])
def test_hooks_of_the_user(kind, where):
    """A network with hooks is not copied, and they are not called."""
    seen, network = [], built(small)
    getattr(network.get_submodule(where), kind)(lambda *given: seen.append(len(given)))
    assert folded(network, noise(1, 3, 12, 10)) is None
    assert not seen


def test_functions_that_hold_on_to_the_network():
    """A method put over another would run the original, and learn its statistics."""
    network = built(small).train()
    own = network.forward
    network.forward = lambda x: own(x)
    before = copy.deepcopy(network.state_dict())
    assert folded(network, noise(1, 3, 12, 10)) is None
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())


class Broken(nn.Module):
    """A network that cannot be copied, or not be run."""

    def __init__(self, lock, error=None):
        super().__init__()
        self.net, self.lock, self.error = small(), lock, error

    def forward(self, x):
        """Raise, or pass."""
        if self.error is not None:
            raise self.error
        return self.net(x)


@pytest.mark.parametrize(
    ("lock", "error"),
    [(threading.Lock(), None), (None, ValueError("x")), (None, RuntimeError("x"))],
)
def test_networks_that_fail(lock, error):
    """None is returned, and nothing raised."""
    assert folded(built(lambda: Broken(None)), noise(1, 3, 12, 10)) is not None
    network = built(lambda: Broken(lock, error)).train()
    assert folded(network, noise(1, 3, 12, 10)) is None
    assert all(module.training for module in network.modules())


def test_weights_not_yet_there():
    """A network whose layers find their sizes in the first call is left to find them."""
    network = nn.Sequential(built(small), nn.LazyConv2d(4, 3)).eval()
    assert folded(network, noise(1, 3, 12, 10)) is None
    assert isinstance(network[1], nn.LazyConv2d)


def test_few_bits():
    """In bfloat16 the products of scales and weights would be rounded: nothing is folded."""
    network = built(small).bfloat16()
    assert folded(network, noise(1, 3, 12, 10, dtype=torch.bfloat16)) is None


def test_compiled_networks():
    """The copy of a compiled network runs eagerly; one with compiled parts is not copied."""
    compiled = []

    def compiler(graph, _):
        compiled.append(graph)
        return graph.forward

    network = built(small)
    x = noise(2, 3, 12, 10)
    expected = network(x)
    network.compile(backend=compiler)
    result = folded(network, x)
    assert count(result) == 0
    assert difference(result(x), expected) < 1e-5
    part = torch.compile(nn.Conv2d(8, 2, 1), backend=compiler)
    assert folded(nn.Sequential(built(small), part), x) is None
    assert not compiled
    network(x)
    assert compiled


# --- what is left as it was --------------------------------------------------------------------


def test_the_original_is_not_touched():
    """Values, versions, gradients, layout, modes and hooks are what they were."""
    network = lived(seeded(lambda: torchvision.models.resnet18(num_classes=5)))
    network.layer1.eval()
    network(noise(2, 3, 32, 32)).sum().backward()
    network.conv1.weight.requires_grad_(False)
    tensors = [*network.parameters(), *network.buffers()]

    def state():
        return [
            [(id(tensor), tensor._version, tensor.stride()) for tensor in tensors],
            [(tensor.requires_grad, id(tensor.grad)) for tensor in tensors],
            [(id(module), module.training) for module in network.modules()],
            [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in network.modules()],
        ]

    before, values = state(), [tensor.clone() for tensor in tensors]
    result = folded(network, noise(2, 3, 32, 32))
    assert count(result) == 0
    assert state() == before
    assert all(map(torch.equal, tensors, values))
    shared = {tensor.data_ptr() for tensor in [*result.parameters(), *result.buffers()]}
    assert not shared & {tensor.data_ptr() for tensor in tensors}
    assert not any(module.training for module in result.modules())
    assert not any(p.requires_grad or p.grad is not None for p in result.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in result.modules())


def dropping(net, x):
    """Drop out in evaluation too."""
    return functional.dropout(net.bn1(net.conv1(x)), training=True)


def test_random_numbers():
    """A network that draws in evaluation is folded, without a draw from torch's generator."""
    network, x = built(lambda: Traps(dropping)), noise(2, 3, 8, 9)
    before = torch.get_rng_state()
    result = folded(network, x)
    assert torch.equal(torch.get_rng_state(), before)
    assert count(result) == 1
    outputs = []
    for net in (result, network):
        with use_generator(torch.Generator().manual_seed(5)):
            outputs.append(net(x))
    assert difference(*outputs) < 1e-5


def writing(net, x):
    """Write into the input of the network."""
    net.given.zero_()
    return net.bn1(net.conv1(x))


class Writing(Traps):
    """A network that writes into its input."""

    def forward(self, x):
        """Remember the input."""
        self.given = x
        return super().forward(x)


def test_the_example_is_not_touched():
    """What a network writes into its input does not reach the example."""
    x = noise(2, 3, 8, 9)
    result = folded(built(lambda: Writing(writing)), x)
    assert count(result) == 1
    assert torch.equal(x, noise(2, 3, 8, 9))


def widened(net, x):
    """Give float32 even under autocast."""
    return net.bn1(net.conv1(x)).float()


def test_within_other_contexts():
    """Inference mode and autocast around the call change neither the copy nor themselves."""
    network, x = built(lambda: Traps(widened)), noise(2, 3, 12, 10)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        result = folded(network, x.clone())
        assert torch.is_inference_mode_enabled()
        assert torch.is_autocast_enabled("cpu")
    assert not any(p.is_inference() or p.dtype != torch.float32 for p in result.parameters())
    assert difference(result(x), network(x)) < 1e-5


def test_no_rows():
    """Which layers belong together is seen without a row, too."""
    network, x = built(small), noise(2, 3, 12, 10)
    assert difference(folded(network, x[:0])(x), network(x)) < 1e-5


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_networks_that_diverged(value):
    """What is no number stays where it is."""
    network, x = built(small), noise(2, 3, 12, 10)
    network[4].running_mean[3] = value
    result = folded(network, x)(x)
    torch.testing.assert_close(result, network(x), equal_nan=True)


def test_other_threads():
    """A network of another thread, run meanwhile, is neither disturbed nor seen."""
    other, done, errors = built(small), threading.Event(), []
    expected = other(noise(1, 3, 12, 10))

    def run():
        while not done.is_set():
            if not torch.equal(other(noise(1, 3, 12, 10)), expected):
                errors.append("other results")

    thread = threading.Thread(target=run)
    thread.start()
    try:
        for _ in range(20):
            assert count(folded(other, noise(2, 3, 12, 10))) == 0
    finally:
        done.set()
        thread.join()
    assert not errors
