"""A training batch on its device: what the network is given, with the labels it is held to."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from skattr.training.batches import Batch


@dataclass(frozen=True)
class LabelledBatch:
    """Inputs of n rows and one or more sets of labels for them.

    Attributes
    ----------
    inputs : tuple of Tensor of shape (n, ...)
        Pictures or features; behind them the object's category, if the network is given it.
    labels : tuple of (codes, weights)
        Each of shape (n, n_attributes), as the loss has arranged them. The sums of the losses
        with each of them, and those of the weights, are to be added.
    """

    inputs: tuple[Tensor, ...]
    labels: tuple[tuple[Tensor, Tensor], ...]

    @classmethod
    def of(cls, batch: Batch, device: Any) -> "LabelledBatch":
        """Move a batch to a device."""
        codes, weights = moved(batch[1], device)
        return cls(moved(batch[0], device), ((codes, weights),))

    def __len__(self) -> int:
        """Return the number of rows."""
        return self.inputs[0].shape[0]

    def mixed(self, share: float, order: Tensor) -> "LabelledBatch":
        """Mix the pictures or features of each row with those of its partner, as floats.

        A label counts by its row's share, and nothing where it is unknown (Zhang et al. 2018,
        with a mask).

        Parameters
        ----------
        share : float in [0, 1]
            Of the row; the partner has the rest.
        order : Tensor of shape (n,), int64
            The partner of each row.
        """
        x, *others = self.inputs
        floats = x if x.is_floating_point() else x.float()
        of_rows = tuple((codes, share * weights) for codes, weights in self.labels)
        of_partners = tuple(
            (codes[order], (1 - share) * weights[order]) for codes, weights in self.labels
        )
        mixed = torch.lerp(floats[order], floats, share)
        return LabelledBatch((mixed, *others), of_rows + of_partners)

    def parts(self, n_parts: int) -> "Iterator[LabelledBatch]":
        """Cut the rows into parts of about equal size."""
        tensors = [*self.inputs, *(tensor for pair in self.labels for tensor in pair)]
        n_inputs = len(self.inputs)
        for part in zip(*(tensor.tensor_split(n_parts) for tensor in tensors), strict=True):
            labels = zip(part[n_inputs::2], part[n_inputs + 1 :: 2], strict=True)
            yield LabelledBatch(part[:n_inputs], tuple(labels))


def moved(tensors: Tensor | tuple[Tensor, ...], device: Any) -> tuple[Tensor, ...]:
    """Return the tensors of a batch's inputs or targets on `device`."""
    parts = (tensors,) if isinstance(tensors, Tensor) else tensors
    if device == "cpu":  # where batches are made
        return parts
    # Elsewhere than from page-locked memory to CUDA, the batch may change before it is copied.
    is_cuda = torch.device(device).type == "cuda"
    return tuple(part.to(device, non_blocking=is_cuda) for part in parts)
