"""Devices, precision and transfer."""

import contextlib

import numpy as np
import pytest
import torch

from skattr._training.devices import (
    autocast_context,
    is_cuda,
    resolve_device,
    resolve_dtypes,
    resolve_precision,
    to_device,
    torch_defaults,
)


def test_auto_device():
    """The device "auto" is CUDA if available, else the CPU; others are returned unchanged."""
    assert resolve_device("auto") == ("cuda" if torch.cuda.is_available() else "cpu")
    assert resolve_device("cpu") == "cpu"


@pytest.mark.parametrize("device", ["no such device", "cuda:99"])
def test_rejects_a_device_that_is_not_there(device):
    """The error names the device."""
    with pytest.raises(ValueError, match=f"device='{device}' cannot be used"):
        resolve_device(device)


def test_is_cuda():
    """Names with and without an index are understood."""
    assert is_cuda("cuda")
    assert is_cuda("cuda:1")
    assert is_cuda(torch.device("cuda"))
    assert not is_cuda("cpu")


@pytest.mark.parametrize(
    ("precision", "feature_type", "device", "expected"),
    [
        ("auto", np.float64, "cpu", (torch.float64, None)),
        ("auto", np.float32, "cuda", (torch.float32, None)),
        ("auto", None, "cpu", (torch.float32, None)),
        ("auto", None, "mps", (torch.float32, None)),
        ("auto", None, "cuda:1", (torch.float32, torch.bfloat16)),
        ("float64", None, "cuda", (torch.float64, None)),
        ("float32", np.float64, "cpu", (torch.float32, None)),
        ("bfloat16", None, "cpu", (torch.float32, torch.bfloat16)),
    ],
)
def test_dtypes(precision, feature_type, device, expected, monkeypatch):
    """Parameters are float32 or float64; half types are for products alone."""
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: True)
    dtype = None if feature_type is None else np.dtype(feature_type)
    assert resolve_dtypes(resolve_precision(precision, device, dtype)) == expected


def test_emulated_bfloat16_is_not_used(monkeypatch):
    """A GPU that only emulates bfloat16 (compute capability below 8) computes in float32."""
    monkeypatch.setattr(
        torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation
    )
    assert resolve_precision("auto", "cuda") == "float32"
    assert resolve_precision("bfloat16", "cuda") == "bfloat16"


def test_autocast():
    """Products have the type of the context, or that of their factors for None."""
    factor = torch.ones(2, 2)
    for dtype, expected in [(torch.bfloat16, torch.bfloat16), (None, torch.float32)]:
        with autocast_context(dtype, torch.device("cpu")):
            assert (factor @ factor).dtype == expected


def settings():
    """Return the settings of torch that change what is computed, and a new tensor's type."""
    new = torch.ones(1)
    return (
        torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.get_default_dtype(),
        torch.get_default_device().type, *map(torch.is_autocast_enabled, ("cpu", "cuda")),
        new.dtype, new.device.type, new.is_inference(),
    )  # fmt: skip


@contextlib.contextmanager
def set_by(setter, *values):
    """Call a setter with each of two lists of arguments, before and after."""
    setter(*values[0])
    try:
        yield
    finally:
        setter(*values[1])


CONTEXTS = {
    "none": contextlib.nullcontext,
    "inference mode": torch.inference_mode,
    "no gradients": torch.no_grad,
    "float64": lambda: set_by(torch.set_default_dtype, [torch.float64], [torch.float32]),
    "device": lambda: torch.device("meta"),
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "autocast of CUDA": lambda: set_by(torch.set_autocast_enabled, ["cuda", True], ["cuda", False]),
}


@pytest.mark.parametrize("name", CONTEXTS)
def test_defaults_of_torch(name):
    """Inside, all settings are those of torch; afterwards, also an error, those of the caller."""
    defaults = settings()
    with CONTEXTS[name]():
        before = settings()
        assert (before == defaults) == (name == "none")
        with pytest.raises(ZeroDivisionError), torch_defaults():
            assert settings() == defaults
            raise ZeroDivisionError
        assert settings() == before


def test_to_device():
    """A tensor or several become a tuple on the device; on the CPU none is copied."""
    tensor = torch.ones(2)
    assert to_device(tensor, "cpu")[0] is tensor
    pair = to_device((tensor, tensor), "meta")
    assert [part.device.type for part in pair] == ["meta", "meta"]
