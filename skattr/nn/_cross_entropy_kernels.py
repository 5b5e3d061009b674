"""Cross-entropies per block of branches.

The number of operations does not grow with the number of branches. All of them are deterministic.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional

from skattr.nn._layout import Block, BranchLayout

# Smallest gap of two cumulative logits. Their class has the probability 0 if the gap is 0, and
# float32 rounds smaller gaps of logits of order 10 to 0.
_LEAST_GAP = 1e-6
# Most entries of a padded group per logit. Without padding, mixtures of 2 to 10 classes make the
# step of a linear network 1.1 to 1.7 times as long.
_MOST_PADDING = 2.0


def log_probabilities(block: Block, logits: Tensor) -> Tensor:
    r"""Return the log probability of every target of a block, (n, branches, n_targets).

    A cumulative link (McCullagh 1980) with logits :math:`c_k`, the log odds of class k or above,
    gives class k the probability :math:`\sigma(c_k) - \sigma(c_{k + 1})`. It is computed as
    :math:`\sigma(c_k) \sigma(-c_{k + 1}) (1 - e^{c_{k + 1} - c_k})`, which does not cancel. The
    last target of a joint branch is "present on an object of any category". Log probabilities are
    finite if the differences of the logits are.

    Parameters
    ----------
    block : Block
    logits : Tensor of shape (n, branches * width)
        The columns of the block.

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
    """Negative log probability of the target of each branch of a block.

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
            Not negative.
        """
        if self.block.form == "sigmoid":
            return functional.binary_cross_entropy_with_logits(
                logits, targets.to(logits.dtype), reduction="none"
            )
        scores = log_probabilities(self.block, logits)
        return _negative_at(scores, targets, dim=-1)


class SoftmaxCrossEntropies(CrossEntropies):
    """Cross-entropies of adjacent softmax blocks, padded to the width of the widest.

    The padded logits have shape (n, width, branches). On the CPU the softmax over the second axis
    takes a twentieth of the time of one over the last axis.

    Parameters
    ----------
    blocks : sequence of Block
        Blocks of the form "softmax", in the order of the layout.

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
        super().__init__(_merge(blocks))
        widths = torch.tensor([block.width for block in blocks for _ in range(block.n_branches)])
        is_padding = torch.arange(self.block.width)[:, None] >= widths
        # The place of each logit among the padded ones, and the logit at each place. Places of
        # padding read column 0, and are then masked.
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
        return _negative_at(padded.log_softmax(dim=1), targets, dim=1)


class _Pad(Function):
    """Copy the columns of the logits to their places among padded branches.

    Autograd would add up the gradients with :meth:`Tensor.index_add_`, whose order is not
    deterministic on CUDA. Each logit has one place, so that its gradient can be read from there.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, columns: Tensor, places: Tensor) -> Tensor:
        ctx.places = places
        return logits.index_select(1, columns)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return gradient.index_select(1, ctx.places), None, None


def _negative_at(scores: Tensor, targets: Tensor, dim: int) -> Tensor:
    """Return the negated log probabilities of the targets along an axis, bounded to be finite.

    An infinite loss of a label with weight 0 would make the sum NaN.
    """
    chosen: Tensor = scores.gather(dim, targets.unsqueeze(dim)).squeeze(dim)
    return -chosen.clamp(min=torch.finfo(scores.dtype).min)


def make_cross_entropies(layout: BranchLayout, *, padded: bool = True) -> list[CrossEntropies]:
    """Return modules that together compute the cross-entropies of all branches, in order.

    Parameters
    ----------
    layout : BranchLayout
    padded : bool
        Whether softmax blocks of three and more classes may be computed together, as long as
        padding at most doubles their entries. The number of modules then grows at most with the
        logarithm of the largest width.

    Returns
    -------
    list of CrossEntropies
    """
    groups: list[list[Block]] = []
    # From the widest to the narrowest, so that the width of a group is known from its last block.
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
    """Whether a block may be padded to the width of the blocks after it."""
    if block.form != "softmax" or group[0].form != "softmax" or block.is_binary:
        return False
    n_branches = [block.n_branches, *(other.n_branches for other in group)]
    widths = [block.width, *(other.width for other in group)]
    n_logits = sum(count * width for count, width in zip(n_branches, widths, strict=True))
    return sum(n_branches) * group[-1].width <= _MOST_PADDING * n_logits


def _merge(blocks: Sequence[Block]) -> Block:
    """Return one block in place of several, as wide as the widest."""
    return Block(
        "softmax",
        blocks[-1].width,
        slice(blocks[0].branches.start, blocks[-1].branches.stop),
        slice(blocks[0].columns.start, blocks[-1].columns.stop),
    )
