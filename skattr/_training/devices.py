"""Devices, precision and transfer of batches."""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor


def resolve_device(device: str) -> str:
    """Return the device for "auto", CUDA if available, else the CPU; check any other.

    Raises
    ------
    ValueError
        If the device is not available.
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


def is_cuda(device: Any) -> bool:
    """Whether a device, or its name, is a CUDA device."""
    return torch.device(device).type == "cuda"


def resolve_precision(
    precision: str, device: str, feature_type: np.dtype[Any] | None = None
) -> str:
    """Return the precision for "auto": that of 2-D features, else bfloat16 on CUDA.

    A GPU that only emulates bfloat16, which is slower than float32, computes in float32.

    Parameters
    ----------
    precision : {"auto", "float32", "float64", "bfloat16"}
    device : str
    feature_type : dtype, optional
        The type of 2-D features, float32 or float64; None for images.

    Examples
    --------
    >>> resolve_precision("auto", "cpu"), resolve_precision("bfloat16", "cpu")
    ('float32', 'bfloat16')
    """
    if precision != "auto":
        return precision
    if feature_type is not None:
        return str(feature_type)
    return "bfloat16" if is_cuda(device) and _has_bfloat16(device) else "float32"


def _has_bfloat16(device: str) -> bool:
    """Whether a CUDA device computes in bfloat16 itself."""
    # torch asks the current device, so `device` is made current.
    is_there = torch.cuda.is_available()
    with torch.cuda.device(device) if is_there else contextlib.nullcontext():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))


def resolve_dtypes(precision: str) -> tuple[torch.dtype, torch.dtype | None]:
    """Return the type of parameters and, for mixed precision, the type to autocast to.

    Examples
    --------
    >>> resolve_dtypes("bfloat16")
    (torch.float32, torch.bfloat16)
    """
    # Steps of an optimizer are often smaller than the rounding of parameters in bfloat16.
    if precision == "bfloat16":
        return torch.float32, torch.bfloat16
    return (torch.float64 if precision == "float64" else torch.float32), None


def autocast_context(
    dtype: torch.dtype | None, device: torch.device
) -> contextlib.AbstractContextManager[Any]:
    """Return autocast to `dtype` on `device`, or a context without effect for None."""
    if dtype is None:
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=dtype)


@contextlib.contextmanager
def torch_defaults() -> Iterator[None]:
    """Compute with the defaults of torch, whatever contexts and settings the caller has.

    These are gradients, no inference mode, no autocast, and float32 and the CPU for new tensors.
    """
    with contextlib.ExitStack() as stack:
        if torch.is_inference_mode_enabled():
            stack.enter_context(torch.inference_mode(False))
        if not torch.is_grad_enabled():
            stack.enter_context(torch.enable_grad())
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        for device in ("cpu", "cuda"):
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        dtype = torch.get_default_dtype()
        if dtype is not torch.float32:
            torch.set_default_dtype(torch.float32)
            stack.callback(torch.set_default_dtype, dtype)
        yield


def to_device(tensors: Tensor | tuple[Tensor, ...], device: Any) -> tuple[Tensor, ...]:
    """Return the tensors of a batch's inputs or targets on `device`."""
    parts = (tensors,) if isinstance(tensors, Tensor) else tensors
    if device == "cpu":  # batches are loaded there: skip the calls, on each step
        return parts
    # Only copies from page-locked memory to CUDA are ordered before later work; elsewhere the
    # memory of the batch could be reused before it is copied.
    return tuple(part.to(device, non_blocking=is_cuda(device)) for part in parts)
