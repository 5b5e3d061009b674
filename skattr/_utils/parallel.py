"""Work on arrays on several threads, torch's own or as many as torch has."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
_Result = TypeVar("_Result")


def thread_map(function: Callable[[int], _Result], n: int) -> list[_Result]:
    """Call a function with 0 to n - 1 on as many threads as torch computes with.

    That is of use where other threads run meanwhile, as they do while images are decoded,
    bytes are hashed and NumPy computes. In the worker processes of a DataLoader, and where
    OMP_NUM_THREADS is 1, there is one thread: the caller's.

    Parameters
    ----------
    function : callable
        What it raises is raised here, the call of the lowest number first; calls that have not
        begun by then, or by an interrupt, never do.
    n : int

    Returns
    -------
    list
        What the function returned, in the order of the numbers.
    """
    n_threads = min(torch.get_num_threads(), n)
    if n_threads < 2:
        return [function(number) for number in range(n)]
    pool = ThreadPoolExecutor(n_threads)
    try:
        return list(pool.map(function, range(n)))
    finally:
        pool.shutdown(cancel_futures=True)


def sum_is_finite(values: Floats) -> bool:
    """Whether the sum of all values is finite; if it is not, all of them may yet be.

    Parameters
    ----------
    values : ndarray, float

    Examples
    --------
    >>> sum_is_finite(np.ones(3)), sum_is_finite(np.array([1.0, np.nan]))
    (True, False)
    """
    if not values.flags.writeable or not values.flags.c_contiguous:  # torch warns of the first
        with np.errstate(over="ignore", invalid="ignore"):
            return bool(np.isfinite(values.sum()))
    return bool(torch.isfinite(torch.from_numpy(values).sum()))
