"""Shared backbones: a torchvision model without its classifier, a small map, or the user's own."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from skattr.nn._backbones.torchvision import _torchvision_model, remove_classifier

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
_MLP_UNITS = 256


class PixelNormalization(nn.Module):
    """uint8 images (n, H, W, 3) to floats (n, 3, H, W) with ImageNet's mean and deviation."""

    def __init__(self) -> None:
        super().__init__()
        self.scale: Tensor
        self.shift: Tensor
        mean, std = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
        self.register_buffer("scale", 1 / (255 * std), persistent=False)
        self.register_buffer("shift", -mean / std, persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Normalise; the result is a channels_last view."""
        return torch.addcmul(self.shift, pixels.to(self.scale.dtype), self.scale).permute(
            0, 3, 1, 2
        )


class GlobalPooling(nn.Module):
    """Average maps (n, C, H, W) over their pixels; flat features pass."""

    def forward(self, features: Tensor) -> Tensor:
        """Return (n, C)."""
        return features.mean(dim=tuple(range(2, features.ndim))) if features.ndim > 2 else features


def build_image_backbone(
    backbone: str | Callable[[], nn.Module],
    weights: str | None,
    image_size: tuple[int, int],
) -> tuple[nn.Module, int]:
    """Build the part that maps normalised images to features.

    Parameters
    ----------
    backbone : str or callable
        Name of a torchvision classification model, or a callable without arguments that
        returns a module mapping (n, 3, H, W) to (n, F) or to maps (n, F, h, w).
    weights : str, optional
        A name among the model's torchvision weights or "DEFAULT".
    image_size : (height, width)

    Returns
    -------
    (Module, int)
        The backbone and its number of features.

    Raises
    ------
    ValueError
        If the name or the weights are unknown, no classifier is found to be taken off, or a
        callable comes with weights.
    """
    if not callable(backbone):
        model = _torchvision_model(backbone, weights, image_size)
        return model, remove_classifier(model, backbone)
    if weights is not None:
        raise ValueError(
            f"weights={weights!r} is no file, and a callable backbone has no weights that go by a "
            "name; give the path of a state dict, or load them in the callable."
        )
    model = nn.Sequential(backbone(), GlobalPooling())
    return model, _width(model, (3, *image_size))


def build_feature_backbone(
    backbone: str | Callable[[int], nn.Module], n_inputs: int
) -> tuple[nn.Module, int]:
    """Build the part that maps 2-D features to features.

    Parameters
    ----------
    backbone : {"linear", "mlp"} or callable
        "linear" passes the features to the branches as they are, "mlp" through one rectified
        layer of 256 units; a callable gets the number of columns and returns a module.
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
        return model, _width(model, (n_inputs,))
    raise ValueError(
        f"backbone={backbone!r} is a network for images, but X holds 2-D features; valid for "
        "them are 'auto', 'mlp' or a callable that takes the number of columns."
    )


def _width(model: nn.Module, shape: tuple[int, ...]) -> int:
    """Return how many features a model gives for inputs of a shape."""
    was_training = model.training
    with torch.no_grad():
        model.eval()
        try:
            features = model(torch.zeros(0, *shape))  # no row, should somebody count them
        except Exception:  # what fails on no row may well pass on one
            features = model(torch.zeros(1, *shape))
    model.train(was_training)
    return int(features.shape[1])


def load_backbone_weights(model: nn.Module, path: str) -> None:
    """Load a state dict from a file into a backbone, without unpickling code.

    Entries of a classifier that was taken off are ignored.

    Raises
    ------
    ValueError
        If an entry of the backbone is missing from the file or has another shape.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise
    except Exception as error:  # a file that is cut or no state dict raises nearly everything
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
            f"weights={path!r} does not fit: {wrong[0]!r} has the shape "
            f"{tuple(state[wrong[0]].shape)}, the backbone {tuple(wanted[wrong[0]].shape)}."
        )
    model.load_state_dict({key: state[key] for key in wanted})
