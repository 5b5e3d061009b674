"""Randomness from a generator of our own, where torch's layers know only the global one."""

from collections.abc import Callable
from typing import Any

import torch
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


class drawing_from(TorchFunctionMode):
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
    >>> with drawing_from(torch.Generator().manual_seed(0)):
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
        elif func is torch.nn.functional.dropout:
            return self._dropout(*args, **kwargs)
        return func(*args, **kwargs)

    def _dropout(
        self, input: torch.Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
    ) -> torch.Tensor:
        if not training or p == 0:
            return input
        kept = torch.empty_like(input).bernoulli_(1 - p, generator=self.generator)
        return input * kept / (1 - p) if p < 1 else input * kept
