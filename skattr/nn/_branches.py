"""Branches of all attributes as one fused map, and where each stands in its output.

The logits of all attributes leave the network as one tensor. Inside it, attributes of equal form
and width stand next to each other, so that all branches of a kind are a contiguous block which
reshapes to (n, branches, width) without a copy: losses and hidden layers loop over the few
distinct blocks, never over the attributes, and need no scatter.
"""

import contextlib
import math
from collections.abc import Collection, Iterator, Sequence
from typing import Union

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from skattr.nn._layout import BranchLayout, GroupedLayout


class FusedBranches(nn.Module):
    """One branch per attribute, computed together.

    A branch maps the shared features to its logits. Of an ordinal branch the map gives the first
    cumulative logit, and for each of the others how far it is below the one before, through
    softplus: the logits fall from class to class, so no class probability is negative. It is the
    partial proportional odds model (Peterson & Harrell 1990), whose thresholds may depend on the
    features, with thresholds that cannot cross.

    Parameters
    ----------
    n_features : int
        Width of the shared features.
    layout : BranchLayout
    hidden : int, optional
        If given, every branch has a layer of `hidden` rectified units of its own before its
        logits.
    dropout : float
        Probability to drop a hidden unit in training.

    Notes
    -----
    The map to the logits starts at zero, so that fresh branches predict what is written into
    their biases (see :meth:`set_prior`), and a branch that is never trained stays there; unless
    :meth:`init_weights` starts it at random.
    """

    def __init__(
        self,
        n_features: int,
        layout: BranchLayout,
        hidden: int | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.layout = layout
        self.ordinal_blocks = [block for block in layout.blocks if block.form == "ordinal"]
        self.n_plain = layout.n_logits
        if self.ordinal_blocks:
            self.n_plain = self.ordinal_blocks[0].columns.start
        self.bias = nn.Parameter(torch.zeros(layout.n_logits))
        self.n_hidden = hidden if layout.order else None
        if self.n_hidden is None:
            self.weight = nn.Parameter(torch.zeros(layout.n_logits, n_features))
        else:
            self.hidden = nn.Linear(n_features, self.n_hidden * len(layout.order))
            nn.init.kaiming_uniform_(self.hidden.weight, a=math.sqrt(5))
            self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()
            self.weights = nn.ParameterList(
                torch.zeros(block.n_branches, self.n_hidden, block.width) for block in layout.blocks
            )

    def set_prior(self, logits: Tensor) -> None:
        """Let the untrained branches predict `logits`, (n_logits,), for every input."""
        scores = logits.clone()
        for block in self.ordinal_blocks:
            cumulative = scores[block.columns].view(-1, block.width)
            steps = -cumulative.diff(dim=1)
            cumulative[:, 1:] = steps + torch.log(-torch.expm1(-steps))  # undoes softplus
        with torch.no_grad():
            self.bias.copy_(scores)

    def init_weights(self, untrained: Collection[int] = ()) -> None:
        """Start the maps to the logits at random, as torch's linear layers do.

        A map of zeros passes no gradient on to the layers below, and next to none while it is
        small, so that these begin to learn late.

        Parameters
        ----------
        untrained : collection of int
            Attributes whose maps stay zero; those of the others do not depend on them.
        """
        order = self.layout.order
        is_drawn = torch.tensor([one not in untrained for one in order], dtype=torch.bool)
        if self.n_hidden is None:
            widths = torch.tensor([self.layout.widths[one] for one in order], dtype=torch.long)
            _draw(self.weight, is_drawn.repeat_interleave(widths), len(self.weight.T))
            return
        for block, weight in zip(self.layout.blocks, self.weights, strict=True):
            _draw(weight, is_drawn[block.branches], self.n_hidden)

    @contextlib.contextmanager
    def preserve_attributes(self, attributes: Collection[int]) -> Iterator[None]:
        """Put back what belongs to the branches of some attributes when the context is left.

        The optimizer changes what has no gradient, too: it decays it, or its momentum goes on.
        """
        before = [[values.clone() for values in self._of(one)] for one in attributes]
        yield
        for attribute, own in zip(attributes, before, strict=True):
            for values, old in zip(self._of(attribute), own, strict=True):
                values.copy_(old)

    def _of(self, attribute: int) -> list[Tensor]:
        """Return views, without gradients, of all parameters of one branch."""
        columns = self.layout.slices[attribute]
        bias = self.bias.detach()[columns]
        if self.n_hidden is None:
            return [bias, self.weight.detach()[columns]]
        if attribute not in self.layout.order:
            return [bias]
        place = self.layout.order.index(attribute)
        units = slice(place * self.n_hidden, (place + 1) * self.n_hidden)
        maps = [
            weight.detach()[place - block.branches.start]
            for block, weight in zip(self.layout.blocks, self.weights, strict=True)
            if block.branches.start <= place < block.branches.stop
        ]
        return [
            bias, self.hidden.weight.detach()[units], self.hidden.bias.detach()[units], *maps
        ]  # fmt: skip

    def forward(self, features: Tensor) -> Tensor:
        """Map features (n, n_features) to logits (n, n_logits)."""
        if self.n_hidden is None:
            scores = nn.functional.linear(features, self.weight, self.bias)
        else:
            scores = self._through_hidden(features) + self.bias
        if not self.ordinal_blocks:
            return scores
        parts = [scores[:, : self.n_plain]]
        for block in self.ordinal_blocks:
            part = scores[:, block.columns].reshape(len(scores), -1, block.width)
            first, gaps = part[..., :1], nn.functional.softplus(part[..., 1:])
            parts.append(torch.cat([first, first - gaps.cumsum(dim=-1)], dim=-1).flatten(1))
        return torch.cat(parts, dim=1)

    def _through_hidden(self, features: Tensor) -> Tensor:
        """Return what branches with a hidden layer give, (n, n_logits), without their biases."""
        hidden = self.dropout(torch.relu(self.hidden(features)))
        hidden = hidden.view(len(features), -1, self.n_hidden).transpose(0, 1)
        blocks = [
            torch.bmm(hidden[block.branches], weight).transpose(0, 1).reshape(len(features), -1)
            for block, weight in zip(self.layout.blocks, self.weights, strict=True)
        ]
        return torch.cat(blocks, dim=1)


def _draw(values: Tensor, is_drawn: Tensor, fan_in: int) -> None:
    """Replace some rows of `values` by what :class:`torch.nn.Linear` starts with."""
    drawn = values.new_empty((int(is_drawn.sum()), *values.shape[1:]))
    with torch.no_grad():
        values[is_drawn] = nn.init.uniform_(drawn, -(fan_in**-0.5), fan_in**-0.5)


class CategoryFiLM(nn.Module):
    """Scale and shift shared features by the category of the object (FiLM, Perez et al. 2018).

    Parameters
    ----------
    n_categories, n_features : int
    dropout : float
        Share of rows in training whose category is taken for unknown, so that the network
        learns what to do without it.
    """

    def __init__(self, n_categories: int, n_features: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.unknown = n_categories
        self.table = nn.Parameter(torch.zeros(n_categories + 1, 2 * n_features))
        self.dropout = nn.Dropout(dropout)

    def forward(self, features: Tensor, category: Tensor) -> Tensor:
        """Modulate features (n, n_features) by categories (n,), int64, -1 where unknown."""
        is_kept = self.dropout(torch.ones_like(category, dtype=features.dtype)) > 0
        rows = torch.where(is_kept & (category >= 0), category, self.unknown)
        scale, shift = self.table.index_select(0, rows).chunk(2, dim=1)
        return torch.addcmul(features + shift, features, scale)


def initial_logits(layout: BranchLayout, counts: Sequence[NDArray[np.float64]]) -> Tensor:
    """Return the logits that predict each attribute's class frequencies.

    Parameters
    ----------
    layout : BranchLayout
    counts : sequence of ndarray of shape (n_targets,)
        The weight of the known labels of each target, per attribute in the user's order. What
        is present on objects of unknown category counts for all categories alike.

    Returns
    -------
    Tensor of shape (n_logits,)
        Log odds for one logit, cumulative log odds for ordinal attributes, log frequencies
        otherwise; one is added to each count (Laplace), so no labels at all give equal
        frequencies.
    """
    logits = np.zeros(layout.n_logits)
    for columns, form, count in zip(layout.slices, layout.forms, counts, strict=True):
        if form == "constant":
            continue
        if form == "joint":
            absent, present, anywhere = count[0], count[1:-1], count[-1]
            share = (present + 1) / (present + 1).sum()
            log = np.log(np.concatenate([[absent + 1], share * (present.sum() + anywhere + 1)]))
            logits[columns] = log - np.logaddexp.reduce(log)
            continue
        count = count + 1
        if form == "softmax":
            logits[columns] = np.log(count / count.sum())
        else:
            above = count[::-1].cumsum()[::-1][1:]
            logits[columns] = np.log(above) - np.log(count.cumsum()[:-1])
    return torch.from_numpy(logits)


class BranchGroups(nn.Module):
    """Groups of branches over the same features, each computed as if it were alone.

    One matrix product over all of them could round otherwise than the product the first ones
    were trained with; kept apart, they give what they gave, to the bit.

    Parameters
    ----------
    old : FusedBranches or BranchGroups
    new : FusedBranches
    """

    def __init__(self, old: Union[FusedBranches, "BranchGroups"], new: FusedBranches) -> None:
        super().__init__()
        first = old.members() if isinstance(old, BranchGroups) else [old]
        self.groups = nn.ModuleList([*first, new])
        self.layout = GroupedLayout([group.layout for group in [*first, new]])

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
