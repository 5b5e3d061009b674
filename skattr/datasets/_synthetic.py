"""Seeded pictures of shapes whose attributes are known exactly."""

from __future__ import annotations

import colorsys
import math
import os
from collections.abc import Iterator
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Literal, TypeAlias, overload

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw
from sklearn.utils import Bunch

AttributeKind: TypeAlias = str | tuple[str, list[Any]]
ImageData: TypeAlias = NDArray[np.uint8] | pd.DataFrame

_HUES = {"red": 0, "yellow": 60, "green": 120, "cyan": 180, "blue": 240, "magenta": 300}
# Circumradius as a share of the shorter picture side; three large shapes still fit.
_RADII = {"small": 0.12, "medium": 0.165, "large": 0.22}
# Polygons as (radius, turn) pairs, the turn in fractions of a full circle.
_OUTLINES = {
    "square": [(1.0, k / 4) for k in range(4)],
    "triangle": [(1.0, k / 3) for k in range(3)],
    "cross": [
        (radius, k / 4 + turn)
        for k in range(4)
        for radius, turn in [(1.0, -0.05), (1.0, 0.05), (0.437, 0.125)]
    ],
}
_LEVELS: dict[str, list[Any]] = {
    "colour": list(_HUES),
    "shape": ["circle", *_OUTLINES],
    "size": list(_RADII),
    "striped": [False, True],
    "count": [1, 2, 3],
}
_DTYPES = {"colour": "str", "shape": "str", "size": "str", "striped": "boolean", "count": "Int64"}
_ORDINAL = ("size", "count")
_BINARY = ("striped",)

_SUPERSAMPLING = 3
_LAYOUT_TRIES = 64
_NODES = 4
_MIN_SIDE = 8

_DESCR = """\
Synthetic attribute images
--------------------------
Each picture shows one to three copies of one shape, at random places and angles, on a
random colour gradient with clutter, brightness changes and pixel noise.

colour   categorical  red, yellow, green, cyan, blue, magenta
shape    categorical  circle, square, triangle, star, cross
size     ordinal      small < medium < large
striped  binary       False, True
count    ordinal      1 < 2 < 3
"""


@overload
def make_attribute_images(
    n_samples: int = ...,
    *,
    image_size: int | tuple[int, int] = ...,
    imbalance: float = ...,
    correlation: float = ...,
    noise: float = ...,
    missing: float = ...,
    folder: str | os.PathLike[str] | None = ...,
    return_X_y: Literal[False] = ...,
    random_state: int | np.random.RandomState | None = ...,
) -> Bunch: ...


@overload
def make_attribute_images(
    n_samples: int = ...,
    *,
    image_size: int | tuple[int, int] = ...,
    imbalance: float = ...,
    correlation: float = ...,
    noise: float = ...,
    missing: float = ...,
    folder: str | os.PathLike[str] | None = ...,
    return_X_y: Literal[True],
    random_state: int | np.random.RandomState | None = ...,
) -> tuple[ImageData, pd.DataFrame]: ...


