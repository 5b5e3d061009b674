"""The steps of iterative stratification, each against brute force on small tables."""

import itertools

import numpy as np
import pytest
import scipy.sparse

from skattr.model_selection import _iterative_stratification as steps
from skattr.model_selection._iterative_stratification import _Problem, assign, sum_by_group


def random_problem(rng, n_units=12, n_folds=3, n_labels=4, moves=False):
    """Return labels to balance, with a size as last label if units may move, and folds."""
    table = rng.integers(0, 3, (n_units, n_labels)) * (rng.random((n_units, n_labels)) < 0.5)
    labels = scipy.sparse.csr_array(table.astype(float))
    shares = rng.dirichlet(np.full(n_folds, 5.0))
    folds = rng.integers(0, n_folds, n_units)
    return _Problem(labels, rng.uniform(0.5, 2, n_labels), shares, moves), folds


def cost(problem, folds):
    """Return the weighted sum of squared excesses, by its definition."""
    table = problem.labels.toarray()
    counts = np.array([table[folds == f].sum(axis=0) for f in range(len(problem.shares))])
    return ((counts - np.outer(problem.shares, table.sum(axis=0))) ** 2 @ problem.weights).sum()


@pytest.mark.parametrize("moves", [False, True])
def test_exchanges_are_the_best_ones_in_turn(moves):
    """Each exchange lowers the squares most among units not exchanged yet, and none is left."""
    for seed in range(15):
        rng = np.random.default_rng(seed)
        a, b = (rng.integers(0, 3, (n, 3)).astype(float) for n in (7, 5))
        if moves:
            a[-1], b[-1] = 0, 0
        weights, gap = rng.uniform(0.5, 2, 3), rng.uniform(-6, 6, 3)
        free_a, free_b, now = set(range(7)), set(range(5)), gap.copy()

        def gains(now, free_a=free_a, free_b=free_b, a=a, b=b, weights=weights):
            # The squares of both folds fall by twice this.
            return {
                (i, j): (weights * ((now / 2) ** 2 - (now / 2 - a[i] + b[j]) ** 2)).sum()
                for i in free_a
                for j in free_b
            }

        for i, j in steps._exchanges(a, b, gap, weights, moves):
            found = gains(now)
            assert found[i, j] == pytest.approx(max(found.values()))
            assert found[i, j] > 0
            now = now - 2 * (a[i] - b[j])
            free_a -= set() if moves and i == 6 else {i}
            free_b -= set() if moves and j == 4 else {j}
        assert max(gains(now).values(), default=0) < 1e-9


@pytest.mark.parametrize("moves", [False, True])
def test_rebalancing_leaves_no_exchange_that_helps(moves):
    """The weighted squares cannot be lowered by any single exchange, or move of a unit."""
    for seed in range(15):
        problem, folds = random_problem(np.random.default_rng(seed), moves=moves)
        before, sizes = cost(problem, folds), np.bincount(folds, minlength=3)
        steps._rebalance(problem, folds)
        after = cost(problem, folds)
        assert after <= before + 1e-9
        if not moves:
            assert np.bincount(folds, minlength=3).tolist() == sizes.tolist()
        for i, j in itertools.combinations(range(len(folds)), 2):
            other = folds.copy()
            other[[i, j]] = folds[[j, i]]
            gap = problem.excess(folds)[folds[i]] - problem.excess(folds)[folds[j]]
            if np.abs(gap).max() > 1:
                assert cost(problem, other) > after - 1e-6
        for i, goal in itertools.product(range(len(folds)), range(3) if moves else ()):
            other = folds.copy()
            other[i] = goal
            gap = problem.excess(folds)[folds[i]] - problem.excess(folds)[goal]
            if np.abs(gap).max() > 1:
                assert cost(problem, other) > after - 1e-6


