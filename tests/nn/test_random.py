"""Random numbers from generators of our own against torch's default generator."""

import threading
import time

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from skattr.nn._backbones.build import build_image_backbone
from skattr.nn._random import make_generators, use_generators
from tests.tiny_models import tiny_backbone

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")


def seeded(seed):
    """Return a context in which torch draws from a generator with this seed."""
    return use_generators(*make_generators("cpu", seed))


def initial_weights(backbone, seed):
    """Return the state dict of a backbone."""
    with seeded(seed):
        model, _ = build_image_backbone(backbone, None, (32, 32))
    return model.state_dict()


@pytest.mark.parametrize(
    "backbone",
    [tiny_backbone, "resnet18", "mobilenet_v3_small", "squeezenet1_1", "shufflenet_v2_x0_5"],
)
def test_building_is_reproducible(backbone):
    """The weights depend on our seed alone; torch's state is neither read nor changed."""
    before = torch.get_rng_state()
    first = initial_weights(backbone, 1)
    assert torch.equal(torch.get_rng_state(), before)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(12345)
        second = initial_weights(backbone, 1)
    other = initial_weights(backbone, 2)
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


def recurrent_dropout():
    """Run an LSTM with dropout between its layers."""
    return nn.LSTM(3, 4, num_layers=2, dropout=0.5)(torch.ones(5, 2, 3))[0]


def attention_dropout():
    """Run a transformer layer with dropout."""
    return nn.TransformerEncoderLayer(4, 2, 8, dropout=0.5)(torch.ones(5, 2, 4))


DRAWS = [
    lambda: nn.Linear(3, 4).weight,
    lambda: nn.init.orthogonal_(torch.empty(6, 5)),
    lambda: nn.init.sparse_(torch.empty(6, 5), 0.5),
    lambda: F.dropout(torch.ones(99), 0.5, True),
    lambda: F.dropout2d(torch.ones(4, 9, 2, 2), 0.5, True),
    lambda: F.feature_alpha_dropout(torch.ones(4, 9, 2), 0.5, True),
    lambda: F.rrelu(-torch.ones(99), training=True),
    lambda: torch.randn_like(torch.ones(9)),
    lambda: torch.randperm(99),
    lambda: torch.empty(9).exponential_(),
    recurrent_dropout,
    attention_dropout,
]


@pytest.mark.parametrize("draw", DRAWS)
def test_draws_are_those_of_torch(draw):
    """Numbers are those of torch's default generator seeded so, whose state stays as it is."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        expected = draw()
    before = torch.get_rng_state()
    with seeded(3):
        drawn = draw()
    assert torch.equal(drawn, expected)
    assert torch.equal(torch.get_rng_state(), before)


def test_generators_go_on():
    """Draws in two contexts are those of one, also where an error ended the first."""
    with seeded(5):
        expected = torch.rand(4)
    generators = make_generators("cpu", 5)
    with pytest.raises(KeyError), use_generators(*generators):
        first = torch.rand(2)
        raise KeyError
    with use_generators(*generators):
        second = torch.rand(2)
    assert torch.equal(torch.cat([first, second]), expected)


def test_nested_contexts():
    """A context within another draws from its own generator, and the outer one goes on."""
    with seeded(5):
        expected = torch.rand(2)
    with seeded(5):
        first = torch.rand(1)
        with seeded(6):
            inner = torch.rand(2)
        second = torch.rand(1)
    assert torch.equal(torch.cat([first, second]), expected)
    assert not torch.equal(inner, expected)


def test_explicit_generators_are_used():
    """A draw that names a generator takes its numbers from there."""
    expected = torch.rand(4, generator=torch.Generator().manual_seed(8))
    with seeded(1):
        drawn = torch.rand(4, generator=torch.Generator().manual_seed(8))
    assert torch.equal(drawn, expected)


def test_threads_take_turns():
    """What threads draw in the context, in many small steps, is what each draws alone."""

    def draw(seed):
        generators, drawn = make_generators("cpu", seed), []
        for _ in range(20):
            with use_generators(*generators):
                drawn.append(torch.rand(1))
                time.sleep(0)  # lets other threads run
                drawn.append(torch.rand(1))
        return torch.cat(drawn)

    expected = [draw(seed) for seed in range(4)]
    before = torch.get_rng_state()
    results = {}
    threads = [
        threading.Thread(target=lambda seed=seed: results.update({seed: draw(seed)}))
        for seed in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(results[seed], expected[seed]) for seed in range(4))
    assert torch.equal(torch.get_rng_state(), before)


def test_one_generator_per_device():
    """On the CPU there is one; a device of its own adds another."""
    assert [one.device.type for one in make_generators("cpu", 0)] == ["cpu"]
    if torch.cuda.is_available():
        assert [one.device.type for one in make_generators("cuda", 0)] == ["cpu", "cuda"]


@needs_cuda
def test_draws_on_cuda():
    """Dropout on CUDA, that of recurrent layers included, follows our seed alone."""
    layers = nn.ModuleList([nn.Dropout(0.5), nn.LSTM(3, 4, num_layers=2, dropout=0.5)]).cuda()
    x = torch.ones(50, 2, 3, device="cuda")
    before = torch.get_rng_state(), torch.cuda.get_rng_state()
    results = []
    for seed in (1, 1, 2):
        with use_generators(*make_generators("cuda", seed)):
            results.append(torch.cat([layers[0](x).flatten(), layers[1](x)[0].flatten()]))
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])
    assert torch.equal(torch.get_rng_state(), before[0])
    assert torch.equal(torch.cuda.get_rng_state(), before[1])
