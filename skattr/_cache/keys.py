"""What an image is known by in a cache."""

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from skattr._inputs.rows import FileRows, ImageRows
from skattr._inputs.unreadable import raise_or_record
from skattr._utils.parallel import thread_map
from skattr.exceptions import ImageReadError

CacheKey = Literal["content", "stat"]
_Result = TypeVar("_Result")
_CHUNK = 64  # images; hashing them lets other threads run


def image_keys(
    rows: ImageRows | FileRows, network: bytes, by: CacheKey, indices: Iterable[int]
) -> list[bytes]:
    """Return what images are known by in a cache.

    Parameters
    ----------
    rows : ImageRows or FileRows
    network : bytes
        Tells the network, or whatever else is kept of images, and its preprocessing from any
        others.
    by : {"content", "stat"}
        A file is known by its bytes, or by its absolute path, size and time of modification in
        nanoseconds. Images in memory are known by their pixels.
    indices : iterable of int
        The rows to look at.

    Returns
    -------
    list of bytes
        SHA-256 digests. Equal ones stand for equal images, and boxes. Empty for a file that
        cannot be read, if `rows` puts up with it, which is noted there.

    Raises
    ------
    ImageReadError
        If a file cannot be read; its path and row are named.
    """
    places = [int(row) for row in indices]
    if isinstance(rows, ImageRows):
        array = rows.array
        return _chunked_map(lambda row: _key(network, "pixels", *_contents(array[row])), places)
    paths = list(dict.fromkeys(rows.paths[row] for row in places))  # of many boxes each, maybe
    look = _stat if by == "stat" else _digest
    known = dict(zip(paths, _chunked_map(partial(_or_error, look), paths), strict=True))
    keys = []
    for row in places:
        path = rows.paths[row]
        found = known[path]
        if isinstance(found, OSError):
            unread = ImageReadError(f"cannot read the image {path!r}: {found}")
            unread.__cause__ = found
            raise_or_record(rows.unreadable, row, unread)
            keys.append(b"")
            continue
        box = None if rows.boxes is None or np.isnan(rows.boxes[row, 0]) else rows.boxes[row]
        keys.append(_key(network, by, found, b"" if box is None else box.astype("<i8")))
    return keys


def _chunked_map(function: Callable[[Any], _Result], items: Sequence[Any]) -> list[_Result]:
    """Call a function with each item, a chunk of them a time on each thread."""
    chunks = [items[start : start + _CHUNK] for start in range(0, len(items), _CHUNK)]
    parts = thread_map(lambda number: [function(one) for one in chunks[number]], len(chunks))
    return [result for part in parts for result in part]


def _or_error(look: Callable[[str], bytes], path: str) -> bytes | OSError:
    try:
        return look(path)
    except OSError as error:
        return error


def _key(network: bytes, kind: str, *parts: Any) -> bytes:
    """Digest parts, of which all but the last have a length that is the same for the kind."""
    digest = hashlib.sha256(network + kind.encode())
    for part in parts:
        digest.update(part)
    return digest.digest()


def _contents(image: NDArray[np.uint8]) -> tuple[Any, Any]:
    shape = np.array([image.ndim, *image.shape, 0][:4], dtype="<i8")
    return shape, np.ascontiguousarray(image)


def _digest(path: str) -> bytes:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _stat(path: str) -> bytes:
    found = os.stat(path)
    text = f"{found.st_size} {found.st_mtime_ns} ".encode() + os.fsencode(os.path.abspath(path))
    return hashlib.sha256(text).digest()
