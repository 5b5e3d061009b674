"""Dataset of rows of X with the codes and weights of their labels."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from skattr._cache.decoded_images import CachedFileRows
from skattr._inputs.rows import FeatureRows, FileRows, ImageRows, Rows
from skattr.exceptions import ImageReadError, InvalidBoxError

Selectable = Tensor | NDArray[Any]

# Elements of a row from which torch's index_select goes row by row, with all threads at each.
_ELEMENTS_SHARED_OUT = 2**15


def selectable(values: Selectable) -> Selectable:
    """Return an array as a tensor on the same memory, unless torch would warn of it.

    Torch selects rows faster than NumPy, but has no tensors that are read-only, as the memory
    maps are that joblib makes of large arrays, nor any whose strides are negative or no multiple
    of an element, as those of a field of records may be.
    """
    if isinstance(values, Tensor) or not values.flags.writeable or not values.dtype.isnative:
        return values
    is_odd = any(stride < 0 or stride % values.itemsize for stride in values.strides)
    return values if is_odd else torch.from_numpy(values)


class RowBuffer:
    """Where batches are put: each in memory of its own."""

    def selected(self, values: Selectable, places: Tensor) -> Tensor:
        """Return a copy of some rows."""
        if not isinstance(values, Tensor):
            return self.taken(torch.from_numpy(np.take(values, places.numpy(), axis=0)))
        out = self._out(values, places.numel())
        if out is None:
            out = values.new_empty((places.numel(), *values.shape[1:]))
        if _is_of_long_rows(values):
            torch.index_select(_words(values), 0, places, out=_words(out))
            return out
        return torch.index_select(values, 0, places, out=out)

    def taken(self, values: Tensor) -> Tensor:
        """Return what was copied already."""
        return values

    def _out(self, values: Tensor, n_rows: int) -> Tensor | None:
        return None


class PinnedRowBuffer(RowBuffer):
    """Page-locked memory, from which a GPU copies while the program goes on."""

    def taken(self, values: Tensor) -> Tensor:
        """Return a page-locked copy."""
        return values.pin_memory()

    def _out(self, values: Tensor, n_rows: int) -> Tensor:
        return torch.empty((n_rows, *values.shape[1:]), dtype=values.dtype, pin_memory=True)


class ReusedRowBuffer(RowBuffer):
    """Always the same memory: a batch lasts until the next one is asked for.

    New memory has to be mapped page by page as it is first written to, which takes as long as
    writing.
    """

    def __init__(self) -> None:
        self._buffers: dict[int, Tensor] = {}

    def _out(self, values: Tensor, n_rows: int) -> Tensor:
        buffer = self._buffers.get(id(values))
        n_free = 0 if buffer is None else buffer.shape[0]
        if buffer is None or n_free < n_rows:
            buffer = torch.empty((n_rows, *values.shape[1:]), dtype=values.dtype)
            self._buffers[id(values)] = buffer
        return buffer[:n_rows] if n_free > n_rows else buffer


def _is_of_long_rows(values: Tensor) -> bool:
    """Whether rows are so long that torch shares out each among threads, and may be of words."""
    n_elements = values.shape[1:].numel()
    return (
        len(values) > 1  # any stride of a single row is contiguous to torch
        and n_elements >= _ELEMENTS_SHARED_OUT
        and n_elements * values.element_size() % 8 == 0
        and values.is_contiguous()
    )


def _words(values: Tensor) -> Tensor:
    """Return rows as 8-byte words: so few that threads share out the rows, which is faster."""
    return values.flatten(1).view(torch.int64)


Inputs = Tensor | tuple[Tensor, Tensor]


Targets = tuple[Tensor, Tensor]


Batch = tuple[Inputs, Targets]


class LoadedBatch(NamedTuple):
    """A batch, the rows of X it holds, and why others that were asked for are not in it."""

    batch: Any
    indices: NDArray[np.intp]
    unreadable: dict[int, str]


class AttributeDataset(Dataset[Any]):
    """Some rows of X with the codes and weights of their labels.

    Parameters
    ----------
    rows : Rows
        All rows of X.
    indices : ndarray of shape (n,), int
        The rows this dataset is made of.
    codes : ndarray of shape (len(rows), n_attributes), int64, optional
        -1 where unknown; None for inference.
    weights : ndarray of shape (len(rows), n_attributes), float, optional
    category : ndarray of shape (len(rows),), int64, optional
        If given, the inputs of a batch are the pair of what `rows` gives and this.
    may_share : bool
        Whether a batch may be a view of X, where its rows stand together there, and not a copy.
    """

    def __init__(
        self,
        rows: Rows,
        indices: NDArray[np.intp],
        codes: NDArray[np.int64] | Tensor | None = None,
        weights: NDArray[np.floating[Any]] | Tensor | None = None,
        category: NDArray[np.int64] | None = None,
        *,
        may_share: bool = False,
    ) -> None:
        self.rows = rows
        self.indices = np.ascontiguousarray(indices, dtype=np.int64)
        self.codes = None if codes is None else selectable(codes)
        self.weights = None if weights is None else selectable(weights)
        self.category = None if category is None else selectable(category)
        self._inputs = _ready_inputs(rows)
        self.may_share = may_share

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.indices)

    @property
    def is_in_memory(self) -> bool:
        """Whether no file has to be decoded for a batch."""
        if isinstance(self.rows, CachedFileRows):
            return self.rows.is_cached(self.indices)
        return not isinstance(self.rows, FileRows)

    @property
    def is_ready(self) -> bool:
        """Whether a batch is but rows of arrays in memory."""
        return self._inputs is not None

    def row_bytes(self) -> tuple[int, int]:
        """Return the sizes of a row of inputs that are ready, and of what stands beside it."""
        sizes = [
            values.nbytes // max(1, len(values))
            for values in (self._inputs, *self._beside())
            if values is not None
        ]
        return sizes[0], sum(sizes[1:])

    def __getitem__(self, index: int) -> Any:
        """Return a batch of one row."""
        return self.__getitems__([index])

    def __getitems__(self, positions: list[int]) -> LoadedBatch | Exception:
        """Return a batch, in a DataLoader or one of its workers."""
        return self.batch(torch.from_numpy(self.indices[positions]))

    def batch(self, places: Tensor, memory: RowBuffer | None = None) -> LoadedBatch | Exception:
        """Return a batch, or the error that an image cannot be read.

        Raised in a DataLoader's worker, the sentence would drown in the worker's traceback.

        Parameters
        ----------
        places : Tensor of shape (m,), int64
            Rows of X.
        memory : RowBuffer, optional
            Where the batch is put.
        """
        indices = places.numpy()
        memory = memory or RowBuffer()
        if self._inputs is not None:
            return LoadedBatch(
                self.joined(self.inputs(places, memory), self.beside(places, memory)), indices, {}
            )
        unreadable: dict[int, str] = {}
        try:
            if isinstance(self.rows, FileRows) and self.rows.unreadable is not None:
                taken, indices, unreadable = self.rows.take_readable(indices)
            else:
                taken = self.rows.take(indices)
        except (ImageReadError, InvalidBoxError) as error:
            return error
        inputs = memory.taken(torch.from_numpy(taken))
        others = self.beside(torch.from_numpy(indices), memory)
        return LoadedBatch(self.joined(inputs, others), indices, unreadable)

    def inputs(self, places: Tensor, memory: RowBuffer) -> Tensor:
        """Return rows of inputs that are ready."""
        values: Any = self._inputs
        if self.may_share and isinstance(values, Tensor) and _stand_together(places.numpy()):
            return values[int(places[0]) : int(places[-1]) + 1]
        return memory.selected(values, places)

    def beside(self, places: Tensor, memory: RowBuffer) -> list[Tensor]:
        """Return what stands beside some inputs: categories, codes, weights, if there are."""
        return [memory.selected(values, places) for values in self._beside()]

    def joined(self, inputs: Tensor, beside: Sequence[Tensor]) -> Batch | Inputs:
        """Return inputs, and what stands :meth:`beside` them, as a batch."""
        both: Inputs = inputs if self.category is None else (inputs, beside[0])
        if self.codes is None:
            return both
        codes, weights = beside[-2:]
        return both, (codes, weights)

    def _beside(self) -> list[Selectable]:
        every = (self.category, self.codes, self.weights)
        return [values for values in every if values is not None]


def _stand_together(indices: NDArray[np.int64]) -> bool:
    """Whether rows follow each other."""
    return bool(len(indices)) and bool(
        (indices == np.arange(indices[0], indices[0] + len(indices))).all()
    )


def _ready_inputs(rows: Rows) -> Selectable | None:
    """Return all inputs of rows in memory that need nothing done, else None."""
    if isinstance(rows, FeatureRows):
        return selectable(rows.array)
    if isinstance(rows, ImageRows) and rows.array.shape[1:] == (*rows.size, 3):
        return selectable(rows.array)
    return None
