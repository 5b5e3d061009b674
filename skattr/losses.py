"""Losses as parameter objects: what ``AttributeClassifier(loss=...)`` may be.

An object has parameters of its own, which a grid search reaches as ``loss__gamma_neg``. All losses
are weighted means over an attribute's labels, summed over attributes; a missing label counts
nothing unless `unknown` says otherwise.
"""

from collections.abc import Callable
from functools import partial
from inspect import isroutine
from numbers import Integral, Real
from typing import Any, ClassVar

from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval, StrOptions

from skattr.nn import SummedAsymmetric, SummedCrossEntropy, SummedFocal, SummedPartialAsymmetric

__all__ = [
    "AsymmetricLoss",
    "CrossEntropyLoss",
    "FocalLoss",
    "PartialAsymmetricLoss",
    "make_criterion",
]

_AT_LEAST_0 = [Interval(Real, 0, None, closed="left")]
_SMOOTHING = [Interval(Real, 0, 1, closed="left")]
_SHARE = [Interval(Real, 0, 1, closed="both")]
_POLICY: dict[str, list[Any]] = {
    "unknown": [StrOptions({"ignore", "negative", "selective"})],
    "prior_threshold": [*_SHARE, None],
    "top_k": [Interval(Integral, 0, None, closed="left")],
}


class _Loss(BaseEstimator):
    """A loss of the package as an object with parameters."""

    criterion: ClassVar[type[SummedCrossEntropy]]

    def check(self) -> None:
        """Check the parameters.

        Raises
        ------
        ValueError
            If one is not valid.
        """
        self._validate_params()


class CrossEntropyLoss(_Loss):
    r"""Cross-entropy, the default.

    .. math:: \ell = -\log p_t

    where :math:`p_t` is the predicted probability of the label: the binary cross-entropy of a
    sigmoid, the cross-entropy of a softmax, the likelihood of a cumulative link.

    Parameters
    ----------
    label_smoothing : float, default=0.0
        Share of each label that is spread evenly over the attribute's classes (Szegedy et al.
        2016), from 0 up to but not including 1; with ``category_prior="joint"`` over absent
        and the categories.
    unknown : {"ignore", "negative", "selective"}, default="ignore"
        What a missing label of an attribute of two classes is in training: nothing; a negative;
        or a negative unless it is likely to be positive (Ben-Baruch et al. 2022), in which case
        it has no loss, but still counts in the divisor of the mean. Missing labels of other
        attributes are always ignored.
    prior_threshold : float or None, default=0.05
        Under ``unknown="selective"``, the missing labels of attributes with a larger share of
        positives are ignored.
    top_k : int, default=5
        Under ``unknown="selective"``, so are those with the largest predicted probability in a
        batch, `top_k` times its rows. Where a row has no more than `top_k` missing labels on
        average, that is all of them.

    References
    ----------
    .. [1] C. Szegedy, V. Vanhoucke, S. Ioffe, J. Shlens, Z. Wojna: Rethinking the Inception
       Architecture for Computer Vision. CVPR 2016.
    .. [2] E. Ben-Baruch, T. Ridnik, I. Friedman, A. Ben-Cohen, N. Zamir, A. Noy, L. Zelnik-Manor:
       Multi-label Classification with Partial Annotations using Class-aware Selective Loss.
       CVPR 2022.

    Examples
    --------
    >>> from sklearn.base import clone
    >>> loss = CrossEntropyLoss(unknown="negative")
    >>> clone(loss).set_params(label_smoothing=0.1)
    CrossEntropyLoss(label_smoothing=0.1, unknown='negative')
    """

    criterion = SummedCrossEntropy
    _parameter_constraints: ClassVar[dict[str, Any]] = {"label_smoothing": _SMOOTHING, **_POLICY}

    def __init__(
        self,
        label_smoothing: float = 0.0,
        unknown: str = "ignore",
        prior_threshold: float | None = 0.05,
        top_k: int = 5,
    ) -> None:
        self.label_smoothing = label_smoothing
        self.unknown = unknown
        self.prior_threshold = prior_threshold
        self.top_k = top_k


