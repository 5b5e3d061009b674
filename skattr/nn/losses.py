"""Losses over all branches at once, with unknown labels masked."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from skattr.nn.heads import BranchLayout


class SummedCrossEntropy(nn.Module):
    r"""Sum over attributes of the weighted mean cross-entropy over their known labels.

    .. math:: \sum_j \frac{\sum_i w_{ij} \ell_{ij}}{\sum_i w_{ij}}

    where :math:`\ell_{ij}` is the binary cross-entropy of a branch of one logit, the
    cross-entropy of its softmax otherwise, and :math:`w_{ij}` is zero where the label is
    unknown. An attribute with no known label in the batch adds nothing.

    Parameters
    ----------
    layout : BranchLayout

    Notes
    -----
    Another loss is a subclass with another :meth:`entry_losses`.
    """

    def __init__(self, layout: BranchLayout) -> None:
        super().__init__()
        self.layout = layout
        self.order: Tensor
        self.register_buffer("order", torch.tensor(layout.order, dtype=torch.long))

    def forward(self, logits: Tensor, codes: Tensor, weights: Tensor) -> Tensor:
        """Return the loss, a scalar.

        Parameters
        ----------
        logits : Tensor of shape (n, n_logits)
        codes : Tensor of shape (n, n_attributes), int64
            Class of each label in the user's order of attributes, -1 where unknown.
        weights : Tensor of shape (n, n_attributes)
            Weight of each label; what stands at an unknown one is ignored.
        """
        return self.total(*self.sums(logits, codes, weights))

    def sums(self, logits: Tensor, codes: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Return sum of weighted losses and sum of weights, both (n branches,).

        Both add up over batches, so the loss of a whole epoch is :meth:`total` of their sums.
        """
        codes = codes.index_select(1, self.order)
        weights = weights.to(logits.dtype).index_select(1, self.order)
        weights = torch.where(codes >= 0, weights, torch.zeros_like(weights))
        losses = self.entry_losses(logits, codes.clamp(min=0))
        losses = torch.where(weights > 0, losses, torch.zeros_like(losses))
        return (losses * weights).sum(0), weights.sum(0)

    @staticmethod
    def total(loss_sums: Tensor, weight_sums: Tensor) -> Tensor:
        """Return the sum over branches of their weighted mean losses."""
        divisors = torch.where(weight_sums > 0, weight_sums, torch.ones_like(weight_sums))
        return (loss_sums / divisors).sum()

    def entry_losses(self, logits: Tensor, codes: Tensor) -> Tensor:
        """Return the loss of every label, (n, n branches), in the order of the layout.

        Parameters
        ----------
        logits : Tensor of shape (n, n_logits)
        codes : Tensor of shape (n, n branches), int64, at least 0
        """
        parts = [logits[:, :0]]  # all there is if every attribute is constant
        for block in self.layout.blocks:
            block_codes = codes[:, block.branches]
            block_logits = logits[:, block.columns]
            if block.width == 1:
                parts.append(
                    functional.binary_cross_entropy_with_logits(
                        block_logits, block_codes.to(logits.dtype), reduction="none"
                    )
                )
            else:
                scores = block_logits.reshape(len(logits), -1, block.width).log_softmax(dim=-1)
                parts.append(-scores.gather(-1, block_codes.unsqueeze(-1)).squeeze(-1))
        return torch.cat(parts, dim=1)
