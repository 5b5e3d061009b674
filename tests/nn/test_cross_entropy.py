"""The masked loss against torch's own losses, attribute by attribute, in float64."""

import math

import pytest
import torch
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from skattr.nn import BranchLayout, SummedCrossEntropy

MIXED = (3, 2, 1, 2, 5, 3, 2)
EXACT = {"rtol": 1e-12, "atol": 1e-13}


def n_targets(layout):
    """Return the number of targets of every attribute, in the column order of y."""
    counts = [1] * len(layout.n_classes)
    for block in layout.blocks:
        for attribute in layout.order[block.branches]:
            counts[attribute] = block.n_targets
    return counts


def example(layout, n=40, unknown=0.3, seed=0):
    """Random logits (falling along an ordinal branch), codes (some -1) and weights."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(n, layout.n_logits, generator=generator, dtype=torch.float64)
    for block in layout.blocks:
        if block.form == "ordinal":
            steps = logits[:, block.columns].reshape(n, -1, block.width).abs() / 2 + 0.01
            logits[:, block.columns] = (1 - steps.cumsum(-1)).flatten(1)
    codes = torch.stack(
        [torch.randint(0, k, (n,), generator=generator) for k in n_targets(layout)], dim=1
    )
    codes[torch.rand(codes.shape, generator=generator) < unknown] = -1
    weights = 0.1 + torch.rand(codes.shape, generator=generator, dtype=torch.float64)
    return logits.requires_grad_(), codes, weights


def torch_losses(layout, logits, codes, attribute, reduction="mean"):
    """Return torch's own loss of one attribute over its known rows, and which these are."""
    known = codes[:, attribute] >= 0
    part = logits[known][:, layout.slices[attribute]]
    target = codes[known, attribute]
    if part.shape[1] == 1:
        target = target.to(part.dtype)
        loss = F.binary_cross_entropy_with_logits(part[:, 0], target, reduction=reduction)
    else:
        loss = F.cross_entropy(part, target, reduction=reduction)
    return loss, known


@pytest.mark.parametrize("binary_head", ["sigmoid", "softmax"])
def test_equals_torch_attribute_by_attribute(binary_head):
    """Value and gradient are those of the sum of torch's mean losses over the known rows."""
    layout = BranchLayout(MIXED, binary_head)
    logits, codes, weights = example(layout)
    loss = SummedCrossEntropy(layout)(logits, codes, torch.ones_like(weights))
    expected = sum(torch_losses(layout, logits, codes, j)[0] for j in layout.order)
    torch.testing.assert_close(loss, expected, **EXACT)
    torch.testing.assert_close(
        torch.autograd.grad(loss, logits), torch.autograd.grad(expected, logits), **EXACT
    )


@pytest.mark.parametrize("binary_head", ["sigmoid", "softmax"])
def test_weights_make_a_weighted_mean(binary_head):
    """With weights, each attribute's loss is the weighted mean of torch's losses."""
    layout = BranchLayout(MIXED, binary_head)
    logits, codes, weights = example(layout)
    loss = SummedCrossEntropy(layout)(logits, codes, weights)
    expected = 0
    for j in layout.order:
        losses, known = torch_losses(layout, logits, codes, j, reduction="none")
        weight = weights[known, j]
        expected = expected + (losses * weight).sum() / weight.sum()
    torch.testing.assert_close(loss, expected, **EXACT)
    torch.testing.assert_close(
        torch.autograd.grad(loss, logits), torch.autograd.grad(expected, logits), **EXACT
    )


@pytest.mark.parametrize("junk", [math.nan, math.inf, -math.inf, -3.0, 1e30])
def test_masked_values_have_no_influence(junk):
    """The weight and the negative code of a missing label do not change the loss."""
    layout = BranchLayout(MIXED)
    logits, codes, weights = example(layout)
    loss = SummedCrossEntropy(layout)
    value = loss(logits, codes, weights)
    gradient = torch.autograd.grad(value, logits)
    unknown = codes < 0
    other = loss(
        logits, codes.masked_fill(unknown, -99), weights.masked_fill(unknown, junk)
    )  # fmt: skip
    assert torch.equal(value, other)
    assert torch.equal(gradient[0], torch.autograd.grad(other, logits)[0])


@pytest.mark.parametrize("binary_head", ["sigmoid", "softmax"])
def test_infinite_loss_under_the_mask(binary_head):
    """A logit so large that its loss overflows does no harm where the label is missing."""
    layout = BranchLayout((3, 2), binary_head)
    logits = torch.zeros(4, layout.n_logits)
    logits[0, ::2], logits[0, 1::2] = 3e38, -3e38  # their difference is infinite in float32
    assert torch.isinf(-logits[0].log_softmax(0)).any()
    logits.requires_grad_()
    codes = torch.tensor([[-1, -1], [0, 1], [1, 0], [2, 1]])
    loss = SummedCrossEntropy(layout)(logits, codes, torch.ones(4, 2))
    (gradient,) = torch.autograd.grad(loss, logits)
    assert loss.item() == pytest.approx(math.log(3) + math.log(2))
    assert torch.isfinite(gradient).all()
    assert (gradient[0] == 0).all()