def test_promising_units_lower_the_squares_most(monkeypatch):
    """Of many units those are tried that help most; parts take turns until all were ranked."""
    monkeypatch.setattr(steps, "CANDIDATES", 5)
    rng = np.random.default_rng(0)
    table, weights, gap = rng.random((40, 3)), np.array([1.0, 2.0, 0.5]), np.array([3.0, -2.0, 1.0])
    labels, in_fold = scipy.sparse.csr_array(table), np.arange(40) % 2 == 0
    squares = labels.power(2) @ weights
    # the change of the squares of two folds, without what is the same for all units
    change = (weights * ((gap / 2 - table) ** 2)).sum(axis=1)
    expected = sorted(np.flatnonzero(in_fold), key=lambda unit: change[unit])[:5]
    found = steps._promising(labels, in_fold, weights * gap, squares, 0)
    assert sorted(found) == sorted(expected)
    monkeypatch.setattr(steps, "CANDIDATES", 40)
    monkeypatch.setattr(steps, "POOL", 6)
    parts = [steps._promising(labels, in_fold, weights * gap, squares, t) for t in range(4)]
    assert [len(part) for part in parts] == [5] * 4
    assert sorted(np.concatenate(parts)) == np.flatnonzero(in_fold).tolist()


def test_first_folds_take_turns_in_the_order_of_rarest_labels():
    """Units are sorted by their three rarest labels; folds have their sizes, spread evenly."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        table = (rng.random((17, 6)) < 0.35).astype(float)
        sizes = np.array([8, 6, 3])
        found = steps._assign(scipy.sparse.csr_array(table), sizes)
        rarest = [(*np.flatnonzero(row), 6, 6, 6)[:3] for row in table]
        turns = sorted(((t + 0.5) / sizes[f], f) for f in range(3) for t in range(sizes[f]))
        expected = np.empty(17, dtype=int)
        expected[sorted(range(17), key=lambda unit: rarest[unit])] = [fold for _, fold in turns]
        assert found.tolist() == expected.tolist()


def test_numbers_of_units_by_largest_remainders():
    """Shares that are no whole numbers are rounded, and sum to the number of units."""
    assert steps._unit_targets(np.array([5.0, 3.0, 2.0]), 7).tolist() == [4, 2, 1]
    assert steps._unit_targets(np.array([2.0, 3.0, 5.0]), 7).tolist() == [1, 2, 4]
    assert steps._unit_targets(np.array([1.0, 1.0, 1.0]), 5).tolist() == [2, 2, 1]
    assert steps._unit_targets(np.array([0.1, 0.2, 0.7]) * 10, 10).tolist() == [1, 2, 7]


@pytest.mark.parametrize("moves", [False, True])
def test_least_harm_is_that_of_all_exchanges(moves):
    """The exchange that costs the two folds the least pressure, then the least imbalance."""
    for seed in range(40):
        rng = np.random.default_rng(seed)
        problem, folds = random_problem(rng, moves=moves)
        table = (rng.random((12, 5)) < 0.3).astype(float)
        table[:2] = 1  # every label occurs
        present = scipy.sparse.csr_array(table)
        counts = sum_by_group(present, folds, 3).toarray()
        pressure = 1 + rng.integers(0, 4, (3, 5)) / 2
        fold = int(rng.integers(3))
        donors, partners = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        found = steps._least_harm(
            problem, present, donors, partners, fold, folds, counts, problem.excess(folds), pressure
        )

        def after(unit, partner, folds=folds, fold=fold):
            other = folds.copy()
            other[unit] = fold
            if partner is not None:
                other[partner] = folds[unit]
            return other

        def harm(folds, present=present, pressure=pressure):
            return -(pressure * (sum_by_group(present, folds, 3).toarray() > 0)).sum()

        choices = [*partners, None] if moves else [*partners]
        if not len(donors) or not choices:
            assert found is None
            continue
        every = {(u, p): after(u, p) for u in donors for p in choices}
        ranks = {k: (round(harm(v), 6), cost(problem, v)) for k, v in every.items()}
        best = min(ranks.values())
        pair = (found[0], found[1] if len(found) > 1 else None)
        assert ranks[pair] == pytest.approx(best)


def test_every_exchange_for_coverage_is_accounted(monkeypatch):
    """Counts and excesses stay those of the folds; the best folds seen are returned."""
    least_harm, seen = steps._least_harm, []

    def checked(problem, present, donors, partners, fold, folds, counts, excess, pressure):
        expected = sum_by_group(present, folds, len(counts)).toarray()
        np.testing.assert_array_equal(counts, expected)
        np.testing.assert_allclose(excess, problem.excess(folds), atol=1e-9)
        if seen:
            just_moved = np.flatnonzero(seen[-1] != folds)
            assert len(just_moved) <= 2
            assert not np.isin(just_moved, [*donors, *partners]).any()
        assert (folds[partners] == fold).all() and not (folds[donors] == fold).any()
        seen.append(folds.copy())
        found = least_harm(
            problem, present, donors, partners, fold, folds, counts, excess, pressure
        )
        return found

    monkeypatch.setattr(steps, "_least_harm", checked)
    monkeypatch.setattr(steps, "STEPS", 20)
    shares = np.full(3, 1 / 3)
    for seed, moves in itertools.product(range(6), (False, True)):
        seen.clear()
        rng = np.random.default_rng(seed)
        problem, folds = random_problem(rng, n_units=9, moves=moves)
        table = np.zeros((9, 10))
        for label in range(10):
            table[rng.choice(9, 3, replace=False), label] = 1
        table[:, 0] = 1
        present = scipy.sparse.csr_array(table)
        start = folds.copy()
        found = steps._ensure_coverage(problem, present, folds, shares)
        np.testing.assert_array_equal(folds, start)

        def lacking(folds, present=present):
            none = (sum_by_group(present, folds, 3).toarray() == 0).sum(axis=0)
            return [none[0], none[1:].sum()]

        assert lacking(found) == min(map(lacking, [*seen, found]))
        assert len(seen) > 1


def test_an_empty_fold_is_worse_than_lacking_labels(monkeypatch):
    """Of three groups two folds would cover more labels; the third fold is filled all the same."""
    monkeypatch.setattr(steps, "STEPS", 60)
    labels = scipy.sparse.csr_array([[2.0, 0, 2], [2, 2, 0], [0, 2, 2]])
    folds = assign(
        labels, np.zeros(3, dtype=bool), np.array([2, 2, 2]), np.array([3.0, 3.0, 1e-9]),
        np.array([0.5, 0.5, 0.4]),
    )  # fmt: skip
    assert sorted(folds) == [0, 1, 2]


def test_labels_to_cover_are_those_of_the_definition():
    """Labels, and the other labels of pairs, that occur in 1 / share units; None if all are."""
    shares, outcomes = np.array([0.5, 0.25]), set()
    for seed in range(200):
        rng = np.random.default_rng(seed)
        sizes, is_pair = rng.integers(1, 3, 8), np.array([True, False, True])
        table = np.minimum(rng.integers(0, 3, (8, 3)), sizes[:, np.newaxis])
        folds = rng.permutation(np.arange(8) % 2)
        columns, covered = [np.ones(8)], True
        every = [(table[:, j] > 0, True) for j in range(3)]
        every += [(table[:, j] < sizes, is_pair[j]) for j in range(3)]
        for has, counts in every:
            needs = [counts and has.sum() * share >= 1 for share in shares]
            covered &= all(has[folds == f].any() for f in range(2) if needs[f])
            columns += [has] if any(needs) else []
        labels = scipy.sparse.csr_array(table.astype(float))
        found = steps._to_cover(labels, is_pair, sizes, folds, shares)
        outcomes.add(covered)
        assert (found is None) == covered
        if found is not None:
            np.testing.assert_array_equal(found.toarray(), np.array(columns, float).T)
    assert outcomes == {True, False}
