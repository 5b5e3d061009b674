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


@pytest.mark.parametrize("n", [8, 10, 11, 35])
def test_promising_units_take_turns(rng, monkeypatch, n):
    """Units of a large fold are looked at in parts; of a part those of least loss are taken."""
    labels = scipy.sparse.csr_array(rng.integers(0, 2, (60, 5)).astype(float))
    in_fold = np.isin(np.arange(60), rng.permutation(60)[:n])
    direction, squares = rng.normal(size=5), rng.random(60)
    loss = squares - labels @ direction
    monkeypatch.setattr(_iterative_stratification, "POOL", 10)

    def promising(turn):
        return _iterative_stratification._promising(labels, in_fold, direction, squares, turn)

    n_parts = -(-n // 10)
    parts = [promising(turn) for turn in range(n_parts)]
    assert sorted(np.concatenate(parts)) == np.flatnonzero(in_fold).tolist()
    assert max(map(len, parts)) <= 10
    assert promising(n_parts).tolist() == parts[0].tolist()
    monkeypatch.setattr(_iterative_stratification, "CANDIDATES", 4)
    for turn, part in enumerate(parts):
        best = part[np.argsort(loss[part])[:4]]
        assert set(promising(turn).tolist()) == set(best.tolist())


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 5), st.integers(1, 5), st.booleans(), st.integers(0, 2**20))
def test_exchanges_are_the_best_one_after_another(n_a, n_b, moves, seed):
    """Each lowers the weighted sum of squares most; an empty unit may be chosen again."""
    rng = np.random.default_rng(seed)
    weights, excess = rng.random(4) + 0.1, rng.normal(0, 3, (2, 4))
    parts = [rng.integers(0, 3, (n, 4)).astype(float) for n in (n_a, n_b)]
    if moves:
        parts = [np.vstack([part, np.zeros(4)]) for part in parts]
    n_a, n_b = map(len, parts)
    left = {(i, j) for i in range(n_a) for j in range(n_b)}

    def after(pair):
        difference = parts[0][pair[0]] - parts[1][pair[1]]
        return excess - np.outer([1, -1], difference)

    gap = excess[0] - excess[1]
    found = list(_iterative_stratification._exchanges(*parts, gap, weights, moves))
    for i, j in found:
        sums = {pair: (after(pair) ** 2 @ weights).sum() for pair in left}
        assert sums[i, j] == pytest.approx(min(sums.values()))
        assert sums[i, j] < (excess**2 @ weights).sum()
        excess = after((i, j))
        if not moves or i < n_a - 1:
            left -= {(i, other) for other in range(n_b)}
        if not moves or j < n_b - 1:
            left -= {(other, j) for other in range(n_a)}
    if left:
        best = min((after(pair) ** 2 @ weights).sum() for pair in left)
        assert best >= (excess**2 @ weights).sum() - 1e-6


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 4), st.integers(1, 3), st.booleans(), st.integers(0, 2**20))
def test_no_exchange_improves_balanced_folds(k, width, moves, seed):
    """Afterwards neither an exchange of two units nor, with `moves`, one unit lowers the sum."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3 if moves else 2, (24, width)).astype(float)
    weights = 1 / np.maximum(labels.sum(axis=0), 1)
    folds = rng.permutation(np.arange(24) % k)
    problem = _iterative_stratification._Problem(
        scipy.sparse.csr_array(labels), weights, np.full(k, 1 / k), moves
    )
    sizes = np.bincount(folds, minlength=k)
    _iterative_stratification._rebalance(problem, folds)
    if not moves:
        assert np.bincount(folds, minlength=k).tolist() == sizes.tolist()
    excess = problem.excess(folds)
    for a, b in itertools.combinations(range(k), 2):
        rows = [labels[folds == fold] for fold in (a, b)]
        if moves:
            rows = [np.vstack([part, np.zeros(width)]) for part in rows]
        # what leaves a and enters b, for all pairs of units
        moved = rows[0][:, np.newaxis] - rows[1]
        before = (excess[[a, b]] ** 2 @ weights).sum()
        after = (excess[a] - moved) ** 2 @ weights + (excess[b] + moved) ** 2 @ weights
        assert after.min() >= before - 1e-9


@settings(max_examples=20, deadline=None)
@given(st.booleans(), st.integers(0, 2**20))
def test_least_harm_is_that_of_all_exchanges(moves, seed):
    """The two folds lose labels of the least pressure; of equal ones the balance decides."""
    rng = np.random.default_rng(seed)
    present = rng.integers(0, 2, (12, 6)).astype(float)
    labels = rng.integers(0, 3, (12, 4)).astype(float)
    folds = rng.permutation(np.arange(12) % 3)
    counts = np.array([present[folds == k].sum(axis=0) for k in range(3)])
    pressure = np.round(rng.uniform(0.5, 2, (3, 6)), 1)
    weights = rng.random(4) + 0.1
    problem = _iterative_stratification._Problem(
        scipy.sparse.csr_array(labels), weights, np.full(3, 1 / 3), moves
    )
    excess = problem.excess(folds)
    donors, partners = np.flatnonzero(folds != 0), np.flatnonzero(folds == 0)

    def cost(donor, partner):
        giver, harm = folds[donor], 0.0
        back = np.zeros((2, 6)) if partner is None else present[[partner, partner]]
        changed = counts[[giver, 0]] + [[-1], [1]] * (present[[donor, donor]] - back)
        for before, now, weight in zip(
            counts[[giver, 0]], changed, pressure[[giver, 0]], strict=True
        ):
            harm += weight @ ((before > 0) & (now == 0)) - weight @ ((before == 0) & (now > 0))
        moved = labels[donor] - (0 if partner is None else labels[partner])
        sums = [excess[giver] - moved, excess[0] + moved]
        return round(harm, 6), round(sum(weights @ part**2 for part in sums), 6) - round(
            float(weights @ excess[giver] ** 2 + weights @ excess[0] ** 2), 6
        )

    found = _iterative_stratification._least_harm(
        problem, scipy.sparse.csr_array(present), donors, partners, 0, folds, counts, excess,
        pressure,
    )  # fmt: skip
    pair = (found[0], found[1] if len(found) == 2 else None)
    others = [*partners, None] if moves else partners
    costs = [cost(donor, partner) for donor in donors for partner in others]
    assert cost(*pair) == pytest.approx(min(costs), abs=1e-5)


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
