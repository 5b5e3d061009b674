"""From the estimator's parameters to a skorch net, and its fit."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from skorch.callbacks import EarlyStopping, LRScheduler, PrintLog
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR

from skattr._images import FeatureRows, Rows
from skattr.nn import BranchLayout, MultiBranchNetwork, SummedCrossEntropy
from skattr.nn.backbones import naming_image_size
from skattr.training.augmentation import PictureChanges
from skattr.training.batches import AttributeDataset, BatchPositions
from skattr.training.net import AttributeNet
from skattr.training.progress import ProgressBar

OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {
    "adamw": torch.optim.AdamW,
    "adam": torch.optim.Adam,
    "sgd": torch.optim.SGD,
}
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
    ema_decay: float | None = None
    freeze: str | None = None
    unfreeze_every: int | None = None
    layer_decay: float = 1.0
    seed: int = 0
    verbose: int = 0


@dataclass(frozen=True)
class Task:
    """What is to be learned of which rows.

    Attributes
    ----------
    rows : Rows
        All rows of X.
    layout : BranchLayout
    targets : ndarray of shape (len(rows), n_attributes), int64
        As the layout defines them; -1 unknown.
    weights : ndarray of shape (len(rows), n_attributes), float
        Of the targets.
    criterion : callable
        Makes the loss of a `layout` and `criterion_params`.
    criterion_params : dict
    prior : Tensor of shape (n_logits,), optional
        The biases of the branches before they are trained.
    untrained : tuple of int
        Attributes without a label to learn from.
    category : ndarray of shape (len(rows),), int64, optional
        The object's category, an input of the network; -1 unknown.
    n_conditions : int
        Number of these categories; 0 if they are no input.
    """

    rows: Rows
    layout: BranchLayout
    targets: NDArray[np.int64]
    weights: NDArray[np.floating[Any]]
    criterion: Callable[..., nn.Module] = SummedCrossEntropy
    criterion_params: Mapping[str, Any] = field(default_factory=dict)
    prior: torch.Tensor | None = None
    untrained: tuple[int, ...] = ()
    category: NDArray[np.int64] | None = None
    n_conditions: int = 0

    def dataset(self, indices: NDArray[np.intp]) -> AttributeDataset:
        """Return some of the rows, to train or validate on."""
        return AttributeDataset(self.rows, indices, self.targets, self.weights, self.category)


def fit_net(
    recipe: Recipe,
    task: Task,
    train: NDArray[np.intp],
    validation: NDArray[np.intp] | None = None,
    start: AttributeNet | None = None,
) -> AttributeNet:
    """Build a net and train it.

    Parameters
    ----------
    recipe : Recipe
    task : Task
    train, validation : ndarray of int
        Rows to train and to validate on.
    start : AttributeNet, optional
        A net with the same layout to start from.

    Returns
    -------
    AttributeNet
        Fitted, without what only training needs.
    """
    net = make_net(recipe, task, len(train), start)
    if validation is not None:
        net.validation = task.dataset(validation)
    train_net(net, task, train)
    net.release_training_state()
    return net


def train_net(net: AttributeNet, task: Task, rows: NDArray[np.intp]) -> None:
    """Train a net on some rows; the branches of attributes without a label there stay as they are.

    Parameters
    ----------
    net : AttributeNet
        With branches of the task's layout.
    task : Task
    rows : ndarray of int
    """
    branches: Any = net.module_.branches
    size = getattr(task.rows, "size", None)
    naming_size = naming_image_size(net.module__backbone, net.module_.backbone, size)
    with naming_size, branches.kept(task.untrained):
        net.partial_fit(task.dataset(rows))


def make_net(
    recipe: Recipe, task: Task, n_train: int, start: AttributeNet | None = None
) -> AttributeNet:
    """Build a net that is ready to be trained on `n_train` rows.

    Parameters
    ----------
    recipe : Recipe
    task : Task
    n_train : int
    start : AttributeNet, optional
        A net with the same layout whose weights it starts from.

    Returns
    -------
    AttributeNet
        Initialized.
    """
    rows = task.rows
    n_steps = recipe.max_epochs * len(BatchPositions(n_train, recipe.batch_size))
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


def _check_freeze(recipe: Recipe, backbone: Any) -> None:
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


def _fused(optimizer: Any, device: str, net_params: Mapping[str, Any]) -> dict[str, Any]:
    """Return that the optimizer takes a step in one kernel, if it can and no other was chosen."""
    others = {f"optimizer__{name}" for name in ("fused", "foreach", "capturable", "differentiable")}
    # SGD: the fused form has no momentum for parameters that are thawed later.
    adam = (torch.optim.AdamW, torch.optim.Adam)
    can = optimizer in adam and torch.device(device).type in ("cpu", "cuda")
    return {"optimizer__fused": True} if can and not others & net_params.keys() else {}


def _augmentation(augment: Any, rows: Rows) -> dict[str, Any]:
    """Return the net's parameters for an augmentation."""
    if not isinstance(augment, PictureChanges):
        return {"augment": augment, "mixup": 0.0, "test_flip": False}
    if augment.needs_pictures and isinstance(rows, FeatureRows):
        raise ValueError(
            f"augment has {', '.join(augment.needs_pictures)}, which change pictures, but X holds "
            "2-D features; only mixup is for them."
        )
    return {"augment": augment, "mixup": augment.mixup, "test_flip": augment.test_flip}


def _callbacks(recipe: Recipe, n_steps: int, optimizer: Any) -> list[Any]:
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
