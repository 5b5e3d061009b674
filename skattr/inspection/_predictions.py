"""True labels with the scores or predictions of any multi-output classifier."""

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from skattr._multioutput.class_order import warn_class_order
from skattr._multioutput.classes import (
    classes_of_columns,
    classes_per_output,
    encoder_for,
    match_outputs,
    missing_label_of,
)
from skattr._multioutput.scores import (
    Scores,
    align_scores,
    get_response,
    looks_like_proba,
    match_scores,
    read_response,
)
from skattr._multioutput.unreadable import check_predicted_rows
from skattr._targets.alignment import align_rows, dict_if_named
from skattr._targets.columns import read_labels, reject_masked
from skattr._targets.encoder import UNKNOWN, AttributeEncoder, is_binary, sorted_positives
from skattr._targets.positive import positive_name, warn_sorted_positives
from skattr._utils.warnings import find_stack_level
from skattr.metrics import UndefinedAttributeWarning

Array = NDArray[Any]
Declared = Mapping[Any, Any] | None


@dataclass(frozen=True)
class _TrueLabels:
    """True labels of n rows."""

    encoder: AttributeEncoder
    codes: NDArray[np.int64]

    @property
    def names(self) -> list[Any]:
        """Names of the attributes."""
        return list(self.encoder.output_names_)

    @property
    def shown_names(self) -> list[Any]:
        """Names to draw: "hat", or "gender=Women" with the positive level of two strings."""
        return shown_names(self.encoder)


@dataclass(frozen=True)
class ScoredLabels(_TrueLabels):
    """True labels and scores of n rows.

    Attributes
    ----------
    encoder : AttributeEncoder
        Names, kinds and classes of the L attributes.
    codes : ndarray of shape (n, L), int
        Class codes of the true labels, -1 if missing.
    scores : Scores
    """

    scores: Scores

    def part(self, attribute: int) -> Array:
        """Return an attribute's scores: (n,) if it is binary, else (n, n_classes)."""
        binary = is_binary(self.encoder)
        if binary[attribute]:
            return np.asarray(self.scores.binary[:, binary[:attribute].sum()])
        return self.scores.others[int((~binary[:attribute]).sum())]

    def known(self, attribute: int) -> tuple[Array, Array]:
        """Return the codes and the scores of the rows whose label is known."""
        rows = np.flatnonzero(self.codes[:, attribute] != UNKNOWN)
        return self.codes[rows, attribute], self.part(attribute)[rows]


def shown_names(encoder: AttributeEncoder) -> list[Any]:
    """Return the names of attributes, with the positive level of a binary one unless it is 1."""
    outputs = zip(encoder.output_names_, encoder.classes_, is_binary(encoder), strict=True)
    return [positive_name(name, classes) if binary else name for name, classes, binary in outputs]


def score_predictions(
    y_true: Any, y_score: Any, attributes: Declared, missing_label: Any
) -> ScoredLabels:
    """Combine true labels with given scores.

    Raises
    ------
    ValueError
        If shapes or columns differ, or a known label has no score.
    """
    y_true, y_score = align_rows(y_true=y_true, y_score=y_score)
    table = read_labels(y_true, missing_label, "y_true")
    encoder = AttributeEncoder(attributes, missing_label)
    codes = encoder.fit_transform(table)
    y_score = match_scores(y_score, table)
    response = read_response(y_score)
    classes = classes_of_columns(response, encoder, y_score)
    scored = _checked(encoder, codes, align_scores(response, True, encoder, classes))
    known = (scored.known(j)[1] for j in range(encoder.n_outputs_))
    if not all(looks_like_proba(part) for part in known):
        scored = _checked(encoder, codes, align_scores(response, False, encoder, classes))
    warn_class_order(scored.scores, scored.codes, encoder)
    warn_sorted_positives(sorted_positives(encoder, attributes))
    return scored


def score_estimator(
    estimator: Any, X: Any, y: Any, response_method: str, missing_label: Any
) -> ScoredLabels:
    """Combine true labels with the scores of a classifier; unreadable rows lose their labels.

    Raises
    ------
    ValueError
        If the outputs of the classifier differ from those of y.
    """
    X, y = align_rows(X=X, y=y)
    encoder = encoder_for(estimator, y, missing_label)
    inner = estimator
    if response_method == "auto" and getattr(estimator, "response_method", "") == (
        "decision_function"
    ):
        # its thresholds refer to decisions, although it may also return probabilities
        inner, response_method = getattr(estimator, "estimator_", estimator), "decision_function"
    response, is_proba = get_response(inner, X, response_method)
    scores = align_scores(response, is_proba, encoder, classes_per_output(estimator, encoder))
    return _checked(encoder, encoder.transform(y), scores, check_predicted_rows(estimator, scores))


