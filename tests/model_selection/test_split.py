"""Tests of the stratified splitters."""

import inspect

import numpy as np
import pandas as pd
import pytest
import sklearn
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    StratifiedGroupKFold,
    StratifiedKFold,
    StratifiedShuffleSplit,
    cross_val_score,
    cross_validate,
)

from skattr.model_selection import (
    MultilabelStratifiedGroupKFold,
    MultilabelStratifiedKFold,
    MultilabelStratifiedShuffleSplit,
    multilabel_train_test_split,
)

KINDS = [
    MultilabelStratifiedKFold,
    MultilabelStratifiedGroupKFold,
    MultilabelStratifiedShuffleSplit,
]
LIKE = {
    MultilabelStratifiedKFold: StratifiedKFold,
    MultilabelStratifiedGroupKFold: StratifiedGroupKFold,
    MultilabelStratifiedShuffleSplit: StratifiedShuffleSplit,
}


def table(n=60, seed=0):
    """Return mixed attributes of which about a fifth of the labels is missing."""
    rng = np.random.default_rng(seed)
    y = pd.DataFrame(
        {
            "hat": pd.array(rng.random(n) < 0.3, dtype="boolean"),
            "color": rng.choice(["red", "green", "blue"], n),
            "age": pd.Categorical(rng.choice(["young", "old"], n), ["young", "old"], ordered=True),
            "count": pd.array(rng.integers(0, 4, n), dtype="Int64"),
        }
    )
    return y.mask(rng.random(y.shape) < 0.2)


def splits_equal(first, second):
    """Return whether two lists of splits are equal."""
    return len(first) == len(second) and all(
        np.array_equal(rows, other_rows)
        for split, other_split in zip(first, second, strict=True)
        for rows, other_rows in zip(split, other_split, strict=True)
    )


# --- conventions -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_signature_and_repr_follow_scikit_learn(kind):
    """Parameters have the names, order and defaults of the single-output splitter."""
    parameters = inspect.signature(kind).parameters
    expected_parameters = inspect.signature(LIKE[kind]).parameters
    assert [(p.name, p.default, p.kind) for p in parameters.values()] == [
        (p.name, p.default, p.kind) for p in expected_parameters.values()
    ]
    expected = repr(LIKE[kind](3)).replace(LIKE[kind].__name__, kind.__name__)
    assert repr(kind(3)).split() == expected.split()
    assert kind(3).get_n_splits() == kind(3).get_n_splits(None, None, None) == 3


@pytest.mark.parametrize("kind", KINDS[:2])
@pytest.mark.parametrize(
    "params",
    [
        {"n_splits": 1},
        {"n_splits": 2.5},
        {"shuffle": "yes"},
        {"random_state": 0},
    ],
)
def test_invalid_parameters_raise_the_errors_of_scikit_learn(kind, params):
    """Type and text of the errors are equal."""
    with pytest.raises((ValueError, TypeError)) as expected:
        LIKE[kind](**params)
    with pytest.raises(expected.type) as error:
        kind(**params)
    assert str(error.value) == str(expected.value)


@pytest.mark.parametrize("kind", KINDS[:2])
def test_rejects_too_many_splits(kind):
    """More folds than rows or groups are rejected with scikit-learn's messages."""
    y = np.array([0, 1, 0, 1])
    with pytest.raises(ValueError, match="n_splits=5 greater than the number of samples"):
        next(kind(5).split(y, y, y if kind is KINDS[1] else None))
    with pytest.raises(ValueError, match="n_splits=3 greater than the number of groups: 2"):
        next(MultilabelStratifiedGroupKFold(3).split(y, y, y))


def test_groups_are_required_or_ignored():
    """One splitter requires groups; the others ignore them with a warning."""
    y = np.array([0, 1] * 10)
    with pytest.raises(ValueError, match="'groups' parameter should not be None"):
        next(MultilabelStratifiedGroupKFold(2).split(y, y))
    for kind in (MultilabelStratifiedKFold, MultilabelStratifiedShuffleSplit):
        with pytest.warns(UserWarning, match=f"groups parameter is ignored by {kind.__name__}"):
            next(kind(2).split(y, y, y))


