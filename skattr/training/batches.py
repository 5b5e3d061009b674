"""Where arrays become tensors: batches of rows, a whole batch at a time."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler
from tqdm.auto import tqdm

from skattr._images import FileRows, Rows
from skattr._unreadable import readable
from skattr.exceptions import ImageReadError, InvalidBoxError

Inputs = Tensor | tuple[Tensor, Tensor]
Targets = tuple[Tensor, Tensor]
Batch = tuple[Inputs, Targets]


class ReadBatch(NamedTuple):
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
    """

    def __init__(
        self,
        rows: Rows,
        indices: NDArray[np.intp],
        codes: NDArray[np.int64] | None = None,
        weights: NDArray[np.floating[Any]] | None = None,
        category: NDArray[np.int64] | None = None,
    ) -> None:
        self.rows = rows
        self.indices = indices
        self.codes = codes
        self.weights = weights
        self.category = category

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.indices)

    def __getitem__(self, index: int) -> Any:
        """Return a batch of one row."""
        return self.__getitems__([index])

    def __getitems__(self, positions: list[int]) -> ReadBatch | Exception:
        """Return a batch; an unreadable picture is returned, not raised.

        Raised in a DataLoader's worker, the sentence would drown in the worker's traceback.
        """
        indices = self.indices[positions]
        unreadable: dict[int, str] = {}
        try:
            if isinstance(self.rows, FileRows) and self.rows.unreadable is not None:
                taken, indices, unreadable = self.rows.take_readable(indices)
            else:
                taken = self.rows.take(indices)
        except (ImageReadError, InvalidBoxError) as error:
            return error
        return ReadBatch(self._batch(torch.from_numpy(taken), indices), indices, unreadable)

    def _batch(self, taken: Tensor, indices: NDArray[np.intp]) -> Batch | Inputs:
        inputs: Inputs = taken
        if self.category is not None:
            inputs = taken, torch.from_numpy(np.take(self.category, indices))
        if self.codes is None or self.weights is None:
            return inputs
        codes = torch.from_numpy(np.take(self.codes, indices, axis=0))
        weights = torch.from_numpy(np.take(self.weights, indices, axis=0))
        return inputs, (codes, weights)


class BatchPositions(Sampler[list[int]]):
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
        if self.generator is None:
            order = list(range(self.n_rows))
        else:
            order = torch.randperm(self.n_rows, generator=self.generator).tolist()
        last = len(self) - 1
        for batch in range(len(self)):
            start = batch * self.batch_size
            yield order[start : None if batch == last else start + self.batch_size]


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
    """

    def __init__(
        self,
        dataset: AttributeDataset,
        batch_size: int,
        generator: torch.Generator | None = None,
        num_workers: int = 0,
        pin_memory: bool = False,
    ) -> None:
        in_memory = hasattr(dataset.rows, "array")
        workers = 0 if in_memory else num_workers
        self.positions = BatchPositions(len(dataset), batch_size, generator)
        self.loader: DataLoader[Any] = DataLoader(
            dataset,
            batch_sampler=self.positions,
            collate_fn=_as_it_is,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=pin_memory,
            generator=torch.Generator().manual_seed(0),  # seeds workers, which draw nothing
        )

    def __len__(self) -> int:
        """Return the number of batches."""
        return len(self.positions)

    def __iter__(self) -> Iterator[Any]:
        """Yield batches; raise what a worker could not read, or leave it out."""
        for part in self.read():
            yield part.batch

    def read(self) -> Iterator[ReadBatch]:
        """Yield batches with the rows they are made of.

        Where X puts up with what cannot be read, it is left out, and noted in X's `unreadable`.
        A batch of which nothing is left is left out, and in training one of a single row, too.
        """
        rows = self.loader.dataset.rows  # type: ignore[attr-defined]
        fewest = 1 if self.positions.generator is None else 2
        batches = iter(self.loader)
        try:
            for part in batches:
                if isinstance(part, Exception):
                    raise part
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
    dataset = AttributeDataset(rows, readable(rows))
    loader = BatchLoader(dataset, batch_size, num_workers=num_workers)
    bar = tqdm(total=len(dataset), disable=verbose < 1, unit="row", desc="checking pictures")
    with bar:
        for part in loader.read():
            bar.update(len(part.indices))


def _as_it_is(batch: Any) -> Any:
    return batch
