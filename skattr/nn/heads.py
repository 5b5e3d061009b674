"""Branches of all attributes as one fused linear map, and where each stands in its output.

The logits of all attributes leave the network as one tensor. Inside it, attributes of equal
width stand next to each other, narrow ones first, so that all branches of one width are a
contiguous block which reshapes to (n, branches, width) without a copy: losses and hidden layers
loop over the few distinct widths, never over the attributes, and need no scatter.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


@dataclass(frozen=True)
class Block:
    """All branches of one width.

    Attributes
    ----------
    width : int
        Logits per branch.
    branches : slice
        The block's branches, in the order of the layout.
    columns : slice
        The block's columns in the logits.
    """

    width: int
    branches: slice
    columns: slice


@dataclass(frozen=True)
class BranchLayout:
    """Where the logits of each attribute stand.

    Parameters
    ----------
    n_classes : tuple of int
        Classes per attribute, in the user's order.
    binary_head : {"sigmoid", "softmax"}
        Whether an attribute of two classes has one logit or two.

    Notes
    -----
    An attribute of one class is constant: it has no logit and its slice is empty.

    Examples
    --------
    >>> layout = BranchLayout((3, 2, 3))
    >>> layout.slices
    (slice(1, 4, None), slice(0, 1, None), slice(4, 7, None))
    >>> layout.order
    (1, 0, 2)
    """

    n_classes: tuple[int, ...]
    binary_head: str = "sigmoid"

    @cached_property
    def widths(self) -> tuple[int, ...]:
        """Logits per attribute, in the user's order."""
        narrow = {1: 0, 2: 1 if self.binary_head == "sigmoid" else 2}
        return tuple(narrow.get(count, count) for count in self.n_classes)

    @cached_property
    def order(self) -> tuple[int, ...]:
        """The attributes that have logits, in the order of the layout."""
        attributes = [j for j, width in enumerate(self.widths) if width > 0]
        return tuple(sorted(attributes, key=lambda j: self.widths[j]))

    @cached_property
    def n_logits(self) -> int:
        """Columns of the logits tensor."""
        return sum(self.widths)

    @cached_property
    def slices(self) -> tuple[slice, ...]:
        """Columns of each attribute, in the user's order."""
        result = [slice(0, 0)] * len(self.widths)
        start = 0
        for attribute in self.order:
            result[attribute] = slice(start, start + self.widths[attribute])
            start += self.widths[attribute]
        return tuple(result)

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """The contiguous blocks of equal width, narrow ones first."""
        blocks: list[Block] = []
        branch = column = 0
        ordered = [self.widths[attribute] for attribute in self.order]
        for width in sorted(set(ordered)):
            count = ordered.count(width)
            blocks.append(
                Block(width, slice(branch, branch + count), slice(column, column + count * width))
            )
            branch += count
            column += count * width
        return tuple(blocks)


class FusedBranches(nn.Module):
    """One branch per attribute, computed together.

    Parameters
    ----------
    n_features : int
        Width of the shared features.
    layout : BranchLayout
    hidden : int, optional
        If given, every branch has a layer of `hidden` rectified units of its own before its
        logits.

    Notes
    -----
    The map to the logits starts at zero, so that a fresh network predicts what is written into
    its biases (see :meth:`set_prior`), and a branch that is never trained stays there.
    """

    def __init__(self, n_features: int, layout: BranchLayout, hidden: int | None = None) -> None:
        super().__init__()
        self.layout = layout
        self.bias = nn.Parameter(torch.zeros(layout.n_logits))
        self.n_hidden = hidden if layout.order else None
        if self.n_hidden is None:
            self.weight = nn.Parameter(torch.zeros(layout.n_logits, n_features))
        else:
            self.hidden = nn.Linear(n_features, self.n_hidden * len(layout.order))
            nn.init.kaiming_uniform_(self.hidden.weight, a=math.sqrt(5))
            self.weights = nn.ParameterList(
                torch.zeros(block.branches.stop - block.branches.start, self.n_hidden, block.width)
                for block in layout.blocks
            )

    def set_prior(self, logits: Tensor) -> None:
        """Let the untrained branches predict `logits`, (n_logits,), for every input."""
        with torch.no_grad():
            self.bias.copy_(logits)

    def forward(self, features: Tensor) -> Tensor:
        """Map features (n, n_features) to logits (n, n_logits)."""
        if self.n_hidden is None:
            return nn.functional.linear(features, self.weight, self.bias)
        hidden = torch.relu(self.hidden(features))
        hidden = hidden.view(len(features), -1, self.n_hidden).transpose(0, 1)
        blocks = [
            torch.bmm(hidden[block.branches], weight).transpose(0, 1).reshape(len(features), -1)
            for block, weight in zip(self.layout.blocks, self.weights, strict=True)
        ]
        return torch.cat(blocks, dim=1) + self.bias


def prior_logits(layout: BranchLayout, counts: Sequence[NDArray[np.float64]]) -> Tensor:
    """Return the logits that predict each attribute's class frequencies.

    Parameters
    ----------
    layout : BranchLayout
    counts : sequence of ndarray of shape (n_classes,)
        The weight of the known labels of each class, per attribute in the user's order.

    Returns
    -------
    Tensor of shape (n_logits,)
        Log odds for one logit, log frequencies otherwise; one is added to each count
        (Laplace), so no labels at all give equal frequencies.
    """
    logits = torch.zeros(layout.n_logits, dtype=torch.float64)
    for columns, count in zip(layout.slices, counts, strict=True):
        width = columns.stop - columns.start
        if width == 0:
            continue
        log = torch.tensor(np.log(count + 1), dtype=torch.float64)
        logits[columns] = log[1] - log[0] if width == 1 else log - torch.logsumexp(log, 0)
    return logits
