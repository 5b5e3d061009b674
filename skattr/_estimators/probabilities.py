"""Conversion of logits to probabilities, class codes and `transform` outputs, in NumPy."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_expit, log_softmax, logsumexp, softmax

from skattr.nn._layout import BranchLayout, GroupedLayout

Floats = NDArray[np.floating[Any]]
Layout = BranchLayout | GroupedLayout
_ROWS_AT_ONCE = 1024


def probabilities(logits: Floats, layout: Layout) -> list[Floats]:
    """Return the class probabilities of each output, (n, n_classes), in the column order of y."""
    singles = [j for j in layout.outputs if layout.forms[j] == "sigmoid"]
    columns: Any = [layout.slices[j].start for j in singles]
    if columns and columns == list(range(columns[0], columns[0] + len(columns))):
        columns = slice(columns[0], columns[0] + len(columns))  # a view, not a copy
    of_singles = dict(zip(singles, _sigmoid_pairs(logits[:, columns]), strict=True))
    return [
        of_singles[j] if j in of_singles else _probabilities(logits[:, layout.slices[j]], form)
        for j, form in ((j, layout.forms[j]) for j in layout.outputs)
    ]


def _sigmoid_pairs(odds: Floats) -> list[Floats]:
    """Return the probabilities of absent and present, (n, 2), for each column of log odds.

    Each has its own exponential, so that the smaller one is as accurate as the larger.
    """
    # NumPy's exponential of an element does not depend on its position in the array; torch's does,
    # in the last bit, so that predictions of a row would depend on the other rows.
    result = np.empty((odds.shape[1], 2, len(odds)), dtype=odds.dtype)
    for start in range(0, len(odds), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        by_output = np.ascontiguousarray(odds[rows].T)
        with np.errstate(over="ignore"):  # 1 / (1 + inf) is 0, which is correct
            np.divide(1, 1 + np.exp(by_output), out=result[:, 0, rows])
            np.divide(1, 1 + np.exp(-by_output), out=result[:, 1, rows])
    return [pair.T for pair in result]


def _probabilities(logits: Floats, form: str) -> Floats:
    if form == "constant":
        return np.ones((len(logits), 1), dtype=logits.dtype)
    if form == "sigmoid":
        return _sigmoid_pairs(logits)[0]
    if form == "ordinal":
        return np.exp(_ordinal_log_probabilities(logits))
    if form == "joint":
        odds = _log_odds(logits, form)  # a sum of shares could exceed 1 by rounding
        return np.stack([expit(-odds), expit(odds)], axis=1)
    shares: Floats = softmax(logits, axis=1)
    return shares


def _log_probabilities(logits: Floats, form: str) -> Floats:
    if form == "constant":
        return np.zeros((len(logits), 1), dtype=logits.dtype)
    if form == "ordinal":
        return _ordinal_log_probabilities(logits)
    if form in ("sigmoid", "joint"):
        odds = _log_odds(logits, form)
        return np.stack([log_expit(-odds), log_expit(odds)], axis=1)
    result: Floats = log_softmax(logits, axis=1)
    return result


def _ordinal_log_probabilities(logits: Floats) -> Floats:
    """Return log class probabilities for cumulative log odds, without loss in the tails.

    The difference of two cumulative probabilities is expit(a) - expit(b) = expit(a) expit(-b) (1 -
    exp(b - a)).
    """
    above, below = logits[:, :-1], logits[:, 1:]
    # The last factor is at least the smallest positive number, so that its logarithm is finite.
    gaps = np.maximum(-np.expm1(below - above), np.finfo(logits.dtype).tiny)
    between = log_expit(above) + log_expit(-below) + np.log(gaps)
    return np.concatenate([log_expit(-logits[:, :1]), between, log_expit(logits[:, -1:])], axis=1)


def binary_log_odds(logits: Floats, layout: Layout, outputs: NDArray[np.intp]) -> Floats:
    """Return the log odds (n, len(outputs)) of outputs of two classes."""
    attributes = [layout.outputs[position] for position in outputs]
    parts = [_log_odds(logits[:, layout.slices[j]], layout.forms[j]) for j in attributes]
    return np.stack(parts, axis=1)


def _log_odds(logits: Floats, form: str) -> Floats:
    if form == "sigmoid":
        return logits[:, 0]
    present = logsumexp(logits[:, 1:], axis=1) if form == "joint" else logits[:, 1]
    odds: Floats = present - logits[:, 0]
    return odds


def predicted_codes(
    probas: Sequence[Floats], kinds: Sequence[str], ordinal_predict: str
) -> NDArray[np.int64]:
    """Return the predicted class of each attribute, (n, n_outputs).

    It is the most probable class. For ordinal attributes with ``ordinal_predict="median"`` it is
    the first class whose cumulative probability is at least one half.
    """
    codes = []
    for proba, kind in zip(probas, kinds, strict=True):
        if kind == "ordinal" and ordinal_predict == "median":
            below = proba.cumsum(axis=1)[:, :-1] < 0.5
            codes.append(below.sum(axis=1))
        else:
            codes.append(proba.argmax(axis=1))
    return np.stack(codes, axis=1).astype(np.int64)


def transform_columns(
    logits: Floats,
    layout: Layout,
    kinds: Sequence[str],
    output: str = "proba",
    orders: Sequence[NDArray[np.intp] | None] | None = None,
) -> Floats:
    """Return one column per binary attribute, one per class of the others.

    Parameters
    ----------
    logits : ndarray of shape (n, n_logits)
    layout : Layout
    kinds : sequence of str
        Kind of each output.
    output : {"proba", "logit"}
        Probabilities, or log odds (binary) and log probabilities (other kinds).
    orders : sequence of (ndarray of int or None), optional
        Order of the classes of each output, None if it is that of the layout.

    Returns
    -------
    ndarray of shape (n, n_columns)
    """
    parts = []
    for j, kind, order in zip(layout.outputs, kinds, orders or [None] * len(kinds), strict=True):
        part, form = logits[:, layout.slices[j]], layout.forms[j]
        is_pair = kind == "binary" and layout.n_classes[j] == 2
        if output == "proba":
            values = _probabilities(part, form)[:, int(is_pair) :]
        elif is_pair:
            values = _log_odds(part, form)[:, np.newaxis]
        else:
            values = _log_probabilities(part, form)
        parts.append(values if is_pair or order is None else values[:, order])
    return np.concatenate(parts, axis=1)
