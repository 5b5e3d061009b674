"""Build and train a skorch net from a configuration and a problem."""

import copy
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from skorch.callbacks import EarlyStopping, InputShapeSetter, LRScheduler, PrintLog
from skorch.helper import predefined_split
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR

from skattr._inputs.rows import FeatureRows
from skattr._training.augmentation import ImageAugmenter
from skattr._training.callbacks import ProgressBar
from skattr._training.config import TrainingConfig, TrainingProblem
from skattr._training.devices import (
    resolve_device,
    resolve_dtypes,
    resolve_precision,
    torch_defaults,
)
from skattr._training.integrity import check_converged
from skattr._training.loader import BatchIndexSampler
from skattr._training.net import AttributeNet
from skattr.nn import MultiBranchNetwork
from skattr.nn._backbones.torchvision import naming_image_size

OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {
    "adamw": torch.optim.AdamW,
    "adam": torch.optim.Adam,
    "sgd": torch.optim.SGD,
}
# Further parameters of skorch that have an effect here.
_READ = ("batch_history", "torch_load_kwargs")
_READ_PREFIXES = ("optimizer__", "module__", "criterion__", "compile__", "callbacks__")


def build_and_train(
    config: TrainingConfig,
    problem: TrainingProblem,
    train: NDArray[np.intp],
    validation: NDArray[np.intp] | None = None,
    start: AttributeNet | None = None,
) -> AttributeNet:
    """Build a net and train it.

    Parameters
    ----------
    config : TrainingConfig
    problem : TrainingProblem
    train, validation : ndarray of int
        Rows to train and to validate on.
    start : AttributeNet, optional
        A net with the same layout to start from.

    Returns
    -------
    AttributeNet
        Fitted, without the state that only training needs.
    """
    net = build_net(config, problem, len(train), start)
    if validation is None:
        _check_monitors(config)
    else:
        net.train_split = predefined_split(problem.dataset(validation))
    train_net(net, problem, train)
    net.release_training_state()
    return net


def train_net(net: AttributeNet, problem: TrainingProblem, rows: NDArray[np.intp]) -> None:
    """Train a net on some rows; branches of attributes without a label there do not change.

    Parameters
    ----------
    net : AttributeNet
        Its branches have the problem's layout.
    problem : TrainingProblem
    rows : ndarray of int

    Raises
    ------
    DivergedError
        If a loss, a weight or an output is not finite.
    """
    branches: Any = net.module_.branches
    size = getattr(problem.rows, "size", None)
    naming_size = naming_image_size(net.module__backbone, net.module_.backbone, size)
    _check_batch_size(net, len(rows))
    with torch_defaults(), naming_size:
        with branches.preserve_attributes(problem.untrained):
            net.partial_fit(problem.dataset(rows))
        check_converged(net, net.first_rows_)
    del net.first_rows_


def _check_batch_size(net: AttributeNet, n_rows: int) -> None:
    """Raise a ValueError for batches of one row if the network has batch normalization."""
    # It has no statistics of a single row; torch rejects it.
    if net.config.freeze == "backbone" and net.config.unfreeze_every is None:
        return  # it stays in evaluation mode
    layers = (layer for layer in net.module_.modules() if isinstance(layer, _BatchNorm))
    if min(net.batch_size, n_rows) < 2 and next(layers, None) is not None:
        raise ValueError(
            "A network with batch normalization needs two rows or more per batch to train on; got "
            f"batch_size={net.batch_size} and {n_rows} row(s) that are read and not held out."
        )


def build_net(
    config: TrainingConfig,
    problem: TrainingProblem,
    n_train: int,
    start: AttributeNet | None = None,
) -> AttributeNet:
    """Build a net that is ready to be trained on `n_train` rows.

    Parameters
    ----------
    config : TrainingConfig
    problem : TrainingProblem
    n_train : int
        It determines the number of steps of the learning rate schedule.
    start : AttributeNet, optional
        A net with the same layout whose weights it starts from.

    Returns
    -------
    AttributeNet
        Initialized.

    Raises
    ------
    ValueError
        If a parameter of `config` does not fit the others, the rows or `start`.
    """
    params = _net_params(config, problem, n_train)
    _check_net_params(config, params.keys())
    defaults = _optimizer_defaults(params["optimizer"], params["device"], config.net_params)
    with torch_defaults():
        net = _initialized({**params, **defaults}, config.net_params)
    if start is not None:
        try:
            net.module_.load_state_dict(start.module_.state_dict())
            # Weights go with their normalization, whatever `weights` is by now.
            net.module_.normalization = copy.deepcopy(start.module_.normalization)
        except RuntimeError as error:
            raise ValueError(
                "The previous network has other layers than the requested one; keep `backbone` and "
                "`branches=Branches(hidden=...)`, or fit from scratch with warm_start=False. "
                f"{error}"
            ) from error
    return net


