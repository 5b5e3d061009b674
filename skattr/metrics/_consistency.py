"""Share of rows whose labels satisfy logical constraints."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.validation import _check_sample_weight, check_consistent_length

from skattr._targets.alignment import align_rows
from skattr._targets.columns import read_labels, reject_masked
from skattr._targets.constraints import parse_constraints, violations
from skattr._targets.declarations import Declared
from skattr._targets.encoder import AttributeEncoder, sorted_positives
from skattr._targets.positive import warn_sorted_positives
from skattr._utils.tensors import detached


def consistency_score(
    y: Any,
    constraints: Mapping[str, Any] | None,
    *,
    per_constraint: bool = False,
    sample_weight: Any = None,
    attributes: Declared = None,
    missing_label: Any = None,
) -> Any:
    """Share of the rows of a table of labels, true or predicted, that satisfy all constraints.

    Parameters
    ----------
    y : array-like of shape (n,) or (n, n_attributes), or DataFrame
        Labels. A constraint that missing labels leave open counts as satisfied, so a row without
        known labels satisfies all of them.
    constraints : dict, or None
        Constraints as for :class:`skattr.AttributeClassifier`: "at_most_one" and "exactly_one",
        lists of groups of names, and "implies", a list of pairs of names. A name refers to the
        positive class (the second of two) of a binary attribute. Attributes of an array are
        named "y0", "y1", ... or by their position.
    per_constraint : bool, default=False
        Whether to return one share per constraint.
    sample_weight : array-like of shape (n,), default=None
        Weight of each row.
    attributes : dict of {name: kind}, default=None
        Kinds that are not to be read from y, as for :class:`skattr.AttributeEncoder`.
    missing_label : scalar, default=None
        A value that marks a missing label, besides NaN, None and pandas.NA.

    Returns
    -------
    float, or Series of shape (n_constraints,)
        From 0 to 1, higher is better. The index of the Series describes the constraints: first
        those of "at_most_one", then "exactly_one", then "implies".

    Raises
    ------
    ValueError
        If y cannot be read, the constraints are invalid or contradict each other, or lengths or
        weights are invalid.

    Warns
    -----
    PositiveLevelWarning
        If the positive one of two strings was chosen by sorting.

    Examples
    --------
    >>> import pandas as pd
    >>> from skattr.metrics import consistency_score
    >>> y = pd.DataFrame({"goatee": [1, 1, 0, 1], "beard": [1, 0, 0, None], "young": [0, 0, 1, 1]})
    >>> constraints = {"implies": [("goatee", "beard")], "at_most_one": [["young", "goatee"]]}
    >>> consistency_score(y, constraints)
    0.5
    >>> consistency_score(y, constraints, per_constraint=True)
    at most one of young, goatee    0.75
    goatee -> beard                 0.75
    dtype: float64
    """
    y, sample_weight = align_rows(y=y, sample_weight=sample_weight)
    encoder = AttributeEncoder(attributes, missing_label)
    codes = encoder.fit_transform(read_labels(y, missing_label))
    n_classes = [len(labels) for labels in encoder.classes_]
    parsed = parse_constraints(constraints, encoder.output_names_, encoder.kinds_, n_classes)
    used = {parsed.names[j] for item in parsed.items for j in item.members}
    chosen = sorted_positives(encoder, attributes)
    warn_sorted_positives({name: chosen[name] for name in chosen if name in used})
    weights = np.ones(len(codes))
    if sample_weight is not None:
        reject_masked(sample_weight, "sample_weight")
        check_consistent_length(codes, sample_weight)
        weights = _check_sample_weight(detached(sample_weight), codes, ensure_non_negative=True)
    satisfied = ~violations(codes[:, parsed.columns], parsed)
    if per_constraint:
        return pd.Series(weights @ satisfied / weights.sum(), index=parsed.descriptions)
    return float(weights @ satisfied.all(axis=1) / weights.sum())
