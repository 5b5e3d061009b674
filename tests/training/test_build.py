"""Nets built from a configuration, against torch's optimizers and schedules."""

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback
from torch.nn import functional as F
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR

from skattr import AttributeClassifier, TrainingOptions


@pytest.fixture
def data(rng):
    """50 rows of four float64 features, with a binary attribute and one of three classes."""
    X = rng.normal(size=(50, 4))
    return X, np.column_stack([X[:, 0] > 0.3, np.digitize(X[:, 1] + X[:, 2], [-1, 1])]).astype(int)


class StepRecorder(Callback):
    """Records learning rate and momentum at every step."""

    def __init__(self):
        self.steps = []

    def on_batch_begin(self, net, training, **_):
        """Record them."""
        if training:
            group = net.optimizer_.param_groups[0]
            self.steps.append((group["lr"], group["momentum"]))


def torch_schedule(schedule, n_steps):
    """Learning rates and momenta that torch's own scheduler gives SGD at the peak 0.2."""
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=0.2, momentum=0.9, nesterov=True)
    scheduler = schedule(optimizer)
    steps = []
    for _ in range(n_steps):
        steps.append((optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["momentum"]))
        optimizer.step()
        scheduler.step()
    return steps


@pytest.mark.parametrize(("batch_size", "per_epoch"), [(10, 5), (7, 7), (16, 4), (50, 1), (64, 1)])
@pytest.mark.parametrize("name", ["onecycle", "cosine", None])
def test_schedules_equal_torch(data, name, batch_size, per_epoch):
    """Every step has the rate and momentum torch's own scheduler gives over the whole fit."""
    n_steps = 4 * per_epoch
    schedule = {
        "onecycle": lambda optimizer: OneCycleLR(optimizer, 0.2, total_steps=n_steps),
        "cosine": lambda optimizer: CosineAnnealingLR(optimizer, n_steps),
        None: lambda optimizer: CosineAnnealingLR(optimizer, 10**9),
    }[name]
    recorder = StepRecorder()
    AttributeClassifier(
        optimizer="sgd", lr=0.2, training=TrainingOptions(name), max_epochs=4,
        batch_size=batch_size, net_params={"callbacks": [recorder]},
    ).fit(*data)  # fmt: skip
    np.testing.assert_allclose(recorder.steps, torch_schedule(schedule, n_steps), rtol=1e-9)


def test_momentum_of_net_params_is_not_cycled(data):
    """With a momentum in net_params, only the learning rate is cycled."""
    recorder = StepRecorder()
    AttributeClassifier(
        optimizer="sgd", lr=0.2, max_epochs=5,
        net_params={"callbacks": [recorder], "optimizer__momentum": 0.5},
    ).fit(*data)  # fmt: skip
    rates, momenta = zip(*recorder.steps, strict=True)
    assert set(momenta) == {0.5}
    assert len(set(rates)) == 5