def _check_net_params(config: TrainingConfig, own: Collection[str]) -> None:
    """Raise a ValueError for a key of `net_params` that another parameter sets, or none reads."""
    reserved = {*own, *(field.name for field in fields(TrainingConfig))}
    reserved |= {"train_split", "warm_start"}
    keys = config.net_params
    invalid = [key for key in keys if key in reserved or key.startswith(("iterator_", "train_sp"))]
    if invalid:
        raise ValueError(
            f"net_params sets {invalid}, which the classifier sets itself; use its own parameters "
            "(lr, batch_size, max_epochs, validation_fraction, ...) for that."
        )
    unread = [key for key in keys if key not in _READ and not key.startswith(_READ_PREFIXES)]
    if unread:
        raise ValueError(
            f"net_params sets {unread}, which have no effect; valid are 'callbacks', "
            f"{', '.join(map(repr, _READ))}, and names that begin with "
            f"{', '.join(map(repr, _READ_PREFIXES))}. Rows to validate on are chosen by "
            "validation_fraction."
        )


def _net_params(config: TrainingConfig, problem: TrainingProblem, n_train: int) -> dict[str, Any]:
    """Return the parameters of AttributeNet that `net_params` may not replace."""
    rows = problem.rows
    features = rows.array if isinstance(rows, FeatureRows) else None
    backbone = config.backbone
    if backbone == "auto":
        backbone = "resnet18" if features is None else "linear"
    if features is not None:
        _check_options_for_features(config, backbone)
    device = resolve_device(config.device)
    feature_type = None if features is None else features.dtype
    dtype, _ = resolve_dtypes(resolve_precision(config.precision, device, feature_type))
    name = config.optimizer
    optimizer = OPTIMIZERS[name] if isinstance(name, str) else name
    return {
        "module__backbone": backbone,
        "module__layout": problem.layout,
        "module__n_inputs": None if features is None else features.shape[1],
        "module__image_size": config.image_size,
        "module__weights": config.weights,
        "module__branch_hidden": config.branch_hidden,
        "module__n_conditions": problem.n_conditions,
        "module__prior": problem.prior,
        "module__untrained": problem.untrained,
        "module__dtype": dtype,
        "criterion": problem.criterion,
        "criterion__layout": problem.layout,
        "criterion__dtype": dtype,
        **{f"criterion__{name}": value for name, value in problem.criterion_params.items()},
        "optimizer": optimizer,
        "optimizer__weight_decay": config.weight_decay,
        "lr": config.lr,
        "batch_size": config.batch_size,
        "max_epochs": config.max_epochs,
        "device": device,
        "compile": config.compile,
        "verbose": int(config.verbose > 1),
        "callbacks": _callbacks(config, optimizer, n_train),
        "config": config,
        "interface": problem.interface,
    }


def _check_options_for_features(config: TrainingConfig, backbone: Any) -> None:
    if backbone == "linear" and (config.freeze is not None or config.layer_decay != 1):
        given = [f"freeze={config.freeze!r}"] * (config.freeze is not None)
        given += [f"layer_decay={config.layer_decay}"] * (config.layer_decay != 1)
        raise ValueError(
            f"fine_tuning has {' and '.join(given)}, for the layers of a backbone, but X holds 2-D "
            "features, for which 'auto' has none; 'mlp' has."
        )
    augment = config.augment
    image_changes = augment.needs_images if isinstance(augment, ImageAugmenter) else ()
    if image_changes:
        raise ValueError(
            f"augment has {', '.join(image_changes)}, which change images, but X holds "
            "2-D features; only mixup is for them."
        )


def _initialized(params: Mapping[str, Any], net_params: Mapping[str, Any]) -> AttributeNet:
    """Return a net, or raise a ValueError that names the key of `net_params` at fault."""
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


