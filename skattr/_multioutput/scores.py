"""What any multi-output classifier says, in one form: scores per output, aligned to the labels.

Classifiers answer in several shapes: a list of (n, n_classes) arrays, one matrix with a column
per binary output, or a single (n, n_classes) array. Everything that follows a classifier
(thresholds, calibration, out-of-fold scores) reads them here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_consistent_length

from skattr._targets.encoder import AttributeEncoder, is_binary

Array = NDArray[Any]
Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Scores:
    """Scores of n rows for every output.

    Attributes
    ----------
    binary : ndarray of shape (n, n_binary)
        Score of the positive class of each binary output, in the order of the outputs.
    others : tuple of ndarray of shape (n, n_classes)
        Scores of the classes of each output that is not binary.
    is_proba : bool
        Whether the scores are probabilities; otherwise they are log odds or margins.
    """

    binary: Floats
    others: tuple[Floats, ...]
    is_proba: bool

    def __len__(self) -> int:
        return len(self.binary)


def get_response(estimator: Any, X: Any, response_method: str = "auto") -> tuple[Any, bool]:
    """Return a classifier's answer and whether it consists of probabilities."""
    names = ["predict_proba", "decision_function"]
    if response_method != "auto":
        names = [response_method]
    for name in names:
        if not hasattr(estimator, name):
            continue
        try:
            return getattr(estimator, name)(X), name == "predict_proba"
        except AttributeError:  # a wrapper may promise what only some of its parts have
            if name == names[-1]:
                raise
    raise AttributeError(
        f"{type(estimator).__name__} has none of the following attributes: {', '.join(names)}."
    )


def align_scores(
    response: Any,
    is_proba: bool,
    encoder: AttributeEncoder,
    classes: Sequence[NDArray[Any]] | None = None,
) -> Scores:
    """Bring a classifier's answer into the form of :class:`Scores`.

    Parameters
    ----------
    response : list of ndarray, or ndarray
        (n, n_classes) per output, or (n, n_outputs) scores of the positive classes; for one
        output (n,) or (n, n_classes).
    is_proba : bool
    encoder : AttributeEncoder
        Names, kinds and classes of the outputs.
    classes : list of ndarray, optional
        The classes the columns of `response` stand for, where they are not the encoder's. A
        class that has no column has the probability 0, or a decision of minus infinity.

    Returns
    -------
    Scores

    Raises
    ------
    ValueError
        If the shapes do not fit the outputs.
    """
    given = encoder.classes_ if classes is None else classes
    parts = _parts(response, encoder, given)
    fill = 0.0 if is_proba else -np.inf
    binary, others = [], []
    for part, wanted, have, two in zip(
        parts, encoder.classes_, given, is_binary(encoder), strict=True
    ):
        if two:
            binary.append(_positive(part, wanted[1], have, fill))
        else:
            others.append(_columns_for(part, wanted, have, fill))
    n = len(parts[0])
    matrix = np.stack(binary, axis=1) if binary else np.empty((n, 0))
    return Scores(matrix, tuple(others), is_proba)


def _parts(
    response: Any, encoder: AttributeEncoder, classes: Sequence[NDArray[Any]]
) -> list[Floats]:
    """Split an answer into one 2-D array per output."""
    n_outputs = encoder.n_outputs_
    if isinstance(response, list | tuple):
        parts = [np.asarray(part) for part in response]
        parts = [part[:, np.newaxis] if part.ndim == 1 else part for part in parts]
    else:
        array = np.asarray(response)
        if n_outputs == 1:
            parts = [array[:, np.newaxis] if array.ndim == 1 else array]
        elif array.ndim != 2 or array.shape[1] != n_outputs:
            raise ValueError(
                f"The scores have the shape {array.shape}; for {n_outputs} outputs they must be "
                f"a list of {n_outputs} arrays (n, n_classes), or of shape (n, {n_outputs}) with "
                "the score of each output's positive class."
            )
        else:
            parts = [array[:, [j]] for j in range(n_outputs)]
    if len(parts) != n_outputs:
        raise ValueError(f"The scores are of {len(parts)} outputs, but y has {n_outputs}.")
    parts = [part if part.dtype.kind == "f" else part.astype(np.float64) for part in parts]
    for name, part, labels in zip(encoder.output_names_, parts, classes, strict=True):
        valid = {len(labels), 1} if len(labels) == 2 else {len(labels)}
        if part.ndim != 2 or part.shape[1] not in valid:
            raise ValueError(
                f"The scores of output {name!r} have the shape {part.shape}; it has the "
                f"{len(labels)} classes {labels.tolist()}."
            )
    return parts


def _positive(part: Floats, positive: Any, classes: NDArray[Any], fill: float) -> Floats:
    if part.shape[1] == 1 and len(classes) == 2:
        return part[:, 0]
    [column] = _columns_for(part, np.array([positive]), classes, fill).T
    if fill and len(classes) == 2:  # two decisions for two classes: their difference
        return np.asarray(column - part[:, 1 - int(np.argmax(classes == positive))])
    return np.asarray(column)


