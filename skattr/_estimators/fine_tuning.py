"""Parameter object for fine-tuning."""

import re
from numbers import Real
from typing import Any, ClassVar

from sklearn.utils._param_validation import Interval

from skattr._estimators.options import AT_LEAST_1, ParameterObject


class FineTuning(ParameterObject):
    """Which parts of a backbone are trained, and at which learning rates.

    Parameters
    ----------
    freeze : {"backbone", "stages:N"} or None, default=None
        Part that is not trained: the whole backbone, or its first N stages. Frozen layers keep
        their weights and their BatchNorm statistics, and their dropout is off.
    unfreeze_every : int, default=None
        Number of epochs after which the last stage that is still frozen is unfrozen, and so on
        until the first. None keeps all of them frozen.
    layer_decay : float in (0, 1], default=1.0
        Factor of the learning rate from stage to stage. The last stage learns with ``lr *
        layer_decay``, the one before it with ``lr * layer_decay ** 2``, and so on; the branches
        learn with `lr` [1]_.

    See Also
    --------
    AttributeClassifier : Takes the object, or a value of `freeze`, as `fine_tuning`.

    Notes
    -----
    The stages of a ResNet are its four blocks of layers, the first together with the stem. The
    stages of a network whose layers are in a module ``features`` are the submodules of
    ``features`` that have weights. Any other network has one stage per submodule with weights.

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
        "unfreeze_every": [AT_LEAST_1, None],
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

        Returns
        -------
        dict of {str: value}

        Raises
        ------
        ValueError
            If a parameter is invalid; the valid values are named.
        """
        result = super().settings()
        if self.freeze is None and self.unfreeze_every is not None:
            raise ValueError(
                f"unfreeze_every={self.unfreeze_every} needs frozen stages, but freeze is None; "
                "set freeze='backbone' or 'stages:N'."
            )
        if self.freeze is not None and not re.fullmatch(r"backbone|stages:[1-9]\d*", self.freeze):
            raise ValueError(
                "freeze (of fine_tuning) must be None, 'backbone' or 'stages:N' with N >= 1; got "
                f"{self.freeze!r}."
            )
        return result