def test_attribute_without_labels_adds_nothing():
    """It adds exactly 0 to the loss, and its branch gets a gradient of exactly 0."""
    layout = BranchLayout(MIXED)
    logits, codes, weights = example(layout)
    codes[:, 4] = -1
    value = SummedCrossEntropy(layout)(logits, codes, weights)
    others = sum(
        (losses * weights[known, j]).sum() / weights[known, j].sum()
        for j in layout.order
        if j != 4
        for losses, known in [torch_losses(layout, logits, codes, j, "none")]
    )
    torch.testing.assert_close(value, others, **EXACT)
    (gradient,) = torch.autograd.grad(value, logits)
    assert (gradient[:, layout.slices[4]] == 0).all()
    assert (gradient[:, layout.slices[0]] != 0).any()


def test_weight_zero_equals_missing():
    """A label with weight 0 counts like a missing one, and weights of 0 give a loss of 0."""
    layout = BranchLayout(MIXED)
    logits, codes, weights = example(layout, unknown=0)
    loss = SummedCrossEntropy(layout)
    light = weights.clone()
    light[::2] = 0
    blanked = codes.clone()
    blanked[::2] = -1
    torch.testing.assert_close(
        loss(logits, codes, light), loss(logits, blanked, weights), rtol=0, atol=0
    )
    nothing = loss(logits, codes, torch.zeros_like(weights))
    assert nothing.item() == 0
    assert (torch.autograd.grad(nothing, logits)[0] == 0).all()


@pytest.mark.parametrize("attribute", [0, 1])
def test_half_blanked_column_trains_on_its_known_rows(attribute):
    """A branch's gradient equals that of the loss computed on its known rows alone."""
    layout = BranchLayout((3, 2))
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(20, 4, generator=generator, dtype=torch.float64)
    weight = torch.randn(layout.n_logits, 4, generator=generator, dtype=torch.float64)
    weight.requires_grad_()
    _, codes, weights = example(layout, n=20, unknown=0)
    half = codes.clone()
    half[::2, attribute] = -1
    loss = SummedCrossEntropy(layout)
    rows = layout.slices[attribute]
    (blanked,) = torch.autograd.grad(loss(x @ weight.T, half, weights), weight)
    (alone,) = torch.autograd.grad(loss(x[1::2] @ weight.T, codes[1::2], weights[1::2]), weight)
    (whole,) = torch.autograd.grad(loss(x @ weight.T, codes, weights), weight)
    torch.testing.assert_close(blanked[rows], alone[rows], **EXACT)
    other = layout.slices[1 - attribute]
    torch.testing.assert_close(blanked[other], whole[other], **EXACT)


@pytest.mark.parametrize("cuts", [(1,), (7, 8, 30), tuple(range(1, 40))])
def test_sums_add_up_over_batches(cuts):
    """The total of the batches' sums is the loss of all rows, however they are split."""
    layout = BranchLayout(MIXED)
    logits, codes, weights = example(layout)
    loss = SummedCrossEntropy(layout)
    edges = [0, *cuts, 40]
    parts = [
        loss.sums(logits[a:b], codes[a:b], weights[a:b])
        for a, b in zip(edges[:-1], edges[1:], strict=True)
    ]
    sums = (torch.stack(part).sum(0) for part in zip(*parts, strict=True))
    torch.testing.assert_close(loss.total(*sums), loss(logits, codes, weights), **EXACT)


def test_constant_attributes_only():
    """With no branch at all the loss is 0 and can be trained on."""
    layout = BranchLayout((1, 1))
    logits = torch.zeros(3, 0, requires_grad=True)
    loss = SummedCrossEntropy(layout)(logits, torch.zeros(3, 2).long(), torch.ones(3, 2))
    loss.backward()
    assert loss.item() == 0


class CountedOperations(TorchDispatchMode):
    """Counts what is dispatched."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        """Count and call."""
        self.count += 1
        return func(*args, **(kwargs or {}))


def operations_of(criterion, layout):
    """Return how many operations a loss and its gradient dispatch."""
    logits, codes, weights = example(layout)
    with CountedOperations() as operations:
        criterion(logits, codes, weights).backward()
    return operations.count


@pytest.mark.parametrize("binary_head", ["sigmoid", "softmax"])
def test_no_loop_over_attributes(binary_head):
    """50 attributes dispatch exactly as many operations, forward and backward, as 5."""
    counts = []
    for repeats in (1, 10):
        layout = BranchLayout((2, 3, 5, 2, 3) * repeats, binary_head)
        counts.append(operations_of(SummedCrossEntropy(layout), layout))
    assert counts[0] == counts[1] > 0


def test_few_operations():
    """The loss of 40 binary attributes dispatches 35 operations, forward and backward."""
    layout = BranchLayout((2,) * 40)
    assert operations_of(SummedCrossEntropy(layout), layout) <= 35
