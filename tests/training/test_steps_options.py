"""Mixup, clipping, accumulation, flips and partial_fit, against hand-written loops."""

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback
from torch import nn

from skattr._inputs.rows import FeatureRows
from skattr._training.augmentation import ImageAugmenter, flip
from skattr._training.build import build_and_train, build_net
from skattr._training.config import TrainingProblem
from skattr._training.inference import predict_rows
from skattr.nn import BranchLayout
from tests.tiny_models import tiny_backbone
from tests.training.configs import (
    LAYOUT,
    config,
    equal,
    feature_problem,
    image_problem,
    labels,
    state,
)


def fitted_by_hand(net, problem, loss_of, n_steps=3, clip=None, others=()):
    """Train the network, and `others`, by whole-batch SGD on `loss_of(network, step)`."""
    network = net.module_
    optimizer = torch.optim.SGD(
        [*network.parameters(), *others], lr=0.1, momentum=0.9, nesterov=True
    )
    network.train()
    for step in range(n_steps):
        optimizer.zero_grad()
        loss_of(network, step).backward()
        if clip is not None:
            norm = torch.sqrt(sum((p.grad**2).sum() for p in network.parameters()))
            for parameter in network.parameters():
                parameter.grad *= min(1, clip / (norm.item() + 1e-6))
        optimizer.step()
    return state(net)


def assert_close(one, other, **tolerance):
    """Compare two states."""
    for key, value in one.items():
        torch.testing.assert_close(
            value, other[key], **(tolerance or {"rtol": 1e-9, "atol": 1e-11})
        )


@pytest.mark.parametrize("clip", [1e-3, 0.3, 1e6])
def test_clipping_equals_a_loop_by_hand(clip):
    """Before each step the gradient of all parameters is scaled to at most the norm."""
    problem = feature_problem()
    settings = config(clip_norm=clip)
    net = build_and_train(settings, problem, np.arange(40))
    other = build_net(config(), problem, 40)
    inputs, codes, weights = map(
        torch.tensor, (problem.rows.array, problem.targets, problem.weights)
    )
    expected = fitted_by_hand(
        other,
        problem,
        lambda network, _: other.criterion_(network(inputs), codes, weights),
        clip=clip,
    )
    assert_close(state(net), expected)


def test_mixup_equals_a_loop_by_hand():
    """Inputs are mixed; sums over the labels of both rows are added before the division."""
    problem = feature_problem()
    settings = config(augment=ImageAugmenter(mixup=0.4), batch_size=40)
    net = build_net(settings, problem, 40)
    start = state(net)
    shuffling = net.generator("shuffling")
    rng = np.random.default_rng(net.generator("mixup").initial_seed())
    net.partial_fit(problem.dataset(np.arange(40)))
    after = state(net)
    net.module_.load_state_dict(start)
    inputs, codes, weights = map(
        torch.tensor, (problem.rows.array, problem.targets, problem.weights)
    )

    def loss_of(network, step):
        order = torch.randperm(40, generator=shuffling)
        share, partner = rng.beta(0.4, 0.4), torch.tensor(rng.permutation(40))
        share = max(share, 1 - share)
        x, c, w = inputs[order], codes[order], weights[order]
        logits = network(share * x + (1 - share) * x[partner])
        loss = 0
        for j, columns in enumerate(LAYOUT.slices):
            numerator = divisor = 0
            for code, weight, part in ((c, w, share), (c[partner], w[partner], 1 - share)):
                known = code[:, j] >= 0
                z, label = logits[known][:, columns], code[known, j]
                z = z if z.shape[1] > 1 else torch.cat([torch.zeros_like(z), z], dim=1)
                each = nn.functional.cross_entropy(z, label, reduction="none")
                numerator = numerator + (part * weight[known, j] * each).sum()
                divisor = divisor + (part * weight[known, j]).sum()
            loss = loss + numerator / divisor
        return loss

    assert_close(after, fitted_by_hand(net, problem, loss_of))


