"""Read the labels, scores and weights that metrics are given."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.utils.validation import _check_sample_weight, check_consistent_length

from skattr._multioutput.class_order import warn_class_order
from skattr._multioutput.classes import classes_of_columns
from skattr._multioutput.scores import Scores, align_scores, match_scores, read_response
from skattr._targets.alignment import align_rows, column_names_of
from skattr._targets.columns import LabelTable, read_labels, reject_masked
from skattr._targets.declarations import Declared as Declared
from skattr._targets.declarations import infer_kind, parse_attributes
from skattr._targets.encoder import (
    UNKNOWN,
    AttributeEncoder,
    check_any_known,
    sorted_positives,
)
from skattr._targets.positive import sort_classes, warn_sorted_positives
from skattr._targets.weights import check_label_weights
from skattr._utils.tensors import detached
from skattr.exceptions import UnseenLabelError

Array = NDArray[Any]
_BLOCK = 1 << 20  # entries, whose temporaries of a few MB are allocated at a time


class _Table(NamedTuple):
    names: list[Any]
    kinds: list[Any]
    classes: list[Array]
    codes: Array


@dataclass(frozen=True)
class Inputs:
    """Labels, predictions, scores and weights of n rows and L attributes.

    Attributes
    ----------
    names, kinds, classes : list of length L
        Names, kinds and classes of the attributes, as of `AttributeEncoder`.
    codes : ndarray of shape (n, L), int
        Positions of the true labels in `classes`, -1 where a label is missing.
    predicted : ndarray of shape (n, L), int, or None
        Positions of the predicted labels; undefined where `codes` is -1.
    scores : Scores or None
    weights : ndarray of shape (n, L) or (n, 1), float64, or None
        Weights of entries; undefined where `codes` is -1.
    row_weights : ndarray of shape (n,), float64, or None
    sorted_positives : mapping
        Names and classes of the binary attributes whose positive level was chosen by sorting, if
        that was not warned of.
    """

    names: list[Any]
    kinds: list[str]
    classes: list[Array]
    codes: Array
    predicted: Array | None
    scores: Scores | None
    weights: Array | None
    row_weights: Array | None
    sorted_positives: Mapping[Any, Array] = field(default_factory=dict)

    @property
    def binary(self) -> NDArray[np.bool_]:
        """Whether each attribute has a positive and a negative class."""
        pairs = zip(self.kinds, self.classes, strict=True)
        return np.array([kind == "binary" and len(labels) == 2 for kind, labels in pairs])

    def binary_codes(self) -> Array:
        """Return the codes of the binary attributes, without a copy if all are."""
        return self.codes if self.binary.all() else self.codes[:, self.binary]

    def binary_weights(self) -> Array | None:
        """Return the weights of the binary attributes, or of rows as one column."""
        if self.weights is None or self.weights.shape[1] == 1:
            return self.weights
        return self.weights if self.binary.all() else self.weights[:, self.binary]

    def weight_of(self, attribute: Any, rows: Array) -> Array | None:
        """Return the weights of an attribute's entries in some rows."""
        if self.weights is None:
            return None
        return np.asarray(self.weights[rows, min(attribute, self.weights.shape[1] - 1)])

    def known_weight(self) -> NDArray[np.float64]:
        """Return the weight of each attribute's known entries."""
        total = np.zeros(len(self.names))
        for rows in row_blocks(*self.codes.shape):
            total += weighted_sum(self.codes[rows] >= 0, self.weights, rows)
        return total


