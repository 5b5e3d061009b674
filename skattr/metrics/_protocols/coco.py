"""Metrics of multi-label classification on COCO."""

from typing import Any, Literal

import numpy as np

from skattr.metrics._binary_inputs import (
    average_precisions,
    binary_table,
    check_option,
    highest,
    mean_of_defined,
    predict,
    warn_once,
)
from skattr.metrics._counts import count_cells
from skattr.metrics._rates import F1, PRECISION, RECALL, divide, harmonic_mean


def coco_metrics(
    y_true: Any,
    y_score: Any,
    *,
    threshold: Any = 0.5,
    strict: bool = False,
    top_k: int | None = None,
    ap: Literal["sklearn", "voc"] = "sklearn",
    overall: Literal["micro", "ml-gcn"] = "micro",
) -> dict[str, float]:
    """Return mAP and the per-class and overall precision, recall and F1 of multi-label papers.

    Parameters
    ----------
    y_true : array-like of shape (n, L) or DataFrame
        0, 1 or bool. Missing labels (NaN, None, pandas.NA) are left out.
    y_score : array-like of shape (n, L), DataFrame, or list of L arrays of shape (n, 2)
        Probabilities, or logits with a threshold of 0.
    threshold : float or array-like of shape (L,), default=0.5
        One threshold, or one per class.
    strict : bool, default=False
        If False, a class is predicted where its score is at least the threshold, as in ML-GCN.
        If True, only where it is above, as in ASL and Rethinking_of_PAR.
    top_k : int, optional
        Predict at most the k highest scores of an image (3 in ML-GCN), taken over all classes,
        and of these only the ones that reach the threshold, as ML-GCN does.
        ``threshold=-numpy.inf`` predicts all k. Ties are broken by the order of classes.
    ap : {"sklearn", "voc"}, default="sklearn"
        "voc" is the area under the interpolated precision (the highest at the same or a higher
        recall), over all points, as in Query2Label and SSGRL. ML-GCN and ASL agree with "sklearn"
        if no scores are tied; otherwise their value depends on the order of the rows.
    overall : {"micro", "ml-gcn"}, default="micro"
        "ml-gcn" counts one prediction for every class without any, in OP only.

    Returns
    -------
    dict of {str: float}
        "mAP"; "CP" and "CR", the means over classes of precision and recall; "CF1", the harmonic
        mean of these two; "CF1_mean", the mean of the classes' F1; "OP", "OR" and "OF1", over all
        cells.

    Raises
    ------
    ValueError, TypeError
        As for :func:`pedestrian_metrics`.

    Warns
    -----
    SkattrWarning
        If a class has no positive. Its AP, recall and F1 are left out of the means, and its
        precision counts as 0 in CP. (In that case CR is NaN in ML-GCN and Rethinking_of_PAR, and
        ASL counts 0.) A class without a known label is left out of every mean.

    Notes
    -----
    A class without predictions has precision 0 in util.py of ML-GCN, validate.py of ASL and
    metrics/ml_metrics.py of Rethinking_of_PAR. CF1 is the harmonic mean in ML-GCN and
    Rethinking_of_PAR, which also has CF1_mean; ASL's F_C is CF1_mean. F1 is 0 if precision and
    recall are 0, where the official codes divide 0 by 0. ML-GCN sums AP in float32, and ASL adds
    1e-8 to the number of positives, so their mAP agrees to about 1e-7 only.

    Examples
    --------
    >>> from skattr.metrics import coco_metrics
    >>> y_true = [[1, 0, 1], [0, 1, 1], [1, 0, 0]]
    >>> y_score = [[0.9, 0.2, 0.7], [0.4, 0.3, 0.8], [0.6, 0.9, 0.1]]
    >>> {key: round(value, 2) for key, value in coco_metrics(y_true, y_score).items()}
    {'mAP': 0.83, 'CP': 0.67, 'CR': 0.67, 'CF1': 0.67, 'CF1_mean': 0.67, 'OP': 0.8, 'OR': 0.8, \
'OF1': 0.8}
    """
    check_option("ap", ap, ("sklearn", "voc"))
    check_option("overall", overall, ("micro", "ml-gcn"))
    table = binary_table(y_true, y_score, complete=top_k is not None)
    predicted = predict(table, threshold, strict)
    if top_k is not None:
        predicted &= highest(table.scores, top_k, "top_k", stable=True)
    counts = count_cells(table.positive, table.negative, predicted)
    remarks = table.left_out(~table.labelled, "known label", "every mean")
    no_positive = table.labelled & (counts.P == 0)
    remarks += table.left_out(no_positive, "positive", "mAP, CR and CF1_mean")
    warn_once(remarks)
    precisions = average_precisions(table, ap)
    counts = counts.take(np.flatnonzero(table.labelled))
    class_precision = mean_of_defined(PRECISION.of(counts, undefined=0.0))
    class_recall = mean_of_defined(RECALL.of(counts))
    # ML-GCN replaces 0 predictions by 1 per class before it sums, which lowers OP.
    n_predicted = counts.predicted if overall == "micro" else np.maximum(counts.predicted, 1)
    all_precision = float(divide(counts.tp.sum(), n_predicted.sum(), 0.0))
    all_recall = float(RECALL.of(counts.pooled()))
    return {
        "mAP": mean_of_defined(precisions),
        "CP": class_precision,
        "CR": class_recall,
        "CF1": float(harmonic_mean(class_precision, class_recall)),
        "CF1_mean": mean_of_defined(F1.of(counts)),
        "OP": all_precision,
        "OR": all_recall,
        "OF1": float(harmonic_mean(all_precision, all_recall)),
    }
