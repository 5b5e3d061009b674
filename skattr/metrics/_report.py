"""Report with one row per attribute: counts, metrics and bootstrap intervals."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skattr._targets.alignment import align_rows
from skattr._targets.columns import reject_masked
from skattr.metrics._averages import UndefinedAttributeWarning
from skattr.metrics._bootstrap import BootstrapDraws
from skattr.metrics._options import Options
from skattr.metrics._report_table import AVERAGES, COUNTS, LABELS, read_material, report_table

Array = NDArray[Any]
_ALL_ROWS = "all"  # the slice of all rows


class AttributeReport(pd.DataFrame):
    """DataFrame of :func:`attribute_report` that is printed with three digits.

    Undefined values are printed as blanks. ``report.attrs["averaged_over"]`` holds the number of
    attributes that each metric is averaged over.
    """

    @property
    def _constructor(self) -> Any:
        return AttributeReport

    def _formatted(self) -> pd.DataFrame:
        texts = {
            name: [_format(value, name in COUNTS) for value in self[name]] for name in self.columns
        }
        return pd.DataFrame(texts, index=self.index)

    def __repr__(self) -> str:
        """Return a table for a terminal."""
        with pd.option_context("display.width", None, "display.max_columns", None):
            return self._formatted().to_string() + self._footnote("\n")

    __str__ = __repr__

    def _repr_html_(self) -> str:
        """Return a table for a notebook."""
        return str(self._formatted().to_html(border=0)) + self._footnote("<br>")

    def to_markdown(self, *args: Any, **kwargs: Any) -> str:  # type: ignore[override]
        """Return a table in Markdown.

        Parameters
        ----------
        *args, **kwargs : ignored

        Returns
        -------
        str
        """
        table = self._formatted().reset_index()
        rows = [list(map(str, table.columns)), ["---"] * table.shape[1], *table.to_numpy().tolist()]
        lines = ["| " + " | ".join(str(c).replace("|", r"\|") for c in row) + " |" for row in rows]
        return "\n".join(lines) + self._footnote("\n\n")

    def _footnote(self, separator: str) -> str:
        over = self.attrs.get("averaged_over")
        if not over:
            return ""
        total = self.attrs["n_attributes"]
        parts = [f"{name} {n}" for name, n in over.items() if n < total]
        return (
            f"{separator}Averaged over fewer than {total} attributes: {', '.join(parts)}."
            if parts
            else ""
        )


def _format(value: Any, is_count: bool) -> str:
    if isinstance(value, str):
        return value
    if value is None or pd.isna(value):
        return ""
    if is_count and float(value).is_integer():
        return f"{int(value)}"
    return f"{value:.3f}"


def attribute_report(
    y_true: Any,
    y_pred: Any = None,
    y_score: Any = None,
    *,
    thresholds: Any = None,
    baseline: Any = None,
    slices: Any = None,
    tail: Any = None,
    confidence: float | None = None,
    n_bootstrap: int = 200,
    groups: Any = None,
    sample_weight: Any = None,
    attributes: Mapping[Any, Any] | None = None,
    missing_label: Any = None,
    random_state: Any = 0,
) -> AttributeReport:
    """Compute counts and metrics of each attribute, and their averages.

    Parameters
    ----------
    y_true : array-like of shape (n,) or (n, n_attributes), or DataFrame
        True labels; missing ones are left out. Columns of DataFrames are matched by name.
    y_pred : array-like of the shape of y_true, default=None
        Predicted labels. None derives them from the scores: binary attributes are predicted where
        the probability is at least the threshold (0.5 where none is given), others have their
        most probable class.
    y_score : list of ndarray (n, n_classes), or array-like of shape (n, n_attributes), default=None
        Probabilities as `predict_proba` returns them, or of the positive classes if all
        attributes are binary. None leaves out the metrics of scores.
    thresholds : float, dict by name or array-like of shape (n_attributes,), default=None
        Thresholds shown in the report, and used if `y_pred` is None; NaN for attributes that are
        not binary. None shows 0.5 if `y_pred` is None, else NaN, as the thresholds of predicted
        labels are not known.
    baseline : array-like of the shape of y_true, default=None
        Predicted labels of another classifier, such as :class:`skattr.MajorityClassifier`. Its
        metrics are added as "f1_baseline" and similar, for each attribute and average.
    slices : array-like of shape (n,) or Series, default=None
        A value per row. The report of all rows ("all") is followed by that of the rows of each
        value, with the index (value, attribute).
    tail : dict of {name: attributes} or sequence of int, default=None
        Groups of attributes to average over as well, such as head, medium and tail. Or the
        numbers of known positives that separate these, as ``(1000, 100)``: attributes with 1,000
        and more are "head", with fewer than 100 "tail". With weights these are effective numbers,
        (sum of weights)^2 / (sum of squares).
    confidence : float, default=None
        Confidence of bootstrap intervals. Their limits are added as "f1_low" and "f1_high", for
        each attribute and the macro average. The calibration error has none, as resampling makes
        it larger.
    n_bootstrap : int, default=200
        Number of bootstrap samples.
    groups : array-like of shape (n,), default=None
        Rows of one group, such as the images of one person, are drawn together.
    sample_weight : array-like of shape (n,), default=None
        Weight of each row, in counts as well as in metrics: each rate is that of the counts in
        its row of the report.
    attributes, missing_label : default=None
        How y_true is read; see :class:`skattr.AttributeEncoder`.
    random_state : int, RandomState or None, default=0
        Seed of the bootstrap.

    Returns
    -------
    AttributeReport
        A DataFrame with a row per attribute, followed by the averages "macro" (over attributes),
        "weighted" (with the weights of each metric) and "micro". Columns: kind; the level
        that is positive (only if it is not 1 or True in some attribute); known labels;
        positives, TP, FN, FP and TN (of binary attributes); precision, recall, f1, accuracy,
        balanced_accuracy (means over classes for other attributes, as in scikit-learn);
        average_precision, roc_auc, threshold and calibration_error. NaN where undefined.

    Raises
    ------
    ValueError
        If neither predictions nor scores are given, arguments do not fit each other, or two rows
        of the report would have the same name.

    Examples
    --------
    >>> from skattr.metrics import attribute_report
    >>> y = [[1, None], [0, 1], [1, 0], [0, 0]]
    >>> report = attribute_report(y, [[1, 1], [1, 1], [1, 0], [0, 0]])
    >>> columns = ["known", "TP", "FN", "FP", "TN", "precision", "recall"]
    >>> print(report[columns].rename_axis(None))
             known TP FN FP TN precision recall
    y0           4  2  0  1  1     0.667  1.000
    y1           3  1  0  0  2     1.000  1.000
    macro        7                 0.833  1.000
    weighted     7                 0.778  1.000
    micro        7  3  0  1  3     0.750  1.000
    """
    if y_pred is None and y_score is None:
        raise ValueError("Pass predicted labels (y_pred), scores (y_score), or both.")
    y_true, y_pred, y_score, slices, groups, sample_weight = align_rows(
        y_true=y_true, y_pred=y_pred, y_score=y_score, slices=slices, groups=groups,
        sample_weight=sample_weight,
    )  # fmt: skip
    options: Options = {
        "sample_weight": sample_weight,
        "attributes": attributes,
        "missing_label": missing_label,
    }
    material = read_material(y_true, y_pred, y_score, thresholds, baseline, options)
    _check_names(material.names, tail, slices)
    draws = None
    if confidence is not None:
        draws = BootstrapDraws(len(material), confidence, n_bootstrap, groups, random_state)
    with warnings.catch_warnings():
        # One warning below lists the attributes of all metrics.
        warnings.simplefilter("ignore", UndefinedAttributeWarning)
        table, averaged_over = report_table(material, draws, tail)
        parts = {_ALL_ROWS: table}
        for value, rows in _slices(slices, len(material)).items():
            part = material.take(rows)
            parts[value] = report_table(part, None if draws is None else draws.take(rows), tail)[0]
    is_undefined = table[list(LABELS)].isna().any(axis=1)[: len(material.names)]
    undefined = list(is_undefined.index[is_undefined])
    if undefined:
        warnings.warn(
            f"Some metrics of {undefined} are undefined, as their known labels are of one class or "
            "all labels are missing; they are NaN, and averages are taken over the others.",
            UndefinedAttributeWarning,
            stacklevel=2,
        )
    report = table if slices is None else pd.concat(parts, names=["slice", "attribute"])
    report = AttributeReport(report)
    report.attrs = {"averaged_over": averaged_over, "n_attributes": len(material.names)}
    return report


def _check_names(names: Sequence[Any], tail: Any, slices: Any) -> None:
    """Raise an error if two rows of the report would have one name.

    Raises
    ------
    ValueError
        The message names both.
    """
    taken = dict.fromkeys(AVERAGES, "the row of an average")
    for name in names:
        if name in taken:
            raise ValueError(
                f"The attribute {name!r} has the name of {taken[name]}, {name!r}; rename it."
            )
    taken |= dict.fromkeys(names, "the row of an attribute")
    groups = [str(label) for label in tail] if isinstance(tail, Mapping) else []
    if tail is not None and not isinstance(tail, Mapping):
        groups = ["head", "medium", "tail"][:: 2 if len(tail) == 1 else 1]
    for label in groups:
        if label in taken:
            raise ValueError(
                f"The group {label!r} of `tail` has the name of {taken[label]}, {label!r}; pass "
                "`tail` as a dict with other names."
            )
        taken[label] = "the row of another group"
    if slices is not None and any(
        isinstance(value, str) and value == _ALL_ROWS for value in np.asarray(slices, dtype=object)
    ):
        raise ValueError(
            f"The slice {_ALL_ROWS!r} has the name of the part of all rows, {_ALL_ROWS!r}; rename "
            "that value of `slices`."
        )


def _slices(slices: Any, n: int) -> dict[Any, Array]:
    """Return the rows of each value, in the order of the values; missing ones are left out."""
    if slices is None:
        return {}
    reject_masked(slices, "slices")
    values = pd.Series(np.asarray(slices, dtype=object))
    if len(values) != n:
        raise ValueError(f"slices has {len(values)} values, but there are {n} rows.")
    return {
        value: np.flatnonzero(values == value)
        for value in sorted(values.dropna().unique(), key=str)
    }