def _checked(
    encoder: AttributeEncoder,
    codes: NDArray[np.int64],
    scores: Scores,
    unreadable: NDArray[np.bool_] | None = None,
) -> ScoredLabels:
    if len(scores) != len(codes):
        raise ValueError(f"y has {len(codes)} rows, but the scores have {len(scores)}.")
    if unreadable is not None:
        codes[unreadable] = UNKNOWN
    scored = ScoredLabels(encoder, codes, scores)
    for j, name in enumerate(scored.names):
        part = scored.part(j)
        missing = np.isnan(part if part.ndim == 1 else part.sum(axis=1))
        bad = missing & (scored.codes[:, j] != UNKNOWN)
        if bad.any():
            raise ValueError(
                f"The score of row {int(bad.argmax())}, attribute {name!r}, is NaN, but its label "
                "is known; a known label needs a score."
            )
    return scored


def attribute_positions(select: Any, names: list[Any], parameter: str = "select") -> list[int]:
    """Return the positions of the selected attributes, given by name or position.

    Raises
    ------
    ValueError
        If an item is not an attribute, or nothing is selected.
    """
    if select is None:
        return list(range(len(names)))
    is_single = isinstance(select, str) or not isinstance(select, Iterable)
    positions = []
    for item in [select] if is_single else select:
        is_position = isinstance(item, Integral) and not isinstance(item, bool)
        if item in names:
            positions.append(names.index(item))
        elif is_position and 0 <= int(item) < len(names):
            positions.append(int(item))
        else:
            raise ValueError(f"`{parameter}` names {item!r}, which is not an attribute of {names}.")
    if not positions:
        raise ValueError(f"`{parameter}` is empty; it must name one or more of {names}.")
    return list(dict.fromkeys(positions))


def binary_positions(scored: ScoredLabels, select: Any) -> list[int]:
    """Return the positions of the selected attributes, or of all binary ones.

    Raises
    ------
    ValueError
        If a selected attribute is not binary, or no attribute is.
    """
    binary, names = is_binary(scored.encoder), scored.names
    if not binary.any():
        raise ValueError(f"Thresholds need a binary attribute, but y has none; it has {names}.")
    if select is None:
        return [int(j) for j in np.flatnonzero(binary)]
    positions = attribute_positions(select, names)
    for j in positions:
        if not binary[j]:
            raise ValueError(
                f"`select` names {names[j]!r}, which has {len(scored.encoder.classes_[j])} "
                "class(es); only binary attributes have thresholds."
            )
    return positions


def drawable_positions(
    scored: ScoredLabels, positions: list[int], is_drawable: NDArray[np.bool_], reason: str
) -> list[int]:
    """Return the positions of the attributes that can be drawn, and warn about the others.

    Raises
    ------
    ValueError
        If no attribute can be drawn.
    """
    drawable = [j for j in positions if is_drawable[j]]
    if not drawable:
        raise ValueError(f"Nothing can be drawn: every attribute has {reason}.")
    left_out = [scored.names[j] for j in positions if not is_drawable[j]]
    if left_out:
        warnings.warn(
            f"{len(left_out)} attribute(s) with {reason} are left out: {left_out}.",
            UndefinedAttributeWarning,
            stacklevel=find_stack_level(),
        )
    return drawable


def get_thresholds(estimator: Any) -> Any:
    """Return the fitted thresholds of a classifier or of a pipeline's last step, or None."""
    while isinstance(estimator, Pipeline):
        estimator = estimator.steps[-1][1]
    return getattr(estimator, "best_threshold_", None)


