"""Where tensors become arrays: the network's outputs for all rows of X."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm.auto import tqdm

from skattr._inputs.rows import FeatureRows
from skattr._inputs.unreadable import readable
from skattr._training.dataset import AttributeDataset
from skattr._training.devices import autocast_context, is_cuda, to_device
from skattr._training.loader import BatchLoader
from skattr._training.net import AttributeNet
from skattr.nn._backbones.torchvision import naming_image_size
from skattr.nn._batchnorm_folding import folded

_PIXELS_TO_FOLD = 2**23  # fewer of them are computed before the network is copied
_PIXELS_AT_ONCE_ON_CPU = 400_000  # maps of more leave its caches
_BYTES_AT_ONCE = 2**26  # of inputs, fetched together
_FEATURE_BYTES_AT_ONCE = 2**25
_UNITS_AT_ONCE = 2**25  # of hidden layers
_TIMES_AS_MANY_ON_GPU = 4  # rows of a batch as in training, which keeps what gradients need


def predict_rows(
    net: AttributeNet,
    rows: Any,
    output: Literal["logits", "features"] = "logits",
    *,
    batch_size: int,
    category: NDArray[np.int64] | None = None,
    flip: bool | None = None,
    num_workers: int = 0,
    verbose: int = 0,
) -> NDArray[np.floating[Any]]:
    """Compute the logits, or the shared features, of every row.

    Parameters
    ----------
    net : AttributeNet
        Fitted.
    rows : Rows
    output : {"logits", "features"}
    batch_size : int
        Of training; a pass takes as many rows as are fastest, and fewer if they do not fit in
        memory.
    category : ndarray of shape (n,), int64, optional
        The object's category, if the network is given it; -1 unknown.
    flip : bool, optional
        Average over each image and its mirror image; None does what the net was told.
    num_workers : int
    verbose : int
        From 1, a progress bar.

    Returns
    -------
    ndarray of shape (n, n_logits) or (n, n_features)
        In the network's floating-point type. Rows that cannot be read, if X puts up with them,
        are zeros, and noted in its `unreadable`.
    """
    device = torch.device(net.device)
    indices = readable(rows)
    share = isinstance(net.module__backbone, str)  # others may write into their inputs
    dataset = AttributeDataset(rows, indices, category=category, share_features=share)
    n_at_once = _rows_at_once(net, rows, batch_size)
    loader = BatchLoader(dataset, n_at_once, num_workers=num_workers, pin_memory=is_cuda(device))
    net.module_.eval()
    network = _for_inference(net, rows, len(indices), category is not None)
    compute = network.forward_features if output == "features" else network
    is_flipped = net.config.test_flip if flip is None else flip

    def forward(*inputs: Tensor) -> Tensor:
        x, *others = to_device(inputs, device)
        with autocast_context(net.autocast, device):
            values: Tensor = compute(x, *others)
            if is_flipped:
                values = (values + compute(x.flip(2), *others)) / 2
        return values.float() if net.autocast is not None else values

    n_columns = network.n_features if output == "features" else network.layout.n_logits
    result = np.zeros((len(rows), n_columns), dtype=_numpy_type(network.branches.bias))
    most = None if isinstance(rows, FeatureRows) else most_at_once(rows.size, device)
    outputs = BatchHalver(forward, most)
    waiting: tuple[NDArray[np.intp], Tensor] | None = None
    size = getattr(rows, "size", None)
    naming_size = naming_image_size(net.module__backbone, net.module_.backbone, size)
    bar = tqdm(total=len(indices), disable=verbose < 1, unit="row")
    with naming_size, torch.inference_mode(), bar:
        for part in loader.read():
            inputs = (part.batch,) if isinstance(part.batch, Tensor) else part.batch
            values = outputs(*inputs)
            if waiting is not None:  # a GPU computes the next batch while one is fetched from it
                _put(result, *waiting)
            waiting = part.indices, values
            bar.update(len(values))
        if waiting is not None:
            _put(result, *waiting)
    return result


def _put(result: NDArray[Any], indices: NDArray[np.intp], values: Tensor) -> None:
    """Write rows to where they belong."""
    rows: Any = indices
    if indices[-1] - indices[0] == len(indices) - 1:  # they are in order and distinct
        rows = slice(indices[0], indices[-1] + 1)
    result[rows] = values.cpu().numpy()


class BatchHalver:
    """Computes batches, in halves from then on if one does not fit in memory.

    Parameters
    ----------
    compute : callable
        Maps tensors of n rows to a tensor of n rows.
    most : int, optional
        Rows to compute at once, as many as there are if None.
    """

    def __init__(self, compute: Callable[..., Tensor], most: int | None = None) -> None:
        self.compute = compute
        self.most = most

    def __call__(self, *inputs: Tensor) -> Tensor:
        """Return what `compute` makes of a batch.

        Raises
        ------
        RuntimeError, MemoryError
            Of memory, if a single row does not fit.
        """
        while True:
            n_rows = len(inputs[0])
            size = n_rows if self.most is None else min(self.most, n_rows)
            try:
                if size >= n_rows:
                    return self.compute(*inputs)
                parts = zip(*(torch.split(tensor, size) for tensor in inputs), strict=True)
                return torch.cat([self.compute(*part) for part in parts])
            except (RuntimeError, MemoryError) as error:
                if size <= 1 or not _is_of_memory(error):
                    raise
            self.most = (size + 1) // 2
            if torch.cuda.is_available():
                torch.cuda.empty_cache()


def most_at_once(size: Sequence[int], device: torch.device) -> int | None:
    """Return how many images of a size a network is given at once, None for all there are."""
    if device.type != "cpu":
        return None
    return max(1, _PIXELS_AT_ONCE_ON_CPU // (size[0] * size[1]))


def _is_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, on a GPU or on the CPU, for which torch has no error of its own."""
    kinds = (torch.OutOfMemoryError, MemoryError)
    return isinstance(error, kinds) or "DefaultCPUAllocator" in str(error)


