"""From a classifier's parameters and checked data to a trained net."""

import warnings
from collections.abc import Mapping
from dataclasses import replace
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from skattr._estimators.augmentation import augmentation_settings
from skattr._estimators.data import Labels, find_readable
from skattr._estimators.fine_tuning import fine_tuning_settings
from skattr._estimators.parameters import check_image_size
from skattr._estimators.problem import make_problem
from skattr._inputs.rows import FeatureRows, Rows
from skattr._inputs.unreadable import warn_unreadable
from skattr._targets.encoder import AttributeEncoder
from skattr._training import (
    ImageAugmenter,
    TrainingConfig,
    TrainingProblem,
    build_and_train,
    build_net,
    train_net,
)
from skattr._utils.warnings import find_stack_level
from skattr.exceptions import MissingLabelWarning
from skattr.nn import BranchLayout

_PATIENCE = 5  # epochs
_BROKEN_SINCE = "they could be read when `fit` began, and were left out where they could not"
_AUTO_LR = {"images": 1e-3, "features": 1e-2}


def _usable_rows(classifier: Any, rows: Rows, labels: Labels, names: list[Any]) -> NDArray[np.intp]:
    """Return the rows to train on; warn of attributes that have their labels elsewhere."""
    usable = find_readable(classifier, rows)
    if rows.unreadable:
        known = (labels.codes >= 0).any(axis=0)
        left = (labels.codes[usable] >= 0).any(axis=0)
        if not left.any():
            raise ValueError("No label is known of those rows of X that can be read.")
        lost = [names[j] for j in np.flatnonzero(known & ~left)]
        if lost:
            warnings.warn(
                f"No label of {lost} is known of those rows of X that can be read.",
                MissingLabelWarning,
                stacklevel=find_stack_level(),
            )
    return usable


def fit_net(classifier: Any, rows: Rows, labels: Labels, encoder: AttributeEncoder) -> Any:
    """Train a net as the parameters of `classifier` say.

    Parameters
    ----------
    classifier : AttributeClassifier
    rows : Rows
    labels : Labels
    encoder : AttributeEncoder
        The one that made the codes of `labels`.

    Returns
    -------
    skorch.NeuralNet
    """
    usable = _usable_rows(classifier, rows, labels, encoder.output_names_)
    rng = random_generator(classifier.random_state)
    recipe = _recipe(classifier, rows, len(usable), seed=int(rng.integers(2**31)))
    share = classifier.validation_fraction or (0.1 if classifier.early_stopping else None)
    train, validation = _split(usable, labels.weights, share, rng)
    task = make_problem(classifier, encoder, rows, labels, train)
    start = None
    if classifier.warm_start:
        start = _start(classifier, task, encoder, labels.categories, "warm_start=True")
    net = build_and_train(recipe, task, train, validation, start)
    warn_unreadable(rows, _BROKEN_SINCE, n_reported=len(rows) - len(usable))
    return net


def partial_fit_net(classifier: Any, rows: Rows, labels: Labels, encoder: AttributeEncoder) -> Any:
    """Train a net for one pass over some more rows, at a constant learning rate.

    Parameters
    ----------
    classifier : AttributeClassifier
        Fitted or not.
    rows, labels, encoder
        As for :func:`fit_net`.

    Returns
    -------
    skorch.NeuralNet
        The net of the stream, which keeps the state of its optimizer.
    """
    _refuse_balanced(classifier)
    usable = _usable_rows(classifier, rows, labels, encoder.output_names_)
    _check_batches(classifier, rows, len(usable))
    task = make_problem(classifier, encoder, rows, labels, usable)
    start = _start(classifier, task, encoder, labels.categories, "partial_fit")
    if start is None or not start.streams:
        seed = int(random_generator(classifier.random_state).integers(2**31))
        recipe = _recipe(classifier, rows, len(usable), seed)
        recipe = replace(recipe, lr_schedule=None, max_epochs=1, patience=None)
        start = build_net(recipe, task, len(usable), start)
        start.streams = True
    train_net(start, task, usable)
    warn_unreadable(rows, _BROKEN_SINCE, n_reported=len(rows) - len(usable))
    return start


def _refuse_balanced(classifier: Any) -> None:
    for name in ("pos_weight", "class_weight", "attribute_weight"):
        value = getattr(classifier, name)
        values = value.values() if isinstance(value, Mapping) else value
        values = [value] if value is None or isinstance(value, str | Real) else values
        if any(isinstance(one, str) and one.startswith("balanced") for one in values):
            raise ValueError(
                f"{name}={value!r} counts labels that partial_fit has not seen yet; give numbers."
            )


