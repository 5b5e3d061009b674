"""Images of more than 8 bits per sample, scaled to 8 bits by the range of their values."""

import io
import math
import sys
from collections.abc import Callable
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from skattr._inputs.damage import png_significant_bits

ValueRange = tuple[float, float]
_LARGEST = 0xFFFF
FEW = 0.25  # share of the range below which an image uses few levels
# TIFF tags.
_BITS, _PHOTOMETRIC, _MIN, _MAX, _SMIN, _SMAX = 258, 262, 280, 281, 340, 341


def check_value_range(value_range: Any) -> None:
    """Raise a ValueError if a range is neither None nor two finite numbers in ascending order."""
    if value_range is None:
        return
    is_pair = len(value_range) == 2 and all(
        isinstance(value, Real) and math.isfinite(value) for value in value_range
    )
    if not is_pair or not value_range[0] < value_range[1]:
        raise ValueError(
            "value_range must be None or two finite numbers (low, high) with low < high; got "
            f"{value_range!r}."
        )


def is_deep(image: Image.Image) -> bool:
    """Whether an image, loaded or not, has more than 8 bits per sample."""
    return image.mode[:1] in ("I", "F") or _raw_mode(image) is not None


def to_8_bits(
    image: Image.Image,
    content: bytes | None,
    value_range: ValueRange | None,
    messages: list[str] | None = None,
) -> Image.Image:
    """Return a deep image in mode L, LA, RGB or RGBA.

    Parameters
    ----------
    image : Image
        :func:`is_deep`. It is loaded here.
    content : bytes or None
        The file of the image, None if it was given loaded.
    value_range : (float, float) or None
        The values that become 0 and 255; values outside of it are clipped. None takes the range
        that the file declares, or else 0 to 65535.
    messages : list of str, optional
        A sentence is appended if neither is known and few of the 65536 values are used.

    Raises
    ------
    ValueError
        If there is no range, and the values are not gray levels of 16 bits.
    """
    values, alpha = read_samples(image, content)
    low, high = _range(image, content, values, value_range)
    levels = _scale(image, values, low, high)
    largest = values.max(initial=0)
    is_assumed = value_range is None and (low, high) == (0, _LARGEST)
    if messages is not None and is_assumed and 0 < largest < FEW * _LARGEST:
        messages.append(
            f"its values up to {largest} of {_LARGEST} become {len(np.unique(levels))} of 256 "
            "levels; if the data has fewer than 16 bits, set value_range of ImageReading."
        )
    result = Image.fromarray(levels)
    if alpha is not None:
        result.putalpha(Image.fromarray(alpha))
    return result


class LevelsUsed(NamedTuple):
    """Values of a deep image: the smallest and largest, the range that is scaled, and levels."""

    values: ValueRange
    scale: ValueRange
    n_levels: int
    is_transparent: bool


def levels_used(
    image: Image.Image, content: bytes | None, value_range: ValueRange | None
) -> LevelsUsed:
    """Return which values a deep image has, and the number of levels that they become.

    The parameters are those of :func:`to_8_bits`.
    """
    values, alpha = read_samples(image, content)
    low, high = _range(image, content, values, value_range)
    n_levels = len(np.unique(_scale(image, values, low, high)))
    used = float(values.min()), float(values.max())
    return LevelsUsed(used, (low, high), n_levels, alpha is not None)


def _range(
    image: Image.Image, content: bytes | None, values: NDArray[Any], value_range: ValueRange | None
) -> ValueRange:
    known = value_range or declared_range(image, content, values)
    if known is not None:
        return known
    is_float = values.dtype.kind == "f"
    if is_float or values.min(initial=0) < 0 or values.max(initial=0) > _LARGEST:
        raise ValueError(
            f"its values (Pillow mode {image.mode!r}) are not gray levels of 8 or 16 bits; set "
            "value_range=(low, high) of ImageReading to the values of black and white"
        )
    return 0, _LARGEST


