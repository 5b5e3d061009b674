"""Whether labels obey logical rules."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.validation import _check_sample_weight, check_consistent_length

from skattr._targets.columns import reject_masked
from skattr._targets.constraints import parse_constraints, violations
from skattr._targets.declarations import Declared
from skattr._targets.encoder import AttributeEncoder


def consistency_score(
    y: Any,
    constraints: Mapping[str, Any] | None,
    *,
    per_rule: bool = False,
    sample_weight: Any = None,
    attributes: Declared = None,
    missing_label: Any = None,
) -> Any:
    """Share of the rows of a table of labels, true or predicted, that break no logical rule.

    Parameters
    ----------
    y : array-like of shape (n,) or (n, n_attributes), or DataFrame
        Labels. A rule that unknown ones leave open is not broken, so a row without known labels
        breaks none.
    constraints : dict, or None
        The rules, as of :class:`skattr.AttributeClassifier`: "at_most_one" and "exactly_one",
        lists of groups of names, and "implies", a list of pairs of names. They are of binary
        attributes, whose positive class (the second of two) is meant by a name. Attributes of
        an array are named "y0", "y1", ... or by their position.
    per_rule : bool, default=False
        Return one share per rule.
    sample_weight : array-like of shape (n,), default=None
        Weight of each row.
    attributes : dict of {name: kind}, default=None
        Kinds that are not to be read from y, as for :class:`skattr.AttributeEncoder`.
    missing_label : scalar, default=None
        One more value, beside NaN, None and pandas.NA, that means unknown.

    Returns
    -------
    float, or Series of shape (n_rules,)
        From 0 to 1, the higher the better. The index of the Series holds the rules in words; those
        of "at_most_one" come first, then "exactly_one", then "implies".

    Raises
    ------
    ValueError
        If y cannot be read, the rules are not valid or contradict each other, or lengths or
        weights are not valid.

    Examples
    --------
    >>> import pandas as pd
    >>> from skattr.metrics import consistency_score
    >>> y = pd.DataFrame({"goatee": [1, 1, 0, 1], "beard": [1, 0, 0, None], "young": [0, 0, 1, 1]})
    >>> rules = {"implies": [("goatee", "beard")], "at_most_one": [["young", "goatee"]]}
    >>> consistency_score(y, rules)
    0.5
    >>> consistency_score(y, rules, per_rule=True)
    at most one of young, goatee    0.75
    goatee -> beard                 0.75
    dtype: float64
    """
    encoder = AttributeEncoder(attributes, missing_label)
    codes = encoder.fit_transform(y)
    n_classes = [len(labels) for labels in encoder.classes_]
    rules = parse_constraints(constraints, encoder.output_names_, encoder.kinds_, n_classes)
    weights = np.ones(len(codes))
    if sample_weight is not None:
        reject_masked(sample_weight, "sample_weight")
        check_consistent_length(codes, sample_weight)
        weights = _check_sample_weight(sample_weight, codes, ensure_non_negative=True)
    kept = ~violations(codes[:, rules.columns], rules)
    if per_rule:
        return pd.Series(weights @ kept / weights.sum(), index=rules.rule_names)
    return float(weights @ kept.all(axis=1) / weights.sum())
