"""Images as objects: what a row of X may contain instead of a path."""

import hashlib
import os
import reprlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, ImageFile

from skattr.exceptions import ImageReadError

# A path, the content of an image file, an image of Pillow, or an array that is_image_array.
Source = str | bytes | Image.Image | NDArray[np.uint8]
VALID_OBJECTS = (
    "paths (str or path-like), Pillow images, uint8 arrays or contents of image files (bytes, "
    "binary file objects, dicts {'bytes': ..., 'path': ...})"
)


def is_array_like(value: Any) -> bool:
    """Whether a value is an array or a tensor with two dimensions or more."""
    return hasattr(value, "__array__") and getattr(value, "ndim", 0) >= 2


def is_image_object(value: Any) -> bool:
    """Whether a value is meant as one image: a path, a file, a Pillow image, or a dict."""
    is_image = isinstance(value, str | os.PathLike | Image.Image | Mapping)
    is_content = isinstance(value, bytes | bytearray | memoryview) or hasattr(value, "read")
    return is_image or is_content


def as_array(value: Any) -> NDArray[Any]:
    """Return an array or a tensor on any device as an array."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    return np.asarray(value)


def as_source(value: Any) -> Source:
    """Return an image object in one of the forms that are read.

    Files are read and Pillow images that are not loaded become the content of their file, so that
    the result can be pickled, used by several threads, and checked for damage like a file.

    Parameters
    ----------
    value : path, bytes-like, binary file object, Pillow image, array, tensor or dict
        A dict has the keys "bytes" and "path", as in tables of Hugging Face; "path" is used
        where "bytes" is None.

    Returns
    -------
    str, bytes, Image or ndarray

    Raises
    ------
    ImageReadError
        If the value is missing, or not an image.
    TypeError, ValueError
        If it is an array of another dtype or shape than an image has.
    """
    if isinstance(value, Mapping):
        value = _from_dict(value)
    if isinstance(value, str | os.PathLike):
        value = os.fspath(value)
        if isinstance(value, str):
            return str(value)  # no subclass of str, such as np.str_
    elif isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    elif isinstance(value, Image.Image):
        return _from_pillow(value)
    elif hasattr(value, "read"):
        return _read_all(value, f"the file object {_name_of(value)}")
    elif is_array_like(value):
        return as_image_array(as_array(value))
    # reprlib shortens a long string, but not a list.
    is_scalar = pd.api.types.is_scalar(value)
    shown = reprlib.repr(value) if is_scalar else f"a value of type {type(value).__name__}"
    raise ImageReadError(f"{shown} is not a path (a str or path-like) or an image.")


def as_image_array(array: NDArray[Any]) -> NDArray[np.uint8]:
    """Check the array of one image, and return it with shape (H, W) or (H, W, 3).

    Raises
    ------
    TypeError
        If the dtype is not uint8.
    ValueError
        If the shape is not that of an image with one or three channels, the last axis.
    """
    # Floats may be in [0, 1] or [0, 255], which is not guessed.
    if array.dtype != np.uint8:
        raise TypeError(
            f"it has the dtype {array.dtype}; images in memory must be uint8, 0 to 255."
        )
    if 0 in array.shape:
        raise ValueError(f"it holds no pixel: its shape is {array.shape}.")
    if array.ndim == 3 and array.shape[2] == 1:
        return array[..., 0]
    if array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3):
        return array
    raise ValueError(f"it has the shape {array.shape}; valid are (H, W, 3) and (H, W){hint(array)}")


def hint(array: NDArray[Any]) -> str:
    """Return the end of a sentence that says how to convert images of another layout."""
    if array.ndim >= 3 and array.shape[-3] in (1, 3):
        return "; its channels seem to come first: move them with np.moveaxis(X, -3, -1)."
    if array.ndim >= 3 and array.shape[-1] in (2, 4):
        return (
            f"; {array.shape[-1]} channels do not say whether they have transparency: pass a list "
            "of Pillow images, whose mode says so."
        )
    return "."


def describe_source(source: Source) -> str:
    """Describe a source in messages: its path in quotation marks, or its form."""
    if isinstance(source, bytes):
        return f"given as {len(source)} bytes"
    if isinstance(source, Image.Image):
        return f"given as a Pillow image of mode {source.mode!r} and size {source.size}"
    if isinstance(source, np.ndarray):
        return f"given as an array of shape {source.shape}"
    return repr(source)


def digest_source(source: Source) -> bytes:
    """Return the SHA-256 of a file's content, or of all that an image in memory consists of."""
    if isinstance(source, str):
        with open(source, "rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    if isinstance(source, bytes):
        return hashlib.sha256(source).digest()
    if isinstance(source, np.ndarray):
        digest = hashlib.sha256(repr(source.shape).encode())
        digest.update(source.tobytes())
        return digest.digest()
    palette = None
    if source.palette is not None:  # Pillow adds `transparency` to the colors when it converts
        palette = source.getpalette("RGBA" if source.palette.mode == "RGBA" else "RGB")
    transparency = source.info.get("transparency")
    parts = (source.mode, source.size, palette, transparency, dict(source.getexif()).get(0x0112))
    digest = hashlib.sha256(repr(parts).encode())
    digest.update(source.tobytes())
    return digest.digest()


def _from_dict(record: Mapping[Any, Any]) -> Any:
    if not {"bytes", "path"} & set(record):
        raise ImageReadError(
            f"a dict with the keys {reprlib.repr(list(record))} is not an image; a dict must have "
            "the keys 'bytes' and 'path'."
        )
    content = record.get("bytes")
    return record.get("path") if content is None else content


def _from_pillow(image: Image.Image) -> Source:
    """Return the content of the file of an image that is not loaded, else the loaded image."""
    # `tile` lists what is to be decoded. It is empty once an image is loaded.
    is_loaded = not isinstance(image, ImageFile.ImageFile) or not image.tile
    if is_loaded or image.tell() > 0:  # the file would give the first frame
        try:
            image.load()  # brings the palette in its final form, so that threads only read it
        except Exception as error:
            raise ImageReadError(f"cannot read the Pillow image: {error}") from error
        return image
    file: Any = getattr(image, "fp", None)
    if file is None or file.closed:
        raise ImageReadError("the Pillow image was closed before it was loaded.")
    return _read_all(file, "the Pillow image")


def _read_all(file: Any, name: str) -> bytes:
    """Return the content of a file object from its start, and leave its position unchanged."""
    try:
        position = file.tell()
        file.seek(0)
        content = file.read()
        file.seek(position)
    except Exception as error:
        raise ImageReadError(f"cannot read {name}: {error}") from error
    if not isinstance(content, bytes):
        raise ImageReadError(f"{name} is opened as text; open it as binary, with mode 'rb'.")
    return content


def _name_of(file: Any) -> str:
    name = getattr(file, "name", None)
    return repr(name) if isinstance(name, str) else f"of type {type(file).__name__}"
