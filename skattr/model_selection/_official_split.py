"""Splitter for the official train and test split of a dataset."""

from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import BaseCrossValidator
from sklearn.utils.validation import _num_samples

from skattr._targets.alignment import align_rows
from skattr._targets.columns import reject_masked
from skattr.model_selection._split import Split, warn_groups_ignored


class OfficialSplit(BaseCrossValidator):
    """Single split into training and test rows, given by the part of each row.

    The tables that the loaders of :mod:`skattr.datasets` return have such a "split" column. Rows
    of other parts are in neither set.

    Parameters
    ----------
    split : array-like of shape (n,)
        The part of each row, such as ``data["split"]``. Rows with NaN, None or NA belong to no
        part.
    train : scalar or list of scalars, default="train"
        The part, or the parts, to train on.
    test : scalar or list of scalars, default="test"
        The part, or the parts, to test on.

    See Also
    --------
    sklearn.model_selection.PredefinedSplit : Trains on all rows that are not in the test fold.

    Notes
    -----
    X must have the rows of `split`, all of them and in the same order. The splitter therefore
    suits ``cross_validate`` or ``GridSearchCV`` on the complete table, but not a nested loop over
    its training rows.

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
        reject_masked(split, "split")
        parts = np.asarray(split, dtype=object)
        if parts.ndim != 1:
            raise ValueError(f"split must be one-dimensional; got shape {parts.shape}.")
        # The attribute cannot be called "split" as the parameter is: that is the method.
        self.parts = parts
        self._split = split
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
            If X and the parameter `split` have different lengths, a part has no row, or a part is
            in both `train` and `test`.
        """
        warn_groups_ignored(self, groups)
        n = _num_samples(X)
        if n != len(self.parts):
            raise ValueError(
                f"split has the parts of {len(self.parts)} rows, but X has {n} rows; an official "
                "split needs the complete table."
            )
        align_rows(X=X, split=self._split)
        train, test = self._rows("train"), self._rows("test")
        if np.intersect1d(train, test).size:
            raise ValueError(f"train={self.train!r} and test={self.test!r} must not share a part.")
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
        """Return the rows of the parts in the parameter `name`."""
        value = getattr(self, name)
        is_single = isinstance(value, str) or not isinstance(value, Collection | np.ndarray)
        wanted = [value] if is_single else list(value)
        parts = pd.Series(self.parts, dtype=object)
        valid = sorted(parts.dropna().unique().tolist(), key=str)
        if not wanted or not all(part in valid for part in wanted):
            raise ValueError(f"{name}={value!r} must name parts of split; valid are {valid}.")
        return np.flatnonzero(parts.isin(wanted))