def _columns_for(part: Floats, wanted: NDArray[Any], have: NDArray[Any], fill: float) -> Floats:
    """Return the columns of the wanted classes."""
    if len(wanted) == len(have) and np.array_equal(wanted, have):
        return part
    if part.shape[1] == 1 and len(have) == 2:  # one score for two classes that are told apart
        part = np.concatenate([1 - part if fill == 0 else -part, part], axis=1)
    result = np.full((len(part), len(wanted)), fill, dtype=part.dtype)
    result[np.isnan(part).all(axis=1)] = np.nan  # a row that could not be read
    positions = {label: j for j, label in enumerate(have.tolist())}
    for j, label in enumerate(wanted.tolist()):
        if label in positions:
            result[:, j] = part[:, positions[label]]
    return result


def as_predict_proba(scores: Scores, encoder: AttributeEncoder) -> Any:
    """Return probabilities as `predict_proba` does: an array, or a list if outputs are several."""
    parts = []
    binary, others = iter(scores.binary.T), iter(scores.others)
    for two in is_binary(encoder):
        if two:
            positive = next(binary)
            parts.append(np.stack([1 - positive, positive], axis=1))
        else:
            parts.append(next(others))
    if encoder.n_outputs_ == 1:
        return parts[0][:, np.argsort(encoder.classes_[0])]
    return parts


def apply_thresholds(
    scores: Scores, thresholds: NDArray[np.float64], encoder: AttributeEncoder
) -> NDArray[np.int64]:
    """Return the class codes that scores and thresholds decide.

    Parameters
    ----------
    scores : Scores
    thresholds : ndarray of shape (n_outputs,)
        ``score >= threshold`` is positive; entries of outputs that are not binary are unused.
    encoder : AttributeEncoder

    Returns
    -------
    ndarray of shape (n, n_outputs), int64
    """
    two = is_binary(encoder)
    codes = np.empty((len(scores), encoder.n_outputs_), dtype=np.int64)
    codes[:, two] = scores.binary >= thresholds[two]
    for j, part in zip(np.flatnonzero(~two), scores.others, strict=True):
        codes[:, j] = part.argmax(axis=1)
    return codes


def check_no_nan(scores: Scores, what: str, but: NDArray[np.bool_] | None = None) -> None:
    """Raise if a score is NaN, naming its row; rows of the mask `but` may have them."""
    for part in (scores.binary, *scores.others):
        is_nan = np.isnan(part).any(axis=1)
        if but is not None:
            is_nan &= ~but
        if is_nan.any():
            raise ValueError(f"{what} of row {int(np.argmax(is_nan))} is NaN.")


def exact_match(
    codes: NDArray[np.int64], predicted: NDArray[np.int64], sample_weight: Any = None
) -> float:
    """Return the share of rows all of whose known labels are predicted.

    Parameters
    ----------
    codes, predicted : ndarray of shape (n, n_outputs)
        -1 where unknown. Rows without a known label, or without a predicted one, do not count.
    sample_weight : array-like of shape (n,), optional

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If no label is known, or lengths differ.
    """
    check_consistent_length(predicted, codes, sample_weight)
    known = (codes >= 0) & (predicted >= 0).any(axis=1, keepdims=True)
    labelled = known.any(axis=1)
    if not labelled.any():
        raise ValueError("Input y contains NaN. None of its labels is known.")
    correct = ((predicted == codes) | ~known).all(axis=1)[labelled]
    weights = None if sample_weight is None else np.asarray(sample_weight)[labelled]
    return float(np.average(correct, weights=weights))


def column_names(
    names: Sequence[Any], classes: Sequence[NDArray[Any]], kinds: Sequence[str]
) -> NDArray[np.object_]:
    """Return the names of :func:`transform_columns`: "hat", or "color=red" for each class."""
    result: list[str] = []
    for name, levels, kind in zip(names, classes, kinds, strict=True):
        if kind == "binary" and len(levels) == 2:
            result.append(str(name))
        else:
            result.extend(f"{name}={level}" for level in levels)
    return np.array(result, dtype=object)


def check_same_columns(first: Any, second: Any, one: str, other: str) -> None:
    """Refuse two DataFrames that have the same columns in another order."""
    columns, others = (list(getattr(table, "columns", [])) for table in (first, second))
    if columns != others and set(columns) == set(others):
        raise ValueError(
            f"The columns of {one} are {columns}, those of {other} {others}; they must be in the "
            "same order."
        )


def looks_like_proba(scores: Array) -> bool:
    """Whether all scores lie between 0 and 1."""
    known = scores[~np.isnan(scores)] if np.isnan(scores.min(initial=0)) else scores
    tolerance = 1e-6  # of sums in float32
    return bool(known.min(initial=0) >= -tolerance and known.max(initial=1) <= 1 + tolerance)
