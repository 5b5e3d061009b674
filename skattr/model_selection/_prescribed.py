"""The split that a dataset prescribes, as a splitter."""

from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import BaseCrossValidator
from sklearn.utils.validation import _num_samples

from skattr.model_selection._split import Split, _warn_of_groups


class OfficialSplit(BaseCrossValidator):
    """One split into training and test rows, by a column that tells the part of each row.

    What the loaders of :mod:`skattr.datasets` return has such a column. Rows of other parts are
    in neither set.

    Parameters
    ----------
    split : array-like of shape (n,)
        The part of each row, such as ``data["split"]``. NaN, None and NA are no part.
    train : scalar or list of scalars, default="train"
        The part, or the parts, to train on.
    test : scalar or list of scalars, default="test"
        The part, or the parts, to test on.

    See Also
    --------
    sklearn.model_selection.PredefinedSplit : Trains on all rows that are not in the test fold.

    Notes
    -----
    The rows that are split must be those of `split`, all of them and in their order. So the
    splitter serves the outermost loop (``cross_validate``, ``GridSearchCV``) of a whole table,
    not a loop within its training rows.

    Examples
    --------
    >>> from skattr.model_selection import OfficialSplit
    >>> parts = ["train", "train", "val", "test", "train", "test"]
    >>> for train, test in OfficialSplit(parts).split(parts):
    ...     print(train, test)
    [0 1 4] [3 5]
    >>> for train, test in OfficialSplit(parts, train=["train", "val"]).split(parts):
    ...     print(train, test)
    [0 1 2 4] [3 5]
    """

    def __init__(self, split: Any, *, train: Any = "train", test: Any = "test") -> None:
        parts = np.asarray(split, dtype=object)
        if parts.ndim != 1:
            raise ValueError(f"split must be one-dimensional, got the shape {parts.shape}.")
        # Not "self.split", which is a method.
        self.parts = parts
        self.train = train
        self.test = test

    def __repr__(self) -> str:
        name = type(self).__name__
        return f"{name}(split={self.parts!r}, train={self.train!r}, test={self.test!r})"

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[Split]:
        """Generate the indices of training and test rows, once.

        Parameters
        ----------
        X : array-like of n rows
            Only its length is used.
        y : object
            Ignored.
        groups : object
            Ignored, with a warning.

        Yields
        ------
        train, test : ndarray
            The rows of the training set and of the test set, in increasing order.

        Raises
        ------
        ValueError
            If X has another length than the parameter `split`, a part has no row, or one is both
            trained and tested on.
        """
        _warn_of_groups(self, groups)
        n = _num_samples(X)
        if n != len(self.parts):
            raise ValueError(
                f"split tells the parts of {len(self.parts)} rows, but X has {n}; a prescribed "
                "split serves the whole table only."
            )
        train, test = self._rows("train"), self._rows("test")
        if np.intersect1d(train, test).size:
            raise ValueError(
                f"train={self.train!r} and test={self.test!r} must have no part in common."
            )
        yield train, test

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of splits, which is 1.

        Parameters
        ----------
        X, y, groups : object
            Ignored.

        Returns
        -------
        int
        """
        return 1

    def _rows(self, name: str) -> NDArray[np.intp]:
        """Return the rows of the parts that the parameter `name` has."""
        value = getattr(self, name)
        is_one = isinstance(value, str) or not isinstance(value, Collection | np.ndarray)
        wanted = [value] if is_one else list(value)
        parts = pd.Series(self.parts, dtype=object)
        there = sorted(parts.dropna().unique().tolist(), key=str)
        if not wanted or not all(part in there for part in wanted):
            raise ValueError(f"{name}={value!r} must name parts of split, which are {there}.")
        return np.flatnonzero(parts.isin(wanted))
