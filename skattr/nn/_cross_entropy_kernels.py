"""Cross-entropies of all branches, in a number of operations that does not grow with theirs."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional

from skattr.nn._layout import Block, BranchLayout

_LEAST_GAP = 1e-6  # of two cumulative logits: below, their class has no probability to take logs of
_MOST_PADDING = 2.0  # entries of a padded group per logit


def log_probabilities(block: Block, logits: Tensor) -> Tensor:
    r"""Return the log probability of every target of a block, (n, branches, n_targets).

    A cumulative link (McCullagh 1980) with logits :math:`c_k`, the log odds of class k or above,
    gives class k the probability :math:`\sigma(c_k) - \sigma(c_{k + 1})`, computed as
    :math:`\sigma(c_k) \sigma(-c_{k + 1}) (1 - e^{c_{k + 1} - c_k})`. The last target of a joint
    branch is "present on an object of any category". Log probabilities of finite logits are
    finite, as long as the logits' differences are.

    Parameters
    ----------
    block : Block
    logits : Tensor of shape (n, branches * width)
        The block's columns.

    Examples
    --------
    >>> (block,) = BranchLayout((3,), ordinal=(0,)).blocks
    >>> log_probabilities(block, torch.tensor([[1.0, -1.0]])).exp()
    tensor([[[0.2689, 0.4621, 0.2689]]])
    """
    logits = logits.reshape(len(logits), block.n_branches, block.width)
    if block.form == "softmax":
        return logits.log_softmax(dim=-1)
    if block.form == "joint":
        scores = logits.log_softmax(dim=-1)
        return torch.cat([scores, scores[..., 1:].logsumexp(dim=-1, keepdim=True)], dim=-1)
    below, above = functional.logsigmoid(-logits), functional.logsigmoid(logits)
    if block.form == "sigmoid":
        return torch.cat([below, above], dim=-1)
    gaps = logits.diff(dim=-1).clamp(max=-_LEAST_GAP)
    between = above[..., :-1] + below[..., 1:] + torch.log(-torch.expm1(gaps))
    return torch.cat([below[..., :1], between, above[..., -1:]], dim=-1)


class CrossEntropies(nn.Module):
    """Minus the log probability of the target of each branch of a block.

    Parameters
    ----------
    block : Block

    Examples
    --------
    >>> (block,) = BranchLayout((2, 2)).blocks
    >>> CrossEntropies(block)(torch.zeros(1, 2), torch.tensor([[0, 1]]))
    tensor([[0.6931, 0.6931]])
    """

    def __init__(self, block: Block) -> None:
        super().__init__()
        self.block = block

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return finite cross-entropies, (n, branches).

        Parameters
        ----------
        logits : Tensor of shape (n, branches * width)
        targets : Tensor of shape (n, branches), int64
            None negative.
        """
        if self.block.form == "sigmoid":
            return functional.binary_cross_entropy_with_logits(
                logits, targets.to(logits.dtype), reduction="none"
            )
        scores = log_probabilities(self.block, logits)
        return _minus_chosen(scores, targets, dim=-1)


class SoftmaxCrossEntropies(CrossEntropies):
    """The same of neighbouring softmax blocks, whose branches are padded to the widest.

    Logits are gathered as (n, width, branches), in which the softmax over classes runs over all
    branches at once, and their gradients are gathered back: nothing is added up in an order that
    could change.

    Parameters
    ----------
    blocks : sequence of Block
        All of the form softmax, in the order of the layout.

    Examples
    --------
    >>> blocks = BranchLayout((3, 4)).blocks
    >>> SoftmaxCrossEntropies(blocks)(torch.zeros(1, 7), torch.tensor([[0, 3]]))
    tensor([[1.0986, 1.3863]])
    """

    columns: Tensor
    places: Tensor
    is_padding: Tensor | None

    def __init__(self, blocks: Sequence[Block]) -> None:
        super().__init__(_merged(blocks))
        widths = torch.tensor([block.width for block in blocks for _ in range(block.n_branches)])
        is_padding = torch.arange(self.block.width)[:, None] >= widths
        places = torch.arange(is_padding.numel()).view(is_padding.shape)
        places = places.T[~is_padding.T]
        columns = torch.zeros(is_padding.numel(), dtype=torch.int64)
        columns[places] = torch.arange(len(places))
        self.register_buffer("columns", columns, persistent=False)
        self.register_buffer("places", places, persistent=False)
        padding = is_padding if is_padding.any() else None
        self.register_buffer("is_padding", padding, persistent=False)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return finite cross-entropies, (n, branches)."""
        padded: Tensor = _Pad.apply(logits, self.columns, self.places)
        padded = padded.view(len(logits), self.block.width, self.block.n_branches)
        if self.is_padding is not None:
            padded = padded.masked_fill(self.is_padding, -torch.inf)
        return _minus_chosen(padded.log_softmax(dim=1), targets, dim=1)


class _Pad(Function):
    """Columns of the logits at their places among padded branches.

    Autograd would add gradients up in :meth:`Tensor.index_add_`, whose order on CUDA is not
    fixed. Here every logit has one place, so that its gradient is only fetched from there.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, columns: Tensor, places: Tensor) -> Tensor:
        ctx.places = places
        return logits.index_select(1, columns)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return gradient.index_select(1, ctx.places), None, None


def _minus_chosen(scores: Tensor, targets: Tensor, dim: int) -> Tensor:
    """Return minus the log probabilities of targets along an axis, bounded to be finite.

    An infinite loss would make a loss of NaN even if its weight is 0.
    """
    chosen: Tensor = scores.gather(dim, targets.unsqueeze(dim)).squeeze(dim)
    return -chosen.clamp(min=torch.finfo(scores.dtype).min)


def make_cross_entropies(layout: BranchLayout, *, padded: bool = True) -> list[CrossEntropies]:
    """Return modules that together give the cross-entropies of all branches, in their order.

    Parameters
    ----------
    layout : BranchLayout
    padded : bool
        Whether softmax blocks of three and more classes may be computed together, as long as
        padding no more than doubles their entries: the number of modules then grows with the
        logarithm of the largest width at most.

    Returns
    -------
    list of CrossEntropies
    """
    groups: list[list[Block]] = []
    for block in reversed(layout.blocks):
        if padded and groups and _fits(block, groups[-1]):
            groups[-1].insert(0, block)
        else:
            groups.append([block])
    return [
        SoftmaxCrossEntropies(group) if group[0].form == "softmax" else CrossEntropies(group[0])
        for group in reversed(groups)
    ]


def _fits(block: Block, group: list[Block]) -> bool:
    """Whether a block may be padded to the width of the blocks that follow it."""
    if block.form != "softmax" or group[0].form != "softmax" or block.is_binary:
        return False
    together = [block, *group]
    n_padded = sum(one.n_branches for one in together) * group[-1].width
    return n_padded <= _MOST_PADDING * sum(one.n_branches * one.width for one in together)


def _merged(blocks: Sequence[Block]) -> Block:
    """Return one block for several, as wide as the widest."""
    return Block(
        "softmax",
        blocks[-1].width,
        slice(blocks[0].branches.start, blocks[-1].branches.stop),
        slice(blocks[0].columns.start, blocks[-1].columns.stop),
    )
