"""Where arrays become tensors: batches of rows, a whole batch at a time."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Sampler
from tqdm.auto import tqdm

from skattr._cache.decoded_images import CachedFileRows
from skattr._inputs.rows import FileRows, Rows
from skattr._inputs.unreadable import readable_rows
from skattr._training.dataset import (
    AttributeDataset,
    Batch,
    Inputs,
    LoadedBatch,
    PinnedRowBuffer,
    ReusedRowBuffer,
    RowBuffer,
)

# Of small batches, and small labels, many are fetched at once: each time takes a while, however
# few the rows.
_BYTES_TOGETHER = 2**21


class BatchIndexSampler(Sampler[list[int]]):
    """Positions of each batch; a last batch of a single row joins the one before.

    Batch normalisation cannot train on one row.

    Parameters
    ----------
    n_rows, batch_size : int
    generator : torch.Generator, optional
        Shuffles anew at every pass; None keeps the order.
    """

    def __init__(
        self, n_rows: int, batch_size: int, generator: torch.Generator | None = None
    ) -> None:
        self.n_rows = n_rows
        self.batch_size = batch_size
        self.generator = generator

    def __len__(self) -> int:
        """Return the number of batches."""
        full, rest = divmod(self.n_rows, self.batch_size)
        return full + (rest > 1 or (rest == 1 and full == 0))

    def __iter__(self) -> Iterator[list[int]]:
        """Yield the positions of each batch."""
        return (positions.tolist() for positions in self.of(torch.arange(self.n_rows)))

    def of(self, rows: Tensor) -> Iterator[Tensor]:
        """Yield what stands at the positions of each batch in a tensor of all rows."""
        yield from self.ordered(rows).split_with_sizes(self.sizes())

    def ordered(self, rows: Tensor) -> Tensor:
        """Return a tensor of all rows in the order of a pass."""
        if self.generator is None:
            return rows
        return rows[torch.randperm(self.n_rows, generator=self.generator)]

    def sizes(self) -> list[int]:
        """Return the number of rows of each batch."""
        sizes = [self.batch_size] * len(self)
        if sizes:
            sizes[-1] += self.n_rows - sum(sizes)
        return sizes


class BatchLoader:
    """Iterate over the batches of a dataset, decoding files in worker processes if asked.

    Parameters
    ----------
    dataset : AttributeDataset
    batch_size : int
    generator : torch.Generator, optional
        Shuffles; None keeps the order.
    num_workers : int, default=0
        Worker processes for file rows; what is in memory never needs one.
    pin_memory : bool, default=False
        Page-locked batches, for copies to a GPU.
    reuse_memory : bool, default=False
        A batch of rows in memory lasts until the next one is asked for.
    """

    def __init__(
        self,
        dataset: AttributeDataset,
        batch_size: int,
        generator: torch.Generator | None = None,
        num_workers: int = 0,
        pin_memory: bool = False,
        reuse_memory: bool = False,
    ) -> None:
        self.dataset = dataset
        self.positions = BatchIndexSampler(len(dataset), batch_size, generator)
        self.num_workers = num_workers
        self.pin_memory = pin_memory
        self.memory = ReusedRowBuffer() if reuse_memory else RowBuffer()
        if pin_memory:
            self.memory = PinnedRowBuffer()
        self._loader: DataLoader[Any] | None = None

    def __len__(self) -> int:
        """Return the number of batches."""
        return len(self.positions)

    def __iter__(self) -> Iterator[Any]:
        """Yield batches; raise what a worker could not read, or leave it out."""
        for part in self.read():
            yield part.batch

    def read(self) -> Iterator[LoadedBatch]:
        """Yield batches with the rows they are made of.

        Where X puts up with what cannot be read, it is left out, and noted in X's `unreadable`.
        A batch of which nothing is left is left out, and in training one of a single row, too.
        """
        rows: Any = self.dataset.rows
        fewest = 1 if self.positions.generator is None else 2
        is_cached = isinstance(rows, CachedFileRows) and not self.dataset.is_in_memory
        batches = self._batches()
        try:
            for part in batches:
                if isinstance(part, Exception):
                    raise part
                if is_cached:
                    rows.store(part.indices, _images_of(part.batch))
                if part.unreadable:
                    rows.unreadable.update(part.unreadable)
                    if len(part.indices) < fewest:
                        continue
                yield part
        except BaseException:
            # Left alive by the traceback, workers break the next ones that are forked.
            if hasattr(batches, "_shutdown_workers"):
                batches._shutdown_workers()
            raise

    def _batches(self) -> Iterator[Any]:
        """Return the batches of one pass, from workers if there are any and files to decode."""
        if self.dataset.is_in_memory:
            self._loader = None
            rows = torch.from_numpy(self.dataset.indices)
            if isinstance(self.memory, ReusedRowBuffer) and self.dataset.is_ready:
                return self._fetched_together(rows)
            return (self.dataset.batch(part, self.memory) for part in self.positions.of(rows))
        if self._loader is None:
            self._loader = DataLoader(
                self.dataset,
                batch_sampler=self.positions,
                collate_fn=_as_it_is,
                num_workers=self.num_workers,
                persistent_workers=self.num_workers > 0,
                pin_memory=self.pin_memory,
                generator=torch.Generator().manual_seed(0),  # seeds workers, which draw nothing
            )
        return iter(self._loader)

    def _fetched_together(self, rows: Tensor) -> Iterator[LoadedBatch]:
        """Yield batches, the inputs of some, and the labels of more, fetched at once."""
        dataset, memory = self.dataset, self.memory
        most_inputs, most_labels = (
            max(1, _BYTES_TOGETHER // max(1, self.positions.batch_size * n_bytes))
            for n_bytes in dataset.row_bytes()
        )
        rows = self.positions.ordered(rows)
        indices, done = rows.numpy(), 0
        for group, sizes in _groups(rows, self.positions.sizes(), most_labels):
            beside = [values.split_with_sizes(sizes) for values in dataset.beside(group, memory)]
            inputs = self._inputs(group, sizes, most_inputs)
            for place, (one, size) in enumerate(zip(inputs, sizes, strict=True)):
                batch = dataset.joined(one, [values[place] for values in beside])
                yield LoadedBatch(batch, indices[done : done + size], {})
                done += size

    def _inputs(self, rows: Tensor, sizes: list[int], most: int) -> Iterator[Tensor]:
        """Yield the inputs of each batch, at most so many fetched at once."""
        for part, some in _groups(rows, sizes, most):
            yield from self.dataset.inputs(part, self.memory).split_with_sizes(some)


def _groups(rows: Tensor, sizes: list[int], most: int) -> Iterator[tuple[Tensor, list[int]]]:
    """Yield the rows of at most so many batches, and the sizes of these."""
    stop = 0
    for first in range(0, len(sizes), most):
        some = sizes[first : first + most]
        start, stop = stop, stop + sum(some)
        yield rows[start:stop], some


def _images_of(batch: Batch | Inputs) -> NDArray[np.uint8]:
    """Return the images of a batch of any form."""
    while not isinstance(batch, Tensor):
        batch = batch[0]
    images: NDArray[np.uint8] = batch.numpy()
    return images


def find_unreadable(rows: Rows, *, batch_size: int, num_workers: int, verbose: int = 0) -> None:
    """Read all files of X once, and note in its `unreadable` those that cannot be read.

    Parameters
    ----------
    rows : Rows
        Nothing is read if it is in memory, or if what cannot be read is an error.
    batch_size, num_workers : int
    verbose : int
        From 1, a progress bar.
    """
    if not isinstance(rows, FileRows) or rows.unreadable is None:
        return
    dataset = AttributeDataset(rows, readable_rows(rows))
    loader = BatchLoader(dataset, batch_size, num_workers=num_workers)
    bar = tqdm(total=len(dataset), disable=verbose < 1, unit="row", desc="checking images")
    with bar:
        for part in loader.read():
            bar.update(len(part.indices))


def _as_it_is(batch: Any) -> Any:
    return batch