def test_metadata_routing():
    """Only the group splitter requests groups."""
    with sklearn.config_context(enable_metadata_routing=True):
        for kind in KINDS:
            requests = kind().get_metadata_routing().split.requests
            assert requests.get("groups", False) is (kind is MultilabelStratifiedGroupKFold)


@pytest.mark.parametrize("kind", KINDS)
def test_rejects_invalid_y(kind):
    """None, a wrong length, only missing labels and continuous numbers are rejected."""
    X, groups = np.zeros((20, 1)), np.arange(20) if kind is KINDS[1] else None
    for y, message in [
        (None, "requires y"),
        (np.zeros(19, dtype=int), "inconsistent numbers of samples"),
        (np.full((20, 2), np.nan), "None of its labels is known"),
        (np.linspace(0, 1, 20), "continuous"),
    ]:
        with pytest.raises(ValueError, match=message):
            next(kind(2).split(X, y, groups))


@pytest.mark.parametrize("kind", KINDS)
def test_random_state(kind):
    """An int is reproducible, ints differ, None is random and keeps numpy's global state."""
    y, groups = table(), np.arange(60) // 2 if kind is KINDS[1] else None
    shuffled = {} if kind is KINDS[2] else {"shuffle": True}

    def splits(random_state):
        return list(kind(3, **shuffled, random_state=random_state).split(y, y, groups))

    before = np.random.get_state()[1].copy()  # noqa: NPY002
    assert splits_equal(splits(0), splits(0))
    assert not splits_equal(splits(0), splits(1))
    assert not splits_equal(splits(None), splits(None))
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002
    state = np.random.RandomState(0)
    assert not splits_equal(splits(state), splits(state))
    if shuffled:
        assert splits_equal(*(list(kind(3).split(y, y, groups)) for _ in range(2)))


# --- partition, groups, sizes ------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_every_row_is_tested_once(data):
    """Test folds are a partition, their sizes differ by at most one, train is the rest."""
    k = data.draw(st.integers(2, 5))
    n = data.draw(st.integers(k, 30))
    width = data.draw(st.integers(1, 4))
    cell = st.sampled_from([None, "a", "b", "c"])
    rows = data.draw(
        st.lists(st.lists(cell, min_size=width, max_size=width), min_size=n, max_size=n)
    )
    rows[0][0] = "a"
    tests = []
    for train, test in MultilabelStratifiedKFold(k).split(np.zeros(n), rows):
        np.testing.assert_array_equal(np.sort(np.concatenate([train, test])), np.arange(n))
        assert len(test) in (n // k, -(-n // k))
        tests.append(test)
    np.testing.assert_array_equal(np.sort(np.concatenate(tests)), np.arange(n))


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_groups_stay_together(data):
    """Each group is in one test fold, and no test fold is empty."""
    k = data.draw(st.integers(2, 4))
    groups = data.draw(st.lists(st.sampled_from("abcdefgh"), min_size=8, max_size=40))
    groups = [*groups, *"abcd"[:k]]
    y = data.draw(st.lists(st.integers(0, 2), min_size=len(groups), max_size=len(groups)))
    tests = [t for _, t in MultilabelStratifiedGroupKFold(k).split(y, y, groups)]
    sets = [{groups[i] for i in test} for test in tests]
    assert all(sets)
    assert sum(map(len, sets)) == len(set(groups))
    np.testing.assert_array_equal(np.sort(np.concatenate(tests)), np.arange(len(groups)))


def test_single_rows_as_groups():
    """Groups of one row each are split like rows."""
    y = table()
    rows = list(MultilabelStratifiedKFold(5).split(y, y))
    assert splits_equal(rows, list(MultilabelStratifiedGroupKFold(5).split(y, y, np.arange(60))))


def test_groups_can_be_strings_or_a_series():
    """The type of the group labels makes no difference."""
    y, groups = table(), np.arange(60) // 3
    expected = list(MultilabelStratifiedGroupKFold(4).split(y, y, groups))
    text = [f"g{g:02}" for g in groups]
    for other in (text, pd.Series(text, dtype=object), groups.astype(float)):
        assert splits_equal(expected, list(MultilabelStratifiedGroupKFold(4).split(y, y, other)))


@pytest.mark.parametrize("k", [2, 3, 5, 10])
def test_groups_are_stratified(k):
    """With many small groups every label is close to its share of each fold."""
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 600, 3000)
    y = (rng.random((3000, 6)) < [0.02, 0.05, 0.1, 0.2, 0.4, 0.6]).astype(int)
    for _, test in MultilabelStratifiedGroupKFold(k).split(y, y, groups):
        assert abs(len(test) - 3000 / k) < 12
        assert np.abs(y[test].mean(axis=0) - y.mean(axis=0)).max() < 0.01


