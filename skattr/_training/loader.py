"""Batch sampler and batch loader."""

import multiprocessing
import threading
import warnings
from collections.abc import Generator, Iterator
from dataclasses import dataclass
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
from skattr._training.dataset import AttributeDataset, Batch, Inputs, LoadedBatch
from skattr._training.devices import torch_defaults
from skattr._utils.warnings import find_stack_level
from skattr.exceptions import SkattrWarning


@dataclass(eq=False)
class BatchIndexSampler(Sampler[NDArray[np.intp]]):
    """Sample batches of row positions.

    A last batch of one row is merged into the previous batch, as batch normalization cannot train
    on one row.

    Parameters
    ----------
    n_rows, batch_size : int
    generator : torch.Generator, optional
        Shuffles the rows, in a new order each epoch. None keeps their order.
    """

    n_rows: int
    batch_size: int
    generator: torch.Generator | None = None

    def __len__(self) -> int:
        """Return the number of batches."""
        n_full, n_remaining = divmod(self.n_rows, self.batch_size)
        return n_full + (n_remaining > 1 or (n_remaining == 1 and n_full == 0))

    def __iter__(self) -> Iterator[NDArray[np.intp]]:
        """Yield the positions of each batch."""
        order = np.arange(self.n_rows)
        if self.generator is not None:
            order = torch.randperm(self.n_rows, generator=self.generator).numpy()
        starts = self.batch_size * np.arange(len(self))
        yield from np.split(order, starts[1:]) if len(starts) else ()


@dataclass(eq=False)
class BatchLoader:
    """Iterate over the batches of a dataset, decoding files in worker processes if requested.

    Parameters
    ----------
    dataset : AttributeDataset
    batch_size : int
    generator : torch.Generator, optional
        Shuffles the rows. None keeps their order.
    num_workers : int, default=0
        Worker processes that decode files. No process is started for rows in memory, nor where
        :func:`can_start_processes` is false.
    pin_memory : bool, default=False
        Whether batches are put in page-locked memory, from which a GPU copies asynchronously.
    """

    dataset: AttributeDataset
    batch_size: int
    generator: torch.Generator | None = None
    num_workers: int = 0
    pin_memory: bool = False

    def __post_init__(self) -> None:
        """Make the sampler; worker processes start at the first pass."""
        self.sampler = BatchIndexSampler(len(self.dataset), self.batch_size, self.generator)
        self._loader: DataLoader[Any] | None = None

    def __iter__(self) -> Iterator[Batch | Inputs]:
        """Yield batches; unreadable images raise or are skipped, depending on `on_bad_image`."""
        for part in self.read():
            yield part.batch

    def read(self) -> Generator[LoadedBatch, None, None]:
        """Yield batches with the rows of X they hold.

        If ``on_bad_image="warn"``, unreadable rows are skipped and recorded in
        ``rows.unreadable``. Batches without a readable row are skipped, as are training batches of
        which one row is left.
        """
        rows: Any = self.dataset.rows
        min_rows = 1 if self.generator is None else 2
        with torch_defaults():  # torch draws a seed, on its default device
            batches = iter(self._data_loader())
        try:
            for part in batches:
                if isinstance(part, Exception):
                    raise part
                if part.doubtful and rows.doubtful is not None:
                    rows.doubtful.update(part.doubtful)  # from a worker process
                if isinstance(rows, CachedFileRows):
                    rows.store(part.indices, _images_of(part.batch))
                if part.unreadable:
                    rows.unreadable.update(part.unreadable)
                    if len(part.indices) < min_rows:
                        continue
                yield part
        except BaseException:
            # The traceback would keep workers alive, which breaks later forks.
            if hasattr(batches, "_shutdown_workers"):
                batches._shutdown_workers()
            raise

    def _data_loader(self) -> DataLoader[Any]:
        # Workers are four to seven times slower than none for rows in memory. They are also
        # stopped once the cache is full, so the number is computed again each epoch.
        is_in_memory = self.dataset.is_in_memory
        num_workers = 0 if is_in_memory or not can_start_processes() else self.num_workers
        if self._loader is None or self._loader.num_workers != num_workers:
            self._loader = DataLoader(
                self.dataset,
                batch_size=None,  # the sampler gives the positions of a whole batch
                sampler=self.sampler,
                collate_fn=_identity,
                num_workers=num_workers,
                persistent_workers=num_workers > 0,
                pin_memory=self.pin_memory,
                # By default, DataLoader draws a seed for the workers from the global generator.
                generator=torch.Generator().manual_seed(0),
            )
        return self._loader


def can_start_processes() -> bool:
    """Whether worker processes can be started from here."""
    process = multiprocessing.current_process()
    # joblib's multiprocessing workers are daemons, which may have no children, and in loky's the
    # start method is loky, which knows none of torch's processes. A process that is forked from a
    # thread may inherit a lock that another thread holds.
    return (
        not process.daemon
        and multiprocessing.get_start_method(allow_none=True) != "loky"
        and threading.current_thread() is threading.main_thread()
    )


def warn_no_processes(rows: Any, num_workers: int) -> None:
    """Warn if `num_workers` are requested where they cannot be started."""
    if num_workers and isinstance(rows, FileRows) and not can_start_processes():
        warnings.warn(
            f"images has num_workers={num_workers}, but a worker process or thread, such as those "
            "of joblib's n_jobs, starts no processes of its own: its files are decoded on threads.",
            SkattrWarning,
            stacklevel=find_stack_level(),
        )


def _images_of(batch: Batch | Inputs) -> NDArray[np.uint8]:
    while not isinstance(batch, Tensor):
        batch = batch[0]
    images: NDArray[np.uint8] = batch.numpy()
    return images


def _identity(batch: Any) -> Any:
    return batch


def find_unreadable(rows: Rows, *, batch_size: int, num_workers: int, verbose: int = 0) -> None:
    """Read all files of X once, and record the unreadable ones in ``rows.unreadable``.

    Parameters
    ----------
    rows : Rows
        Nothing is read if the rows are in memory, or if an unreadable row is an error.
    batch_size, num_workers : int
    verbose : int
        A progress bar is shown if at least 1.
    """
    if not isinstance(rows, FileRows) or rows.unreadable is None:
        return
    dataset = AttributeDataset(rows, readable_rows(rows))
    loader = BatchLoader(dataset, batch_size, num_workers=num_workers)
    progress = {"disable": verbose < 1, "unit": "row", "desc": "checking images"}
    with tqdm(total=len(dataset), **progress) as bar:
        for part in loader.read():
            bar.update(len(part.indices))
