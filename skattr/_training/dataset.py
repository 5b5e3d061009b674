"""Dataset of rows of X with their target codes and weights."""

from dataclasses import KW_ONLY, dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from skattr._cache.decoded_images import CachedFileRows
from skattr._inputs.rows import FeatureRows, FileRows, Rows, take_rows
from skattr.exceptions import ImageReadError, InvalidBoxError

Inputs = Tensor | tuple[Tensor, Tensor]  # pixels or features, alone or with the object's category
Targets = tuple[Tensor, Tensor]  # codes and weights
Batch = tuple[Inputs, Targets]


class LoadedBatch(NamedTuple):
    """A batch with the rows of X it holds.

    Attributes
    ----------
    batch : Batch, or Inputs if the dataset has no targets
    indices : ndarray of shape (n,), int
        The rows of X in the batch.
    unreadable : dict of {int: str}
        The requested rows that could not be read, with the reason for each.
    doubtful : dict of {int: str}
        What is doubtful about some of the rows.
    """

    batch: Any
    indices: NDArray[np.intp]
    unreadable: dict[int, str]
    doubtful: dict[int, str]


@dataclass(eq=False)
class AttributeDataset(Dataset[Any]):
    """Some rows of X with the codes and weights of their labels, read a batch at a time.

    Parameters
    ----------
    rows : Rows
        All rows of X.
    indices : ndarray of shape (n,), int
        The rows of X in this dataset.
    codes : ndarray of shape (len(rows), n_attributes), int, optional
        Class codes, -1 for a missing label. None for inference.
    weights : ndarray of shape (len(rows), n_attributes), float, optional
        Weights of the labels.
    category : ndarray of shape (len(rows),), int64, optional
        If given, the inputs of a batch are a pair: the images or features, and these.
    share_features : bool, default=False
        Whether a batch of consecutive 2-D features may be a view of X instead of a copy.
    """

    rows: Rows
    indices: NDArray[np.intp]
    codes: NDArray[np.integer[Any]] | None = None
    weights: NDArray[np.floating[Any]] | None = None
    category: NDArray[np.int64] | None = None
    _: KW_ONLY
    share_features: bool = False

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.indices)

    @property
    def is_in_memory(self) -> bool:
        """Whether batches can be read without decoding a file."""
        if isinstance(self.rows, CachedFileRows):
            return self.rows.is_cached(self.indices)
        return not isinstance(self.rows, FileRows)

    def __getitem__(self, positions: NDArray[np.intp]) -> LoadedBatch | Exception:
        """Return the batch at some positions of the dataset, or the error of an unreadable image.

        The error is returned because raising it in a DataLoader's worker would bury the message
        in the worker's traceback.
        """
        indices = self.indices[positions]
        unreadable: dict[int, str] = {}
        try:
            if isinstance(self.rows, FileRows) and self.rows.unreadable is not None:
                values, indices, unreadable = self.rows.take_readable(indices)
            else:
                values = self._take(indices)
        except (ImageReadError, InvalidBoxError) as error:
            return error
        known = self.rows.doubtful or {}
        doubtful = {row: known[row] for row in indices.tolist() if row in known} if known else {}
        tensor = torch.from_numpy(values)
        inputs: Inputs = tensor
        if self.category is not None:
            inputs = tensor, _copy_rows(self.category, indices)
        if self.codes is None or self.weights is None:
            return LoadedBatch(inputs, indices, unreadable, doubtful)
        # torch looks up losses by int64 only.
        targets = _copy_rows(self.codes, indices).long(), _copy_rows(self.weights, indices)
        return LoadedBatch((inputs, targets), indices, unreadable, doubtful)

    def _take(self, indices: NDArray[np.intp]) -> NDArray[Any]:
        if not (self.share_features and isinstance(self.rows, FeatureRows)):
            return self.rows.take(indices)
        array, start, stop = self.rows.array, int(indices[0]), int(indices[-1]) + 1
        is_range = np.array_equal(indices, np.arange(start, stop))
        # torch warns of tensors on read-only memory, such as joblib's memory maps, and has none
        # on strides that are negative or no multiple of an element.
        if is_range and array.flags.writeable and array.flags.c_contiguous:
            return array[start:stop]
        return self.rows.take(indices)


def _copy_rows(values: NDArray[Any], indices: NDArray[np.intp]) -> Tensor:
    return torch.from_numpy(take_rows(values, indices))
