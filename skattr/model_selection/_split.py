"""Splitters that keep the share of every label, with scikit-learn's conventions."""

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import BaseShuffleSplit, ShuffleSplit
from sklearn.model_selection._split import GroupsConsumerMixin, _BaseKFold
from sklearn.utils import _safe_indexing, check_array, check_random_state, indexable

from skattr._targets.columns import read_labels
from skattr._targets.encoder import AttributeEncoder
from skattr.model_selection._iterative_stratification import assign, grouped, label_matrix

Split = tuple[NDArray[np.intp], NDArray[np.intp]]


class MultilabelStratifiedKFold(_BaseKFold):
    """K folds in which every label of every attribute has about the same share.

    For y with many labels per row, of which some may be unknown (NaN, None, pandas.NA). Every
    class of every attribute is spread over the folds, and so are the known entries of a column
    that has unknown ones. Rarer labels weigh more.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, at least 2.
    shuffle : bool, default=False
        Whether the order of the rows decides between equals at random.
    random_state : int, RandomState instance or None, default=None
        With `shuffle`, an int gives the same folds again. None is fresh entropy; numpy's global
        state is not touched.

    See Also
    --------
    MultilabelStratifiedGroupKFold : Keeps groups of rows together.
    sklearn.model_selection.StratifiedKFold : For a single output.

    Notes
    -----
    The sizes of the folds differ by one at most. A label that occurs `n_splits` times or more is
    in every test fold: always with one attribute, and otherwise unless no such folds are found
    by a search of bounded length. There need not be any: of the three labels of the rows
    ``[[1, 1, 0], [1, 0, 1], [0, 1, 1]]``, each found twice, only two can be in both of two folds.
    Then as many of the rarest labels as the search could satisfy are.

    As in [1]_ the rarest labels are dealt out first. The exchanges of rows between folds that
    follow replace the rest of that algorithm; they lower the sum over folds and labels of the
    squared excess over the desired count, divided by the label's count.

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

    def split(self, X: Any, y: Any, groups: Any = None) -> Iterator[Split]:
        """Generate the indices of training and test rows.

        Parameters
        ----------
        X : array-like of n rows
            Only its length is used.
        y : array-like of shape (n,) or (n, n_outputs), Series or DataFrame
            Bools, strings or whole numbers; NaN, None and pandas.NA are unknown.
        groups : object
            Ignored, with a warning.

        Yields
        ------
        train, test : ndarray
            The rows of the training set and of the test fold, in increasing order.
        """
        _warn_of_groups(self, groups)
        yield from super().split(X, y, groups)

    def _iter_test_masks(
        self, X: Any = None, y: Any = None, groups: Any = None
    ) -> Iterator[NDArray[np.bool_]]:
        codes = _codes(y)
        sizes = len(codes) // self.n_splits + (
            np.arange(self.n_splits) < len(codes) % self.n_splits
        )
        order = _order(len(codes), self.shuffle, self.random_state)
        folds = _assign_rows(codes, order, sizes, np.full(self.n_splits, 1 / self.n_splits))
        for fold in range(self.n_splits):
            yield folds == fold


class MultilabelStratifiedGroupKFold(GroupsConsumerMixin, _BaseKFold):
    """K folds that keep groups whole, and the share of every label as far as that allows.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, at least 2.
    shuffle : bool, default=False
        Whether the order of the groups decides between equals at random.
    random_state : int, RandomState instance or None, default=None
        With `shuffle`, an int gives the same folds again. None is fresh entropy; numpy's global
        state is not touched.

    See Also
    --------
    MultilabelStratifiedKFold : For rows that do not belong together.

    Notes
    -----
    Every fold has at least one group. A label found in `n_splits` groups or more is in every test
    fold, unless no such folds are found by a search of bounded length, the rarest labels (in
    numbers of groups) coming first. Sizes of folds are kept as alike as the labels are, which
    with large groups is not very alike. The method is that of `MultilabelStratifiedKFold`, after
    [1]_, with the size of a group as one more label and with moves beside exchanges.

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
            Bools, strings or whole numbers; NaN, None and pandas.NA are unknown.
        groups : array-like of shape (n,)
            The group of each row.

        Yields
        ------
        train, test : ndarray
            The rows of the training set and of the test fold, in increasing order.
        """
        yield from super().split(X, y, groups)

    def _iter_test_masks(
        self, X: Any = None, y: Any = None, groups: Any = None
    ) -> Iterator[NDArray[np.bool_]]:
        if groups is None:
            raise ValueError("The 'groups' parameter should not be None.")
        groups = check_array(groups, input_name="groups", ensure_2d=False, dtype=None)
        _, group_of_row, sizes = np.unique(groups, return_inverse=True, return_counts=True)
        if self.n_splits > len(sizes):
            raise ValueError(
                f"Cannot have number of splits n_splits={self.n_splits} greater than the number "
                f"of groups: {len(sizes)}."
            )
        labels, is_pair = label_matrix(_codes(y))
        labels = grouped(labels, group_of_row)
        order = _order(len(sizes), self.shuffle, self.random_state)
        shares = np.full(self.n_splits, 1 / self.n_splits)
        folds = np.empty(len(sizes), dtype=np.intp)
        folds[order] = assign(
            labels[order], is_pair, sizes[order], shares * len(group_of_row), shares
        )
        for fold in range(self.n_splits):
            yield folds[group_of_row] == fold


class MultilabelStratifiedShuffleSplit(BaseShuffleSplit):
    """Random splits in two that keep the share of every label of every attribute.

    Parameters
    ----------
    n_splits : int, default=10
        Number of splits, drawn anew each time.
    test_size : float or int, default=None
        Share or number of test rows; what `train_size` leaves, or else 0.1.
    train_size : float or int, default=None
        Share or number of training rows; by default what `test_size` leaves. Rows in neither
        are a third part, in which labels have the same shares too.
    random_state : int, RandomState instance or None, default=None
        An int gives the same splits again. None is fresh entropy; numpy's global state is not
        touched.

    See Also
    --------
    multilabel_train_test_split : One such split of arrays.
    sklearn.model_selection.StratifiedShuffleSplit : For a single output.

    Notes
    -----
    The sizes are exact. A label is in the training set (test set) if at least one of its
    occurrences falls to it by its share of the rows, with the reservation of
    `MultilabelStratifiedKFold`, whose method, after [1]_, is used.

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

    def split(self, X: Any, y: Any, groups: Any = None) -> Iterator[Split]:
        """Generate the indices of training and test rows.

        Parameters
        ----------
        X : array-like of n rows
            Only its length is used.
        y : array-like of shape (n,) or (n, n_outputs), Series or DataFrame
            Bools, strings or whole numbers; NaN, None and pandas.NA are unknown.
        groups : object
            Ignored, with a warning.

        Yields
        ------
        train, test : ndarray
            The rows of the two sets, in random order.
        """
        _warn_of_groups(self, groups)
        yield from super().split(X, y, groups)

    def _iter_indices(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[Split]:
        sizes = ShuffleSplit(
            1, test_size=self.test_size, train_size=self.train_size, random_state=0
        )
        train, test = next(sizes.split(X))
        codes = _codes(y)
        rng = _random_generator(self.random_state)
        rest = len(codes) - len(train) - len(test)
        targets = np.array([len(train), len(test), rest][: 3 if rest else 2])
        to_cover = np.array([len(train), len(test), 0][: 3 if rest else 2]) / len(codes)
        for _ in range(self.n_splits):
            folds = _assign_rows(codes, rng.permutation(len(codes)), targets, to_cover)
            train, test = np.flatnonzero(folds == 0), np.flatnonzero(folds == 1)
            yield rng.permutation(train), rng.permutation(test)


def multilabel_train_test_split(
    *arrays: Any,
    stratify: Any = None,
    test_size: Any = None,
    train_size: Any = None,
    random_state: Any = None,
) -> list[Any]:
    """Split arrays in two at random, keeping the share of every label.

    Parameters
    ----------
    *arrays : arrays, lists, DataFrames, Series or sparse matrices of n rows
        What is to be split.
    stratify : array-like of shape (n,) or (n, n_outputs), Series or DataFrame, default=None
        The labels, of which NaN, None and pandas.NA are unknown. None stands for the last of
        `arrays`.
    test_size : float or int, default=None
        Share or number of test rows; what `train_size` leaves, or else 0.25.
    train_size : float or int, default=None
        Share or number of training rows; by default what `test_size` leaves.
    random_state : int, RandomState instance or None, default=None
        An int gives the same split again.

    Returns
    -------
    list
        The training and the test part of each array, of its own type.

    See Also
    --------
    MultilabelStratifiedShuffleSplit : Says what is kept; after Sechidis et al. (2011).
    sklearn.model_selection.train_test_split : For a single output.

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
    labels = arrays[-1] if stratify is None else stratify
    parts = next(splitter.split(arrays[0], labels))
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
    to_cover: NDArray[np.float64],
) -> NDArray[np.intp]:
    """Return the fold of each row; `order` decides between equals."""
    labels, is_pair = label_matrix(codes[order])
    folds = np.empty(len(order), dtype=np.intp)
    ones = np.ones(len(order), dtype=np.intp)
    folds[order] = assign(labels, is_pair, ones, sizes.astype(np.float64), to_cover)
    return folds


def _order(n: int, shuffle: bool, random_state: Any) -> NDArray[np.intp]:
    return _random_generator(random_state).permutation(n) if shuffle else np.arange(n)


def _random_generator(random_state: Any) -> np.random.Generator:
    """Return a generator; None is fresh entropy, not numpy's global state."""
    if random_state is None:
        return np.random.default_rng()
    return np.random.default_rng(check_random_state(random_state).randint(2**31 - 1))


def _warn_of_groups(splitter: Any, groups: Any) -> None:
    if groups is not None:
        name = type(splitter).__name__
        warnings.warn(f"The groups parameter is ignored by {name}", UserWarning, stacklevel=3)
