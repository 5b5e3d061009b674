"""Validation and resolution of constructor parameters."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, _clone_parametrized
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import HasMethods, StrOptions

from skattr._estimators.augmentation import as_augmentation, augmentation_settings
from skattr._estimators.options import (
    Branches,
    FineTuning,
    ImageReading,
    ParameterObject,
    TrainingOptions,
    as_object,
    resolve,
)
from skattr._training.user_augmentation import is_torchvision_transform
from skattr._utils.parameters import AT_LEAST_1, RANDOM_STATE, Number
from skattr.losses import as_loss

_OBJECTS: dict[str, type[ParameterObject]] = {
    "branches": Branches,
    "fine_tuning": FineTuning,
    "images": ImageReading,
    "training": TrainingOptions,
}
_IN_OBJECTS = {  # names in skorch's notation that are parameters of an object
    "module__branch_hidden": "branches=Branches(hidden=...)",
    "module__dropout": "branches=Branches(dropout=...)",
    "clip_norm": "training=TrainingOptions(clip_norm=...)",
    "accumulate": "training=TrainingOptions(accumulate=...)",
    "compile": "training=TrainingOptions(compile=...)",
}


class NestedParameters(BaseEstimator):
    """Base class of estimators that have parameter objects, or strings as their shorthand."""

    def _validate_params(self) -> None:
        """Check parameters and parameter objects; scikit-learn calls it when `fit` begins."""
        super()._validate_params()
        for name, value in self.get_params(deep=False).items():
            if name in _OBJECTS:
                resolve(_OBJECTS[name], value)
            elif name == "augment":
                augmentation_settings(value)

    # Some transforms of torchvision have a static method get_params with another meaning, which
    # scikit-learn would call.
    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters of this estimator.

        Parameters
        ----------
        deep : bool, default=True
            Whether to return the parameters of parameter objects as well.

        Returns
        -------
        dict
            Values by name.
        """
        without = self._without_transform() if deep else None
        if without is None:
            return dict(super().get_params(deep=deep))
        return {**without.get_params(deep=True), "augment": vars(self)["augment"]}

    def __sklearn_clone__(self) -> Self:
        without = self._without_transform()
        result: Self = _clone_parametrized(self if without is None else without)
        if without is not None:
            result.__dict__["augment"] = copy.deepcopy(self.__dict__["augment"])
        return result

    def _without_transform(self) -> Self | None:
        """Return a shallow copy without `augment` if that is a transform of torchvision."""
        if not is_torchvision_transform(vars(self).get("augment")):
            return None
        result = copy.copy(self)
        result.__dict__["augment"] = None
        return result

    def set_params(self, **params: Any) -> Self:
        """Set the parameters of this estimator.

        Nested names such as ``training__ema_decay`` set a parameter of an object. Where the value
        is None or a string, the object is made from it first, so that a grid reaches every
        parameter without an object in the constructor.

        Parameters
        ----------
        **params : dict
            Values by name.

        Returns
        -------
        estimator
            The estimator itself.
        """
        own = self.get_params(deep=False)
        for nested in [name for name in params if "__" in name]:
            name, _, inner = nested.partition("__")
            if name in own:
                value = params.get(name, own[name])
                params[name] = _object_of(name, value)
                _check_nested(nested, params[name], value, inner.partition("__")[0])
        super().set_params(**params)
        return self


def _object_of(name: str, value: Any) -> Any:
    """Return the object whose parameters nested names set, made from a string or None."""
    if name in _OBJECTS:
        return as_object(_OBJECTS[name], value)
    if name == "loss":
        return as_loss(value)
    if name == "augment":
        augmentation_settings(value)  # an error that names the presets if it is none of them
        return as_augmentation(value)
    return value


def _check_nested(nested: str, owner: Any, value: Any, inner: str) -> None:
    """Raise a ValueError if a nested name sets a parameter that the value does not have."""
    name = nested.partition("__")[0]
    if not hasattr(owner, "set_params"):
        raise ValueError(
            f"{nested!r} sets a parameter of {name}, but {name}={value!r} has no parameters; set "
            f"{name} to an object that has, or set it as a whole."
        )
    valid = owner.get_params(deep=False)
    if owner is not value and inner not in valid:  # of an object, scikit-learn says so
        raise ValueError(
            f"Invalid parameter {inner!r} of {name}={value!r}, which stands for {owner!r}. Valid "
            f"are {sorted(valid)}; for others, set {name} to an object that has them."
        )