def chosen_thresholds(
    thresholds: Any, scored: ScoredLabels, positions: list[int]
) -> NDArray[np.float64]:
    """Return the threshold of each drawn attribute.

    Parameters
    ----------
    thresholds : None, number, dict or Series by name, or array-like
        Array-likes have one entry per attribute, per binary attribute, or per drawn attribute.

    Raises
    ------
    ValueError
        If a threshold is missing or NaN, or their number is wrong.
    """
    names = scored.names
    drawn = [names[j] for j in positions]
    if thresholds is None:
        return np.full(len(positions), 0.5 if scored.scores.is_proba else 0.0)
    reject_masked(thresholds, "thresholds")
    thresholds = dict_if_named(thresholds)
    if isinstance(thresholds, Mapping):
        attribute_positions(thresholds, names, "thresholds")
        absent = [name for name in drawn if name not in thresholds]
        if absent:
            raise ValueError(f"`thresholds` has no value for {absent}.")
        values = np.array([thresholds[name] for name in drawn], dtype=np.float64)
    else:
        given = np.asarray(thresholds, dtype=np.float64)
        binary = is_binary(scored.encoder)
        everywhere = np.full(len(names), np.nan)
        # an array of equal length may be meant in several ways: the last entry has priority
        positions_by_shape: dict[tuple[int, ...], Any] = {
            (): slice(None),
            (len(positions),): positions,
            (int(binary.sum()),): binary,
            binary.shape: slice(None),
        }
        if given.shape not in positions_by_shape:
            raise ValueError(
                f"`thresholds` has shape {given.shape}; expected a number, a dict by name, or one "
                f"number for each of the {binary.sum()} binary attribute(s)."
            )
        everywhere[positions_by_shape[given.shape]] = given
        values = everywhere[positions]
    if np.isnan(values).any():
        raise ValueError(f"The threshold of {drawn[int(np.isnan(values).argmax())]!r} is NaN.")
    return values


@dataclass(frozen=True)
class EvaluatedLabels(_TrueLabels):
    """True and predicted labels of n rows.

    Attributes
    ----------
    encoder : AttributeEncoder
        Of the true labels.
    codes : ndarray of shape (n, L), int
        Class codes of the true labels, -1 if missing.
    wrong : ndarray of shape (n, L), bool
        Whether the prediction of a known label is wrong; False for missing labels.
    guesses : list of ndarray of shape (n,)
        Predicted labels of each attribute, in a native dtype.
    """

    wrong: NDArray[np.bool_]
    guesses: list[Array]


def evaluate_predictions(
    y_true: Any, y_pred: Any, missing_label: Any, unreadable: NDArray[np.bool_] | None = None
) -> EvaluatedLabels:
    """Compare true and predicted labels; the labels of unreadable rows become missing.

    Raises
    ------
    ValueError
        If shapes or columns differ, or the prediction of a known label is missing.
    """
    y_true, y_pred = align_rows(y_true=y_true, y_pred=y_pred)
    table = read_labels(y_true, missing_label, "y_true")
    guesses_table = read_labels(y_pred, missing_label, "y_pred").matched(table.names, "y_true")
    truth, guess = AttributeEncoder(), AttributeEncoder()
    codes, predicted = truth.fit_transform(table), guess.fit_transform(guesses_table)
    if codes.shape != predicted.shape:
        raise ValueError(f"y_true has shape {codes.shape}, but y_pred has shape {predicted.shape}.")
    if unreadable is not None:
        codes[unreadable] = UNKNOWN
    absent = (predicted == UNKNOWN) & (codes != UNKNOWN)
    if absent.any():
        row, j = np.argwhere(absent)[0]
        raise ValueError(
            f"y_pred of row {row}, attribute {truth.output_names_[j]!r}, is missing, but the "
            "label is known."
        )
    wrong, guesses = np.zeros(codes.shape, dtype=bool), []
    for j, (labels, predicted_labels) in enumerate(
        zip(truth.classes_, guess.classes_, strict=True)
    ):
        place = {label: i for i, label in enumerate(labels.tolist())}
        code_in_true = np.array(
            [place.get(label, len(labels)) for label in predicted_labels.tolist()]
        )
        known = codes[:, j] != UNKNOWN
        wrong[known, j] = code_in_true[predicted[known, j]] != codes[known, j]
        guesses.append(predicted_labels[predicted[:, j]])
    return EvaluatedLabels(truth, codes, wrong, guesses)


def evaluate_estimator(estimator: Any, X: Any, y: Any, missing_label: Any) -> EvaluatedLabels:
    """Compare true labels with the predictions of a fitted classifier."""
    if missing_label is None:
        missing_label = missing_label_of(estimator)
    X, y = align_rows(X=X, y=y)
    y, _ = match_outputs(estimator, y)
    predicted = estimator.predict(X)
    return evaluate_predictions(
        y, predicted, missing_label, check_predicted_rows(estimator, predicted)
    )
