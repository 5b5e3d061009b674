"""Labels and scores of any multi-output classifier, as the displays need them."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from skattr._multioutput.class_order import warn_class_order
from skattr._multioutput.classes import classes_per_output, encoder_for, missing_label_of
from skattr._multioutput.scores import (
    Scores,
    align_scores,
    check_same_columns,
    get_response,
    looks_like_proba,
)
from skattr._multioutput.unreadable import check_predicted_rows
from skattr._targets.encoder import UNKNOWN, AttributeEncoder, is_binary
from skattr.metrics import UndefinedAttributeWarning

Array = NDArray[Any]
Declared = Mapping[Any, Any] | None
Levels = Mapping[Any, Any] | Sequence[Any] | None


@dataclass(frozen=True)
class ScoredLabels:
    """True labels and scores of n rows.

    Attributes
    ----------
    encoder : AttributeEncoder
        Names, kinds and classes of the L attributes.
    codes : ndarray of shape (n, L), int
        -1 where unknown.
    scores : Scores
    """

    encoder: AttributeEncoder
    codes: NDArray[np.int64]
    scores: Scores

    @property
    def names(self) -> list[Any]:
        """Names of the attributes."""
        return list(self.encoder.output_names_)

    def part(self, attribute: int) -> Array:
        """Return an attribute's scores: (n,) if it is binary, else (n, n_classes)."""
        two = is_binary(self.encoder)
        if two[attribute]:
            return np.asarray(self.scores.binary[:, two[:attribute].sum()])
        return self.scores.others[int((~two[:attribute]).sum())]

    def known(self, attribute: int) -> tuple[Array, Array]:
        """Return the codes and the scores of the rows whose label is known."""
        rows = np.flatnonzero(self.codes[:, attribute] != UNKNOWN)
        return self.codes[rows, attribute], self.part(attribute)[rows]


def score_predictions(
    y_true: Any, y_score: Any, attributes: Declared, classes: Levels, missing_label: Any
) -> ScoredLabels:
    """Read labels and scores that are given.

    Raises
    ------
    ValueError
        If shapes or columns differ, or a known label has no score.
    """
    check_same_columns(y_score, y_true, "y_score", "y_true")
    encoder = AttributeEncoder(attributes, classes, missing_label).fit(y_true)
    response = _response(y_score)
    single = [np.sort(encoder.classes_[0])] if encoder.n_outputs_ == 1 else None
    scored = _checked(encoder, y_true, align_scores(response, True, encoder, single))
    known = (scored.known(j)[1] for j in range(encoder.n_outputs_))
    if not all(looks_like_proba(part) for part in known):
        scored = _checked(encoder, y_true, align_scores(response, False, encoder, single))
    warn_class_order(scored.scores, scored.codes, encoder)
    return scored


def _response(y_score: Any) -> Array | list[Array]:
    """Return one array, or a list of arrays if there is one for each output."""
    is_list = isinstance(y_score, list | tuple)
    if is_list and any(np.ndim(part) == 2 or hasattr(part, "shape") for part in y_score):
        return [np.asarray(part, dtype=np.float64) for part in y_score]
    return np.asarray(y_score, dtype=np.float64)


def score_estimator(
    estimator: Any, X: Any, y: Any, response_method: str, missing_label: Any
) -> ScoredLabels:
    """Ask a fitted classifier for its scores; labels of rows it could not read become unknown.

    Raises
    ------
    ValueError
        If its outputs are not those of y.
    """
    encoder = encoder_for(estimator, y, missing_label)
    inner = estimator
    if response_method == "auto" and getattr(estimator, "response_method", "") == (
        "decision_function"
    ):
        # its thresholds are of decisions, although it may pass probabilities on
        inner, response_method = getattr(estimator, "estimator_", estimator), "decision_function"
    response, is_proba = get_response(inner, X, response_method)
    scores = align_scores(response, is_proba, encoder, classes_per_output(estimator, encoder))
    return _checked(encoder, y, scores, check_predicted_rows(estimator, scores))


def _checked(
    encoder: AttributeEncoder, y: Any, scores: Scores, lost: NDArray[np.bool_] | None = None
) -> ScoredLabels:
    codes = encoder.transform(y)
    if len(scores) != len(codes):
        raise ValueError(f"y has {len(codes)} rows, the scores have {len(scores)}.")
    if lost is not None:
        codes[lost] = UNKNOWN
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


def positions_of(select: Any, names: list[Any], parameter: str = "select") -> list[int]:
    """Return the positions of the selected attributes; a whole number may be a position.

    Raises
    ------
    ValueError
        If one is no attribute, or none is selected.
    """
    if select is None:
        return list(range(len(names)))
    wanted = [select] if isinstance(select, str) or not isinstance(select, Iterable) else [*select]
    found = []
    for item in wanted:
        is_position = isinstance(item, Integral) and not isinstance(item, bool)
        if item in names:
            found.append(names.index(item))
        elif is_position and 0 <= int(item) < len(names):
            found.append(int(item))
        else:
            raise ValueError(f"`{parameter}` names {item!r}, which is no attribute; y has {names}.")
    if not found:
        raise ValueError(f"`{parameter}` is empty; name one attribute or more of {names}.")
    return list(dict.fromkeys(found))