def row_blocks(n: int, width: int) -> Iterator[slice]:
    """Yield slices that together are n rows, each with at most a million entries."""
    height = max(1, _BLOCK // max(width, 1))
    for start in range(0, n, height):
        yield slice(start, min(start + height, n))


def weighted_sum(values: Array, weights: Array | None, rows: slice, axis: int = 0) -> Array:
    """Return the weighted sums of the values of a block, over its rows or its columns."""
    if weights is None:
        return np.asarray(values.sum(axis=axis, dtype=np.int64 if values.dtype == bool else float))
    return np.asarray((values * weights[rows]).sum(axis=axis))


def label_inputs(
    y_true: Any,
    y_pred: Any,
    sample_weight: Any = None,
    label_weight: Any = None,
    attributes: Declared = None,
    missing_label: Any = None,
    *,
    what: str = "y_pred",
) -> Inputs:
    """Read true and predicted labels; `what` is the name of the predicted ones in messages.

    A label that is only predicted becomes a class, unless the attribute's classes are declared.
    Predictions have no influence where the true label is missing.

    Raises
    ------
    ValueError
        If shapes or names of columns differ, a prediction is missing where the label is known,
        or y_true holds no known label.
    UnseenLabelError
        If a label is not among the declared classes.
    """
    y_true, y_pred, sample_weight, label_weight = align_rows(
        y_true=y_true,
        **{what: y_pred},
        sample_weight=sample_weight,
        label_weight=label_weight,
    )
    true = read_labels(y_true, missing_label, "y_true")
    pred = read_labels(y_pred, missing_label, what)
    if not pred.may_be_tags and len(pred.names) == len(true.names):
        true = true.matched(true.names, what)  # a table of predictions is no table of tags
    pred = pred.matched(true.names, "y_true")
    table = _indicators(true) if attributes is None else None
    predicted = pred.integer_codes(1) if table is not None else None
    chosen: dict[Any, Array] = {}
    if table is None or predicted is None:
        table, predicted, chosen = _encode_both(true, pred, attributes)
    else:
        _check_shapes(table.codes, predicted, what)
    _check_labels(table.codes)
    for rows in row_blocks(*table.codes.shape):
        missing = (predicted[rows] < 0) & (table.codes[rows] >= 0)
        if missing.any():
            row, column = np.argwhere(missing)[0]
            raise ValueError(
                f"{what} of row {rows.start + row}, attribute {table.names[column]!r}, is "
                "missing, but the label is known; predict a label for it."
            )
    inputs = _weighted(table, predicted, None, sample_weight, label_weight)
    return replace(inputs, sorted_positives=chosen)


def score_inputs(
    y_true: Any,
    y_score: Any,
    sample_weight: Any = None,
    label_weight: Any = None,
    attributes: Declared = None,
    missing_label: Any = None,
    *,
    is_proba: bool = False,
) -> Inputs:
    """Read true labels and scores.

    Raises
    ------
    ValueError
        If shapes or names of columns differ, a score of a known entry is NaN, or, with
        `is_proba`, is no probability.
    TypeError
        If scores are masked or sparse.
    """
    y_true, y_score, sample_weight, label_weight = align_rows(
        y_true=y_true, y_score=y_score, sample_weight=sample_weight, label_weight=label_weight
    )
    true = read_labels(y_true, missing_label, "y_true")
    y_score = match_scores(y_score, true)
    scores = read_response(y_score)
    is_mixed = isinstance(scores, list) and any(part.shape[1:] > (2,) for part in scores)
    table, encoder = _indicators(true) if attributes is None and not is_mixed else None, None
    names_classes = len(true.names) == 1 and len(column_names_of(y_score) or []) == 2
    if table is not None and not names_classes and _is_matrix(scores, table):
        assert isinstance(scores, np.ndarray)
        matrix = scores.reshape(len(scores), -1)[:, -len(table.names) :]
        found = Scores(matrix, (), is_proba)
    elif table is not None:
        pair = pd.DataFrame([[0] * len(table.names), [1] * len(table.names)], columns=table.names)
        found = _aligned(scores, AttributeEncoder().fit(pair), y_score)
    else:
        encoder = AttributeEncoder(attributes)
        codes = encoder.fit_transform(true)
        _give_classes_to_unknown(encoder, scores)
        table = _Table(encoder.output_names_, encoder.kinds_, encoder.classes_, codes)
        found = _aligned(scores, encoder, y_score)
    if any(len(part) != len(table.codes) for part in (found.binary, *found.others)):
        lengths = [len(part) for part in (found.binary, *found.others)]
        raise ValueError(f"y_true has {len(table.codes)} rows, y_score {sorted(set(lengths))}.")
    _check_labels(table.codes)
    inputs = _weighted(table, None, found, sample_weight, label_weight)
    _check_scores(inputs, is_proba)
    if encoder is not None:
        warn_class_order(found, table.codes, encoder)
        chosen = sorted_positives(encoder, attributes)
        if isinstance(scores, list):  # every class has a score: not all metrics ask which is meant
            return replace(inputs, sorted_positives=chosen)
        warn_sorted_positives(chosen)
    return inputs


def _check_shapes(codes: Array, other: Array, name: str) -> None:
    if codes.shape != other.shape:
        raise ValueError(
            f"y_true has {codes.shape[0]} rows and {codes.shape[1]} attribute(s), but {name} has "
            f"{other.shape[0]} and {other.shape[1]}."
        )


def _check_labels(codes: Array) -> None:
    known = [(codes[rows] >= 0).any() for rows in row_blocks(*codes.shape)]
    check_any_known(np.array(known), "y_true")


def _indicators(true: LabelTable) -> _Table | None:
    """Return a numeric table of zeros and ones, read without pandas, None of any other."""
    codes = true.integer_codes(1)
    if codes is None:
        return None
    labels = np.array([0, 1]).astype(true.data.dtype.newbyteorder("="))
    n = len(true.names)
    return _Table(true.names, ["binary"] * n, [labels] * n, codes)


def _encode_both(
    true: LabelTable, pred: LabelTable, attributes: Any
) -> tuple[_Table, Array, dict[Any, Array]]:
    truth, guess = AttributeEncoder(attributes), AttributeEncoder()
    codes, predicted = truth.fit_transform(true), guess.fit_transform(pred)
    _check_shapes(codes, predicted, "y_pred")
    names = truth.output_names_
    declared = parse_attributes(attributes, names)
    table = _Table(names, list(truth.kinds_), list(truth.classes_), codes)
    for j, name in enumerate(names):
        known = (codes[:, j] >= 0) & (predicted[:, j] >= 0)
        seen = guess.classes_[j][np.unique(predicted[known, j])]
        have, kind = truth.classes_[j], declared[name].kind if name in declared else None
        is_closed = name in declared and declared[name].levels is not None
        labels = _joined(have, seen, name, truth.kinds_[j] == "ordinal" or is_closed)
        if len(labels) != len(have):
            if kind == "binary" and len(labels) > 2:
                raise ValueError(f"Attribute {name!r} is declared binary; y_pred adds {labels}.")
            table.classes[j] = labels
            table.kinds[j] = kind or infer_kind(labels)
            codes[:, j] = _recode(codes[:, j], have, labels)
        predicted[:, j] = _recode(predicted[:, j], guess.classes_[j], labels)
    truth.kinds_, truth.classes_ = table.kinds, table.classes
    return table, predicted, sorted_positives(truth, attributes)


def _joined(have: Array, seen: Array, name: Any, is_closed: bool) -> Array:
    """Return the classes of an attribute, extended by labels that are only predicted."""
    if len(seen) and (have.dtype.kind == "U") != (seen.dtype.kind == "U"):
        raise ValueError(
            f"Attribute {name!r}: y_true holds labels like {have[0].item()!r}, y_pred like "
            f"{seen[0].item()!r}; they must be of one type."
        )
    known = set(have.tolist())
    extra = [label for label in seen.tolist() if label not in known]
    if extra and is_closed:
        raise UnseenLabelError(
            f"y_pred holds the label(s) {extra} in attribute {name!r}, which are not among its "
            f"declared classes {have.tolist()}."
        )
    return sort_classes(np.concatenate([have, seen])) if extra else have


def _recode(codes: Array, old: Array, new: Array) -> Array:
    """Return codes as positions in other classes, -1 for a class that is not among them."""
    position = {label: j for j, label in enumerate(new.tolist())}
    table = np.array([position.get(label, UNKNOWN) for label in old.tolist()] + [UNKNOWN])
    return np.asarray(table[codes])


def _weighted(
    table: _Table,
    predicted: Array | None,
    scores: Scores | None,
    sample_weight: Any,
    label_weight: Any,
) -> Inputs:
    for name, value in (("sample_weight", sample_weight), ("label_weight", label_weight)):
        reject_masked(value, name)
    codes, weights, row_weights = table.codes, None, None
    if sample_weight is not None:
        check_consistent_length(codes, sample_weight)
        row_weights = _check_sample_weight(detached(sample_weight), codes, ensure_non_negative=True)
        row_weights = row_weights.astype(np.float64, copy=False)
        weights = row_weights[:, np.newaxis]
    if label_weight is not None:
        weights = check_label_weights(codes, codes, sample_weight, label_weight, table.names)
    return Inputs(*table, predicted, scores, weights, row_weights)


def _is_matrix(scores: Array | list[Array], table: _Table) -> bool:
    if isinstance(scores, list):
        return False
    if len(table.names) == 1:
        return scores.ndim == 1 or (scores.ndim == 2 and scores.shape[1] in (1, 2))
    return scores.ndim == 2 and scores.shape[1] == len(table.names)


def _give_classes_to_unknown(encoder: AttributeEncoder, scores: Array | list[Array]) -> None:
    """Give an attribute without a known label as many classes as it has scores."""
    if isinstance(scores, list) and len(scores) == encoder.n_outputs_:
        for j in np.flatnonzero(encoder.known_ == 0):
            if scores[j].shape[1:] > (2,) and np.array_equal(encoder.classes_[j], [0, 1]):
                encoder.classes_[j] = np.arange(scores[j].shape[1])
                encoder.kinds_[j] = "categorical"


def _aligned(scores: Array | list[Array], encoder: AttributeEncoder, y_score: Any) -> Scores:
    """Convert scores to a common format; y_score has their names."""
    try:
        return align_scores(scores, True, encoder, classes_of_columns(scores, encoder, y_score))
    except ValueError as error:
        raise ValueError(
            f"y_score does not fit y_true: {error} Declare classes that are absent from y_true in "
            "`attributes`."
        ) from error


def _check_scores(inputs: Inputs, is_proba: bool) -> None:
    """Reject scores of known entries that are NaN, or no probabilities."""
    scores = inputs.scores
    assert scores is not None
    codes = inputs.binary_codes()
    for rows in row_blocks(*codes.shape):
        bad = _is_bad(scores.binary[rows], is_proba)
        if bad.any() and (bad & (codes[rows] >= 0)).any():
            row, column = np.argwhere(bad & (codes[rows] >= 0))[0]
            name = inputs.names[np.flatnonzero(inputs.binary)[column]]
            _reject_score(rows.start + row, name, scores.binary[rows][row, column], is_proba)
    for j, part in zip(np.flatnonzero(~inputs.binary), scores.others, strict=True):
        known = inputs.codes[:, j] >= 0
        bad = _is_bad(part, is_proba) & known[:, np.newaxis]
        if bad.any():
            row, column = np.argwhere(bad)[0]
            _reject_score(row, inputs.names[j], part[row, column], is_proba)
        total = part.sum(axis=1)
        off = known & ~np.isclose(total, 1, rtol=np.sqrt(np.finfo(part.dtype).eps))
        if is_proba and off.any():
            row = int(np.argmax(off))
            raise ValueError(
                f"y_score of row {row}, attribute {inputs.names[j]!r}: the probabilities of its "
                f"classes sum to {total[row]}, not to 1."
            )


def _is_bad(scores: Array, is_proba: bool) -> Array:
    return ~((scores >= 0) & (scores <= 1)) if is_proba else np.isnan(scores)


def _reject_score(row: Any, name: Any, score: Any, is_proba: bool) -> None:
    rule = "probabilities lie in [0, 1]" if is_proba else "a known label needs a score"
    raise ValueError(f"y_score of row {row}, attribute {name!r}, is {score}; {rule}.")
