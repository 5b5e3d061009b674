"""Groups of branches against the same branches alone."""

import numpy as np
import pytest
import torch
from torch import nn

from skattr._estimators.probabilities import probabilities, transform_columns
from skattr.nn import BranchLayout, FusedBranches
from skattr.nn._branches import BranchGroups
from skattr.nn._layout import GroupedLayout

PARTS = [
    BranchLayout((2, 4, 1, 3), n_categories=2, ordinal=(1,), n_auxiliary=1),
    BranchLayout((3, 2), "softmax"),
    BranchLayout((2,)),
]


def randomised(layout, hidden=None, seed=0):
    """Return branches with random parameters."""
    branches = FusedBranches(7, layout, hidden)
    for parameter in branches.parameters():
        nn.init.normal_(parameter, generator=torch.Generator().manual_seed(seed))
    return branches


def test_layouts_side_by_side():
    """Attributes follow each other, columns too; what is auxiliary is no output."""
    layout = GroupedLayout(PARTS)
    assert layout.n_classes == (2, 4, 1, 3, 3, 2, 2)
    assert layout.n_logits == sum(part.n_logits for part in PARTS)
    assert layout.forms == (
        "joint", "ordinal", "constant", "softmax", "softmax", "softmax", "sigmoid",
    )  # fmt: skip
    assert layout.outputs == (0, 1, 2, 4, 5, 6)
    columns = [column for part in layout.slices for column in range(part.start, part.stop)]
    assert sorted(columns) == list(range(layout.n_logits))


def test_outputs_are_those_of_the_parts():
    """Probabilities and columns of `transform` are those of each part, side by side."""
    layout = GroupedLayout(PARTS)
    logits = np.random.default_rng(0).normal(size=(5, layout.n_logits))
    # cumulative log odds fall
    logits[:, layout.slices[1]] = -np.sort(-logits[:, layout.slices[1]], axis=1)
    kinds = ["binary", "ordinal", "categorical", "categorical", "binary", "binary"]
    split = np.cumsum([part.n_logits for part in PARTS])[:-1]
    alone = np.split(logits, split, axis=1)
    expected = [p for part, own in zip(alone, PARTS, strict=True) for p in probabilities(part, own)]
    found = probabilities(logits, layout)
    assert len(found) == len(expected) == 6
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
    by_part = np.split(np.array(kinds), [3, 5])
    for output in ("proba", "logit"):
        parts = [
            transform_columns(part, own, list(kind), output)
            for part, own, kind in zip(alone, PARTS, by_part, strict=True)
        ]
        np.testing.assert_array_equal(
            transform_columns(logits, layout, kinds, output), np.hstack(parts)
        )


@pytest.mark.parametrize("hidden", [None, 4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_grown_branches_are_bit_identical_to_the_first(hidden, dtype):
    """However often branches are added, the columns of the earlier ones do not change a bit."""
    grown = randomised(PARTS[0], hidden).to(dtype)
    x = torch.randn(33, 7, dtype=dtype, generator=torch.Generator().manual_seed(1))
    for seed, part in enumerate(PARTS[1:], start=1):
        before = grown(x)
        new = randomised(part, None if seed == 1 else 3, seed).to(dtype)
        grown = BranchGroups(grown, new)
        after = grown(x)
        assert torch.equal(after[:, : before.shape[1]], before)
        assert torch.equal(after[:, before.shape[1] :], new(x))
    assert len(grown.groups) == len(grown.members()) == 3  # flat, however often it grew
    assert grown.layout.slices == GroupedLayout(PARTS).slices
    assert grown.bias.dtype == dtype
