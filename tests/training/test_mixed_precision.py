"""Mixed precision: the backbone computes in bfloat16, and all that follows it in float32."""

import pickle

import numpy as np
import pytest
import torch
from torch import nn

from skattr import ImageEmbedder, TrainingOptions
from skattr._training.build import build_net
from skattr.nn import BranchLayout, MultiBranchNetwork
from skattr.nn._branches import BranchGroups, FusedBranches
from tests.tiny_models import tiny, tiny_backbone
from tests.training.configs import config, feature_problem

BFLOAT16 = TrainingOptions(precision="bfloat16")


@pytest.fixture
def noise(rng):
    """2,000 images of noise and two labels of each, one of which tells their brightness."""
    X = rng.integers(0, 256, (2000, 12, 10, 3)).astype(np.uint8)
    return X, np.column_stack([X.mean((1, 2, 3)) > 127, rng.random(2000) < 0.5])


def test_scores_are_not_tied(noise):
    """All rows have log odds of their own, where branches in bfloat16 give hundreds of ties."""
    X, y = noise
    classifier = tiny(batch_size=100, max_epochs=1, training=BFLOAT16, transform_output="logit")
    odds = classifier.fit(X, y).transform(X)
    assert odds.dtype == np.float32
    assert min(len(np.unique(column)) for column in odds.T) > 1990


@pytest.mark.parametrize("form", ["plain", "hidden", "grown", "conditioned"])
def test_what_follows_the_backbone_is_float32(form):
    """The logits equal those that float32 modules compute from the backbone's bfloat16 features."""
    layout = BranchLayout((2, 3, 2), ordinal=(1,))
    network = MultiBranchNetwork(
        tiny_backbone,
        layout,
        image_size=(12, 10),
        branch_hidden=4 if form == "hidden" else None,
        n_conditions=3 if form == "conditioned" else 0,
    ).eval()
    if form == "grown":
        more = FusedBranches(8, BranchLayout((2,)))
        more.init_weights()
        network.grow(more)
        assert isinstance(network.branches, BranchGroups)
    pixels = torch.randint(0, 256, (50, 12, 10, 3), dtype=torch.uint8)
    category = torch.arange(50) % 4 - 1
    inputs = (pixels, category) if form == "conditioned" else (pixels,)
    with torch.inference_mode():
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(*inputs)
            features = network.backbone(network.normalization(pixels)).float()
        if form == "conditioned":
            nn.init.normal_(network.modulation.table)
            with torch.autocast("cpu", torch.bfloat16):
                logits = network(*inputs)
            features = network.modulation(features, category)
        expected = network.branches(features)
    assert logits.dtype == torch.float32
    assert torch.equal(logits, expected)


def test_losses_are_float32(noise):
    """The loss of a training without a step is that of the predictions, to float32's accuracy."""
    X, y = noise
    classifier = tiny(
        batch_size=2000, max_epochs=1, lr=1e-30, weight_decay=0.0, training=BFLOAT16
    ).fit(X, y)
    network = classifier.net_.module_.train()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        logits = network(torch.from_numpy(X)).double()
    losses = nn.functional.binary_cross_entropy_with_logits(
        logits, torch.from_numpy(y.astype(float)), reduction="none"
    )
    expected = losses.mean(0).sum().item()
    assert classifier.history_[0]["train_loss"] == pytest.approx(expected, rel=1e-6)


def test_precision_follows_the_device_in_use(noise, monkeypatch):
    """With "auto", bfloat16 is used where the net is on CUDA, and not where its pickle is loaded.

    A net that says it is on CUDA, but is not, stands in for one that was trained there.
    """
    X, y = noise
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: True)
    classifier = tiny(max_epochs=1).fit(X[:100], y[:100])
    net = classifier.net_
    assert net.autocast is None
    net.device = "cuda"
    assert net.autocast == torch.bfloat16
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: False)
    assert net.autocast is None
    net.device = "cpu"
    assert pickle.loads(pickle.dumps(net)).autocast is None
    explicit = tiny(max_epochs=1, training=BFLOAT16).fit(X[:100], y[:100])
    assert pickle.loads(pickle.dumps(explicit)).net_.autocast == torch.bfloat16


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize(
    ("precision", "expected"), [("auto", None), ("float64", None), ("bfloat16", torch.bfloat16)]
)
def test_features_are_not_rounded_unless_requested(monkeypatch, precision, expected, device):
    """With "auto", 2-D features are computed in their own type on every device."""
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: True)
    net = build_net(config(precision=precision), feature_problem(), 40)
    net.device = device
    assert net.autocast == expected


def test_means_of_maps_are_not_tied(noise):
    """Means of bfloat16 maps are taken in float32, by the embedder and for callables."""
    X, _ = noise
    for layer in ("pool", "4"):
        embedder = ImageEmbedder(
            tiny_backbone, layer=layer, image_size=(12, 10), precision="bfloat16"
        )
        features = embedder.fit_transform(X)
        assert min(len(np.unique(column)) for column in features.T) > 1000
