"""Batch normalisation folded into the convolutions before it, in a copy for inference.

In evaluation a BatchNorm2d is a scale and a shift for each channel, and so can be part of the
weights and biases of the convolution before it. Which convolution that is, is seen from a run of
the copy, as neither names nor the order of modules tell it; and tracing a graph would replace
`nn.Module.__call__` meanwhile, for all threads.
"""

import copy
from collections import Counter
from collections.abc import Callable
from types import FunctionType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from skattr.nn._random import use_generator

Pair = tuple[nn.Conv2d, nn.BatchNorm2d]
_FOLDED_TYPES = (torch.float32, torch.float64)  # fewer bits would round the products of weights
_COMPILED = "_compiled_call_impl"  # what nn.Module.compile sets, and copies go without
_TF32_STEP = 2.0**-10  # relative, of what a GPU may multiply in place of float32


def folded(network: nn.Module, *example: Tensor) -> nn.Module | None:
    """Copy a network for inference, its batch normalisation folded into convolutions.

    A BatchNorm2d is folded if, in a run on `example`, its input is the very output of a Conv2d,
    nothing else read that output or the weights, and both were called once. It becomes an
    Identity in the copy. Other layers, and subclasses of these two, stay as they are. The copy
    is run again afterwards, and dropped if its outputs are not those from before, so far as the
    example has rows.

    Parameters
    ----------
    network : Module
        In any mode. It is not run and not changed in any way.
    *example : Tensor
        What the network is called with; one or two rows are enough. All outputs of convolutions
        are held for a moment. Which modules run should depend on shapes alone, not on values.

    Returns
    -------
    Module or None
        A deep copy in evaluation mode, uncompiled, without gradients, its weights in
        channels_last. Its outputs differ from those of the network by rounding only.

        None where the network itself is to be used: nothing could be folded, a copy would not be
        the same (hooks of the user, or functions that hold on to parts of the network), it cannot
        be copied, parts of it are compiled or not yet initialised, or any run of it failed.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU())
    >>> folded(network, torch.zeros(1, 3, 6, 6))
    Sequential(
      (0): Conv2d(3, 8, kernel_size=(3, 3), stride=(1, 1))
      (1): Identity()
      (2): ReLU()
    )
    >>> network.training
    True
    >>> print(folded(nn.Sequential(nn.Linear(3, 2)), torch.zeros(1, 3)))
    None
    """
    if not any(map(_is_normalization, network.modules())) or not _is_its_copy(network):
        return None
    try:
        with torch.inference_mode(False), torch.no_grad():
            return _folded_copy(network, example)
    except Exception:  # of the user's modules, copied or run: nothing that the network must share
        return None


def _folded_copy(network: nn.Module, example: tuple[Tensor, ...]) -> nn.Module | None:
    """Return the copy, or None if there is nothing to fold or it computes something else."""
    result = copy.deepcopy(network).eval().requires_grad_(False)
    reader = _Reader()
    with reader.reading(result):
        expected = _run(result, example)
    pairs = reader.pairs()
    if not pairs:
        return None
    for convolution, normalization in pairs:
        _fold(convolution, normalization)
    _remove(result, {normalization for _, normalization in pairs})
    for memory_format in (torch.channels_last, torch.contiguous_format):
        result = result.to(memory_format=memory_format)
        try:
            if _agree(_run(result, example), expected):
                return result
        except RuntimeError:  # a view that needs its input to be contiguous
            continue
    return None


def _is_normalization(module: nn.Module) -> bool:
    return type(module) is nn.BatchNorm2d


def _is_its_copy(network: nn.Module) -> bool:
    """Whether a deep copy, run instead of the network, does what the network would do.

    Hooks may be there for what they do elsewhere, except those of torch (weight normalisation)
    and of this package. Functions are not copied, so that a closure over a part of the network
    would run that part of the original (a part compiled with torch.compile is such a closure).
    """
    for module in network.modules():
        hooks = [*module._forward_hooks.values(), *module._forward_pre_hooks.values()]
        if not all(map(_is_known, hooks)):
            return False
        if any(_is_closure(value) for name, value in vars(module).items() if name != _COMPILED):
            return False
    return True


def _is_known(hook: Callable[..., Any]) -> bool:
    origin = getattr(hook, "__module__", None) or ""
    return origin.startswith(("torch.nn.", "skattr."))


def _is_closure(value: Any) -> bool:
    return isinstance(value, FunctionType) and value.__closure__ is not None


def _is_bare(module: nn.Module) -> bool:
    """Whether a call of a module is that of its class's `forward` and nothing more."""
    hooks = (
        module._forward_hooks,
        module._forward_pre_hooks,
        module._backward_hooks,
        module._backward_pre_hooks,
    )
    return not any(hooks) and "forward" not in vars(module)


