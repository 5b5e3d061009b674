"""Shared backbones: a torchvision model without its classifier, a small map, or the user's own."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torchvision
from torch import Tensor, nn
from torch.func import functional_call

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
_MLP_UNITS = 256
_CLASSIFIERS = ("fc", "classifier", "head", "heads")
_SIZED = ("vit_", "maxvit")


class PixelNormalization(nn.Module):
    """uint8 pictures (n, H, W, 3) to floats (n, 3, H, W) with ImageNet's mean and deviation."""

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
    """Build the part that maps normalised pictures to features.

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
        f"backbone={backbone!r} is a network for pictures, but X holds 2-D features; legal for "
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


def _torchvision_model(name: str, weights: str | None, image_size: tuple[int, int]) -> nn.Module:
    names = torchvision.models.list_models(module=torchvision.models)
    if name not in names:
        raise ValueError(
            f"backbone={name!r} is unknown; for pictures it must be 'auto', a callable, or one of "
            f"torchvision's classification models: {', '.join(names)}."
        )
    options: dict[str, Any] = {}
    if name.startswith(_SIZED):
        key, value = (
            ("image_size", image_size[0]) if name.startswith("vit_") else ("input_size", image_size)
        )
        if name.startswith("vit_") and image_size[0] != image_size[1]:
            raise ValueError(f"backbone={name!r} needs square pictures, got {image_size}.")
        options[key] = value
    if name in ("googlenet", "inception_v3") and weights is None:
        options.update(aux_logits=False, init_weights=True)
    if weights is not None:
        legal = [member.name for member in torchvision.models.get_model_weights(name)]
        if weights not in ("DEFAULT", *legal):
            raise ValueError(
                f"weights={weights!r} is neither a file nor weights of {name!r}; legal names are "
                f"'DEFAULT', {', '.join(map(repr, legal))}."
            )
    try:
        model: nn.Module = torchvision.models.get_model(name, weights=weights, **options)
    except (ValueError, AssertionError) as error:
        if not options.keys() & {"image_size", "input_size"}:
            raise
        raise _unfit_size(name, image_size, error) from error
    except OSError as error:
        source = torchvision.models.get_model_weights(name)[str(weights)].url
        raise OSError(
            f"weights={weights!r} of {name!r} are not on this machine and could not be fetched "
            f"({error}). Bring the file {source} and give its path as `weights`."
        ) from error
    if getattr(model, "aux_logits", False):
        setattr(model, "aux_logits", False)  # noqa: B010  (not an attribute of every Module)
    return model


def _unfit_size(name: str, image_size: tuple[int, int], reason: BaseException) -> ValueError:
    return ValueError(
        f"backbone={name!r} cannot take pictures of image_size={image_size}; most often they must "
        f"be larger. {reason}"
    )


@contextlib.contextmanager
def naming_image_size(
    backbone: Any, model: nn.Module | None, image_size: tuple[int, int] | None
) -> Iterator[None]:
    """Name `backbone` and `image_size` in what torch raises of pictures a model cannot take.

    Whether it can take them is tried only after an error, and on the meta device, which computes
    nothing.

    Parameters
    ----------
    backbone : str or callable
        What a callable raises is left as it is.
    model : Module, optional
        The model of that name; None builds one where it is needed.
    image_size : (height, width), optional
        None where X holds 2-D features.

    Raises
    ------
    ValueError
        In place of what torch raises of the size.
    """
    try:
        yield
    except (RuntimeError, AssertionError) as error:
        if not isinstance(backbone, str) or image_size is None:
            raise
        tried = _torchvision_model(backbone, None, image_size) if model is None else model
        if _takes(tried, image_size):
            raise
        raise _unfit_size(backbone, image_size, error) from error


def _takes(model: nn.Module, image_size: tuple[int, int]) -> bool:
    """Tell whether a model can be run on a picture of a size."""
    was_training = model.training
    own = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    shapes = {name: torch.empty_like(values, device="meta") for name, values in own.items()}
    picture = torch.empty(1, 3, *image_size, dtype=next(model.parameters()).dtype, device="meta")
    try:
        with torch.no_grad():
            functional_call(model.eval(), shapes, (picture,))
    except Exception:
        return False
    finally:
        model.train(was_training)
    return True


def remove_classifier(model: nn.Module, name: str) -> int:
    """Replace the last linear map of a torchvision model by the identity, in place.

    Returns
    -------
    int
        The number of features that map received.

    Raises
    ------
    ValueError
        If the model has no classifier under one of torchvision's names.
    """
    for attribute in _CLASSIFIERS:
        head = getattr(model, attribute, None)
        if isinstance(head, nn.Linear):
            setattr(model, attribute, nn.Identity())
            return head.in_features
        if isinstance(head, nn.Sequential):
            for position in reversed(range(len(head))):
                layer = head[position]
                if isinstance(layer, nn.Linear | nn.Conv2d):
                    head[position] = nn.Identity()
                    return layer.in_features if isinstance(layer, nn.Linear) else layer.in_channels
    raise ValueError(f"backbone={name!r} has no classifier that can be taken off cleanly.")


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
