"""From the estimator's parameters to a skorch net, and its fit."""

import re
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from skorch.callbacks import EarlyStopping, LRScheduler, PrintLog
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR

from skattr._inputs.rows import FeatureRows, Rows
from skattr._training.augmentation import ImageAugmenter
from skattr._training.callbacks import ProgressBar
from skattr._training.config import TrainingConfig, TrainingProblem
from skattr._training.devices import _types, resolve_device
from skattr._training.loader import BatchIndexSampler
from skattr._training.net import AttributeNet
from skattr.nn import MultiBranchNetwork
from skattr.nn._backbones.torchvision import naming_image_size

OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {
    "adamw": torch.optim.AdamW,
    "adam": torch.optim.Adam,
    "sgd": torch.optim.SGD,
}


def build_and_train(
    recipe: TrainingConfig,
    task: TrainingProblem,
    train: NDArray[np.intp],
    validation: NDArray[np.intp] | None = None,
    start: AttributeNet | None = None,
) -> AttributeNet:
    """Build a net and train it.

    Parameters
    ----------
    recipe : TrainingConfig
    task : TrainingProblem
    train, validation : ndarray of int
        Rows to train and to validate on.
    start : AttributeNet, optional
        A net with the same layout to start from.

    Returns
    -------
    AttributeNet
        Fitted, without what only training needs.
    """
    net = build_net(recipe, task, len(train), start)
    if validation is not None:
        net.validation = task.dataset(validation)
    train_net(net, task, train)
    net.release_training_state()
    return net


def train_net(net: AttributeNet, task: TrainingProblem, rows: NDArray[np.intp]) -> None:
    """Train a net on some rows; the branches of attributes without a label there stay as they are.

    Parameters
    ----------
    net : AttributeNet
        With branches of the task's layout.
    task : TrainingProblem
    rows : ndarray of int
    """
    branches: Any = net.module_.branches
    size = getattr(task.rows, "size", None)
    naming_size = naming_image_size(net.module__backbone, net.module_.backbone, size)
    with naming_size, branches.preserve_attributes(task.untrained):
        net.partial_fit(task.dataset(rows))


def build_net(
    recipe: TrainingConfig, task: TrainingProblem, n_train: int, start: AttributeNet | None = None
) -> AttributeNet:
    """Build a net that is ready to be trained on `n_train` rows.

    Parameters
    ----------
    recipe : TrainingConfig
    task : TrainingProblem
    n_train : int
    start : AttributeNet, optional
        A net with the same layout whose weights it starts from.

    Returns
    -------
    AttributeNet
        Initialized.
    """
    rows = task.rows
    n_steps = recipe.max_epochs * len(BatchIndexSampler(n_train, recipe.batch_size))
    device = resolve_device(recipe.device)
    dtype, autocast = _types(recipe.precision, rows, device)
    n_inputs = rows.array.shape[1] if isinstance(rows, FeatureRows) else None
    optimizer = _optimizer(recipe.optimizer)
    params: dict[str, Any] = {
        "module__backbone": _backbone(recipe.backbone, rows),
        "module__layout": task.layout,
        "module__n_inputs": n_inputs,
        "module__image_size": recipe.image_size,
        "module__weights": recipe.weights,
        "module__branch_hidden": recipe.branch_hidden,
        "module__n_conditions": task.n_conditions,
        "module__prior": task.prior,
        "module__untrained": task.untrained,
        "module__dtype": dtype,
        "criterion": task.criterion,
        "criterion__layout": task.layout,
        "criterion__dtype": dtype,
        **{f"criterion__{name}": value for name, value in task.criterion_params.items()},
        "optimizer": optimizer,
        "optimizer__weight_decay": recipe.weight_decay,
        "lr": recipe.lr,
        "batch_size": recipe.batch_size,
        "max_epochs": recipe.max_epochs,
        "device": device,
        "compile": recipe.compile,
        "verbose": int(recipe.verbose > 1),
        "seed": recipe.seed,
        **_augmentation(recipe.augment, rows),
        "ema_decay": recipe.ema_decay,
        "freeze": recipe.freeze,
        "unfreeze_every": recipe.unfreeze_every,
        "layer_decay": recipe.layer_decay,
        "autocast": autocast,
        "num_workers": recipe.num_workers,
        "callbacks": _callbacks(recipe, n_steps, optimizer),
    }
    _check_net_params(recipe.net_params, params)
    _check_freeze(recipe, params["module__backbone"])
    if optimizer is torch.optim.SGD:
        params.update(optimizer__momentum=0.9, optimizer__nesterov=True)
    params.update(_fused(optimizer, device, recipe.net_params))
    net = _initialized(params, recipe.net_params)
    if start is not None:
        try:
            net.module_.load_state_dict(start.module_.state_dict())
        except RuntimeError as error:
            raise ValueError(
                "The network to go on from has other layers than the one that is asked for; keep "
                f"`backbone` and `branch_hidden`, or fit anew with warm_start=False. {error}"
            ) from error
    return net