@dataclass(eq=False, repr=False)
class ClassifierParameters(NestedParameters):
    """Parameters of AttributeClassifier, which documents them."""

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "backbone": [str, callable],
        "weights": [str, None],
        "image_size": [AT_LEAST_1, tuple, list],
        "augment": [str, callable, HasMethods(["get_params", "set_params"]), None],
        "max_epochs": [AT_LEAST_1],
        "random_state": RANDOM_STATE,
        "attributes": [Mapping, None],
        "missing_label": "no_validation",
        "constraints": [Mapping, None],
        "category_prior": [StrOptions({"joint", "condition", "auxiliary"}), None],
        "branches": [StrOptions({"sigmoid", "softmax"}), Branches, None],
        "loss": [str, callable, HasMethods(["get_params", "set_params"])],
        "pos_weight": [str, Number(Real, 0, None, closed="neither"), Mapping, "array-like", None],
        "class_weight": [str, Mapping, list, None],
        "attribute_weight": [str, Mapping, "array-like", None],
        "optimizer": [StrOptions({"adamw", "adam", "sgd"}), callable],
        "lr": [Number(Real, 0, None, closed="neither"), StrOptions({"auto"})],
        "weight_decay": [Number(Real, 0, None, closed="left")],
        "batch_size": [AT_LEAST_1],
        "validation_fraction": [Number(Real, 0, 1, closed="neither"), None],
        "early_stopping": ["boolean", AT_LEAST_1],
        "fine_tuning": [str, FineTuning, None],
        "training": [StrOptions({"onecycle", "cosine"}), TrainingOptions, None],
        "net_params": [Mapping, None],
        "warm_start": ["boolean"],
        "images": [StrOptions({"exact", "scaled"}), ImageReading, None],
        "transform_output": [StrOptions({"proba", "logit", "features"})],
        "cross_fit": [
            Number(Integral, 2, None, closed="left"),
            Number(Real, 0, 1, closed="neither"),
            HasMethods(["split", "get_n_splits"]),
            None,
        ],
        "device": [str],
        "verbose": ["verbose"],
    }

    backbone: str | Callable[..., Any] = "auto"
    _: KW_ONLY
    weights: str | None = None
    image_size: int | tuple[int, int] = 224
    augment: Any = None
    max_epochs: int = 12
    random_state: Any = None
    attributes: Mapping[Any, Any] | None = None
    missing_label: Any = None
    constraints: Mapping[str, Any] | None = None
    category_prior: str | None = None
    branches: Branches | str | None = None
    loss: Any = "auto"
    pos_weight: Any = None
    class_weight: Any = None
    attribute_weight: Any = None
    optimizer: str | Callable[..., Any] = "adamw"
    lr: float | str = "auto"
    weight_decay: float = 0.01
    batch_size: int = 64
    validation_fraction: float | None = None
    early_stopping: bool | int = False
    fine_tuning: FineTuning | str | None = None
    training: TrainingOptions | str | None = None
    net_params: Mapping[str, Any] | None = None
    warm_start: bool = False
    images: ImageReading | str | None = None
    transform_output: str = "proba"
    cross_fit: Any = None
    device: str = "auto"
    verbose: int = 0


def check_image_size(image_size: Any) -> tuple[int, int]:
    """Return (height, width) for an int or a pair of ints.

    Raises
    ------
    ValueError
        If it is neither, or not positive.
    """
    pair = (image_size, image_size) if AT_LEAST_1.is_satisfied_by(image_size) else image_size
    if (
        not isinstance(pair, Sequence)
        or len(pair) != 2
        or not all(AT_LEAST_1.is_satisfied_by(side) for side in pair)
    ):
        raise ValueError(
            "image_size must be a positive int or a pair (height, width) of positive ints, "
            f"got {image_size!r}."
        )
    return int(pair[0]), int(pair[1])


def check_net_params(net_params: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a copy of `net_params`.

    Raises
    ------
    ValueError
        If it sets what a parameter object sets; the object is named.
    """
    for name, home in _IN_OBJECTS.items():
        if name in (net_params or {}):
            raise ValueError(
                f"net_params sets {name!r}, which is a parameter of the classifier; use {home}."
            )
    return dict(net_params or {})


def check_no_balanced_weights(classifier: ClassifierParameters) -> None:
    """Raise a ValueError if a weight is to be counted from labels that are still to come."""
    for name in ("pos_weight", "class_weight", "attribute_weight"):
        weight = getattr(classifier, name)
        parts = weight.values() if isinstance(weight, Mapping) else weight
        parts = [weight] if weight is None or isinstance(weight, str | Real) else parts
        if any(isinstance(part, str) and part.startswith("balanced") for part in parts):
            raise ValueError(
                f"{name}={weight!r} counts labels that partial_fit has not seen yet; pass numbers."
            )


def random_generator(random_state: Any) -> np.random.Generator:
    """Return a generator for `random_state`.

    None is fresh entropy, where scikit-learn draws from numpy's global state: two classifiers
    without a seed would otherwise depend on each other, and on all code that draws from it.
    """
    if random_state is None:
        return np.random.default_rng()
    return np.random.default_rng(check_random_state(random_state).randint(2**31 - 1))
