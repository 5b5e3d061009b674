"""Decoding and resizing of images.

Pillow validates each file and reports all errors. JPEG files are decoded by simplejpeg if
it is installed, to the same pixels in less time, falling back to Pillow. Files and images in
memory are resized by the same function, so that equal pixels give equal predictions.
"""

import io
import os
import warnings
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

from skattr._inputs.damage import (
    DamagedImageError,
    complaint_of,
    find_missing_data,
    find_missing_scans,
    find_png_damage,
)
from skattr._inputs.deep import ValueRange, is_deep, to_8_bits
from skattr._inputs.pillow_warnings import record_pillow_warnings
from skattr._inputs.sources import Source, describe_source
from skattr._utils.warnings import find_stack_level
from skattr.exceptions import ImageReadError, InvalidBoxError, SkattrWarning

try:
    import simplejpeg
except ImportError:  # without it JPEG files are decoded slower, and damaged ones not recognized
    simplejpeg = None

Box = tuple[int, int, int, int]
# Part of the keys of cached features; increase it when the pixels of a decoded image change.
PREPROCESSING = 3
Decoding = Literal["exact", "scaled"]
_JPEG_FORMATS = ("JPEG", "MPO")
_END_OF_JPEG = b"\xff\xd9"
# libjpeg scales by eighths. In smaller images two scales may give the same size, so that
# simplejpeg and Pillow could choose different ones. These images are decoded at their full size.
_MIN_SCALED_SIDE = 8
# By EXIF orientation: how the stored image is turned upright.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SWAPS_SIDES = (5, 6, 7, 8)


def read_image(
    source: Source | os.PathLike[str],
    size: tuple[int, int] | None,
    box: Box | None = None,
    decoding: Decoding = "exact",
    *,
    value_range: ValueRange | None = None,
    keep_damaged: bool = False,
    messages: list[str] | None = None,
) -> NDArray[np.uint8]:
    """Read an image file, or an image in memory, as an upright RGB array of one size.

    The EXIF orientation is applied. Transparent images are composited on white, samples of more
    than 8 bits are scaled to 8, CMYK, palette and gray images are converted, and an animation
    gives its first frame. The crop, if any, is cut from the upright image. The result is resized
    (see :func:`resize`) without keeping the aspect ratio.

    Parameters
    ----------
    source : str, path-like, bytes, Pillow image or array
        See :func:`~skattr._inputs.sources.as_source`.
    size : (height, width) in pixels, or None for the size of the image or crop
    box : (xmin, ymin, xmax, ymax), optional
        0-based and half-open, in pixels of the upright image.
    decoding : {"exact", "scaled"}
        "scaled" decodes a JPEG without a box at 1/2, 1/4 or 1/8 of its size, the smallest that
        is not below `size`, before the resize.
    value_range : (low, high), optional
        Values that become 0 and 255 in images of more than 8 bits per sample; see
        :func:`~skattr._inputs.deep.to_8_bits`.
    keep_damaged : bool
        Whether to return damaged images as they are decoded.
    messages : list of str, optional
        What is doubtful about the image is appended to it: warnings of Pillow, and few levels.

    Returns
    -------
    ndarray of shape (height, width, 3), uint8
        The array is writable.

    Raises
    ------
    ImageReadError
        If the file is missing, truncated, damaged or not an image.
    InvalidBoxError
        If the box exceeds the bounds of the image.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from skattr._inputs.decoding import read_image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "red.jpg")
    ...     Image.new("RGB", (640, 480), "red").save(path)
    ...     image = read_image(path, (224, 224), decoding="scaled")
    >>> image.shape, image[0, 0].tolist()
    ((224, 224, 3), [254, 0, 0])
    """
    if isinstance(source, os.PathLike):
        source = os.fspath(source)
    scaled_to = size if decoding == "scaled" and box is None else None
    name = describe_source(source)
    try:
        with record_pillow_warnings(messages):
            pixels = _decode(source, box, scaled_to, value_range, keep_damaged, messages)
        return pixels if size is None else resize(pixels, size)
    except InvalidBoxError:
        raise
    except FileNotFoundError as error:
        raise ImageReadError(f"there is no file {name}") from error
    except DamagedImageError as error:
        raise ImageReadError(
            f"the image {name} is damaged: {error}; on_bad_image='keep' of ImageReading takes it "
            "as it is decoded"
        ) from error
    except Exception as error:  # Pillow's plugins raise nearly every builtin error on bad bytes
        raise ImageReadError(
            f"cannot read the image {name}: {type(error).__name__}: {error}"
        ) from error


