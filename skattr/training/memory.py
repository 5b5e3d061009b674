"""Where the rows of a batch are copied to, and how."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

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


class Memory:
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


class PinnedMemory(Memory):
    """Page-locked memory, from which a GPU copies while the program goes on."""

    def taken(self, values: Tensor) -> Tensor:
        """Return a page-locked copy."""
        return values.pin_memory()

    def _out(self, values: Tensor, n_rows: int) -> Tensor:
        return torch.empty((n_rows, *values.shape[1:]), dtype=values.dtype, pin_memory=True)


class ReusedMemory(Memory):
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
