"""Validation and resolution of constructor parameters."""

from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any, Protocol, Self

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions

from skattr._estimators.augmentation import as_augmentation, augmentation_settings
from skattr._estimators.fine_tuning import FineTuning
from skattr._estimators.options import (
    AT_LEAST_1,
    Branches,
    ImageReading,
    ParameterObject,
    TrainingOptions,
    as_object,
    resolve,
)

PARAMETER_CONSTRAINTS: dict[str, Any] = {
    "backbone": [str, callable],
    "weights": [str, None],
    "image_size": [AT_LEAST_1, tuple, list],
    "augment": [str, callable, HasMethods(["get_params", "set_params"]), None],
    "max_epochs": [AT_LEAST_1],
    "random_state": ["random_state"],
    "attributes": [Mapping, None],
    "missing_label": "no_validation",
    "constraints": [Mapping, None],
    "category_prior": [StrOptions({"joint", "condition", "auxiliary"}), None],
    "branches": [StrOptions({"sigmoid", "softmax"}), Branches, None],
    "loss": [str, callable, HasMethods(["get_params", "set_params"])],
    "pos_weight": [str, Interval(Real, 0, None, closed="neither"), Mapping, "array-like", None],
    "class_weight": [str, Mapping, list, None],
    "attribute_weight": [str, Mapping, "array-like", None],
    "optimizer": [StrOptions({"adamw", "adam", "sgd"}), callable],
    "lr": [Interval(Real, 0, None, closed="neither"), StrOptions({"auto"})],
    "weight_decay": [Interval(Real, 0, None, closed="left")],
    "batch_size": [AT_LEAST_1],
    "validation_fraction": [Interval(Real, 0, 1, closed="neither"), None],
    "early_stopping": ["boolean", AT_LEAST_1],
    "fine_tuning": [str, FineTuning, None],
    "training": [StrOptions({"onecycle", "cosine"}), TrainingOptions, None],
    "net_params": [Mapping, None],
    "warm_start": ["boolean"],
    "images": [StrOptions({"exact", "scaled"}), ImageReading, None],
    "transform_output": [StrOptions({"proba", "logit", "features"})],
    "cross_fit": [
        Interval(Integral, 2, None, closed="left"),
        Interval(Real, 0, 1, closed="neither"),
        HasMethods(["split", "get_n_splits"]),
        None,
    ],
    "device": [str],
    "verbose": ["verbose"],
}

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


class InputParameters(Protocol):
    """Parameters that decide how X is read."""

    image_size: int | tuple[int, int]
    images: ImageReading | str | None
    batch_size: int
    verbose: int


class ClassifierParameters(InputParameters, Protocol):
    """Parameters of AttributeClassifier that training reads."""

    backbone: str | Callable[..., Any]
    weights: str | None
    augment: Any
    max_epochs: int
    random_state: Any
    category_prior: str | None
    branches: Branches | str | None
    loss: Any
    pos_weight: Any
    class_weight: Any
    attribute_weight: Any
    optimizer: str | Callable[..., Any]
    lr: float | str
    weight_decay: float
    validation_fraction: float | None
    early_stopping: bool | int
    fine_tuning: FineTuning | str | None
    training: TrainingOptions | str | None
    net_params: Mapping[str, Any] | None
    warm_start: bool
    device: str


class NestedParametersMixin:
    """Validation of parameter objects, and a `set_params` that creates them where needed."""

    def _validate_params(self) -> None:
        """Check parameters and parameter objects; scikit-learn calls it when `fit` begins."""
        base: Any = super()
        base._validate_params()
        for name, value in base.get_params(deep=False).items():
            if name in _OBJECTS:
                resolve(_OBJECTS[name], value)
            elif name == "augment":
                augmentation_settings(value)

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
        base: Any = super()
        own = base.get_params(deep=False)
        for name in {name.partition("__")[0] for name in params if "__" in name}:
            value = params.get(name, own.get(name))
            if name == "augment" and name in own:
                params[name] = as_augmentation(value)
            elif name in _OBJECTS.keys() & own.keys() and (value is None or isinstance(value, str)):
                params[name] = as_object(_OBJECTS[name], value)
        result: Self = base.set_params(**params)
        return result


def check_image_size(image_size: Any) -> tuple[int, int]:
    """Return (height, width) for an int or a pair of ints.

    Raises
    ------
    ValueError
        If it is neither, or not positive.
    """
    is_int = isinstance(image_size, Integral) and not isinstance(image_size, bool)
    pair = (image_size, image_size) if is_int else image_size
    if (
        not isinstance(pair, Sequence)
        or len(pair) != 2
        or not all(isinstance(side, Integral) and int(side) > 0 for side in pair)
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