OPTIMIZERS = {
    "adamw": lambda parameters: torch.optim.AdamW(parameters, lr=0.05, weight_decay=0.02),
    "adam": lambda parameters: torch.optim.Adam(parameters, lr=0.05, weight_decay=0.02),
    "sgd": lambda parameters: torch.optim.SGD(
        parameters, lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.02
    ),
    torch.optim.Adagrad: lambda parameters: torch.optim.Adagrad(
        parameters, lr=0.05, weight_decay=0.02
    ),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_fit_equals_a_loop_by_hand(data, optimizer):
    """With whole batches, fit equals a hand-written loop with torch's own losses."""
    X, y = data
    labels = np.where(np.arange(50)[:, None] % [3, 4] == 0, np.nan, y)  # some missing
    classifier = AttributeClassifier(
        optimizer=optimizer, lr=0.05, weight_decay=0.02, max_epochs=7,
        training=TrainingOptions(None),
    ).fit(X, labels)  # fmt: skip
    known = ~np.isnan(labels)
    rows = [torch.tensor(np.flatnonzero(column)) for column in known.T]
    codes = torch.tensor(y)
    counts = [np.bincount(y[column, j]) + 1 for j, column in enumerate(known.T)]
    prior = [np.log(counts[0][1] / counts[0][0]), *np.log(counts[1] / counts[1].sum())]
    bias = torch.nn.Parameter(torch.tensor(prior))
    weight = torch.nn.Parameter(torch.zeros(4, 4, dtype=torch.float64))
    own = OPTIMIZERS[optimizer]([bias, weight])
    inputs = torch.tensor(X)
    for _ in range(7):
        logits = inputs @ weight.T + bias
        binary = logits[rows[0], 0]
        loss = F.binary_cross_entropy_with_logits(binary, codes[rows[0], 0].double())
        loss = loss + F.cross_entropy(logits[rows[1], 1:], codes[rows[1], 1])
        own.zero_grad()
        loss.backward()
        own.step()
    state = classifier.net_.module_.state_dict()
    torch.testing.assert_close(state["branches.weight"], weight.data, rtol=1e-8, atol=1e-10)
    torch.testing.assert_close(state["branches.bias"], bias.data, rtol=1e-8, atol=1e-10)
    assert classifier.history_[-1]["train_loss"] == pytest.approx(loss.item(), rel=1e-9)


def test_fresh_network_predicts_the_known_frequencies(data):
    """At a learning rate of 0, predictions are the smoothed frequencies of the known labels."""
    X, y = data
    labels = np.where(np.arange(50)[:, None] % [3, 4] == 0, np.nan, y)
    weight = np.random.default_rng(0).random(labels.shape)
    classifier = AttributeClassifier(lr=1e-300, max_epochs=1).fit(X, labels, label_weight=weight)
    for j, proba in enumerate(classifier.predict_proba(X)):
        known = ~np.isnan(labels[:, j])
        share = weight[known, j].mean()  # the labels count as if they weighed 1 on average
        counts = np.bincount(y[known, j], weight[known, j]) / share + 1
        np.testing.assert_allclose(proba, np.tile(counts / counts.sum(), (50, 1)), rtol=1e-10)


def test_net_params_reach_skorch(data):
    """`net_params` are in skorch's notation; here they set the optimizer."""
    classifier = AttributeClassifier(
        max_epochs=1,
        net_params={"optimizer__betas": (0.5, 0.6), "optimizer__eps": 1e-3},
    ).fit(*data)
    defaults = classifier.net_.optimizer_.defaults
    assert (defaults["betas"], defaults["eps"]) == ((0.5, 0.6), 1e-3)
    assert classifier.net_.optimizer_.param_groups[0]["betas"] == (0.5, 0.6)


def test_rejects_unknown_net_params(data):
    """skorch's error for an unknown parameter, which names it, is raised."""  # noqa: D403
    with pytest.raises(ValueError, match="no_such_thing"):
        AttributeClassifier(net_params={"no_such_thing": 1}).fit(*data)


def test_warm_start_continues_from_the_weights(data):
    """With warm_start a second fit starts from the first one's weights, otherwise from scratch."""
    X, y = data
    classifier = AttributeClassifier(max_epochs=3, random_state=0, warm_start=True).fit(X, y)
    first = {key: value.clone() for key, value in classifier.net_.module_.state_dict().items()}
    classifier.set_params(lr=1e-300).fit(X, y)
    again = classifier.net_.module_.state_dict()
    assert all(torch.equal(first[key], again[key]) for key in first)
    classifier.set_params(warm_start=False).fit(X, y)
    assert (classifier.net_.module_.branches.weight.abs() < 1e-200).all()


def test_verbosity(data, capsys):
    """0 prints nothing, 1 shows a bar on stderr, 2 a line per epoch on stdout."""
    shown = {}
    for verbose in (0, 1, 2):
        AttributeClassifier(max_epochs=3, verbose=verbose).fit(*data)
        shown[verbose] = capsys.readouterr()
    assert shown[0].out == shown[0].err == ""
    assert "3/3" in shown[1].err
    assert shown[1].out == ""
    assert "train_loss" in shown[2].out
    assert len([line for line in shown[2].out.splitlines() if line.strip()]) == 2 + 3
