"""Checks shared by the estimators."""

from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any

from sklearn.utils._param_validation import HasMethods, Interval, StrOptions

PARAMETER_CONSTRAINTS: dict[str, Any] = {
    "backbone": [str, callable],
    "weights": [str, None],
    "attributes": [Mapping, None],
    "binary_head": [StrOptions({"sigmoid", "softmax"})],
    "branch_hidden": [Interval(Integral, 1, None, closed="left"), None],
    "ordinal_predict": [StrOptions({"median", "mode"})],
    "category_prior": [StrOptions({"joint", "condition", "auxiliary"}), None],
    "constraints": [Mapping, None],
    "loss": [str, callable, HasMethods(["get_params", "set_params"])],
    "pos_weight": [str, Interval(Real, 0, None, closed="neither"), Mapping, "array-like", None],
    "class_weight": [str, Mapping, list, None],
    "attribute_weight": [str, Mapping, "array-like", None],
    "classes": ["array-like", Mapping, None],
    "missing_label": "no_validation",
    "image_size": [Interval(Integral, 1, None, closed="left"), tuple, list],
    "augment": [str, callable, HasMethods(["get_params", "set_params"]), None],
    "freeze": [str, HasMethods(["get_params", "set_params"]), None],
    "optimizer": [StrOptions({"adamw", "adam", "sgd"}), callable],
    "lr": [Interval(Real, 0, None, closed="neither"), StrOptions({"auto"})],
    "weight_decay": [Interval(Real, 0, None, closed="left")],
    "lr_schedule": [StrOptions({"onecycle", "cosine"}), None],
    "ema_decay": [Interval(Real, 0, 1, closed="neither"), None],
    "batch_size": [Interval(Integral, 1, None, closed="left")],
    "max_epochs": [Interval(Integral, 1, None, closed="left")],
    "validation_fraction": [Interval(Real, 0, 1, closed="neither"), None],
    "early_stopping": ["boolean", Interval(Integral, 1, None, closed="left")],
    "transform_output": [StrOptions({"proba", "logit", "features"})],
    "cross_fit": [
        Interval(Integral, 2, None, closed="left"),
        Interval(Real, 0, 1, closed="neither"),
        HasMethods(["split", "get_n_splits"]),
        None,
    ],
    "device": [str],
    "precision": [StrOptions({"auto", "float32", "float64", "bfloat16"})],
    "num_workers": [Interval(Integral, 0, None, closed="left")],
    "decoding": [StrOptions({"exact", "scaled"})],
    "decoded_cache": [StrOptions({"memory"}), None],
    "on_bad_image": [StrOptions({"raise", "warn"})],
    "net_params": [Mapping, None],
    "warm_start": ["boolean"],
    "random_state": ["random_state"],
    "verbose": ["verbose"],
}


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