def test_mixup_of_images_is_reproducible_and_only_in_training():
    """Fits of one seed are bit-identical, others differ; valid_loss is of unmixed images."""
    problem = image_problem()
    rows = np.arange(24)
    nets = [
        build_and_train(
            config(
                backbone=tiny_backbone, augment=ImageAugmenter(mixup=1.0), batch_size=8, seed=seed,
                precision="float32",
            ),
            problem, rows[6:], rows[:6],
        )
        for seed in (0, 0, 1)
    ]  # fmt: skip
    assert equal(state(nets[0]), state(nets[1]))
    assert not equal(state(nets[0]), state(nets[2]))
    logits = torch.tensor(predict_rows(nets[0], problem.rows, batch_size=24)[:6])
    known = torch.tensor(problem.targets[:6]), torch.tensor(problem.weights[:6])
    loss = nets[0].criterion_(logits, *known).item()
    assert nets[0].history[-1]["valid_loss"] == pytest.approx(loss, rel=1e-5)


class Losses(Callback):
    """Records the loss and the shape of the outputs of every step."""

    def __init__(self):
        self.seen = []

    def on_batch_end(self, net, training, loss, y_pred, **_):
        """Record them."""
        self.seen.append((loss.item(), tuple(y_pred.shape)))


CRITERIA = {
    "plain": {},
    "uncertainty": {"attribute_weights": "uncertainty", "dtype": torch.float64},
    "class weights": {
        "loss_factors": [[1.0, 5.0], [1.0, 2.0, 3.0], None],
        "mean_factors": [[1.0, 1.0], [1.0, 2.0, 3.0], None],
        "dtype": torch.float64,
    },
    "negatives": {"unknown": "negative"},
}


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize(("accumulate", "batch_size"), [(2, 40), (7, 20), (100, 40), (7, 9)])
def test_accumulation_equals_the_whole_batch(criterion, accumulate, batch_size):
    """Split into parts, a batch has the step, the loss and the outputs of the whole batch."""
    problem = feature_problem(criterion_params=CRITERIA[criterion])
    results = []
    for params in ({}, {"accumulate": accumulate, "clip_norm": 0.5}, {"clip_norm": 0.5}):
        losses = Losses()
        settings = config(
            augment=ImageAugmenter(mixup=0.5), batch_size=batch_size, callbacks=[losses], **params,
        )  # fmt: skip
        net = build_and_train(settings, problem, np.arange(40))
        parameters = {**state(net), **dict(net.criterion_.state_dict())}
        results.append((parameters, losses.seen, net.history[:, "train_loss"]))
    assert_close(results[1][0], results[2][0])
    losses, shapes = ([list(part) for part in zip(*seen, strict=True)] for seen in (
        results[1][1], results[2][1]
    ))  # fmt: skip
    np.testing.assert_allclose(losses[0], shapes[0], rtol=1e-9)
    assert losses[1] == shapes[1]
    np.testing.assert_allclose(results[1][2], results[2][2], rtol=1e-9)


@pytest.mark.parametrize("accumulate", [1, 3])
def test_learned_weights_equal_a_loop_by_hand(accumulate):
    """The term of the learned variances counts once per batch, also if it is split into parts."""
    problem = feature_problem(criterion_params=CRITERIA["uncertainty"])
    net = build_and_train(config(accumulate=accumulate), problem, np.arange(40))
    other = build_net(config(), problem, 40)
    inputs, codes, weights = map(
        torch.tensor, (problem.rows.array, problem.targets, problem.weights)
    )
    learned = other.criterion_.log_variances
    expected = fitted_by_hand(
        other,
        problem,
        lambda network, _: other.criterion_(network(inputs), codes, weights),
        others=[learned],
    )
    assert_close(state(net), expected)
    torch.testing.assert_close(net.criterion_.log_variances, learned, rtol=1e-9, atol=1e-11)
    assert learned.abs().min() > 1e-3


class CountsRows(nn.Module):
    """Records the number of rows of each call."""

    sizes = []

    def __init__(self, n_inputs):
        super().__init__()
        self.linear = nn.Linear(n_inputs, 3)

    def forward(self, x):
        """Map features to features."""
        if self.training and torch.is_grad_enabled():
            self.sizes.append(len(x))
        return self.linear(x)


