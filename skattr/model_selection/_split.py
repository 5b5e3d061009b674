"""Stratified splitters for label tables."""

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import BaseShuffleSplit, ShuffleSplit
from sklearn.model_selection._split import GroupsConsumerMixin, _BaseKFold
from sklearn.utils import _safe_indexing, check_random_state, indexable

from skattr._targets.alignment import align_rows
from skattr._targets.columns import read_labels
from skattr._targets.encoder import AttributeEncoder
from skattr._targets.groups import read_groups
from skattr.model_selection._iterative_stratification import assign, label_matrix, sum_by_group

Split = tuple[NDArray[np.intp], NDArray[np.intp]]


class _GroupsIgnoredMixin:
    """Mixin whose `split` ignores `groups` with a warning, as StratifiedKFold does."""

    def split(self, X: Any, y: Any, groups: Any = None) -> Iterator[Split]:
        """Generate the indices of training and test rows.

        Parameters
        ----------
        X : array-like of n rows
            Only its length is used.
        y : array-like of shape (n,) or (n, n_outputs), Series or DataFrame
            Bools, strings or integers. NaN, None and pandas.NA are missing labels.
        groups : object
            Ignored, with a warning.

        Yields
        ------
        train, test : ndarray
            The rows of the training set and of the test set: in increasing order for K folds, in
            random order for shuffled splits.
        """
        warn_groups_ignored(self, groups)
        align_rows(X=X, y=y)
        yield from super().split(X, y, groups)  # type: ignore[misc]


class MultilabelStratifiedKFold(_GroupsIgnoredMixin, _BaseKFold):
    """K folds in which every label of every attribute has about the same share.

    The rows of y have many labels, some of which may be missing (NaN, None, pandas.NA). Every
    class of every attribute is distributed evenly over the folds. So are the known labels of a
    column with missing labels. Rare labels have a larger weight than frequent ones.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, at least 2.
    shuffle : bool, default=False
        Whether to shuffle the rows before ties between equally good folds are resolved.
    random_state : int, RandomState instance or None, default=None
        With `shuffle`, an int makes the folds reproducible. None draws fresh entropy and does
        not change numpy's global state.

    See Also
    --------
    MultilabelStratifiedGroupKFold : Keeps the rows of a group together.
    sklearn.model_selection.StratifiedKFold : The same for a single output.

    Notes
    -----
    The sizes of the folds differ by at most one. With one attribute, a label that occurs
    `n_splits` times or more is in every test fold. With several attributes this holds whenever a
    search of bounded length finds such folds. They need not exist: in the rows
    ``[[1, 1, 0], [1, 0, 1], [0, 1, 1]]`` each of the three labels occurs twice, but only two of
    them can be in both of two folds. The search then covers the rarest labels first.

    As in [1]_, rows are assigned in the order of their rarest labels. The remaining steps of that
    algorithm are replaced by exchanges of rows between folds. Each exchange lowers the sum over
    folds and labels of the squared excess over the desired count, divided by the label's count.

    References
    ----------
    .. [1] K. Sechidis, G. Tsoumakas and I. Vlahavas, "On the Stratification of Multi-Label
       Data", ECML PKDD 2011.

    Examples
    --------
    >>> import numpy as np
    >>> from skattr.model_selection import MultilabelStratifiedKFold
    >>> y = np.array([[1, 0], [1, 1], [0, 1], [0, 0], [1, 0], [0, 1], [0, 0], [1, 1]])
    >>> for train, test in MultilabelStratifiedKFold(2).split(y, y):
    ...     print(test, y[test].mean(axis=0))
    [0 1 2 3] [0.5 0.5]
    [4 5 6 7] [0.5 0.5]
    """

    def __init__(
        self, n_splits: int = 5, *, shuffle: bool = False, random_state: Any = None
    ) -> None:
        super().__init__(n_splits=n_splits, shuffle=shuffle, random_state=random_state)

    def _iter_test_masks(
        self, X: Any = None, y: Any = None, groups: Any = None
    ) -> Iterator[NDArray[np.bool_]]:
        codes = _codes(y)
        n, rest = divmod(len(codes), self.n_splits)
        sizes = n + (np.arange(self.n_splits) < rest)
        order = _order(len(codes), self.shuffle, self.random_state)
        folds = _assign_rows(codes, order, sizes, np.full(self.n_splits, 1 / self.n_splits))
        yield from (folds == fold for fold in range(self.n_splits))