class FocalLoss(_Loss):
    r"""Focal loss: labels that are predicted well count less.

    .. math:: \ell = -\alpha_t (1 - p_t)^\gamma \log p_t

    where :math:`p_t` is the predicted probability of the label. Attributes of more than two
    classes have the same loss with the probability of their label's class, without
    :math:`\alpha_t`.

    Parameters
    ----------
    gamma : float, default=2.0
        At least 0, where the loss is the cross-entropy.
    alpha : float or None, default=None
        :math:`\alpha_t` of positives, between 0 and 1; that of negatives is 1 - `alpha`. None
        leaves it out.
    label_smoothing : float, default=0.0
    unknown : {"ignore", "negative", "selective"}, default="ignore"
    prior_threshold : float or None, default=0.05
    top_k : int, default=5
        These four are those of :class:`CrossEntropyLoss`.

    References
    ----------
    .. [1] T.-Y. Lin, P. Goyal, R. Girshick, K. He, P. Dollár: Focal Loss for Dense Object
       Detection. ICCV 2017.

    Examples
    --------
    >>> FocalLoss(gamma=1.0).get_params()["gamma"]
    1.0
    """

    criterion = SummedFocal
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "gamma": _AT_LEAST_0,
        "alpha": [*_SHARE, None],
        "label_smoothing": _SMOOTHING,
        **_POLICY,
    }

    def __init__(
        self,
        gamma: float = 2.0,
        alpha: float | None = None,
        label_smoothing: float = 0.0,
        unknown: str = "ignore",
        prior_threshold: float | None = 0.05,
        top_k: int = 5,
    ) -> None:
        self.gamma = gamma
        self.alpha = alpha
        self.label_smoothing = label_smoothing
        self.unknown = unknown
        self.prior_threshold = prior_threshold
        self.top_k = top_k


class AsymmetricLoss(_Loss):
    r"""Asymmetric loss: easy negatives count less than easy positives, very easy ones nothing.

    .. math::

        \ell_+ = -(1 - p)^{\gamma_+} \log p, \qquad
        \ell_- = -p_m^{\gamma_-} \log(1 - p_m), \qquad
        p_m = \max(p - m, 0)

    where p is the predicted probability of the positive class. Attributes of more than two
    classes keep the cross-entropy. What the network then predicts is larger than the
    probability of a positive: calibrate it, or tune thresholds.

    Parameters
    ----------
    gamma_neg : float, default=4.0
        :math:`\gamma_-`, at least 0.
    gamma_pos : float, default=1.0
        :math:`\gamma_+`, at least 0.
    clip : float, default=0.05
        The margin m, from 0 up to but not including 1: negatives of a smaller probability
        cost nothing.
    unknown : {"ignore", "negative", "selective"}, default="ignore"
    prior_threshold : float or None, default=0.05
    top_k : int, default=5
        These three are those of :class:`CrossEntropyLoss`.

    References
    ----------
    .. [1] T. Ridnik, E. Ben-Baruch, N. Zamir, A. Noy, I. Friedman, M. Protter, L. Zelnik-Manor:
       Asymmetric Loss for Multi-Label Classification. ICCV 2021.

    Examples
    --------
    >>> AsymmetricLoss(gamma_neg=2)
    AsymmetricLoss(gamma_neg=2)
    """

    criterion = SummedAsymmetric
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "gamma_neg": _AT_LEAST_0,
        "gamma_pos": _AT_LEAST_0,
        "clip": _SMOOTHING,
        **_POLICY,
    }

    def __init__(
        self,
        gamma_neg: float = 4.0,
        gamma_pos: float = 1.0,
        clip: float = 0.05,
        unknown: str = "ignore",
        prior_threshold: float | None = 0.05,
        top_k: int = 5,
    ) -> None:
        self.gamma_neg = gamma_neg
        self.gamma_pos = gamma_pos
        self.clip = clip
        self.unknown = unknown
        self.prior_threshold = prior_threshold
        self.top_k = top_k


