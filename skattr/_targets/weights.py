"""Resolve `pos_weight`, `class_weight`, `attribute_weight` and weights of labels to numbers."""

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.utils.validation import _check_sample_weight, check_consistent_length

from skattr._targets.alignment import dict_if_named, match_columns
from skattr._targets.codes import positions
from skattr._targets.columns import reject_masked
from skattr._targets.declarations import by_attribute_name
from skattr._targets.encoder import AttributeEncoder, is_binary
from skattr._utils.tensors import detached

Floats = NDArray[np.float64]
Codes = NDArray[np.integer[Any]]
# Without a cap, an attribute with one positive in a large table would dominate the loss.
LARGEST_BALANCED = 1000.0


def positive_weights(
    pos_weight: Any, encoder: AttributeEncoder, codes: Codes, weights: Floats | None = None
) -> Floats:
    """Return the weight of positives of each output; 1 if it is not binary.

    Parameters
    ----------
    pos_weight : number, "balanced", "balanced:CAP", array-like, Series or dict by name
        "balanced" is negatives / positives among the known labels, at most `LARGEST_BALANCED`
        or the given CAP; NaN if there are no negatives or no positives. The values of a dict are
        numbers or such strings. Attributes that a dict does not name have 1.
    encoder : AttributeEncoder
    codes : ndarray of shape (n, n_outputs), int
    weights : ndarray of shape (n, n_outputs), optional
        Weights of the labels when they are counted.

    Returns
    -------
    ndarray of shape (n_outputs,)

    Raises
    ------
    ValueError
        If names or lengths do not match the binary outputs, or a weight is not above 0.
    """
    binary = is_binary(encoder)
    result = np.ones(len(binary))
    values = _per_binary_output(pos_weight, encoder, binary)
    for j, value in zip(np.flatnonzero(binary), values, strict=True):
        weight = None if weights is None else weights[:, j]
        result[j] = _positive_weight(value, encoder.output_names_[j], codes[:, j], weight)
    return result


def _per_binary_output(
    pos_weight: Any, encoder: AttributeEncoder, binary: NDArray[np.bool_]
) -> list[Any]:
    all_names = encoder.output_names_
    names = [all_names[j] for j in np.flatnonzero(binary)]
    if isinstance(pos_weight, str):
        _cap(pos_weight, "pos_weight")  # an invalid string is an error without binary outputs, too
    if isinstance(pos_weight, str | Real):
        return [pos_weight] * len(names)
    if isinstance(pos_weight, pd.Series) and set(pos_weight.index) == set(all_names):
        pos_weight = pos_weight.loc[names]
    pos_weight = dict_if_named(pos_weight)
    if isinstance(pos_weight, Mapping):
        given = by_attribute_name(pos_weight, all_names, "pos_weight")
        invalid = [name for name in given if name not in names]
        if invalid:
            raise ValueError(
                f"pos_weight names {invalid[0]!r}, which is no binary attribute; those are {names}."
            )
        return [given.get(name, 1.0) for name in names]
    values = np.asarray(detached(pos_weight), dtype=object)
    values = values[binary] if values.shape == binary.shape else values
    if values.shape != (len(names),):
        raise ValueError(
            f"pos_weight has the shape {values.shape}; it must have one number for each of the "
            f"{len(names)} binary attributes {names}, or of the {len(binary)} outputs."
        )
    return list(values.tolist())


def _positive_weight(value: Any, name: Any, codes: Codes, weights: Floats | None) -> float:
    if isinstance(value, str):
        cap = _cap(value, f"pos_weight of {name!r}")
        negatives, positives = _class_sums(codes, weights, 2)
        has_both = negatives > 0 and positives > 0
        return min(negatives / positives, cap) if has_both else np.nan
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    if not is_number or not np.isfinite(float(value)) or float(value) <= 0:
        shown = f"{value:g}" if isinstance(value, Real) else repr(value)
        raise ValueError(
            f"pos_weight of {name!r} is {shown}; weights must be finite and above 0, or "
            "'balanced', or 'balanced:CAP' with the largest weight allowed."
        )
    return float(value)


