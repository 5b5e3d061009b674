"""Metrics of pedestrian attributes."""

from functools import partial
from typing import Any, Literal

import numpy as np

from skattr.metrics._binary_inputs import (
    binary_table,
    check_option,
    mean_of_defined,
    predict,
    warn_once,
)
from skattr.metrics._counts import count_cells, sums_of_cells
from skattr.metrics._rates import BALANCED_ACCURACY, JACCARD, PRECISION, RECALL, harmonic_mean


def pedestrian_metrics(
    y_true: Any,
    y_score: Any,
    *,
    threshold: Any = 0.5,
    strict: bool = True,
    empty_rows: Literal["count", "drop"] = "count",
) -> dict[str, float]:
    """Return mA and the instance-based metrics of pedestrian attributes (PETA, PA-100K, RAP).

    mA is the mean over attributes of (TPR + TNR) / 2. Accuracy (intersection over union),
    precision and recall are means over images; f1 is the harmonic mean of that precision and
    that recall, not the mean of the images' F1.

    Parameters
    ----------
    y_true : array-like of shape (n, L) or DataFrame
        0, 1 or bool. Missing labels (NaN, None, pandas.NA) are left out.
    y_score : array-like of shape (n, L), DataFrame, or list of L arrays of shape (n, 2)
    threshold : float or array-like of shape (L,), default=0.5
        One threshold, or one per attribute.
    strict : bool, default=True
        If True, an attribute is predicted where its score is above the threshold, as in
        Rethinking_of_PAR. If False, also where it is equal, as in the older toolkit and in the
        rest of this package.
    empty_rows : {"count", "drop"}, default="count"
        Treatment of images that have known labels but no true one. "count" gives them 0 in
        accuracy, precision and recall, as Rethinking_of_PAR (metrics/pedestrian_metrics.py) and
        scikit-learn's ``average="samples"`` do. "drop" leaves them out of the three means, as
        pedestrian-attribute-recognition-pytorch (baseline/utils/evaluate.py) does. Both leave out
        images without a known label.

    Returns
    -------
    dict of {str: float}
        Keys "mA", "accuracy", "precision", "recall" and "f1".

    Raises
    ------
    ValueError, TypeError
        If arguments do not fit each other, a label is neither 0 nor 1, all labels are missing,
        or an argument is masked or sparse.

    Warns
    -----
    SkattrWarning
        If an attribute has no positive, no negative or no label at all. The undefined rate
        counts as 0, as in Rethinking_of_PAR; the other toolkit's mA is NaN. Attributes without a
        label are left out. All but mA are NaN if no image is left.

    Examples
    --------
    >>> from skattr.metrics import pedestrian_metrics
    >>> y_true = [[1, 0], [1, 1], [0, 0]]
    >>> y_score = [[0.9, 0.2], [0.8, 0.4], [0.6, 0.1]]
    >>> {key: round(value, 3) for key, value in pedestrian_metrics(y_true, y_score).items()}
    {'mA': 0.5, 'accuracy': 0.5, 'precision': 0.667, 'recall': 0.5, 'f1': 0.571}
    >>> round(pedestrian_metrics(y_true, y_score, empty_rows="drop")["f1"], 3)
    0.857
    """
    check_option("empty_rows", empty_rows, ("count", "drop"))
    table = binary_table(y_true, y_score)
    predicted = predict(table, threshold, strict)
    counts = count_cells(table.positive, table.negative, predicted)
    balanced = BALANCED_ACCURACY.of(counts, undefined=0.0)
    balanced[~table.labelled] = np.nan
    remarks = table.left_out(~table.labelled, "known label", "mA")
    one_sided = table.labelled & ((counts.P == 0) | (counts.N == 0))
    if one_sided.any():
        remarks.append(
            f"The known labels of {table.named(one_sided)} are of one class: the rate of the other "
            "counts as 0 in mA."
        )
    # A row counts if it has a known label, or only if it has a true one.
    rows = (table.known if empty_rows == "count" else table.positive).any(axis=1)
    if not rows.any():
        remarks.append("No image has a true label: the metrics of images are NaN.")
    of_rows = count_cells(
        table.positive, table.negative, predicted, partial(sums_of_cells, axis=1)
    ).take(rows)
    precision = mean_of_defined(PRECISION.of(of_rows, undefined=0.0))
    recall = mean_of_defined(RECALL.of(of_rows, undefined=0.0))
    warn_once(remarks)
    return {
        "mA": mean_of_defined(balanced),
        "accuracy": mean_of_defined(JACCARD.of(of_rows, undefined=0.0)),
        "precision": precision,
        "recall": recall,
        "f1": float(harmonic_mean(precision, recall)),
    }
