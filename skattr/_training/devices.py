"""Devices, precision and transfer of batches."""

import contextlib
from typing import Any

import torch
from torch import Tensor

from skattr._inputs.rows import FeatureRows, Rows


def resolve_precision(precision: str, device: str) -> str:
    """Return the precision "auto" stands for: bfloat16 products on CUDA, else float32.

    Examples
    --------
    >>> resolve_precision("auto", "cpu"), resolve_precision("auto", "cuda:1")
    ('float32', 'bfloat16')
    """
    if precision != "auto":
        return precision
    return "bfloat16" if device.startswith("cuda") else "float32"


def moved(tensors: Tensor | tuple[Tensor, ...], device: Any) -> tuple[Tensor, ...]:
    """Return the tensors of a batch's inputs or targets on `device`."""
    parts = (tensors,) if isinstance(tensors, Tensor) else tensors
    if device == "cpu":  # where batches are made
        return parts
    # Elsewhere than from page-locked memory to CUDA, the batch may change before it is copied.
    is_cuda = torch.device(device).type == "cuda"
    return tuple(part.to(device, non_blocking=is_cuda) for part in parts)


DTYPES = {
    "float32": torch.float32,
    "float64": torch.float64,
    "bfloat16": torch.bfloat16,
}


def resolve_device(device: str) -> str:
    """Return the device "auto" stands for: CUDA if there is one, else the CPU.

    Raises
    ------
    ValueError
        If there is no such device here.
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f"device={device!r} cannot be used; it must be 'auto', 'cpu' or another device of "
            f"torch that is there, such as 'cuda' or 'cuda:1'. {error}"
        ) from error
    return device


def _types(precision: str, rows: Rows, device: str) -> tuple[torch.dtype, torch.dtype | None]:
    """Return the type of the parameters and, if it differs, that of the matrix products."""
    if precision == "auto":
        if isinstance(rows, FeatureRows):
            return DTYPES[str(rows.array.dtype)], None
        return torch.float32, torch.bfloat16 if device.startswith("cuda") else None
    dtype = DTYPES[precision]
    return (torch.float32, dtype) if dtype.itemsize == 2 else (dtype, None)


def autocast_context(
    dtype: torch.dtype | None, device: torch.device
) -> contextlib.AbstractContextManager[Any]:
    """Return autocast to `dtype` on `device`, or nothing for None."""
    if dtype is None:
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=dtype)
