"""Metrics of predicted labels, over known entries only.

All but those of rows follow from one confusion matrix per attribute. A binary attribute has one
*unit*, its positive class; another has one for each class that is present, against the rest.
"""

from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from skattr._multioutput.scores import exact_match
from skattr.metrics._averages import shared_parameters
from skattr.metrics._counts import (
    ONE_CLASS,
    accuracy,
    balanced_accuracy,
    f1,
    matrix_score,
    matthews,
    precision,
    share_score,
    units_of,
)
from skattr.metrics._inputs import Declared, label_inputs


@shared_parameters
def precision_score(
    y_true: Any,
    y_pred: Any,
    *,
    average: str | None = "macro",
    zero_division: Any = "warn",
    sample_weight: Any = None,
    label_weight: Any = None,
    attributes: Declared = None,
    missing_label: Any = None,
) -> Any:
    """Share of the predicted positives that are positive, TP / (TP + FP).

    The precision of an attribute that is not binary is the mean over its classes present in
    y_true or y_pred, each against the rest, as scikit-learn's ``average="macro"`` has it.

    Parameters
    ----------
    y_true : array-like of shape (n,) or (n, n_attributes), or DataFrame
        True labels; unknown ones are left out.
    y_pred : array-like of the shape of y_true
        Predicted labels, none of them missing where the true one is known.
    average : {"macro", "micro", "weighted", "samples"} or None, default="macro"
        The mean over attributes; the value of all entries pooled, each class of an attribute
        that is not binary counting against the rest; the mean over all units by their known
        positives; the mean over rows of the value of a row's known labels; or one value per
        attribute.
    zero_division : {"warn", 0, 1, nan}, default="warn"
        The value of 0 / 0, as in scikit-learn. "warn" is 0 with a warning, and leaves attributes
        without a known positive out of recall, F-scores and Jaccard.
    {shared}

    Returns
    -------
    float, or ndarray of shape (n_attributes,)
        NaN where undefined; averages are over the defined ones, with one
        ``UndefinedAttributeWarning`` that lists the others.

    Raises
    ------
    ValueError
        If shapes, columns or parameters do not fit, or a prediction is missing.

    Examples
    --------
    >>> from skattr.metrics import precision_score
    >>> precision_score([[1, None], [0, 1], [1, 0]], [[1, 1], [1, 1], [1, 1]], average=None)
    array([0.66666667, 0.5       ])
    """
    inputs = label_inputs(y_true, y_pred, sample_weight, label_weight, attributes, missing_label)
    return share_score("Precision", precision, inputs, average, zero_division)


@shared_parameters
def recall_score(
    y_true: Any,
    y_pred: Any,
    *,
    average: str | None = "macro",
    zero_division: Any = "warn",
    sample_weight: Any = None,
    label_weight: Any = None,
    attributes: Declared = None,
    missing_label: Any = None,
) -> Any:
    """Share of the known positives that are predicted, TP / (TP + FN).

    Parameters
    ----------
    y_true, y_pred, average, zero_division
        As for :func:`precision_score`.
    {shared}

    Returns
    -------
    float, or ndarray of shape (n_attributes,)

    Examples
    --------
    >>> from skattr.metrics import recall_score
    >>> recall_score([[1, None], [1, 1], [1, 0]], [[1, 0], [1, 0], [0, 1]], average=None)
    array([0.66666667, 0.        ])
    """
    inputs = label_inputs(y_true, y_pred, sample_weight, label_weight, attributes, missing_label)
    return share_score("Recall", lambda tp, fn, fp: (tp, tp + fn), inputs, average, zero_division)


@shared_parameters
def fbeta_score(
    y_true: Any,
    y_pred: Any,
    *,
    beta: Any,
    average: str | None = "macro",
    zero_division: Any = "warn",
    sample_weight: Any = None,
    label_weight: Any = None,
    attributes: Declared = None,
    missing_label: Any = None,
) -> Any:
    """Weighted harmonic mean of precision and recall, recall weighing beta squared.

    Parameters
    ----------
    y_true, y_pred, average, zero_division
        As for :func:`precision_score`.
    beta : float
        At least 0, finite.
    {shared}

    Returns
    -------
    float, or ndarray of shape (n_attributes,)

    Examples
    --------
    >>> from skattr.metrics import fbeta_score
    >>> fbeta_score([1, 1, 0, None], [1, 0, 0, 1], beta=0.5)
    0.8333333333333334
    """
    if not isinstance(beta, Real) or not 0 <= float(beta) < np.inf:
        raise ValueError(f"`beta` must be a finite number of at least 0, got {beta!r}.")
    square = float(beta) ** 2

    def share(tp: Any, fn: Any, fp: Any) -> tuple[Any, Any]:
        return (1 + square) * tp, (1 + square) * tp + square * fn + fp

    inputs = label_inputs(y_true, y_pred, sample_weight, label_weight, attributes, missing_label)
    return share_score("F-score", share, inputs, average, zero_division)


