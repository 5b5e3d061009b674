"""Tests of iterative stratification: balanced labels, and coverage where it is possible."""

import itertools

import numpy as np
import pytest
import scipy.sparse
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from skattr.model_selection import _iterative_stratification
from skattr.model_selection._iterative_stratification import assign, label_matrix, sum_by_group


def folds_of(y, k):
    """Assign rows to k folds whose sizes differ by at most one."""
    codes = np.asarray(y)
    sizes = (len(codes) // k + (np.arange(k) < len(codes) % k)).astype(float)
    labels, is_pair = label_matrix(codes)
    return assign(labels, is_pair, np.ones(len(codes), dtype=int), sizes, np.full(k, 1 / k))


def n_lacking(codes, folds, k):
    """Count the pairs (fold, class) without a row, for classes of k rows or more."""
    count = 0
    for column in codes.T:
        for label in set(column[column >= 0].tolist()):
            rows = column == label
            if rows.sum() >= k:
                count += k - len(set(folds[rows].tolist()))
    return count


def test_label_matrix_drops_redundant_labels():
    """Constant and single labels and the more frequent of a pair are dropped; missing is none."""
    codes = np.array(
        [[0, 1, 0, -1, 0], [1, 1, 0, 0, 1], [1, 1, 1, 0, 2], [1, 1, 1, 1, 2], [0, 1, 2, 1, 2]]
    )
    labels, is_pair = label_matrix(codes)
    expected = [codes[:, 0] == 0, codes[:, 2] == 0, codes[:, 2] == 1, codes[:, 3] == 0]
    expected += [codes[:, 3] == 1, codes[:, 4] == 2]
    np.testing.assert_array_equal(labels.toarray(), np.stack(expected, axis=1))
    assert is_pair.tolist() == [True, False, False, False, False, False]


def test_label_matrix_is_symmetric_in_0_and_1():
    """Exchanging 0 and 1 changes nothing unless both are equally frequent."""
    codes = np.random.default_rng(0).integers(0, 2, (31, 4))
    first, second = label_matrix(codes)[0], label_matrix(1 - codes)[0]
    np.testing.assert_array_equal(first.toarray(), second.toarray())


def test_sum_by_group_adds_up():
    """The counts of a group equal the sums over its rows."""
    labels, _ = label_matrix(np.random.default_rng(0).integers(0, 3, (30, 4)))
    groups = np.arange(30) % 4
    expected = [labels.toarray()[groups == g].sum(axis=0) for g in range(4)]
    np.testing.assert_array_equal(sum_by_group(labels, groups, 4).toarray(), expected)


def test_one_attribute_is_balanced_exactly():
    """With one attribute each fold has the share of each class, rounded up or down."""
    rng = np.random.default_rng(0)
    for k in (2, 3, 5, 10):
        for n_classes in (2, 3, 20):
            codes = rng.choice(n_classes, (503, 1), p=rng.dirichlet(np.ones(n_classes)))
            folds = folds_of(codes, k)
            counts = np.array(
                [np.bincount(codes[folds == f, 0], minlength=n_classes) for f in range(k)]
            )
            assert (np.ptp(counts, axis=0) <= 1).all()


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_one_attribute_is_always_covered(data):
    """A class of k rows or more is in every one of k folds."""
    k = data.draw(st.integers(2, 6))
    codes = np.array(data.draw(st.lists(st.integers(-1, 5), min_size=k, max_size=40)))[
        :, np.newaxis
    ]
    folds = folds_of(codes, k)
    assert n_lacking(codes, folds, k) == 0
    assert np.ptp(np.bincount(folds, minlength=k)) <= 1


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_covers_wherever_brute_force_can(data):
    """On small tables every label is covered if any assignment to folds covers every label."""
    k = data.draw(st.sampled_from([2, 3]))
    n = data.draw(st.sampled_from([k, 2 * k, 6]))
    width = data.draw(st.integers(1, 6))
    row = st.lists(st.integers(-1, 2), min_size=width, max_size=width)
    codes = np.array(data.draw(st.lists(row, min_size=n, max_size=n)))
    lacking = n_lacking(codes, folds_of(codes, k), k)
    balanced = set(itertools.permutations(np.arange(n) % k))
    assert lacking == 0 or all(n_lacking(codes, np.array(folds), k) for folds in balanced)


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 4), st.integers(2, 8), st.integers(1, 15), st.integers(0, 2**20))
def test_finds_hidden_folds(k, size, width, seed):
    """Labels of k rows, one in each of k hidden folds, are covered."""
    rng = np.random.default_rng(seed)
    hidden = rng.permutation(np.tile(np.arange(k), size))
    codes = np.zeros((k * size, width), dtype=int)
    for label in range(width):
        codes[[rng.choice(np.flatnonzero(hidden == fold)) for fold in range(k)], label] = 1
    folds = folds_of(codes, k)
    assert n_lacking(codes, folds, k) == 0
    assert np.bincount(folds).tolist() == [size] * k