def _cap(value: str, what: str) -> float:
    kind, colon, cap = value.partition(":")
    try:
        number = float(cap) if colon else LARGEST_BALANCED
    except ValueError:
        number = np.nan
    if kind != "balanced" or not number > 0:
        raise ValueError(
            f"{what} is {value!r}; valid are a number above 0, 'balanced', or 'balanced:CAP' with "
            "the largest weight allowed, such as 'balanced:20'."
        )
    return number


def _class_sums(codes: Codes, weights: Floats | None, n_classes: int) -> Floats:
    """Return the weight of the known labels of each class."""
    known = codes >= 0
    weight = None if weights is None else weights[known]
    return np.bincount(codes[known], weight, n_classes).astype(np.float64)


def class_weights(
    class_weight: Any, encoder: AttributeEncoder, codes: Codes, weights: Floats
) -> list[Floats]:
    """Return the weight of each class of each attribute.

    Parameters
    ----------
    class_weight : None, "balanced", dict, or list
        "balanced" is n / (K n_k) for n_k of n known labels and the K classes that occur, as in
        scikit-learn. A dict maps attributes to "balanced" or to dicts from label to weight. A
        list has one of these, or None, per attribute. A single attribute may also have a dict
        from label to weight. Attributes and labels that are not named have weight 1.
    encoder : AttributeEncoder
    codes, weights : ndarray of shape (n, n_outputs)

    Returns
    -------
    list of ndarray of shape (n_classes,)

    Raises
    ------
    ValueError
        If an attribute or a label is not there, or a weight is negative or not finite.
    """
    names = encoder.output_names_
    chosen = by_attribute_name(_class_weight_by_name(class_weight, encoder), names, "class_weight")
    result = []
    for j, (name, classes) in enumerate(zip(names, encoder.classes_, strict=True)):
        sums = _class_sums(codes[:, j], weights[:, j], len(classes))
        result.append(_class_weights(chosen.get(name), name, classes, sums))
    return result


def _class_weight_by_name(class_weight: Any, encoder: AttributeEncoder) -> dict[Any, Any]:
    names = encoder.output_names_
    if class_weight is None:
        return {}
    if isinstance(class_weight, str):
        return dict.fromkeys(names, class_weight)
    if isinstance(class_weight, Mapping):
        nested = any(
            value is None or isinstance(value, str | Mapping) for value in class_weight.values()
        )
        single = len(names) == 1 and not nested
        return {names[0]: class_weight} if single else dict(class_weight)
    if len(class_weight) != len(names):
        raise ValueError(
            f"class_weight lists {len(class_weight)} attribute(s), y has {len(names)}: {names}."
        )
    return dict(zip(names, class_weight, strict=True))


def _class_weights(chosen: Any, name: Any, classes: NDArray[Any], sums: Floats) -> Floats:
    if chosen is None:
        return np.ones(len(classes))
    if isinstance(chosen, str) and chosen == "balanced":
        occurs = sums > 0
        divisor = max(1, occurs.sum()) * np.where(occurs, sums, 1)
        return np.where(occurs, sums.sum() / divisor, 1.0)
    if not isinstance(chosen, Mapping):
        raise ValueError(
            f"class_weight[{name!r}] must be None, 'balanced' or a dict from label to weight; got "
            f"{chosen!r}."
        )
    result = np.ones(len(classes))
    labels = pd.Series(list(chosen), dtype=object)
    for label, position in zip(labels, positions(labels, classes), strict=True):
        if position < 0:
            raise ValueError(
                f"class_weight of {name!r} names the label {label!r}, which is not among its "
                f"classes {classes.tolist()}."
            )
        result[position] = _checked(chosen[label], f"class_weight of {name!r}, label {label!r},")
    return result


def _checked(value: Any, what: str) -> float:
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    if not is_number or not np.isfinite(float(value)) or float(value) < 0:
        raise ValueError(f"{what} is {value!r}; weights must be finite numbers of at least 0.")
    return float(value)


