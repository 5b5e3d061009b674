"""Evaluation protocols of attribute papers, as defined by their official code."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from skattr._targets.alignment import align_rows
from skattr._targets.columns import read_labels, reject_masked
from skattr.metrics._binary_inputs import (
    BinaryTable,
    Floats,
    average_precisions,
    binary_table,
    check_option,
    highest,
    mean_of_defined,
    positions,
    threshold_per_attribute,
    warn_once,
)
from skattr.metrics._counts import count_cells, sums_of_cells
from skattr.metrics._rates import (
    BALANCED_ACCURACY,
    F1,
    JACCARD,
    PRECISION,
    RECALL,
    SPECIFICITY,
    Counts,
    divide,
    harmonic_mean,
)

CHEXPERT_FIVE = ("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Pleural Effusion")


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
    predicted = _predict(table, threshold, strict)
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


def _predict(table: BinaryTable, threshold: Any, strict: bool) -> NDArray[np.bool_]:
    """Tell which scores are above the threshold, or also which are equal to it."""
    limits = threshold_per_attribute(threshold, table)
    return np.asarray(table.scores > limits if strict else table.scores >= limits)


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
    columns = {
        group: positions(members, table.names, f"Group {group!r} names")
        for group, members in (groups or {}).items()
    }
    at_threshold = count_cells(table.positive, table.negative, _predict(table, threshold, strict))
    # The official code takes the top k before it masks unlabelled cells.
    is_highest = highest(table.scores, k, "k") & (table.scores > 0)
    at_k = count_cells(table.positive, table.negative, is_highest)
    precisions = average_precisions(table, "sklearn")
    warn_once(_vaw_remarks(table, at_threshold, at_k))
    precisions[table.labelled & np.isnan(precisions)] = 0.0
    result = {}
    for group, members in {None: np.arange(len(table.names)), **columns}.items():
        members = members[table.labelled[members]]
        found = _vaw_summary(precisions[members], at_threshold.take(members), at_k.take(members), k)
        suffix = "" if group is None else f"/{group}"
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
    predicted = _predict(table, threshold, strict)
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


def chexpert_auc(
    y_true: Any,
    y_score: Any,
    *,
    uncertain: Literal["ignore", "zeros", "ones"] = "ignore",
    observations: Sequence[Any] | None = None,
    uncertain_label: Any = -1,
) -> dict[str, float]:
    """Return the mean AUC over the five observations of the CheXpert competition.

    They are Atelectasis, Cardiomegaly, Consolidation, Edema and Pleural Effusion (Irvin et al.,
    2019, https://arxiv.org/abs/1901.07031, which also names the policies for uncertain labels).

    Parameters
    ----------
    y_true : array-like of shape (n, L) or DataFrame
        0, 1, `uncertain_label`, or missing (NaN, None, pandas.NA; blank in the files). A DataFrame
        may have more columns than the observations, of any type.
    y_score : array-like of shape (n, L), DataFrame, or list of L arrays of shape (n, 2)
        One column per column of y_true, or one per observation in their order. Columns of a
        DataFrame are matched by name.
    uncertain : {"ignore", "zeros", "ones"}, default="ignore"
        Whether to read an uncertain label as missing, as 0, or as 1.
    observations : list of column names, optional
        Observations to evaluate. The default is the five of the competition for a DataFrame, and
        all columns of an array.
    uncertain_label : scalar, default=-1
        Value of an uncertain label.

    Returns
    -------
    dict of {str: float}
        "mAUC", the mean, then "AUC/Atelectasis" and so on.

    Raises
    ------
    ValueError, TypeError
        As for :func:`pedestrian_metrics`; also if a column is missing.

    Warns
    -----
    SkattrWarning
        If the known labels of an observation are of at most one class. Its AUC is NaN and left
        out of the mean.

    Examples
    --------
    >>> import pandas as pd
    >>> from skattr.metrics import chexpert_auc
    >>> y_true = pd.DataFrame({"Edema": [1, 0, -1, 0], "Fracture": [0, 1, None, 0]})
    >>> y_score = pd.DataFrame({"Edema": [0.7, 0.2, 0.6, 0.6], "Fracture": [0.1, 0.4, 0.2, 0.2]})
    >>> chexpert_auc(y_true, y_score, observations=["Edema"], uncertain="ones")
    {'mAUC': 0.875, 'AUC/Edema': 0.875}
    """
    check_option("uncertain", uncertain, ("ignore", "zeros", "ones"))
    reject_masked(y_score, "y_score")
    align_rows(y_true=y_true, y_score=y_score)
    is_frame = isinstance(y_true, pd.DataFrame)
    frame = read_labels(y_true, what="y_true").to_frame()
    if observations is None:
        observations = CHEXPERT_FIVE if is_frame else list(frame.columns)
    at = positions(observations, list(frame.columns), "`observations` names")
    labels = frame.iloc[:, at].astype(object)
    is_uncertain = (labels == uncertain_label).to_numpy(dtype=bool, na_value=False)
    names, values = list(labels.columns), labels.to_numpy(dtype=object, copy=True)
    values[is_uncertain] = {"ignore": None, "zeros": 0, "ones": 1}[uncertain]
    score: Any = y_score
    if isinstance(y_score, pd.DataFrame):
        order = positions(names, list(y_score.columns), "The columns of y_score lack")
        score = y_score.iloc[:, order].to_numpy()
    elif isinstance(y_score, list | tuple) and any(np.ndim(part) == 2 for part in y_score):
        score = [y_score[j] for j in at] if len(y_score) == frame.shape[1] else y_score
    elif np.ndim(y_score) == 2 and np.shape(y_score)[1] == frame.shape[1]:
        score = np.asarray(y_score)[:, at]
    table = binary_table(pd.DataFrame(values, columns=names), score)
    has_both = np.asarray(table.positive.any(axis=0) & table.negative.any(axis=0))
    warn_once(table.left_out(~has_both, "positive or a negative have no AUC and", "mAUC"))
    areas = np.full(len(names), np.nan)
    for j in np.flatnonzero(has_both):
        rows = table.known[:, j]
        areas[j] = roc_auc_score(table.positive[rows, j], table.scores[rows, j])
    per_observation = {f"AUC/{name}": float(area) for name, area in zip(names, areas, strict=True)}
    return {"mAUC": mean_of_defined(areas), **per_observation}
