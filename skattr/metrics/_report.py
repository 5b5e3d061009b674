"""One row an attribute: what is known, what is right and wrong, and how far to believe it."""

import copy
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.exceptions import UndefinedMetricWarning

from skattr._targets.declarations import as_attributes
from skattr.metrics._averages import UndefinedAttributeWarning
from skattr.metrics._bootstrap import BootstrapDraws, intervals
from skattr.metrics._classification import (
    accuracy_score,
    balanced_accuracy_score,
    f1_score,
    precision_score,
    recall_score,
)
from skattr.metrics._inputs import Inputs, label_inputs, score_inputs
from skattr.metrics._probabilistic import calibration_error
from skattr.metrics._ranking import average_precision_score, roc_auc_score

Array = NDArray[Any]
_COUNTS = ["known", "positives", "TP", "FN", "FP", "TN"]
_LABELS: dict[str, Callable[..., Any]] = {
    "precision": precision_score,
    "recall": recall_score,
    "f1": f1_score,
    "accuracy": accuracy_score,
    "balanced_accuracy": balanced_accuracy_score,
}
_SCORES: dict[str, Callable[..., Any]] = {
    "average_precision": average_precision_score,
    "roc_auc": roc_auc_score,
    "calibration_error": calibration_error,
}
_COLUMNS = [
    "kind",
    *_COUNTS,
    *_LABELS,
    "average_precision",
    "roc_auc",
    "threshold",
    "calibration_error",
]


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
    attributes, missing_label : default=None
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
    material = _Material(
        y_true, y_pred, y_score, thresholds, sample_weight, attributes, missing_label
    )
    draws = None
    if confidence is not None:
        draws = BootstrapDraws(len(material), confidence, n_bootstrap, groups, random_state)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UndefinedAttributeWarning)
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        whole, over = _table(material, draws, tail)
        parts = {"all": whole}
        for value, rows in _slices(slices, len(material)).items():
            part = material.take(rows)
            parts[value] = _table(part, None if draws is None else draws.take(rows), tail)[0]
    undefined = [name for name in material.names if whole.loc[name, list(_LABELS)].isna().any()]
    if undefined:
        warnings.warn(
            f"Some metrics of {undefined} are not defined, as labels are of one class or unknown; "
            "they are NaN, and averages are taken over the others.",
            UndefinedAttributeWarning,
            stacklevel=2,
        )
    report = whole if slices is None else pd.concat(parts, names=["slice", "attribute"])
    report = AttributeReport(report)
    report.attrs = {"averaged_over": over, "n_attributes": len(material.names)}
    return report


class _Material:
    """Codes, predictions and scores of some rows, with all that says how to read them."""

    def __init__(
        self,
        y_true: Any,
        y_pred: Any,
        y_score: Any,
        thresholds: Any,
        sample_weight: Any,
        attributes: Any,
        missing_label: Any,
    ) -> None:
        given = (None, None, attributes, missing_label)
        if y_score is not None:
            inputs = score_inputs(y_true, y_score, *given, is_proba=True)
        else:
            inputs = label_inputs(y_true, y_pred, *given)
        self.names, self.kinds, self.two = inputs.names, inputs.kinds, inputs.two
        self.thresholds = _thresholds(thresholds, inputs, 0.5 if y_pred is None else np.nan)
        self.scores = None if inputs.scores is None else _score_list(inputs)
        self.levels = inputs.classes
        if y_pred is not None:
            inputs = label_inputs(y_true, y_pred, *given)
            self.levels = inputs.classes  # a label that is only predicted is a class too
            predicted = inputs.predicted
        else:
            assert self.scores is not None
            predicted = self._decided(self.scores)
        assert predicted is not None
        self.codes, self.predicted = inputs.codes, predicted
        self.weights = None if sample_weight is None else np.asarray(sample_weight, np.float64)

    def __len__(self) -> int:
        return len(self.codes)

    def _decided(self, scores: list[Array]) -> Array:
        columns = [
            part[:, 1] >= limit if two else part.argmax(axis=1)
            for part, limit, two in zip(scores, self.thresholds, self.two, strict=True)
        ]
        return np.stack(columns, axis=1).astype(np.int64)

    def take(self, rows: Array) -> "_Material":
        """Return some of the rows."""
        part = copy.copy(self)
        part.codes, part.predicted = self.codes[rows], self.predicted[rows]
        part.scores = None if self.scores is None else [score[rows] for score in self.scores]
        part.weights = None if self.weights is None else self.weights[rows]
        return part

    def labels(self) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
        """Return true and predicted codes as tables, and how to read them."""
        truth = pd.DataFrame(np.where(self.codes < 0, np.nan, self.codes), columns=self.names)
        guess = pd.DataFrame(np.maximum(self.predicted, 0), columns=self.names)
        return truth, guess, self.given()

    def given(self) -> dict[str, Any]:
        """Return the classes and kinds of codes."""
        levels = [np.arange(len(found)) for found in self.levels]
        declared = as_attributes(self.names, self.kinds, levels)
        return {"attributes": declared, "sample_weight": self.weights}


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


