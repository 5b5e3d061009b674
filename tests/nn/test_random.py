"""Randomness from a generator of our own against torch's global one."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from skattr.nn._backbones.build import build_image_backbone
from skattr.nn._random import use_generator
from tests.tiny_models import tiny_backbone


def seeded(seed):
    """Return a context that draws from a generator with this seed."""
    return use_generator(torch.Generator().manual_seed(seed))


def state_of(backbone, seed):
    """Return the initial parameters of a backbone."""
    with seeded(seed):
        model, _ = build_image_backbone(backbone, None, (32, 32))
    return model.state_dict()


@pytest.mark.parametrize(
    "backbone",
    [tiny_backbone, "resnet18", "mobilenet_v3_small", "squeezenet1_1", "shufflenet_v2_x0_5"],
)
def test_building_is_reproducible_and_leaves_the_global_state(backbone):
    """The weights depend on our seed alone; torch's global state is neither read nor changed."""
    before = torch.get_rng_state()
    first = state_of(backbone, 1)
    assert torch.equal(torch.get_rng_state(), before)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(12345)
        again = state_of(backbone, 1)
    other = state_of(backbone, 2)
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


@pytest.mark.parametrize(
    "initialise",
    [
        nn.init.uniform_,
        nn.init.normal_,
        nn.init.trunc_normal_,
        nn.init.xavier_uniform_,
        nn.init.xavier_normal_,
        nn.init.kaiming_uniform_,
        nn.init.kaiming_normal_,
        nn.init.orthogonal_,
        lambda weight: nn.init.sparse_(weight, 0.5),
    ],
)
def test_initialisers_draw_what_they_draw_globally(initialise):
    """From our generator an initialiser draws the numbers it draws from a global one so seeded."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        expected = initialise(torch.empty(6, 5))
    before = torch.get_rng_state()
    with seeded(3):
        drawn = initialise(torch.empty(6, 5))
    assert torch.equal(drawn, expected)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    "draw",
    [
        lambda g: torch.rand(4, generator=g),
        lambda g: torch.randn(4, generator=g),
        lambda g: torch.randperm(9, generator=g),
        lambda g: torch.randint(0, 99, (4,), generator=g),
        lambda g: torch.empty(4).uniform_(generator=g),
    ],
)
def test_an_explicit_generator_is_kept(draw):
    """Who brings a generator of their own draws from that one; who brings none, from ours."""
    expected = draw(torch.Generator().manual_seed(8))
    with seeded(1):
        own = draw(torch.Generator().manual_seed(8))
    with seeded(8):
        ours = draw(None)
    assert torch.equal(own, expected)
    assert torch.equal(ours, expected)


DROPOUTS = [F.dropout, F.dropout1d, F.dropout2d, F.dropout3d, F.alpha_dropout]
DROPOUTS.append(F.feature_alpha_dropout)
SHAPES = {F.dropout1d: (400, 60, 2), F.dropout2d: (400, 60, 2, 2), F.dropout3d: (400, 60, 2, 2, 1)}


@pytest.mark.parametrize("dropout", DROPOUTS)
def test_dropout_is_reproducible_and_leaves_the_global_state(dropout):
    """Dropout of every kind draws from our generator alone."""
    x = torch.ones(SHAPES.get(dropout, (400, 60, 2)))
    before = torch.get_rng_state()
    results = []
    for seed in (1, 1, 2):
        with seeded(seed):
            results.append(dropout(x, 0.3, True))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


@pytest.mark.parametrize("p", [0.1, 0.3, 0.8])
@pytest.mark.parametrize("dropout", DROPOUTS)
def test_dropout_is_torchs(dropout, p):
    """It takes the two values torch's takes, per channel where torch's does, as often."""
    x = torch.ones(SHAPES.get(dropout, (400, 60, 2)), dtype=torch.float64)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        expected = dropout(x, p, True)
    with seeded(1):
        result = dropout(x, p, True)
    torch.testing.assert_close(result.unique(), expected.unique(), rtol=1e-10, atol=1e-12)

    def whole_channels(values):
        flat = values.flatten(2)
        return torch.equal(flat, flat[..., :1].expand_as(flat))

    assert whole_channels(result) == whole_channels(expected)
    dropped = (result == result.min()).double().mean()
    error = 5 * (p * (1 - p) / (400 * 60)) ** 0.5
    assert abs(dropped - p) < error


@pytest.mark.parametrize("dropout", DROPOUTS)
def test_dropout_keeps_the_mean(dropout):
    """The mean of inputs of mean 0 and deviation 1 stays 0; alpha dropout keeps the deviation."""
    shape = SHAPES.get(dropout, (400, 60, 2))
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with seeded(1):
        result = dropout(x, 0.5, True)
    assert abs(result.mean()) < 0.05
    if "alpha" in dropout.__name__:
        assert abs(result.std() - 1) < 0.05


@pytest.mark.parametrize("dropout", DROPOUTS)
@pytest.mark.parametrize("p", [0.0, 1.0])
def test_dropout_at_its_ends(dropout, p):
    """p=0 and evaluation change nothing; p=1 leaves torch's zeros."""
    x = torch.ones(SHAPES.get(dropout, (400, 60, 2)))
    with seeded(1):
        assert torch.equal(dropout(x, 0.5, False), x)
        assert torch.equal(dropout(x, p, True), x if p == 0 else torch.zeros_like(x))


def test_dropout_gradient_is_its_mask():
    """The gradient passes where the value passed, as much larger."""
    x = torch.ones(50, 20, requires_grad=True)
    with seeded(1):
        result = nn.Dropout(0.25)(x)
    result.sum().backward()
    assert torch.equal(x.grad, result)
