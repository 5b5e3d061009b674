"""Frozen network that maps images to the features of one of its layers."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import Tensor, nn

from skattr.nn._backbones.build import PixelNormalization, build_image_backbone

Backbone = str | Callable[[], nn.Module]
POOL = "pool"
_STEP = 64  # pixels by which a larger image shows which axes of a map are spatial


class EmbeddingNetwork(nn.Module):
    """Map uint8 images (n, H, W, 3) to features (n, n_features), always in evaluation mode.

    Parameters
    ----------
    backbone : str or callable
        Name of a torchvision classification model, or a callable without arguments that
        returns a module mapping (n, 3, H, W) to (n, F) or to maps (n, F, h, w).
    weights : str, optional
        "DEFAULT", the name of torchvision weights, or the path of a state dict.
    layer : str
        "pool" for the input of the backbone's classifier, or the name of one of its modules.
    image_size : (height, width)

    Raises
    ------
    ValueError
        If a name is unknown, the weights do not fit, or the layer has no features.
    OSError
        If torchvision's weights can be neither found nor downloaded.

    Examples
    --------
    >>> import torch
    >>> network = EmbeddingNetwork("resnet18", layer="layer2", image_size=(32, 32))
    >>> network(torch.zeros(4, 32, 32, 3, dtype=torch.uint8)).shape
    torch.Size([4, 128])
    """

    def __init__(
        self,
        backbone: Backbone,
        *,
        weights: str | None = None,
        layer: str = POOL,
        image_size: tuple[int, int] = (224, 224),
    ) -> None:
        super().__init__()
        model, self.n_features = build_image_backbone(backbone, weights, image_size)
        self.normalization = PixelNormalization(backbone, weights)
        self.features: nn.Module = model
        if layer != POOL:
            own = model.get_submodule("0") if callable(backbone) else model
            self.features, self.n_features = _build_layer(own.eval(), layer, image_size)
        self.eval().requires_grad_(False)
        self.to(memory_format=torch.channels_last)

    def train(self, mode: bool = True) -> "EmbeddingNetwork":
        """Stay in evaluation mode whatever `mode` is, as the network is frozen."""
        return super().train(False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return features (n, n_features) with the dtype of the parameters."""
        features: Tensor = self.features(self.normalization(pixels))
        return features


def identity_of_weights(backbone: str, weights: str | None, seed: int) -> str:
    """Identify the weights of a torchvision model without building it.

    Returns
    -------
    str
        The SHA-256 of a file, the URL of torchvision's own weights, or the seed of random weights
        and the versions of the libraries that draw them.
    """
    if weights is None:
        versions = f"torch {torch.__version__}, torchvision {torchvision.__version__}"
        return f"random of seed {seed}, {versions}"
    if Path(weights).is_file():
        with open(weights, "rb") as file:
            return f"file of SHA-256 {hashlib.file_digest(file, 'sha256').hexdigest()}"
    return str(torchvision.models.get_model_weights(backbone)[weights].url)


def identity_of_module(module: nn.Module) -> str:
    """Identify a module by its state dict and its printed structure.

    Returns
    -------
    str
        A SHA-256.
    """
    digest = hashlib.sha256(str(module).encode())
    for name, value in module.state_dict().items():
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.cpu().reshape(-1).view(torch.uint8).numpy())
    return f"module of SHA-256 {digest.hexdigest()}"


class _LayerReached(Exception):
    """Carries the output of a layer out of the forward pass, whose rest is not needed."""


def _stop_here(module: nn.Module, inputs: Any, output: Any) -> None:
    raise _LayerReached(output)


class _LayerFeatures(nn.Module):
    """Output of one module of a model, averaged over some axes.

    A hook ends the forward pass at the module. Torchvision's feature extractor would trace a graph,
    which replaces `nn.Module.__call__` for all threads while it runs.
    """

    def __init__(self, model: nn.Module, layer: str) -> None:
        super().__init__()
        self.model = model
        self.axes: tuple[int, ...] = ()
        model.get_submodule(layer).register_forward_hook(_stop_here)

    def forward(self, x: Tensor) -> Any:
        """Map (n, 3, H, W) to the output of the module, or None if it is not called."""
        try:
            self.model(x)
        except _LayerReached as reached:
            values = reached.args[0]
            if not self.axes:
                return values
            # A mean that is rounded to bfloat16 would be the same for many images.
            half = values.dtype in (torch.bfloat16, torch.float16)
            return values.mean(self.axes, dtype=torch.float32 if half else None)
        return None


def _build_layer(
    model: nn.Module, layer: str, image_size: tuple[int, int]
) -> tuple[_LayerFeatures, int]:
    """Return a model up to a layer, and its number of features."""
    names = [
        name for name, part in model.named_modules() if name and not isinstance(part, nn.Identity)
    ]
    valid = ", ".join([POOL, *dict.fromkeys(name.split(".")[0] for name in names)])
    if layer not in names:
        raise ValueError(
            f"layer={layer!r} is unknown; valid are {valid}, and the modules inside them, such as "
            f"{names[len(names) // 2]!r}."
        )
    features = _LayerFeatures(model, layer)
    with torch.no_grad():
        maps = features(torch.zeros(2, 3, *image_size))
        if isinstance(maps, Tensor) and maps.ndim > 2:
            features.axes = _spatial_axes(features, maps, image_size)
            maps = features(torch.zeros(2, 3, *image_size))
    if not isinstance(maps, Tensor) or maps.ndim != 2 or len(maps) != 2:
        raise ValueError(
            f"layer={layer!r} has no features of its own for each image; valid are {valid}, "
            "and the modules inside them, whose output is one tensor with a row per image."
        )
    return features, maps.shape[1]


def _spatial_axes(
    features: nn.Module, maps: Tensor, image_size: tuple[int, int]
) -> tuple[int, ...]:
    """Return the axes of a map that are not channels: those that grow with the image.

    If none grows, the axes of length one are taken, else the layout of torchvision's networks for a
    fixed image size: (n, C, h, w), or tokens (n, t, C).
    """
    taller, wider = (side + _STEP for side in image_size)
    try:
        grown = features(torch.zeros(2, 3, taller, wider)).shape
    except Exception:  # networks for a fixed image size raise errors of any type
        grown = maps.shape
    inner = range(1, maps.ndim)
    if len(grown) == maps.ndim:
        axes = tuple(axis for axis in inner if grown[axis] != maps.shape[axis])
        axes = axes or tuple(axis for axis in inner if maps.shape[axis] == 1)
        if axes:
            return axes
    return (1,) if maps.ndim == 3 else tuple(inner[1:])
