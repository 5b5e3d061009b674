"""Report with one row per attribute: counts, metrics and bootstrap intervals."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skattr._multioutput.scores import Scores
from skattr.metrics._averages import UndefinedAttributeWarning
from skattr.metrics._bootstrap import BootstrapDraws, label_intervals, ranking_intervals
from skattr.metrics._counts import Confusion, confusion_of
from skattr.metrics._inputs import Inputs, label_inputs, score_inputs
from skattr.metrics._label_scores import (
    ACCURACY_METRIC,
    BALANCED_ACCURACY_METRIC,
    F1_METRIC,
    PRECISION_METRIC,
    RECALL_METRIC,
    LabelMetric,
)
from skattr.metrics._probabilistic import calibration_bins, calibration_units, gap
from skattr.metrics._ranking import AVERAGE_PRECISION, ROC_AUC, ranked_pooled, ranked_units

Array = NDArray[Any]
_COUNTS = ["known", "positives", "TP", "FN", "FP", "TN"]
_LABELS: dict[str, LabelMetric] = {
    "precision": PRECISION_METRIC,
    "recall": RECALL_METRIC,
    "f1": F1_METRIC,
    "accuracy": ACCURACY_METRIC,
    "balanced_accuracy": BALANCED_ACCURACY_METRIC,
}
_RANKINGS = {"average_precision": AVERAGE_PRECISION, "roc_auc": ROC_AUC}
_SCORES = [*_RANKINGS, "calibration_error"]
_COLUMNS = [
    "kind",
    *_COUNTS,
    *_LABELS,
    *_RANKINGS,
    "threshold",
    "calibration_error",
]
_AVERAGES = ("macro", "weighted", "micro")
_ALL_ROWS = "all"  # the slice of all rows


class AttributeReport(pd.DataFrame):
    """A table of :func:`attribute_report`, which prints itself to three digits.

    Any column that is not a number of its own, and every row of an average, leaves blank what
    has no value. ``report.attrs["averaged_over"]`` tells of each average and metric over how many
    attributes it was taken.
    """

    @property
    def _constructor(self) -> Any:
        return AttributeReport

    def _shown(self) -> pd.DataFrame:
        shown = pd.DataFrame(index=self.index)
        for name in self.columns:
            is_count = name in _COUNTS
            shown[name] = [_text(value, is_count) for value in self[name]]
        return shown

    def __repr__(self) -> str:
        """Return a table for a terminal."""
        with pd.option_context("display.width", None, "display.max_columns", None):
            return self._shown().to_string() + self._footnote("\n")

    __str__ = __repr__

    def _repr_html_(self) -> str:
        """Return a table for a notebook."""
        return str(self._shown().to_html(border=0)) + self._footnote("<br>")

    def to_markdown(self, *args: Any, **kwargs: Any) -> str:  # type: ignore[override]
        """Return a table in Markdown.

        Parameters
        ----------
        *args, **kwargs : ignored

        Returns
        -------
        str
        """
        shown = self._shown().reset_index()
        rows = [list(map(str, shown.columns)), ["---"] * shown.shape[1], *shown.to_numpy().tolist()]
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


def _text(value: Any, is_count: bool) -> str:
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
    slices: Any = None,
    tail: Any = None,
    confidence: float | None = None,
    n_bootstrap: int = 200,
    groups: Any = None,
    sample_weight: Any = None,
    attributes: Mapping[Any, Any] | None = None,
    classes: Any = None,
    missing_label: Any = None,
    random_state: Any = 0,
) -> AttributeReport:
    """Report on each attribute, and on their averages.

    Parameters
    ----------
    y_true : array-like of shape (n,) or (n, n_attributes), or DataFrame
        True labels; unknown ones are left out.
    y_pred : array-like like y_true, default=None
        Predicted labels. None takes them from the scores: probabilities of at least `thresholds`
        (0.5 where none is given) of binary attributes, the most probable class of others.
    y_score : list of ndarray (n, n_classes), or array-like of shape (n, n_attributes), default=None
        Probabilities as `predict_proba` returns them, or of the positive classes if all
        attributes are binary. None leaves out what needs them.
    thresholds : float, dict by name or array-like of shape (n_attributes,), default=None
        Shown in the report, and used if `y_pred` is None. NaN where an attribute is not binary.
        None shows 0.5 if `y_pred` is None, else NaN: predicted labels do not tell their
        thresholds.
    slices : array-like of shape (n,) or Series, default=None
        A value per row: the report of all rows is followed by that of the rows of each value,
        the index being (value, attribute).
    tail : dict of {name: attributes} or sequence of int, default=None
        Groups of attributes to average over too, such as head, medium and tail; or the numbers
        of known positives that divide them, as ``(1000, 100)``: those with 1,000 and more are
        "head", with fewer than 100 "tail".
    confidence : float, default=None
        Adds the limits of bootstrap intervals as "f1_low", "f1_high", of each attribute and of
        the macro average; not of the calibration error, which resampling makes larger.
    n_bootstrap : int, default=200
        Number of bootstrap samples.
    groups : array-like of shape (n,), default=None
        Rows of one group, such as the images of one person, are drawn together.
    sample_weight : array-like of shape (n,), default=None
    attributes, classes, missing_label : default=None
        How y_true is read; see :class:`skattr.AttributeEncoder`.
    random_state : int, RandomState or None, default=0
        Of the bootstrap.

    Returns
    -------
    AttributeReport
        A DataFrame with a row per attribute, then the averages: "macro" over attributes,
        "weighted" (each metric's own weights) and "micro". Columns: kind; the number of known
        labels and of positives, TP, FN, FP, TN (of binary attributes); precision, recall, f1,
        accuracy, balanced_accuracy (of other attributes the mean over classes, as
        scikit-learn's); average_precision, roc_auc, threshold and calibration_error. NaN where
        a metric is not defined.

    Raises
    ------
    ValueError
        If neither predictions nor scores are given, or something does not fit.

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
    options = {
        "sample_weight": sample_weight,
        "attributes": attributes,
        "classes": classes,
        "missing_label": missing_label,
    }
    material = _read(y_true, y_pred, y_score, thresholds, options)
    _check_names(material.names, tail, slices)
    draws = None
    if confidence is not None:
        draws = BootstrapDraws(len(material), confidence, n_bootstrap, groups, random_state)
    with warnings.catch_warnings():
        # One warning below lists the attributes of all metrics.
        warnings.simplefilter("ignore", UndefinedAttributeWarning)
        table, averaged_over = _table(material, draws, tail)
        parts = {_ALL_ROWS: table}
        for value, rows in _slices(slices, len(material)).items():
            part = material.take(rows)
            parts[value] = _table(part, None if draws is None else draws.take(rows), tail)[0]
    is_undefined = table[list(_LABELS)].isna().any(axis=1)[: len(material.names)]
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
    what = dict.fromkeys(_AVERAGES, "the row of an average")
    for name in names:
        if name in what:
            raise ValueError(
                f"The attribute {name!r} has the name of {what[name]}, {name!r}; rename it."
            )
    what |= dict.fromkeys(names, "the row of an attribute")
    groups = [str(label) for label in tail] if isinstance(tail, Mapping) else []
    if tail is not None and not isinstance(tail, Mapping):
        groups = ["head", "medium", "tail"][:: 2 if len(tail) == 1 else 1]
    for label in groups:
        if label in what:
            raise ValueError(
                f"The group {label!r} of `tail` has the name of {what[label]}, {label!r}; pass "
                "`tail` as a dict with other names."
            )
    if slices is not None and any(
        isinstance(value, str) and value == _ALL_ROWS for value in np.asarray(slices, dtype=object)
    ):
        raise ValueError(
            f"The slice {_ALL_ROWS!r} has the name of the part of all rows, {_ALL_ROWS!r}; rename "
            "that value of `slices`."
        )


@dataclass(frozen=True)
class _Material:
    """Labels, predictions and scores of some rows.

    Attributes
    ----------
    labels : Inputs
        True and predicted labels.
    scored : Inputs or None
        True labels and scores. Its classes are those of the scores; `labels` may have more, as a
        label that is only predicted is a class too.
    thresholds : ndarray of shape (n_attributes,)
    """

    labels: Inputs
    scored: Inputs | None
    thresholds: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.labels.codes)

    @property
    def names(self) -> list[Any]:
        """Names of the attributes."""
        return self.labels.names

    def take(self, rows: Array) -> "_Material":
        """Return some of the rows."""
        scored = None if self.scored is None else _select_rows(self.scored, rows)
        return _Material(_select_rows(self.labels, rows), scored, self.thresholds)


def _read(
    y_true: Any, y_pred: Any, y_score: Any, thresholds: Any, options: dict[str, Any]
) -> _Material:
    scored = labels = None
    if y_score is not None:
        scored = score_inputs(y_true, y_score, **options, is_proba=True)
    if y_pred is not None:
        labels = label_inputs(y_true, y_pred, **options)
    first = scored or labels
    assert first is not None
    values = _thresholds(thresholds, first, 0.5 if y_pred is None else np.nan)
    if labels is None:
        labels = replace(first, predicted=_predict(first, values))
    return _Material(labels, scored, values)


def _predict(inputs: Inputs, thresholds: Array) -> Array:
    """Return class codes: thresholded scores of binary attributes, else the likeliest class."""
    assert inputs.scores is not None
    binary = inputs.two
    codes = np.empty(inputs.codes.shape, dtype=np.int64)
    codes[:, binary] = inputs.scores.binary >= thresholds[binary]
    for j, scores in zip(np.flatnonzero(~binary), inputs.scores.others, strict=True):
        codes[:, j] = scores.argmax(axis=1)
    return codes


def _select_rows(inputs: Inputs, rows: Array) -> Inputs:
    def select(values: Any) -> Any:
        return None if values is None else values[rows]

    scores = inputs.scores
    if scores is not None:
        others = tuple(part[rows] for part in scores.others)
        scores = Scores(scores.binary[rows], others, scores.is_proba)
    return replace(
        inputs,
        codes=inputs.codes[rows],
        predicted=select(inputs.predicted),
        scores=scores,
        weights=select(inputs.weights),
        row_weights=select(inputs.row_weights),
    )


def _thresholds(given: Any, inputs: Inputs, default: float) -> NDArray[np.float64]:
    """Return one threshold per attribute, NaN where there is none."""
    if given is None:
        return np.where(inputs.two, default, np.nan)
    if isinstance(given, pd.Series) and set(given.index) <= set(inputs.names):
        given = given.to_dict()
    if isinstance(given, Mapping):
        strange = [name for name in given if name not in inputs.names]
        if strange:
            raise ValueError(f"thresholds name {strange[0]!r}; the attributes are {inputs.names}.")
        given = [given.get(name, default) for name in inputs.names]
    values = np.asarray(given, dtype=np.float64)
    if values.ndim == 0:
        values = np.full(len(inputs.names), float(values))
    if values.shape != inputs.two.shape:
        raise ValueError(
            f"thresholds has the shape {values.shape}; there are {len(inputs.names)} attributes."
        )
    return np.where(inputs.two, values, np.nan)


def _slices(slices: Any, n: int) -> dict[Any, Array]:
    """Return the rows of each value, in the order of the values; unknown ones are left out."""
    if slices is None:
        return {}
    values = pd.Series(np.asarray(slices, dtype=object))
    if len(values) != n:
        raise ValueError(f"slices has {len(values)} values, but there are {n} rows.")
    return {
        value: np.flatnonzero(values == value)
        for value in sorted(values.dropna().unique(), key=str)
    }


def _table(
    material: _Material, draws: BootstrapDraws | None, tail: Any
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return the rows of attributes and averages, and the number of attributes averaged over."""
    labels, scored = material.labels, material.scored
    confusion = confusion_of(labels)
    table = pd.DataFrame(index=pd.Index(material.names, name="attribute", dtype=object))
    table["kind"] = labels.kinds
    table[_COUNTS] = _counts(confusion)
    values = _label_values(confusion)
    if scored is not None:
        values |= _score_values(scored)
    for name, row in values.items():
        table[name] = row["attributes"]
    averages = {
        average: {name: row[average] for name, row in values.items()} for average in _AVERAGES
    }
    if scored is not None or not np.isnan(material.thresholds).all():
        table["threshold"] = material.thresholds
    averaged_over = {name: int(table[name].notna().sum()) for name in values}
    if draws is not None:
        limits = label_intervals(labels, draws, _LABELS)
        if scored is not None:
            limits |= ranking_intervals(scored, draws)
        for name, ends in limits.items():
            for side, end in zip(("low", "high"), ends, strict=True):
                table[f"{name}_{side}"] = end[:-1]
                averages["macro"][f"{name}_{side}"] = end[-1]
    for label, members in _tail_groups(tail, table, material.names).items():
        part = table.loc[members]
        averages[label] = {
            name: float(part[name].mean()) for name in values if part[name].notna().any()
        }
        averages[label]["known"] = float(part["known"].sum())
    rows = pd.DataFrame(averages).T.reindex(columns=table.columns.drop("kind")).astype(float)
    for average in _AVERAGES:
        rows.loc[average, "known"] = table["known"].sum()
    if confusion.is_binary.all():
        rows.loc["micro", _COUNTS[1:]] = table[_COUNTS[1:]].sum()
    rows.insert(0, "kind", "")
    rows.index.name = "attribute"
    order = [name for name in _COLUMNS if name in table] + [c for c in table if c not in _COLUMNS]
    return pd.concat([table, rows])[order], averaged_over


def _counts(confusion: Confusion) -> Array:
    """Return known labels, positives, TP, FN, FP and TN; NaN but the first if not binary.

    They are weighted as the rates are, so that these can be computed from them.
    """
    counts = np.full((len(confusion.names), len(_COUNTS)), np.nan)
    binary = confusion.binary
    counts[:, 0] = confusion.known
    counts[confusion.is_binary, 1:] = np.stack([binary.P, *binary], axis=1)
    return counts


def _label_values(confusion: Confusion) -> dict[str, dict[str, Any]]:
    """Return the values of attributes and averages of each metric of labels."""
    values = {}
    for name, metric in _LABELS.items():
        units = metric.units(confusion)
        values[name] = {
            "attributes": units.average(None),
            "macro": units.average("macro"),
            "weighted": units.average("weighted"),
            "micro": metric.pooled(confusion),
        }
    return values


def _score_values(inputs: Inputs) -> dict[str, dict[str, Any]]:
    """Return the values of attributes and averages of each metric of scores."""
    if not (inputs.codes >= 0).any():
        empty = np.full(len(inputs.names), np.nan)
        return {name: {"attributes": empty, **dict.fromkeys(_AVERAGES, np.nan)} for name in _SCORES}
    metrics = list(_RANKINGS.values())
    bins = calibration_bins(inputs)
    units = [*ranked_units(metrics, inputs), calibration_units(inputs, bins)]
    # Bins of equal width have the same edges for all attributes: their sums are those of all
    # entries.
    pooled = [*ranked_pooled(metrics, inputs), gap(bins.sum(axis=0))]
    return {
        name: {
            "attributes": part.average(None),
            "macro": part.average("macro"),
            "weighted": part.average("weighted"),
            "micro": micro,
        }
        for name, part, micro in zip(_SCORES, units, pooled, strict=True)
    }


def _tail_groups(tail: Any, table: pd.DataFrame, names: Sequence[Any]) -> dict[str, list[Any]]:
    """Return the attributes of each group to average over."""
    if tail is None:
        return {}
    if isinstance(tail, Mapping):
        for label, members in tail.items():
            strange = [name for name in members if name not in names]
            if strange:
                raise ValueError(
                    f"tail[{label!r}] names {strange[0]!r}; the attributes are {list(names)}."
                )
        return {str(label): list(members) for label, members in tail.items()}
    bounds = sorted(map(float, tail), reverse=True)
    if not 1 <= len(bounds) <= 2:
        raise ValueError(f"tail must be a dict, or one or two numbers of positives, got {tail!r}.")
    labels = ["head", "medium", "tail"] if len(bounds) == 2 else ["head", "tail"]
    positives = table["positives"].fillna(table["known"])
    place = sum((positives < bound).astype(int) for bound in bounds)
    groups = {label: list(table.index[place == k]) for k, label in enumerate(labels)}
    return {label: members for label, members in groups.items() if members}
