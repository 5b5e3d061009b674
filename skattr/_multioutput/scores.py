"""Scores of multi-output classifiers in a common format.

Classifiers return a list of (n, n_classes) arrays, a matrix with one column per binary output, or
a single (n, n_classes) array, and a cross-validation fold may lack some classes. Thresholds,
calibration and out-of-fold scores only see :class:`Scores`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.utils.validation import check_consistent_length

from skattr._targets.alignment import column_names_of, match_columns
from skattr._targets.columns import LabelTable, reject_masked
from skattr._targets.encoder import AttributeEncoder, is_binary
from skattr._targets.positive import positive_name
from skattr._utils.tensors import detached

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
    """Return the response of a classifier and whether it consists of probabilities."""
    names = ["predict_proba", "decision_function"]
    if response_method != "auto":
        names = [response_method]
    for name in names:
        if not hasattr(estimator, name):
            continue
        try:
            return getattr(estimator, name)(X), name == "predict_proba"
        except AttributeError:  # hasattr can be True for a meta-estimator whose parts lack it
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
    """Convert the response of a classifier to :class:`Scores`.

    Parameters
    ----------
    response : list of ndarray, or ndarray
        (n, n_classes) per output, or (n, n_outputs) scores of the positive classes; for one
        output (n,) or (n, n_classes).
    is_proba : bool
    encoder : AttributeEncoder
        Names, kinds and classes of the outputs.
    classes : list of ndarray, optional
        The classes of the columns of `response`, if they are not those of the encoder. A class
        without a column has probability 0 or a decision of minus infinity.

    Returns
    -------
    Scores

    Raises
    ------
    ValueError
        If the shapes do not match the outputs.
    """
    given = encoder.classes_ if classes is None else classes
    if _is_binary_matrix(response, encoder) and (classes is None or _are_same(given, encoder)):
        kept = response if response.dtype.kind == "f" else response.astype(np.float64)
        return Scores(kept, (), is_proba)
    parts = _parts(response, encoder, given)
    # A fold may lack a class: its probability is then 0, and its decision is never the largest.
    fill = 0.0 if is_proba else -np.inf
    binary, others = [], []
    for part, wanted, available, is_two in zip(
        parts, encoder.classes_, given, is_binary(encoder), strict=True
    ):
        if is_two:
            binary.append(_positive(part, wanted[1], available, fill))
        else:
            others.append(_select_classes(part, wanted, available, fill))
    n = len(parts[0])
    matrix = np.stack(binary, axis=1) if binary else np.empty((n, 0))
    return Scores(matrix, tuple(others), is_proba)


def _is_binary_matrix(response: Any, encoder: AttributeEncoder) -> bool:
    """Whether a response has the scores of the positive class of several binary outputs."""
    n_outputs = encoder.n_outputs_
    is_matrix = isinstance(response, np.ndarray) and response.shape[1:] == (n_outputs,)
    return is_matrix and n_outputs > 1 and bool(is_binary(encoder).all())


def _are_same(classes: Sequence[NDArray[Any]], encoder: AttributeEncoder) -> bool:
    """Whether the classes are those of an encoder, in its order."""
    pairs = zip(classes, encoder.classes_, strict=True)
    return all(np.array_equal(own, others) for own, others in pairs)


def _parts(
    response: Any, encoder: AttributeEncoder, classes: Sequence[NDArray[Any]]
) -> list[Floats]:
    """Split a response into one 2-D array per output."""
    n_outputs = encoder.n_outputs_
    if isinstance(response, list | tuple):
        parts = [np.asarray(detached(part)) for part in response]
        parts = [part[:, np.newaxis] if part.ndim == 1 else part for part in parts]
    else:
        array = np.asarray(detached(response))
        if n_outputs == 1:
            parts = [array[:, np.newaxis] if array.ndim == 1 else array]
        elif array.ndim != 2 or array.shape[1] != n_outputs:
            raise ValueError(
                f"The scores have shape {array.shape}; for {n_outputs} outputs they must be "
                f"a list of {n_outputs} arrays (n, n_classes), or of shape (n, {n_outputs}) with "
                "the score of each output's positive class."
            )
        else:
            parts = [array[:, [j]] for j in range(n_outputs)]
    if len(parts) != n_outputs:
        raise ValueError(f"The scores have {len(parts)} outputs, but y has {n_outputs}.")
    # float32 scores stay float32: threshold search packs them into 32-bit keys.
    parts = [part if part.dtype.kind == "f" else part.astype(np.float64) for part in parts]
    for name, part, labels in zip(encoder.output_names_, parts, classes, strict=True):
        valid = {len(labels), 1} if len(labels) == 2 else {len(labels)}
        if part.ndim != 2 or part.shape[1] not in valid:
            raise ValueError(
                f"The scores of output {name!r} have shape {part.shape}, but it has "
                f"{len(labels)} classes, {labels.tolist()}."
            )
    return parts


def _positive(part: Floats, positive: Any, classes: NDArray[Any], fill: float) -> Floats:
    if part.shape[1] == 1 and len(classes) == 2:
        if classes[1] == positive:
            return part[:, 0]
        return np.asarray(-part[:, 0] if fill else 1 - part[:, 0])
    [column] = _select_classes(part, np.array([positive]), classes, fill).T
    if fill and len(classes) == 2:  # of two decisions, only the difference matters
        return np.asarray(column - part[:, 1 - int(np.argmax(classes == positive))])
    return np.asarray(column)


def _select_classes(
    part: Floats, wanted: NDArray[Any], available: NDArray[Any], fill: float
) -> Floats:
    """Return the columns of the wanted classes, filled where a class is not available."""
    if part.shape[1] == 1 and len(available) == 2:  # only the second class has a column
        part = np.concatenate([1 - part if fill == 0 else -part, part], axis=1)
    if np.array_equal(wanted, available):
        return part
    result = np.full((len(part), len(wanted)), fill, dtype=part.dtype)
    result[np.isnan(part).all(axis=1)] = np.nan  # an unreadable row
    positions = {label: j for j, label in enumerate(available.tolist())}
    for j, label in enumerate(wanted.tolist()):
        if label in positions:
            result[:, j] = part[:, positions[label]]
    return result


def as_predict_proba(scores: Scores, encoder: AttributeEncoder) -> Any:
    """Return probabilities as `predict_proba` does: an array, or a list for several outputs."""
    parts = []
    binary, others = iter(scores.binary.T), iter(scores.others)
    for is_two in is_binary(encoder):
        if is_two:
            positive = next(binary)
            parts.append(np.stack([1 - positive, positive], axis=1))
        else:
            parts.append(next(others))
    if encoder.n_outputs_ == 1:
        return select_public(parts[0], encoder)
    return parts


def select_public(part: Floats, encoder: AttributeEncoder) -> Floats:
    """Return the scores of a single output with its classes in sorted order, as in `classes_`."""
    return part[:, np.argsort(encoder.classes_[0])]


def apply_thresholds(
    scores: Scores, thresholds: NDArray[np.float64], encoder: AttributeEncoder
) -> NDArray[np.int64]:
    """Return the class codes of thresholded scores.

    Parameters
    ----------
    scores : Scores
    thresholds : ndarray of shape (n_outputs,)
        ``score >= threshold`` is positive. Thresholds of outputs that are not binary are ignored.
    encoder : AttributeEncoder

    Returns
    -------
    ndarray of shape (n, n_outputs), int64
    """
    binary = is_binary(encoder)
    codes = np.empty((len(scores), encoder.n_outputs_), dtype=np.int64)
    codes[:, binary] = scores.binary >= thresholds[binary]
    for j, part in zip(np.flatnonzero(~binary), scores.others, strict=True):
        codes[:, j] = part.argmax(axis=1)
    return codes


def check_no_nan(scores: Scores, what: str, but: NDArray[np.bool_] | None = None) -> None:
    """Raise a ValueError that names the first row with a NaN, except for the rows in `but`."""
    for part in (scores.binary, *scores.others):
        is_nan = np.isnan(part).any(axis=1)
        if but is not None:
            is_nan &= ~but
        if is_nan.any():
            raise ValueError(f"{what} of row {int(np.argmax(is_nan))} is NaN.")


def exact_match(
    codes: NDArray[np.int64], predicted: NDArray[np.int64], sample_weight: Any = None
) -> float:
    """Return the fraction of rows in which all known labels are predicted correctly.

    Parameters
    ----------
    codes, predicted : ndarray of shape (n, n_outputs)
        -1 where a label is missing. Rows without a known label or without a prediction are
        ignored.
    sample_weight : array-like of shape (n,), optional

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If all labels are missing, or lengths differ.
    """
    check_consistent_length(predicted, codes, sample_weight)
    reject_masked(sample_weight, "sample_weight")
    known = (codes >= 0) & (predicted >= 0).any(axis=1, keepdims=True)
    is_labeled = known.any(axis=1)
    if not is_labeled.any():
        raise ValueError("Input y contains NaN. None of its labels is known.")
    # Missing labels count as correct: a row is right if all known labels are.
    correct = ((predicted == codes) | ~known).all(axis=1)[is_labeled]
    weights = None if sample_weight is None else np.asarray(detached(sample_weight))[is_labeled]
    return float(np.average(correct, weights=weights))


def column_names(
    names: Sequence[Any], classes: Sequence[NDArray[Any]], kinds: Sequence[str]
) -> NDArray[np.object_]:
    """Return column names: "hat" or "gender=Women" for a binary output, else one per class.

    Raises
    ------
    ValueError
        If two columns have the same name; both are described.
    """
    sources: list[tuple[str, Any, Any]] = []  # column, attribute, level
    for name, levels, kind in zip(names, classes, kinds, strict=True):
        if kind == "binary" and len(levels) == 2:
            sources.append((str(positive_name(name, levels)), name, None))
        else:
            labels = np.asarray(levels).tolist()
            sources.extend((f"{name}={label}", name, label) for label in labels)
    check_distinct_names(sources)
    return np.array([column for column, _, _ in sources], dtype=object)


def check_distinct_names(sources: Sequence[tuple[Any, Any, Any]]) -> None:
    """Raise an error if two columns have the same name.

    Parameters
    ----------
    sources : sequence of (column, attribute, level)
        The level is None for a column of a whole attribute.

    Raises
    ------
    ValueError
        The message describes both columns.
    """
    first: dict[Any, str] = {}
    for column, name, level in sources:
        described = f"the attribute {name!r}"
        if level is not None:
            described = f"the level {level!r} of {described}"
        if column in first:
            raise ValueError(
                f"Two columns would be called {column!r}: {first[column]} and {described}; rename "
                "one."
            )
        first[column] = described


def match_scores(scores: Any, table: LabelTable, what: str = "y_score") -> Any:
    """Return scores with their columns in the order of those of a table of labels.

    Scores that have no names, or a column per class of a single attribute, are not changed.

    Raises
    ------
    ValueError
        If two DataFrames have different columns; `what` is the scores in the message.
    """
    columns = column_names_of(scores)
    has_classes = columns is not None and len(table.names) == 1 and len(columns) > 1
    return scores if has_classes else match_columns(scores, table.names, what, table.what)


def looks_like_proba(scores: Array) -> bool:
    """Whether all scores lie between 0 and 1."""
    known = scores[~np.isnan(scores)] if np.isnan(scores.min(initial=0)) else scores
    tolerance = 1e-6  # a sum of probabilities in float32 may exceed 1
    return bool(known.min(initial=0) >= -tolerance and known.max(initial=1) <= 1 + tolerance)


def read_scores(scores: Any, what: str = "y_score") -> Floats:
    """Return scores that come from outside as a float array, NaN where one is missing.

    Parameters
    ----------
    scores : array-like or DataFrame of any shape
        float32 and float64 are kept and not copied.
    what : str
        The name of the argument in messages.

    Raises
    ------
    TypeError
        If they are masked or sparse.
    ValueError
        If they are not numbers.
    """
    reject_masked(scores, what)
    if isinstance(scores, pd.DataFrame) and not all(
        isinstance(dtype, np.dtype) for dtype in scores.dtypes
    ):
        scores = scores.astype(object)  # NumPy does not convert pandas.NA to a float
    array = np.asarray(detached(scores))
    if array.dtype in (np.float32, np.float64):
        return array
    if array.dtype.kind == "O" and not any(isinstance(score, str) for score in array.flat):
        array = np.where(pd.isna(array), np.nan, array)
    elif array.dtype.kind not in "biuf":
        raise ValueError(f"{what} must hold numbers; got dtype {array.dtype}.")
    try:
        return array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{what} must hold numbers: {error}.") from error


def read_response(y_score: Any) -> Floats | list[Floats]:
    """Return scores that come from outside as one float array, or as a list with one per output.

    A list of arrays, or of 2-D parts, has one part per output; any other list is one array.
    """
    if isinstance(y_score, list | tuple) and any(
        np.ndim(part) == 2 or (hasattr(part, "shape") and np.ndim(part)) for part in y_score
    ):
        return [read_scores(part) for part in y_score]
    return read_scores(y_score)
