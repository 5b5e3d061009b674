"""Training of the network of AttributeClassifier."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skattr._estimators.augmentation import augmentation_settings
from skattr._estimators.data import TrainingData, find_readable, warn_no_label
from skattr._estimators.options import (
    Branches,
    FineTuning,
    ImageReading,
    TrainingOptions,
    as_object,
    resolve,
)
from skattr._estimators.parameters import (
    check_image_size,
    check_net_params,
    check_no_balanced_weights,
    random_generator,
)
from skattr._estimators.prediction import AttributePredictor
from skattr._estimators.problem import make_problem
from skattr._estimators.validation import split_validation
from skattr._inputs.rows import FeatureRows
from skattr._inputs.unreadable import warn_unreadable
from skattr._targets.alignment import is_numbered
from skattr._targets.codes import format_classes
from skattr._training.augmentation import ImageAugmenter
from skattr._training.build import build_and_train, build_net, train_net
from skattr._training.config import TrainingConfig, TrainingProblem
from skattr._training.integrity import restoring
from skattr._training.loader import warn_no_processes
from skattr._training.net import AttributeNet
from skattr._training.user_augmentation import UserAugmentation
from skattr.nn import BranchLayout

_PATIENCE = 5  # epochs without improvement, for early_stopping=True
_AUTO_LR = {"images": 1e-3, "features": 1e-2}
_UNREADABLE_SINCE = "they could be read when `fit` began, and were skipped afterwards"


def fit_net(classifier: AttributePredictor, data: TrainingData) -> AttributeNet:
    """Train a network, which starts from that of the previous fit with ``warm_start=True``."""
    usable = _usable_rows(classifier, data)
    rng = random_generator(classifier.random_state)
    config = _config(classifier, data, seed=int(rng.integers(2**31)))
    share = classifier.validation_fraction or (0.1 if classifier.early_stopping else None)
    train, validation = split_validation(data, usable, share, rng)
    problem = make_problem(classifier, data, train)
    start = _start(classifier, data, problem, "warm_start=True") if classifier.warm_start else None
    net = build_and_train(config, problem, train, validation, start)
    warn_unreadable(data.rows, _UNREADABLE_SINCE, n_reported=len(data.rows) - len(usable))
    return net


def partial_fit_net(classifier: AttributePredictor, data: TrainingData) -> AttributeNet:
    """Train a network for one pass over further rows, at a constant learning rate.

    Returns
    -------
    AttributeNet
        Net that keeps the state of its optimizer for the next call.
    """
    check_no_balanced_weights(classifier)
    usable = _usable_rows(classifier, data)
    problem = make_problem(classifier, data, usable)
    net = _start(classifier, data, problem, "partial_fit")
    # A net of `fit` has no optimizer state and a schedule that has ended: a new net starts from its
    # weights. Later calls keep the net, and with it the momentum.
    continued = net if net is not None and net.streams else None
    if continued is None:
        seed = int(random_generator(classifier.random_state).integers(2**31))
        config = _config(classifier, data, seed)
        config = replace(config, lr_schedule=None, max_epochs=1, patience=None)
        net = build_net(config, problem, len(usable), net)
        net.streams = True
    assert net is not None
    with restoring(continued):
        train_net(net, problem, usable)
        warn_unreadable(data.rows, _UNREADABLE_SINCE, n_reported=len(data.rows) - len(usable))
    return net


def _usable_rows(classifier: AttributePredictor, data: TrainingData) -> NDArray[np.intp]:
    """Return the rows to train on; warn about attributes with labels in unreadable rows only.

    Raises
    ------
    ValueError
        If these rows have no label.
    """
    warn_no_processes(data.rows, resolve(ImageReading, classifier.images).num_workers)
    usable = find_readable(classifier, data.rows)
    if data.rows.unreadable:
        is_known: NDArray[np.bool_] = np.any(data.codes >= 0, axis=0)
        is_usable: NDArray[np.bool_] = np.any(data.codes[usable] >= 0, axis=0)
        if not is_usable.any():
            raise ValueError("No label is known in the rows of X that can be read.")
        where = " in the rows of X that can be read."
        warn_no_label(data.encoder, is_known & ~is_usable, where)
    return usable


def _config(classifier: AttributePredictor, data: TrainingData, seed: int) -> TrainingConfig:
    """Return the parameters that decide how the network is built and trained."""
    branches = resolve(Branches, classifier.branches)
    augment = augmentation_settings(classifier.augment)
    net_params = check_net_params(classifier.net_params)
    callbacks = net_params.pop("callbacks", None)
    stopping = classifier.early_stopping
    patience = _PATIENCE if isinstance(stopping, bool | np.bool_) else int(stopping)
    return TrainingConfig(
        backbone=classifier.backbone,
        weights=classifier.weights,
        branch_hidden=branches.hidden,
        image_size=data.kind.image_size or check_image_size(classifier.image_size),
        augment=ImageAugmenter(**augment) if isinstance(augment, dict) else _of_user(augment),
        optimizer=classifier.optimizer,
        lr=_AUTO_LR[data.rows.kind] if classifier.lr == "auto" else float(classifier.lr),
        weight_decay=classifier.weight_decay,
        batch_size=classifier.batch_size,
        max_epochs=classifier.max_epochs,
        patience=patience if stopping else None,
        device=classifier.device,
        num_workers=resolve(ImageReading, classifier.images).num_workers,
        callbacks=callbacks,
        net_params={"module__dropout": branches.dropout, **net_params},
        seed=seed,
        verbose=int(classifier.verbose),
        # The fields of the training loop and of fine-tuning have the names of their parameters.
        **as_object(TrainingOptions, classifier.training).settings(),
        **as_object(FineTuning, classifier.fine_tuning).settings(),
    )


def _of_user(augment: Any) -> UserAugmentation | None:
    return None if augment is None else UserAugmentation(augment)


def _start(
    classifier: AttributePredictor, data: TrainingData, problem: TrainingProblem, caller: str
) -> AttributeNet | None:
    """Return the net of the previous fit, if there is one.

    Raises
    ------
    ValueError
        If it cannot be trained on the present problem, because its branches, classes, categories
        or inputs differ; `caller` begins the message.
    """
    if not hasattr(classifier, "net_"):
        return None
    network: Any = classifier.net_.module_
    continues = f"{caller} continues from the previous fit, but"
    # Branches that add_attributes appended were trained on frozen features; together with the old
    # ones they are no layout that fit would build.
    if not isinstance(network.layout, BranchLayout):
        raise ValueError(f"{continues} attributes were added to it; call fit on all attributes.")
    old, new = classifier.encoder_.output_names_, data.encoder.output_names_
    if old != new and not (is_numbered(old) or is_numbered(new)):
        raise ValueError(
            f"{continues} the columns of y are {format_classes(new)} and those of that fit were "
            f"{format_classes(old)}, in this order; pass these, or set warm_start=False."
        )
    is_same = network.layout == problem.layout and all(
        np.array_equal(new, old)
        for new, old in zip(data.encoder.classes_, classifier.encoder_.classes_, strict=True)
    )
    if data.categories is not None and is_same:
        is_same = np.array_equal(data.categories, getattr(classifier, "categories_", ()))
    if not is_same or network.n_conditions != problem.n_conditions:
        raise ValueError(
            f"{continues} the classes of y, its categories or the form of its branches differ; "
            "declare all labels in `attributes`, or fit from scratch with warm_start=False."
        )
    n_inputs = data.rows.array.shape[1] if isinstance(data.rows, FeatureRows) else None
    if n_inputs != network.n_inputs:
        raise ValueError(
            f"{continues} X is of another kind or has another number of features; fit from "
            "scratch with warm_start=False."
        )
    return classifier.net_