class MultilabelStratifiedGroupKFold(GroupsConsumerMixin, _BaseKFold):
    """K folds that keep groups together and the share of every label about the same.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, at least 2.
    shuffle : bool, default=False
        Whether to shuffle the groups before ties between equally good folds are resolved.
    random_state : int, RandomState instance or None, default=None
        With `shuffle`, an int makes the folds reproducible. None draws fresh entropy and does
        not change numpy's global state.

    See Also
    --------
    MultilabelStratifiedKFold : The same without groups.

    Notes
    -----
    Every fold has at least one group. A label that occurs in `n_splits` groups or more is in
    every test fold if a search of bounded length finds such folds; labels in the fewest groups
    have priority. The sizes of the folds are balanced like one more label, so they can differ
    considerably if groups are large. The method is that of `MultilabelStratifiedKFold`, after
    [1]_. In addition to exchanges of two groups, single groups are moved.

    References
    ----------
    .. [1] K. Sechidis, G. Tsoumakas and I. Vlahavas, "On the Stratification of Multi-Label
       Data", ECML PKDD 2011.

    Examples
    --------
    >>> import numpy as np
    >>> from skattr.model_selection import MultilabelStratifiedGroupKFold
    >>> y = np.array([[1, 0], [1, 0], [0, 1], [0, 1], [1, 1], [0, 1], [1, 0], [0, 0]])
    >>> groups = np.array(["a", "a", "b", "b", "c", "c", "d", "d"])
    >>> for train, test in MultilabelStratifiedGroupKFold(2).split(y, y, groups):
    ...     print(np.unique(groups[test]), y[test].mean(axis=0))
    ['c' 'd'] [0.5 0.5]
    ['a' 'b'] [0.5 0.5]
    """

    def __init__(self, n_splits: int = 5, shuffle: bool = False, random_state: Any = None) -> None:
        super().__init__(n_splits=n_splits, shuffle=shuffle, random_state=random_state)

    def split(self, X: Any, y: Any, groups: Any = None) -> Iterator[Split]:
        """Generate the indices of training and test rows.

        Parameters
        ----------
        X : array-like of n rows
            Only its length is used.
        y : array-like of shape (n,) or (n, n_outputs), Series or DataFrame
            Bools, strings or integers. NaN, None and pandas.NA are missing labels.
        groups : array-like of shape (n,)
            The group of each row.

        Yields
        ------
        train, test : ndarray
            The rows of the training set and of the test fold, in increasing order.
        """
        align_rows(X=X, y=y, groups=groups)
        yield from super().split(X, y, groups)

    def _iter_test_masks(
        self, X: Any = None, y: Any = None, groups: Any = None
    ) -> Iterator[NDArray[np.bool_]]:
        if groups is None:
            raise ValueError("The 'groups' parameter should not be None.")
        codes = _codes(y)
        group_of_row = read_groups(groups, len(codes), sort=True)
        sizes = np.bincount(group_of_row)
        if self.n_splits > len(sizes):
            raise ValueError(
                f"Cannot have number of splits n_splits={self.n_splits} greater than the number "
                f"of groups: {len(sizes)}."
            )
        labels, is_pair = label_matrix(codes)
        labels = sum_by_group(labels, group_of_row, len(sizes))
        order = _order(len(sizes), self.shuffle, self.random_state)
        shares = np.full(self.n_splits, 1 / self.n_splits)
        folds = np.empty(len(sizes), dtype=np.intp)
        folds[order] = assign(
            labels[order], is_pair, sizes[order], shares * len(group_of_row), shares
        )
        yield from (folds[group_of_row] == fold for fold in range(self.n_splits))