class _Reader(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees which convolution's output a normalisation reads, and what else reads it.

    As a dispatch mode it sees every operation, of its thread alone; one in place between the two,
    which leaves the tensor the same but not its values, reads it like any other.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._calls: Counter[nn.Module] = Counter()
        self._uses: Counter[int] = Counter()  # of tensors, by their id
        self._made: dict[int, tuple[nn.Conv2d, Tensor]] = {}  # kept, so that no id comes again
        self._read: list[tuple[nn.Conv2d, nn.BatchNorm2d, Tensor]] = []
        self._inside: int | None = None  # the input of the normalisation that is running
        self._handles: list[Any] = []

    def reading(self, network: nn.Module) -> "_Reader":
        """Return the reader, as a context in which the network may be run."""
        for module in network.modules():
            if not _is_bare(module):
                continue
            if type(module) is nn.Conv2d:
                self._handles.append(module.register_forward_hook(self._after_convolution))
            elif _is_normalization(module):
                self._handles.append(module.register_forward_pre_hook(self._before_normalization))
                self._handles.append(module.register_forward_hook(self._after_normalization))
        return self

    def __exit__(self, *error: Any) -> None:
        """Remove the hooks."""
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        for handle in self._handles:
            handle.remove()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Note the tensors that an operation reads, and run it."""
        kwargs = kwargs or {}
        read = {id(leaf) for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)}
        self._uses.update(read - {self._inside})
        return func(*args, **kwargs)

    def _after_convolution(self, module: nn.Conv2d, inputs: Any, output: Tensor) -> None:
        self._calls[module] += 1
        self._made[id(output)] = (module, output)
        self._uses[id(output)] = 0  # not those of a tensor that is gone and had the same id

    def _before_normalization(self, module: nn.BatchNorm2d, inputs: tuple[Any, ...]) -> None:
        self._calls[module] += 1
        made = self._made.get(id(inputs[0])) if inputs else None
        if made is not None:
            convolution, output = made
            self._read.append((convolution, module, output))
            self._inside = id(output)

    def _after_normalization(self, module: nn.BatchNorm2d, inputs: Any, output: Any) -> None:
        self._inside = None

    def pairs(self) -> list[Pair]:
        """Return what may be folded, after a run."""
        readers = Counter(convolution for convolution, _, _ in self._read)
        return [
            (convolution, normalization)
            for convolution, normalization, output in self._read
            if readers[convolution] == self._calls[convolution] == self._calls[normalization] == 1
            and self._uses[id(output)] == 0
            and all(self._uses[id(parameter)] == 1 for parameter in convolution.parameters())
            and _has_constants(convolution, normalization)
        ]


def _has_constants(convolution: nn.Conv2d, normalization: nn.BatchNorm2d) -> bool:
    """Whether a normalisation uses statistics of its own, and nothing rounds to few bits."""
    if normalization.training or normalization.running_mean is None:
        return False
    tensors = [*convolution.parameters(), *normalization.parameters(), normalization.running_mean]
    return normalization.running_var is not None and all(
        type(tensor) in (Tensor, nn.Parameter) and tensor.dtype in _FOLDED_TYPES
        for tensor in [*tensors, normalization.running_var]
    )


def _fold(convolution: nn.Conv2d, normalization: nn.BatchNorm2d) -> None:
    """Give a convolution the weights and biases of both, computed in double precision."""

    def double(tensor: Tensor | None) -> Any:
        return None if tensor is None else tensor.detach().to("cpu", torch.float64)

    kind = convolution.weight
    weight, bias = fuse_conv_bn_weights(
        double(kind),
        double(convolution.bias),
        double(normalization.running_mean),
        double(normalization.running_var),
        normalization.eps,
        double(normalization.weight),
        double(normalization.bias),
    )
    convolution.weight = nn.Parameter(weight.to(kind), requires_grad=False)
    convolution.bias = nn.Parameter(bias.to(kind), requires_grad=False)


def _remove(network: nn.Module, modules: set[nn.BatchNorm2d]) -> None:
    """Put an identity wherever one of the modules stands."""
    for parent in network.modules():
        for name, child in list(parent._modules.items()):
            if child in modules:
                setattr(parent, name, nn.Identity().eval())


def _run(network: nn.Module, example: tuple[Tensor, ...]) -> Any:
    """Call a network with copies of the example, and with random numbers of our own."""
    device = example[0].device if example else torch.device("cpu")
    generator = torch.Generator(device).manual_seed(0)
    with use_generator(generator), torch.autocast(device.type, enabled=False):
        return network(*(tensor.clone() for tensor in example))


def _agree(given: Any, expected: Any) -> bool:
    """Whether outputs are the same up to rounding, relative to the largest of each tensor."""
    pairs = list(zip(_tensors(given), _tensors(expected), strict=True))
    return all(
        one.shape == other.shape and one.dtype == other.dtype and _is_close(one, other)
        for one, other in pairs
    )


def _tensors(outputs: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(outputs) if isinstance(leaf, Tensor)]


def _is_close(given: Tensor, expected: Tensor) -> bool:
    if not expected.is_floating_point() or expected.numel() == 0:
        return torch.equal(given, expected)
    largest = torch.nan_to_num(expected.abs(), posinf=0.0).max().item()
    steps = torch.finfo(expected.dtype).eps
    if expected.device.type != "cpu" and expected.dtype == torch.float32:
        steps = _TF32_STEP
    return torch.allclose(given, expected, rtol=0.0, atol=steps**0.5 * largest, equal_nan=True)