def _rows_at_once(net: AttributeNet, rows: Any, batch_size: int) -> int:
    """Return how many rows are fetched together."""
    if isinstance(rows, FeatureRows):
        n_bytes = max(rows.array.itemsize * rows.array.shape[1], 1)
        linear = [one for one in net.module_.modules() if isinstance(one, torch.nn.Linear)]
        widest = max([net.module_.layout.n_logits, 1, *(one.out_features for one in linear)])
        fast = min(_FEATURE_BYTES_AT_ONCE // n_bytes, _UNITS_AT_ONCE // widest)
        return max(batch_size, int(fast))
    on_cpu = torch.device(net.device).type == "cpu"
    many = batch_size if on_cpu else _TIMES_AS_MANY_ON_GPU * batch_size
    n_bytes = 3 * int(rows.size[0]) * int(rows.size[1])
    return max(1, min(many, _BYTES_AT_ONCE // n_bytes))


def _for_inference(net: AttributeNet, rows: Any, n_rows: int, has_category: bool) -> Any:
    """Return a quicker copy of the network where that pays, else the network."""
    network = net.module_
    if rows.kind != "images" or not isinstance(net.module__backbone, str):
        return network
    height, width = rows.size
    if n_rows * height * width < _PIXELS_TO_FOLD:
        return network
    copy = quick_copy(network, rows.size, has_category)
    return network if copy is None else copy


def quick_copy(network: Any, size: Sequence[int], has_category: bool = False) -> Any:
    """Return a copy with batch normalisation folded into convolutions, None if there is none.

    It is meant for torchvision's networks. The network runs on no image, should somebody count
    them: which layers follow each other is seen all the same.
    """
    device = next(network.parameters()).device
    example = [torch.zeros(0, *size, 3, dtype=torch.uint8, device=device)]
    if has_category:
        example.append(torch.zeros(0, dtype=torch.int64, device=device))
    return folded(network, *example)


def _numpy_type(values: torch.Tensor) -> type[np.floating[Any]]:
    return np.float64 if values.dtype == torch.float64 else np.float32
