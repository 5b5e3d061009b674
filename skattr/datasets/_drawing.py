"""Common steps of the generators of synthetic images: checks, random streams, drawing, files."""

import colorsys
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw

SUPERSAMPLING = 3  # images are drawn at this scale and reduced, for smooth edges
_MIN_SIDE = 8

Size = tuple[int, int]
# Draws the image of a row on a canvas of a size (width, height).
Draw = Callable[[int, Size, np.random.Generator], Image.Image]


def check_options(
    n_samples: Any, image_size: Any, folder: Any, shares: dict[str, Any]
) -> tuple[int, Size, Path | None]:
    """Return the checked number of images, their (height, width) and their directory.

    Each of `shares` must be in [0, 1].
    """
    n_samples = _check_int("n_samples", n_samples, minimum=1)
    sides = image_size if isinstance(image_size, tuple | list) else (image_size, image_size)
    if len(sides) != 2:
        raise ValueError(f"image_size must be an int or (height, width), got {image_size!r}.")
    height, width = (_check_int("each side of image_size", side, _MIN_SIDE) for side in sides)
    reals = int | float | np.integer | np.floating
    for name, value in shares.items():
        _check_number(name, value, reals, "a number in [0, 1]", 0, 1)
    if folder is None:
        return n_samples, (height, width), None
    if not isinstance(folder, str | os.PathLike):
        raise TypeError(f"folder must be a str, a path-like object or None, got {folder!r}.")
    directory = Path(folder)
    if directory.exists() and not directory.is_dir():
        raise ValueError(f"folder must be a directory or a path not yet in use, got {folder!r}.")
    return n_samples, (height, width), directory


def _check_number(
    name: str, value: Any, types: Any, valid: str, minimum: float, maximum: float = math.inf
) -> None:
    message = f"{name} must be {valid}, got {value!r}."
    if not isinstance(value, types) or isinstance(value, bool):
        raise TypeError(message)
    # The chained comparison is false for NaN.
    if not minimum <= value <= maximum:
        raise ValueError(message)


def _check_int(name: str, value: Any, minimum: int, otherwise: str = "") -> int:
    valid = f"an int of at least {minimum}{otherwise}"
    _check_number(name, value, int | np.integer, valid, minimum)
    return int(value)


def make_streams(
    random_state: Any, n_samples: int
) -> tuple[np.random.Generator, np.random.Generator, list[np.random.SeedSequence]]:
    """Return generators for labels and for missing labels, and the seed of each image.

    Each setting has its own stream, so that changing one does not change the others' draws.
    """
    if random_state is None:
        entropy = None
    elif isinstance(random_state, np.random.RandomState):
        entropy = random_state.randint(0, 2**32, size=4, dtype=np.uint32).tolist()
    else:
        otherwise = ", a numpy.random.RandomState or None"
        entropy = _check_int("random_state", random_state, 0, otherwise)
    labels, unknown, images = np.random.SeedSequence(entropy).spawn(3)
    return np.random.default_rng(labels), np.random.default_rng(unknown), images.spawn(n_samples)


def draw_images(
    draw: Draw,
    seeds: list[np.random.SeedSequence],
    shape: Size,
    brightness: tuple[float, float],
    noise: float,
    directory: Path | None,
) -> NDArray[np.uint8] | pd.DataFrame:
    """Draw one image per seed.

    Parameters
    ----------
    draw : callable
    seeds : list of n SeedSequence
    shape : (height, width)
    brightness : (low, high)
        Range of a random factor of all pixels of an image.
    noise : float
        Standard deviation of the noise of each pixel, as a share of 255.
    directory : Path, optional
        Where to write the images.

    Returns
    -------
    ndarray of shape (n, height, width, 3), uint8, or DataFrame of paths if there is a directory
    """
    size = (SUPERSAMPLING * shape[1], SUPERSAMPLING * shape[0])
    n_kept = 0 if directory else len(seeds)
    images = np.empty((n_kept, *shape, 3), dtype=np.uint8)
    if directory:
        directory.mkdir(parents=True, exist_ok=True)
    digits = max(5, len(str(len(seeds) - 1)))
    paths = []
    for i, seed in enumerate(seeds):
        rng = np.random.default_rng(seed)
        pixels = np.asarray(draw(i, size, rng).reduce(SUPERSAMPLING), dtype=np.float64)
        pixels *= rng.uniform(*brightness)
        pixels += 255.0 * noise * rng.standard_normal(pixels.shape)
        image = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
        if directory:
            paths.append(str(directory / f"{i:0{digits}d}.png"))
            Image.fromarray(image).save(paths[-1])
        else:
            images[i] = image
    return pd.DataFrame({"path": pd.Series(paths, dtype="str")}) if directory else images


def to_rgb(hue: float, saturation: float, value: float) -> tuple[int, int, int]:
    """Return a color in 0 to 255, of a hue in fractions of a full circle."""
    red, green, blue = colorsys.hsv_to_rgb(hue % 1.0, saturation, value)
    return round(255 * red), round(255 * green), round(255 * blue)


def paint(
    canvas: Image.Image,
    mask: Image.Image,
    color: tuple[int, int, int],
    period: float,
    striped: bool,
    rng: np.random.Generator,
) -> None:
    """Fill a mask with a color and, if `striped`, with stripes of a lighter or darker one."""
    canvas.paste(color, mask=mask)
    # Drawn even if unused, so that plain and striped images use the same random numbers.
    angle, phase, white = rng.uniform(0, math.pi), rng.random(), rng.random() < 0.5
    if striped:
        # Darker or lighter at random, so that the mean brightness does not reveal the stripes.
        shade = np.rint(0.45 * np.asarray(color) + 0.55 * 255 * white).astype(int)
        stripes = draw_stripes(canvas.size, period, angle, phase)
        canvas.paste(tuple(shade.tolist()), mask=ImageChops.multiply(mask, stripes))


def draw_stripes(size: Size, period: float, angle: float, phase: float) -> Image.Image:
    """Return a mask of parallel stripes."""
    width, height = size
    stripes = Image.new("L", size)
    draw = ImageDraw.Draw(stripes)
    reach = math.hypot(width, height)
    cos, sin = math.cos(angle), math.sin(angle)
    for k in range(-math.ceil(reach / period), math.ceil(reach / period) + 1):
        offset = (k + phase) * period
        x, y = width / 2 + offset * cos, height / 2 + offset * sin
        ends = (x - reach * sin, y + reach * cos, x + reach * sin, y - reach * cos)
        draw.line(ends, fill=255, width=max(1, round(period / 2)))
    return stripes
