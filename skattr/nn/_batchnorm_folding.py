"""Batch normalization folded into convolutions for inference."""

import copy
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, TypeVar

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

# Of the largest output. Folding in float32 changes outputs by 1e-5 or less, TF32 on a GPU by 1e-3;
# a BatchNorm2d that does not follow its neighbor changes them by about their size.
_TOLERANCE = 0.01
_OWN_HOOKS = ("skattr.nn._embedding",)  # ends the pass at a layer, in a copy as well

Network = TypeVar("Network", bound=nn.Module)


def with_folded_batchnorm(network: Network, part: str, image_size: Sequence[int]) -> Network:
    """Return a network for inference, with the batch normalization of one part folded.

    In evaluation a BatchNorm2d scales and shifts each channel, which the weights of the convolution
    before it can do. Torchvision's networks register the two one after the other. The folded part
    is run on a row of noise, and dropped if it disagrees with the original.

    Parameters
    ----------
    network : Module
        In evaluation mode. It is not changed.
    part : str
        Name of the child that maps images (n, 3, H, W) to features.
    image_size : (height, width)

    Returns
    -------
    Module
        A shallow copy that shares all but the part with `network`, and is not compiled; `network`
        itself if nothing could be folded, or if there are hooks of the user inside of the part,
        which would see the modules of a copy.
    """
    original = getattr(network, part)
    hooks = [hook for module in original.modules() for hook in _hooks(module)]
    pairs = _find_pairs(original)
    if not pairs or not all(getattr(hook, "__module__", "") in _OWN_HOOKS for hook in hooks):
        return network
    folded = copy.deepcopy(original)
    for parent_name, name, next_name in pairs:
        parent: Any = folded.get_submodule(parent_name)
        conv, norm = getattr(parent, name), getattr(parent, next_name)
        setattr(parent, name, fuse_conv_bn_eval(conv, norm))
        setattr(parent, next_name, nn.Identity())
    if not _agree(folded, original, image_size):
        return network
    result = copy.copy(network)
    result._modules = {**network._modules, part: folded}
    return result


def _find_pairs(network: nn.Module) -> list[tuple[str, str, str]]:
    """Return parent and names of each Conv2d with the BatchNorm2d registered right after it."""
    return [
        (parent_name, name, next_name)
        for parent_name, parent in network.named_modules()
        for (name, conv), (next_name, norm) in pairwise(parent.named_children())
        # Subclasses may compute something else, and a module with a hook has to stay.
        if type(conv) is nn.Conv2d
        and type(norm) is nn.BatchNorm2d
        and conv.out_channels == norm.num_features
        and not _hooks(conv) + _hooks(norm)
    ]


def _hooks(module: nn.Module) -> list[Callable[..., Any]]:
    return [*module._forward_hooks.values(), *module._forward_pre_hooks.values()]


def _agree(folded: nn.Module, original: nn.Module, image_size: Sequence[int]) -> bool:
    """Whether two networks have the same outputs, up to rounding, for one row of noise."""
    weight = next(original.parameters())
    noise = torch.randn(1, 3, *image_size, generator=torch.Generator().manual_seed(0)).to(weight)
    try:
        with torch.inference_mode():
            expected = original(noise)
            error = (folded(noise) - expected).abs().max()
    except RuntimeError:  # images too small for the network: the caller's own pass raises it
        return False
    return bool(error <= _TOLERANCE * expected.abs().max())