# --- against scikit-learn ----------------------------------------------------------------------


@pytest.mark.parametrize("n_classes", [2, 3, 12])
@pytest.mark.parametrize("k", [2, 5, 10])
def test_as_good_as_stratified_k_fold(n_classes, k):
    """For one output, the worst deviation of a class is at most that of scikit-learn."""
    y = np.random.default_rng(0).binomial(n_classes - 1, 0.4, 500)
    y[: 12 * k] = np.arange(12 * k) % n_classes  # enough rows of each class to avoid warnings
    share = np.bincount(y) / 500

    def worst(splitter):
        folds = (np.bincount(y[t], minlength=n_classes) / len(t) for _, t in splitter.split(y, y))
        return max(np.abs(fold - share).max() for fold in folds)

    assert worst(MultilabelStratifiedKFold(k)) <= worst(StratifiedKFold(k)) + 1e-9


@pytest.mark.parametrize(
    ("test_size", "train_size"), [(0.3, None), (7, 20), (None, 0.5), (0.2, 0.4)]
)
def test_shuffle_split_keeps_shares(test_size, train_size):
    """Sizes are exact, parts disjoint, and labels near their share in train, test and rest."""
    y = (np.random.default_rng(0).random((100, 3)) < [0.1, 0.3, 0.5]).astype(int)
    splitter = MultilabelStratifiedShuffleSplit(
        3, test_size=test_size, train_size=train_size, random_state=0
    )
    like = StratifiedShuffleSplit(1, test_size=test_size, train_size=train_size, random_state=0)
    sizes = [len(part) for part in next(like.split(y, y[:, 0]))]
    for train, test in splitter.split(y, y):
        assert [len(train), len(test)] == sizes
        assert len(set(train.tolist()) | set(test.tolist())) == sum(sizes)
        for part in (train, test, np.setdiff1d(np.arange(100), [*train, *test])):
            assert np.abs(y[part].sum(axis=0) - len(part) * y.mean(axis=0)).max() <= 1.01


# --- missing labels ----------------------------------------------------------------------------


def test_markers_of_missing_labels_are_equivalent():
    """NaN, None and NA, and numbers and strings, give the same folds."""
    y = table()
    expected = list(MultilabelStratifiedKFold(4).split(y, y))
    plain = y.astype(object).where(y.notna(), None)
    texts = y.astype(object).map(str, na_action="ignore")
    for other in (plain, y.astype(object).where(y.notna(), np.nan), plain.to_numpy(), texts):
        assert splits_equal(expected, list(MultilabelStratifiedKFold(4).split(y, other)))
    numbers = np.array([[0, 1, np.nan], [1, 0, 1], [1, np.nan, 0], [0, 1, 1]] * 5)
    for other in (numbers.astype(np.float32), pd.DataFrame(numbers).astype("Int8")):
        splitter = MultilabelStratifiedKFold(4)
        assert splits_equal(
            list(splitter.split(y[:20], numbers)), list(splitter.split(y[:20], other))
        )


def test_missing_is_not_a_class():
    """A column without known labels, or with a single class, does not change the folds."""
    y = table()
    expected = list(MultilabelStratifiedKFold(4).split(y, y))
    other = y.assign(missing=np.nan, constant="x")
    assert splits_equal(expected, list(MultilabelStratifiedKFold(4).split(y, other)))


def test_known_labels_are_stratified_too():
    """Positives and negatives, and so the share of known labels, are equal in all folds."""
    rng = np.random.default_rng(0)
    y = (rng.random((400, 5)) < 0.3).astype(float)
    y[rng.random(y.shape) < rng.random(5)] = np.nan
    for _, test in MultilabelStratifiedKFold(4).split(y, y):
        for label in (0, 1):
            assert np.abs((y[test] == label).sum(axis=0) - (y == label).sum(axis=0) / 4).max() <= 1


