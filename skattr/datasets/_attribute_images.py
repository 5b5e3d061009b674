"""Synthetic images of shapes with exactly known attributes."""

import math
import os
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from sklearn.utils import Bunch

from skattr.datasets._drawing import (
    Size,
    check_options,
    draw_images,
    make_streams,
    paint,
    to_rgb,
)

_HUES = {"red": 0, "yellow": 60, "green": 120, "cyan": 180, "blue": 240, "magenta": 300}
# Circumradius as a share of the shorter image side; three large shapes still fit.
_RADII = {"small": 0.14, "medium": 0.185, "large": 0.245}
# Polygons as (radius, turn) pairs, the turn in fractions of a full circle.
_OUTLINES = {
    "bar": [(1.0, turn) for turn in (-0.05, 0.05, 0.45, 0.55)],
    "triangle": [(1.0, k / 3) for k in range(3)],
    "cross": [
        (radius, k / 4 + turn)
        for k in range(4)
        for radius, turn in [(1.0, -0.05), (1.0, 0.05), (0.437, 0.125)]
    ],
}
_LEVELS: dict[str, list[Any]] = {
    "color": list(_HUES),
    "shape": ["circle", *_OUTLINES],
    "size": list(_RADII),
    "striped": [False, True],
    "count": [1, 2, 3],
}
_KINDS = {"color": "categorical", "shape": "categorical", "striped": "binary"}
_DTYPES = {"color": "str", "shape": "str", "size": "str", "striped": "boolean", "count": "Int64"}
_LAYOUT_TRIES = 64
_NODES = 3

_DESCR = """\
Synthetic attribute images. Each image shows one to three copies of one shape, at random
places and angles, on a random background with clutter, brightness changes and pixel noise.

color   categorical  red, yellow, green, cyan, blue, magenta
shape    categorical  circle, bar, triangle, cross
size     ordinal      small < medium < large
striped  binary       False, True
count    ordinal      1 < 2 < 3
"""


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
) -> Any:
    """Make images of shapes together with a table of their attributes.

    Every image shows `count` copies of one `shape` in one `color` and `size`, plain or
    `striped`. Position, angle, background, clutter and brightness are random, so that a linear
    model on the pixels learns little of shape, texture and count.

    Parameters
    ----------
    n_samples : int, default=100
        Number of images, at least 1.
    image_size : int or (int, int), default=32
        Side of the square images, or their (height, width), in pixels; at least 8.
    imbalance : float, default=0.0
        Imbalance of the levels, in [0, 1]: level ``k`` (from 0) of each attribute has
        probability proportional to ``(1 - imbalance) ** k``, so 0 is balanced and 1 leaves
        only the first level.
    correlation : float, default=0.0
        Dependence between the attributes, in [0, 1]. Each image has a latent uniform
        number. The level of each attribute is the quantile of its distribution at the
        latent number with probability `correlation`, and at an independent uniform number
        otherwise. So the distribution of each attribute does not depend on `correlation`,
        and two attributes both follow the latent number with probability
        ``correlation ** 2``.
    noise : float, default=0.05
        Standard deviation of the Gaussian noise added to each channel of each pixel, as a
        share of the range 0 to 255; in [0, 1].
    missing : float, default=0.0
        Probability in [0, 1] that a label is missing, independently for each label. Images and
        known labels do not depend on it.
    folder : str or path-like, default=None
        Directory to write the images to as ``00000.png`` and so on, created where needed;
        existing files of these names are replaced. None keeps the images in memory.
    return_X_y : bool, default=False
        Whether to return the pair ``(data, target)`` instead of a Bunch.
    random_state : int, numpy.random.RandomState or None, default=None
        Seed, or source of the seed. None uses fresh entropy from the operating system.
        For one int, the rows of a smaller `n_samples` are the first rows of a larger one.

    Returns
    -------
    data : sklearn.utils.Bunch
        With these entries:

        data : ndarray of shape (n_samples, height, width, 3), dtype uint8, or DataFrame
            The RGB images; if `folder` is given, a DataFrame of shape (n_samples, 1)
            whose column ``path`` (str) holds the path of each file.
        target : DataFrame of shape (n_samples, 5)
            Columns ``color``, ``shape``, ``size`` (str), ``striped`` (boolean) and ``count``
            (Int64). Missing labels are NaN in the first three and NA in the others.
        attribute_kinds : dict
            Maps columns to ``"binary"``, ``"categorical"`` or ``("ordinal", levels)``, the
            levels in rising order.
        DESCR : str
            Description of the dataset.
    (data, target) : tuple
        Returned instead of the Bunch if `return_X_y` is true.

    Raises
    ------
    TypeError, ValueError
        If a parameter has the wrong type or an invalid value.

    Examples
    --------
    >>> from skattr.datasets import make_attribute_images
    >>> shapes = make_attribute_images(200, image_size=(32, 48), random_state=0)
    >>> shapes.data.shape, shapes.data.dtype
    ((200, 32, 48, 3), dtype('uint8'))
    >>> list(shapes.target)
    ['color', 'shape', 'size', 'striped', 'count']
    >>> shapes.attribute_kinds["size"]
    ('ordinal', ['small', 'medium', 'large'])
    """
    shares = {"imbalance": imbalance, "correlation": correlation, "noise": noise}
    n_samples, shape, directory = check_options(
        n_samples, image_size, folder, {**shares, "missing": missing}
    )
    if not isinstance(return_X_y, bool | np.bool_):
        raise TypeError(f"return_X_y must be True or False, got {return_X_y!r}.")
    label_rng, unknown_rng, seeds = make_streams(random_state, n_samples)
    codes = _draw_codes(n_samples, imbalance, correlation, label_rng)
    unknown = unknown_rng.random(codes.shape) < missing

    def draw(row: int, size: Size, rng: np.random.Generator) -> Image.Image:
        canvas = _draw_background(size, rng)
        levels = {name: _LEVELS[name][code] for name, code in zip(_LEVELS, codes[row], strict=True)}
        _draw_shapes(canvas, levels, rng)
        return canvas

    # Brightness changes keep a model from recognizing a level by its mean pixel value.
    data = draw_images(draw, seeds, shape, (0.7, 1.1), noise, directory)
    columns = {}
    for j, (name, levels) in enumerate(_LEVELS.items()):
        column = pd.Series([levels[code] for code in codes[:, j]], dtype=_DTYPES[name])
        columns[name] = column.mask(unknown[:, j])
    target = pd.DataFrame(columns)
    if return_X_y:
        return data, target
    kinds = {name: _KINDS.get(name, ("ordinal", list(_LEVELS[name]))) for name in _LEVELS}
    return Bunch(data=data, target=target, attribute_kinds=kinds, DESCR=_DESCR)


