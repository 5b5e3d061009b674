"""Tensors of torch where arrays are expected."""

from typing import Any


def detached(values: Any) -> Any:
    """Return a tensor, or each one in a list or tuple, as an array; others as they are.

    NumPy cannot read tensors that need a gradient, are on a GPU, or are of dtype bfloat16.

    Examples
    --------
    >>> import torch
    >>> detached(torch.ones(2, requires_grad=True))
    array([1., 1.], dtype=float32)
    """
    if isinstance(values, list | tuple) and any(hasattr(value, "detach") for value in values):
        return [detached(value) for value in values]
    if not (hasattr(values, "detach") and hasattr(values, "cpu")):
        return values
    tensor = values.detach().cpu()
    return (tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor).numpy()
