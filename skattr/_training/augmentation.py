"""Random augmentation of image batches on their device, with a local generator."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from skattr.nn._backbones.torchvision import IMAGENET_MEAN

Augmentation = Callable[[Tensor, torch.Generator], Tensor]
_LUMA = (0.299, 0.587, 0.114)
_YIQ = (_LUMA, (0.596, -0.274, -0.322), (0.211, -0.523, 0.312))


@dataclass(frozen=True)
class ImageAugmenter:
    """Augments a batch of images by several random changes in turn.

    Parameters
    ----------
    flip, shift, zoom, rotation, brightness, contrast, saturation, hue, erase
        Strengths; see :class:`skattr.Augmentation`. A change of strength 0 is off.
    mixup : float
        Not applied here: the net mixes rows together with their labels.
    test_flip : bool
        Not applied here: it is an option of prediction.
    """

    flip: bool = False
    shift: float = 0.0
    zoom: float = 0.0
    rotation: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    erase: float = 0.0
    mixup: float = 0.0
    test_flip: bool = False

    @property
    def needs_images(self) -> tuple[str, ...]:
        """The names of active changes that cannot be applied to 2-D features."""
        return tuple(name for name, value in vars(self).items() if value and name != "mixup")

    def __call__(self, pixels: Tensor, generator: torch.Generator) -> Tensor:
        """Change uint8 images (n, H, W, 3), each by its own random numbers."""
        if self.flip:
            pixels = flip(pixels, generator)
        if self.shift:
            pixels = shift(pixels, generator, self.shift)
        if self.zoom or self.rotation:
            pixels = zoom_and_rotate(pixels, generator, self.zoom, self.rotation)
        strengths = (self.brightness, self.contrast, self.saturation, self.hue)
        if any(strengths):
            pixels = change_colors(pixels, generator, *strengths)
        if self.erase:
            pixels = erase(pixels, generator, self.erase)
        return pixels


def flip(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror each image (n, H, W, 3) left to right with probability 1/2."""
    is_mirrored = torch.rand(len(pixels), 1, 1, 1, generator=generator, device=pixels.device) < 0.5
    return torch.where(is_mirrored, pixels.flip(2), pixels)


def shift(pixels: Tensor, generator: torch.Generator, largest: float) -> Tensor:
    """Move each image (n, H, W, 3) by up to a share of its sides, repeating its border."""
    n, device = len(pixels), pixels.device
    positions = []
    for length in pixels.shape[1:3]:
        most = round(length * largest)
        steps = torch.randint(-most, most + 1, (n, 1), generator=generator, device=device)
        positions.append((torch.arange(length, device=device) + steps).clamp(0, length - 1))
    rows, columns = positions
    index = torch.arange(n, device=device)
    return pixels[index[:, None, None], rows[:, :, None], columns[:, None, :]]


def zoom_and_rotate(
    pixels: Tensor, generator: torch.Generator, zoom: float, rotation: float
) -> Tensor:
    """Scale and rotate each image (n, H, W, 3) about its center, repeating its border.

    The logarithm of the factor is uniform in +- log(1 + `zoom`), the angle in +- `rotation`
    degrees. Pixels are interpolated bilinearly.
    """
    n, height, width = pixels.shape[:3]
    factor = torch.exp(_uniform(pixels, generator, math.log1p(zoom)))
    angle = torch.deg2rad(_uniform(pixels, generator, rotation))
    cos, sin, zero = torch.cos(angle) / factor, torch.sin(angle) / factor, torch.zeros_like(angle)
    rows = [cos, sin * height / width, zero, -sin * width / height, cos, zero]
    grid = functional.affine_grid(
        torch.stack(rows, dim=1).view(n, 2, 3), [n, 3, height, width], align_corners=False
    )
    result = functional.grid_sample(
        pixels.permute(0, 3, 1, 2).float(), grid, padding_mode="border", align_corners=False
    )
    return _as_pixels(result.permute(0, 2, 3, 1))


def change_colors(pixels: Tensor, generator: torch.Generator, *strengths: float) -> Tensor:
    """Change the colors of each image (n, H, W, 3) by an affine map.

    The `strengths` are those of brightness, contrast, saturation and hue; factors are uniform in 1
    +- the strengths. The brightness multiplies all values, the contrast the difference from the
    image's mean luma, and the saturation the difference from each pixel's luma. Then the color
    plane of YIQ is rotated by up to `hue` of a circle.
    """
    changes = [_uniform(pixels, generator, strength) for strength in strengths]
    light, spread, vividness = (1 + change for change in changes[:3])
    angle = 2 * math.pi * changes[3]
    colors = pixels.float()
    yiq = torch.tensor(_YIQ, dtype=torch.float64)
    to_yiq, from_yiq = yiq.to(colors), torch.linalg.inv(yiq).to(colors)
    cos, sin = torch.cos(angle) * vividness, torch.sin(angle) * vividness
    rotation = colors.new_zeros(len(pixels), 3, 3)
    rotation[:, 0, 0] = 1
    rotation[:, 1, 1], rotation[:, 1, 2], rotation[:, 2, 1], rotation[:, 2, 2] = cos, -sin, sin, cos
    # All four changes are one matrix and one offset per image: a single pass over the pixels. The
    # rotation does not change gray, so the offset of the contrast can be added at the end.
    matrix = from_yiq @ rotation @ to_yiq * (light * spread)[:, None, None]
    mean = colors.mean(dim=(1, 2)) @ to_yiq[0]
    offset = (1 - spread) * light * mean
    changed = colors.flatten(1, 2) @ matrix.transpose(1, 2) + offset[:, None, None]
    return _as_pixels(changed.view_as(pixels))


def erase(pixels: Tensor, generator: torch.Generator, largest: float) -> Tensor:
    """Fill a rectangle of each image (n, H, W, 3) with the mean color of ImageNet.

    Its sides are up to the share `largest` of the image's, and its position is uniform.
    """
    n, device = len(pixels), pixels.device
    spans = []
    for length in pixels.shape[1:3]:
        extent = torch.rand(n, 1, generator=generator, device=device) * largest * length
        start = torch.rand(n, 1, generator=generator, device=device) * (length - extent)
        centers = torch.arange(length, device=device) + 0.5
        spans.append((centers >= start) & (centers < start + extent))
    hidden = spans[0][:, :, None, None] & spans[1][:, None, :, None]
    color = torch.tensor([round(255 * mean) for mean in IMAGENET_MEAN], dtype=torch.uint8)
    return torch.where(hidden, color.to(device), pixels)


def _uniform(pixels: Tensor, generator: torch.Generator, largest: float) -> Tensor:
    """Draw a number per image in +- `largest`; nothing is drawn for 0."""
    if not largest:
        return torch.zeros(len(pixels), device=pixels.device)
    drawn = torch.rand(len(pixels), generator=generator, device=pixels.device)
    return (2 * drawn - 1) * largest


def _as_pixels(values: Tensor) -> Tensor:
    return values.round().clamp(0, 255).to(torch.uint8)
