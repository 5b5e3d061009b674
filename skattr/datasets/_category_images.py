"""Synthetic images of objects whose attributes depend on the category of the object."""

import math
import os
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter
from sklearn.utils import Bunch

from skattr.datasets._drawing import (
    SUPERSAMPLING,
    Size,
    check_options,
    draw_images,
    draw_stripes,
    make_streams,
    paint,
    to_rgb,
)

_ATTRIBUTES = ("blue", "striped", "large", "bright")
# The usual place, P(blue), P(striped), and the middle of the range of sizes (radius as a share of
# the shorter image side) and of brightness.
_CATEGORIES = {
    "seal": ("ice", 0.05, 0.05, 0.25, 0.45),
    "boat": ("sea", 0.5, 0.2, 0.31, 0.75),
    "tuna": ("sea", 0.4, 0.1, 0.27, 0.5),
    "herring": ("sea", 0.2, 0.4, 0.18, 0.75),
    "buoy": ("sea", 0.1, 0.5, 0.21, 0.5),
    "ball": ("lawn", 0.4, 0.5, 0.14, 0.75),
}
# Hue in degrees, saturation and brightness.
_PLACES = {
    "sea": (225, 0.75, 0.65),
    "lawn": (110, 0.6, 0.5),
    "sand": (45, 0.45, 0.8),
    "ice": (200, 0.1, 0.85),
}
_BLUE = 230
_OTHER_HUES = (0, 30, 60, 110, 300)

_DESCR = """\
The seal and the sea. Each image shows an object in front of a smaller one of another
category, in a place with a color and often stripes of its own. The labels are those of the
object in front only.

category: seal, boat, tuna, herring, buoy, ball

blue     binary  its color; the sea is blue too
striped  binary  its pattern; waves and furrows are striped too
large    binary  larger than the middle of its category
bright   binary  brighter than the middle of its category

Boats and balls are often blue, seals hardly ever. A large ball is smaller than a small boat. A
herring has the outline of a tuna and a ball that of a buoy, but a large herring is only about as
large as a small tuna.
"""


def make_category_images(
    n_samples: int = 100,
    *,
    image_size: int | tuple[int, int] = 32,
    bias: float = 0.5,
    noise: float = 0.05,
    missing: float = 0.0,
    folder: str | os.PathLike[str] | None = None,
    random_state: int | np.random.RandomState | None = None,
) -> Any:
    """Make images of objects together with their categories and binary attributes.

    Every image shows objects of two categories in some place. Category and attributes are those
    of the object in front. The place and the other object have colors, stripes and sizes that
    are independent of the labels ("blue" may be the sea instead of the seal), "large" and
    "bright" are relative to the category, and some categories are more often blue or striped
    than others. So the attributes are easier to predict if the category is known.

    Parameters
    ----------
    n_samples : int, default=100
        Number of images, at least 1.
    image_size : int or (int, int), default=32
        Side of the square images, or their (height, width), in pixels; at least 8.
    bias : float, default=0.5
        Probability in [0, 1] that the place is the usual one of the category (the sea for boat,
        tuna, herring and buoy, ice for the seal, a lawn for the ball); otherwise it is sea,
        lawn, sand or ice with equal probabilities. Labels do not depend on it.
    noise : float, default=0.05
        Standard deviation of the Gaussian noise added to each channel of each pixel, as a
        share of the range 0 to 255; in [0, 1].
    missing : float, default=0.0
        Probability in [0, 1] that a label is missing, independently for each label. Images,
        categories and known labels do not depend on it.
    folder : str or path-like, default=None
        Directory to write the images to as ``00000.png`` and so on, created where needed;
        existing files of these names are replaced. None keeps the images in memory.
    random_state : int, numpy.random.RandomState or None, default=None
        Seed, or source of the seed. None uses fresh entropy from the operating system.
        For one int, the rows of a smaller `n_samples` are the first rows of a larger one.

    Returns
    -------
    sklearn.utils.Bunch
        With these entries:

        data : ndarray of shape (n_samples, height, width, 3), dtype uint8, or DataFrame
            The RGB images; if `folder` is given, a DataFrame whose columns are ``path``
            (str), the path of each file, and ``category`` (str).
        category : Series of shape (n_samples,), dtype str
            Category of the object in front.
        target : DataFrame of shape (n_samples, 4)
            Columns ``blue``, ``striped``, ``large`` and ``bright`` (boolean). Missing labels
            are NA.
        attribute_kinds : dict
            Every attribute is ``"binary"``.
        category_names : list of str
            ``seal``, ``boat``, ``tuna``, ``herring``, ``buoy`` and ``ball``, of equal
            probabilities.
        DESCR : str
            Description of the dataset.

    Raises
    ------
    TypeError, ValueError
        If a parameter has the wrong type or an invalid value.

    See Also
    --------
    make_attribute_images : Categorical and ordinal attributes of shapes.

    Examples
    --------
    >>> from skattr.datasets import make_category_images
    >>> seals = make_category_images(200, random_state=0)
    >>> seals.data.shape, seals.category[0]
    ((200, 32, 32, 3), 'ball')
    >>> seals.target["blue"].groupby(seals.category).mean()[["boat", "seal"]].round(2).tolist()
    [0.58, 0.03]
    """
    shares = {"bias": bias, "noise": noise, "missing": missing}
    n_samples, shape, directory = check_options(n_samples, image_size, folder, shares)
    label_rng, unknown_rng, seeds = make_streams(random_state, n_samples)
    names = list(_CATEGORIES)
    # Every image uses one row of numbers, so that the images of a smaller n_samples are the first
    # ones of a larger one.
    draws = label_rng.random((n_samples, 1 + len(_ATTRIBUTES)))
    objects = (len(names) * draws[:, 0]).astype(np.intp)
    traits = draws[:, 1:] < np.array([_shares(name) for name in names])[objects]
    unknown = unknown_rng.random(traits.shape) < missing

    def draw(row: int, size: Size, rng: np.random.Generator) -> Image.Image:
        k = objects[row]
        canvas = _draw_place(size, names[k], bias, rng)
        other = names[(k + rng.integers(1, len(names))) % len(names)]
        others = rng.random(len(_ATTRIBUTES)) < _shares(other)
        turn = rng.uniform(0, 2 * math.pi)
        aside = 0.33 * np.array([math.cos(turn), math.sin(turn)])
        _draw_object(canvas, other, others, aside, 0.8, rng)
        _draw_object(canvas, names[k], traits[row], rng.uniform(-0.1, 0.1, 2), 1.0, rng)
        return canvas

    data = draw_images(draw, seeds, shape, (0.95, 1.05), noise, directory)
    category = pd.Series([names[k] for k in objects], dtype="str", name="category")
    return Bunch(
        data=data.assign(category=category) if isinstance(data, pd.DataFrame) else data,
        category=category,
        target=pd.DataFrame(traits, columns=list(_ATTRIBUTES), dtype="boolean").mask(unknown),
        attribute_kinds=dict.fromkeys(_ATTRIBUTES, "binary"),
        category_names=names,
        DESCR=_DESCR,
    )


