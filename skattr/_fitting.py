"""From a classifier's parameters and checked data to a trained net."""

import warnings
from collections.abc import Mapping
from dataclasses import replace
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import get_config
from sklearn.utils import check_random_state
from sklearn.utils.validation import validate_data

from skattr._category import (
    category_codes,
    category_for_fit,
    category_series,
    read_categories,
    split_category,
    warn_of_numbers,
)
from skattr._constraints import LogicalConstraints, parse_constraints
from skattr._decoded_cache import CachedRows
from skattr._images import (
    KINDS_OF_PICTURES,
    FeatureRows,
    Rows,
    check_container,
    check_numeric_columns,
    in_words,
    kind_of_rows,
    open_files,
    open_pixels,
)
from skattr._recipes import augmentation_settings, fine_tuning_settings
from skattr._targets import AttributeEncoder
from skattr._task import Labels, make_task
from skattr._threads import is_clearly_finite
from skattr._unreadable import level_of_user, readable, refuse_if_all, warn_of_unreadable
from skattr._validation import check_image_size, check_label_weights
from skattr.exceptions import UnknownLabelsWarning
from skattr.nn import BranchLayout
from skattr.training import (
    PictureChanges,
    Recipe,
    Task,
    find_unreadable,
    fit_net,
    make_net,
    train_net,
)

Metadata = tuple[Any, Any, Any]  # sample_weight, label_weight, category
_PATIENCE = 5  # epochs
_BROKEN_SINCE = "they could be when `fit` began, and were left out where they could not"
_AUTO_LR = {"images": 1e-3, "features": 1e-2}


def open_rows(classifier: Any, X: Any, *, reset: bool) -> tuple[Rows, Any]:
    """Check X and return its rows.

    Parameters
    ----------
    classifier : AttributeClassifier
        With `reset`, it learns what kind of X it is fitted on; without, X is held against that.
    X : pictures, paths, or features
    reset : bool

    Returns
    -------
    rows : Rows
    category : Series of shape (n,), or None
        The column ``category`` of X.

    Raises
    ------
    ValueError
        If X is of another kind than in `fit`, or not legal at all.
    """
    X, category = split_category(X)
    kind = kind_of_rows(X)
    is_features = kind == "features"
    if reset:
        for name in ("n_features_in_", "feature_names_in_"):
            classifier.__dict__.pop(name, None)
        classifier._is_features = is_features
    elif is_features != classifier._is_features:
        if not is_features:
            raise ValueError("The network was fitted on 2-D features, but X holds pictures.")
        raise ValueError(
            f"The network was fitted on pictures, but X is {in_words(X)}; legal are "
            f"{KINDS_OF_PICTURES}."
        )
    if kind == "pixels":
        return open_pixels(X, check_image_size(classifier.image_size)), category
    if kind == "files":
        size = check_image_size(classifier.image_size)
        rows = open_files(X, size, classifier.on_bad_image, classifier.decoding)
        where = classifier.decoded_cache
        is_kept = where is not None and (reset or where != "memory")  # which lives for one fit
        return CachedRows.over(rows, where) if is_kept else rows, category
    return _open_features(classifier, X, reset=reset), category


def _open_features(classifier: Any, X: Any, *, reset: bool) -> FeatureRows:
    check_container(X)
    check_numeric_columns(X)
    X = validate_data(
        classifier, X, reset=reset, dtype=[np.float64, np.float32], ensure_all_finite=False
    )
    unreadable = None
    if classifier.on_bad_image == "warn":
        is_nan = np.isnan(X).all(axis=1)
        refuse_not_finite(classifier, X, X[~is_nan] if is_nan.any() else X)
        unreadable = dict.fromkeys(np.flatnonzero(is_nan).tolist(), "all its features are NaN")
    elif reset or not classifier._network.shows_what_is_not_finite:
        refuse_not_finite(classifier, X, X)
    if reset:
        classifier._feature_type = X.dtype
    return FeatureRows(X.astype(classifier._feature_type, copy=False), unreadable)


def refuse_not_finite(classifier: Any, X: NDArray[Any], shown: NDArray[Any]) -> None:
    """Raise a ValueError if X is not finite, which `shown` would not be either.

    Its words are scikit-learn's, and the place of the first such number. Rows of NaN that the
    classifier leaves out are none.
    """
    if is_clearly_finite(shown) or get_config()["assume_finite"]:
        return
    bad = ~np.isfinite(X)
    if classifier.on_bad_image == "warn":
        bad &= ~np.isnan(X).all(axis=1, keepdims=True)
    if not bad.any():
        return
    row, column = np.unravel_index(np.argmax(bad), bad.shape)
    name = getattr(classifier, "feature_names_in_", range(X.shape[1]))[column]
    what = "NaN" if np.isnan(X[row, column]) else f"infinity or a value too large for {X.dtype!r}"
    message = f"Input X contains {what}. The first is in row {row}, column {name!r}."
    if np.isnan(X[row]).all():
        message += (
            f" All of row {row} is NaN, as ImageEmbedder(on_bad_image='warn') leaves a picture it "
            "could not read; with on_bad_image='warn' the classifier leaves such rows out too."
        )
    raise ValueError(message)


def find_readable(classifier: Any, rows: Rows) -> NDArray[np.intp]:
    """Return the rows that can be read, having warned of the others; by default these are all.

    With ``on_bad_image="warn"`` every file is read for that before training, so that labels are
    counted, rows held out and batches filled with what can be read only.

    Raises
    ------
    ImageReadError
        If no row can be read.
    """
    find_unreadable(
        rows,
        batch_size=classifier.batch_size,
        num_workers=classifier.num_workers,
        verbose=int(classifier.verbose),
    )
    refuse_if_all(rows)
    warn_of_unreadable(rows, "their labels count as unknown")
    return readable(rows)


