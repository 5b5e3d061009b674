"""Random changes of picture batches on their device, each drawn from a generator of our own."""

from collections.abc import Callable

import torch
from torch import Tensor

Augmentation = Callable[[Tensor, torch.Generator], Tensor]
_LARGEST_SHIFT = 1 / 16


def flip(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror each picture (n, H, W, 3) left to right with probability 1/2.

    It changes what tells left from right.
    """
    mirrored = torch.rand(len(pixels), generator=generator, device=pixels.device) < 0.5
    return torch.where(mirrored[:, None, None, None], pixels.flip(2), pixels)


def shift(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Move each picture (n, H, W, 3) by up to 1/16 of its sides, repeating its border.

    It changes positions, and cuts what stands at the border.
    """
    n, height, width = pixels.shape[:3]
    rows = _moved(n, height, pixels.device, generator)
    columns = _moved(n, width, pixels.device, generator)
    index = torch.arange(n, device=pixels.device)
    return pixels[index[:, None, None], rows[:, :, None], columns[:, None, :]]


def _moved(n: int, length: int, device: torch.device, generator: torch.Generator) -> Tensor:
    largest = int(round(length * _LARGEST_SHIFT))
    steps = torch.randint(-largest, largest + 1, (n, 1), generator=generator, device=device)
    return (torch.arange(length, device=device) + steps).clamp(0, length - 1)


def flip_shift(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Apply :func:`flip`, then :func:`shift`."""
    return shift(flip(pixels, generator), generator)


AUGMENTATIONS: dict[str, Augmentation] = {"flip": flip, "shift": shift, "flip_shift": flip_shift}
