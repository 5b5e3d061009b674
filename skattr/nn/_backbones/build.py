"""Build the shared backbone: a torchvision model, a small network or a callable of the user."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from skattr.nn._backbones.torchvision import build_torchvision_model, remove_classifier

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
_MLP_UNITS = 256


class PixelNormalization(nn.Module):
    """Convert uint8 images (n, H, W, 3) to floats (n, 3, H, W), normalized as for ImageNet."""

    def __init__(self) -> None:
        super().__init__()
        self.scale: Tensor
        self.shift: Tensor
        mean, std = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
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


def load_backbone_weights(model: nn.Module, path: str) -> None:
    """Load a state dict from a file into a backbone, without unpickling code.

    Entries that the backbone does not have, such as those of a classifier, are ignored.

    Raises
    ------
    ValueError
        If the file is no state dict, or an entry of the backbone is missing from it or has another
        shape.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise
    except Exception as error:  # truncated or foreign files raise nearly every type of error
        raise ValueError(
            f"weights={path!r} is no state dict that can be read without running its code; make "
            "one with torch.save(module.state_dict(), path)."
        ) from error
    wanted = model.state_dict()
    missing = [key for key in wanted if key not in state]
    if missing:
        raise ValueError(
            f"weights={path!r} lacks {len(missing)} of the backbone's {len(wanted)} entries, "
            f"the first being {missing[0]!r}."
        )
    wrong = [key for key in wanted if state[key].shape != wanted[key].shape]
    if wrong:
        raise ValueError(
            f"weights={path!r} does not fit: {wrong[0]!r} has shape "
            f"{tuple(state[wrong[0]].shape)}; expected {tuple(wanted[wrong[0]].shape)}."
        )
    model.load_state_dict({key: state[key] for key in wanted})
