"""Parameter object for fine-tuning."""

import re
from numbers import Integral, Real
from typing import Any, ClassVar

from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval

_POSITIVE = Interval(Integral, 1, None, closed="left")


class FineTuning(BaseEstimator):
    """How much of the backbone is trained, and how fast.

    Parameters
    ----------
    freeze : {"backbone", "stages:N"} or None, default=None
        What is not trained: all of the backbone, or its first N stages. Frozen layers keep
        their weights and their BatchNorm statistics, and do not drop out.
    unfreeze_every : int, default=None
        After every so many epochs the last stage that is still frozen is thawed; None keeps
        all of them frozen.
    layer_decay : float in (0, 1], default=1.0
        A stage k stages before the branches learns with ``lr * layer_decay ** k``, the last one
        having k = 1; the branches learn with `lr` [1]_.

    See Also
    --------
    AttributeClassifier : Takes it, or the value of `freeze` alone, as `freeze`.

    Notes
    -----
    The stages of a ResNet are its four blocks of layers, the first with the stem; of a model
    whose layers stand in ``features`` they are the parts of those that have weights; of any
    other the parts of the whole that have weights.

    References
    ----------
    .. [1] Howard & Ruder (2018). Universal language model fine-tuning for text classification.
       ACL.

    Examples
    --------
    >>> from skattr import FineTuning
    >>> FineTuning(freeze="stages:3", unfreeze_every=2).settings()
    {'freeze': 'stages:3', 'layer_decay': 1.0, 'unfreeze_every': 2}
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "freeze": [str, None],
        "unfreeze_every": [_POSITIVE, None],
        "layer_decay": [Interval(Real, 0, 1, closed="right")],
    }

    def __init__(
        self,
        freeze: str | None = None,
        *,
        unfreeze_every: int | None = None,
        layer_decay: float = 1.0,
    ) -> None:
        self.freeze = freeze
        self.unfreeze_every = unfreeze_every
        self.layer_decay = layer_decay

    def settings(self) -> dict[str, Any]:
        """Check the parameters and return them.

        Raises
        ------
        ValueError
            If one is invalid; the valid values are named.
        """
        self._validate_params()
        if self.freeze is None and self.unfreeze_every is not None:
            raise ValueError(
                f"unfreeze_every={self.unfreeze_every} thaws what is frozen, but freeze=None "
                "freezes nothing; set freeze='backbone' or 'stages:N'."
            )
        valid = r"backbone|stages:[1-9]\d*"
        if self.freeze is not None and re.fullmatch(valid, self.freeze) is None:
            raise ValueError(
                f"freeze={self.freeze!r} is unknown; valid are 'backbone', 'stages:N' with a "
                "number N from 1, a FineTuning and None."
            )
        return dict(self.get_params(deep=False))


def fine_tuning_settings(freeze: Any) -> dict[str, Any]:
    """Return the checked settings of a :class:`FineTuning`, or of a value of its `freeze`.

    Raises
    ------
    ValueError
        If it is neither, or a setting is invalid.
    """
    tuning = freeze if isinstance(freeze, FineTuning) else FineTuning(freeze)
    return tuning.settings()
