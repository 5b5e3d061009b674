"""Moving averages of weights, against hand-written loops and torch's own."""

import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skorch.callbacks import Callback
from skorch.helper import predefined_split
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from skattr._training.build import build_and_train, build_net
from skattr._training.ema import EMAWeights
from skattr._training.inference import predict_rows
from tests.tiny_models import tiny_backbone
from tests.training.configs import config, equal, feature_problem, image_problem, state


class Record(Callback):
    """Copies the network's state after every step and at the end of every epoch."""

    def __init__(self):
        self.steps = []
        self.epochs = []

    def on_batch_end(self, net, training, **_):
        """Copy it."""
        if training:
            self.steps.append(state(net))

    def on_epoch_end(self, net, **_):
        """Copy it."""
        self.epochs.append(state(net))


def averaged_by_hand(states, decay):
    """Average states, the first of which is the initial one, in float64."""
    average = {key: value.double() for key, value in states[0].items()}
    for t, later in enumerate(states[1:]):
        d = min(decay, (1 + t) / (10 + t))
        for key, value in later.items():
            is_float = value.is_floating_point()
            average[key] = d * average[key] + (1 - d) * value if is_float else value.double()
    return average


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=200), st.floats(0, 0.9999))
@settings(deadline=None, max_examples=50)
def test_average_follows_the_formula(values, decay):
    """After any sequence of weights the average equals the recurrence of the docstring."""
    network = nn.Linear(1, 1, bias=False, dtype=torch.float64)
    expected = network.weight.item()
    average = EMAWeights(network, decay)
    for t, value in enumerate(values):
        nn.init.constant_(network.weight, value)
        average.update(network)
        d = min(decay, (1 + t) / (10 + t))
        expected = d * expected + (1 - d) * value
    average.exchange(network)
    assert network.weight.item() == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_equals_torch_after_the_warm_up():
    """Once the decay is reached, an update equals that of torch's AveragedModel."""
    generator = torch.Generator().manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    average = EMAWeights(network, 0.5)
    average.n_steps = 1000
    expected = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(0.5), use_buffers=False)
    expected.update_parameters(network)  # the first one copies
    for _ in range(5):
        for parameter in network.parameters():
            parameter.data.normal_(generator=generator)
        average.update(network)
        expected.update_parameters(network)
    average.exchange(network)
    for mine, its in zip(network.parameters(), expected.module.parameters(), strict=True):
        torch.testing.assert_close(mine, its)


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.9])
def test_fit_predicts_with_the_average_of_all_steps(decay):
    """The fitted network holds the hand-made average, including BatchNorm's statistics."""
    record = Record()
    settings = config(
        backbone=tiny_backbone, ema_decay=decay, batch_size=8, max_epochs=2, callbacks=[record]
    )
    problem = image_problem()
    start = state(build_net(settings, problem, 24))
    net = build_and_train(settings, problem, np.arange(24))
    assert len(record.steps) == 6
    expected = averaged_by_hand([start, *record.steps], decay)
    for key, value in state(net).items():
        torch.testing.assert_close(value.double(), expected[key], rtol=1e-9, atol=1e-9)
    if decay:
        assert not equal(state(net), record.steps[-1])
    assert state(net)["backbone.0.1.num_batches_tracked"] == 6


def test_training_continues_from_the_weights():
    """Steps are bit-identical to those of a fit without averages; only predictions differ."""
    steps = []
    for decay in (None, 0.9):
        record = Record()
        settings = config(batch_size=16, max_epochs=3, ema_decay=decay, callbacks=[record])
        problem = feature_problem()
        net = build_net(settings, problem, 40)
        net.train_split = predefined_split(problem.dataset(np.arange(10)))
        net.partial_fit(problem.dataset(np.arange(10, 40)))
        steps.append(record.steps)
    assert len(steps[0]) == len(steps[1]) == 6
    assert all(map(equal, *steps))


def test_validation_and_early_stopping_see_the_averages():
    """valid_loss is computed with the averages, and the best epoch's averages are restored."""
    record = Record()
    problem = feature_problem(n=60, n_features=30)
    settings = config(
        lr=0.5, batch_size=10, max_epochs=60, patience=2, ema_decay=0.8, callbacks=[record]
    )
    rows = np.arange(60)
    net = build_and_train(settings, problem, rows[20:], rows[:20])
    losses = [row["valid_loss"] for row in net.history]
    best = int(np.argmin(losses))
    assert len(losses) == best + 3
    assert equal(state(net), record.epochs[best])
    logits = torch.tensor(predict_rows(net, problem.rows, batch_size=60)[:20])
    labels = torch.tensor(problem.targets[:20]), torch.tensor(problem.weights[:20])
    assert net.criterion_(logits, *labels).item() == pytest.approx(losses[best], rel=1e-9)


def test_the_fitted_net_has_no_second_copy():
    """The fitted net holds no second copy of the weights, and pickles none."""
    problem = feature_problem(n_features=100)
    sizes = []
    for decay in (None, 0.9):
        net = build_and_train(config(ema_decay=decay), problem, np.arange(40))
        assert net.average_ is None
        sizes.append(len(pickle.dumps(net)))
    assert sizes[1] == pytest.approx(sizes[0], abs=1000)


def test_partial_fit_continues_weights_and_average():
    """Trained again, a net continues with its weights and its average, pickled or not."""
    records = []
    for pickled in (False, True):
        record = Record()
        problem = feature_problem()
        net = build_net(config(ema_decay=0.9, max_epochs=2), problem, 40)
        start = state(net)
        for _ in range(2):
            net.callbacks_ = [("record", record)]
            net.partial_fit(problem.dataset(np.arange(40)))
            if pickled:
                net.callbacks_ = []
                net = pickle.loads(pickle.dumps(net))
        expected = averaged_by_hand([start, *record.steps], 0.9)
        for key, value in state(net).items():
            torch.testing.assert_close(value, expected[key], rtol=1e-9, atol=1e-9)
        records.append(record.steps)
    assert all(map(equal, *records))
