"""Backbones of torchvision."""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
import torchvision
from torch import nn
from torch.func import functional_call

_CLASSIFIERS = ("fc", "classifier", "head", "heads")


_SIZED = ("vit_", "maxvit")


def _torchvision_model(name: str, weights: str | None, image_size: tuple[int, int]) -> nn.Module:
    names = torchvision.models.list_models(module=torchvision.models)
    if name not in names:
        raise ValueError(
            f"backbone={name!r} is unknown; for images it must be 'auto', a callable, or one of "
            f"torchvision's classification models: {', '.join(names)}."
        )
    options: dict[str, Any] = {}
    if name.startswith(_SIZED):
        key, value = (
            ("image_size", image_size[0]) if name.startswith("vit_") else ("input_size", image_size)
        )
        if name.startswith("vit_") and image_size[0] != image_size[1]:
            raise ValueError(f"backbone={name!r} needs square images, got {image_size}.")
        options[key] = value
    if name in ("googlenet", "inception_v3") and weights is None:
        options.update(aux_logits=False, init_weights=True)
    if weights is not None:
        valid = [member.name for member in torchvision.models.get_model_weights(name)]
        if weights not in ("DEFAULT", *valid):
            raise ValueError(
                f"weights={weights!r} is neither a file nor weights of {name!r}; valid names are "
                f"'DEFAULT', {', '.join(map(repr, valid))}."
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
        f"backbone={name!r} cannot take images of image_size={image_size}; most often they must "
        f"be larger. {reason}"
    )


@contextlib.contextmanager
def naming_image_size(
    backbone: Any, model: nn.Module | None, image_size: tuple[int, int] | None
) -> Iterator[None]:
    """Name `backbone` and `image_size` in what torch raises of images a model cannot take.

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
    """Tell whether a model can be run on an image of a size."""
    was_training = model.training
    own = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    shapes = {name: torch.empty_like(values, device="meta") for name, values in own.items()}
    image = torch.empty(1, 3, *image_size, dtype=next(model.parameters()).dtype, device="meta")
    try:
        with torch.no_grad():
            functional_call(model.eval(), shapes, (image,))
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
