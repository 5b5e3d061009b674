"""Tables of reports: the labels, predictions and scores of some rows, and their metrics."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skattr._multioutput.scores import Scores
from skattr._targets.alignment import dict_if_named
from skattr._targets.columns import reject_masked
from skattr._targets.positive import has_plain_levels, warn_sorted_positives
from skattr._targets.support import relative_weights
from skattr.metrics._averages import UnitScores
from skattr.metrics._bootstrap import BootstrapDraws, label_intervals, ranking_intervals
from skattr.metrics._counts import Confusion, confusion_of
from skattr.metrics._inputs import Inputs, label_inputs, row_blocks, score_inputs, weighted_sum
from skattr.metrics._label_scores import (
    ACCURACY_METRIC,
    BALANCED_ACCURACY_METRIC,
    F1_METRIC,
    PRECISION_METRIC,
    RECALL_METRIC,
    LabelMetric,
)
from skattr.metrics._options import Options
from skattr.metrics._probabilistic import calibration_bins, calibration_units, gap
from skattr.metrics._ranking import AVERAGE_PRECISION, ROC_AUC, ranked_pooled, ranked_units
from skattr.metrics._rates import divide

Array = NDArray[Any]
COUNTS = ["known", "positives", "TP", "FN", "FP", "TN"]
LABELS: dict[str, LabelMetric] = {
    "precision": PRECISION_METRIC,
    "recall": RECALL_METRIC,
    "f1": F1_METRIC,
    "accuracy": ACCURACY_METRIC,
    "balanced_accuracy": BALANCED_ACCURACY_METRIC,
}
AVERAGES = ("macro", "weighted", "micro")
_RANKINGS = {"average_precision": AVERAGE_PRECISION, "roc_auc": ROC_AUC}
_SCORES = [*_RANKINGS, "calibration_error"]
_TEXTS = ["kind", "positive_level"]
_COLUMNS = [*_TEXTS, *COUNTS, *LABELS, *_RANKINGS, "threshold", "calibration_error"]


@dataclass(frozen=True)
class Material:
    """Labels, predictions and scores of some rows.

    Attributes
    ----------
    labels : Inputs
        True and predicted labels.
    scored : Inputs or None
        True labels and scores. Its classes are those of the scores; `labels` may have more, as a
        label that is only predicted is a class too.
    thresholds : ndarray of shape (n_attributes,)
    baseline : Inputs or None
        True labels and those predicted by another classifier.
    """

    labels: Inputs
    scored: Inputs | None
    thresholds: NDArray[np.float64]
    baseline: Inputs | None

    def __len__(self) -> int:
        return len(self.labels.codes)

    @property
    def names(self) -> list[Any]:
        """Names of the attributes."""
        return self.labels.names

    def take(self, rows: Array) -> "Material":
        """Return some of the rows."""
        scored, baseline = (
            None if part is None else _select_rows(part, rows)
            for part in (self.scored, self.baseline)
        )
        return Material(_select_rows(self.labels, rows), scored, self.thresholds, baseline)


def read_material(
    y_true: Any, y_pred: Any, y_score: Any, thresholds: Any, baseline: Any, options: Options
) -> Material:
    """Read the arguments of a report, each once."""
    scored = labels = None
    if y_score is not None:
        scored = score_inputs(y_true, y_score, **options, is_proba=True)
    if y_pred is not None:
        labels = label_inputs(y_true, y_pred, **options)
    first = scored or labels
    assert first is not None
    warn_sorted_positives(first.sorted_positives)
    values = _thresholds(thresholds, first, 0.5 if y_pred is None else np.nan)
    if labels is None:
        labels = replace(first, predicted=_predict(first, values))
    other = None
    if baseline is not None:
        other = label_inputs(y_true, baseline, **options, what="baseline")
    return Material(labels, scored, values, other)


def _predict(inputs: Inputs, thresholds: Array) -> Array:
    """Return class codes: thresholded scores of binary attributes, else the likeliest class."""
    assert inputs.scores is not None
    binary = inputs.binary
    is_small = all(len(labels) <= np.iinfo(np.int8).max for labels in inputs.classes)
    codes = np.empty(inputs.codes.shape, dtype=np.int8 if is_small else np.int64)
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
        return np.where(inputs.binary, default, np.nan)
    reject_masked(given, "thresholds")
    given = dict_if_named(given)
    if isinstance(given, Mapping):
        unknown = [name for name in given if name not in inputs.names]
        if unknown:
            raise ValueError(f"thresholds name {unknown[0]!r}; the attributes are {inputs.names}.")
        given = [given.get(name, default) for name in inputs.names]
    values = np.asarray(given, dtype=np.float64)
    if values.ndim == 0:
        values = np.full(len(inputs.names), float(values))
    if values.shape != inputs.binary.shape:
        raise ValueError(
            f"thresholds has shape {values.shape}; expected one for each of the "
            f"{len(inputs.names)} attributes."
        )
    return np.where(inputs.binary, values, np.nan)


def report_table(
    material: Material, draws: BootstrapDraws | None, tail: Any
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return the rows of attributes and averages, and the number of attributes averaged over."""
    labels, scored = material.labels, material.scored
    confusion = confusion_of(labels)
    table = pd.DataFrame(index=pd.Index(material.names, name="attribute", dtype=object))
    table["kind"] = labels.kinds
    levels = _positive_levels(labels)
    if levels:
        table["positive_level"] = levels
    table[COUNTS] = _counts(confusion)
    values = _label_values(confusion)
    if scored is not None:
        values |= _score_values(scored)
    if material.baseline is not None:
        others = _label_values(confusion_of(material.baseline))
        values |= {f"{name}_baseline": row for name, row in others.items()}
    for name, row in values.items():
        table[name] = row["attributes"]
    averages = {
        average: {name: row[average] for name, row in values.items()} for average in AVERAGES
    }
    if scored is not None or not np.isnan(material.thresholds).all():
        table["threshold"] = material.thresholds
    averaged_over = {name: int(table[name].notna().sum()) for name in values}
    if draws is not None:
        limits = label_intervals(labels, draws, LABELS)
        if scored is not None:
            limits |= ranking_intervals(scored, draws)
        for name, ends in limits.items():
            for side, end in zip(("low", "high"), ends, strict=True):
                table[f"{name}_{side}"] = end[:-1]
                averages["macro"][f"{name}_{side}"] = end[-1]
    for label, members in _tail_groups(tail, labels).items():
        part = table.loc[members]
        averages[label] = {
            name: float(part[name].mean()) for name in values if part[name].notna().any()
        }
        averages[label]["known"] = float(part["known"].sum())
    texts = table.columns.intersection(_TEXTS)
    rows = pd.DataFrame(averages).T.reindex(columns=table.columns.drop(texts)).astype(float)
    for average in AVERAGES:
        rows.loc[average, "known"] = table["known"].sum()
    if confusion.is_binary.all():
        rows.loc["micro", COUNTS[1:]] = table[COUNTS[1:]].sum()
    rows[texts] = ""
    rows.index.name = "attribute"
    order = [name for name in _COLUMNS if name in table] + [c for c in table if c not in _COLUMNS]
    return pd.concat([table, rows])[order], averaged_over