def attribute_weights(
    attribute_weight: Any, encoder: AttributeEncoder, codes: Codes, weights: Floats
) -> Floats | str | None:
    """Return the importance of each attribute.

    Parameters
    ----------
    attribute_weight : None, "uncertainty", "balanced", dict or Series by name, or array-like
        "balanced" is inversely proportional to the number of known labels, with mean 1 over all
        known labels. Attributes that a dict does not name have 1.
    encoder : AttributeEncoder
    codes, weights : ndarray of shape (n, n_outputs)

    Returns
    -------
    ndarray of shape (n_outputs,), None, or "uncertainty"
        None if all are 1. "uncertainty" if the loss learns them.

    Raises
    ------
    ValueError
        If an attribute does not exist, or a weight is negative or not finite.
    """
    names = encoder.output_names_
    if attribute_weight is None:
        return None
    if isinstance(attribute_weight, str):
        if attribute_weight == "uncertainty":
            return "uncertainty"
        if attribute_weight != "balanced":
            raise ValueError(
                f"attribute_weight={attribute_weight!r} is unknown; valid are None, 'balanced', "
                "'uncertainty', a dict by attribute, or one number per attribute."
            )
        known = np.where(codes >= 0, weights, 0).sum(axis=0, dtype=np.float64)
        divisor = max(1, (known > 0).sum()) * np.where(known > 0, known, 1)
        return np.where(known > 0, known.sum() / divisor, 1.0)
    attribute_weight = dict_if_named(attribute_weight)
    if isinstance(attribute_weight, Mapping):
        given = by_attribute_name(attribute_weight, names, "attribute_weight")
    else:
        values = list(attribute_weight)
        if len(values) != len(names):
            raise ValueError(
                f"attribute_weight has {len(values)} number(s), y {len(names)} attribute(s): "
                f"{names}."
            )
        given = dict(zip(names, values, strict=True))
    result = [_checked(given.get(name, 1.0), f"attribute_weight of {name!r}") for name in names]
    if not any(result):
        raise ValueError("attribute_weight is 0 for every attribute; one must be above 0.")
    return np.array(result)


def check_label_weights(
    X: Any,
    codes: Codes,
    sample_weight: Any = None,
    label_weight: Any = None,
    names: Sequence[Any] = (),
    *,
    dtype: type[np.floating[Any]] = np.float64,
) -> NDArray[Any]:
    """Return the products of row weights and label weights; 0 for missing labels.

    Parameters
    ----------
    X : object with a length
        Only its number of rows is used.
    codes : ndarray of shape (n, n_attributes)
        -1 where a label is missing.
    sample_weight : array-like of shape (n,), optional
    label_weight : array-like of shape (n, n_attributes), optional
    names : sequence
        Names of the attributes, with which those of the columns of `label_weight` are matched.
    dtype : floating type

    Returns
    -------
    ndarray of shape (n, n_attributes), dtype

    Raises
    ------
    ValueError
        If lengths or names differ, or a weight is negative or not finite.
    TypeError
        If weights are masked or sparse.
    """
    weights = (codes >= 0).astype(dtype)
    check_consistent_length(X, codes)
    sample_weight, label_weight = detached(sample_weight), detached(label_weight)
    reject_masked(sample_weight, "sample_weight")
    reject_masked(label_weight, "label_weight")
    if sample_weight is not None:
        sample_weight = _check_sample_weight(sample_weight, X, ensure_non_negative=True)
        weights *= sample_weight[:, np.newaxis]
    if label_weight is not None:
        label_weight = match_columns(label_weight, names or None, "label_weight", "y")
        label_weight = np.asarray(label_weight, dtype=np.float64)
        if label_weight.ndim == 1 and codes.shape[1] == 1:
            label_weight = label_weight[:, np.newaxis]
        if label_weight.shape != codes.shape:
            raise ValueError(
                f"label_weight has shape {label_weight.shape}, but y has shape {codes.shape}; "
                "there must be one weight for each label."
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