def make_attribute_images(
    n_samples: int = 100,
    *,
    image_size: int | tuple[int, int] = 32,
    imbalance: float = 0.0,
    correlation: float = 0.0,
    noise: float = 0.05,
    missing: float = 0.0,
    folder: str | os.PathLike[str] | None = None,
    return_X_y: bool = False,
    random_state: int | np.random.RandomState | None = None,
) -> Bunch | tuple[ImageData, pd.DataFrame]:
    """Make pictures of shapes together with a table of their attributes.

    Every picture shows `count` copies of one `shape` in one `colour` and `size`, plain or
    `striped`. Place, angle, background, clutter and brightness are random, so that a linear
    model on the pixels learns little of shape, texture and count.

    Parameters
    ----------
    n_samples : int, default=100
        Number of pictures, at least 1.
    image_size : int or (int, int), default=32
        Side of the square pictures, or their (height, width), in pixels; at least 8.
    imbalance : float, default=0.0
        Unevenness of the levels, in [0, 1): level ``k`` (from 0) of each attribute has
        probability proportional to ``(1 - imbalance) ** k``, so 0 is balanced.
    correlation : float, default=0.0
        Dependence between the attributes, in [0, 1]. Each picture has a latent uniform
        number. Each attribute's level is the quantile of its own distribution at that
        latent with probability `correlation`, else at a uniform number of its own; the
        distribution of each attribute is therefore the same for every `correlation`.
    noise : float, default=0.05
        Standard deviation of the Gaussian noise added to each channel of each pixel, as a
        share of the range 0 to 255; at least 0.
    missing : float, default=0.0
        Probability in [0, 1] that an entry of the table is unknown, for each entry by
        itself. Pictures and known entries do not depend on it.
    folder : str or path-like, default=None
        Directory to write the pictures to as ``00000.png`` and so on, made where needed;
        files of these names are replaced. None keeps the pictures in memory.
    return_X_y : bool, default=False
        Whether to return the pair ``(data, target)`` instead of a Bunch.
    random_state : int, numpy.random.RandomState or None, default=None
        Seed, or source of the seed. None takes fresh entropy from the operating system.
        With one int, the rows of a smaller `n_samples` begin those of a larger one.

    Returns
    -------
    data : sklearn.utils.Bunch
        With these entries:

        data : ndarray of shape (n_samples, height, width, 3), dtype uint8, or DataFrame
            The RGB pictures; where `folder` is given, a DataFrame of shape (n_samples, 1)
            whose column ``path`` (str) holds the path of each file.
        target : DataFrame of shape (n_samples, 5)
            Columns ``colour``, ``shape``, ``size`` (str, unknown is NaN), ``striped``
            (boolean, unknown is NA) and ``count`` (Int64, unknown is NA).
        attribute_kinds : dict
            From column to ``"binary"``, ``"categorical"`` or ``("ordinal", levels)``, the
            levels in rising order.
        DESCR : str
            Description of the data set.
    (data, target) : tuple
        Only these two entries, where `return_X_y` is true.

    Raises
    ------
    TypeError
        If a parameter has the wrong type.
    ValueError
        If a parameter has an illegal value.

    Examples
    --------
    >>> from skattr.datasets import make_attribute_images
    >>> shapes = make_attribute_images(200, image_size=(32, 48), random_state=0)
    >>> shapes.data.shape, shapes.data.dtype
    ((200, 32, 48, 3), dtype('uint8'))
    >>> list(shapes.target)
    ['colour', 'shape', 'size', 'striped', 'count']
    >>> shapes.attribute_kinds["size"]
    ('ordinal', ['small', 'medium', 'large'])
    """
    n_samples = _check_int("n_samples", n_samples, minimum=1)
    height, width = _check_image_size(image_size)
    imbalance = _check_float("imbalance", imbalance, maximum=1.0, closed=False)
    correlation = _check_float("correlation", correlation, maximum=1.0)
    noise = _check_float("noise", noise, maximum=math.inf, closed=False)
    missing = _check_float("missing", missing, maximum=1.0)
    if not isinstance(return_X_y, bool | np.bool_):
        raise TypeError(f"return_X_y must be True or False, got {return_X_y!r}.")
    directory = _check_folder(folder)

    # One stream each, so that one setting never changes what another one draws.
    label_seed, unknown_seed, picture_seed = _seed_sequence(random_state).spawn(3)
    codes = _draw_codes(n_samples, imbalance, correlation, np.random.default_rng(label_seed))
    unknown = np.random.default_rng(unknown_seed).random((n_samples, len(_LEVELS))) < missing
    pictures = _draw_pictures(codes, picture_seed.spawn(n_samples), height, width, noise)
    data: ImageData
    if directory is None:
        data = np.empty((n_samples, height, width, 3), dtype=np.uint8)
        for i, picture in enumerate(pictures):
            data[i] = picture
    else:
        data = _write_pictures(pictures, directory, n_samples)
    target = _make_table(codes, unknown)
    if return_X_y:
        return data, target
    return Bunch(data=data, target=target, attribute_kinds=_attribute_kinds(), DESCR=_DESCR)


def _check_int(name: str, value: Any, minimum: int) -> int:
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise TypeError(f"{name} must be an int of at least {minimum}, got {value!r}.")
    if value < minimum:
        raise ValueError(f"{name} must be an int of at least {minimum}, got {value!r}.")
    return int(value)


def _check_float(name: str, value: Any, maximum: float, closed: bool = True) -> float:
    legal = f"a number in [0, {maximum:g}{']' if closed else ')'}"
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError(f"{name} must be {legal}, got {value!r}.")
    # Written so that NaN, for which every comparison is false, is refused as well.
    if not (0 <= value < maximum or (closed and value == maximum)):
        raise ValueError(f"{name} must be {legal}, got {value!r}.")
    return float(value)