class MultilabelStratifiedShuffleSplit(_GroupsIgnoredMixin, BaseShuffleSplit):
    """Random training and test sets in which every label has about the same share.

    Parameters
    ----------
    n_splits : int, default=10
        Number of independent random splits.
    test_size : float or int, default=None
        Share or number of test rows. None means the complement of `train_size`, or 0.1 if that
        is None too.
    train_size : float or int, default=None
        Share or number of training rows. None means the complement of `test_size`. Rows in
        neither set form a third part that is stratified as well.
    random_state : int, RandomState instance or None, default=None
        An int makes the splits reproducible. None draws fresh entropy and does not change
        numpy's global state.

    See Also
    --------
    multilabel_train_test_split : Splits arrays once.
    sklearn.model_selection.StratifiedShuffleSplit : The same for a single output.

    Notes
    -----
    The sizes are exact. A label is in the training set (test set) if the set's share of the
    label's occurrences is one or more, provided that the search described in
    `MultilabelStratifiedKFold` succeeds. The method is the same, after [1]_.

    References
    ----------
    .. [1] K. Sechidis, G. Tsoumakas and I. Vlahavas, "On the Stratification of Multi-Label
       Data", ECML PKDD 2011.

    Examples
    --------
    >>> import numpy as np
    >>> from skattr.model_selection import MultilabelStratifiedShuffleSplit
    >>> y = np.array([[1, 0], [1, 1], [0, 1], [0, 0]] * 10)
    >>> splitter = MultilabelStratifiedShuffleSplit(2, test_size=0.2, random_state=0)
    >>> for train, test in splitter.split(y, y):
    ...     print(len(test), y[test].mean(axis=0), y[train].mean(axis=0))
    8 [0.5 0.5] [0.5 0.5]
    8 [0.5 0.5] [0.5 0.5]
    """

    def _iter_indices(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[Split]:
        sizes = ShuffleSplit(
            1, test_size=self.test_size, train_size=self.train_size, random_state=0
        )
        train, test = next(sizes.split(X))
        codes = _codes(y)
        rng = _random_generator(self.random_state)
        rest = len(codes) - len(train) - len(test)
        # The unused rows are a third fold: it is balanced, but need not contain any label.
        parts = slice(3 if rest else 2)
        targets = np.array([len(train), len(test), rest])[parts]
        cover_shares = np.array([len(train), len(test), 0])[parts] / len(codes)
        for _ in range(self.n_splits):
            folds = _assign_rows(codes, rng.permutation(len(codes)), targets, cover_shares)
            train, test = np.flatnonzero(folds == 0), np.flatnonzero(folds == 1)
            yield rng.permutation(train), rng.permutation(test)


def multilabel_train_test_split(
    *arrays: Any,
    stratify: Any = None,
    test_size: Any = None,
    train_size: Any = None,
    random_state: Any = None,
) -> list[Any]:
    """Split arrays into random training and test sets, stratified by all labels.

    Parameters
    ----------
    *arrays : arrays, lists, DataFrames, Series or sparse matrices of n rows
        Arrays to split.
    stratify : array-like of shape (n,) or (n, n_outputs), Series or DataFrame, default=None
        Labels to stratify by. NaN, None and pandas.NA are missing labels. None uses the last of
        `arrays`.
    test_size : float or int, default=None
        Share or number of test rows. None means the complement of `train_size`, or 0.25 if that
        is None too.
    train_size : float or int, default=None
        Share or number of training rows. None means the complement of `test_size`.
    random_state : int, RandomState instance or None, default=None
        An int makes the split reproducible.

    Returns
    -------
    list
        The training part and the test part of each array. They have the type of the array.

    See Also
    --------
    MultilabelStratifiedShuffleSplit : The splitter; describes the method.
    sklearn.model_selection.train_test_split : The same for a single output.

    Examples
    --------
    >>> import numpy as np
    >>> from skattr.model_selection import multilabel_train_test_split
    >>> X = np.arange(40)
    >>> y = [[1, "a"], [1, "b"], [0, "b"], [0, "a"]] * 10
    >>> X_train, X_test, y_train, y_test = multilabel_train_test_split(
    ...     X, y, test_size=8, random_state=0
    ... )
    >>> sorted(y_test)
    [[0, 'a'], [0, 'a'], [0, 'b'], [0, 'b'], [1, 'a'], [1, 'a'], [1, 'b'], [1, 'b']]
    """
    if not arrays:
        raise ValueError("At least one array required as input")
    if test_size is None and train_size is None:
        test_size = 0.25
    splitter = MultilabelStratifiedShuffleSplit(
        1, test_size=test_size, train_size=train_size, random_state=random_state
    )
    arrays = tuple(indexable(*arrays))
    given = {f"arrays[{j}]": array for j, array in enumerate(arrays)}
    *aligned, labels = align_rows(**given, stratify=arrays[-1] if stratify is None else stratify)
    parts = next(splitter.split(aligned[0], labels))
    return [_safe_indexing(array, part) for array in arrays for part in parts]


def _codes(y: Any) -> NDArray[np.integer[Any]]:
    """Return the class of each label, -1 where it is missing."""
    table = read_labels(y)
    codes = table.integer_codes(1)
    if codes is None or codes.max() < 0:
        return AttributeEncoder().fit_transform(table)
    return codes


def _assign_rows(
    codes: NDArray[np.integer[Any]],
    order: NDArray[np.intp],
    sizes: NDArray[np.integer[Any]],
    cover_shares: NDArray[np.float64],
) -> NDArray[np.intp]:
    """Return the fold of each row. Ties are resolved in favor of rows that are early in `order`."""
    labels, is_pair = label_matrix(codes[order])
    folds = np.empty(len(order), dtype=np.intp)
    ones = np.ones(len(order), dtype=np.intp)
    folds[order] = assign(labels, is_pair, ones, sizes.astype(np.float64), cover_shares)
    return folds


def _order(n: int, shuffle: bool, random_state: Any) -> NDArray[np.intp]:
    return _random_generator(random_state).permutation(n) if shuffle else np.arange(n)


def _random_generator(random_state: Any) -> np.random.Generator:
    """Return a generator. None draws fresh entropy instead of using numpy's global state."""
    if random_state is None:
        return np.random.default_rng()
    return np.random.default_rng(check_random_state(random_state).randint(2**31 - 1))


def warn_groups_ignored(splitter: Any, groups: Any) -> None:
    """Warn if `groups` is given to a splitter that does not use it."""
    if groups is not None:
        name = type(splitter).__name__
        warnings.warn(f"The groups parameter is ignored by {name}", UserWarning, stacklevel=3)
