"""Focal and asymmetric losses."""

from typing import Any

import torch
from torch import Tensor

from skattr.nn._cross_entropy import SummedCrossEntropy
from skattr.nn._layout import Block, BranchLayout


class SummedFocal(SummedCrossEntropy):
    r"""Focal loss (Lin et al. 2017).

    .. math:: \ell = -\alpha_t (1 - p_t)^\gamma \log p_t

    where :math:`p_t` is the probability of the label's target.

    Parameters
    ----------
    layout : BranchLayout
    gamma : float
        At least 0. With 0 the loss is the cross-entropy.
    alpha : float, optional
        In binary branches, factor of the loss of present labels; that of absent ones is 1 -
        `alpha`.
    **options
        Parameters of :class:`SummedCrossEntropy`.
    """

    def __init__(
        self,
        layout: BranchLayout,
        *,
        gamma: float = 2.0,
        alpha: float | None = None,
        **options: Any,
    ) -> None:
        super().__init__(layout, **options)
        self.gamma = gamma
        self.alpha = alpha

    def label_losses(self, cross_entropies: Tensor, codes: Tensor, block: Block) -> Tensor:
        """Return the focal losses of labels; see the base class."""
        cross_entropies = _finite(cross_entropies)
        losses = _power(-torch.expm1(-cross_entropies), self.gamma) * cross_entropies
        if self.alpha is None or not block.is_binary:
            return losses
        return torch.where(codes > 0, losses * self.alpha, losses * (1 - self.alpha))


class SummedAsymmetric(SummedCrossEntropy):
    r"""Asymmetric loss (Ridnik et al. 2021).

    .. math::

        \ell_+ = -(1 - p)^{\gamma_+} \log p, \qquad
        \ell_- = -p_m^{\gamma_-} \log(1 - p_m), \qquad
        p_m = \max(p - m, 0)

    where p is the probability of present. For a label of a joint branch that is present on an
    object of known category, p is the joint probability of present and the category. Branches
    with more than two classes keep the cross-entropy.

    Parameters
    ----------
    layout : BranchLayout
    gamma_neg, gamma_pos : float
        At least 0.
    clip : float
        The margin m, from 0 up to but not including 1.
    **options
        Parameters of :class:`SummedCrossEntropy`.
    """

    def __init__(
        self,
        layout: BranchLayout,
        *,
        gamma_neg: float = 4.0,
        gamma_pos: float = 1.0,
        clip: float = 0.05,
        **options: Any,
    ) -> None:
        super().__init__(layout, **options)
        self.gamma_neg = gamma_neg
        self.gamma_pos = gamma_pos
        self.clip = clip

    def label_losses(self, cross_entropies: Tensor, codes: Tensor, block: Block) -> Tensor:
        """Return the asymmetric losses of labels; see the base class."""
        if not block.is_binary:
            return cross_entropies
        cross_entropies = _finite(cross_entropies)
        missed = -torch.expm1(-cross_entropies)  # 1 - p of present labels, p of absent ones
        present = _power(missed, self.gamma_pos) * cross_entropies
        if self.clip:
            missed = (missed - self.clip).clamp(min=0)
            cross_entropies = -torch.log1p(-missed)
        absent = self.absent_factors(missed, codes) * cross_entropies
        return torch.where(codes > 0, present, absent)

    def absent_factors(self, missed: Tensor, codes: Tensor) -> Tensor:
        """Return the factors of the cross-entropy of labels that are not present.

        Parameters
        ----------
        missed : Tensor
            Their clipped probability of present.
        codes : Tensor of the same shape
        """
        return _power(missed, self.gamma_neg)


class SummedPartialAsymmetric(SummedAsymmetric):
    r"""Partial asymmetric loss (Ben-Baruch et al. 2022), for tables with mostly missing labels.

    .. math::

        \ell_+ = -\alpha_+ (1 - p)^{\gamma_+} \log p, \quad
        \ell_- = -\alpha_- p_m^{\gamma_-} \log(1 - p_m), \quad
        \ell_u = -\alpha_u p_m^{\gamma_u} \log(1 - p_m)

    for present, absent and missing labels, with :math:`p_m` as in :class:`SummedAsymmetric`.
    The defaults are those of the authors' code, except for `unknown`, whose default is that of the
    paper. Their code does not differentiate the powers; this does.

    Parameters
    ----------
    layout : BranchLayout
    gamma_pos, gamma_neg, gamma_unknown : float
        At least 0.
    alpha_pos, alpha_neg, alpha_unknown : float
        At least 0.
    clip : float
        The margin m, from 0 up to but not including 1.
    unknown : {"selective", "negative", "ignore"}
    **options
        Parameters of :class:`SummedCrossEntropy`.
    """

    def __init__(
        self,
        layout: BranchLayout,
        *,
        gamma_pos: float = 0.0,
        gamma_neg: float = 1.0,
        gamma_unknown: float = 2.0,
        alpha_pos: float = 1.0,
        alpha_neg: float = 1.0,
        alpha_unknown: float = 1.0,
        clip: float = 0.0,
        unknown: str = "selective",
        **options: Any,
    ) -> None:
        asymmetric = {"gamma_neg": gamma_neg, "gamma_pos": gamma_pos, "clip": clip}
        super().__init__(layout, **asymmetric, unknown=unknown, **options)
        self.gamma_unknown = gamma_unknown
        self.alpha_pos = alpha_pos
        self.alpha_neg = alpha_neg
        self.alpha_unknown = alpha_unknown

    def label_losses(self, cross_entropies: Tensor, codes: Tensor, block: Block) -> Tensor:
        """Return the partial asymmetric losses of labels; see the base class."""
        losses = super().label_losses(cross_entropies, codes, block)
        if not block.is_binary:
            return losses
        return torch.where(codes > 0, losses * self.alpha_pos, losses)

    def absent_factors(self, missed: Tensor, codes: Tensor) -> Tensor:
        """Return the factors of absent and missing labels; see the base class."""
        absent = self.alpha_neg * _power(missed, self.gamma_neg)
        unknown = self.alpha_unknown * _power(missed, self.gamma_unknown)
        return torch.where(codes < 0, unknown, absent)


def _finite(cross_entropies: Tensor) -> Tensor:
    """Bound infinite values, as their product with a gradient of 0 would be NaN."""
    return cross_entropies.clamp(max=torch.finfo(cross_entropies.dtype).max)


def _power(base: Tensor, exponent: float) -> Tensor:
    """Return a power whose gradient at 0 is finite for exponents below 1 too."""
    return base.clamp(min=torch.finfo(base.dtype).tiny).pow(exponent)
