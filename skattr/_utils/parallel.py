"""Work on several threads, as many as torch uses."""

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

    This is faster where the function releases the GIL, as decoding, hashing and NumPy do. In the
    worker processes of a DataLoader, and if OMP_NUM_THREADS is 1, only the calling thread is used.

    Parameters
    ----------
    function : callable
        An error in a call is raised here; of several errors, that of the lowest number. After an
        error or an interrupt, calls that have not started are canceled.
    n : int

    Returns
    -------
    list
        The results in the order of the numbers.
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
    """Whether the sum of all values is finite.

    If it is, all values are finite. If it is not, they may be finite and their sum overflow.

    Parameters
    ----------
    values : ndarray, float

    Examples
    --------
    >>> sum_is_finite(np.ones(3)), sum_is_finite(np.array([1.0, np.nan]))
    (True, False)
    """
    # torch sums on all its threads, but warns of read-only arrays.
    if not values.flags.writeable or not values.flags.c_contiguous:
        with np.errstate(over="ignore", invalid="ignore"):
            return bool(np.isfinite(values.sum()))
    return bool(torch.isfinite(torch.from_numpy(values).sum()))