def _shares(category: str) -> list[float]:
    _, blue, striped, _, _ = _CATEGORIES[category]
    return [blue, striped, 0.5, 0.5]


def _draw_place(size: Size, category: str, bias: float, rng: np.random.Generator) -> Image.Image:
    """Draw a vertical gradient between two tones, striped with probability 1/2."""
    usual, place = _CATEGORIES[category][0], str(rng.choice(list(_PLACES)))
    hue, saturation, value = _PLACES[usual if rng.random() < bias else place]
    tones = [
        to_rgb(hue / 360 + rng.uniform(-0.03, 0.03), saturation, value * rng.uniform(0.75, 1.15))
        for _ in range(2)
    ]
    column = np.array(tones, dtype=np.uint8)[:, np.newaxis]
    canvas = Image.fromarray(column).resize(size, Image.Resampling.BICUBIC)
    # Nearly horizontal, like waves and furrows.
    period, angle = min(size) * rng.uniform(0.1, 0.25), math.pi / 2 + rng.uniform(-0.3, 0.3)
    stripes = draw_stripes(size, period, angle, rng.random())
    if rng.random() < 0.5:
        canvas.paste(tuple(round(0.75 * tone) for tone in tones[0]), mask=stripes)
    return canvas


def _draw_object(
    canvas: Image.Image,
    category: str,
    traits: NDArray[np.bool_],
    place: NDArray[np.float64],
    scale: float,
    rng: np.random.Generator,
) -> None:
    """Draw an outlined object with its center at `place`, relative to the middle of the image."""
    blue, striped, large, bright = traits
    *_, radius, value = _CATEGORIES[category]
    radius *= min(canvas.size) * scale * rng.uniform(*((1.1, 1.35) if large else (0.7, 0.9)))
    value *= rng.uniform(*((1.1, 1.3) if bright else (0.65, 0.9)))
    hue = np.where(blue, _BLUE, rng.choice(_OTHER_HUES)) / 360 + rng.uniform(-0.03, 0.03)
    color = to_rgb(float(hue), 0.75, value)
    tilt, mirrored = rng.uniform(-0.3, 0.3), rng.choice([-1, 1])
    turn = np.array([[math.cos(tilt), math.sin(tilt)], [-math.sin(tilt), math.cos(tilt)]])
    mask = Image.new("L", canvas.size)
    draw = ImageDraw.Draw(mask)
    for part in _OUTLINES[category]:
        points = (0.5 + place) * canvas.size + radius * (part * [mirrored, 1]) @ turn
        draw.polygon([tuple(point) for point in points.tolist()], fill=255)
    # The dark outline separates a blue object from the sea.
    canvas.paste((20, 20, 20), mask=mask.filter(ImageFilter.MaxFilter(2 * SUPERSAMPLING - 1)))
    paint(canvas, mask, color, 0.12 * min(canvas.size), bool(striped), rng)


def _ellipse(x: float, y: float, width: float, height: float) -> NDArray[np.float64]:
    turn = np.linspace(0, 2 * math.pi, 24, endpoint=False)
    return np.column_stack([x + width * np.cos(turn), y + height * np.sin(turn)])


_FISH = [
    _ellipse(-0.25, 0.0, 0.75, 0.45),
    np.array([(0.3, 0.0), (1.0, -0.5), (0.85, 0.0), (1.0, 0.5)]),
]
_ROUND = [_ellipse(0.0, 0.0, 0.95, 0.95)]
# The polygons of each shape, scaled to about the unit circle, with y downwards.
_OUTLINES = {
    "seal": [
        _ellipse(-0.1, 0.25, 0.75, 0.42),
        _ellipse(0.55, -0.3, 0.33, 0.33),
        np.array([(0.25, 0.0), (0.3, -0.4), (0.85, -0.2), (0.6, 0.3)]),
        np.array([(-0.6, 0.3), (-1.0, -0.05), (-0.95, 0.6)]),
    ],
    "boat": [
        np.array([(-1.0, 0.25), (1.0, 0.25), (0.6, 0.8), (-0.6, 0.8)]),
        np.array([(-0.05, 0.3), (-0.05, -1.0), (0.05, -1.0), (0.7, 0.05), (0.05, 0.3)]),
    ],
    "tuna": _FISH,
    "herring": _FISH,
    "buoy": _ROUND,
    "ball": _ROUND,
}