def test_parts_have_two_rows_or_more():
    """No part is a single row, which BatchNorm could not train on, unless the batch is one."""
    CountsRows.sizes.clear()
    settings = config(backbone=CountsRows, batch_size=7, max_epochs=1, accumulate=5)
    build_and_train(settings, feature_problem(n=24), np.arange(24))
    assert CountsRows.sizes == [3, 2, 2] * 3 + [3]
    CountsRows.sizes.clear()
    build_and_train(settings, feature_problem(n=24), np.arange(1))
    assert CountsRows.sizes == [1]


@pytest.mark.parametrize("output", ["logits", "features"])
def test_flips_average_two_predictions(output):
    """With test-time flips, outputs are the mean over images and mirror images."""
    problem = image_problem()
    settings = config(backbone=tiny_backbone, augment=ImageAugmenter(test_flip=True), batch_size=8)
    net = build_and_train(settings, problem, np.arange(24))
    plain = build_and_train(config(backbone=tiny_backbone, batch_size=8), problem, np.arange(24))
    assert equal(state(net), state(plain))  # training does not flip
    mirrored = type(problem.rows)(problem.rows.array[:, :, ::-1].copy(), (12, 10))
    one, other = (
        predict_rows(plain, rows, output, batch_size=7) for rows in (problem.rows, mirrored)
    )
    assert not np.allclose(one, other)
    result = predict_rows(net, problem.rows, output, batch_size=7)
    np.testing.assert_allclose(result, (one + other) / 2, rtol=1e-12)


@pytest.mark.parametrize("name", ["flip", "hue", "test_flip"])
def test_rejects_image_changes_for_features(name):
    """The error for 2-D features names the active changes."""
    settings = config(augment=ImageAugmenter(**{name: True}, mixup=0.1))
    with pytest.raises(ValueError, match=f"augment has {name}, .* 2-D features; only mixup"):
        build_and_train(settings, feature_problem(), np.arange(40))


def test_augmentations_change_training_images():
    """The network gets the changed images, drawn from the generator of the net."""
    seen = []

    class Sees(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 2, 1)

        def forward(self, x):
            if self.training and torch.is_grad_enabled():
                seen.append(x.detach())
            return self.conv(x)

    problem = image_problem()
    settings = config(backbone=Sees, augment=ImageAugmenter(flip=True), max_epochs=1)
    net = build_net(settings, problem, 24)
    order = torch.randperm(24, generator=net.generator("shuffling"))
    pixels = flip(torch.tensor(problem.rows.array)[order], net.generator("augmentation"))
    seen.clear()
    net.partial_fit(problem.dataset(np.arange(24)))
    expected = net.module_.normalization(pixels)
    assert len(seen) == 1
    assert torch.equal(seen[0], expected)


CATEGORY = np.arange(40) % 3


@pytest.mark.parametrize(
    ("changes", "params"),
    [
        (ImageAugmenter(), {}),
        (ImageAugmenter(mixup=0.3), {"accumulate": 3}),
    ],
)
def test_networks_with_the_category_as_input(changes, params):
    """The category is an input in training and prediction, and predictions depend on it."""
    X = np.random.default_rng(0).normal(size=(40, 2)) * 1e-3
    targets = (CATEGORY[:, None] == np.arange(3)).astype(int)
    problem = TrainingProblem(
        FeatureRows(X), BranchLayout((2, 2, 2)), targets, np.ones((40, 3)),
        category=CATEGORY, n_conditions=3,
    )  # fmt: skip
    settings = config(
        backbone=CountsRows, augment=changes, max_epochs=60, lr=0.03, optimizer="adam",
        **params,
    )  # fmt: skip
    net = build_and_train(settings, problem, np.arange(40))
    logits = predict_rows(net, problem.rows, batch_size=16, category=CATEGORY)
    np.testing.assert_array_equal(logits.argmax(axis=1), CATEGORY)
    others = predict_rows(net, problem.rows, batch_size=16, category=(CATEGORY + 1) % 3)
    np.testing.assert_array_equal(others.argmax(axis=1), (CATEGORY + 1) % 3)


