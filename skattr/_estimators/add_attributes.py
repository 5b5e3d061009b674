"""Helpers for `AttributeClassifier.add_attributes`: names, parameters and a merged encoder."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from skattr._targets.columns import read_labels
from skattr._targets.encoder import AttributeEncoder

# Parameters of the classifier that trains the new branches: its X are the shared features, so
# that what concerns images or other attributes does not apply.
_FEATURE_PARAMS = {
    "backbone": "linear",
    "weights": None,
    "augment": None,
    "fine_tuning": None,
    "category_prior": None,
    "constraints": None,
    "lr": "auto",
}
_BY_ATTRIBUTE = ("pos_weight", "class_weight", "attribute_weight")


def name_new_attributes(y: Any, names: Sequence[Any]) -> pd.DataFrame:
    """Return y as a DataFrame; columns without a name continue the numbering of `names`.

    Parameters
    ----------
    y : array-like, Series or DataFrame
        Labels of the new attributes.
    names : sequence
        Names of the present attributes.

    Returns
    -------
    DataFrame

    Raises
    ------
    ValueError
        If a name is already used, or y is not a table of labels.
    """
    table = read_labels(y)
    table.reject_tags()
    frame = table.to_frame()
    new_names = list(frame.columns)
    if not table.is_named and getattr(y, "name", None) is None:
        new_names = [f"y{len(names) + j}" for j in range(len(new_names))]
    used = [name for name in new_names if name in names]
    if used:
        raise ValueError(
            f"y has the attribute(s) {used}, which the classifier has already; new attributes "
            f"need names other than {list(names)}."
        )
    return frame.set_axis(new_names, axis=1)


def new_attribute_params(params: Mapping[str, Any], y: pd.DataFrame) -> dict[str, Any]:
    """Return the parameters of a classifier of features that trains the new branches.

    Parameters
    ----------
    params : mapping of {str: value}
        Parameters of the fitted classifier.
    y : DataFrame
        Labels of the new attributes.

    Raises
    ------
    ValueError
        If weights by attribute are an array, which has no entries for the new attributes.
    """
    result = {**params, **_FEATURE_PARAMS}
    for name in _BY_ATTRIBUTE:
        value = result[name]
        if isinstance(value, Mapping):
            result[name] = {key: value[key] for key in value if key in y.columns}
        elif np.ndim(value) > 0:
            raise ValueError(
                f"{name} has one number for each attribute of fit; pass a dict by attribute, "
                "which may name new attributes too, to add attributes."
            )
    return result


def merge_encoders(old: AttributeEncoder, new: AttributeEncoder) -> AttributeEncoder:
    """Return an encoder of the attributes of both, the old ones first."""
    merged = copy.copy(old)  # `attributes` stay those of the old attributes
    merged.classes_ = [*old.classes_, *new.classes_]
    merged.kinds_ = [*old.kinds_, *new.kinds_]
    merged.known_ = np.concatenate([old.known_, new.known_])
    merged.output_names_ = [*old.output_names_, *new.output_names_]
    merged.n_outputs_ = old.n_outputs_ + new.n_outputs_
    return merged
