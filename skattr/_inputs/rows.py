"""Rows of X: 2-D features, images in memory and image files.

The three classes have the methods of :class:`Rows`, so that training and prediction do not depend
on where a batch comes from.
"""

from collections.abc import Sequence
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from skattr._inputs.decoding import Box, Decoding, read_image, resize
from skattr._inputs.deep import ValueRange
from skattr._inputs.sources import Source, describe_source
from skattr._inputs.unreadable import Unreadable, raise_or_record
from skattr._utils.parallel import thread_map
from skattr.exceptions import ImageReadError, InvalidBoxError

Kind = Literal["images", "features"]


class Rows(Protocol):
    """The rows of X and their unreadable rows.

    Attributes
    ----------
    kind : "images" or "features"
    unreadable : dict of {int: str}, or None
        The reason of each unreadable row found so far. None if X has no such rows, or if they
        are errors.
    doubtful : dict of {int: str}, or None
        What is doubtful about rows that could be read: warnings of Pillow, few levels. None once
        it was reported, or if X is an array.
    """

    kind: Kind
    unreadable: Unreadable
    doubtful: dict[int, str] | None

    def __len__(self) -> int:
        """Return the number of rows."""
        ...

    def take(self, indices: NDArray[np.intp]) -> NDArray[Any]:
        """Return the rows at `indices`, in that order."""
        ...


class FeatureRows:
    """Numeric features.

    Parameters
    ----------
    array : ndarray of shape (n, n_features), float32 or float64
    unreadable : dict of {int: str}, optional
        Rows whose image was unreadable in an earlier step, and the reasons.
    """

    kind: Kind = "features"
    doubtful: dict[int, str] | None = None

    def __init__(self, array: NDArray[np.floating[Any]], unreadable: Unreadable = None) -> None:
        self.array = array
        self.unreadable = unreadable

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.array)

    def take(self, indices: NDArray[np.intp]) -> NDArray[Any]:
        """Return the rows at `indices`: (len(indices), n_features)."""
        return take_rows(self.array, indices)


class ImageRows:
    """Images in memory. Gray images are repeated over three channels.

    Parameters
    ----------
    array : ndarray of shape (n, H, W, 3) or (n, H, W), uint8
    size : (height, width)
        Images of another size are resized when a batch is taken.
    """

    kind: Kind = "images"
    unreadable: Unreadable = None
    doubtful: dict[int, str] | None = None

    def __init__(self, array: NDArray[np.uint8], size: tuple[int, int]) -> None:
        self.array = array
        self.size = size

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.array)

    def take(self, indices: NDArray[np.intp]) -> NDArray[np.uint8]:
        """Return the images at `indices`: uint8 (len(indices), height, width, 3)."""
        batch = take_rows(self.array, indices)
        if batch.ndim == 3:
            batch = np.repeat(batch[..., np.newaxis], 3, axis=-1)
        return resize(batch, self.size)


class FileRows:
    """Image files and objects, decoded when a batch is taken, on as many threads as torch uses.

    Parameters
    ----------
    sources : list of length n
        Paths, contents of files, Pillow images and arrays, as
        :func:`~skattr._inputs.sources.as_source` returns them.
    boxes : ndarray of shape (n, 4), float64, or None
        Crop ``(xmin, ymin, xmax, ymax)`` of each row in pixels of the upright image, 0-based
        and half-open. A row of four NaN means the whole image.
    size : (height, width)
    unreadable : dict of {int: str}, optional
        Rows that are known to be unreadable, and the reasons. Callers of :meth:`take_readable`
        add those found later. None means that unreadable rows are errors.
    decoding : {"exact", "scaled"}
    value_range : (float, float), optional
    keep_damaged : bool
        See :func:`~skattr._inputs.decoding.read_image`.
    """

    kind: Kind = "images"

    def __init__(
        self,
        sources: Sequence[Source],
        boxes: NDArray[np.float64] | None,
        size: tuple[int, int],
        unreadable: Unreadable = None,
        decoding: Decoding = "exact",
        value_range: ValueRange | None = None,
        keep_damaged: bool = False,
    ) -> None:
        self.sources = sources
        self.boxes = boxes
        self.size = size
        self.unreadable = unreadable
        self.decoding: Decoding = decoding
        self.value_range = value_range
        self.keep_damaged = keep_damaged
        self.doubtful: dict[int, str] | None = {}

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.sources)

    def take(self, indices: NDArray[np.intp]) -> NDArray[np.uint8]:
        """Decode the images at `indices`: uint8 (len(indices), height, width, 3)."""
        batch, errors = self._decode(indices)
        for row, error in zip(indices.tolist(), errors, strict=True):
            if error is not None:
                raise_or_record(None, row, error)
        return batch

    def take_readable(
        self, indices: NDArray[np.intp]
    ) -> tuple[NDArray[np.uint8], NDArray[np.intp], dict[int, str]]:
        """Decode the readable images at `indices`.

        Returns
        -------
        images : ndarray of shape (m, height, width, 3), uint8
        found : ndarray of shape (m,), int
            The rows of the images.
        reasons : dict of {int: str}
            Why each of the other rows is unreadable. It is returned and not added to
            `unreadable`, because this may run in a worker process.
        """
        batch, errors = self._decode(indices)
        reasons: dict[int, str] = {}
        for row, error in zip(indices.tolist(), errors, strict=True):
            if error is not None:
                raise_or_record(reasons, row, error)
        if not reasons:
            return batch, indices.astype(np.intp), reasons
        is_read = np.array([error is None for error in errors])
        return batch[is_read], indices[is_read].astype(np.intp), reasons

    def _decode(
        self, indices: NDArray[np.intp]
    ) -> tuple[NDArray[np.uint8], list[ImageReadError | InvalidBoxError | None]]:
        """Return the images at `indices` and the error of each."""
        batch = np.empty((len(indices), *self.size, 3), dtype=np.uint8)
        rows = indices.tolist()

        def decode(position: int) -> ImageReadError | InvalidBoxError | None:
            row, messages = rows[position], list[str]()
            try:
                batch[position] = read_image(
                    self.sources[row],
                    self.size,
                    self.box(row),
                    self.decoding,
                    value_range=self.value_range,
                    keep_damaged=self.keep_damaged,
                    messages=messages,
                )
            except (ImageReadError, InvalidBoxError) as error:
                return error
            if messages and self.doubtful is not None:
                name = describe_source(self.sources[row])
                self.doubtful[row] = f"the image {name}: {' '.join(dict.fromkeys(messages))}"
            return None

        return batch, thread_map(decode, len(rows))

    def box(self, row: int) -> Box | None:
        """Return the box of a row, None if it has none."""
        if self.boxes is None or np.isnan(self.boxes[row, 0]):
            return None
        xmin, ymin, xmax, ymax = (int(edge) for edge in self.boxes[row])
        return xmin, ymin, xmax, ymax


def take_rows(array: NDArray[Any], indices: NDArray[np.intp]) -> NDArray[Any]:
    """Return a copy of some rows of an array.

    On one thread, `np.take` is as fast as `torch.index_select` (20,480 rows of 512 float32: 6.2
    and 6.1 ms; 1,024 of 224 x 224 x 3 uint8: 8.1 and 11.0 ms), on two it is faster; and it
    accepts arrays that torch has no tensors for: read-only and unaligned ones.
    """
    # It would first copy all of an array that is not C-contiguous, such as a DataFrame's.
    return np.take(array, indices, axis=0) if array.flags.c_contiguous else array[indices]
