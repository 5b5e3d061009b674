"""Exponential moving average of a network's weights."""

import itertools
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class EMAWeights:
    r"""Exponential moving average of a network's parameters and buffers.

    After step t = 0, 1, ... the average is

    .. math:: a \leftarrow d_t\, a + (1 - d_t)\, w, \quad
        d_t = \min\left(d, \frac{1 + t}{10 + t}\right)

    so that the initial weights do not dominate a short fit. Integer buffers remain those of the
    last step.

    Parameters
    ----------
    network : Module
        Network whose weights the average starts at.
    decay : float in [0, 1)

    Notes
    -----
    One set of tensors is stored: the weights while the network holds the averages, else the
    averages.

    Examples
    --------
    >>> import torch
    >>> network = torch.nn.Linear(1, 1)
    >>> average = EMAWeights(network, decay=0.99)
    >>> before = network.weight.item()
    >>> with torch.no_grad():
    ...     _ = network.weight.add_(1)
    >>> average.update(network)
    >>> average.exchange(network)
    >>> round(network.weight.item() - before, 6)
    0.9
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.n_steps = 0
        self.network_holds_averages = False
        self._tensors = [tensor.detach().clone() for tensor in _state(network)]

    def update(self, network: nn.Module) -> None:
        """Add the weights of `network` after a step."""
        decay = min(self.decay, (1 + self.n_steps) / (10 + self.n_steps))
        # torch's kernel averages all tensors at once.
        average = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
        average(self._tensors, list(_state(network)), self.n_steps)
        self.n_steps += 1

    @torch.no_grad()
    def exchange(self, network: nn.Module) -> None:
        """Swap the stored tensors with those of `network`."""
        for stored, tensor in zip(self._tensors, _state(network), strict=True):
            previous = tensor.detach().clone()
            tensor.copy_(stored)  # in place, as the optimizer holds the parameters
            stored.copy_(previous)
        self.network_holds_averages = not self.network_holds_averages


def _state(network: nn.Module) -> Iterator[Tensor]:
    """Yield the parameters and buffers to average; integer buffers of the last step remain."""
    for tensor in itertools.chain(network.parameters(), network.buffers()):
        if tensor.is_floating_point():
            yield tensor
