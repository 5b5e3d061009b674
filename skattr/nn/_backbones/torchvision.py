"""Torchvision's classification models as backbones."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import nn
from torch.func import functional_call

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
CLASSIFIERS = ("fc", "classifier", "head", "heads")  # attributes that hold the last linear map
# Further classifiers that only training of the original model uses.
AUXILIARY_CLASSIFIERS = ("aux1", "aux2", "AuxLogits")

Channels = tuple[float, float, float]


def check_names(backbone: str | Callable[..., nn.Module], weights: str | None) -> None:
    """Check the name of a backbone and the name of its weights.

    Callables and paths of existing files pass.

    Raises
    ------
    ValueError
        If a name is unknown.
    """
    if callable(backbone):
        return
    names = torchvision.models.list_models(module=torchvision.models)
    if backbone not in names:
        raise ValueError(
            f"backbone={backbone!r} is unknown; for images it must be a callable or one of "
            f"torchvision's classification models: {', '.join(names)}."
        )
    if weights is None or Path(weights).is_file():
        return
    valid = [member.name for member in torchvision.models.get_model_weights(backbone)]
    if weights not in ("DEFAULT", *valid):
        raise ValueError(
            f"weights={weights!r} is neither a file nor weights of {backbone!r}; valid names are "
            f"'DEFAULT', {', '.join(map(repr, valid))}."
        )


def normalization_of(
    backbone: str | Callable[..., nn.Module] | None, weights: str | None
) -> tuple[Channels, Channels]:
    """Return the mean and the deviation of the channels that weights were trained with.

    They are those of ImageNet for random weights, files and callables, which say nothing of them.

    Examples
    --------
    >>> normalization_of("efficientnet_v2_l", "DEFAULT")
    ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    """
    if not isinstance(backbone, str) or weights is None or Path(weights).is_file():
        return IMAGENET_MEAN, IMAGENET_STD
    check_names(backbone, weights)
    transform: Any = torchvision.models.get_model_weights(backbone)[weights].transforms()
    return tuple(transform.mean), tuple(transform.std)


def build_torchvision_model(
    name: str, weights: str | None, image_size: tuple[int, int]
) -> nn.Module:
    """Build a classification model of torchvision, with its classifier.

    Parameters
    ----------
    name : str
    weights : str, optional
        A name among the weights of the model, or "DEFAULT".
    image_size : (height, width)
        Only some transformers are built for a size.

    Raises
    ------
    ValueError
        If a name is unknown, or the model cannot be built for the size.
    OSError
        If the weights can be neither found nor downloaded.
    """
    check_names(name, weights)
    options: dict[str, Any] = {}
    if name.startswith("vit_"):
        if image_size[0] != image_size[1]:
            raise ValueError(f"backbone={name!r} needs square images; got {image_size}.")
        options["image_size"] = image_size[0]
    elif name.startswith("maxvit"):
        options["input_size"] = image_size
    elif name in ("googlenet", "inception_v3") and weights is None:
        # Auxiliary classifiers would make the output a tuple in training. The default
        # initialization gives a FutureWarning unless it is asked for.
        options.update(aux_logits=False, init_weights=True)
    try:
        model: nn.Module = torchvision.models.get_model(name, weights=weights, **options)
    except (ValueError, AssertionError) as error:
        if not options.keys() & {"image_size", "input_size"}:
            raise
        raise _image_size_error(name, image_size, error) from error
    except OSError as error:
        source = torchvision.models.get_model_weights(name)[str(weights)].url
        raise OSError(
            f"weights={weights!r} of {name!r} are not on this machine and could not be downloaded "
            f"({error}). Download {source} elsewhere, and put the file into the folder "
            f"{str(Path(torch.hub.get_dir()) / 'checkpoints')!r}."
        ) from error
    if getattr(model, "aux_logits", False):  # set by the pretrained weights of GoogLeNet, Inception
        setattr(model, "aux_logits", False)  # noqa: B010  (not an attribute of every Module)
    return model


def remove_classifier(model: nn.Module, name: str) -> int:
    """Replace the last linear map of a torchvision model by the identity, in place.

    Parameters
    ----------
    model : Module
    name : str
        Its name, for the error.

    Returns
    -------
    int
        Number of features that the map received.

    Raises
    ------
    ValueError
        If the model has no classifier under one of torchvision's names.
    """
    for attribute in CLASSIFIERS:
        head = getattr(model, attribute, None)
        if isinstance(head, nn.Sequential) and not _is_finite(head):
            # The weights VGG16 "IMAGENET1K_FEATURES" have no classifier: it is all NaN.
            setattr(model, attribute, nn.Identity())
            return next(part.in_features for part in head if isinstance(part, nn.Linear))
        if isinstance(head, nn.Linear):
            setattr(model, attribute, nn.Identity())
            return head.in_features
        if isinstance(head, nn.Sequential):
            for position in reversed(range(len(head))):
                layer = head[position]
                if isinstance(layer, nn.Linear | nn.Conv2d):  # SqueezeNet ends in a convolution
                    head[position] = nn.Identity()
                    return layer.in_features if isinstance(layer, nn.Linear) else layer.in_channels
    raise ValueError(f"backbone={name!r} has no classifier under one of the names {CLASSIFIERS}.")


def _is_finite(module: nn.Module) -> bool:
    return all(bool(values.isfinite().all()) for values in module.parameters())


@contextlib.contextmanager
def naming_image_size(
    backbone: Any, model: nn.Module | None, image_size: tuple[int, int] | None
) -> Iterator[None]:
    """Name `backbone` and `image_size` in errors about images that a model cannot process.

    Torch's own messages are about kernels and maps, and do not differ by type from other errors.
    Whether the size is to blame is therefore tried, but only after an error, and on the meta
    device, which computes nothing.

    Parameters
    ----------
    backbone : str or callable
        Errors of a callable are left as they are.
    model : Module, optional
        The model of that name. None builds one where it is needed.
    image_size : (height, width), optional
        None where X holds 2-D features.

    Raises
    ------
    ValueError
        In place of a RuntimeError or AssertionError about the size.
    """
    try:
        yield
    except (RuntimeError, AssertionError) as error:
        if not isinstance(backbone, str) or image_size is None:
            raise
        if model is None:
            model = build_torchvision_model(backbone, None, image_size)
        if _can_process(model, image_size):
            raise
        raise _image_size_error(backbone, image_size, error) from error


def _can_process(model: nn.Module, image_size: tuple[int, int]) -> bool:
    """Whether a forward pass on one image of a size succeeds."""
    was_training = model.training
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    shapes = {name: torch.empty_like(values, device="meta") for name, values in tensors.items()}
    image = torch.empty(1, 3, *image_size, dtype=next(model.parameters()).dtype, device="meta")
    try:
        with torch.no_grad():
            functional_call(model.eval(), shapes, (image,))
    except Exception:
        return False
    finally:
        model.train(was_training)
    return True


def _image_size_error(name: str, image_size: tuple[int, int], reason: BaseException) -> ValueError:
    return ValueError(
        f"backbone={name!r} cannot take images of image_size={image_size}; most often they must "
        f"be larger. {reason}"
    )
