"""Parameter objects for ``AttributeClassifier(loss=...)``.

A grid search reaches the parameters of an object by names such as ``loss__gamma_neg``. All losses
are weighted means over an attribute's labels, summed over attributes. Missing labels are ignored
unless `unknown` says otherwise.
"""

from collections.abc import Callable
from functools import partial
from inspect import isroutine
from numbers import Integral, Real
from typing import Any, ClassVar

from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import StrOptions

from skattr._utils.parameters import Number
from skattr.nn import SummedAsymmetric, SummedCrossEntropy, SummedFocal, SummedPartialAsymmetric

__all__ = [
    "AsymmetricLoss",
    "CrossEntropyLoss",
    "FocalLoss",
    "PartialAsymmetricLoss",
    "make_criterion",
]

_AT_LEAST_0 = [Number(Real, 0, None, closed="left")]
_SMOOTHING = [Number(Real, 0, 1, closed="left")]
_SHARE = [Number(Real, 0, 1, closed="both")]
_POLICY: dict[str, list[Any]] = {
    "unknown": [StrOptions({"ignore", "negative", "selective"})],
    "prior_threshold": [*_SHARE, None],
    "top_k": [Number(Integral, 0, None, closed="left")],
}


class _Loss(BaseEstimator):
    """Base class of the loss objects."""

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
    r"""Cross-entropy loss, the default.

    .. math:: \ell = -\log p_t

    where :math:`p_t` is the predicted probability of the label: the binary cross-entropy of a
    sigmoid, the cross-entropy of a softmax, or the negative log-likelihood of a cumulative link.

    Parameters
    ----------
    label_smoothing : float, default=0.0
        Share of each label that is spread evenly over the attribute's classes (Szegedy et al.
        2016), or over "absent" and the categories with ``category_prior="joint"``. At least 0 and
        less than 1.
    unknown : {"ignore", "negative", "selective"}, default="ignore"
        Treatment of missing labels of attributes with two classes. With "ignore" they have no
        loss. With "negative" they count as negatives. With "selective" they count as negatives
        unless they are likely to be positive (Ben-Baruch et al. 2022), in which case they have no
        loss but still count in the divisor of the mean. Missing labels of other attributes are
        always ignored.
    prior_threshold : float or None, default=0.05
        With ``unknown="selective"``, missing labels of attributes with a larger share of positives
        are ignored.
    top_k : int, default=5
        With ``unknown="selective"``, the missing labels with the largest predicted probabilities
        in a batch are ignored, `top_k` per row on average. If rows have at most `top_k` missing
        labels on average, all of them are ignored.

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
    r"""Focal loss, which gives less weight to labels that are predicted well.

    .. math:: \ell = -\alpha_t (1 - p_t)^\gamma \log p_t

    where :math:`p_t` is the predicted probability of the label. The loss of attributes with more
    than two classes has no :math:`\alpha_t`.

    Parameters
    ----------
    gamma : float, default=2.0
        At least 0. With 0 the loss is the cross-entropy.
    alpha : float or None, default=None
        :math:`\alpha_t` of positives, from 0 to 1. That of negatives is 1 - `alpha`. With None
        there is no such factor.
    label_smoothing : float, default=0.0
    unknown : {"ignore", "negative", "selective"}, default="ignore"
    prior_threshold : float or None, default=0.05
    top_k : int, default=5
        See :class:`CrossEntropyLoss` for the last four.

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
    r"""Asymmetric loss, which gives less weight to easy negatives than to easy positives.

    .. math::

        \ell_+ = -(1 - p)^{\gamma_+} \log p, \qquad
        \ell_- = -p_m^{\gamma_-} \log(1 - p_m), \qquad
        p_m = \max(p - m, 0)

    where p is the predicted probability of the positive class. Attributes with more than two
    classes keep the cross-entropy. A network trained so overestimates the probability of
    positives: calibrate its predictions, or tune thresholds.

    Parameters
    ----------
    gamma_neg : float, default=4.0
        :math:`\gamma_-`, at least 0.
    gamma_pos : float, default=1.0
        :math:`\gamma_+`, at least 0.
    clip : float, default=0.05
        The margin m, at least 0 and less than 1. Negatives with a smaller probability have no
        loss.
    unknown : {"ignore", "negative", "selective"}, default="ignore"
    prior_threshold : float or None, default=0.05
    top_k : int, default=5
        See :class:`CrossEntropyLoss` for the last three.

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
    r"""Partial asymmetric loss, for tables with mostly missing labels.

    .. math::

        \ell_+ = -\alpha_+ (1 - p)^{\gamma_+} \log p, \quad
        \ell_- = -\alpha_- p_m^{\gamma_-} \log(1 - p_m), \quad
        \ell_u = -\alpha_u p_m^{\gamma_u} \log(1 - p_m)

    for positive, negative and missing labels, where p is the predicted probability of the
    positive class and :math:`p_m = \max(p - m, 0)`. The parameter `unknown` decides which missing
    labels count. Attributes with more than two classes keep the cross-entropy, and their missing
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
        The margin m, at least 0 and less than 1.
    unknown : {"ignore", "negative", "selective"}, default="selective"
    prior_threshold : float or None, default=0.05
    top_k : int, default=5
        See :class:`CrossEntropyLoss` for the last three.

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


def as_loss(loss: Any) -> Any:
    """Return the object that a name stands for, and anything else unchanged.

    Raises
    ------
    ValueError
        If a string is no name of a loss.
    """
    if not isinstance(loss, str):
        return loss
    if loss not in _NAMED:
        raise ValueError(_invalid(loss))
    return _NAMED[loss]()


def _invalid(loss: Any) -> str:
    return (
        f"loss must be one of {list(_NAMED)}, an object of skattr.losses such as "
        f"AsymmetricLoss(clip=0.1), or a subclass of skattr.nn.SummedCrossEntropy; got {loss!r}."
    )


def make_criterion(loss: Any) -> tuple[Callable[..., SummedCrossEntropy], dict[str, Any]]:
    """Return the class or function that builds a loss, and its arguments.

    Parameters
    ----------
    loss : str, object or callable
        - ``"auto"`` or its synonym ``"bce"``, ``"focal"``, ``"asymmetric"`` or
          ``"partial_asymmetric"``;
        - an object of this module;
        - a class or function that makes a :class:`~skattr.nn.SummedCrossEntropy` from a layout.

    Returns
    -------
    criterion : callable
        Called with a :class:`~skattr.nn.BranchLayout`.
    arguments : dict
        Further keyword arguments, empty for a class or function.

    Raises
    ------
    ValueError
        If `loss` is something else, or one of its parameters is not valid.

    Examples
    --------
    >>> make_criterion(AsymmetricLoss(clip=0.1))[1]["clip"]
    0.1
    """
    loss = as_loss(loss)
    if isinstance(loss, _Loss):
        loss.check()
        return loss.criterion, loss.get_params()
    if isinstance(loss, type):
        is_maker = issubclass(loss, SummedCrossEntropy)
    else:
        # Not any callable: a torch module, which can be called, would be a finished loss.
        is_maker = isroutine(loss) or isinstance(loss, partial)
    if is_maker:
        return loss, {}
    raise ValueError(_invalid(loss))
