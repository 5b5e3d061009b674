"""Metrics of VAW, Visual Attributes in the Wild."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from skattr.metrics._binary_inputs import (
    BinaryTable,
    Floats,
    average_precisions,
    binary_table,
    highest,
    mean_of_defined,
    positions,
    predict,
    warn_once,
)
from skattr.metrics._counts import count_cells
from skattr.metrics._rates import F1, PRECISION, RECALL, SPECIFICITY, Counts


def vaw_metrics(
    y_true: Any,
    y_score: Any,
    *,
    threshold: Any = 0.5,
    strict: bool = True,
    k: int = 15,
    groups: Mapping[Any, Sequence[Any]] | None = None,
) -> dict[str, float]:
    """Return the metrics of VAW, over labelled cells only.

    Parameters
    ----------
    y_true : array-like of shape (n, L) or DataFrame
        0, 1 or bool. NaN, None and pandas.NA are unlabelled (2 in the official arrays).
    y_score : array-like of shape (n, L), DataFrame, or list of L arrays of shape (n, 2)
        Probabilities, also where y_true is unlabelled.
    threshold : float or array-like of shape (L,), default=0.5
        One threshold, or one per attribute.
    strict : bool, default=True
        If True, an attribute is predicted where its probability is above the threshold, as in
        the official code. If False, also where it is equal, as in the rest of this package.
    k : int, default=15
        For the keys with "@" the k highest probabilities of an image are predicted, unless they
        are 0. They are taken over all attributes, labelled or not; all of them if there are fewer
        than k. Ties at the last place are broken by `numpy.argpartition`, as in the official
        code.
    groups : dict of {group: attributes}, optional
        Names (or positions) of attributes, such as the head, medium and tail ones.

    Returns
    -------
    dict of {str: float}
        The four figures of the paper: "mAP", "mR@15" (mean recall of classes), "mA" (mean
        balanced accuracy of classes) and "F1@15" (over all cells). Then precision, recall, f1,
        tnr and balanced_accuracy, as "overall_f1" (over all cells) and "per_class_f1" (mean of
        classes), and the same with "@15". All of them again for each group, as "mAP/tail".

    Raises
    ------
    ValueError, TypeError
        As for :func:`pedestrian_metrics`; also if a score is not a probability, or a group names
        something that is not an attribute.

    Warns
    -----
    SkattrWarning
        If a class lacks positives, negatives or labels; see Notes.

    Notes
    -----
    From eval/evaluator.py of adobe-research/vaw_dataset. AP is scikit-learn's, and 0 without a
    positive. A class that is never predicted has precision 1 and recall 0. A rate over no cell
    makes the official mean -1; here it is left out of the mean, as are classes without any
    label. Instead of `exclude_atts`, pass a group of all other attributes.

    Examples
    --------
    >>> import numpy as np
    >>> from skattr.metrics import vaw_metrics
    >>> y_true = [[1, 0, None], [0, 1, 1], [1, None, 0]]
    >>> y_score = [[0.9, 0.2, 0.7], [0.4, 0.3, 0.8], [0.6, 0.9, 0.1]]
    >>> found = vaw_metrics(y_true, y_score, k=2, groups={"tail": [2]})
    >>> {key: round(found[key], 3) for key in ["mAP", "mR@2", "mA", "F1@2", "mAP/tail"]}
    {'mAP': 1.0, 'mR@2': 0.667, 'mA': 0.833, 'F1@2': 0.75, 'mAP/tail': 1.0}
    """
    table = binary_table(y_true, y_score, complete=True)
    if not ((table.scores >= 0) & (table.scores <= 1)).all():
        row, column = np.argwhere((table.scores < 0) | (table.scores > 1))[0]
        raise ValueError(
            f"y_score: row {row}, attribute {table.names[column]!r}: {table.scores[row, column]} "
            "is not a probability."
        )
    columns = {"": np.arange(len(table.names))}
    for group, members in (groups or {}).items():
        columns[f"/{group}"] = positions(members, table.names, f"Group {group!r} names")
    at_threshold = count_cells(table.positive, table.negative, predict(table, threshold, strict))
    # The official code takes the top k before it masks unlabelled cells.
    is_highest = highest(table.scores, k, "k") & (table.scores > 0)
    at_k = count_cells(table.positive, table.negative, is_highest)
    precisions = average_precisions(table, "sklearn")
    warn_once(_vaw_remarks(table, at_threshold, at_k))
    precisions[table.labelled & np.isnan(precisions)] = 0.0
    result = {}
    for suffix, column in columns.items():
        column = column[table.labelled[column]]
        found = _vaw_summary(precisions[column], at_threshold.take(column), at_k.take(column), k)
        result.update({key + suffix: value for key, value in found.items()})
    return result


def _vaw_summary(
    precisions: Floats, at_threshold: Counts, at_k: Counts, k: int
) -> dict[str, float]:
    found = {"mAP": mean_of_defined(precisions)}
    for counts, at in ((at_threshold, ""), (at_k, f"@{k}")):
        overall = _vaw_rates(counts.pooled()) if len(precisions) else {}
        for key, values in _vaw_rates(counts).items():
            found[f"overall_{key}{at}"] = float(overall.get(key, np.nan))
            found[f"per_class_{key}{at}"] = mean_of_defined(values)
    paper = {
        "mAP": found.pop("mAP"),
        f"mR@{k}": found.pop(f"per_class_recall@{k}"),
        "mA": found.pop("per_class_balanced_accuracy"),
        f"F1@{k}": found.pop(f"overall_f1@{k}"),
    }
    return paper | found


def _vaw_rates(counts: Counts) -> dict[str, Any]:
    """Return the rates of each class with the official special cases, NaN for its -1."""
    recall = np.where(counts.predicted == 0, 0.0, RECALL.of(counts))
    tnr = SPECIFICITY.of(counts)
    return {
        "precision": PRECISION.of(counts, undefined=1.0),
        "recall": recall,
        "f1": F1.of(counts, undefined=0.0),
        "tnr": tnr,
        "balanced_accuracy": (recall + tnr) / 2,
    }


def _vaw_remarks(table: BinaryTable, at_threshold: Counts, at_k: Counts) -> list[str]:
    remarks = table.left_out(~table.labelled, "known label", "every mean")
    no_positive = table.labelled & (at_threshold.P == 0)
    no_negative = table.labelled & (at_threshold.N == 0)
    if no_positive.any():
        remarks.append(f"{table.named(no_positive)} without a positive: AP counts as 0.")
    if no_negative.any():
        remarks.append(f"{table.named(no_negative)} without a negative.")
    if no_positive.any() or no_negative.any():
        rates = _vaw_rates(at_threshold)["balanced_accuracy"], _vaw_rates(at_k)["recall"]
        over = [int((table.labelled & ~np.isnan(rate)).sum()) for rate in rates]
        remarks.append(f"mA is a mean over {over[0]} attribute(s), the recall at k over {over[1]}.")
    return remarks
