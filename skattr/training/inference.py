"""Where tensors become arrays: the network's outputs for all rows of X."""

from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm.auto import tqdm

from skattr._images import Rows
from skattr._unreadable import readable
from skattr.training.batches import AttributeDataset, BatchLoader
from skattr.training.labelled import moved
from skattr.training.net import AttributeNet, computing_in


def predict_rows(
    net: AttributeNet,
    rows: Rows,
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
    category : ndarray of shape (n,), int64, optional
        The object's category, if the network is given it; -1 unknown.
    flip : bool, optional
        Average over each picture and its mirror image; None does what the net was told.
    num_workers : int
    verbose : int
        From 1, a progress bar.

    Returns
    -------
    ndarray of shape (n, n_logits) or (n, n_features)
        In the network's floating-point type. Rows that cannot be read, if X puts up with them,
        are zeros, and noted in its `unreadable`.
    """
    network: Any = net.module_
    compute = network.forward_features if output == "features" else network
    indices = readable(rows)
    dataset = AttributeDataset(rows, indices, category=category)
    device = torch.device(net.device)
    loader = BatchLoader(
        dataset, batch_size, num_workers=num_workers, pin_memory=device.type == "cuda"
    )
    flip = net.test_flip if flip is None else flip
    result: NDArray[Any] | None = None
    network.eval()
    with torch.inference_mode(), tqdm(total=len(indices), disable=verbose < 1, unit="row") as bar:
        for part in loader.read():
            with computing_in(net.autocast, device):
                x, *others = moved(part.batch, device)
                values = compute(x, *others)
                if flip:
                    values = (values + compute(x.flip(2), *others)) / 2
            values = values.float() if net.autocast is not None else values
            if result is None:
                result = np.zeros((len(rows), values.shape[1]), dtype=_numpy_type(values))
            result[part.indices] = values.cpu().numpy()
            bar.update(len(values))
    if result is None:  # nothing could be read
        n_columns = network.n_features if output == "features" else network.layout.n_logits
        result = np.zeros((len(rows), n_columns), dtype=_numpy_type(network.branches.bias))
    return result


def _numpy_type(values: torch.Tensor) -> type[np.floating[Any]]:
    return np.float64 if values.dtype == torch.float64 else np.float32
