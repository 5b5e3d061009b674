"""Cross-entropy of all branches at once, with missing labels masked."""

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from skattr.nn._cross_entropy_kernels import log_probabilities, make_cross_entropies
from skattr.nn._layout import Block, BranchLayout

Unknown = Literal["ignore", "negative", "selective"]


class SummedCrossEntropy(nn.Module):
    r"""Sum over attributes of the weighted mean cross-entropy over their known labels.

    .. math:: \sum_j \omega_j
        \frac{\sum_i w_{ij} \sum_c t_{ijc} v_{jc} \ell_{ijc}}{\sum_i w_{ij} m_{j c_{ij}}}

    where :math:`\ell_{ijc}` is minus the log probability of class c, :math:`t_{ijc}` is 1 for
    the label's class and 0 otherwise unless labels are smoothed, and :math:`w_{ij}` is zero where
    the label is missing. An attribute without a known label in the batch adds nothing. All of v, m
    and :math:`\omega` are 1 unless given.

    Parameters
    ----------
    layout : BranchLayout
    loss_factors : sequence of array-like of shape (n_targets,) or None, optional
        :math:`v_j`, per attribute in the column order of y: factor of the loss of labels of each
        target.
    mean_factors : sequence of array-like of shape (n_targets,) or None, optional
        :math:`m_j`: factor of the label's weight in the divisor. A class weight belongs in both,
        as in torch's ``CrossEntropyLoss(weight=)``, and a positive weight in `loss_factors` only,
        as in ``BCEWithLogitsLoss(pos_weight=)``.
    attribute_weights : array-like of shape (n_attributes,) or "uncertainty", optional
        :math:`\omega`. With ``"uncertainty"`` it is learned: attribute j adds
        :math:`e^{-s_j}` times its mean loss and :math:`s_j / 2`, where :math:`s_j` are the
        parameters `log_variances` (Kendall, Gal & Cipolla 2018), in the order of the layout.
    label_smoothing : float
        Share of a label that is spread evenly over the classes of its attribute, as in torch's
        losses: over 0 and 1 for a single logit, over the logits otherwise.
    unknown : {"ignore", "negative", "selective"}
        Treatment of missing labels of binary branches. With "ignore" they have no loss. With
        "negative" they count as negatives. With "selective" they count as negatives unless they
        are likely to be positive (Ben-Baruch et al. 2022), in which case they add nothing to the
        numerator. Missing labels of other branches are always ignored.
    priors : array-like of shape (n_attributes,), optional
        Share of positives of each attribute, NaN where there is none.
    prior_threshold : float, optional
        With ``unknown="selective"`` the missing labels of attributes with a larger prior are
        likely positives.
    top_k : int
        So are those with the largest predicted probability in the batch, `top_k` per row on
        average. A batch without more missing labels than that ignores all of them.
    dtype : torch.dtype
        Type of the factors and of the learned weights.

    Notes
    -----
    To define another loss, override :meth:`label_losses`, which is elementwise. Factors,
    smoothing and missing labels are handled here.

    Examples
    --------
    >>> loss = SummedCrossEntropy(BranchLayout((2, 3)), loss_factors=[[1, 9], None])
    >>> logits, codes = torch.zeros(5, 4), torch.tensor([[1, 0]] * 5)
    >>> round(loss(logits, codes, torch.ones(5, 2)).item(), 3)  # 9 log 2 + log 3
    7.337
    """

    order: Tensor | None
    is_binary: Tensor
    loss_table: Tensor | None
    mean_table: Tensor | None
    attribute_weights: Tensor | None
    is_frequent: Tensor | None

    def __init__(
        self,
        layout: BranchLayout,
        *,
        loss_factors: Sequence[ArrayLike | None] | None = None,
        mean_factors: Sequence[ArrayLike | None] | None = None,
        attribute_weights: ArrayLike | Literal["uncertainty"] | None = None,
        label_smoothing: float = 0.0,
        unknown: Unknown = "ignore",
        priors: ArrayLike | None = None,
        prior_threshold: float | None = 0.05,
        top_k: int = 5,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        if unknown not in get_args(Unknown):
            raise ValueError(f"unknown must be one of {get_args(Unknown)}; got {unknown!r}.")
        self.layout = layout
        self.label_smoothing = label_smoothing
        self.unknown = unknown
        self.top_k = top_k
        binary = [block.is_binary for block in layout.blocks for _ in range(block.n_branches)]
        # Smoothing needs the log probabilities of all classes, not those of the targets alone, so
        # that blocks of different widths cannot share one padded softmax.
        parts = make_cross_entropies(layout, padded=not label_smoothing)
        self.cross_entropies = nn.ModuleList(parts)
        # Plain cross-entropies are bounded, which saves a linear network 5 % of a fit.
        has_own_losses = type(self).label_losses is not SummedCrossEntropy.label_losses
        self._may_overflow = has_own_losses or label_smoothing > 0 or loss_factors is not None
        is_learned = isinstance(attribute_weights, str)
        is_ordered = layout.order == tuple(range(len(layout.n_classes)))
        order = None if is_ordered else torch.tensor(layout.order, dtype=torch.long)
        self.register_buffer("order", order)
        self.register_buffer("is_binary", torch.tensor(binary, dtype=torch.bool))
        for name, factors in (("loss", loss_factors), ("mean", mean_factors)):
            table = _table(layout, f"{name}_factors", factors)
            self.register_buffer(f"{name}_table", None if table is None else table.to(dtype))
        if is_learned and attribute_weights != "uncertainty":
            raise ValueError(
                'attribute_weights must be an array, "uncertainty" or None; got '
                f"{attribute_weights!r}."
            )
        fixed = None if is_learned else _vector(layout, "attribute_weights", attribute_weights)
        self.register_buffer("attribute_weights", None if fixed is None else fixed.to(dtype))
        self.log_variances = (
            nn.Parameter(torch.zeros(len(binary), dtype=dtype)) if is_learned else None
        )
        shares = _vector(layout, "priors", priors)
        is_frequent = None
        if shares is not None and prior_threshold is not None:
            is_frequent = shares > prior_threshold
        self.register_buffer("is_frequent", is_frequent)

    def forward(self, logits: Tensor, codes: Tensor, weights: Tensor) -> Tensor:
        """Return the loss, a scalar.

        Parameters
        ----------
        logits : Tensor of shape (n, n_logits)
        codes : Tensor of shape (n, n_attributes), int64
            Target of each label (see :class:`BranchLayout`) in the column order of y, -1 where it
            is missing.
        weights : Tensor of shape (n, n_attributes)
            Weight of each label. The weight of a missing label is ignored, unless `unknown` makes
            the label count.
        """
        return self.total(*self.sums(logits, codes, weights))

    def sums(self, logits: Tensor, codes: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Return the sums of weighted losses and of weights, both of shape (n_branches,).

        Both add up over batches, so that :meth:`total` of their sums is the loss of an epoch.
        """
        codes, weights = self._in_layout_order(codes, weights.to(logits.dtype))
        weight_sums = self._weight_sums(codes, weights)
        if self.unknown == "selective":
            weights = weights.masked_fill(self._likely_positive(logits, codes), 0)
        losses = self.entry_losses(logits, codes)
        if self._may_overflow:  # 0 * inf would be NaN
            losses = losses.masked_fill(weights <= 0, 0)
        return (losses * weights).sum(0), weight_sums

    def weight_sums(self, codes: Tensor, weights: Tensor) -> Tensor:
        """Return the second of :meth:`sums` alone, in the dtype of `weights`.

        It does not depend on the logits. A missing label counts in it if it may count as a
        negative, even if the selective policy then ignores its loss.
        """
        return self._weight_sums(*self._in_layout_order(codes, weights))

    def _in_layout_order(self, codes: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Return labels in the order of the layout, with weight 0 for those that are ignored."""
        if self.order is not None:
            codes, weights = codes.index_select(1, self.order), weights.index_select(1, self.order)
        is_ignored = codes < 0
        if self.unknown != "ignore":
            is_ignored = is_ignored & ~self.is_binary
        return codes, weights.masked_fill(is_ignored, 0)

    def _weight_sums(self, codes: Tensor, weights: Tensor) -> Tensor:
        if self.mean_table is not None:
            weights = weights * self.mean_table.gather(0, codes.clamp(min=0))
        return weights.sum(0)

    def total(self, loss_sums: Tensor, weight_sums: Tensor, share: float = 1.0) -> Tensor:
        """Return the sum over branches of their weighted mean losses.

        Parameters
        ----------
        loss_sums, weight_sums : Tensor of shape (n_branches,)
        share : float
            Factor of the term that does not depend on the losses, which
            ``attribute_weights="uncertainty"`` adds. If each part of a batch is divided by the
            weight sums of the whole batch, and the shares of the parts sum to one, then their
            totals sum to that of the batch.
        """
        weight_sums = weight_sums.to(loss_sums.dtype)
        # Dividing by the weight of the known labels, not by the rows, gives an attribute that is
        # known for a tenth of the rows the gradient of these rows, as torch's ignore_index does.
        # An attribute without a known label has two sums of 0 and must add 0 / tiny, not 0 / 0.
        factors = weight_sums.clamp(min=torch.finfo(weight_sums.dtype).tiny).reciprocal()
        if self.attribute_weights is not None:
            factors = factors * self.attribute_weights
        if self.log_variances is None:
            return loss_sums.dot(factors)
        constants = (self.log_variances * (share / 2)).masked_fill(weight_sums <= 0, 0)
        return loss_sums.dot(factors * torch.exp(-self.log_variances)) + constants.sum()

    def entry_losses(self, logits: Tensor, codes: Tensor) -> Tensor:
        """Return the loss of every label, (n, n_branches), in the order of the layout.

        Parameters
        ----------
        logits : Tensor of shape (n, n_logits)
        codes : Tensor of shape (n, n_branches), int64
            Targets. The loss of a negative one, a missing label, is that of target 0.
        """
        parts: list[Any] = list(self.cross_entropies)
        if len(parts) == 1:  # spares the split and the concatenation
            return self._part_losses(parts[0], logits, codes)
        blocks: list[Block] = [part.block for part in parts]
        n_columns = [block.columns.stop - block.columns.start for block in blocks]
        columns = logits.split_with_sizes(n_columns, dim=1)
        branches = codes.split_with_sizes([block.n_branches for block in blocks], dim=1)
        losses = map(self._part_losses, parts, columns, branches)
        # The empty tensor keeps the graph if all attributes are constant and there is no part.
        return torch.cat([logits[:, :0], *losses], dim=1)

    def label_losses(self, cross_entropies: Tensor, codes: Tensor, block: Block) -> Tensor:
        """Return the loss of labels given their cross-entropies: here the cross-entropies.

        Parameters
        ----------
        cross_entropies : Tensor
            Negative log probability of each label's target, of any shape.
        codes : Tensor of the same shape, int64
            The target. It is negative for a missing label that may count as a negative, whose
            cross-entropy is that of target 0.
        block : Block
            The block of all labels, of which `form` and `is_binary` may be used. Softmax blocks of
            three and more classes may be merged into one with the width of the widest.
        """
        return cross_entropies

    def _part_losses(self, part: Any, logits: Tensor, codes: Tensor) -> Tensor:
        """Return the loss of every label of a block, (n, branches)."""
        block: Block = part.block
        targets = codes.clamp(min=0)
        losses = self.label_losses(part(logits, targets), codes, block)
        factors = None if self.loss_table is None else self.loss_table[:, block.branches]
        if factors is not None:
            losses = losses * factors.gather(0, targets)
        if not self.label_smoothing:
            return losses
        n_classes = max(block.width, 2) if block.form != "ordinal" else block.n_targets
        cross_entropies = -log_probabilities(block, logits)[..., :n_classes]
        classes = torch.arange(n_classes, device=logits.device).expand_as(cross_entropies)
        spread = self.label_losses(cross_entropies, classes, block)
        if factors is not None:
            spread = spread * factors[:n_classes].T
        return torch.lerp(losses, spread.mean(-1), self.label_smoothing)

    def _likely_positive(self, logits: Tensor, codes: Tensor) -> Tensor:
        """Return which missing labels the selective policy ignores, (n, n_branches)."""
        is_missing = (codes < 0) & self.is_binary
        n_likely = min(self.top_k * len(codes), codes.numel())
        odds = present_log_odds(self.layout, logits.detach())
        odds = odds.masked_fill(~is_missing, -torch.inf).flatten()
        most_likely = odds.topk(n_likely, sorted=False).indices
        is_likely = torch.zeros_like(is_missing).flatten().index_fill(0, most_likely, True)
        is_likely = is_likely.view_as(is_missing)
        if self.is_frequent is not None:
            is_likely = is_likely | self.is_frequent
        return is_likely & is_missing


def present_log_odds(layout: BranchLayout, logits: Tensor) -> Tensor:
    """Return the log odds of "present" for binary branches and minus infinity for others.

    Parameters
    ----------
    layout : BranchLayout
    logits : Tensor of shape (n, n_logits)

    Returns
    -------
    Tensor of shape (n, n_branches)
        In the order of the layout.
    """
    parts = [logits[:, :0]]
    for block in layout.blocks:
        part = logits[:, block.columns]
        if block.form == "sigmoid":
            parts.append(part)
            continue
        if not block.is_binary:
            parts.append(part.new_full((len(part), block.n_branches), -torch.inf))
            continue
        part = part.reshape(len(part), -1, block.width)
        parts.append(part[..., 1:].logsumexp(dim=-1) - part[..., 0])
    return torch.cat(parts, dim=1)


def _table(
    layout: BranchLayout, name: str, factors: Sequence[ArrayLike | None] | None
) -> Tensor | None:
    """Return factors, (n_targets, n_branches), with 1 where there is none."""
    if factors is None:
        return None
    if len(factors) != len(layout.n_classes):
        raise ValueError(
            f"{name} must have one entry for each of the {len(layout.n_classes)} attributes; got "
            f"{len(factors)}."
        )
    n_targets = [block.n_targets for block in layout.blocks for _ in range(block.n_branches)]
    table = np.ones((max(n_targets, default=1), len(n_targets)))
    for branch, (attribute, count) in enumerate(zip(layout.order, n_targets, strict=True)):
        factor = factors[attribute]
        if factor is None:
            continue
        if np.shape(factor) != (count,):
            raise ValueError(
                f"{name}[{attribute}] must have shape ({count},), one number per target; got "
                f"{np.shape(factor)}."
            )
        table[:count, branch] = factor
    return torch.from_numpy(table)


def _vector(layout: BranchLayout, name: str, values: ArrayLike | None) -> Tensor | None:
    """Return one number per branch in the order of the layout."""
    if values is None:
        return None
    array = np.asarray(values, dtype=np.float64)
    if array.shape != (len(layout.n_classes),):
        raise ValueError(
            f"{name} must have shape ({len(layout.n_classes)},), one number per attribute; "
            f"got {array.shape}."
        )
    return torch.from_numpy(array[list(layout.order)])