def _score_list(inputs: Inputs) -> list[Array]:
    assert inputs.scores is not None
    binary, others = iter(inputs.scores.binary.T), iter(inputs.scores.others)
    parts = []
    for two in inputs.two:
        if two:
            positive = next(binary)
            parts.append(np.stack([1 - positive, positive], axis=1))
        else:
            parts.append(next(others))
    return parts


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
    """Return the rows of attributes and averages, and over how many those are taken."""
    truth, guess, given = material.labels()
    known = np.count_nonzero(material.codes >= 0, axis=0)
    table = pd.DataFrame(index=pd.Index(material.names, name="attribute", dtype=object))
    table["kind"] = material.kinds
    table["known"] = known.astype(float)
    table[_COUNTS[1:]] = _counts(material)
    averages: dict[str, dict[str, float]] = {name: {} for name in ("macro", "weighted", "micro")}
    metrics: dict[str, Any] = {name: (metric, guess) for name, metric in _LABELS.items()}
    if material.scores is not None:
        metrics |= {name: (metric, material.scores) for name, metric in _SCORES.items()}
    for name, (metric, answer) in metrics.items():
        if not known.any():
            table[name] = np.nan
            continue
        table[name] = metric(truth, answer, average=None, **given)
        for average, row in averages.items():
            row[name] = metric(truth, answer, average=average, **given)
    if material.scores is not None or not np.isnan(material.thresholds).all():
        table["threshold"] = material.thresholds
    over = {name: int(table[name].notna().sum()) for name in metrics}
    if draws is not None:
        names = [*_LABELS, *(() if material.scores is None else ("average_precision", "roc_auc"))]
        for name, limits in intervals(material, draws, names).items():
            for side, values in zip(("low", "high"), limits, strict=True):
                table[f"{name}_{side}"] = values[:-1]
                averages["macro"][f"{name}_{side}"] = values[-1]
    for label, members in _tail_groups(tail, table, material.names).items():
        part = table.loc[members]
        averages[label] = {
            name: float(part[name].mean()) for name in metrics if part[name].notna().any()
        }
        averages[label]["known"] = float(part["known"].sum())
    rows = pd.DataFrame(averages).T.reindex(columns=table.columns.drop("kind")).astype(float)
    for average in ("macro", "weighted", "micro"):
        rows.loc[average, "known"] = known.sum()
    if material.two.all():
        rows.loc["micro", _COUNTS[1:]] = table[_COUNTS[1:]].sum()
    rows.insert(0, "kind", "")
    rows.index.name = "attribute"
    order = [name for name in _COLUMNS if name in table] + [c for c in table if c not in _COLUMNS]
    return pd.concat([table, rows])[order], over


def _counts(material: _Material) -> Array:
    """Return positives, TP, FN, FP and TN of each binary attribute, NaN of others."""
    counts = np.full((len(material.names), 5), np.nan)
    for j in np.flatnonzero(material.two):
        known = material.codes[:, j] >= 0
        true, said = material.codes[known, j] == 1, material.predicted[known, j] == 1
        cells = (true, true & said, true & ~said, ~true & said, ~true & ~said)
        counts[j] = [np.count_nonzero(cell) for cell in cells]
    return counts


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
