"""What new attributes on a fitted classifier need: names, parameters, one encoder for all."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import check_consistent_length

from skattr._targets.columns import read_labels
from skattr._targets.encoder import AttributeEncoder

_FEATURE_PARAMS = {
    "backbone": "linear",
    "weights": None,
    "augment": None,
    "freeze": None,
    "category_prior": None,
    "constraints": None,
    "lr": "auto",
    "warm_start": False,
    "transform_output": "proba",
    "cross_fit": None,
}
_BY_ATTRIBUTE = ("pos_weight", "class_weight", "attribute_weight")


def name_new_attributes(y: Any, old: Sequence[Any]) -> pd.DataFrame:
    """Return y as a DataFrame whose columns are named on from the old attributes.

    Raises
    ------
    ValueError
        If a name is there already, or y is no table of labels.
    """
    frame = read_labels(y).to_frame()
    names = list(frame.columns)
    if not isinstance(y, pd.DataFrame) and getattr(y, "name", None) is None:
        names = [f"y{len(old) + j}" for j in range(len(names))]
    taken = [name for name in names if name in old]
    if taken:
        raise ValueError(
            f"The attribute(s) {taken} are there already; new ones need other names than "
            f"{list(old)}."
        )
    return frame.set_axis(names, axis=1)


def new_attribute_params(classifier: Any, y: pd.DataFrame) -> dict[str, Any]:
    """Return the parameters of a classifier of features that trains the new branches.

    Raises
    ------
    ValueError
        If weights by attribute are in an array, which has none for the new ones.
    """
    params = {**classifier.get_params(deep=False), **_FEATURE_PARAMS}
    for name in _BY_ATTRIBUTE:
        value = params[name]
        if isinstance(value, Mapping):
            params[name] = {key: value[key] for key in value if key in y.columns}
        elif np.ndim(value) > 0:
            raise ValueError(
                f"{name} has one number for each attribute of fit; write it as a dict by "
                "attribute, which may name new ones too, to add attributes."
            )
    return params


def merge_encoders(old: AttributeEncoder, new: AttributeEncoder) -> AttributeEncoder:
    """Return an encoder of the attributes of both."""
    both = copy.copy(old)
    both.classes_ = [*old.classes_, *new.classes_]
    both.kinds_ = [*old.kinds_, *new.kinds_]
    both.known_ = np.concatenate([old.known_, new.known_])
    both.output_names_ = [*old.output_names_, *new.output_names_]
    both.n_outputs_ = old.n_outputs_ + new.n_outputs_
    return both


def drop_rows(rows: NDArray[np.intp], *parts: Any) -> list[Any]:
    """Return arrays and tables without some of their rows; None stays None."""
    check_consistent_length(*parts)
    n_rows = len(parts[0])
    keep = np.delete(np.arange(n_rows), rows)
    return [None if part is None else _safe_indexing(part, keep) for part in parts]