def read_data(
    classifier: Any,
    X: Any,
    codes: NDArray[np.int64],
    metadata: Metadata,
    encoder: AttributeEncoder,
    *,
    reset: bool,
) -> tuple[Rows, Labels]:
    """Check what `fit` was given.

    Parameters
    ----------
    classifier : AttributeClassifier
    X : rows
    codes : ndarray of shape (n, n_outputs), int64
        What `encoder` makes of their labels.
    metadata : (sample_weight, label_weight, category)
    encoder : AttributeEncoder
    reset : bool
        Whether the classifier learns kind of X and categories anew.

    Returns
    -------
    rows : Rows
    labels : Labels
    """
    sample_weight, label_weight, category = metadata
    rows, column = open_rows(classifier, X, reset=reset)
    if not reset and isinstance(rows, FeatureRows) and rows.unreadable is None:
        # As open_rows leaves it to the outputs of a linear network, which training has none of.
        refuse_not_finite(classifier, rows.array, rows.array)
    names = encoder.output_names_
    weights = check_label_weights(rows, codes, sample_weight, label_weight, names)
    row_weights = np.full(len(rows), 1.0 if sample_weight is None else sample_weight)
    unknown_weights = np.broadcast_to(row_weights[:, np.newaxis], codes.shape)
    if label_weight is not None:
        given = np.asarray(label_weight, dtype=np.float64).reshape(codes.shape)
        is_weight = np.isfinite(given) & (given >= 0)
        unknown_weights = unknown_weights * np.where(is_weight, given, 1)
    if classifier.category_prior is None and isinstance(rows, FeatureRows) and reset:
        warn_of_numbers(column)
    category = category_for_fit(classifier.category_prior, column, category)
    if category is None:
        return rows, Labels(codes, weights, row_weights, unknown_weights)
    category = category_series(category, len(rows))
    categories = None if reset else getattr(classifier, "categories_", None)
    if categories is None:
        categories = read_categories(category)
    found = category_codes(category, categories)
    return rows, Labels(codes, weights, row_weights, unknown_weights, found, categories)


def read_rules(constraints: Any, encoder: AttributeEncoder) -> LogicalConstraints | None:
    """Check logical constraints against the attributes of y."""
    if constraints is None:
        return None
    n_classes = [len(classes) for classes in encoder.classes_]
    return parse_constraints(constraints, encoder.output_names_, encoder.kinds_, n_classes)


def category_for_prediction(classifier: Any, column: Any) -> NDArray[np.int64] | None:
    """Return the category codes of rows to predict, None if the network does not take any.

    Raises
    ------
    ValueError
        If X has no column for them.
    """
    if not classifier._network.n_conditions:
        return None
    if column is None:
        raise ValueError(
            "The network was fitted with category_prior='condition', but X has no column "
            "'category'; add it, with None where the category is unknown."
        )
    return category_codes(category_series(column, len(column)), classifier.categories_)


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
                UnknownLabelsWarning,
                stacklevel=level_of_user(),
            )
    return usable


def train_network(classifier: Any, rows: Rows, labels: Labels, encoder: AttributeEncoder) -> Any:
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
    task = make_task(classifier, encoder, rows, labels, train)
    start = None
    if classifier.warm_start:
        start = _start(classifier, task, encoder, labels.categories, "warm_start=True")
    net = fit_net(recipe, task, train, validation, start)
    warn_of_unreadable(rows, _BROKEN_SINCE, n_told=len(rows) - len(usable))
    return net


def stream_network(classifier: Any, rows: Rows, labels: Labels, encoder: AttributeEncoder) -> Any:
    """Train a net for one pass over some more rows, at a constant learning rate.

    Parameters
    ----------
    classifier : AttributeClassifier
        Fitted or not.
    rows, labels, encoder
        As for :func:`train_network`.

    Returns
    -------
    skorch.NeuralNet
        The net of the stream, which keeps the state of its optimizer.
    """
    _refuse_balanced(classifier)
    usable = _usable_rows(classifier, rows, labels, encoder.output_names_)
    _check_batches(classifier, rows, len(usable))
    task = make_task(classifier, encoder, rows, labels, usable)
    start = _start(classifier, task, encoder, labels.categories, "partial_fit")
    if start is None or not start.streams:
        seed = int(random_generator(classifier.random_state).integers(2**31))
        recipe = _recipe(classifier, rows, len(usable), seed)
        recipe = replace(recipe, lr_schedule=None, max_epochs=1, patience=None)
        start = make_net(recipe, task, len(usable), start)
        start.streams = True
    train_net(start, task, usable)
    warn_of_unreadable(rows, _BROKEN_SINCE, n_told=len(rows) - len(usable))
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
            "A network for pictures needs two rows or more per batch to train on, got "
            f"batch_size={classifier.batch_size} and {n_usable} row(s)."
        )


def _recipe(classifier: Any, rows: Rows, n_usable: int, seed: int) -> Recipe:
    _check_batches(classifier, rows, n_usable)
    net_params = dict(classifier.net_params or {})
    stopping = classifier.early_stopping
    patience = _PATIENCE if isinstance(stopping, bool | np.bool_) else int(stopping)
    return Recipe(
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
        **fine_tuning_settings(classifier.freeze),
        seed=seed,
        verbose=int(classifier.verbose),
    )


def _changes(augment: Any) -> Any:
    """Return how batches are changed in training: a PictureChanges, a callable, or None."""
    settings = augmentation_settings(augment)
    return PictureChanges(**settings) if isinstance(settings, dict) else settings


def _start(
    classifier: Any,
    task: Task,
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
