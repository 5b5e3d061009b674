"""Randomness from a generator of our own, where torch's layers know only the global one."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

_DRAWS = frozenset(
    {
        "bernoulli",
        "bernoulli_",
        "kaiming_normal_",
        "kaiming_uniform_",
        "multinomial",
        "normal",
        "normal_",
        "orthogonal_",
        "rand",
        "randint",
        "randn",
        "random_",
        "randperm",
        "sparse_",
        "trunc_normal_",
        "uniform_",
        "xavier_normal_",
        "xavier_uniform_",
    }
)
# Axes of a single sample, for those that take one; 0 where the first axis is always the batch.
_CHANNEL_DROPOUTS = {functional.dropout1d: 2, functional.dropout2d: 0, functional.dropout3d: 4}
_SELU_FLOOR = -1.7580993408473766  # -scale * alpha of the SELU, to which alpha dropout sets


class use_generator(TorchFunctionMode):
    """Context in which torch draws from `generator` instead of the global one.

    The initialisation of torch's layers and dropout take no generator from outside. Seeding the
    global one, or forking it, is seen by other threads; a function mode is not.

    Parameters
    ----------
    generator : torch.Generator

    Examples
    --------
    >>> import torch
    >>> state = torch.get_rng_state()
    >>> with use_generator(torch.Generator().manual_seed(0)):
    ...     layer = torch.nn.Linear(2, 3)
    >>> torch.equal(state, torch.get_rng_state())
    True
    """

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()
        self.generator = generator

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Call `func`, with the generator added if it draws."""
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name in _DRAWS and kwargs.get("generator") is None:
            kwargs = {**kwargs, "generator": self.generator}
        elif func is functional.dropout:
            return self._dropout(*args, **kwargs)
        elif func in _CHANNEL_DROPOUTS:
            return self._dropout(*args, **{**kwargs, "unbatched": _CHANNEL_DROPOUTS[func]})
        elif func is functional.alpha_dropout:
            return self._alpha_dropout(*args, **kwargs)
        elif func is functional.feature_alpha_dropout:
            return self._alpha_dropout(*args, **{**kwargs, "whole_channels": True})
        return func(*args, **kwargs)

    def _dropout(
        self,
        input: Tensor,
        p: float = 0.5,
        training: bool = True,
        inplace: bool = False,
        unbatched: int | None = None,
    ) -> Tensor:
        if not training or p == 0:
            return input
        mask = self._mask(input, p, unbatched)
        return input * mask / (1 - p) if p < 1 else input * mask

    def _alpha_dropout(
        self,
        input: Tensor,
        p: float = 0.5,
        training: bool = False,
        inplace: bool = False,
        whole_channels: bool = False,
    ) -> Tensor:
        if not training or p == 0:
            return input
        mask = self._mask(input, p, 0 if whole_channels else None)
        if p == 1:
            return input * mask
        scale = ((1 - p) * (1 + p * _SELU_FLOOR**2)) ** -0.5
        result: Tensor = scale * (input * mask + _SELU_FLOOR * (1 - mask) - _SELU_FLOOR * p)
        return result

    def _mask(self, input: Tensor, p: float, unbatched: int | None) -> Tensor:
        """Draw what is kept: entries (None), or channels, with `unbatched` axes of one sample."""
        shape = list(input.shape)
        if unbatched is not None:
            n_leading = 1 if input.ndim == unbatched else 2
            shape[n_leading:] = [1] * (input.ndim - n_leading)
        return input.new_empty(shape).bernoulli_(1 - p, generator=self.generator)