def _optimizer_defaults(
    optimizer: Any, device: str, net_params: Mapping[str, Any]
) -> dict[str, Any]:
    """Return parameters of the optimizer that `net_params` may replace."""
    if optimizer is torch.optim.SGD:
        # Not fused: its fused form has no momentum for parameters that are unfrozen later.
        return {"optimizer__momentum": 0.9, "optimizer__nesterov": True}
    others = {f"optimizer__{name}" for name in ("fused", "foreach", "capturable", "differentiable")}
    can_fuse = optimizer in (torch.optim.AdamW, torch.optim.Adam) and (
        torch.device(device).type in ("cpu", "cuda")
    )
    return {"optimizer__fused": True} if can_fuse and not others & net_params.keys() else {}


def _callbacks(config: TrainingConfig, optimizer: Any, n_train: int) -> list[Any]:
    """Return the package's own callbacks, then those of the caller."""
    n_steps = config.max_epochs * len(BatchIndexSampler(n_train, config.batch_size))
    schedule: dict[str, Any] = {}
    if config.lr_schedule == "onecycle":
        # OneCycleLR also cycles the momentum, unless the caller chose one, and raises for an
        # optimizer that has none.
        sets_momentum = {"optimizer__momentum", "optimizer__betas"} & config.net_params.keys()
        cycles_momentum = optimizer in OPTIMIZERS.values() and not sets_momentum
        schedule = {"policy": _one_cycle, "total_steps": n_steps}
        schedule["cycle_momentum"] = cycles_momentum
    elif config.lr_schedule == "cosine":
        schedule = {"policy": CosineAnnealingLR, "T_max": n_steps}
    given = _given_callbacks(config)
    callbacks: list[Any] = []
    if schedule and any(isinstance(callback, LRScheduler) for callback in given):
        raise ValueError(
            f"training has lr_schedule={config.lr_schedule!r}, and callbacks of net_params an "
            "LRScheduler: only one can set the learning rate. Use TrainingOptions(None) with it."
        )
    if schedule:
        # event_name=None: skorch would record the learning rate in each batch's history.
        scheduler = LRScheduler(step_every="batch", event_name=None, **schedule)
        callbacks.append(("lr_schedule", scheduler))
    if config.patience is not None:
        stopping = EarlyStopping(patience=config.patience, load_best=True)
        callbacks.append(("early_stopping", stopping))
    if config.verbose == 1:
        callbacks.append(("progress", ProgressBar(n_steps)))
    elif config.verbose > 1:
        callbacks.append(("print_log", PrintLog()))
    return callbacks + list(config.callbacks or [])


def _given_callbacks(config: TrainingConfig) -> list[Any]:
    """Return the callbacks of the caller, without their names.

    Raises
    ------
    ValueError
        If there is one that cannot work with a network of this package.
    """
    given = config.callbacks or []
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise ValueError(
            f"callbacks of net_params must be a list of skorch callbacks; got {given!r}."
        )
    callbacks = [one[1] if isinstance(one, tuple) else one for one in given]
    callbacks = [one() if isinstance(one, type) else one for one in callbacks]
    if any(isinstance(callback, InputShapeSetter) for callback in callbacks):
        raise ValueError(
            "callbacks of net_params has an InputShapeSetter, but the network takes its input "
            "shape from X."
        )
    return callbacks


def _check_monitors(config: TrainingConfig) -> None:
    """Raise a ValueError if a callback monitors the loss of validation, which there is not."""
    for callback in _given_callbacks(config):
        monitor = getattr(callback, "monitor", None)
        if isinstance(monitor, str) and monitor in ("valid_loss", "valid_loss_best"):
            raise ValueError(
                f"callbacks of net_params: {type(callback).__name__} has monitor={monitor!r}, "
                "which needs rows to validate on: set validation_fraction, such as 0.1, or another "
                f"monitor, such as {monitor.replace('valid', 'train')!r}."
            )


def _one_cycle(optimizer: torch.optim.Optimizer, **params: Any) -> OneCycleLR:
    """Return a schedule in which each group's peak is the learning rate it was given."""
    peaks = [group["lr"] for group in optimizer.param_groups]
    return OneCycleLR(optimizer, max_lr=peaks, **params)
