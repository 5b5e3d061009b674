"""From the estimator's parameters to a skorch net, and its fit."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from skorch.callbacks import EarlyStopping, LRScheduler, PrintLog
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR

from skattr._images import FeatureRows, Rows
from skattr.nn import BranchLayout, MultiBranchNetwork, SummedCrossEntropy
from skattr.nn.heads import prior_logits
from skattr.training.augmentation import AUGMENTATIONS
from skattr.training.batches import AttributeDataset, BatchPositions
from skattr.training.net import AttributeNet
from skattr.training.progress import ProgressBar

OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {
    "adamw": torch.optim.AdamW,
    "adam": torch.optim.Adam,
    "sgd": torch.optim.SGD,
}
SCHEDULES = ("onecycle", "cosine")
DTYPES = {
    "float32": torch.float32,
    "float64": torch.float64,
    "bfloat16": torch.bfloat16,
}


@dataclass(frozen=True)
class Recipe:
    """All that decides how a network is built and trained; see AttributeClassifier."""

    backbone: str | Callable[..., nn.Module]
    weights: str | None
    branch_hidden: int | None
    image_size: tuple[int, int]
    augment: Any
    optimizer: str | Callable[..., torch.optim.Optimizer]
    lr: float
    weight_decay: float
    lr_schedule: str | None
    batch_size: int
    max_epochs: int
    patience: int | None
    device: str
    precision: str
    compile: bool
    num_workers: int
    callbacks: Sequence[Any] | None
    net_params: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    verbose: int = 0


def fit_net(
    recipe: Recipe,
    layout: BranchLayout,
    rows: Rows,
    codes: NDArray[np.int64],
    weights: NDArray[np.floating[Any]],
    train: NDArray[np.intp],
    validation: NDArray[np.intp] | None,
    start: AttributeNet | None = None,
) -> AttributeNet:
    """Build a net and train it.

    Parameters
    ----------
    recipe : Recipe
    layout : BranchLayout
    rows : Rows
        All rows of X.
    codes, weights : ndarray of shape (len(rows), n_attributes)
        Class (-1 unknown) and weight of each label.
    train, validation : ndarray of int
        Rows to train and to validate on.
    start : AttributeNet, optional
        A net with the same layout to start from.

    Returns
    -------
    AttributeNet
        Fitted, without what only training needs.
    """
    n_steps = recipe.max_epochs * len(BatchPositions(len(train), recipe.batch_size))
    device = resolve_device(recipe.device)
    dtype, autocast = _types(recipe.precision, rows, device)
    n_inputs = rows.array.shape[1] if isinstance(rows, FeatureRows) else None
    optimizer = _optimizer(recipe.optimizer)
    params: dict[str, Any] = {
        "module__backbone": _backbone(recipe.backbone, rows),
        "module__layout": layout,
        "module__n_inputs": n_inputs,
        "module__image_size": recipe.image_size,
        "module__weights": recipe.weights,
        "module__branch_hidden": recipe.branch_hidden,
        "module__prior": prior_logits(layout, class_weights(layout, codes[train], weights[train])),
        "module__dtype": dtype,
        "criterion": SummedCrossEntropy,
        "criterion__layout": layout,
        "optimizer": optimizer,
        "optimizer__weight_decay": recipe.weight_decay,
        "lr": recipe.lr,
        "batch_size": recipe.batch_size,
        "max_epochs": recipe.max_epochs,
        "device": device,
        "compile": recipe.compile,
        "verbose": int(recipe.verbose > 1),
        "seed": recipe.seed,
        "augment": _augmentation(recipe.augment),
        "autocast": autocast,
        "num_workers": recipe.num_workers,
        "callbacks": _callbacks(recipe, n_steps, optimizer),
    }
    _check_net_params(recipe.net_params, params)
    if optimizer is torch.optim.SGD:
        params.update(optimizer__momentum=0.9, optimizer__nesterov=True)
    net = AttributeNet(MultiBranchNetwork, **{**params, **recipe.net_params})
    net.initialize()
    if start is not None:
        net.module_.load_state_dict(start.module_.state_dict())
    if validation is not None:
        net.validation = AttributeDataset(rows, validation, codes, weights)
    net.partial_fit(AttributeDataset(rows, train, codes, weights))
    net.release_training_state()
    return net


def _check_net_params(net_params: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    taken = [
        key for key in net_params if key in own or key.startswith(("iterator_", "train_split"))
    ]
    if taken:
        raise ValueError(
            f"net_params sets {taken}, which the classifier sets itself; use its own parameters "
            "(lr, batch_size, callbacks, ...) for that."
        )


def class_weights(
    layout: BranchLayout, codes: NDArray[np.int64], weights: NDArray[np.floating[Any]]
) -> list[NDArray[np.float64]]:
    """Return the summed weight of each class of each attribute."""
    return [
        np.bincount(column[known], weight[known], n_classes).astype(np.float64)
        for n_classes, column, weight in zip(layout.n_classes, codes.T, weights.T, strict=True)
        for known in [column >= 0]
    ]


def resolve_device(device: str) -> str:
    """Return the device "auto" stands for: CUDA if there is one, else the CPU.

    Raises
    ------
    ValueError
        If there is no such device here.
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f"device={device!r} cannot be used; it must be 'auto', 'cpu' or another device of "
            f"torch that is there, such as 'cuda' or 'cuda:1'. {error}"
        ) from error
    return device


def _types(precision: str, rows: Rows, device: str) -> tuple[torch.dtype, torch.dtype | None]:
    """Return the type of the parameters and, if it differs, that of the matrix products."""
    if precision == "auto":
        if isinstance(rows, FeatureRows):
            return DTYPES[str(rows.array.dtype)], None
        return torch.float32, torch.bfloat16 if device.startswith("cuda") else None
    dtype = DTYPES[precision]
    return (torch.float32, dtype) if dtype.itemsize == 2 else (dtype, None)


def _backbone(backbone: Any, rows: Rows) -> Any:
    if backbone != "auto":
        return backbone
    return "linear" if rows.kind == "features" else "resnet18"


def _optimizer(optimizer: Any) -> Any:
    return OPTIMIZERS[optimizer] if isinstance(optimizer, str) else optimizer


def _augmentation(augment: Any) -> Any:
    return AUGMENTATIONS[augment] if isinstance(augment, str) else augment


def _callbacks(recipe: Recipe, n_steps: int, optimizer: Any) -> list[Any]:
    callbacks: list[Any] = []
    if recipe.lr_schedule == "onecycle":
        own_momentum = {"optimizer__momentum", "optimizer__betas"} & recipe.net_params.keys()
        has_momentum = optimizer in OPTIMIZERS.values() and not own_momentum
        schedule = {"policy": OneCycleLR, "max_lr": recipe.lr, "total_steps": n_steps}
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


_BY_BATCH: dict[str, Any] = {"step_every": "batch", "event_name": None}