def _check_net_params(net_params: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    taken = [
        key for key in net_params if key in own or key.startswith(("iterator_", "train_split"))
    ]
    if taken:
        raise ValueError(
            f"net_params sets {taken}, which the classifier sets itself; use its own parameters "
            "(lr, batch_size, max_epochs, ...) for that."
        )
    accumulate, clip_norm = net_params.get("accumulate", 1), net_params.get("clip_norm")
    if not isinstance(accumulate, Integral) or accumulate < 1:
        raise ValueError(f"accumulate={accumulate!r} in net_params must be an int of at least 1.")
    if clip_norm is not None and not (isinstance(clip_norm, Real) and float(clip_norm) > 0):
        raise ValueError(
            f"clip_norm={clip_norm!r} in net_params must be a positive number or None."
        )


def _check_freeze(recipe: TrainingConfig, backbone: Any) -> None:
    if backbone == "linear" and (recipe.freeze is not None or recipe.layer_decay != 1):
        raise ValueError(
            f"freeze={recipe.freeze!r} (layer_decay={recipe.layer_decay}) is for the layers of a "
            "backbone, but X holds 2-D features, for which 'auto' has none; 'mlp' has."
        )


def _initialized(params: Mapping[str, Any], net_params: Mapping[str, Any]) -> AttributeNet:
    """Return a net, or raise a ValueError that names the key of `net_params` it cannot take."""
    try:
        net = AttributeNet(MultiBranchNetwork, **{**params, **net_params})
        net.initialize()
    except (TypeError, ValueError) as error:
        words = re.findall(r"\w+", str(error))
        wrong = [key for key in net_params if key.split("__")[-1] in words]
        if not wrong:
            raise
        raise ValueError(f"net_params sets {wrong}, which cannot be used: {error}") from error
    return net


def _backbone(backbone: Any, rows: Rows) -> Any:
    if backbone != "auto":
        return backbone
    return "linear" if rows.kind == "features" else "resnet18"


def _optimizer(optimizer: Any) -> Any:
    return OPTIMIZERS[optimizer] if isinstance(optimizer, str) else optimizer


def _fused(optimizer: Any, device: str, net_params: Mapping[str, Any]) -> dict[str, Any]:
    """Return that the optimizer takes a step in one kernel, if it can and no other was chosen."""
    others = {f"optimizer__{name}" for name in ("fused", "foreach", "capturable", "differentiable")}
    # SGD: the fused form has no momentum for parameters that are thawed later.
    adam = (torch.optim.AdamW, torch.optim.Adam)
    can = optimizer in adam and torch.device(device).type in ("cpu", "cuda")
    return {"optimizer__fused": True} if can and not others & net_params.keys() else {}


def _augmentation(augment: Any, rows: Rows) -> dict[str, Any]:
    """Return the net's parameters for an augmentation."""
    if not isinstance(augment, ImageAugmenter):
        return {"augment": augment, "mixup": 0.0, "test_flip": False}
    if augment.needs_images and isinstance(rows, FeatureRows):
        raise ValueError(
            f"augment has {', '.join(augment.needs_images)}, which change images, but X holds "
            "2-D features; only mixup is for them."
        )
    return {"augment": augment, "mixup": augment.mixup, "test_flip": augment.test_flip}


def _callbacks(recipe: TrainingConfig, n_steps: int, optimizer: Any) -> list[Any]:
    callbacks: list[Any] = []
    if recipe.lr_schedule == "onecycle":
        own_momentum = {"optimizer__momentum", "optimizer__betas"} & recipe.net_params.keys()
        has_momentum = optimizer in OPTIMIZERS.values() and not own_momentum
        schedule = {"policy": _one_cycle, "total_steps": n_steps}
        schedule["cycle_momentum"] = has_momentum
        callbacks.append(("lr_schedule", LRScheduler(**_BY_BATCH, **schedule)))
    elif recipe.lr_schedule == "cosine":
        schedule = {"policy": CosineAnnealingLR, "T_max": n_steps}
        callbacks.append(("lr_schedule", LRScheduler(**_BY_BATCH, **schedule)))
    if recipe.patience is not None:
        callbacks.append(
            ("early_stopping", EarlyStopping(patience=recipe.patience, load_best=True))
        )
    if recipe.verbose == 1:
        callbacks.append(("progress", ProgressBar(n_steps)))
    elif recipe.verbose > 1:
        callbacks.append(("print_log", PrintLog()))
    return callbacks + list(recipe.callbacks or [])


def _one_cycle(optimizer: torch.optim.Optimizer, **params: Any) -> OneCycleLR:
    """Return a schedule in which each group's peak is the learning rate it was given."""
    peaks = [group["lr"] for group in optimizer.param_groups]
    return OneCycleLR(optimizer, max_lr=peaks, **params)


_BY_BATCH: dict[str, Any] = {"step_every": "batch", "event_name": None}