def _check_image_size(image_size: Any) -> tuple[int, int]:
    if isinstance(image_size, tuple | list):
        if len(image_size) != 2:
            raise ValueError(
                f"image_size must be an int or a pair (height, width), got {image_size!r}."
            )
        height, width = (_check_int("each side of image_size", s, _MIN_SIDE) for s in image_size)
        return height, width
    side = _check_int("image_size (or each of its two sides)", image_size, _MIN_SIDE)
    return side, side


def _check_folder(folder: Any) -> Path | None:
    if folder is None:
        return None
    if not isinstance(folder, str | os.PathLike):
        raise TypeError(f"folder must be a str, a path-like object or None, got {folder!r}.")
    directory = Path(folder)
    if directory.exists() and not directory.is_dir():
        raise ValueError(f"folder must be a directory or a path not yet in use, got {folder!r}.")
    return directory


def _seed_sequence(random_state: Any) -> np.random.SeedSequence:
    if random_state is None:
        return np.random.SeedSequence()
    if isinstance(random_state, np.random.RandomState):
        words = random_state.randint(0, 2**32, size=4, dtype=np.uint32)
        return np.random.SeedSequence(words.tolist())
    legal = "an int in [0, 2**32 - 1], a numpy.random.RandomState or None"
    if not isinstance(random_state, Integral) or isinstance(random_state, bool):
        raise TypeError(f"random_state must be {legal}, got {random_state!r}.")
    if not 0 <= random_state < 2**32:
        raise ValueError(f"random_state must be {legal}, got {random_state!r}.")
    return np.random.SeedSequence(int(random_state))


