"""The evaluation protocols of attribute papers, each as its official code has it."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from skattr.metrics._binary_inputs import (
    BinaryTable,
    Floats,
    average_precisions,
    binary_table,
    check_option,
    highest,
    mean_of_defined,
    positions,
    refuse_masked_and_sparse,
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
        0, 1 or bool; NaN, None and pandas.NA are unknown and count nowhere.
    y_score : array-like of shape (n, L), DataFrame, or list of L arrays of shape (n, 2)
    threshold : float or array-like of shape (L,), default=0.5
        One threshold, or one per attribute.
    strict : bool, default=True
        If True, an attribute is predicted where its score is above the threshold, as in
        Rethinking_of_PAR. If False, also where it is equal, as in the older toolkit and in the
        rest of this package.
    empty_rows : {"count", "drop"}, default="count"
        Images with known labels, none of them true: "count" gives them 0 in accuracy, precision
        and recall, as Rethinking_of_PAR (metrics/pedestrian_metrics.py) and scikit-learn's
        ``average="samples"`` do; "drop" leaves them out of the three means, as
        pedestrian-attribute-recognition-pytorch (baseline/utils/evaluate.py) does. Images
        without any known label are left out by both.

    Returns
    -------
    dict of {str: float}
        mA, accuracy, precision, recall, f1.

    Raises
    ------
    ValueError, TypeError
        If arguments do not fit each other, a label is neither 0 nor 1, none is known, or one is
        masked or sparse.

    Warns
    -----
    SkattrWarning
        If an attribute has no positive, no negative or no label at all. The rate that is
        missing counts 0, as in Rethinking_of_PAR, where the other toolkit's mA is NaN;
        attributes without a label are left out. NaN for all but mA if no image is left.

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
            "counts 0 in mA."
        )
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
        0, 1 or bool; NaN, None and pandas.NA are unlabelled (2 in the official arrays).
    y_score : array-like of shape (n, L), DataFrame, or list of L arrays of shape (n, 2)
        Probabilities, also where y_true is unlabelled.
    threshold : float or array-like of shape (L,), default=0.5
        One threshold, or one per attribute.
    strict : bool, default=True
        If True, an attribute is predicted where its probability is above the threshold, as in
        the official code. If False, also where it is equal, as in the rest of this package.
    k : int, default=15
        For the keys with "@": an image's k highest probabilities are predicted, if not 0. They
        are taken over all attributes, labelled or not; with fewer than k, all are. Ties at the
        last place fall as `numpy.argpartition` has it, as in the official code.
    groups : dict of {group: attributes}, optional
        Names (or positions) of attributes, such as the head, medium and tail ones.

    Returns
    -------
    dict of {str: float}
        The four figures of the paper, "mAP", "mR@15" (mean recall of classes), "mA" (mean
        balanced accuracy of classes) and "F1@15" (over all cells); then precision, recall, f1,
        tnr and balanced_accuracy as "overall_f1" (over all cells) and "per_class_f1" (mean of
        classes), and the same "@15". All of them again for each group, as "mAP/tail".

    Raises
    ------
    ValueError, TypeError
        As for :func:`pedestrian_metrics`; if a score is no probability; if a group names what is
        no attribute.

    Warns
    -----
    SkattrWarning
        If a class lacks positives, negatives or labels; see Notes.

    Notes
    -----
    From eval/evaluator.py of adobe-research/vaw_dataset: AP is scikit-learn's, and 0 without a
    positive; what is predicted nowhere has precision 1 and recall 0. A rate of no cell makes the
    official mean -1; here it is left out of the mean, as are classes without any label. In place
    of `exclude_atts` name a group of all the others.

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
            "is no probability."
        )
    columns = {
        group: positions(members, table.names, f"Group {group!r} names")
        for group, members in (groups or {}).items()
    }
    at_threshold = count_cells(table.positive, table.negative, _predict(table, threshold, strict))
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
        remarks.append(f"{table.named(no_positive)} without a positive: AP counts 0.")
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
        0, 1 or bool; NaN, None and pandas.NA are unknown and count nowhere.
    y_score : array-like of shape (n, L), DataFrame, or list of L arrays of shape (n, 2)
        Probabilities, or logits with a threshold of 0.
    threshold : float or array-like of shape (L,), default=0.5
        One threshold, or one per class.
    strict : bool, default=False
        If False, a class is predicted where its score is at least the threshold, as in ML-GCN.
        If True, only where it is above, as in ASL and Rethinking_of_PAR.
    top_k : int, optional
        Predict no more than the k highest scores of an image (3 in ML-GCN), taken over all
        classes, and of these only what reaches the threshold, as ML-GCN does;
        ``threshold=-numpy.inf`` predicts all k. Of equal scores the first class comes first.
    ap : {"sklearn", "voc"}, default="sklearn"
        "voc" is the area under the precision that never rises with recall, over all points, as
        Query2Label and SSGRL have it. ML-GCN and ASL agree with "sklearn" where no scores are
        tied; where some are, their value follows the order of the rows.
    overall : {"micro", "ml-gcn"}, default="micro"
        "ml-gcn" counts, in OP alone, one prediction for every class without any.

    Returns
    -------
    dict of {str: float}
        mAP; CP and CR, the means over classes of precision and recall; CF1, the harmonic mean of
        these two; CF1_mean, the mean of the classes' F1; OP, OR and OF1, over all cells.

    Raises
    ------
    ValueError, TypeError
        As for :func:`pedestrian_metrics`.

    Warns
    -----
    SkattrWarning
        If a class has no positive: its AP, recall and F1 are left out of the means, and its
        precision counts 0 in CP. (ML-GCN and Rethinking_of_PAR have NaN for all of CR then, ASL
        counts 0.) A class without a known label is left out of every mean.

    Notes
    -----
    A class without predictions has precision 0 in all of: util.py of ML-GCN, validate.py of ASL,
    metrics/ml_metrics.py of Rethinking_of_PAR. CF1 is the harmonic mean in ML-GCN and
    Rethinking_of_PAR, which names the other CF1_mean; ASL's F_C is CF1_mean. An F1 of nothing
    is 0, where the official codes divide 0 by 0. ML-GCN sums AP in float32, and ASL adds 1e-8 to
    the number of positives, so their mAP agrees to about 1e-7 only.

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
        0, 1, `uncertain_label`, or unknown (NaN, None, pandas.NA; the blanks of the files). A
        DataFrame may have more columns than the observations, of any type.
    y_score : array-like of shape (n, L), DataFrame, or list of L arrays of shape (n, 2)
        One column per column of y_true, or one per observation in their order. Of a DataFrame
        the columns are taken by name.
    uncertain : {"ignore", "zeros", "ones"}, default="ignore"
        Read an uncertain label as unknown, as 0, or as 1.
    observations : list of column names, optional
        Default: the five of a DataFrame, all columns of an array.
    uncertain_label : scalar, default=-1
        How an uncertain label is written.

    Returns
    -------
    dict of {str: float}
        "mAUC", the mean, then "AUC/Atelectasis" and so on.

    Raises
    ------
    ValueError, TypeError
        As for :func:`pedestrian_metrics`; if a column is missing.

    Warns
    -----
    SkattrWarning
        If an observation has known labels of one class at most: its AUC is NaN and left out of
        the mean.

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
    refuse_masked_and_sparse(y_true, "y_true")
    refuse_masked_and_sparse(y_score, "y_score")
    is_frame = isinstance(y_true, pd.DataFrame)
    frame = pd.DataFrame(y_true if is_frame else np.asarray(y_true, dtype=object))
    if not is_frame:
        frame.columns = pd.Index([f"y{j}" for j in range(frame.shape[1])])
    if observations is None:
        observations = CHEXPERT_FIVE if is_frame else list(frame.columns)
    at = positions(observations, list(frame.columns), "`observations` names")
    labels = frame.iloc[:, at].astype(object)
    is_uncertain = (labels == uncertain_label).to_numpy(dtype=bool, na_value=False)
    names, values = list(labels.columns), labels.to_numpy(dtype=object, copy=True)
    values[is_uncertain] = {"ignore": None, "zeros": 0, "ones": 1}[uncertain]
    score: Any = y_score
    if isinstance(y_score, pd.DataFrame):
        by_attribute_name = positions(names, list(y_score.columns), "The columns of y_score lack")
        score = y_score.iloc[:, by_attribute_name].to_numpy()
    elif isinstance(y_score, list | tuple) and any(np.ndim(part) == 2 for part in y_score):
        score = [y_score[j] for j in at] if len(y_score) == frame.shape[1] else y_score
    elif np.ndim(y_score) == 2 and np.shape(y_score)[1] == frame.shape[1]:
        score = np.asarray(y_score)[:, at]
    table = binary_table(pd.DataFrame(values, columns=names), score)
    both = np.asarray(table.positive.any(axis=0) & table.negative.any(axis=0))
    warn_once(table.left_out(~both, "positive or a negative have no AUC and", "mAUC"))
    areas = np.full(len(names), np.nan)
    for j in np.flatnonzero(both):
        rows = table.known[:, j]
        areas[j] = roc_auc_score(table.positive[rows, j], table.scores[rows, j])
    each = {f"AUC/{name}": float(area) for name, area in zip(names, areas, strict=True)}
    return {"mAUC": mean_of_defined(areas), **each}
