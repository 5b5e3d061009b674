"""Metrics of predicted labels that support missing labels.

All but `subset_accuracy` follow from the confusion counts of each attribute.
"""

from numbers import Real
from typing import Any, Unpack

import numpy as np
import pandas as pd

from skattr._multioutput.scores import exact_match
from skattr.metrics._counts import confusion_of
from skattr.metrics._inputs import label_inputs
from skattr.metrics._label_scores import (
    ACCURACY_METRIC,
    BALANCED_ACCURACY_METRIC,
    F1_METRIC,
    JACCARD_METRIC,
    MATTHEWS_METRIC,
    PRECISION_METRIC,
    RECALL_METRIC,
    ClassRateMetric,
)
from skattr.metrics._options import Options, documented
from skattr.metrics._rates import f_beta


@documented
def precision_score(
    y_true: Any,
    y_pred: Any,
    *,
    average: str | None = "macro",
    zero_division: Any = "warn",
    **options: Unpack[Options],
) -> Any:
    """Share of the predicted positives that are positive, TP / (TP + FP).

    The precision of an attribute that is not binary is the mean over its classes present in
    y_true or y_pred, each against the rest, as scikit-learn's ``average="macro"`` has it.

    Parameters
    ----------
    {labels}
    {average}
    {zero_division}
    {options}

    {returns}

    Examples
    --------
    >>> from skattr.metrics import precision_score
    >>> precision_score([[1, None], [0, 1], [1, 0]], [[1, 1], [1, 1], [1, 1]], average=None)
    array([0.66666667, 0.5       ])
    """
    inputs = label_inputs(y_true, y_pred, **options)
    return PRECISION_METRIC.score(inputs, average, zero_division)


@documented
def recall_score(
    y_true: Any,
    y_pred: Any,
    *,
    average: str | None = "macro",
    zero_division: Any = "warn",
    **options: Unpack[Options],
) -> Any:
    """Share of the known positives that are predicted, TP / (TP + FN).

    The recall of an attribute that is not binary is the mean over its classes present in y_true
    or y_pred.

    Parameters
    ----------
    {labels}
    {average}
    {zero_division}
    {options}

    {returns}

    Examples
    --------
    >>> from skattr.metrics import recall_score
    >>> recall_score([[1, None], [1, 1], [1, 0]], [[1, 0], [1, 0], [0, 1]], average=None)
    array([0.66666667, 0.        ])
    """
    return RECALL_METRIC.score(label_inputs(y_true, y_pred, **options), average, zero_division)


@documented
def fbeta_score(
    y_true: Any,
    y_pred: Any,
    *,
    beta: Any,
    average: str | None = "macro",
    zero_division: Any = "warn",
    **options: Unpack[Options],
) -> Any:
    """Weighted harmonic mean of precision and recall, recall having the weight beta squared.

    Parameters
    ----------
    {labels}
    beta : float
        A finite number of at least 0.
    {average}
    {zero_division}
    {options}

    {returns}

    Examples
    --------
    >>> from skattr.metrics import fbeta_score
    >>> fbeta_score([1, 1, 0, None], [1, 0, 0, 1], beta=0.5)
    0.8333333333333334
    """
    if isinstance(beta, bool) or not isinstance(beta, Real) or not 0 <= float(beta) < np.inf:
        raise ValueError(f"`beta` must be a finite number of at least 0; got {beta!r}.")
    metric = ClassRateMetric("F-score", f_beta(float(beta)))
    return metric.score(label_inputs(y_true, y_pred, **options), average, zero_division)


