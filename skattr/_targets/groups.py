"""The one reader of groups: a number per row for what belongs together, such as a person."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skattr._targets.columns import reject_masked
from skattr._utils.tensors import detached


def read_groups(
    groups: Any, n_rows: int, *, sort: bool = False, allow_missing: bool = False
) -> NDArray[np.intp]:
    """Return the number of each row's group.

    Parameters
    ----------
    groups : array-like of shape (n_rows,), Series, or one column of any table
        Names of any types, also mixed ones.
    n_rows : int
    sort : bool
        Whether numbers have the order of sorted names, else that of first appearance.
    allow_missing : bool
        Whether rows without a group are one group, else an error.

    Raises
    ------
    TypeError
        If groups are masked.
    ValueError
        If there is not one group for each row, or one is missing.

    Examples
    --------
    >>> [read_groups(["b", "a", "b"], 3, sort=sort).tolist() for sort in (False, True)]
    [[0, 1, 0], [1, 0, 1]]
    """
    reject_masked(groups, "groups")
    # NumPy would turn the numbers of a list into strings, if one of its names is a string.
    is_list = isinstance(groups, list | tuple)
    names = np.asarray(detached(groups), dtype=object if is_list else None)
    if names.shape not in ((n_rows,), (n_rows, 1)):
        raise ValueError(
            f"groups has shape {names.shape}; expected one value for each of the {n_rows} rows."
        )
    series = pd.Series(names.ravel())
    numbers, _ = pd.factorize(series, sort=sort, use_na_sentinel=not allow_missing)
    if (numbers < 0).any():
        raise ValueError(
            f"groups is missing in row {int(np.argmax(numbers < 0))}; a row without a group of its "
            "own needs a name that no other has."
        )
    return numbers.astype(np.intp, copy=False)