@shared_parameters
def f1_score(
    y_true: Any,
    y_pred: Any,
    *,
    average: str | None = "macro",
    zero_division: Any = "warn",
    sample_weight: Any = None,
    label_weight: Any = None,
    attributes: Declared = None,
    missing_label: Any = None,
) -> Any:
    """Harmonic mean of precision and recall, 2 TP / (2 TP + FN + FP).

    Parameters
    ----------
    y_true, y_pred, average, zero_division
        As for :func:`precision_score`. ``average="macro"`` is the mean of the attributes' F1,
        not the harmonic mean of mean precision and mean recall.
    {shared}

    Returns
    -------
    float, or ndarray of shape (n_attributes,)

    Examples
    --------
    >>> import pandas as pd
    >>> from skattr.metrics import f1_score
    >>> y = pd.DataFrame({"hat": [True, None, False], "age": ["young", "old", "old"]})
    >>> predicted = pd.DataFrame({"hat": [True, True, True], "age": ["young", "young", "old"]})
    >>> f1_score(y, predicted, attributes={"age": "categorical"})
    0.6666666666666666
    """
    inputs = label_inputs(y_true, y_pred, sample_weight, label_weight, attributes, missing_label)
    return share_score("F1", f1, inputs, average, zero_division)


@shared_parameters
def jaccard_score(
    y_true: Any,
    y_pred: Any,
    *,
    average: str | None = "macro",
    zero_division: Any = "warn",
    sample_weight: Any = None,
    label_weight: Any = None,
    attributes: Declared = None,
    missing_label: Any = None,
) -> Any:
    """Intersection over union of predicted and known positives, TP / (TP + FN + FP).

    Parameters
    ----------
    y_true, y_pred, average, zero_division
        As for :func:`precision_score`.
    {shared}

    Returns
    -------
    float, or ndarray of shape (n_attributes,)

    Examples
    --------
    >>> from skattr.metrics import jaccard_score
    >>> jaccard_score([1, 1, 0, None], [1, 0, 0, 1])
    0.5
    """
    inputs = label_inputs(y_true, y_pred, sample_weight, label_weight, attributes, missing_label)
    return share_score(
        "Jaccard", lambda tp, fn, fp: (tp, tp + fn + fp), inputs, average, zero_division
    )


@shared_parameters
def accuracy_score(
    y_true: Any,
    y_pred: Any,
    *,
    average: str | None = "macro",
    sample_weight: Any = None,
    label_weight: Any = None,
    attributes: Declared = None,
    missing_label: Any = None,
) -> Any:
    """Share of the known labels that are predicted.

    scikit-learn's function of this name is :func:`subset_accuracy` for several labels.

    Parameters
    ----------
    y_true, y_pred, average
        As for :func:`precision_score`; "weighted" is by known entries, which is "micro".
    {shared}

    Returns
    -------
    float, or ndarray of shape (n_attributes,)

    Examples
    --------
    >>> from skattr.metrics import accuracy_score
    >>> accuracy_score([[1, None], [0, 1], [1, 0]], [[1, 1], [1, 1], [1, 1]], average=None)
    array([0.66666667, 0.5       ])
    """
    inputs = label_inputs(y_true, y_pred, sample_weight, label_weight, attributes, missing_label)
    return accuracy("Accuracy", inputs, average)


@shared_parameters
def hamming_accuracy(
    y_true: Any,
    y_pred: Any,
    *,
    average: str | None = "micro",
    sample_weight: Any = None,
    label_weight: Any = None,
    attributes: Declared = None,
    missing_label: Any = None,
) -> Any:
    """Share of all known entries that are predicted: `accuracy_score`, pooled by default.

    Parameters
    ----------
    y_true, y_pred, average
        As for :func:`accuracy_score`, but for the default, "micro".
    {shared}

    Returns
    -------
    float, or ndarray of shape (n_attributes,)

    Examples
    --------
    >>> from skattr.metrics import hamming_accuracy
    >>> hamming_accuracy([[1, None], [0, 1], [1, 0]], [[1, 1], [1, 1], [1, 1]])
    0.6
    """
    inputs = label_inputs(y_true, y_pred, sample_weight, label_weight, attributes, missing_label)
    return accuracy("Hamming accuracy", inputs, average)


@shared_parameters
def hamming_loss(
    y_true: Any,
    y_pred: Any,
    *,
    average: str | None = "micro",
    sample_weight: Any = None,
    label_weight: Any = None,
    attributes: Declared = None,
    missing_label: Any = None,
) -> Any:
    """Share of all known entries that are not predicted.

    Parameters
    ----------
    y_true, y_pred, average
        As for :func:`hamming_accuracy`.
    {shared}

    Returns
    -------
    float, or ndarray of shape (n_attributes,)

    Examples
    --------
    >>> from skattr.metrics import hamming_loss
    >>> hamming_loss([[1, None], [0, 1], [1, 0]], [[1, 1], [1, 1], [1, 1]])
    0.4
    """
    inputs = label_inputs(y_true, y_pred, sample_weight, label_weight, attributes, missing_label)
    return accuracy("Hamming loss", inputs, average, is_loss=True)