@documented
def f1_score(
    y_true: Any,
    y_pred: Any,
    *,
    average: str | None = "macro",
    zero_division: Any = "warn",
    **options: Unpack[Options],
) -> Any:
    """Harmonic mean of precision and recall, 2 TP / (2 TP + FN + FP).

    The macro average is the mean of the attributes' F1, not the harmonic mean of mean precision
    and mean recall.

    Parameters
    ----------
    {labels}
    {average}
    {zero_division}
    {options}

    {returns}

    Examples
    --------
    >>> import pandas as pd
    >>> from skattr.metrics import f1_score
    >>> y = pd.DataFrame({"hat": [True, None, False], "age": ["young", "old", "old"]})
    >>> predicted = pd.DataFrame({"hat": [True, True, True], "age": ["young", "young", "old"]})
    >>> f1_score(y, predicted, attributes={"age": "categorical"})
    0.6666666666666666
    """
    return F1_METRIC.score(label_inputs(y_true, y_pred, **options), average, zero_division)


@documented
def jaccard_score(
    y_true: Any,
    y_pred: Any,
    *,
    average: str | None = "macro",
    zero_division: Any = "warn",
    **options: Unpack[Options],
) -> Any:
    """Intersection over union of predicted and known positives, TP / (TP + FN + FP).

    Parameters
    ----------
    {labels}
    {average}
    {zero_division}
    {options}

    {returns}

    Examples
    --------
    >>> from skattr.metrics import jaccard_score
    >>> jaccard_score([1, 1, 0, None], [1, 0, 0, 1])
    0.5
    """
    return JACCARD_METRIC.score(label_inputs(y_true, y_pred, **options), average, zero_division)


@documented
def accuracy_score(
    y_true: Any, y_pred: Any, *, average: str | None = "macro", **options: Unpack[Options]
) -> Any:
    """Share of the known labels that are predicted.

    For several labels scikit-learn's function of this name is :func:`subset_accuracy`.

    Parameters
    ----------
    {labels}
    average : {"macro", "micro", "weighted", "samples"} or None, default="macro"
        Mean over attributes; over known entries ("micro" and "weighted"); over rows of the share of
        a row's known labels; or one value per attribute.
    {options}

    {returns}

    Examples
    --------
    >>> from skattr.metrics import accuracy_score
    >>> accuracy_score([[1, None], [0, 1], [1, 0]], [[1, 1], [1, 1], [1, 1]], average=None)
    array([0.66666667, 0.5       ])
    """
    return ACCURACY_METRIC.score(label_inputs(y_true, y_pred, **options), average)


@documented
def hamming_accuracy(
    y_true: Any, y_pred: Any, *, average: str | None = "micro", **options: Unpack[Options]
) -> Any:
    """Share of all known entries that are predicted: `accuracy_score`, pooled by default.

    Parameters
    ----------
    {labels}
    average : {"macro", "micro", "weighted", "samples"} or None, default="micro"
        Mean over attributes; over known entries ("micro" and "weighted"); over rows of the share of
        a row's known labels; or one value per attribute.
    {options}

    {returns}

    Examples
    --------
    >>> from skattr.metrics import hamming_accuracy
    >>> hamming_accuracy([[1, None], [0, 1], [1, 0]], [[1, 1], [1, 1], [1, 1]])
    0.6
    """
    return ACCURACY_METRIC.score(label_inputs(y_true, y_pred, **options), average)


@documented
def hamming_loss(
    y_true: Any, y_pred: Any, *, average: str | None = "micro", **options: Unpack[Options]
) -> Any:
    """Share of all known entries that are not predicted.

    Parameters
    ----------
    {labels}
    average : {"macro", "micro", "weighted", "samples"} or None, default="micro"
        Mean over attributes; over known entries ("micro" and "weighted"); over rows of the share of
        a row's known labels; or one value per attribute.
    {options}

    {returns}

    Examples
    --------
    >>> from skattr.metrics import hamming_loss
    >>> hamming_loss([[1, None], [0, 1], [1, 0]], [[1, 1], [1, 1], [1, 1]])
    0.4
    """
    return 1 - ACCURACY_METRIC.score(label_inputs(y_true, y_pred, **options), average)


