"""Rows that are held out of training, stratified by their labels."""

import warnings

import numpy as np
from numpy.typing import NDArray

from skattr._estimators.data import Codes, TrainingData
from skattr._targets.encoder import UNKNOWN, AttributeEncoder
from skattr._utils.warnings import find_stack_level
from skattr.exceptions import MissingLabelWarning
from skattr.model_selection._iterative_stratification import assign, label_matrix, sum_by_group

Positions = NDArray[np.intp]
_N_SHOWN = 5


def split_validation(
    data: TrainingData, usable: Positions, share: float | None, rng: np.random.Generator
) -> tuple[Positions, Positions | None]:
    """Return the rows to train on and, if a share is held out, those to validate on.

    See :func:`hold_out`.
    """
    if share is None:
        return usable, None
    codes = data.codes[usable]
    codes[(data.weights <= 0)[usable]] = UNKNOWN  # a weight of 0 is as good as a missing label
    groups = None if data.groups is None else data.groups[usable]
    is_held_out = hold_out(codes, groups, share, rng, data.encoder)
    return usable[~is_held_out], usable[is_held_out]


def hold_out(
    codes: Codes,
    groups: Positions | None,
    share: float,
    rng: np.random.Generator,
    encoder: AttributeEncoder,
) -> NDArray[np.bool_]:
    """Return a mask of the rows to hold out of training.

    Every label has about the same share of both parts, and the training part has each label that
    occurs, where possible. Rows with a label and rows without are divided separately: without the
    former there is no validation loss, and losses may count missing labels as negatives.

    Parameters
    ----------
    codes : ndarray of shape (n, n_outputs), int
        -1 where a label is missing.
    groups : ndarray of shape (n,), int, optional
        Group of each row; whole groups are held out.
    share : float in (0, 1)
    rng : Generator
        Resolves ties.
    encoder : AttributeEncoder
        Names the labels in the warning.

    Raises
    ------
    ValueError
        If no row with a label would remain to train on.

    Warns
    -----
    MissingLabelWarning
        If all rows with a label are held out.
    """
    units = np.arange(len(codes)) if groups is None else np.unique(groups, return_inverse=True)[1]
    has_label: NDArray[np.bool_] = np.any(codes >= 0, axis=1)
    n_labelled = len(np.unique(units[has_label]))
    if max(1, round(share * n_labelled)) >= n_labelled:
        what = "row(s)" if groups is None else "group(s)"
        raise ValueError(
            f"Holding out {share:g} of {n_labelled} {what} with a label leaves none to train on; "
            "add rows, or train on all of them (validation_fraction=None, early_stopping=False)."
        )
    labelled, others = np.flatnonzero(has_label), np.flatnonzero(~has_label)
    is_held_out = np.zeros(len(codes), dtype=bool)
    is_held_out[labelled] = _choose(codes[labelled], units[labelled], share, rng)
    # A row without a label goes with its group, if that has one.
    is_held_out[others] = np.isin(units[others], units[is_held_out])
    free = np.setdiff1d(units[others], units[labelled])
    is_held_out |= np.isin(units, rng.permutation(free)[: round(share * len(free))])
    _warn_lost(encoder, codes, is_held_out)
    return is_held_out


def _choose(
    codes: Codes, groups: Positions, share: float, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Return which rows, all of which have a label, are held out."""
    _, groups, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    labels, is_pair = label_matrix(codes)
    if len(sizes) < len(codes):
        labels = sum_by_group(labels, groups, len(sizes))
    # Stratification spares a label that only one unit has nothing: such units are not held out,
    # unless too few others are left.
    is_free = ~_has_unique_label(codes, groups, len(sizes))
    n_validation = max(1, round(share * len(sizes)))
    units = np.flatnonzero(is_free)
    if len(units) < n_validation:
        others = rng.permutation(np.flatnonzero(~is_free))
        units = np.append(units, others[: n_validation - len(units)])
    units = rng.permutation(units)  # ties are resolved at random
    part = n_validation / len(units)
    shares = np.array([1 - part, part])
    n_rows = sizes[units].sum()
    folds = assign(labels[units], is_pair, sizes[units], shares * n_rows, shares)
    return np.isin(groups, units[folds == 1])


def _has_unique_label(codes: Codes, groups: Positions, n_groups: int) -> NDArray[np.bool_]:
    """Return which groups have a label that no other group has."""
    result = np.zeros(n_groups, dtype=bool)
    for column in codes.T:
        known = np.flatnonzero(column >= 0)
        pairs = np.unique(np.stack([column[known], groups[known]]), axis=1)
        counts = np.bincount(pairs[0], minlength=1)
        result[pairs[1][counts[pairs[0]] == 1]] = True
    return result


def _warn_lost(encoder: AttributeEncoder, codes: Codes, is_held_out: NDArray[np.bool_]) -> None:
    """Warn of labels that only rows which are held out have."""
    lost = []
    for j, (name, classes) in enumerate(zip(encoder.output_names_, encoder.classes_, strict=True)):
        held_out, trained = codes[is_held_out, j], codes[~is_held_out, j]
        only = np.setdiff1d(held_out[held_out >= 0], trained)
        lost += [f"{name!r}: {classes[code].item()!r}" for code in only]
    if lost:
        more = f" and {len(lost) - _N_SHOWN} more" if len(lost) > _N_SHOWN else ""
        warnings.warn(
            f"Only rows that are held out of training have the label(s) "
            f"{', '.join(lost[:_N_SHOWN])}{more}, which are not learned: too few rows or groups "
            "have them. Train on all rows (validation_fraction=None, early_stopping=False), or add "
            "rows.",
            MissingLabelWarning,
            stacklevel=find_stack_level(),
        )