def random_generator(random_state: Any) -> np.random.Generator:
    """Return a generator for a `random_state`; None is fresh entropy, not the global state."""
    if random_state is None:
        return np.random.default_rng()
    return np.random.default_rng(check_random_state(random_state).randint(2**31 - 1))


def _split(
    usable: NDArray[np.intp],
    weights: NDArray[np.float64],
    share: float | None,
    rng: np.random.Generator,
) -> tuple[NDArray[np.intp], NDArray[np.intp] | None]:
    """Return the rows to train on and, if asked for, those to validate on.

    Both get their share of the rows that have a label, without which there is no loss.
    """
    if share is None:
        return usable, None
    has_label: NDArray[np.bool_] = np.any(weights[usable] > 0, axis=1)
    n = int(has_label.sum())
    n_validation = max(1, round(share * n))
    if n_validation >= n:
        raise ValueError(
            f"validation_fraction={share} of {n} row(s) with a label leaves none to train on."
        )
    order = rng.permutation(len(usable))
    labelled, others = order[has_label[order]], order[~has_label[order]]
    held_out = np.append(labelled[:n_validation], others[: round(share * len(others))])
    is_held_out = np.zeros(len(usable), dtype=bool)
    is_held_out[held_out] = True
    return usable[~is_held_out], usable[is_held_out]


def _check_batches(classifier: Any, rows: Rows, n_usable: int) -> None:
    if rows.kind == "images" and min(classifier.batch_size, n_usable) < 2:
        raise ValueError(
            "A network for images needs two rows or more per batch to train on, got "
            f"batch_size={classifier.batch_size} and {n_usable} row(s)."
        )


def _recipe(classifier: Any, rows: Rows, n_usable: int, seed: int) -> TrainingConfig:
    _check_batches(classifier, rows, n_usable)
    net_params = dict(classifier.net_params or {})
    stopping = classifier.early_stopping
    patience = _PATIENCE if isinstance(stopping, bool | np.bool_) else int(stopping)
    return TrainingConfig(
        backbone=classifier.backbone,
        weights=classifier.weights,
        branch_hidden=classifier.branch_hidden,
        image_size=check_image_size(classifier.image_size),
        augment=_changes(classifier.augment),
        optimizer=classifier.optimizer,
        lr=_AUTO_LR[rows.kind] if classifier.lr == "auto" else float(classifier.lr),
        weight_decay=classifier.weight_decay,
        lr_schedule=classifier.lr_schedule,
        batch_size=classifier.batch_size,
        max_epochs=classifier.max_epochs,
        patience=patience if stopping else None,
        device=classifier.device,
        precision=classifier.precision,
        compile=bool(net_params.pop("compile", False)),
        num_workers=classifier.num_workers,
        callbacks=net_params.pop("callbacks", None),
        net_params=net_params,
        ema_decay=classifier.ema_decay,
        clip_norm=net_params.pop("clip_norm", None),
        accumulate=net_params.pop("accumulate", 1),
        **fine_tuning_settings(classifier.freeze),
        seed=seed,
        verbose=int(classifier.verbose),
    )


def _changes(augment: Any) -> Any:
    """Return how batches are changed in training: a ImageAugmenter, a callable, or None."""
    settings = augmentation_settings(augment)
    return ImageAugmenter(**settings) if isinstance(settings, dict) else settings


def _start(
    classifier: Any,
    task: TrainingProblem,
    encoder: AttributeEncoder,
    categories: NDArray[Any] | None,
    caller: str,
) -> Any:
    """Return the fitted net to go on from, None before the first fit."""
    if not hasattr(classifier, "net_"):
        return None
    network = classifier._network
    what = f"{caller} goes on from the previous fit, but"
    if not isinstance(network.layout, BranchLayout):
        raise ValueError(f"{what} attributes were added to it; fit all of them anew.")
    same = network.layout == task.layout and all(
        np.array_equal(new, old)
        for new, old in zip(encoder.classes_, classifier.encoder_.classes_, strict=True)
    )
    if categories is not None:
        same = same and np.array_equal(categories, getattr(classifier, "categories_", []))
    if not same or network.n_conditions != task.n_conditions:
        raise ValueError(
            f"{what} the classes of y, its categories or the form of its branches differ from "
            "it; declare all labels in `classes`, or fit anew with warm_start=False."
        )
    rows = task.rows
    n_inputs = rows.array.shape[1] if isinstance(rows, FeatureRows) else None
    if n_inputs != network.n_inputs:
        raise ValueError(
            f"{what} X is of another kind or has another number of features; fit anew with "
            "warm_start=False."
        )
    return classifier.net_