class PartialAsymmetricLoss(_Loss):
    r"""Partial asymmetric loss, for tables most of whose labels are unknown.

    .. math::

        \ell_+ = -\alpha_+ (1 - p)^{\gamma_+} \log p, \quad
        \ell_- = -\alpha_- p_m^{\gamma_-} \log(1 - p_m), \quad
        \ell_u = -\alpha_u p_m^{\gamma_u} \log(1 - p_m)

    for positive, negative and missing labels, where p is the predicted probability of the
    positive class and :math:`p_m = \max(p - m, 0)`. Which missing labels count is told by
    `unknown`. Attributes of more than two classes keep the cross-entropy, and their unknown
    labels are ignored.

    Parameters
    ----------
    gamma_pos : float, default=0.0
    gamma_neg : float, default=1.0
    gamma_unknown : float, default=2.0
        Each at least 0.
    alpha_pos : float, default=1.0
    alpha_neg : float, default=1.0
    alpha_unknown : float, default=1.0
        Each at least 0.
    clip : float, default=0.0
        The margin m, from 0 up to but not including 1.
    unknown : {"ignore", "negative", "selective"}, default="selective"
    prior_threshold : float or None, default=0.05
    top_k : int, default=5
        These three are those of :class:`CrossEntropyLoss`.

    References
    ----------
    .. [1] E. Ben-Baruch, T. Ridnik, I. Friedman, A. Ben-Cohen, N. Zamir, A. Noy, L. Zelnik-Manor:
       Multi-label Classification with Partial Annotations using Class-aware Selective Loss.
       CVPR 2022.

    Examples
    --------
    >>> PartialAsymmetricLoss(top_k=1).unknown
    'selective'
    """

    criterion = SummedPartialAsymmetric
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **dict.fromkeys(("gamma_pos", "gamma_neg", "gamma_unknown"), _AT_LEAST_0),
        **dict.fromkeys(("alpha_pos", "alpha_neg", "alpha_unknown"), _AT_LEAST_0),
        "clip": _SMOOTHING,
        **_POLICY,
    }

    def __init__(
        self,
        gamma_pos: float = 0.0,
        gamma_neg: float = 1.0,
        gamma_unknown: float = 2.0,
        alpha_pos: float = 1.0,
        alpha_neg: float = 1.0,
        alpha_unknown: float = 1.0,
        clip: float = 0.0,
        unknown: str = "selective",
        prior_threshold: float | None = 0.05,
        top_k: int = 5,
    ) -> None:
        self.gamma_pos = gamma_pos
        self.gamma_neg = gamma_neg
        self.gamma_unknown = gamma_unknown
        self.alpha_pos = alpha_pos
        self.alpha_neg = alpha_neg
        self.alpha_unknown = alpha_unknown
        self.clip = clip
        self.unknown = unknown
        self.prior_threshold = prior_threshold
        self.top_k = top_k


_NAMED: dict[str, type[_Loss]] = {
    "auto": CrossEntropyLoss,
    "bce": CrossEntropyLoss,
    "focal": FocalLoss,
    "asymmetric": AsymmetricLoss,
    "partial_asymmetric": PartialAsymmetricLoss,
}


def make_criterion(loss: Any) -> tuple[Callable[..., SummedCrossEntropy], dict[str, Any]]:
    """Return what computes a loss, and its arguments.

    Parameters
    ----------
    loss : str, object or callable
        ``"auto"`` or its synonym ``"bce"``, ``"focal"``, ``"asymmetric"``,
        ``"partial_asymmetric"``; an object of this module; or a class or function that makes a
        :class:`~skattr.nn.SummedCrossEntropy` of a layout, such as a subclass.

    Returns
    -------
    criterion : callable
        Called with a :class:`~skattr.nn.BranchLayout`.
    arguments : dict
        Further keyword arguments; none for a callable.

    Raises
    ------
    ValueError
        If `loss` is something else, or has a parameter that is not valid.

    Examples
    --------
    >>> make_criterion(AsymmetricLoss(clip=0.1))[1]["clip"]
    0.1
    """
    if isinstance(loss, str) and loss in _NAMED:
        loss = _NAMED[loss]()
    if isinstance(loss, _Loss):
        loss.check()
        return loss.criterion, loss.get_params()
    if isinstance(loss, type):
        is_maker = issubclass(loss, SummedCrossEntropy)
    else:
        is_maker = isroutine(loss) or isinstance(loss, partial)  # a module would be a loss itself
    if is_maker:
        return loss, {}
    raise ValueError(
        f"loss must be one of {list(_NAMED)}, an object of skattr.losses such as "
        f"AsymmetricLoss(clip=0.1), or a subclass of skattr.nn.SummedCrossEntropy, got {loss!r}."
    )