def _draw_codes(
    n_samples: int, imbalance: float, correlation: float, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Draw the level index of each attribute, shape (n_samples, n_attributes)."""
    n_attributes = len(_LEVELS)
    # One row of numbers per picture, whatever the settings, keeps smaller sets prefixes.
    draws = rng.random((n_samples, 1 + 2 * n_attributes))
    latent, own, coin = np.split(draws, [1, 1 + n_attributes], axis=1)
    uniform = np.where(coin < correlation, latent, own)
    codes = np.empty((n_samples, n_attributes), dtype=np.intp)
    for j, levels in enumerate(_LEVELS.values()):
        weights = (1.0 - imbalance) ** np.arange(len(levels))
        bounds = np.cumsum(weights / weights.sum())[:-1]
        codes[:, j] = np.searchsorted(bounds, uniform[:, j], side="right")
    return codes


def _make_table(codes: NDArray[np.intp], unknown: NDArray[np.bool_]) -> pd.DataFrame:
    columns = {}
    for j, (name, levels) in enumerate(_LEVELS.items()):
        column = pd.Series([levels[code] for code in codes[:, j]], dtype=_DTYPES[name])
        columns[name] = column.mask(unknown[:, j])
    return pd.DataFrame(columns)


def _attribute_kinds() -> dict[str, AttributeKind]:
    kinds: dict[str, AttributeKind] = dict.fromkeys(_LEVELS, "categorical")
    kinds.update(dict.fromkeys(_BINARY, "binary"))
    kinds.update({name: ("ordinal", list(_LEVELS[name])) for name in _ORDINAL})
    return kinds


def _write_pictures(
    pictures: Iterator[NDArray[np.uint8]], directory: Path, n_samples: int
) -> pd.DataFrame:
    directory.mkdir(parents=True, exist_ok=True)
    digits = max(5, len(str(n_samples - 1)))
    paths = []
    for i, picture in enumerate(pictures):
        path = directory / f"{i:0{digits}d}.png"
        Image.fromarray(picture).save(path)
        paths.append(str(path))
    return pd.DataFrame({"path": pd.Series(paths, dtype="str")})


def _draw_pictures(
    codes: NDArray[np.intp],
    seeds: list[np.random.SeedSequence],
    height: int,
    width: int,
    noise: float,
) -> Iterator[NDArray[np.uint8]]:
    for row, seed in zip(codes, seeds, strict=True):
        rng = np.random.default_rng(seed)
        levels = {name: _LEVELS[name][code] for name, code in zip(_LEVELS, row, strict=True)}
        canvas = _draw_background(height, width, rng)
        _draw_shapes(canvas, levels, rng)
        pixels = np.asarray(canvas.reduce(_SUPERSAMPLING), dtype=np.float64)
        pixels *= rng.uniform(0.7, 1.1)
        pixels += 255.0 * noise * rng.standard_normal(pixels.shape)
        yield np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


def _rgb(hue: float, saturation: float, value: float) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1.0, saturation, value)
    return round(255 * red), round(255 * green), round(255 * blue)


def _draw_background(height: int, width: int, rng: np.random.Generator) -> Image.Image:
    """Draw a gradient of pale or dull colours with small clutter of any colour."""
    # Nodes of much the same hue: its weight in the mean colour hides that of the shapes. More
    # nodes than corners: else the colour of the middle follows linearly from that of the edge.
    hue = rng.random()
    low, high = [hue - 0.1, 0.2, 0.15], [hue + 0.1, 0.6, 0.9]
    nodes = np.array([_rgb(*rng.uniform(low, high)) for _ in range(_NODES**2)], dtype=np.uint8)
    size = (_SUPERSAMPLING * width, _SUPERSAMPLING * height)
    canvas = Image.fromarray(nodes.reshape(_NODES, _NODES, 3))
    canvas = canvas.resize(size, Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(canvas)
    unit = min(size)
    for _ in range(rng.integers(3, 9)):
        x, y = rng.uniform(0, size)
        colour = _rgb(*rng.uniform([0, 0, 0.2], [1, 1, 1]))
        if rng.random() < 0.5:
            radius = unit * rng.uniform(0.02, 0.045)
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
        else:
            dx, dy = unit * rng.uniform(-0.3, 0.3, size=2)
            draw.line((x, y, x + dx, y + dy), fill=colour, width=max(1, round(unit * 0.03)))
    return canvas


def _draw_shapes(canvas: Image.Image, levels: dict[str, Any], rng: np.random.Generator) -> None:
    radius = min(canvas.size) * _RADII[levels["size"]] * rng.uniform(0.95, 1.05)
    hue = _HUES[levels["colour"]] / 360 + rng.uniform(-0.03, 0.03)
    colour = np.array(_rgb(hue, rng.uniform(0.8, 1.0), rng.uniform(0.6, 1.0)))
    mask = Image.new("L", canvas.size)
    draw = ImageDraw.Draw(mask)
    for x, y in _place_shapes(levels["count"], radius, canvas.size, rng):
        angle = rng.uniform(0, 2 * math.pi)
        if levels["shape"] == "circle":
            # A little smaller, as a circle fills its circumradius more than the others do.
            r = 0.85 * radius
            draw.ellipse((x - r, y - r, x + r, y + r), fill=255)
        else:
            turns = [(radius * r, angle + 2 * math.pi * t) for r, t in _OUTLINES[levels["shape"]]]
            draw.polygon([(x + r * math.cos(t), y + r * math.sin(t)) for r, t in turns], fill=255)
    canvas.paste(tuple(colour.tolist()), mask=mask)
    # Drawn even where unused, to keep the stream in step between plain and striped.
    angle, phase, white = rng.uniform(0, math.pi), rng.random(), rng.random() < 0.5
    if levels["striped"]:
        # Darker or lighter by chance, so that the mean brightness does not tell.
        shade = np.rint(0.3 * colour + 0.7 * 255 * white).astype(int)
        stripes = _draw_stripes(canvas.size, 0.8 * radius, angle, phase)
        canvas.paste(tuple(shade.tolist()), mask=ImageChops.multiply(mask, stripes))


def _place_shapes(
    count: int, radius: float, size: tuple[int, int], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Choose centres, shape (count, 2), with the shapes inside the canvas and apart."""
    high = np.array(size) - radius
    layouts = rng.uniform(radius, high, size=(_LAYOUT_TRIES, count, 2))
    first, second = np.triu_indices(count, k=1)
    gaps = np.linalg.norm(layouts[:, first] - layouts[:, second], axis=-1)
    closest = gaps.min(axis=1, initial=np.inf)
    # The first layout without overlap, else the one that overlaps least.
    best = np.argmax(np.minimum(closest, 2.1 * radius))
    return np.asarray(layouts[best])


def _draw_stripes(size: tuple[int, int], period: float, angle: float, phase: float) -> Image.Image:
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
