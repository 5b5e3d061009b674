"""Checks shared by the estimators."""

import os
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import _check_sample_weight, check_consistent_length

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
    "decoded_cache": [str, os.PathLike, None],
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


def check_label_weights(
    X: Any,
    codes: NDArray[np.int64],
    sample_weight: Any = None,
    label_weight: Any = None,
    names: Sequence[Any] = (),
) -> NDArray[np.float64]:
    """Multiply row weights and label weights; an unknown label weighs 0.

    Parameters
    ----------
    X : object with a length
        Only its number of rows is used.
    codes : ndarray of shape (n, n_attributes)
        -1 where unknown.
    sample_weight : array-like of shape (n,), optional
    label_weight : array-like of shape (n, n_attributes), optional
    names : sequence
        Attribute names, for messages.

    Returns
    -------
    ndarray of shape (n, n_attributes), float64

    Raises
    ------
    ValueError
        If lengths differ, or a weight is negative or not finite.
    """
    weights = (codes >= 0).astype(np.float64)
    check_consistent_length(X, codes)
    if sample_weight is not None:
        sample_weight = _check_sample_weight(sample_weight, X, ensure_non_negative=True)
        weights *= sample_weight[:, np.newaxis]
    if label_weight is not None:
        columns = list(getattr(label_weight, "columns", []))
        if set(columns) & set(names) and columns != list(names):
            raise ValueError(
                f"The columns of label_weight are {columns}, those of y {list(names)}; they must "
                "be the same in the same order."
            )
        label_weight = np.asarray(label_weight, dtype=np.float64)
        if label_weight.ndim == 1 and codes.shape[1] == 1:
            label_weight = label_weight[:, np.newaxis]
        if label_weight.shape != codes.shape:
            raise ValueError(
                f"label_weight has the shape {label_weight.shape}, y {codes.shape}: it needs one "
                "weight for each label."
            )
        bad = (~np.isfinite(label_weight) | (label_weight < 0)) & (codes >= 0)
        if bad.any():
            row, column = np.argwhere(bad)[0]
            name = names[column] if len(names) else int(column)
            raise ValueError(
                f"label_weight of row {row}, attribute {name!r}, is {label_weight[row, column]}; "
                "weights must be finite and at least 0."
            )
        weights *= np.where(codes >= 0, label_weight, 0)
    return weights