def _positive_levels(inputs: Inputs) -> list[str]:
    """Return the positive levels, "" of attributes without one; none if all are 1 or True."""
    pairs = zip(inputs.binary, inputs.classes, strict=True)
    levels = ["" if not binary else str(classes[1]) for binary, classes in pairs]
    is_named = [
        binary and not has_plain_levels(classes)
        for binary, classes in zip(inputs.binary, inputs.classes, strict=True)
    ]
    return levels if any(is_named) else []


def _counts(confusion: Confusion) -> Array:
    """Return known labels, positives, TP, FN, FP and TN; NaN but the first if not binary.

    They are weighted as the rates are, so that these can be computed from them.
    """
    counts = np.full((len(confusion.names), len(COUNTS)), np.nan)
    binary = confusion.binary
    counts[:, 0] = confusion.known
    counts[confusion.is_binary, 1:] = np.stack([binary.P, *binary], axis=1)
    return counts


def _label_values(confusion: Confusion) -> dict[str, dict[str, Any]]:
    """Return the values of attributes and averages of each metric of labels."""
    return {
        name: _averaged(metric.units(confusion), metric.pooled(confusion))
        for name, metric in LABELS.items()
    }


def _score_values(inputs: Inputs) -> dict[str, dict[str, Any]]:
    """Return the values of attributes and averages of each metric of scores."""
    if not (inputs.codes >= 0).any():
        empty = np.full(len(inputs.names), np.nan)
        return {name: {"attributes": empty, **dict.fromkeys(AVERAGES, np.nan)} for name in _SCORES}
    metrics = list(_RANKINGS.values())
    bins = calibration_bins(inputs)
    units = [*ranked_units(metrics, inputs), calibration_units(inputs, bins)]
    # Bins of equal width have the same edges for all attributes: their sums are those of all
    # entries.
    pooled = [*ranked_pooled(metrics, inputs), gap(bins.sum(axis=0))]
    return {
        name: _averaged(part, micro)
        for name, part, micro in zip(_SCORES, units, pooled, strict=True)
    }


def _averaged(units: UnitScores, micro: float) -> dict[str, Any]:
    return {
        "attributes": units.per_attribute(),
        "macro": units.average("macro"),
        "weighted": units.average("weighted"),
        "micro": micro,
    }


def _tail_groups(tail: Any, labels: Inputs) -> dict[str, list[Any]]:
    """Return the attributes of each group to average over."""
    names = labels.names
    if tail is None:
        return {}
    if isinstance(tail, Mapping):
        for label, members in tail.items():
            unknown = [name for name in members if name not in names]
            if unknown:
                raise ValueError(
                    f"tail[{label!r}] names {unknown[0]!r}; the attributes are {list(names)}."
                )
        return {str(label): list(members) for label, members in tail.items()}
    bounds = sorted(map(float, tail), reverse=True)
    if not 1 <= len(bounds) <= 2:
        raise ValueError(f"tail must be a dict, or one or two numbers of positives; got {tail!r}.")
    titles = ["head", "medium", "tail"] if len(bounds) == 2 else ["head", "tail"]
    group = sum((_n_positives(labels) < bound).astype(int) for bound in bounds)
    groups = {
        title: [names[j] for j in np.flatnonzero(group == k)] for k, title in enumerate(titles)
    }
    return {title: members for title, members in groups.items() if members}


def _n_positives(labels: Inputs) -> Array:
    """Return the effective number of known positives, of known labels if not binary."""
    weights = None if labels.weights is None else relative_weights(labels.weights)
    squares = None if weights is None else weights**2
    sums = np.zeros((2, len(labels.names)))
    for rows in row_blocks(*labels.codes.shape):
        codes = labels.codes[rows]
        counted = np.where(labels.binary, codes == 1, codes >= 0)
        sums += [weighted_sum(counted, weights, rows), weighted_sum(counted, squares, rows)]
    return np.asarray(divide(sums[0] ** 2, sums[1], 0.0))
