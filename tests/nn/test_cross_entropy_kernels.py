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
    make_cross_entropies,
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


def fused(layout, logits, codes):
    """Return the cross-entropies of all parts."""
    codes = codes[:, list(layout.order)]
    parts = [
        part(logits[:, part.block.columns], codes[:, part.block.branches])
        for part in make_cross_entropies(layout)
    ]
    return torch.cat(parts, dim=1)


layouts = st.lists(st.integers(2, 9), min_size=1, max_size=9).flatmap(
    lambda counts: st.sampled_from(["sigmoid", "softmax"]).map(
        lambda head: BranchLayout(tuple(counts), head)
    )
)


def drawn(layout, seed, n=5):
    """Return random logits and targets."""
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(n, layout.n_logits, generator=generator, dtype=torch.float64)
    codes = torch.stack(
        [torch.randint(0, count, (n,), generator=generator) for count in layout.n_classes], dim=1
    )
    return logits.requires_grad_(), codes


@settings(max_examples=60, deadline=None)
@given(layouts, st.integers(0, 10**6))
def test_equal_to_torch(layout, seed):
    """Values and gradients are those of torch, to rounding in float64."""
    logits, codes = drawn(layout, seed)
    expected, losses = one_by_one(layout, logits, codes), fused(layout, logits, codes)
    torch.testing.assert_close(losses, expected, rtol=1e-12, atol=1e-14)
    weights = torch.linspace(-1, 2, losses.numel(), dtype=torch.float64).view_as(losses)
    (gradient,) = torch.autograd.grad((losses * weights).sum(), logits)
    (other,) = torch.autograd.grad((expected * weights).sum(), logits)
    torch.testing.assert_close(gradient, other, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("counts", [(3, 3), (3, 5, 4), (2, 2)])
def test_numerical_gradient(counts):
    """Finite differences agree, for padded branches and for branches of equal width."""
    layout = BranchLayout(counts)
    logits, codes = drawn(layout, 1, n=3)
    assert torch.autograd.gradcheck(lambda z: fused(layout, z, codes), (logits,))


def test_backward_twice():
    """A graph that is kept gives the same gradient again."""
    logits, codes = drawn(layout := BranchLayout((3, 4, 2)), 2)
    total = fused(layout, logits, codes).sum()
    first, second = (torch.autograd.grad(total, logits, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, second)


@given(st.lists(st.integers(2, 300), min_size=1, max_size=40))
def test_padding_is_bounded(counts):
    """Entries are at most twice the logits; parts grow with the logarithm of the width."""
    layout = BranchLayout(tuple(counts))
    parts = make_cross_entropies(layout)
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
    """Dispatch at most 40 operations for binary attributes and 90 for any mixture of classes."""
    generator = torch.Generator().manual_seed(0)
    mixed = torch.randint(2, 11, (n_attributes,), generator=generator).tolist()
    for counts, most in (((2,) * n_attributes, 40), (tuple(mixed), 90)):
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
    assert len(make_cross_entropies(layout, padded=False)) == 3
    merged = make_cross_entropies(layout)
    assert [part.block.is_binary for part in merged] == [True, False]
    assert not any(type(part) is CrossEntropies for part in merged)
