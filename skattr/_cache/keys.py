"""Cache keys of images."""

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from skattr._inputs.rows import FileRows, ImageRows
from skattr._inputs.sources import Source, describe_source, digest_source
from skattr._inputs.unreadable import raise_or_record
from skattr._utils.parallel import thread_map
from skattr.exceptions import ImageReadError

CacheKey = Literal["content", "stat"]
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
# A call per thread and image would cost as much as hashing a small file.
_CHUNK_SIZE = 64


def image_keys(
    rows: ImageRows | FileRows, network: bytes, by: CacheKey, indices: Iterable[int]
) -> list[bytes]:
    """Return the cache keys of images.

    Parameters
    ----------
    rows : ImageRows or FileRows
    network : bytes
        Identifies the network and its preprocessing.
    by : {"content", "stat"}
        If "content", a file is identified by its bytes. If "stat", it is identified by its
        absolute path, size and modification time in nanoseconds. Images in memory are always
        identified by their content.
    indices : iterable of int
        The rows whose keys are returned.

    Returns
    -------
    list of bytes
        SHA-256 digests, which are equal for equal images and boxes. A row that proves unreadable
        has an empty key, if `rows` records such rows.

    Raises
    ------
    ImageReadError
        If a file cannot be read. Its path and row are named.
    """
    indices = [int(row) for row in indices]
    if isinstance(rows, ImageRows):
        array = rows.array
        return _chunked_map(lambda row: _digest(network, "pixels", *_content(array[row])), indices)
    # An image may have many boxes, so each distinct file is read once. Objects are compared by
    # identity, because arrays have no other equality.
    names = [s if isinstance(s, str) else id(s) for s in rows.sources]
    sources = {names[row]: rows.sources[row] for row in indices}
    identify = partial(_or_error, _digest_stat if by == "stat" else digest_source)
    found = _chunked_map(identify, list(sources.values()))
    identities = dict(zip(sources, found, strict=True))
    keys = []
    for row in indices:
        identity = identities[names[row]]
        if isinstance(identity, OSError):
            name = describe_source(rows.sources[row])
            error = ImageReadError(f"cannot read the image {name}: {identity}")
            error.__cause__ = identity
            raise_or_record(rows.unreadable, row, error)
            keys.append(b"")
            continue
        has_box = rows.boxes is not None and not np.isnan(rows.boxes[row, 0])
        box = rows.boxes[row].astype("<i8") if rows.boxes is not None and has_box else b""
        keys.append(_digest(network, by, identity, box))
    return keys


def _chunked_map(function: Callable[[_Item], _Result], items: Sequence[_Item]) -> list[_Result]:
    """Call a function with each item, on several threads, one chunk of items per call."""
    chunks = [items[start : start + _CHUNK_SIZE] for start in range(0, len(items), _CHUNK_SIZE)]
    parts = thread_map(lambda number: [function(item) for item in chunks[number]], len(chunks))
    return [result for part in parts for result in part]


def _or_error(identify: Callable[[Source], bytes], source: Source) -> bytes | OSError:
    try:
        return identify(source)
    except OSError as error:
        return error


def _digest(network: bytes, kind: str, *parts: Any) -> bytes:
    """Return the digest of some parts.

    All parts but the last must have a fixed length for the `kind`, so that different parts never
    concatenate to the same bytes.
    """
    digest = hashlib.sha256(network + kind.encode())
    for part in parts:
        digest.update(part)
    return digest.digest()


def _content(image: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Return the shape of an image, as an array of fixed length, and its contiguous pixels."""
    shape = np.array([image.ndim, *image.shape, 0][:4], dtype="<i8")
    return shape, np.ascontiguousarray(image)


def _digest_stat(source: Source) -> bytes:
    if not isinstance(source, str):
        return digest_source(source)
    status = os.stat(source)
    text = f"{status.st_size} {status.st_mtime_ns} ".encode() + os.fsencode(os.path.abspath(source))
    return hashlib.sha256(text).digest()
