"""Run torch's random operations with generators of our own."""

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import torch

# Layers of torch and of users draw from torch's default generators, which all threads share. Only
# the thread that holds this lock may borrow them. It may be taken again by the same thread, as a
# backbone may build a network inside of its forward pass.
_LOCK = threading.RLock()


@contextlib.contextmanager
def use_generators(*generators: torch.Generator) -> Iterator[None]:
    """Let torch draw from `generators` in place of its default generators.

    The state of the default generator of each device is saved, replaced by that of our generator
    and restored when the context is left, also after an error. Our generators then go on from
    where the draws ended. All that draws is covered: initialization, dropout, the dropout inside
    of recurrent layers and attention, and functions such as :func:`torch.randn_like`.

    Threads that enter the context take turns, so that fits in several threads of one process draw
    what they would draw one after the other, but run what is inside of the context one at a time.
    A thread that draws from torch's default generators on its own at such a moment draws from
    ours: its numbers, and ours, are then not reproducible.

    Parameters
    ----------
    *generators : torch.Generator
        At most one per device.

    Examples
    --------
    >>> import torch
    >>> state = torch.get_rng_state()
    >>> with use_generators(torch.Generator().manual_seed(0)):
    ...     layer = torch.nn.Linear(2, 3)
    >>> torch.equal(state, torch.get_rng_state())
    True
    """
    with _LOCK:
        defaults = [_default_generator(generator.device) for generator in generators]
        states = [default.get_state() for default in defaults]
        try:
            for default, generator in zip(defaults, generators, strict=True):
                default.set_state(generator.get_state())
            yield
        finally:
            for default, generator, state in zip(defaults, generators, states, strict=True):
                generator.set_state(default.get_state())
                default.set_state(state)


def make_generators(device: torch.device | str, seed: int) -> list[torch.Generator]:
    """Return seeded generators for all that a network on `device` may draw.

    Parameters
    ----------
    device : torch.device or str
    seed : int

    Returns
    -------
    list of torch.Generator
        One for the CPU, and one for `device` if it is another: layers draw on the device of their
        inputs, but cuDNN seeds the dropout of recurrent layers with a number drawn on the CPU.

    Examples
    --------
    >>> make_generators("cpu", seed=0)[0].initial_seed()
    0
    """
    device = torch.device(device)
    devices = [torch.device("cpu")] if device.type == "cpu" else [torch.device("cpu"), device]
    return [torch.Generator(one).manual_seed(seed) for one in devices]


def _default_generator(device: torch.device) -> torch.Generator:
    """Return the generator that torch draws from on a device."""
    if device.type == "cpu":
        return torch.default_generator
    if device.type == "mps":  # the only device of its kind, so torch.mps has no list of generators
        return torch.mps._get_default_mps_generator()
    module: Any = torch.get_device_module(device)
    module.init()  # fills the list
    index = module.current_device() if device.index is None else device.index
    generator: torch.Generator = module.default_generators[index]
    return generator