def binary_positions(scored: ScoredLabels, select: Any, what: str) -> list[int]:
    """Return the positions of the selected attributes, or of all binary ones.

    Raises
    ------
    ValueError
        If a selected one is not binary, or none is.
    """
    two, names = is_binary(scored.encoder), scored.names
    if not two.any():
        raise ValueError(f"y has no binary attribute, and {what} only those; it has {names}.")
    if select is None:
        return [int(j) for j in np.flatnonzero(two)]
    found = positions_of(select, names)
    for j in found:
        if not two[j]:
            raise ValueError(
                f"`select` names {names[j]!r}, which has {len(scored.encoder.classes_[j])} "
                f"class(es); {what} only binary attributes."
            )
    return found


def leave_out(names: list[Any], why: str, left: int) -> None:
    """Warn of the attributes that cannot be drawn, or raise if there is no other.

    Raises
    ------
    ValueError
        If `left` is 0.
    """
    if not left:
        raise ValueError(f"Nothing can be drawn: every attribute has {why}.")
    if names:
        warnings.warn(
            f"{len(names)} attribute(s) with {why} are left out: {names}.",
            UndefinedAttributeWarning,
            stacklevel=5,
        )


def thresholds_of(estimator: Any) -> Any:
    """Return the thresholds a classifier, or the last step of a pipeline, has found, or None."""
    while isinstance(estimator, Pipeline):
        estimator = estimator.steps[-1][1]
    return getattr(estimator, "best_threshold_", None)


def cuts_of(thresholds: Any, scored: ScoredLabels, positions: list[int]) -> NDArray[np.float64]:
    """Return the threshold of each drawn attribute.

    Parameters
    ----------
    thresholds : None, number, dict or Series by name, or array-like
        Array-likes have an entry per attribute, per binary attribute, or per drawn one.

    Raises
    ------
    ValueError
        If one is missing, or they are of another number.
    """
    names = scored.names
    drawn = [names[j] for j in positions]
    if thresholds is None:
        return np.full(len(positions), 0.5 if scored.scores.is_proba else 0.0)
    if isinstance(thresholds, pd.Series) and set(drawn) <= set(thresholds.index):
        thresholds = thresholds.to_dict()
    if isinstance(thresholds, Mapping):
        positions_of(thresholds, names, "thresholds")
        absent = [name for name in drawn if name not in thresholds]
        if absent:
            raise ValueError(f"`thresholds` has none for {absent}.")
        values = np.array([thresholds[name] for name in drawn], dtype=np.float64)
    else:
        values = np.asarray(thresholds, dtype=np.float64)
        two = is_binary(scored.encoder)
        if values.ndim == 0:
            values = np.full(len(positions), float(values))
        elif values.shape == two.shape:
            values = values[positions]
        elif values.shape == (two.sum(),):
            values = values[[int(two[:j].sum()) for j in positions]]
        elif values.shape != (len(positions),):
            raise ValueError(
                f"`thresholds` has the shape {values.shape}; it must be a number, a dict by name, "
                f"or have one number for each of the {two.sum()} binary attribute(s)."
            )
    if np.isnan(values).any():
        raise ValueError(f"The threshold of {drawn[int(np.isnan(values).argmax())]!r} is NaN.")
    return values


@dataclass(frozen=True)
class EvaluatedLabels:
    """True and predicted labels of n rows.

    Attributes
    ----------
    encoder : AttributeEncoder
        Of the true labels.
    codes : ndarray of shape (n, L), int
        -1 where unknown.
    wrong : ndarray of shape (n, L), bool
        False where unknown.
    guesses : list of ndarray of shape (n,)
        Predicted labels of each attribute, in a native dtype.
    """

    encoder: AttributeEncoder
    codes: NDArray[np.int64]
    wrong: NDArray[np.bool_]
    guesses: list[Array]

    @property
    def names(self) -> list[Any]:
        """Names of the attributes."""
        return list(self.encoder.output_names_)


def judged(
    y_true: Any, y_pred: Any, missing_label: Any, lost: NDArray[np.bool_] | None = None
) -> EvaluatedLabels:
    """Compare true and predicted labels; those of the lost rows become unknown.

    Raises
    ------
    ValueError
        If shapes or columns differ, or a prediction is missing where the label is known.
    """
    check_same_columns(y_pred, y_true, "y_pred", "y_true")
    truth = AttributeEncoder(missing_label=missing_label).fit(y_true)
    guess = AttributeEncoder(missing_label=missing_label).fit(y_pred)
    codes, answers = truth.transform(y_true), guess.transform(y_pred)
    if codes.shape != answers.shape:
        raise ValueError(f"y_true has the shape {codes.shape}, y_pred {answers.shape}.")
    if lost is not None:
        codes[lost] = UNKNOWN
    absent = (answers == UNKNOWN) & (codes != UNKNOWN)
    if absent.any():
        row, j = np.argwhere(absent)[0]
        raise ValueError(
            f"y_pred of row {row}, attribute {truth.output_names_[j]!r}, is missing, but the "
            "label is known."
        )
    wrong, guesses = np.zeros(codes.shape, dtype=bool), []
    for j, (labels, said) in enumerate(zip(truth.classes_, guess.classes_, strict=True)):
        place = {label: i for i, label in enumerate(labels.tolist())}
        moved = np.array([place.get(label, len(labels)) for label in said.tolist()])
        known = codes[:, j] != UNKNOWN
        wrong[known, j] = moved[answers[known, j]] != codes[known, j]
        guesses.append(said[answers[:, j]])
    return EvaluatedLabels(truth, codes, wrong, guesses)


def judge(estimator: Any, X: Any, y: Any, missing_label: Any) -> EvaluatedLabels:
    """Compare true labels with what a fitted classifier predicts."""
    if missing_label is None:
        missing_label = missing_label_of(estimator)
    predicted = estimator.predict(X)
    return judged(y, predicted, missing_label, check_predicted_rows(estimator, predicted))
