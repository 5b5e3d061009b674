"""Branches of all attributes, computed together, and modulation by the object category."""

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

    A branch maps the shared features to its logits. The map of an ordinal branch gives the first
    cumulative logit and the steps down to each of the following ones, made positive by softplus.
    The cumulative logits thus decrease from class to class, and no class probability is negative.
    This is the partial proportional odds model (Peterson & Harrell 1990), whose thresholds may
    depend on the features, with thresholds that cannot cross.

    Parameters
    ----------
    n_features : int
        Number of shared features.
    layout : BranchLayout
    hidden : int, optional
        If given, each branch has its own layer of `hidden` ReLU units before its logits.
    dropout : float
        Probability of dropping a hidden unit in training.

    Notes
    -----
    The maps to the logits are zero at first, so that untrained branches predict their biases (see
    :meth:`set_prior`). :meth:`init_weights` replaces the zeros by random weights.
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
        # Not the bias of a Linear: branches with a hidden layer have one too, see set_prior.
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
        """Set the biases so that maps of zeros predict `logits`, (n_logits,), for every input."""
        scores = logits.clone()
        for block in self.ordinal_blocks:
            cumulative = scores[block.columns].view(-1, block.width)
            steps = -cumulative.diff(dim=1)
            cumulative[:, 1:] = steps + torch.log(-torch.expm1(-steps))  # inverse of softplus
        with torch.no_grad():
            self.bias.copy_(scores)

    def init_weights(self, untrained: Collection[int] = ()) -> None:
        """Initialize the maps to the logits at random, as in :class:`torch.nn.Linear`.

        A map of zeros passes no gradient to the layers below, and hardly any while it is small, so
        that a backbone begins to learn late.

        Parameters
        ----------
        untrained : collection of int
            Attributes whose maps stay zero. The weights of the others do not depend on them.
        """
        order = self.layout.order
        is_drawn = torch.tensor([j not in untrained for j in order], dtype=torch.bool)
        if self.n_hidden is None:
            widths = torch.tensor([self.layout.widths[j] for j in order], dtype=torch.long)
            _draw(self.weight, is_drawn.repeat_interleave(widths), len(self.weight.T))
            return
        for block, weight in zip(self.layout.blocks, self.weights, strict=True):
            _draw(weight, is_drawn[block.branches], self.n_hidden)

    @contextlib.contextmanager
    def preserve_attributes(self, attributes: Collection[int]) -> Iterator[None]:
        """Restore the parameters of some attributes' branches when the context is left.

        A gradient of zero does not protect them: optimizers decay weights, and momentum goes on.
        """
        before = [[values.clone() for values in self._views(j)] for j in attributes]
        yield
        for attribute, saved in zip(attributes, before, strict=True):
            for values, old in zip(self._views(attribute), saved, strict=True):
                values.copy_(old)

    def _views(self, attribute: int) -> list[Tensor]:
        """Return detached views of all parameters of one branch."""
        columns = self.layout.slices[attribute]
        bias = self.bias.detach()[columns]
        if self.n_hidden is None:
            return [bias, self.weight.detach()[columns]]
        if attribute not in self.layout.order:
            return [bias]
        position = self.layout.order.index(attribute)
        units = slice(position * self.n_hidden, (position + 1) * self.n_hidden)
        maps = [
            weight.detach()[position - block.branches.start]
            for block, weight in zip(self.layout.blocks, self.weights, strict=True)
            if block.branches.start <= position < block.branches.stop
        ]
        return [
            bias, self.hidden.weight.detach()[units], self.hidden.bias.detach()[units], *maps
        ]  # fmt: skip

    def forward(self, features: Tensor) -> Tensor:
        """Map features (n, n_features) to logits (n, n_logits)."""
        if self.n_hidden is None:
            scores = nn.functional.linear(features, self.weight, self.bias)
        else:
            scores = self._hidden_scores(features) + self.bias
        if not self.ordinal_blocks:
            return scores
        parts = [scores[:, : self.n_plain]]
        for block in self.ordinal_blocks:
            part = scores[:, block.columns].reshape(len(scores), -1, block.width)
            first, gaps = part[..., :1], nn.functional.softplus(part[..., 1:])
            parts.append(torch.cat([first, first - gaps.cumsum(dim=-1)], dim=-1).flatten(1))
        return torch.cat(parts, dim=1)

    def _hidden_scores(self, features: Tensor) -> Tensor:
        """Return the outputs of branches with a hidden layer, (n, n_logits), without biases."""
        hidden = self.dropout(torch.relu(self.hidden(features)))
        hidden = hidden.view(len(features), -1, self.n_hidden).transpose(0, 1)
        # One batched product per block: branches of a block have maps of the same shape.
        blocks = [
            torch.bmm(hidden[block.branches], weight).transpose(0, 1).reshape(len(features), -1)
            for block, weight in zip(self.layout.blocks, self.weights, strict=True)
        ]
        return torch.cat(blocks, dim=1)


def _draw(values: Tensor, is_drawn: Tensor, fan_in: int) -> None:
    """Replace some rows of `values` by initial weights as of :class:`torch.nn.Linear`."""
    drawn = values.new_empty((int(is_drawn.sum()), *values.shape[1:]))
    with torch.no_grad():
        values[is_drawn] = nn.init.uniform_(drawn, -(fan_in**-0.5), fan_in**-0.5)


class BranchGroups(nn.Module):
    """Groups of branches over the same features, each with a matrix product of its own.

    One product over all of them could round differently from the product that the first branches
    were trained with. Computed apart, their logits stay bit-identical.

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


class CategoryFiLM(nn.Module):
    """Scale and shift shared features by the category of the object (FiLM, Perez et al. 2018).

    Parameters
    ----------
    n_categories, n_features : int
    dropout : float
        Share of rows in training whose category is treated as unknown, so that the network
        learns to predict without it.
    """

    def __init__(self, n_categories: int, n_features: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.unknown = n_categories
        self.table = nn.Parameter(torch.zeros(n_categories + 1, 2 * n_features))
        self.dropout = nn.Dropout(dropout)

    def forward(self, features: Tensor, category: Tensor) -> Tensor:
        """Modulate features (n, n_features) by categories (n,), int64, -1 if unknown."""
        # The last row of the table is for unknown categories. It is learned from rows without one
        # and from those that dropout selects.
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
        Total weight of the known labels of each target, per attribute in the column order of y.
        Labels "present" on objects of unknown category are shared out in proportion to
        those of known category.

    Returns
    -------
    Tensor of shape (n_logits,)
        Log odds for a single logit, cumulative log odds for ordinal attributes, and log
        frequencies otherwise. One is added to each count (Laplace), so that attributes without a
        label get equal frequencies.
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