def _draw_codes(
    n_samples: int, imbalance: float, correlation: float, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Draw the level index of each attribute, shape (n_samples, n_attributes)."""
    n_attributes = len(_LEVELS)
    # Every image uses one row of numbers, whatever the settings, so that the images of a smaller
    # n_samples are the first ones of a larger one.
    draws = rng.random((n_samples, 1 + 2 * n_attributes))
    latent, own, coin = np.split(draws, [1, 1 + n_attributes], axis=1)
    uniform = np.where(coin < correlation, latent, own)
    codes = np.empty((n_samples, n_attributes), dtype=np.intp)
    for j, levels in enumerate(_LEVELS.values()):
        weights = (1.0 - imbalance) ** np.arange(len(levels))
        bounds = np.cumsum(weights / weights.sum())[:-1]
        codes[:, j] = np.searchsorted(bounds, uniform[:, j], side="right")
    return codes


def _draw_background(size: Size, rng: np.random.Generator) -> Image.Image:
    """Draw a gradient of pale or dull colors with small clutter of any color."""
    # All nodes have nearly the same hue, whose weight in the mean color hides that of the shapes.
    # With only the four corners the color of the middle would be linear in that of the edge.
    hue = rng.random()
    low, high = [hue + 0.8, 0.2, 0.2], [hue + 1.2, 0.7, 0.8]
    nodes = (256 * rng.uniform(low, high, size=(_NODES, _NODES, 3)) % 256).astype(np.uint8)
    canvas = Image.frombytes("HSV", (_NODES, _NODES), nodes.tobytes()).convert("RGB")
    canvas = canvas.resize(size, Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(canvas)
    unit = min(size)
    for _ in range(rng.integers(2, 6)):
        x, y = rng.uniform(0, size)
        color = to_rgb(*rng.uniform([0, 0, 0.2], [1, 1, 1]))
        if rng.random() < 0.5:
            radius = unit * rng.uniform(0.02, 0.045)
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=color)
        else:
            dx, dy = unit * rng.uniform(-0.3, 0.3, size=2)
            draw.line((x, y, x + dx, y + dy), fill=color, width=max(1, round(unit * 0.03)))
    return canvas


def _draw_shapes(canvas: Image.Image, levels: dict[str, Any], rng: np.random.Generator) -> None:
    radius = min(canvas.size) * _RADII[levels["size"]] * rng.uniform(0.96, 1.04)
    hue = _HUES[levels["color"]] / 360 + rng.uniform(-0.03, 0.03)
    color = to_rgb(hue, rng.uniform(0.8, 1.0), rng.uniform(0.6, 1.0))
    mask = Image.new("L", canvas.size)
    draw = ImageDraw.Draw(mask)
    for x, y in _place_shapes(levels["count"], radius, canvas.size, rng):
        angle = rng.uniform(0, 2 * math.pi)
        if levels["shape"] == "circle":
            # Smaller, because a circle fills its circumcircle more than the other shapes do.
            r = 0.85 * radius
            draw.ellipse((x - r, y - r, x + r, y + r), fill=255)
        else:
            turns = [(radius * r, angle + 2 * math.pi * t) for r, t in _OUTLINES[levels["shape"]]]
            draw.polygon([(x + r * math.cos(t), y + r * math.sin(t)) for r, t in turns], fill=255)
    paint(canvas, mask, color, 0.7 * radius, levels["striped"], rng)


def _place_shapes(
    count: int, radius: float, size: Size, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Choose centers, shape (count, 2), so that the shapes are in the canvas and apart."""
    high = np.array(size) - radius
    layouts = rng.uniform(radius, high, size=(_LAYOUT_TRIES, count, 2))
    first, second = np.triu_indices(count, k=1)
    gaps = np.linalg.norm(layouts[:, first] - layouts[:, second], axis=-1)
    closest = gaps.min(axis=1, initial=np.inf)
    # argmax finds the first layout without overlap, or else the one with the least overlap.
    best = np.argmax(np.minimum(closest, 2.0 * radius))
    return np.asarray(layouts[best])