@shared_parameters
def subset_accuracy(
    y_true: Any,
    y_pred: Any,
    *,
    sample_weight: Any = None,
    label_weight: Any = None,
    attributes: Declared = None,
    missing_label: Any = None,
) -> float:
    """Share of the rows all of whose known labels are predicted.

    Rows without a known label do not count. This is what scikit-learn's `accuracy_score` and
    the classifiers' `score` return for several labels.

    Parameters
    ----------
    y_true, y_pred
        As for :func:`precision_score`.
    {shared}
        Here an entry whose `label_weight` is 0 is as good as unknown, and any other counts.

    Returns
    -------
    float

    Examples
    --------
    >>> from skattr.metrics import subset_accuracy
    >>> subset_accuracy([[1, None], [0, 1], [1, 0]], [[1, 1], [0, 1], [1, 1]])
    0.6666666666666666
    """
    inputs = label_inputs(y_true, y_pred, sample_weight, label_weight, attributes, missing_label)
    codes = inputs.codes
    if inputs.weights is not None:
        codes = np.where(inputs.weights > 0, codes, -1)
    if not (codes >= 0).any():
        raise ValueError("No known label has a positive weight.")
    assert inputs.predicted is not None
    return exact_match(codes, inputs.predicted, inputs.row_weights)


@shared_parameters
def balanced_accuracy_score(
    y_true: Any,
    y_pred: Any,
    *,
    average: str | None = "macro",
    sample_weight: Any = None,
    label_weight: Any = None,
    attributes: Declared = None,
    missing_label: Any = None,
) -> Any:
    """Mean over an attribute's known classes of the share of each that is predicted.

    Undefined where fewer than two classes are known; scikit-learn's is the recall of the one.

    Parameters
    ----------
    y_true, y_pred
        As for :func:`precision_score`.
    average : {"macro", "micro", "weighted"} or None, default="macro"
        The mean over attributes; of all units' entries pooled; the mean by known entries.
    {shared}

    Returns
    -------
    float, or ndarray of shape (n_attributes,)

    Examples
    --------
    >>> from skattr.metrics import balanced_accuracy_score
    >>> balanced_accuracy_score([1, 1, 0, None], [1, 0, 0, 1])
    0.75
    """
    inputs = label_inputs(y_true, y_pred, sample_weight, label_weight, attributes, missing_label)
    return matrix_score("Balanced accuracy", balanced_accuracy, inputs, average, ONE_CLASS)


@shared_parameters
def matthews_corrcoef(
    y_true: Any,
    y_pred: Any,
    *,
    average: str | None = "macro",
    sample_weight: Any = None,
    label_weight: Any = None,
    attributes: Declared = None,
    missing_label: Any = None,
) -> Any:
    """Correlation of predicted and known labels, for several classes Gorodkin's R_K.

    Undefined where fewer than two classes are known; 0 where one class only is predicted.

    Parameters
    ----------
    y_true, y_pred, average
        As for :func:`balanced_accuracy_score`.
    {shared}

    Returns
    -------
    float, or ndarray of shape (n_attributes,)

    References
    ----------
    Gorodkin, J., 2004. Comparing two K-category assignments by a K-category correlation
    coefficient. Computational Biology and Chemistry 28.

    Examples
    --------
    >>> from skattr.metrics import matthews_corrcoef
    >>> matthews_corrcoef([1, 1, 0, None], [1, 0, 0, 1])
    0.5
    """
    inputs = label_inputs(y_true, y_pred, sample_weight, label_weight, attributes, missing_label)
    return matrix_score("Matthews' correlation", matthews, inputs, average, ONE_CLASS)


@shared_parameters
def confusion_counts(
    y_true: Any,
    y_pred: Any,
    *,
    sample_weight: Any = None,
    label_weight: Any = None,
    attributes: Declared = None,
    missing_label: Any = None,
) -> pd.DataFrame:
    """Return true and false positives and negatives among the known entries.

    Parameters
    ----------
    y_true, y_pred
        As for :func:`precision_score`.
    {shared}

    Returns
    -------
    DataFrame
        Columns "TP", "FN", "FP" and "TN", integers without weights; a row for the positive class
        of each binary attribute and for each present class of any other, against the rest,
        indexed by attribute and class.

    Examples
    --------
    >>> from skattr.metrics import confusion_counts
    >>> counts = confusion_counts([[1, None], [0, 1], [1, 0]], [[1, 1], [1, 1], [1, 1]])
    >>> counts.reset_index()
      attribute  class  TP  FN  FP  TN
    0        y0      1   2   0   1   0
    1        y1      1   1   0   1   0
    """
    inputs = label_inputs(y_true, y_pred, sample_weight, label_weight, attributes, missing_label)
    units = units_of(inputs)
    counts = np.stack([units.tp, units.fn, units.fp, units.tn], axis=1)
    if inputs.weights is None:
        counts = counts.astype(np.int64)
    labels = [
        (inputs.names[j], inputs.classes[j][k].item())
        for j, k in zip(units.owner, units.label, strict=True)
    ]
    index = pd.MultiIndex.from_tuples(labels, names=["attribute", "class"])
    return pd.DataFrame(counts, index, ["TP", "FN", "FP", "TN"])
