"""Freezing and layer-wise learning rates of the stages of a backbone."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from torch import nn

from skattr.nn._backbones.build import GlobalPooling

_RESNET_BLOCKS = ("layer1", "layer2", "layer3", "layer4")


@dataclass
class Stage:
    """A part of a backbone.

    Attributes
    ----------
    modules : list of Module
    parameters : list of Parameter
        Parameters of the modules; in the first stage also those of the backbone itself.
    """

    modules: list[nn.Module]
    parameters: list[nn.Parameter]


def backbone_stages(backbone: nn.Module) -> list[Stage]:
    """Divide a backbone into stages, the first next to the input.

    Parameters
    ----------
    backbone : Module
        A backbone built by :mod:`skattr.nn._backbones.build`.

    Returns
    -------
    list of Stage
        Together they hold all modules of the backbone. A backbone with ``layer1`` to ``layer4``
        has four stages. One whose layers are in ``features`` has a stage per child of it with
        parameters, any other a stage per child with parameters. A module without parameters
        belongs to the stage before it, and so do modules after ``features``; the stem of a
        ResNet belongs to its first stage.

    Examples
    --------
    >>> import torchvision
    >>> len(backbone_stages(torchvision.models.resnet18()))
    4
    """
    if any(isinstance(child, GlobalPooling) for child in backbone.children()):
        backbone = backbone.get_submodule("0")  # the wrapped network of a callable
    # The parameters of the backbone itself, and modules before the first that starts a stage, such
    # as a stem, belong to the first stage.
    stages = [Stage([], list(backbone.parameters(recurse=False)))]
    is_first = True
    for module, starts_stage in _parts(backbone):
        if starts_stage and not is_first:
            stages.append(Stage([], []))
        is_first = is_first and not starts_stage
        stages[-1].modules.append(module)
        stages[-1].parameters.extend(module.parameters())
    if not stages[0].modules:
        stages[0].modules.append(backbone)
    return [stage for stage in stages if stage.parameters]


def _parts(backbone: nn.Module) -> list[tuple[nn.Module, bool]]:
    """Return the parts of a backbone in order, and whether each starts a stage."""
    children = dict(backbone.named_children())
    parts: list[tuple[nn.Module, bool]] = []
    after_features = False
    for name, child in children.items():
        if name == "features" and isinstance(child, nn.Sequential):
            parts += [(part, _has_parameters(part)) for part in child]
            after_features = True
        elif "layer1" in children:
            parts.append((child, name in _RESNET_BLOCKS))
        else:
            parts.append((child, _has_parameters(child) and not after_features))
    return parts


def _has_parameters(module: nn.Module) -> bool:
    return next(module.parameters(), None) is not None


class Freezing:
    """Keeps the first stages of a backbone from being trained.

    A frozen stage gets no gradients and stays in evaluation mode, so its BatchNorm statistics do
    not change and its dropout is off.

    Parameters
    ----------
    backbone : Module
    freeze : {"backbone", "stages:N"} or None
        All stages, the first N, or none.
    unfreeze_every : int, optional
        Number of epochs after which the last stage that is still frozen is unfrozen.

    Raises
    ------
    ValueError
        If `freeze` freezes more stages than the backbone has.
    """

    def __init__(
        self, backbone: nn.Module, freeze: str | None, unfreeze_every: int | None = None
    ) -> None:
        stages = [] if freeze is None else backbone_stages(backbone)
        n_frozen = len(stages)
        if freeze is not None and freeze != "backbone":
            n_frozen = int(freeze.removeprefix("stages:"))
        if n_frozen > len(stages):
            valid = {0: "none, as it has no parameters", 1: "stages:1"}
            raise ValueError(
                f"fine_tuning has freeze={freeze!r}, more stages than this backbone has; valid are "
                f"{valid.get(len(stages), f'stages:1 to stages:{len(stages)}')}."
            )
        self.stages = stages[:n_frozen]
        self.unfreeze_every = unfreeze_every
        # Parameters that the caller froze are not unfrozen.
        self._trainable = [p for stage in self.stages for p in stage.parameters if p.requires_grad]

    def start_epoch(self, epoch: int) -> None:
        """Freeze the stages of an epoch, counted from 0, and put them into evaluation mode."""
        n_unfrozen = 0 if self.unfreeze_every is None else epoch // self.unfreeze_every
        self.restore()
        for stage in self.stages[: max(len(self.stages) - n_unfrozen, 0)]:
            for parameter in stage.parameters:
                parameter.requires_grad_(False)
            for module in stage.modules:
                module.eval()

    def restore(self) -> None:
        """Make all parameters trainable that were so before."""
        for parameter in self._trainable:
            parameter.requires_grad_(True)


def parameter_groups(
    backbone: nn.Module, parameters: Iterable[nn.Parameter], lr: float, layer_decay: float
) -> list[dict[str, Any]]:
    """Return an optimizer's groups; the k-th stage before the branches has lr * layer_decay**k.

    Parameters
    ----------
    backbone : Module
    parameters : iterable of Parameter
        All parameters to train; those outside the backbone have k = 0.
    lr, layer_decay : float

    Returns
    -------
    list of dict
        Dicts with "params" and "lr", the branches first.
    """
    stages = reversed(backbone_stages(backbone))
    depth = {id(p): k for k, stage in enumerate(stages, start=1) for p in stage.parameters}
    groups: dict[int, list[nn.Parameter]] = {0: []}
    for parameter in parameters:
        groups.setdefault(depth.get(id(parameter), 0), []).append(parameter)
    return [{"params": groups[k], "lr": lr * layer_decay**k} for k in sorted(groups)]