@documented
def subset_accuracy(y_true: Any, y_pred: Any, **options: Unpack[Options]) -> float:
    """Share of the rows all of whose known labels are predicted.

    Rows without a known label do not count. This is what scikit-learn's `accuracy_score` and
    the classifiers' `score` return for several labels.

    Parameters
    ----------
    {labels}
    {options}

    Returns
    -------
    float

    {raises}

    Notes
    -----
    An entry whose `label_weight` is 0 counts as missing; other label weights have no effect.

    Examples
    --------
    >>> from skattr.metrics import subset_accuracy
    >>> subset_accuracy([[1, None], [0, 1], [1, 0]], [[1, 1], [0, 1], [1, 1]])
    0.6666666666666666
    """
    inputs = label_inputs(y_true, y_pred, **options)
    codes = inputs.codes
    if inputs.weights is not None:
        codes = np.where(inputs.weights > 0, codes, -1)
    if not (codes >= 0).any():
        raise ValueError("No known label has a positive weight.")
    assert inputs.predicted is not None
    return exact_match(codes, inputs.predicted, inputs.row_weights)


@documented
def balanced_accuracy_score(
    y_true: Any, y_pred: Any, *, average: str | None = "macro", **options: Unpack[Options]
) -> Any:
    """Mean over an attribute's known classes of the share of each that is predicted.

    Undefined where fewer than two classes are known; scikit-learn's is the recall of the one.

    Parameters
    ----------
    {labels}
    average : {"macro", "micro", "weighted"} or None, default="macro"
        Mean over attributes; value of all entries pooled, each class of an attribute that is not
        binary against the rest; mean weighted by known entries; or one value per attribute.
    {options}

    {returns}

    Examples
    --------
    >>> from skattr.metrics import balanced_accuracy_score
    >>> balanced_accuracy_score([1, 1, 0, None], [1, 0, 0, 1])
    0.75
    """
    return BALANCED_ACCURACY_METRIC.score(label_inputs(y_true, y_pred, **options), average)


@documented
def matthews_corrcoef(
    y_true: Any, y_pred: Any, *, average: str | None = "macro", **options: Unpack[Options]
) -> Any:
    """Correlation of predicted and known labels, for several classes Gorodkin's R_K.

    Undefined where fewer than two classes are known; 0 where only one class is predicted.

    Parameters
    ----------
    {labels}
    average : {"macro", "micro", "weighted"} or None, default="macro"
        Mean over attributes; value of all entries pooled, each class of an attribute that is not
        binary against the rest; mean weighted by known entries; or one value per attribute.
    {options}

    {returns}

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
    return MATTHEWS_METRIC.score(label_inputs(y_true, y_pred, **options), average)


@documented
def confusion_counts(y_true: Any, y_pred: Any, **options: Unpack[Options]) -> pd.DataFrame:
    """Return true and false positives and negatives among the known entries.

    Parameters
    ----------
    {labels}
    {options}

    Returns
    -------
    DataFrame
        Columns "TP", "FN", "FP" and "TN", integers without weights. There is one row for the
        positive class of each binary attribute, and one for each present class of any other
        attribute against the rest. The index holds attribute and class.

    {raises}

    Examples
    --------
    >>> from skattr.metrics import confusion_counts
    >>> counts = confusion_counts([[1, None], [0, 1], [1, 0]], [[1, 1], [1, 1], [1, 1]])
    >>> counts.reset_index()
      attribute  class  TP  FN  FP  TN
    0        y0      1   2   0   1   0
    1        y1      1   1   0   1   0
    """
    inputs = label_inputs(y_true, y_pred, **options)
    units = confusion_of(inputs).units
    counts = np.stack(units.counts, axis=1)
    if inputs.weights is None:
        counts = counts.astype(np.int64)
    labels = [
        (inputs.names[j], inputs.classes[j][k].item())
        for j, k in zip(units.owner, units.label, strict=True)
    ]
    index = pd.MultiIndex.from_tuples(labels, names=["attribute", "class"])
    return pd.DataFrame(counts, index, ["TP", "FN", "FP", "TN"])