def resize(images: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Resize images, bilinear and antialiased.

    The result of an image does not depend on the others. It is within one level of Pillow's
    bilinear filter (two levels at a few pixels of pure noise), in half the time. Images that have
    the size already are returned unchanged.

    Parameters
    ----------
    images : ndarray of shape (n, H, W, 3) or (H, W, 3), uint8
        The array must be writable, because torch warns of a read-only one that it shares.
    size : (height, width)

    Returns
    -------
    ndarray of shape (n, height, width, 3) or (height, width, 3), uint8

    Examples
    --------
    >>> import numpy as np
    >>> from skattr._inputs.decoding import resize
    >>> images = np.arange(48, dtype=np.uint8).reshape(1, 4, 4, 3)
    >>> resize(images, (2, 2))[0, :, :, 0].tolist()
    [[11, 16], [29, 34]]
    """
    if images.shape[-3:-1] == size:
        return images
    height, width = images.shape[-3:-1]
    batch = torch.from_numpy(np.ascontiguousarray(images).reshape(-1, height, width, 3))
    resized = torch.nn.functional.interpolate(
        batch.permute(0, 3, 1, 2),  # a view: the channels stay last in memory, the fast layout
        size=size,
        mode="bilinear",
        antialias=True,
        align_corners=False,
    )
    array: NDArray[np.uint8] = resized.permute(0, 2, 3, 1).contiguous().numpy()
    return array.reshape(*images.shape[:-3], *size, 3)


def _decode(
    source: Source,
    box: Box | None,
    scaled_to: tuple[int, int] | None,
    value_range: ValueRange | None,
    keep_damaged: bool,
    messages: list[str] | None,
) -> NDArray[np.uint8]:
    """Return the upright RGB image, or its crop; `scaled_to` is None for the full size."""
    name = describe_source(source)
    if isinstance(source, np.ndarray):
        pixels = source if source.ndim == 3 else np.stack([source] * 3, axis=-1)
        return np.array(_crop(pixels, box, name))
    if isinstance(source, Image.Image):
        return _to_upright_rgb(source, None, box, name, value_range, messages)
    content = source if isinstance(source, bytes) else _read_file(source)
    if keep_damaged and content.startswith(b"\xff\xd8"):
        content += _END_OF_JPEG  # Pillow rejects a JPEG file without it, libjpeg only warns
    with _open(content) as opened:
        decoded, complaint = None, None
        if opened.format in _JPEG_FORMATS:
            decoded, complaint = _decode_jpeg(opened, content, scaled_to)
        if decoded is not None:
            pixels = _crop(decoded, box, name)
        else:  # before damage is reported, because it raises an error for what cannot be decoded
            pixels = _to_upright_rgb(opened, content, box, name, value_range, messages)
        if opened.format == "PNG" and not keep_damaged:
            complaint = find_png_damage(content)
    if complaint is not None and not keep_damaged:
        raise DamagedImageError(complaint)
    return pixels


def warn_without_simplejpeg(sources: Sequence[Source]) -> None:
    """Warn that damaged JPEG files are not recognized, if simplejpeg is not installed."""
    if simplejpeg is not None:
        return
    is_jpeg = (
        source.lower().endswith((".jpg", ".jpeg"))
        if isinstance(source, str)
        else isinstance(source, bytes) and source.startswith(b"\xff\xd8")
        for source in sources
    )
    if any(is_jpeg):
        warnings.warn(
            "simplejpeg is not installed: some damaged JPEG files are not recognized. Install it "
            "(pip install simplejpeg), or accept them with on_bad_image='keep' of ImageReading.",
            SkattrWarning,
            stacklevel=find_stack_level(),
        )


def _read_file(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _open(content: bytes) -> ImageFile.ImageFile:
    try:
        return Image.open(io.BytesIO(content))
    except UnidentifiedImageError as error:  # Pillow's message has the address of the BytesIO
        raise UnidentifiedImageError("cannot identify the format of the image file") from error


def open_source(source: bytes | str | Image.Image) -> tuple[bytes | None, Image.Image]:
    """Return the content of a file, None for an image, and the image, not loaded if possible."""
    if isinstance(source, Image.Image):
        return None, source
    content = source if isinstance(source, bytes) else _read_file(source)
    return content, _open(content)


def orientation_of(image: Image.Image) -> int:
    """Return the EXIF orientation of an image, 1 to 8; 1 if it has none."""
    orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    return orientation if orientation in _TURNS else 1


def _decode_jpeg(
    opened: ImageFile.ImageFile, content: bytes, scaled_to: tuple[int, int] | None
) -> tuple[NDArray[np.uint8] | None, str | None]:
    """Decode a JPEG file with simplejpeg if it can, and find damage of any JPEG file.

    Parameters
    ----------
    opened : ImageFile
        An image that is not loaded. It is set to decode at the size for `scaled_to`.
    content : bytes
        The file.
    scaled_to : (height, width) or None
        The size for which the image may be decoded at a fraction of its size.

    Returns
    -------
    pixels : ndarray, or None if Pillow must decode the image
    complaint : str, or None if the file is not damaged
    """
    orientation = orientation_of(opened)
    full_size = opened.size
    if scaled_to is not None and max(full_size) >= _MIN_SCALED_SIDE:
        height, width = scaled_to
        is_on_its_side = orientation in _SWAPS_SIDES
        opened.draft(None, (height, width) if is_on_its_side else (width, height))
    if simplejpeg is None:
        return None, find_missing_data(content)
    decode = simplejpeg.decode_jpeg
    colorspace = "CMYK" if opened.mode == "CMYK" else "RGB"
    is_scaled = opened.size != full_size
    width, height = opened.size
    try:
        pixels: NDArray[np.uint8] = decode(
            content,
            colorspace,
            fastdct=False,
            fastupsample=False,
            min_height=height if is_scaled else 0,
            min_width=width if is_scaled else 0,
            strict=True,  # raise what libjpeg warns about
        )
    except Exception as error:
        return None, complaint_of(error, decode, content, colorspace)
    if pixels.shape[:2] != (height, width):
        return None, find_missing_scans(content)
    if colorspace == "CMYK":
        is_inverted = "CMYK;I" in str(opened.tile[0][3])  # as Adobe's programs write it
        image = Image.fromarray(255 - pixels if is_inverted else pixels, "CMYK")
        pixels = np.array(image.convert("RGB"))
    if orientation != 1:  # Pillow copies pixels on their side faster than NumPy
        pixels = np.array(Image.fromarray(pixels).transpose(_TURNS[orientation]))
    return pixels, find_missing_scans(content)


def _to_upright_rgb(
    image: Image.Image,
    content: bytes | None,
    box: Box | None,
    name: str,
    value_range: ValueRange | None,
    messages: list[str] | None,
) -> NDArray[np.uint8]:
    """Return the pixels of an image of any mode; `content` is its file, if it has one."""
    if is_deep(image):
        result = to_8_bits(image, content, value_range, messages)
    else:
        image.load()
        result = image
    # In other formats than JPEG the EXIF data may follow the pixels, so it is read after `load`.
    orientation = orientation_of(image)
    if orientation != 1:
        result = result.transpose(_TURNS[orientation])
    if box is not None:
        _check_inside(box, result.size, name)
        result = result.crop(box)
    return np.array(_to_rgb(result))


def _crop(pixels: NDArray[np.uint8], box: Box | None, name: str) -> NDArray[np.uint8]:
    if box is None:
        return pixels
    height, width, _ = pixels.shape
    _check_inside(box, (width, height), name)
    xmin, ymin, xmax, ymax = box
    return np.ascontiguousarray(pixels[ymin:ymax, xmin:xmax])  # a copy releases the full image


def _check_inside(box: Box, image_size: tuple[int, int], name: str) -> None:
    width, height = image_size
    if box[0] < 0 or box[1] < 0 or box[2] > width or box[3] > height:
        raise InvalidBoxError(
            f"the box xmin, ymin, xmax, ymax = {box} exceeds the bounds of the image "
            f"{name} ({width} x {height} pixels)"
        )


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "La":
        image = image.convert("LA")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image if image.mode == "RGB" else image.convert("RGB")