def _scale(image: Image.Image, values: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    if values.dtype.kind == "f" and np.isnan(values).any():
        raise ValueError("it has pixels that are NaN")
    scaled = (np.clip(values.astype(np.float64), low, high) - low) * (255 / (high - low))
    levels = np.floor(scaled + 0.5).astype(np.uint8)
    is_white_zero = values.ndim == 2 and _tag(image, _PHOTOMETRIC) == 0
    return 255 - levels if is_white_zero else levels


def read_samples(
    image: Image.Image, content: bytes | None
) -> tuple[NDArray[Any], NDArray[np.uint8] | None]:
    """Return the samples of a deep image at their full depth, and its transparency if any.

    Returns
    -------
    values : ndarray of shape (H, W) or (H, W, 3)
    alpha : ndarray of shape (H, W), uint8, or None
    """
    transparency = image.info.get("transparency")
    raw_mode = _raw_mode(image)
    image.load()  # also where pixels are read below: Pillow turns some images when it loads them
    if raw_mode is None or content is None:
        values = np.asarray(image)
    else:
        values = _read_bytes(raw_mode, content)
        transparency = transparency if raw_mode.startswith("RGB;") else None
    alpha = None
    if values.ndim == 3 and values.shape[2] in (2, 4):
        alpha = (values[..., -1] >> 8).astype(np.uint8)
        values = values[..., :-1] if values.shape[2] == 4 else values[..., 0]
    elif transparency is not None:
        is_key = values == np.asarray(transparency, dtype=values.dtype)
        alpha = np.where(is_key.all(axis=2) if values.ndim == 3 else is_key, 0, 255)
    return values, None if alpha is None else alpha.astype(np.uint8)


def declared_range(
    image: Image.Image, content: bytes | None, values: NDArray[Any]
) -> ValueRange | None:
    """Return the range of values that the file of an image declares, None if it does not.

    In a TIFF file these are MinSampleValue and MaxSampleValue (SMinSampleValue and
    SMaxSampleValue), or 12 bits per sample. The sBIT chunk of a PNG file counts if the values are
    numbers of so many bits. By the PNG standard they would be scaled to 16 bits nevertheless.
    """
    for lowest, highest in ((_MIN, _MAX), (_SMIN, _SMAX)):
        low, high = _tag(image, lowest) or 0, _tag(image, highest)
        if high is not None and high > low:
            return float(low), float(high)
    bits = _tag(image, _BITS)
    if bits is not None and 8 < bits < 16:
        return 0.0, 2.0**bits - 1
    if content is None or image.format != "PNG":
        return None
    bits = png_significant_bits(content)
    if bits is None or not 8 < bits < 16 or values.max() >= 2**bits:
        return None
    # Values that are scaled to 16 bits have zeros below their significant bits, or a one where
    # they were rounded.
    is_scaled = (values & (2 ** (16 - bits) - 1)).max() <= 1
    return None if is_scaled else (0.0, 2.0**bits - 1)


def _tag(image: Image.Image, tag: int) -> float | None:
    """Return a numeric tag of a TIFF image, the largest of several values."""
    tags: Any = getattr(image, "tag_v2", None)
    value = None if tags is None else tags.get(tag)
    if isinstance(value, tuple):
        value = max(value, default=None)
    return None if value is None else float(value)


def _raw_mode(image: Image.Image) -> str | None:
    """Return the raw mode of a file whose samples of 16 bits Pillow would cut to 8, else None."""
    tiles = image.tile if isinstance(image, ImageFile.ImageFile) else []
    if not tiles:
        return None
    args: Any = tiles[0][3]
    raw_mode = str(args[0] if isinstance(args, tuple) and args else args)
    return raw_mode if raw_mode.startswith(("RGB", "LA")) and ";16" in raw_mode else None


def _read_bytes(raw_mode: str, content: bytes) -> NDArray[np.uint16]:
    """Return samples of 16 bits as (H, W, channels).

    Pillow has no mode for them: it keeps one byte of each sample, and which one depends on the
    order of bytes that it is told. So both are read.
    """
    if raw_mode.startswith("LA"):  # two samples are the four bytes of a pixel of mode RGBA
        pixels = _read_as(content, lambda mode: "RGBA")
        return _join_bytes(pixels[..., 0::2], pixels[..., 1::2])
    form = raw_mode.partition(";")[0]
    if raw_mode.endswith("N"):
        raw_mode = f"{form};16L" if sys.byteorder == "little" else f"{form};16B"
    other = f"{form};16B" if raw_mode.endswith("L") else f"{form};16L"
    high = _read_as(content, lambda mode: mode)
    return _join_bytes(high, _read_as(content, lambda mode: other))


def _join_bytes(high: NDArray[np.uint8], low: NDArray[np.uint8]) -> NDArray[np.uint16]:
    joined: NDArray[np.uint16] = high.astype(np.uint16) * np.uint16(256) + low
    return joined


def _read_as(content: bytes, change: Callable[[str], str]) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(content)) as opened:
        tiles: list[Any] = []
        for tile in opened.tile:
            args: Any = tile[3]
            args = (change(args[0]), *args[1:]) if isinstance(args, tuple) else change(args)
            parts = (*tile[:3], args)
            tiles.append(type(tile)(*parts) if hasattr(tile, "_fields") else parts)
        opened.tile = tiles
        opened.load()
        return np.array(opened)
