"""The fused branches against one linear map per attribute."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from skattr.nn import BranchLayout, FusedBranches
from skattr.nn.heads import prior_logits

layouts = st.builds(
    BranchLayout,
    st.lists(st.integers(1, 6), min_size=1, max_size=12).map(tuple),
    st.sampled_from(["sigmoid", "softmax"]),
)
MIXED = (3, 2, 1, 2, 5, 3, 2)


def randomised(branches):
    """Give the branches random parameters (they start at zero)."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in branches.parameters():
            parameter.normal_(generator=generator)
    return branches.double()


def separate_linears(branches):
    """One nn.Linear per attribute that has logits, with the weights of FusedBranches."""
    result = nn.ModuleDict()
    for attribute in branches.layout.order:
        columns = branches.layout.slices[attribute]
        linear = nn.Linear(branches.weight.shape[1], columns.stop - columns.start).double()
        with torch.no_grad():
            linear.weight.copy_(branches.weight[columns])
            linear.bias.copy_(branches.bias[columns])
        result[str(attribute)] = linear
    return result


@given(layouts)
def test_widths(layout):
    """One class has no logit, two have one (sigmoid) or two (softmax), K have K."""
    two = 1 if layout.binary_head == "sigmoid" else 2
    assert layout.widths == tuple({1: 0, 2: two}.get(k, k) for k in layout.n_classes)
    assert [s.stop - s.start for s in layout.slices] == list(layout.widths)
    assert layout.n_logits == sum(layout.widths)


@given(layouts)
def test_slices_partition_the_columns(layout):
    """Every column belongs to exactly one attribute."""
    columns = [column for part in layout.slices for column in range(part.start, part.stop)]
    assert sorted(columns) == list(range(layout.n_logits))


@given(layouts)
def test_order_is_that_of_the_columns(layout):
    """The layout's order lists the attributes with logits by their place, narrow ones first."""
    with_logits = [j for j, width in enumerate(layout.widths) if width]
    assert list(layout.order) == sorted(with_logits, key=lambda j: layout.slices[j].start)
    assert list(layout.order) == sorted(with_logits, key=lambda j: (layout.widths[j], j))


@given(layouts)
def test_blocks_are_contiguous(layout):
    """Blocks follow on each other without a gap, and hold the slices of their branches."""
    branch = column = 0
    for block in layout.blocks:
        assert (block.branches.start, block.columns.start) == (branch, column)
        attributes = layout.order[block.branches]
        assert attributes
        for place, attribute in enumerate(attributes):
            start = column + place * block.width
            assert layout.slices[attribute] == slice(start, start + block.width)
        branch, column = block.branches.stop, block.columns.stop
    assert (branch, column) == (len(layout.order), layout.n_logits)
    widths = [block.width for block in layout.blocks]
    assert widths == sorted(set(widths))


@pytest.mark.parametrize("binary_head", ["sigmoid", "softmax"])
def test_equals_one_linear_map_per_attribute(binary_head):
    """Outputs and gradients equal those of a ModuleList of nn.Linear."""
    branches = randomised(FusedBranches(6, BranchLayout(MIXED, binary_head)))
    linears = separate_linears(branches)
    x = torch.randn(9, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    x_fused, x_separate = x.clone().requires_grad_(), x.clone().requires_grad_()
    logits = branches(x_fused)
    parts = {int(name): linear(x_separate) for name, linear in linears.items()}
    for attribute, part in parts.items():
        columns = branches.layout.slices[attribute]
        torch.testing.assert_close(logits[:, columns], part, rtol=1e-12, atol=1e-12)
    logits.sin().sum().backward()
    sum(part.sin().sum() for part in parts.values()).backward()
    torch.testing.assert_close(x_fused.grad, x_separate.grad, rtol=1e-12, atol=1e-12)
    for name, linear in linears.items():
        columns = branches.layout.slices[int(name)]
        torch.testing.assert_close(branches.weight.grad[columns], linear.weight.grad)
        torch.testing.assert_close(branches.bias.grad[columns], linear.bias.grad)


@pytest.mark.parametrize("binary_head", ["sigmoid", "softmax"])
def test_hidden_equals_two_layers_per_attribute(binary_head):
    """With `hidden`, outputs and gradients equal those of separate two-layer branches."""
    n_hidden = 4
    branches = randomised(FusedBranches(6, BranchLayout(MIXED, binary_head), n_hidden))
    layout = branches.layout
    x = torch.randn(9, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    x_fused, x_separate = x.clone().requires_grad_(), x.clone().requires_grad_()
    logits = branches(x_fused)
    total = 0
    for block, weights in zip(layout.blocks, branches.weights, strict=True):
        for place, attribute in enumerate(layout.order[block.branches]):
            units = slice(
                (block.branches.start + place) * n_hidden,
                (block.branches.start + place + 1) * n_hidden,
            )
            hidden = x_separate @ branches.hidden.weight[units].T + branches.hidden.bias[units]
            columns = layout.slices[attribute]
            part = hidden.relu() @ weights[place] + branches.bias[columns]
            torch.testing.assert_close(logits[:, columns], part, rtol=1e-12, atol=1e-12)
            total = total + part.sin().sum()
    fused = torch.autograd.grad(logits.sin().sum(), [x_fused, *branches.parameters()])
    separate = torch.autograd.grad(total, [x_separate, *branches.parameters()])
    torch.testing.assert_close(fused, separate, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("hidden", [None, 4])
def test_fresh_branches_predict_the_prior(hidden):
    """Untrained branches predict exactly what set_prior wrote, for every input."""
    layout = BranchLayout(MIXED)
    branches = FusedBranches(6, layout, hidden)
    prior = torch.arange(float(layout.n_logits))
    branches.set_prior(prior)
    x = 100 * torch.randn(5, 6, generator=torch.Generator().manual_seed(2))
    assert torch.equal(branches(x), prior.expand(5, -1))


@pytest.mark.parametrize("hidden", [None, 4])
def test_no_branches_at_all(hidden):
    """If every attribute is constant the logits have no column, and no warning is given."""
    logits = FusedBranches(6, BranchLayout((1, 1)), hidden)(torch.ones(5, 6))
    assert logits.shape == (5, 0)


@pytest.mark.parametrize("binary_head", ["sigmoid", "softmax"])
def test_prior_logits_are_smoothed_frequencies(binary_head):
    """Their probabilities are (count + 1) / (total + number of classes)."""
    layout = BranchLayout((3, 1, 2), binary_head)
    counts = [np.array([5.0, 0.0, 2.5]), np.array([7.0]), np.array([1.0, 9.0])]
    logits = prior_logits(layout, counts)
    three = logits[layout.slices[0]].softmax(0).numpy()
    np.testing.assert_allclose(three, (counts[0] + 1) / (counts[0].sum() + 3), rtol=1e-12)
    two = logits[layout.slices[2]]
    positive = two.sigmoid() if binary_head == "sigmoid" else two.softmax(0)[1:]
    np.testing.assert_allclose(positive.numpy(), [10 / 12], rtol=1e-12)
    assert logits.shape == (layout.n_logits,)


def test_prior_without_labels_is_even():
    """An attribute without a known label gets equal probabilities."""
    layout = BranchLayout((4, 2))
    logits = prior_logits(layout, [np.zeros(4), np.zeros(2)])
    np.testing.assert_allclose(logits[layout.slices[0]].softmax(0), 0.25)
    np.testing.assert_allclose(logits[layout.slices[1]].sigmoid(), 0.5)
