"""From a classifier's parameters and checked data to a trained net."""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state
from sklearn.utils.validation import validate_data

from skattr._images import (
    FeatureRows,
    Rows,
    check_numeric_columns,
    kind_of_rows,
    open_files,
    open_pixels,
)
from skattr._targets import AttributeEncoder
from skattr._validation import check_image_size
from skattr.exceptions import UnknownLabelsWarning
from skattr.nn import BranchLayout
from skattr.training import Recipe, fit_net

_AUTO_LR = {"images": 1e-3, "features": 1e-2}


def open_rows(classifier: Any, X: Any, *, reset: bool) -> Rows:
    """Check X and return its rows.

    Parameters
    ----------
    classifier : AttributeClassifier
        With `reset`, it learns what kind of X it is fitted on; without, X is held against that.
    X : pictures, paths, or features
    reset : bool

    Returns
    -------
    Rows

    Raises
    ------
    ValueError
        If X is of another kind than in `fit`, or not legal at all.
    """
    kind = kind_of_rows(X)
    is_features = kind == "features"
    if reset:
        for name in ("n_features_in_", "feature_names_in_"):
            classifier.__dict__.pop(name, None)
        classifier._is_features = is_features
    elif is_features != classifier._is_features:
        fitted, given = "2-D features", "pictures"
        if is_features:
            fitted, given = "pictures", "no pictures but what looks like 2-D features"
        raise ValueError(f"The network was fitted on {fitted}, but X holds {given}.")
    if kind == "pixels":
        return open_pixels(X, check_image_size(classifier.image_size))
    if kind == "files":
        return open_files(X, check_image_size(classifier.image_size))
    check_numeric_columns(X)
    X = validate_data(classifier, X, reset=reset, dtype=[np.float64, np.float32])
    if reset:
        classifier._feature_type = X.dtype
    return FeatureRows(X.astype(classifier._feature_type, copy=False))


def train_network(
    classifier: Any,
    rows: Rows,
    codes: NDArray[np.int64],
    weights: NDArray[np.float64],
    encoder: AttributeEncoder,
) -> Any:
    """Train a net as the parameters of `classifier` say.

    Parameters
    ----------
    classifier : AttributeClassifier
    rows : Rows
    codes, weights : ndarray of shape (n, n_attributes)
        Class (-1 unknown) and weight of each label.
    encoder : AttributeEncoder
        The one that made `codes`.

    Returns
    -------
    skorch.NeuralNet
    """
    rng = random_generator(classifier.random_state)
    recipe = _recipe(classifier, rows, seed=int(rng.integers(2**31)))
    share = classifier.validation_fraction or (0.1 if classifier.early_stopping else None)
    train, validation = _split(len(rows), share, rng)
    layout = BranchLayout(tuple(map(len, encoder.classes_)), classifier.binary_head)
    weights_type = rows.array.dtype if isinstance(rows, FeatureRows) else np.float32
    return fit_net(
        recipe,
        layout,
        rows,
        codes,
        weights.astype(weights_type),
        train,
        validation,
        start=_start(classifier, rows, encoder, layout),
    )


def random_generator(random_state: Any) -> np.random.Generator:
    """Return a generator for a `random_state`; None is fresh entropy, not the global state."""
    if random_state is None:
        return np.random.default_rng()
    return np.random.default_rng(check_random_state(random_state).randint(2**31 - 1))


def _split(
    n: int, share: float | None, rng: np.random.Generator
) -> tuple[NDArray[np.intp], NDArray[np.intp] | None]:
    """Return the rows to train on and, if asked for, those to validate on."""
    if share is None:
        return np.arange(n), None
    n_validation = max(1, round(share * n))
    if n_validation >= n:
        raise ValueError(f"validation_fraction={share} of {n} row(s) leaves none to train on.")
    order = rng.permutation(n)
    return np.sort(order[n_validation:]), np.sort(order[:n_validation])


def _recipe(classifier: Any, rows: Rows, seed: int) -> Recipe:
    if rows.kind == "images" and min(classifier.batch_size, len(rows)) < 2:
        raise ValueError(
            "A network for pictures needs two rows or more per batch to train on, got "
            f"batch_size={classifier.batch_size} and {len(rows)} row(s)."
        )
    return Recipe(
        backbone=classifier.backbone,
        weights=classifier.weights,
        branch_hidden=classifier.branch_hidden,
        image_size=check_image_size(classifier.image_size),
        augment=classifier.augment,
        optimizer=classifier.optimizer,
        lr=_AUTO_LR[rows.kind] if classifier.lr == "auto" else float(classifier.lr),
        weight_decay=classifier.weight_decay,
        lr_schedule=classifier.lr_schedule,
        batch_size=classifier.batch_size,
        max_epochs=classifier.max_epochs,
        patience=classifier.patience if classifier.early_stopping else None,
        device=classifier.device,
        precision=classifier.precision,
        compile=classifier.compile,
        num_workers=classifier.num_workers,
        callbacks=classifier.callbacks,
        net_params=classifier.net_params or {},
        seed=seed,
        verbose=int(classifier.verbose),
    )


def _start(classifier: Any, rows: Rows, encoder: AttributeEncoder, layout: BranchLayout) -> Any:
    """Return the net to go on from under `warm_start`."""
    if not classifier.warm_start or not hasattr(classifier, "net_"):
        return None
    same = classifier._network.layout == layout and all(
        np.array_equal(new, old)
        for new, old in zip(encoder.classes_, classifier.encoder_.classes_, strict=True)
    )
    if not same:
        raise ValueError(
            "warm_start=True goes on from the previous fit, but the classes of y differ from "
            "it; declare them in `classes`, or set warm_start=False."
        )
    n_inputs = rows.array.shape[1] if isinstance(rows, FeatureRows) else None
    if n_inputs != classifier._network.n_inputs:
        raise ValueError(
            "warm_start=True goes on from the previous fit, but X is of another kind or has "
            "another number of features; set warm_start=False."
        )
    return classifier.net_


def warn_of_unknown_columns(encoder: AttributeEncoder) -> None:
    """Warn once of all attributes without a known label."""
    unknown = [
        name
        for name, count in zip(encoder.output_names_, encoder.known_, strict=True)
        if count == 0
    ]
    if unknown:
        warnings.warn(
            f"No label of {unknown} is known; their classes are predicted with equal "
            "probabilities.",
            UnknownLabelsWarning,
            stacklevel=5,
        )
