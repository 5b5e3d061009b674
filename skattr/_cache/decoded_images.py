"""In-memory cache of decoded image files."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from skattr._inputs.rows import FileRows
from skattr._inputs.unreadable import unreadable_rows


class CachedFileRows(FileRows):
    """Image files whose decoded pixels are kept in memory after the first epoch.

    `take` and `take_readable` never fill the cache, because they may run in the worker processes
    of a DataLoader, whose memory is not shared. The process that receives a batch passes it to
    :meth:`store`.

    A cache in a folder, shared by several fits, was measured and removed: within a fit this cache
    already decodes each file once, so the folder saved one epoch of decoding out of about twelve.

    Parameters
    ----------
    rows : FileRows
        The files. The dict `unreadable` is shared with them.
    """

    def __init__(self, rows: FileRows) -> None:
        super().__init__(
            rows.sources,
            rows.boxes,
            rows.size,
            rows.unreadable,
            rows.decoding,
            rows.value_range,
            rows.keep_damaged,
        )
        self._is_stored = np.zeros(len(rows), dtype=np.bool_)
        self._pixels = np.empty((0, *rows.size, 3), dtype=np.uint8)

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without the pixels, which would be copied to every spawned worker."""
        return {
            **self.__dict__,
            "_is_stored": np.zeros_like(self._is_stored),
            "_pixels": self._pixels[:0],
        }

    def is_cached(self, indices: NDArray[np.intp]) -> bool:
        """Whether all images at `indices` are in the cache."""
        return bool(self._is_stored[indices].all())

    def store(self, indices: NDArray[np.intp], images: NDArray[np.uint8]) -> None:
        """Add images to the cache. Rows that are cached or unreadable are skipped.

        Parameters
        ----------
        indices : ndarray of shape (m,), int
        images : ndarray of shape (m, height, width, 3), uint8
            The images as :meth:`take` returned them.

        Raises
        ------
        ValueError
            If `images` has another shape or dtype.
        MemoryError
            If the images of all rows do not fit in memory.
        """
        expected = (len(indices), *self.size, 3)
        if images.shape != expected or images.dtype != np.uint8:
            raise ValueError(
                f"images must be uint8 of shape {expected}; got {images.dtype} of shape "
                f"{images.shape}."
            )
        is_new = ~self._is_stored[indices]
        if self.unreadable:
            is_new &= np.isin(indices, unreadable_rows(self), invert=True)
        if not is_new.any():
            return
        if not len(self._pixels):
            self._pixels = self._allocate()
        self._pixels[indices[is_new]] = images[is_new]
        self._is_stored[indices[is_new]] = True

    def take(self, indices: NDArray[np.intp]) -> NDArray[np.uint8]:
        """Return the images at `indices`: uint8 (len(indices), height, width, 3)."""
        decoded = super().take(indices[~self._is_stored[indices]])
        return self._merge(indices, decoded)

    def take_readable(
        self, indices: NDArray[np.intp]
    ) -> tuple[NDArray[np.uint8], NDArray[np.intp], dict[int, str]]:
        """Return the readable images at `indices`.

        Returns
        -------
        images : ndarray of shape (m, height, width, 3), uint8
        found : ndarray of shape (m,), int
            The rows of the images.
        reasons : dict of {int: str}
            Why each of the other rows is unreadable.
        """
        is_stored = self._is_stored[indices]
        decoded, found, reasons = super().take_readable(indices[~is_stored])
        if reasons:
            indices = indices[is_stored | np.isin(indices, found)]
        return self._merge(indices, decoded), indices.astype(np.intp), reasons

    def _merge(self, indices: NDArray[np.intp], decoded: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the images at `indices` from the cache and, where it has none, `decoded`."""
        if not len(decoded):
            return np.take(self._pixels, indices, axis=0)
        is_stored = self._is_stored[indices]
        images = np.empty((len(indices), *self.size, 3), dtype=np.uint8)
        images[is_stored] = self._pixels[indices[is_stored]]
        images[~is_stored] = decoded
        return images

    def _allocate(self) -> NDArray[np.uint8]:
        shape = (len(self), *self.size, 3)
        try:
            # The operating system provides the pages when they are first written to.
            return np.empty(shape, dtype=np.uint8)
        except MemoryError as error:
            n_gibibytes = np.prod(shape, dtype=float) / 2**30
            raise MemoryError(
                f"The cache of decoded images needs {n_gibibytes:.1f} GiB for {shape[0]} images of "
                f"{shape[1]}x{shape[2]} pixels. Set cache=None or a smaller image_size."
            ) from error