def test_fast_path_for_0_1_arrays_equals_the_encoder():
    """Arrays of 0 and 1 give the same folds as bools, floats, lists and strings."""
    rng = np.random.default_rng(0)
    y = (rng.random((51, 6)) < rng.random(6)).astype(int)
    expected = list(MultilabelStratifiedKFold(4).split(y, y))
    for other in (y.astype(bool), y.astype(float), y.tolist(), np.where(y, "yes", "no")):
        assert splits_equal(expected, list(MultilabelStratifiedKFold(4).split(y, other)))


# --- in use ------------------------------------------------------------------------------------


class Guess(ClassifierMixin, BaseEstimator):
    """Classifier that predicts each column's nth most frequent known label."""

    def __init__(self, nth=0):
        self.nth = nth

    def fit(self, X, y):
        """Store the labels to predict."""
        assert isinstance(y, pd.DataFrame)
        self.guess_ = [column.value_counts().index[self.nth] for _, column in y.items()]
        return self

    def score(self, X, y):
        """Return the share of known labels that are predicted."""
        known = y.notna().to_numpy()
        return float((y.astype(object).eq(self.guess_).to_numpy() & known).sum() / known.sum())


@pytest.mark.parametrize("kind", KINDS)
def test_as_cv_of_scikit_learn(kind):
    """cross_validate and GridSearchCV accept the splitters with missing labels in y."""
    y, groups = table(), np.arange(60) // 2 if kind is KINDS[1] else None
    X = np.zeros((60, 2))
    scores = cross_validate(Guess(), X, y, groups=groups, cv=kind(3))["test_score"]
    assert np.isfinite(scores).all()
    assert len(scores) == 3
    search = GridSearchCV(Guess(), {"nth": [0, 1]}, cv=kind(3)).fit(X, y, groups=groups)
    assert search.best_params_ == {"nth": 0}


def test_groups_are_routed():
    """With metadata routing, cross_val_score passes groups to the splitter."""
    X, y = np.random.default_rng(0).random((40, 2)), np.array([0, 1] * 20)
    with sklearn.config_context(enable_metadata_routing=True):
        cv = MultilabelStratifiedGroupKFold(4)
        params = {"groups": np.arange(40) // 2}
        assert len(cross_val_score(LogisticRegression(), X, y, cv=cv, params=params)) == 4


# --- multilabel_train_test_split -----------------------------------------------------------------


def test_train_test_split_keeps_types():
    """Each array gives two parts of its type with the same rows, a quarter of them for testing."""
    X, y = np.arange(60)[:, np.newaxis], table()
    names = [f"r{i}" for i in range(60)]
    parts = multilabel_train_test_split(X, names, y, random_state=0)
    X_train, X_test, names_train, names_test, y_train, y_test = parts
    assert len(X_test) == 15
    assert isinstance(names_train, list)
    assert isinstance(y_train, pd.DataFrame)
    assert names_test == [f"r{i}" for i in X_test[:, 0]]
    pd.testing.assert_frame_equal(y_train, y.iloc[X_train[:, 0]])
    pd.testing.assert_frame_equal(y_test, y.iloc[X_test[:, 0]])
    assert X_train[:, 0].tolist() != sorted(X_train[:, 0])


def test_train_test_split_by_stratify():
    """`stratify` replaces the labels that are otherwise the last array."""
    X, y = np.arange(60), table()
    by_last = multilabel_train_test_split(X, y, test_size=20, random_state=0)
    by_keyword = multilabel_train_test_split(X, stratify=y, test_size=20, random_state=0)
    assert len(by_keyword) == 2
    for part, expected in zip(by_keyword, by_last[:2], strict=True):
        np.testing.assert_array_equal(part, expected)


def test_train_test_split_rejects_invalid_input():
    """Missing arrays and impossible sizes raise scikit-learn's messages."""
    with pytest.raises(ValueError, match="At least one array required as input"):
        multilabel_train_test_split()
    with pytest.raises(ValueError, match="test_size=70 should be either positive and smaller"):
        multilabel_train_test_split(table(), test_size=70)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        multilabel_train_test_split(np.zeros(59), table())