def test_conflicting_labels_are_covered_as_far_as_possible():
    """In the docstring's example two of three labels can be covered, and two are."""
    codes = np.array([[1, 1, 0], [1, 0, 1], [0, 1, 1]])
    assert n_lacking(codes, folds_of(codes, 2), 2) == 1


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_rarest_labels_have_priority_in_a_conflict(data):
    """On small tables the number of lacking labels is minimal, compared from the rarest on."""
    k = data.draw(st.sampled_from([2, 3]))
    width = data.draw(st.integers(1, 12))
    row = st.lists(st.sampled_from([-1, 0]), min_size=width, max_size=width)
    codes = np.array(data.draw(st.lists(row, min_size=6, max_size=6)))
    known = codes >= 0

    def score(folds):
        n_folds = np.array([len(set(folds[column].tolist())) for column in known.T])
        counts = known.sum(axis=0)
        return [int((k - n_folds)[counts == count].sum()) for count in range(k, 7)]

    assert score(folds_of(codes, k)) == min(
        score(np.array(folds)) for folds in set(itertools.permutations(np.arange(6) % k))
    )


def test_search_leaves_out_labels_that_it_cannot_lose(monkeypatch):
    """Only labels with STEPS units or fewer in a fold that needs them are candidates."""
    monkeypatch.setattr(_iterative_stratification, "STEPS", 3)
    lacking = [
        1,
        1,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
    ]  # two units in the first of two folds, none in the other
    single = [0, 0, 1, 0, 0, 0, 0, 0, 0, 0]  # not needed, as one unit cannot be in both folds
    limit = [1, 0, 1, 1, 0, 1, 1, 0, 1, 1]
    frequent = [0, 1, 1, 1, 1, 0, 1, 1, 1, 1]
    pair = [1, 0, 0, 1, 0, 0, 0, 0, 0, 1]  # 3 and 4 units with the other label
    rare_pair = [0, 1, 0, 0, 0, 0, 1, 0, 0, 0]  # 4 and 4 units with the other label
    columns = np.array([lacking, single, limit, frequent, pair, rare_pair]).T
    found = _iterative_stratification._to_cover(
        scipy.sparse.csr_array(columns.astype(float)),
        np.array([False, False, False, False, True, True]),
        np.ones(10, dtype=int),
        np.repeat([0, 1], 5),
        np.full(2, 0.5),
    )
    expected = [np.ones(10), lacking, limit, pair, rare_pair, 1 - np.array(pair)]
    np.testing.assert_array_equal(found.toarray(), np.stack(expected, axis=1))


def test_implied_labels_of_pairs_are_covered():
    """Every fold has negatives of a dense column, although they are not a label column."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        codes = (rng.random((24, 8)) < rng.uniform(0.2, 0.8, 8)).astype(int)
        assert n_lacking(codes, folds_of(codes, 4), 4) == 0


def test_implied_label_of_a_single_one_is_covered():
    """A label that occurs once represents the other label, which must be in every fold."""
    for codes in ([[0], [1], [0]], [[1], [0], [1]]):
        assert n_lacking(np.array(codes), folds_of(codes, 2), 2) == 0


def test_impossible_coverage_terminates():
    """If labels cannot all be covered, the search ends with folds of the right sizes."""
    codes = np.vstack([np.triu(np.ones((12, 12), dtype=int)), np.zeros((13, 12), dtype=int)])
    folds = folds_of(codes, 5)
    assert np.bincount(folds).tolist() == [5] * 5


@pytest.mark.parametrize("n_labels", [3, 30])
def test_large_tables_are_balanced(n_labels):
    """With enough rows, every label is within one row of its share."""
    rng = np.random.default_rng(0)
    rates = np.exp(rng.uniform(np.log(0.002), np.log(0.4), n_labels))
    codes = (rng.random((6000, n_labels)) < rates).astype(int)
    folds = folds_of(codes, 5)
    counts = np.array([codes[folds == f].sum(axis=0) for f in range(5)])
    assert np.abs(counts - codes.sum(axis=0) / 5).max() <= 1.01


def test_groups_without_labels_fill_all_folds():
    """No fold is empty, whatever the sizes of the groups."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        k = int(rng.integers(2, 6))
        sizes = rng.integers(1, 200, int(rng.integers(k, k + 4))) ** 2
        labels, is_pair = label_matrix(np.zeros((sizes.sum(), 1), dtype=np.int8))
        labels = sum_by_group(labels, np.repeat(np.arange(len(sizes)), sizes), len(sizes))
        shares = np.full(k, 1 / k)
        folds = assign(labels, is_pair, sizes, sizes.sum() * shares, shares)
        assert set(folds.tolist()) == set(range(k))


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 4), st.integers(2, 5), st.integers(1, 6), st.integers(0, 2**20))
def test_finds_hidden_folds_of_groups(k, size, width, seed):
    """A label that occurs in one group of each of k hidden folds is in all folds."""
    rng = np.random.default_rng(seed)
    hidden = rng.permutation(np.tile(np.arange(k), size))
    sizes = rng.integers(1, 5, k * size)
    group = np.repeat(np.arange(k * size), sizes)
    codes = np.full((len(group), width), -1)
    for label in range(width):
        chosen = [rng.choice(np.flatnonzero(hidden == fold)) for fold in range(k)]
        codes[[rng.choice(np.flatnonzero(group == g)) for g in chosen], label] = 0
    assume((codes >= 0).any(axis=0).all())
    labels, is_pair = label_matrix(codes)
    shares = np.full(k, 1 / k)
    labels = sum_by_group(labels, group, len(sizes))
    folds = assign(labels, is_pair, sizes, len(group) * shares, shares)
    assert n_lacking(codes, folds[group], k) == 0
