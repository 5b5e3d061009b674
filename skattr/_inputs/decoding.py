"""Decoding and resizing of image files.

Pillow validates each file and reports all errors. Plain JPEG files are decoded by simplejpeg if
it is installed, to the same pixels in less time, falling back to Pillow. Files and images in
memory are resized by the same function, so that equal pixels give equal predictions.
"""

import os
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile, ImageOps

from skattr.exceptions import ImageReadError, InvalidBoxError

try:
    import simplejpeg
except ImportError:  # an optional dependency: Pillow decodes the same pixels, but slower
    simplejpeg = None

Box = tuple[int, int, int, int]
# Part of the keys of cached features; increase it when the pixels of a decoded image change.
PREPROCESSING = 2
Decoding = Literal["exact", "scaled"]
_JPEG_FORMATS = ("JPEG", "MPO")
# libjpeg scales by eighths. In smaller images two scales may give the same size, so that
# simplejpeg and Pillow could choose different ones.
_MIN_SCALED_SIDE = 8


def read_image(
    path: str | os.PathLike[str],
    size: tuple[int, int],
    box: Box | None = None,
    decoding: Decoding = "exact",
) -> NDArray[np.uint8]:
    """Read an image file as an upright RGB array of one size.

    The EXIF orientation is applied. Transparent images are composited on white, 16-bit gray is
    scaled to 8 bits, CMYK, palette and gray images are converted, and an animation gives its
    first frame. The crop, if any, is cut from the upright image. The result is resized (see
    :func:`resize`) without keeping the aspect ratio.

    Parameters
    ----------
    path : str or path-like
    size : (height, width) in pixels
    box : (xmin, ymin, xmax, ymax), optional
        0-based and half-open, in pixels of the upright image.
    decoding : {"exact", "scaled"}
        "scaled" decodes a JPEG without a box at 1/2, 1/4 or 1/8 of its size, the smallest that
        is not below `size`, before the resize.

    Returns
    -------
    ndarray of shape (height, width, 3), uint8
        The array is writable.

    Raises
    ------
    ImageReadError
        If the file is missing, truncated or not an image.
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
    try:
        with Image.open(path) as opened:
            scaled_to = size if decoding == "scaled" and box is None else None
            return resize(_decode(opened, path, box, scaled_to), size)
    except InvalidBoxError:
        raise
    except FileNotFoundError as error:
        raise ImageReadError(f"there is no file {os.fspath(path)!r}") from error
    except Exception as error:  # Pillow's plugins raise nearly every builtin error on bad bytes
        raise ImageReadError(
            f"cannot read the image {os.fspath(path)!r}: {type(error).__name__}: {error}"
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
    opened: ImageFile.ImageFile,
    path: str | os.PathLike[str],
    box: Box | None,
    scaled_to: tuple[int, int] | None,
) -> NDArray[np.uint8]:
    """Return the upright RGB image, or its crop; `scaled_to` is None for the full size."""
    if opened.format in _JPEG_FORMATS:
        orientation = _orientation(opened)
        full_size = opened.size
        if scaled_to is not None:
            height, width = scaled_to
            is_on_its_side = orientation in (5, 6, 7, 8)
            opened.draft(None, (height, width) if is_on_its_side else (width, height))
        if orientation == 1:
            pixels = _decode_plain_jpeg(opened, full_size)
            if pixels is not None:
                return _crop(pixels, box, path)
    opened.load()
    # In other formats than JPEG the EXIF data may follow the pixels, so it is read after `load`.
    image = opened if _orientation(opened) == 1 else ImageOps.exif_transpose(opened)
    if box is not None:
        _check_inside(box, image.size, path)
        image = image.crop(box)
    return np.array(_to_rgb(image))


def _orientation(image: Image.Image) -> int:
    orientation: int = image.getexif().get(ExifTags.Base.Orientation, 1)
    return orientation


def _decode_plain_jpeg(
    opened: ImageFile.ImageFile, full_size: tuple[int, int]
) -> NDArray[np.uint8] | None:
    """Decode a gray or YCbCr JPEG with simplejpeg, or return None if Pillow must decode it.

    Parameters
    ----------
    opened : ImageFile
        An image that is not loaded. Its size is the size to decode at.
    full_size : (width, height)
        The size of the image in the file.
    """
    is_plain = opened.mode == "L" or (
        opened.mode == "RGB" and opened.info.get("adobe_transform", 1) == 1
    )
    is_scaled = opened.size != full_size
    if simplejpeg is None or not is_plain or opened.fp is None:
        return None
    if is_scaled and max(full_size) < _MIN_SCALED_SIDE:
        return None
    width, height = opened.size
    try:
        opened.fp.seek(0)
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(
            opened.fp.read(),
            "RGB",
            fastdct=False,
            fastupsample=False,
            min_height=height if is_scaled else 0,
            min_width=width if is_scaled else 0,
            strict=True,  # let Pillow decide on files that libjpeg warns about
        )
    except Exception:  # Pillow decodes the file or reports the error
        return None
    return pixels if pixels.shape == (height, width, 3) else None


def _crop(
    pixels: NDArray[np.uint8], box: Box | None, path: str | os.PathLike[str]
) -> NDArray[np.uint8]:
    if box is None:
        return pixels
    height, width, _ = pixels.shape
    _check_inside(box, (width, height), path)
    xmin, ymin, xmax, ymax = box
    return np.ascontiguousarray(pixels[ymin:ymax, xmin:xmax])  # a copy releases the full image


def _check_inside(box: Box, image_size: tuple[int, int], path: str | os.PathLike[str]) -> None:
    width, height = image_size
    if box[0] < 0 or box[1] < 0 or box[2] > width or box[3] > height:
        raise InvalidBoxError(
            f"the box xmin, ymin, xmax, ymax = {box} exceeds the bounds of the image "
            f"{os.fspath(path)!r} ({width} x {height} pixels)"
        )


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        return _gray_to_8_bits(image).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image if image.mode == "RGB" else image.convert("RGB")


def _gray_to_8_bits(image: Image.Image) -> Image.Image:
    values = np.asarray(image)
    if image.mode == "F" or values.min(initial=0) < 0 or values.max(initial=0) > 0xFFFF:
        raise ValueError(
            f"its values (Pillow mode {image.mode!r}) are not gray levels of 8 or 16 bits"
        )
    return Image.fromarray(((values.astype(np.uint32) + 128) // 257).astype(np.uint8))
