"""Checks of a trained net, and restoration of a net whose training failed."""

import contextlib
import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from skattr._training.net import AttributeNet
from skattr.exceptions import DivergedError

_ADVICE = "a smaller `lr` or input of a smaller scale keeps it finite"


def check_converged(net: AttributeNet, inputs: tuple[torch.Tensor, ...]) -> None:
    """Raise a DivergedError if a net's weights, or its outputs for some inputs, are not finite.

    The loss of an epoch is computed before the last step, which may be the one that diverges, and
    in training batch normalization does not use the statistics that prediction uses.

    Parameters
    ----------
    net : AttributeNet
    inputs : tuple of Tensor
        A few training rows, as the network takes them.
    """
    module = net.module_
    tensors = dict(module.named_parameters())
    for name, layer in module.named_modules():
        if isinstance(layer, _NormBase):  # other buffers may be infinite, such as a mask
            tensors |= {f"{name}.{key}": value for key, value in layer.named_buffers()}
    floats = {key: value for key, value in tensors.items() if value.is_floating_point()}
    if floats:  # a single number is read from the device
        flags = torch.stack([value.detach().isfinite().all() for value in floats.values()])
        if not flags.all():
            first = list(floats)[int(flags.int().argmin())]
            raise DivergedError(
                f"After the last step of training, {first} of the network is not finite; {_ADVICE}."
            )
    net._set_training(False)
    with torch.no_grad():
        if not net.infer(inputs).isfinite().all():
            raise DivergedError(
                f"After the last step of training, the network's outputs are not finite; {_ADVICE}."
            )


@contextlib.contextmanager
def restoring(net: AttributeNet | None) -> Iterator[None]:
    """Restore weights, optimizer, average and history of a net if the context ends in an error.

    Parameters
    ----------
    net : AttributeNet, optional
        A net that is trained further; None restores nothing.
    """
    if net is None:
        yield
        return
    parts: list[Any] = [net.module_, net.criterion_, net.optimizer_]
    parts = [part for part in parts if isinstance(part, nn.Module | torch.optim.Optimizer)]
    states = [copy.deepcopy(part.state_dict()) for part in parts]
    average, n_epochs = copy.deepcopy(net.average_), len(net.history)
    try:
        yield
    except BaseException:
        for part, state in zip(parts, states, strict=True):
            part.load_state_dict(state)
        net.average_ = average
        del net.history[n_epochs:]
        raise
