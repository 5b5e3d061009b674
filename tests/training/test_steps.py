"""Device batches against the formulas in NumPy, and batch callbacks."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from skorch.callbacks import Callback

from skattr._training.build import build_and_train
from skattr._training.steps import DeviceBatch
from skattr.nn import BranchLayout, SummedCrossEntropy
from tests.training.configs import config, feature_problem


def batch_of(n, seed=0, category=False):
    """Return a batch as the loader yields it: images, optionally categories, codes and weights."""
    rng = np.random.default_rng(seed)
    pixels = torch.tensor(rng.integers(0, 256, (n, 3, 4, 3)), dtype=torch.uint8)
    codes = torch.tensor(rng.integers(-1, 2, (n, 3)))
    weights = torch.tensor(rng.uniform(0.5, 2, (n, 3)))
    inputs = (pixels, torch.arange(n)) if category else pixels
    return inputs, (codes, weights)


@given(st.integers(2, 12), st.floats(0, 1), st.integers(0, 10**6), st.booleans())
def test_mixup_follows_the_formula(n, share, seed, category):
    """Inputs are the weighted mean; the loss is the weighted mean over the labels of both."""
    batch = DeviceBatch.of(batch_of(n, seed, category), "cpu")
    order = torch.tensor(np.random.default_rng(seed).permutation(n))
    mixed = batch.mixed(share, order)
    x = batch.inputs[0].numpy().astype(np.float64)
    expected = share * x + (1 - share) * x[order]
    assert mixed.inputs[0].dtype == torch.float32
    np.testing.assert_allclose(mixed.inputs[0], expected, rtol=0, atol=1e-4)
    if category:
        assert torch.equal(mixed.inputs[1], torch.arange(n))

    logits = np.random.default_rng(seed + 1).normal(size=(n, 3))
    criterion = SummedCrossEntropy(BranchLayout((2, 2, 2)))
    sums = [criterion.sums(torch.tensor(logits), *pair) for pair in mixed.labels]
    loss = criterion.total(*(sum(parts) for parts in zip(*sums, strict=True)))
    codes, weights = (part.numpy() for part in batch.labels[0])
    numerator, divisor = np.zeros(3), np.zeros(3)
    for i in range(n):
        for row, part in ((i, share), (int(order[i]), 1 - share)):
            for j in range(3):
                if codes[row, j] >= 0:
                    sign = 1 - 2 * codes[row, j]
                    weight = part * weights[row, j]
                    numerator[j] += weight * np.log1p(np.exp(sign * logits[i, j]))
                    divisor[j] += weight
    known = divisor > 0
    expected_loss = (numerator[known] / divisor[known]).sum()
    np.testing.assert_allclose(loss.item(), expected_loss, rtol=1e-9, atol=1e-12)


def test_mixup_ignores_missing_labels():
    """If one of two labels is missing, the loss is that of the other alone."""
    codes = torch.tensor([[1], [-1]])
    weights = torch.tensor([[1.0], [torch.nan]])
    batch = DeviceBatch((torch.zeros(2, 1),), ((codes, weights),)).mixed(0.3, torch.tensor([1, 0]))
    criterion = SummedCrossEntropy(BranchLayout((2,)))
    logits = torch.tensor([[0.5], [-2.0]])
    sums = [criterion.sums(logits, *pair) for pair in batch.labels]
    losses, divisors = (sum(parts) for parts in zip(*sums, strict=True))
    entropy = np.log1p(np.exp([-0.5, 2.0]))
    np.testing.assert_allclose(losses, [0.3 * entropy[0] + 0.7 * entropy[1]], rtol=1e-6)
    np.testing.assert_allclose(divisors, [1.0], rtol=1e-6)


def test_mixup_keeps_the_type_of_features():
    """2-D features are mixed in their own type."""
    features = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    labels = (torch.zeros(2, 1, dtype=torch.long), torch.ones(2, 1))
    mixed = DeviceBatch((features,), (labels,)).mixed(0.25, torch.tensor([1, 0]))
    assert mixed.inputs[0].tolist() == [[0.75], [0.25]]
    assert mixed.inputs[0].dtype == torch.float64


@given(st.integers(1, 20), st.integers(1, 20), st.booleans())
def test_parts_are_consecutive_rows(n, n_parts, category):
    """Concatenated parts equal the batch; their sizes differ by at most one."""
    whole = DeviceBatch.of(batch_of(n, category=category), "cpu")
    whole = whole.mixed(0.5, torch.arange(n))
    parts = list(whole.parts(min(n_parts, n)))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    for number, tensor in enumerate(whole.inputs):
        assert torch.equal(torch.cat([part.inputs[number] for part in parts]), tensor)
    for which in range(2):
        for number in range(2):
            together = torch.cat([part.labels[which][number] for part in parts])
            assert torch.equal(together, whole.labels[which][number])


class BatchRecorder(Callback):
    """Records the events of batches."""

    def __init__(self):
        self.events = []

    def on_batch_end(self, net, batch, training, loss, y_pred, **_):
        """Record whether a batch trained, its size, and its loss."""
        self.events.append((training, len(y_pred), float(loss)))

    def on_grad_computed(self, net, named_parameters, **_):
        """Record the norm of the gradients, read twice."""
        norms = [sum(float(p.grad.norm()) for _, p in named_parameters) for _ in range(2)]
        assert norms[0] == norms[1] > 0
        self.events.append(norms[0])


def test_callbacks_get_batch_events():
    """Callbacks get each batch with its loss and outputs, and the gradient before the step."""
    recorder = BatchRecorder()
    problem = feature_problem()
    build_and_train(
        config(batch_size=16, max_epochs=2, callbacks=[recorder]), problem, np.arange(32),
        np.arange(32, 40),
    )  # fmt: skip
    trained = [entry for entry in recorder.events if isinstance(entry, tuple) and entry[0]]
    validated = [entry for entry in recorder.events if isinstance(entry, tuple) and not entry[0]]
    assert [size for _, size, _ in trained] == [16] * 4
    assert [size for _, size, _ in validated] == [8] * 2
    assert sum(isinstance(entry, float) for entry in recorder.events) == 4
    assert all(np.isfinite(loss) for _, _, loss in trained + validated)


@pytest.mark.parametrize("wanted", [False, True])
def test_history_of_batches(wanted):
    """The history has the loss of each batch only if requested."""
    recorder = BatchRecorder()
    net = build_and_train(
        config(
            batch_size=16, max_epochs=2, callbacks=[recorder], net_params={"batch_history": wanted}
        ),
        feature_problem(), np.arange(32), np.arange(32, 40),
    )  # fmt: skip
    batches = net.history[-1, "batches"]
    if not wanted:
        assert batches == [{}]
        return
    losses = [entry[2] for entry in recorder.events[-5:] if isinstance(entry, tuple)]
    found = [batch.get("train_loss", batch.get("valid_loss")) for batch in batches]
    assert found == losses
