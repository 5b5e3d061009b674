"""Fused cross-entropies against torch's own, their gradients, and how many operations they are."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from skattr.nn import BranchLayout, SummedCrossEntropy
from skattr.nn._branches import FusedBranches
from skattr.nn._cross_entropy_kernels import (
    CrossEntropies,
    SoftmaxCrossEntropies,
    cross_entropies_of,
)


class Counted(TorchDispatchMode):
    """Counts what is dispatched, views included."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        """Count and run an operation."""
        self.count += 1
        return func(*args, **(kwargs or {}))


def one_by_one(layout, logits, codes):
    """Return the cross-entropy of every label in the order of the layout, a branch at a time."""
    losses = []
    for attribute in layout.order:
        part, target = logits[:, layout.slices[attribute]], codes[:, attribute]
        if layout.forms[attribute] == "sigmoid":
            part = torch.cat([torch.zeros_like(part), part], dim=1)
        losses.append(functional.cross_entropy(part, target, reduction="none"))
    return torch.stack(losses, dim=1)


def fused(layout, logits, codes, weights=None):
    """Return the same, or weighted sums over rows, of the parts."""
    order = list(layout.order)
    results = []
    for part in cross_entropies_of(layout):
        block = part.block
        arguments = [logits[:, block.columns], codes[:, order][:, block.branches]]
        if weights is None:
            results.append(part(*arguments))
        else:
            results.append(part.sums(*arguments, weights[:, order][:, block.branches]))
    return torch.cat(results, dim=0 if weights is not None else 1)


layouts = st.lists(st.integers(2, 9), min_size=1, max_size=9).flatmap(
    lambda counts: st.sampled_from(["sigmoid", "softmax"]).map(
        lambda head: BranchLayout(tuple(counts), head)
    )
)


def drawn(layout, seed, n=5):
    """Return random logits, targets and weights."""
    generator = torch.Generator().manual_seed(seed)
    shape = (n, len(layout.n_classes))
    logits = 3 * torch.randn(n, layout.n_logits, generator=generator, dtype=torch.float64)
    codes = torch.stack(
        [torch.randint(0, count, (n,), generator=generator) for count in layout.n_classes], dim=1
    )
    weights = torch.rand(shape, generator=generator, dtype=torch.float64)
    return logits.requires_grad_(), codes, weights


@settings(max_examples=60, deadline=None)
@given(layouts, st.integers(0, 10**6))
def test_they_are_those_of_torch(layout, seed):
    """Values, weighted sums and the gradients of both, to rounding in float64."""
    logits, codes, weights = drawn(layout, seed)
    expected = one_by_one(layout, logits, codes)
    torch.testing.assert_close(fused(layout, logits, codes), expected, rtol=1e-12, atol=1e-14)
    expected_sums = (expected * weights[:, list(layout.order)]).sum(0)
    sums = fused(layout, logits, codes, weights)
    torch.testing.assert_close(sums, expected_sums, rtol=1e-12, atol=1e-14)
    direction = torch.linspace(-1, 2, len(sums), dtype=torch.float64)
    for given_, wanted in ((sums, expected_sums), (fused(layout, logits, codes).sum(0), None)):
        wanted = expected.sum(0) if wanted is None else wanted
        (gradient,) = torch.autograd.grad(given_ @ direction, logits)
        (other,) = torch.autograd.grad(wanted @ direction, logits, retain_graph=True)
        torch.testing.assert_close(gradient, other, rtol=1e-10, atol=1e-13)


def test_numerical_gradient():
    """Finite differences agree, of padded and of equal branches."""
    for counts in ((3, 3), (3, 5, 4), (2, 2)):
        layout = BranchLayout(counts)
        logits, codes, weights = drawn(layout, 1, n=3)
        function = lambda z, w=weights, c=codes, one=layout: fused(one, z, c, w)  # noqa: E731
        assert torch.autograd.gradcheck(function, (logits,))


def test_backward_twice():
    """A graph that is kept gives the same gradient again."""
    layout = BranchLayout((3, 4, 2))
    logits, codes, weights = drawn(layout, 2)
    total = fused(layout, logits, codes, weights).sum()
    first, second = (torch.autograd.grad(total, logits, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, second)


@given(st.lists(st.integers(2, 300), min_size=1, max_size=40))
def test_padding_is_bounded(counts):
    """Entries are at most twice the logits; parts grow with the logarithm of the width."""
    layout = BranchLayout(tuple(counts))
    parts = cross_entropies_of(layout)
    assert [part.block.columns.start for part in parts[1:]] == [
        part.block.columns.stop for part in parts[:-1]
    ]
    assert (parts[0].block.columns.start, parts[-1].block.columns.stop) == (0, layout.n_logits)
    for part in parts:
        if isinstance(part, SoftmaxCrossEntropies):
            assert len(part.columns) <= 2 * len(part.places)
    assert len(parts) <= 2 + max(counts).bit_length()


@pytest.mark.parametrize("n_attributes", [64, 620])
def test_dispatched_operations(n_attributes):
    """30 forward and backward for binary attributes, 64 for any mixture, however many."""
    generator = torch.Generator().manual_seed(0)
    mixed = torch.randint(2, 11, (n_attributes,), generator=generator).tolist()
    for counts, most in (((2,) * n_attributes, 30), (tuple(mixed), 64)):
        layout = BranchLayout(counts)
        branches, criterion = FusedBranches(8, layout), SummedCrossEntropy(layout)
        features = torch.randn(4, 8, generator=generator, requires_grad=True)
        codes = torch.zeros(4, n_attributes, dtype=torch.int64)
        codes[0] = -1
        with Counted() as counted:
            criterion(branches(features), codes, torch.ones(4, n_attributes)).backward()
        assert counted.count <= most


def test_only_forms_with_one_kind_of_block_are_padded():
    """Without padding each width is a part; binary softmax blocks are never merged."""
    layout = BranchLayout((2, 3, 4, 2), "softmax")
    assert len(cross_entropies_of(layout, padded=False)) == 3
    merged = cross_entropies_of(layout)
    assert [part.block.is_binary for part in merged] == [True, False]
    assert not any(type(part) is CrossEntropies for part in merged)
