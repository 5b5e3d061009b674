"""Weights of a backbone from a file."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from skattr.nn._backbones.torchvision import AUXILIARY_CLASSIFIERS, CLASSIFIERS

_RESAVE = "make one with torch.save(module.state_dict(), path)"


def load_backbone_weights(model: nn.Module, path: str) -> None:
    """Load a state dict into a backbone, without unpickling code.

    Entries of classifiers that the backbone does not have are ignored.

    Parameters
    ----------
    model : Module
    path : str
        A file of `torch.save` or of safetensors.

    Raises
    ------
    ValueError
        If the file is no state dict, or its entries are not those of the backbone.
    """
    state = _read(path)
    wanted = model.state_dict()
    # A counter that inference does not use; files of early versions of torch lack it.
    needed = [key for key in wanted if not key.endswith("num_batches_tracked")]
    hint = _hint(state, needed, path)
    if hint:
        raise ValueError(f"weights={path!r} {hint}")
    missing = [key for key in needed if key not in state]
    if missing:
        raise ValueError(
            f"weights={path!r} lacks {len(missing)} of the backbone's {len(wanted)} entries, "
            f"the first being {missing[0]!r}."
        )
    ignored = (*CLASSIFIERS, *AUXILIARY_CLASSIFIERS)
    surplus = [key for key in state if key not in wanted and key.partition(".")[0] not in ignored]
    if surplus:
        raise ValueError(
            f"weights={path!r} has {len(surplus)} entries that the backbone does not have, the "
            f"first being {surplus[0]!r}: it holds the weights of another network."
        )
    _check_entries(state, wanted, needed, path)
    model.load_state_dict({key: state.get(key, value) for key, value in wanted.items()})


def _check_entries(
    state: Mapping[str, Any], wanted: Mapping[str, Tensor], needed: list[str], path: str
) -> None:
    """Raise a ValueError for an entry that is no tensor, of another shape, or not finite."""
    for key in needed:
        found, expected = state[key], tuple(wanted[key].shape)
        if not isinstance(found, Tensor):
            raise ValueError(
                f"weights={path!r} does not fit: {key!r} is a {type(found).__name__}; expected a "
                f"tensor of shape {expected}."
            )
        if tuple(found.shape) != expected:
            raise ValueError(
                f"weights={path!r} does not fit: {key!r} has shape {tuple(found.shape)}; expected "
                f"{expected}."
            )
        if found.is_floating_point() and not bool(found.isfinite().all()):
            raise ValueError(f"weights={path!r} cannot be used: {key!r} has NaN or infinity.")


def _read(path: str) -> dict[str, Any]:
    """Return the dict in a file, without running code from it."""
    with open(path, "rb") as file:
        head = file.read(9)
    if not head:
        raise ValueError(f"weights={path!r} is an empty file.")
    # The format begins with the length of its header, in eight bytes, and a JSON object.
    n_header = int.from_bytes(head[:8], "little")
    if head[8:] == b"{" and n_header < Path(path).stat().st_size:
        # Imported here: few users have such files.
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return dict(load_file(path))
        except SafetensorError as error:
            raise ValueError(f"weights={path!r} is a damaged safetensors file: {error}.") from error
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"weights={path!r} is no state dict that can be read without running its code: it is "
            "damaged, or holds other objects than tensors, such as a whole module; "
            f"{_RESAVE}."
        ) from error
    except Exception as error:  # truncated or foreign files raise nearly every type of error
        raise ValueError(
            f"weights={path!r} is no state dict that can be read without running its code: it is "
            f"damaged, or was not written by torch.save; {_RESAVE}."
        ) from error
    if not isinstance(state, Mapping):
        raise ValueError(
            f"weights={path!r} holds a {type(state).__name__}, but no state dict; {_RESAVE}."
        )
    return dict(state)


def _hint(state: Mapping[str, Any], needed: list[str], path: str) -> str | None:
    """Return how to unpack a state dict that is in another dict, or whose keys have a prefix."""
    if not needed or needed[0] in state:
        return None
    nested = [key for key, value in state.items() if _is_state_dict(value)]
    if nested:
        shown = " or ".join(map(repr, nested))
        return (
            f"holds its state dict under {shown}; save that alone: "
            f"torch.save(torch.load({path!r})[{nested[0]!r}], path)."
        )
    for key in state:
        prefix = key.removesuffix(needed[0]) if isinstance(key, str) else ""
        if prefix and prefix != key and all(prefix + name in state for name in needed):
            return (
                f"has the prefix {prefix!r} before each name, as wrappers of modules add it; "
                "remove it: {name.removeprefix("
                f"{prefix!r}): value for name, value in state.items() "
                f"if name.startswith({prefix!r})}}, and save the result."
            )
    return None


def _is_state_dict(value: Any) -> bool:
    return isinstance(value, Mapping) and any(isinstance(part, Tensor) for part in value.values())
