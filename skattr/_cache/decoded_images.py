"""Image files of which those read before are not decoded again."""

import hashlib
import os
from functools import partial
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from skattr._cache.image_store import ImageStore
from skattr._cache.keys import image_keys
from skattr._inputs.decoding import PREPROCESSING
from skattr._inputs.rows import FileRows
from skattr._inputs.unreadable import readable, unreadable_rows

_ABSENT = -1
_NEVER = -2  # the file changed after it was opened: not to be kept


class _Images(Protocol):
    """Where images are kept. `slots` has the slot of each row, or a negative number."""

    slots: NDArray[np.intp]

    def keep(self, rows: NDArray[np.intp], images: NDArray[np.uint8]) -> None:
        """Keep the images of distinct rows that have no slot."""
        ...

    def read(self, slots: NDArray[np.intp]) -> NDArray[np.uint8]:
        """Return a copy of the images in some slots."""
        ...


class CachedFileRows(FileRows):
    """Image files of which those kept before are not decoded again.

    `take` and `take_readable` keep nothing, as they may run in a DataLoader's worker; whoever
    has a batch gives it to :meth:`keep`.

    Parameters
    ----------
    rows : FileRows
        Their `unreadable` is shared with these.
    kept : MemoryImageCache or FolderImageCache
    """

    def __init__(self, rows: FileRows, kept: _Images) -> None:
        super().__init__(rows.paths, rows.boxes, rows.size, rows.unreadable, rows.decoding)
        self._kept = kept

    @classmethod
    def over(cls, rows: FileRows, where: str | os.PathLike[str]) -> Self:
        """Return the same rows with a cache.

        Parameters
        ----------
        rows : FileRows
        where : "memory", or a folder
            The string "memory" keeps images as long as the result lives, and no pickle holds
            them. Anything else is a folder, also ``"./memory"`` and ``Path("memory")``: it is
            made where needed, and its images are known by absolute path, size in bytes and
            time of modification of the file, box, `size` and `decoding`.

        Returns
        -------
        CachedFileRows

        Raises
        ------
        ValueError
            If `where` is the empty string.
        OSError
            If the folder cannot be made or written to, or what it holds cannot be used.
        """
        kept: _Images
        if isinstance(where, str) and where == "memory":
            kept = MemoryImageCache(len(rows), rows.size)
        elif not os.fspath(where):
            raise ValueError(
                "decoded_cache='' is no folder; valid are None, 'memory' and a folder."
            )
        else:
            kept = FolderImageCache(where, rows)
        return cls(rows, kept)

    def holds(self, indices: NDArray[np.intp]) -> bool:
        """Whether all images at `indices` are kept, so that taking them decodes none."""
        return bool((self._kept.slots[indices] >= 0).all())

    def keep(self, indices: NDArray[np.intp], images: NDArray[np.uint8]) -> None:
        """Keep images that were taken, unless they are kept already.

        To be called in the process that reads these rows next.

        Parameters
        ----------
        indices : ndarray of shape (m,), int
        images : ndarray of shape (m, height, width, 3), uint8
            As :meth:`take` returned them.

        Raises
        ------
        ValueError
            If `images` has another shape or dtype.
        OSError
            If the folder cannot be written to any more.
        MemoryError
            If the images of all rows do not fit in memory.
        """
        expected = (len(indices), *self.size, 3)
        if images.shape != expected or images.dtype != np.uint8:
            raise ValueError(
                f"images to keep must be uint8 of shape {expected}, got {images.dtype} of "
                f"shape {images.shape}"
            )
        places = np.flatnonzero(self._kept.slots[indices] == _ABSENT)
        if len(places) and self.unreadable:
            is_good = np.isin(indices[places], unreadable_rows(self), invert=True)
            places = places[is_good]
        if len(places):
            rows, first = np.unique(indices[places], return_index=True)
            self._kept.keep(rows, images[places[first]])

    def take(self, indices: NDArray[np.intp]) -> NDArray[np.uint8]:
        """Return the images at `indices`: uint8 (len(indices), height, width, 3)."""
        slots = self._kept.slots[indices]
        is_kept = slots >= 0
        if is_kept.all():
            return self._kept.read(slots)
        decoded = super().take(indices[~is_kept])
        return self._merged(slots, is_kept, decoded) if is_kept.any() else decoded

    def take_readable(
        self, indices: NDArray[np.intp]
    ) -> tuple[NDArray[np.uint8], NDArray[np.intp], dict[int, str]]:
        """Return those of the images at `indices` that can be read.

        Returns
        -------
        images : ndarray of shape (m, height, width, 3), uint8
        found : ndarray of shape (m,), int
            Their rows.
        reasons : dict of {int: str}
            Why each of the other rows cannot be read.
        """
        slots = self._kept.slots[indices]
        is_kept = slots >= 0
        if is_kept.all():
            return self._kept.read(slots), indices.astype(np.intp), {}
        decoded, found, reasons = super().take_readable(indices[~is_kept])
        if not is_kept.any():
            return decoded, found, reasons
        is_found = is_kept | np.isin(indices, found)
        merged = self._merged(slots[is_found], is_kept[is_found], decoded)
        return merged, indices[is_found].astype(np.intp), reasons

    def _merged(
        self, slots: NDArray[np.intp], is_kept: NDArray[np.bool_], decoded: NDArray[np.uint8]
    ) -> NDArray[np.uint8]:
        """Return kept images, and decoded ones in those places that have none."""
        result = np.empty((len(slots), *self.size, 3), dtype=np.uint8)
        result[is_kept] = self._kept.read(slots[is_kept])
        result[~is_kept] = decoded
        return result