def drops(n_inputs):
    """Return a network with dropout."""
    return nn.Sequential(nn.Linear(n_inputs, 8), nn.ReLU(), nn.Dropout(0.5))


PURPOSES = ("shuffling", "augmentation", "dropout", "mixup")


def test_partial_fit_draws_other_numbers():
    """Each later partial_fit draws other numbers, which are reproducible."""
    problem = feature_problem()
    first = {}
    for _ in range(2):
        net = build_net(config(backbone=drops, max_epochs=2), problem, 40)
        draws, weights = {purpose: [] for purpose in PURPOSES}, []
        for _ in range(3):
            net.partial_fit(problem.dataset(np.arange(40)))
            weights.append(state(net))
            for purpose in PURPOSES:
                draws[purpose].append(torch.rand(3, generator=net.generator(purpose)).tolist())
        for purpose in PURPOSES:
            assert len({tuple(numbers) for numbers in draws[purpose]}) == 3
            assert first.setdefault(purpose, draws[purpose]) == draws[purpose]
        assert all(map(equal, first.setdefault("weights", weights), weights))


def test_partial_fit_continues_on_other_rows():
    """A net trained on other rows continues from its weights and momenta."""
    one, other = feature_problem(), feature_problem(seed=5)
    net = build_net(config(max_epochs=1), one, 40)
    start = state(net)
    net.partial_fit(one.dataset(np.arange(40)))
    net.partial_fit(other.dataset(np.arange(40)))
    streamed = state(net)
    net.module_.load_state_dict(start)

    def loss_of(network, step):
        problem = (one, other)[step]
        inputs, codes, weights = map(
            torch.tensor, (problem.rows.array, problem.targets, problem.weights)
        )
        return net.criterion_(network(inputs), codes, weights)

    assert_close(streamed, fitted_by_hand(net, one, loss_of, n_steps=2))
    assert len(net.history) == 2


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"net_params": {"ema_decay": 0.9}}, "net_params sets .'ema_decay'., which the classifier"),
        ({"net_params": {"clip_norm": 0.9}}, "net_params sets .'clip_norm'., which the classifier"),
        ({"net_params": {"mixup": 0.9}}, "net_params sets .'mixup'., which have no effect"),
    ],
)
def test_rejects_reserved_net_params(params, message):
    """The error names net_params that are parameters of the classifier, or that are unknown."""
    with pytest.raises(ValueError, match=message):
        build_and_train(config(**params), feature_problem(), np.arange(40))


def test_all_together():
    """All options together give finite and reproducible results, and change no global state."""
    problem = image_problem()
    changes = ImageAugmenter(
        flip=True, shift=0.1, zoom=0.2, rotation=10, brightness=0.2, contrast=0.2, saturation=0.2,
        hue=0.1, erase=0.3, mixup=0.2, test_flip=True,
    )  # fmt: skip
    settings = config(
        backbone=tiny_backbone, augment=changes, optimizer="adamw", lr_schedule="onecycle",
        batch_size=8, max_epochs=4, patience=2, ema_decay=0.9, freeze="stages:2", unfreeze_every=1,
        layer_decay=0.7, precision="float32", clip_norm=1.0, accumulate=2,
    )  # fmt: skip
    before = torch.get_rng_state()
    nets = [build_and_train(settings, problem, np.arange(18), np.arange(18, 24)) for _ in range(2)]
    assert torch.equal(torch.get_rng_state(), before)
    assert equal(*map(state, nets))
    assert np.isfinite(predict_rows(nets[0], problem.rows, batch_size=5)).all()
    assert np.isfinite(nets[0].history[:, "valid_loss"]).all()


def test_labels_of_the_helpers_are_partly_missing():
    """The tests above do have missing labels."""
    targets, _ = labels(40)
    assert 0 < (targets < 0).mean() < 0.5
