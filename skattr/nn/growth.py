"""Branches added to a trained network, beside those that are there."""

from collections.abc import Sequence
from functools import cached_property
from typing import Union

import torch
from torch import Tensor, nn

from skattr.nn.heads import BranchLayout, Form, FusedBranches


class GrownLayout:
    """Layouts side by side: the columns of the second follow those of the first.

    Parameters
    ----------
    parts : sequence of BranchLayout
    """

    def __init__(self, parts: Sequence[BranchLayout]) -> None:
        self.parts = tuple(parts)

    @cached_property
    def n_classes(self) -> tuple[int, ...]:
        """Classes per attribute."""
        return tuple(count for part in self.parts for count in part.n_classes)

    @cached_property
    def forms(self) -> tuple[Form, ...]:
        """Form of each attribute's branch."""
        return tuple(form for part in self.parts for form in part.forms)

    @cached_property
    def n_logits(self) -> int:
        """Columns of the logits tensor."""
        return sum(part.n_logits for part in self.parts)

    @cached_property
    def slices(self) -> tuple[slice, ...]:
        """Columns of each attribute."""
        result: list[slice] = []
        start = 0
        for part in self.parts:
            result += [slice(start + one.start, start + one.stop) for one in part.slices]
            start += part.n_logits
        return tuple(result)

    @cached_property
    def outputs(self) -> tuple[int, ...]:
        """The attributes that are outputs."""
        result: list[int] = []
        start = 0
        for part in self.parts:
            result += [start + attribute for attribute in part.outputs]
            start += len(part.n_classes)
        return tuple(result)


class GrownBranches(nn.Module):
    """Groups of branches over the same features, each computed as if it were alone.

    One matrix product over all of them could round otherwise than the product the first ones
    were trained with; kept apart, they give what they gave, to the bit.

    Parameters
    ----------
    old : FusedBranches or GrownBranches
    new : FusedBranches
    """

    def __init__(self, old: Union[FusedBranches, "GrownBranches"], new: FusedBranches) -> None:
        super().__init__()
        first = old.members() if isinstance(old, GrownBranches) else [old]
        self.groups = nn.ModuleList([*first, new])
        self.layout = GrownLayout([group.layout for group in [*first, new]])

    def members(self) -> list[FusedBranches]:
        """Return the groups."""
        return [group for group in self.groups if isinstance(group, FusedBranches)]

    @property
    def bias(self) -> Tensor:
        """The biases of the first group."""
        return self.members()[0].bias

    def forward(self, features: Tensor) -> Tensor:
        """Map features (n, n_features) to logits (n, n_logits)."""
        return torch.cat([group(features) for group in self.groups], dim=1)