class MemoryImageCache:
    """A slot for each row in memory, of which only those in use take any.

    Parameters
    ----------
    n_rows : int
    size : (height, width)
    """

    def __init__(self, n_rows: int, size: tuple[int, int]) -> None:
        self.size = size
        self.slots = np.full(n_rows, _ABSENT, dtype=np.intp)
        self._pixels = np.empty((0, *size, 3), dtype=np.uint8)

    def __getstate__(self) -> dict[str, Any]:
        """Leave the images out."""
        return vars(MemoryImageCache(len(self.slots), self.size))

    def keep(self, rows: NDArray[np.intp], images: NDArray[np.uint8]) -> None:
        """Keep the images of rows."""
        if not len(self._pixels):
            self._pixels = self._allocated()
        self._pixels[rows] = images
        self.slots[rows] = rows

    def read(self, slots: NDArray[np.intp]) -> NDArray[np.uint8]:
        """Return a copy of the images in some slots."""
        return np.take(self._pixels, slots, axis=0)

    def _allocated(self) -> NDArray[np.uint8]:
        shape = (len(self.slots), *self.size, 3)
        try:
            return np.empty(shape, dtype=np.uint8)  # pages are taken when written to
        except MemoryError as error:
            raise MemoryError(
                f"decoded_cache='memory' would take {np.prod(shape, dtype=float) / 2**30:.1f} GiB "
                f"for {shape[0]} images of {shape[1]}x{shape[2]} pixels; give a folder."
            ) from error


class FolderImageCache:
    """Which slot of a folder each row has.

    Parameters
    ----------
    folder : str or path-like
    rows : FileRows
        Their files are looked at once, and again before their images are kept: what was
        written meanwhile is not kept.
    """

    def __init__(self, folder: str | os.PathLike[str], rows: FileRows) -> None:
        what = f"decoded {PREPROCESSING} {rows.decoding} {rows.size}"
        unnoted = FileRows(rows.paths, rows.boxes, rows.size, {})  # `take` has the say on bad files
        network = hashlib.sha256(what.encode()).digest()
        self._keys_of = partial(image_keys, unnoted, network, "stat")
        self._store = ImageStore(folder, rows.size)
        self.slots = np.full(len(rows), _ABSENT, dtype=np.intp)
        self._keys = np.zeros((len(rows), 32), dtype=np.uint8)
        self._look_up(readable(rows))

    def _look_up(self, rows: NDArray[np.intp]) -> None:
        keys = self._keys_of(rows.tolist())
        known = self._store.find(key for key in keys if key)
        for row, key in zip(rows.tolist(), keys, strict=True):
            if key:
                self._keys[row] = np.frombuffer(key, dtype=np.uint8)
                self.slots[row] = known.get(key, _ABSENT)

    def keep(self, rows: NDArray[np.intp], images: NDArray[np.uint8]) -> None:
        """Keep the images of rows whose files are as they were."""
        keys = self._keys_of(rows.tolist())
        is_same = np.array(
            [key == self._keys[row].tobytes() for row, key in zip(rows, keys, strict=True)]
        )
        self.slots[rows[~is_same]] = _NEVER
        if is_same.any():
            same = [keys[place] for place in np.flatnonzero(is_same)]
            self.slots[rows[is_same]] = self._store.add(same, images[is_same])

    def read(self, slots: NDArray[np.intp]) -> NDArray[np.uint8]:
        """Return a copy of the images in some slots."""
        return self._store.read(slots)
