"""Build the shared backbone: a torchvision model, a small network or a callable of the user."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from skattr.nn._backbones.torchvision import (
    build_torchvision_model,
    normalization_of,
    remove_classifier,
)
from skattr.nn._backbones.weight_files import load_backbone_weights

_MLP_UNITS = 256


class PixelNormalization(nn.Module):
    """Convert uint8 images (n, H, W, 3) to floats (n, 3, H, W), and normalize them.

    Parameters
    ----------
    backbone : str or callable, optional
    weights : str, optional
        Torchvision's weights that are named have a mean and deviation of the channels of their
        own. Those of ImageNet are used otherwise.
    """

    def __init__(
        self, backbone: str | Callable[..., nn.Module] | None = None, weights: str | None = None
    ) -> None:
        super().__init__()
        self.scale: Tensor
        self.shift: Tensor
        mean, std = (torch.tensor(values) for values in normalization_of(backbone, weights))
        self.register_buffer("scale", 1 / (255 * std), persistent=False)
        self.register_buffer("shift", -mean / std, persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return a view in channels_last memory format."""
        # One fused operation that writes channels last: the images are read and written once.
        values = torch.addcmul(self.shift, pixels.to(self.scale.dtype), self.scale)
        return values.permute(0, 3, 1, 2)


class GlobalPooling(nn.Module):
    """Average maps (n, C, H, W) over their pixels; features (n, C) pass unchanged."""

    def forward(self, features: Tensor) -> Tensor:
        """Return features (n, C)."""
        if features.ndim <= 2:
            return features
        # A mean that is rounded to bfloat16 would be the same for many images.
        half = features.dtype in (torch.bfloat16, torch.float16)
        dtype = torch.float32 if half else None
        return features.mean(dim=tuple(range(2, features.ndim)), dtype=dtype)


def build_image_backbone(
    backbone: str | Callable[[], nn.Module],
    weights: str | None,
    image_size: tuple[int, int],
) -> tuple[nn.Module, int]:
    """Build the part of a network that maps normalized images to features.

    Parameters
    ----------
    backbone : str or callable
        Name of a torchvision classification model, or a callable without arguments that
        returns a module mapping (n, 3, H, W) to (n, F) or to maps (n, F, h, w).
    weights : str, optional
        "DEFAULT" or a name among the model's torchvision weights, or the path of a state dict.
    image_size : (height, width)

    Returns
    -------
    (Module, int)
        The backbone and its number of features. The module of a callable is its child "0".

    Raises
    ------
    ValueError
        If the name or the weights are unknown, the weights do not fit, the model has no known
        classifier, or a callable comes with the name of weights.
    """
    path = weights if weights is not None and Path(weights).is_file() else None
    if callable(backbone):
        if weights is not None and path is None:
            raise ValueError(
                f"weights={weights!r} is not a file, and a callable backbone has no weights that "
                "go by a name; give the path of a state dict, or load them in the callable."
            )
        own = backbone()
        model: nn.Module = nn.Sequential(own, GlobalPooling())
        n_features = _count_features(model, (3, *image_size))
    else:
        own = model = build_torchvision_model(backbone, None if path else weights, image_size)
        n_features = remove_classifier(model, backbone)
    if path is not None:
        # Only now: files may hold a classifier, and lazy layers have their shapes from the count.
        load_backbone_weights(own, path)
    return model, n_features


def build_feature_backbone(
    backbone: str | Callable[[int], nn.Module], n_inputs: int
) -> tuple[nn.Module, int]:
    """Build the part of a network that maps 2-D features to features.

    Parameters
    ----------
    backbone : {"linear", "mlp"} or callable
        "linear" passes the features on unchanged, "mlp" through a layer of 256 ReLU units. A
        callable is called with the number of columns and returns a module.
    n_inputs : int
        Columns of X.

    Returns
    -------
    (Module, int)
        The backbone and its number of features.
    """
    if backbone == "linear":
        return nn.Identity(), n_inputs
    if backbone == "mlp":
        return nn.Sequential(nn.Linear(n_inputs, _MLP_UNITS), nn.ReLU()), _MLP_UNITS
    if callable(backbone):
        model = backbone(n_inputs)
        return model, _count_features(model, (n_inputs,))
    raise ValueError(
        f"backbone={backbone!r} is a network for images, but X holds 2-D features; valid for "
        "them are 'auto', 'mlp' or a callable that takes the number of columns."
    )


def _count_features(model: nn.Module, shape: tuple[int, ...]) -> int:
    """Return the number of features that a model computes from inputs of a shape."""
    was_training = model.training
    with torch.no_grad():
        model.eval()  # statistics of batch normalization must not learn from zeros
        try:
            features = model(torch.zeros(0, *shape))  # an empty batch costs next to nothing
        except Exception:  # some layers need a row
            features = model(torch.zeros(1, *shape))
    model.train(was_training)
    return int(features.shape[1])
