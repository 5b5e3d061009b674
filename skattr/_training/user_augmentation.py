"""Augmentation by callables of the user and transforms of torchvision."""

import contextlib
import inspect
import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from skattr.nn._random import make_generators, use_generators


class UserAugmentation:
    """Calls an augmentation of the user, and checks what it returns.

    All that it draws, from torch, NumPy's legacy functions or `random`, is determined by a seed,
    and the global states are restored.

    Parameters
    ----------
    function : callable
        A transform of torchvision, which is called with each image (3, H, W), or a callable for
        a batch (n, H, W, 3), and a generator if it takes two arguments.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.is_transform = is_torchvision_transform(function)
        self.generator_key = None if self.is_transform else _generator_parameter(function)

    def __call__(self, pixels: Tensor, generator: torch.Generator, seed: int = 0) -> Tensor:
        """Change a batch.

        Parameters
        ----------
        pixels : Tensor of shape (n, H, W, 3), uint8, or (n, n_features), float
        generator : torch.Generator
            On the device of the batch.
        seed : int
            Determines what is drawn elsewhere.

        Raises
        ------
        ValueError
            If the result has another shape, dtype, device or scale.
        """
        # Compared afterwards: the function may write into its argument.
        largest = pixels.max()
        with _seeded(pixels.device, seed):
            if self.is_transform:
                changed = self._transform(pixels)
            elif self.generator_key is None:
                changed = _checked(self.function(pixels), pixels)
            elif self.generator_key:
                options = {self.generator_key: generator}
                changed = _checked(self.function(pixels, **options), pixels)
            else:
                changed = _checked(self.function(pixels, generator), pixels)
        if pixels.dtype == torch.uint8 and bool(changed.max() <= 1 < largest):
            raise ValueError(
                f"augment returned {len(changed)} images in which no value is above 1; it must "
                "return uint8 (0 to 255), the scale that it is given."
            )
        return changed

    def _transform(self, pixels: Tensor) -> Tensor:
        """Change each image by itself: a transform draws once for all images that it is given."""
        if pixels.dtype != torch.uint8:
            raise ValueError(
                "augment is a transform of torchvision, which changes images, but X holds 2-D "
                "features."
            )
        images = pixels.permute(0, 3, 1, 2)
        try:
            changed = [self.function(image) for image in images]
        # Some transforms only take images of Pillow, floats, batches or larger images.
        except Exception as error:
            raise ValueError(
                "augment is a transform of torchvision that cannot change a uint8 tensor "
                f"(3, H, W): {error}"
            ) from error
        changed = [_checked(one, image) for one, image in zip(changed, images, strict=True)]
        return torch.stack(changed).permute(0, 2, 3, 1)


def is_torchvision_transform(function: Any) -> bool:
    """Whether a callable is a transform of torchvision (v1 or v2), or a sequence of them."""
    if isinstance(function, nn.Sequential):
        return len(function) > 0 and all(map(is_torchvision_transform, function))
    kinds = type(function).__mro__
    return any(kind.__module__.startswith("torchvision.transforms") for kind in kinds)


def _generator_parameter(function: Callable[..., Any]) -> str | None:
    """Return how a callable takes a generator.

    Returns
    -------
    str or None
        "" by position, the name of a keyword, or None if it takes the batch alone.
    """
    try:
        called = function.forward if isinstance(function, nn.Module) else function
        parameters = list(inspect.signature(called).parameters.values())
    except ValueError:  # such as functions of torch, which take a generator by keyword if at all
        return None
    if any(p.name == "generator" and p.kind is p.KEYWORD_ONLY for p in parameters):
        return "generator"
    by_position = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return ""
    # An optional second parameter is a setting of the user's, unless its name says otherwise.
    takes_two = len(by_position) > 1 and (
        by_position[1].default is inspect.Parameter.empty or by_position[1].name == "generator"
    )
    return "" if takes_two else None


def _checked(changed: Any, given: Tensor) -> Tensor:
    """Return a result as a plain tensor.

    Raises
    ------
    ValueError
        If it differs from what was given in shape, dtype, device or scale.
    """
    is_image = given.dtype == torch.uint8
    expected = (
        f"{str(given.dtype).removeprefix('torch.')}{' (0 to 255)' if is_image else ''} of shape "
        f"{tuple(given.shape)} on {given.device}, as it is given"
    )
    if not isinstance(changed, Tensor):
        raise ValueError(
            f"augment returned a {type(changed).__name__}; it must return a tensor {expected}."
        )
    changed = torch.Tensor.as_subclass(changed, Tensor)
    if (changed.dtype, changed.shape, changed.device) != (given.dtype, given.shape, given.device):
        hint = ""
        if is_image and changed.is_floating_point():
            hint = " Values from 0 to 255 become uint8 by .round().clamp(0, 255).to(torch.uint8)."
        raise ValueError(
            f"augment returned {str(changed.dtype).removeprefix('torch.')} of shape "
            f"{tuple(changed.shape)} on {changed.device}; it must return {expected}.{hint}"
        )
    result: Tensor = changed
    return result


@contextlib.contextmanager
def _seeded(device: torch.device, seed: int) -> Iterator[None]:
    """Seed the random generators that functions and transforms draw from, and restore them."""
    with use_generators(*make_generators(device, seed)):
        python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002
