"""Iterative stratification of units (rows, or groups of rows) over folds.

The assignment has three steps, each a pure function of its arguments: `_assign` distributes the
units in the order of their rarest labels, `_rebalance` exchanges units between two folds as long
as that lowers a weighted sum of squared excesses, and `_ensure_coverage` makes every fold contain
each label where possible.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.integer[Any]]
# The searches are bounded, so that the time of a split stays proportional to the size of y.
ROUNDS = 8  # passes over all pairs of folds in `_rebalance`
POOL, CANDIDATES = 2048, 64  # units of each fold that are ranked, and tried, per pair and round
STEPS = 500  # exchanges in `_ensure_coverage`
DONORS, PARTNERS = 64, 256  # units considered on the two sides of one such exchange


def label_matrix(codes: Integers) -> tuple[Any, NDArray[np.bool_]]:
    """Convert codes to label indicators without redundant columns.

    If every row has one of exactly two labels, the more frequent one is left out. Labels that
    occur once or in every row are left out too, as they cannot be stratified.

    Parameters
    ----------
    codes : ndarray of shape (n, n_attributes), int
        Class code of each attribute, negative if missing.

    Returns
    -------
    labels : csr_array of shape (n, n_labels), float64
    is_pair : ndarray of shape (n_labels,), bool
        True if a row without the label has the other label of its pair, which was left out.
    """
    n = len(codes)
    widths = codes.max(axis=0, initial=-1).astype(np.int64) + 1
    starts = np.cumsum(widths) - widths
    total = int(widths.sum())
    ids = codes + starts.astype(np.int32)
    if codes.min(initial=0) < 0:
        ids[codes < 0] = total
    counts = np.bincount(ids.ravel(), minlength=total + 1)[:total]
    attribute = np.repeat(np.arange(len(widths)), widths)
    n_seen = np.bincount(attribute, counts > 0, minlength=len(widths))
    n_known = np.bincount(attribute, counts, minlength=len(widths))
    is_pair = ((n_seen == 2) & (n_known == n))[attribute]
    # If the two labels of a pair are equally frequent, the first one is left out.
    is_first = np.zeros(total, dtype=bool)
    seen = np.flatnonzero(counts)
    is_first[seen[np.unique(attribute[seen], return_index=True)[1]]] = True
    is_implied = is_pair & ((2 * counts > n) | ((2 * counts == n) & is_first))
    retained = np.flatnonzero(((counts > 1) | is_pair) & (counts > 0) & (counts < n) & ~is_implied)
    column = np.full(total + 1, -1, dtype=np.int32)
    column[retained] = np.arange(len(retained))
    columns = column[ids]
    is_retained = columns >= 0
    ends = np.concatenate([[0], np.cumsum(is_retained.sum(axis=1))])
    indices = columns[is_retained]
    labels = scipy.sparse.csr_array((np.ones(len(indices)), indices, ends), (n, len(retained)))
    return labels, is_pair[retained]


def sum_by_group(labels: Any, group_of_row: Integers, n_groups: int) -> Any:
    """Sum the rows of each group.

    Parameters
    ----------
    labels : csr_array of shape (n, n_labels)
    group_of_row : ndarray of shape (n,), int
    n_groups : int

    Returns
    -------
    csr_array of shape (n_groups, n_labels)
    """
    n = len(group_of_row)
    entries = (np.ones(n), (group_of_row, np.arange(n)))
    return scipy.sparse.csr_array(entries, (n_groups, n)) @ labels


def assign(
    labels: Any,
    is_pair: NDArray[np.bool_],
    unit_sizes: Integers,
    targets: Floats,
    cover_shares: Floats,
) -> NDArray[np.intp]:
    """Assign units to folds.

    Parameters
    ----------
    labels : csr_array of shape (n_units, n_labels), float64
        Number of rows of each unit that have each label.
    is_pair : ndarray of shape (n_labels,), bool
        Whether all other rows have one other label, which every fold should contain too.
    unit_sizes : ndarray of shape (n_units,), int
        Number of rows of each unit. If all are 1, the sizes of the folds are exact.
    targets : ndarray of shape (n_folds,), float64
        Desired number of rows of each fold. They sum to the rows of all units.
    cover_shares : ndarray of shape (n_folds,), float64
        A fold should contain every label that occurs in 1 / share units or more.

    Returns
    -------
    ndarray of shape (n_units,), intp
        The fold of each unit.
    """
    n_units = np.bincount(labels.indices, minlength=labels.shape[1])
    order = np.argsort(n_units, kind="stable")
    order = order[(n_units[order] > 1) | is_pair[order]]
    labels, is_pair = labels[:, order], is_pair[order]
    labels.sort_indices()
    folds = _assign(labels, _unit_targets(targets, len(unit_sizes)))
    balanced, weights = labels, 1 / np.maximum(labels.sum(axis=0), 1)
    is_grouped = bool((unit_sizes > 1).any())
    if is_grouped:
        # The size of a unit is one more label, as groups of unequal size unbalance the folds.
        sizes = scipy.sparse.csr_array(unit_sizes[:, np.newaxis].astype(np.float64))
        balanced = scipy.sparse.hstack([labels, sizes], format="csr")
        weights = np.append(weights, np.sqrt(max(1, labels.shape[1])) / unit_sizes.sum())
    problem = _Problem(balanced, weights, targets / targets.sum(), is_grouped)
    _rebalance(problem, folds)
    present = _to_cover(labels, is_pair, unit_sizes, folds, cover_shares)
    return folds if present is None else _ensure_coverage(problem, present, folds, cover_shares)


@dataclass(frozen=True)
class _Problem:
    """Labels to balance over folds.

    Attributes
    ----------
    labels : csr_array of shape (n_units, n_labels), float64
    weights : ndarray of shape (n_labels,)
        Weight of the squared excess of each label.
    shares : ndarray of shape (n_folds,)
        Desired share of each fold; they sum to 1.
    moves : bool
        Whether a unit may change folds without another one in exchange, which changes the
        numbers of units of the folds.
    """

    labels: Any
    weights: Floats
    shares: Floats
    moves: bool

    def excess(self, folds: NDArray[np.intp]) -> Floats:
        """Return the excess of each fold over its desired count of each label."""
        counts = sum_by_group(self.labels, folds, len(self.shares)).toarray()
        excess: Floats = counts - self.shares[:, np.newaxis] * counts.sum(axis=0)
        return excess

    def dense(self, table: Any, units: NDArray[np.intp]) -> Floats:
        """Return rows of a table; with `moves`, a row of zeros for no unit follows them."""
        rows: Floats = table[units].toarray()
        return np.vstack([rows, np.zeros(rows.shape[1])]) if self.moves else rows


def _unit_targets(targets: Floats, n_units: int) -> Integers:
    """Return the number of units of each fold by the largest remainder method."""
    exact = targets * (n_units / targets.sum())
    result: Integers = np.floor(exact + 1e-9).astype(np.intp)
    largest = np.argsort(result - exact, kind="stable")
    result[largest[: n_units - result.sum()]] += 1
    return result


def _assign(labels: Any, fold_units: Integers) -> NDArray[np.intp]:
    """Assign units evenly in the order of their rarest labels (columns: rarest label first)."""
    n_labels = labels.shape[1]
    # the three rarest labels of each unit, `n_labels` if it has fewer
    entries = labels.indptr[:-1, np.newaxis] + np.arange(3)
    padded = np.append(labels.indices, [n_labels] * 3)
    rarest = np.where(entries < labels.indptr[1:, np.newaxis], padded[entries], n_labels)
    turn = np.concatenate([(np.arange(size) + 0.5) / size for size in fold_units])
    fold_of_turn = np.repeat(np.arange(len(fold_units)), fold_units)
    folds = np.empty(len(rarest), dtype=np.intp)
    folds[np.lexsort(rarest.T[::-1])] = fold_of_turn[np.argsort(turn, kind="stable")]
    return folds


def _rebalance(problem: _Problem, folds: NDArray[np.intp]) -> None:
    """Exchange units in place while that lowers sum_fl weight_l (count_fl - desired_fl)^2."""
    labels, weights = problem.labels, problem.weights
    excess = problem.excess(folds)
    squares = labels.power(2) @ weights
    for turn in range(ROUNDS):
        changed = False
        for a, b in combinations(range(len(excess)), 2):
            gap = excess[a] - excess[b]
            if np.abs(gap).max(initial=0) <= 1:  # counts are integers, so no exchange can help
                continue
            units_a = _promising(labels, folds == a, weights * gap, squares, turn)
            units_b = _promising(labels, folds == b, -weights * gap, squares, turn)
            part_a, part_b = problem.dense(labels, units_a), problem.dense(labels, units_b)
            for i, j in _exchanges(part_a, part_b, gap, weights, problem.moves):
                changed = True
                folds[units_a[i : i + 1]] = b  # no unit if i is the row of zeros
                folds[units_b[j : j + 1]] = a
                excess[a] -= part_a[i] - part_b[j]
                excess[b] += part_a[i] - part_b[j]
        if not changed:
            break


def _promising(
    labels: Any, in_fold: NDArray[np.bool_], direction: Floats, squares: Floats, turn: int
) -> NDArray[np.intp]:
    """Return the units of a fold, or of a part of it, whose removal lowers the sum most."""
    units = np.flatnonzero(in_fold)
    n_parts = -(-len(units) // POOL)
    units = units[turn % n_parts :: n_parts] if n_parts > 1 else units
    if len(units) <= CANDIDATES:
        return units
    loss = squares[units] - labels[units] @ direction
    return units[np.argpartition(loss, CANDIDATES)[:CANDIDATES]]


def _exchanges(
    part_a: Floats, part_b: Floats, gap: Floats, weights: Floats, moves: bool
) -> Iterator[tuple[int, int]]:
    """Yield the best exchange of two candidates, then the next best after it, and so on.

    With `moves`, the last candidate on each side is an empty one, which turns an exchange into
    a move. It can be chosen repeatedly.
    """
    if not len(part_a) or not len(part_b):
        return
    scaled_a, scaled_b = part_a * np.sqrt(weights), part_b * np.sqrt(weights)
    among_a, among_b, across = scaled_a @ scaled_a.T, scaled_b @ scaled_b.T, scaled_a @ scaled_b.T
    norms = np.diag(among_a)[:, np.newaxis] + np.diag(among_b)
    gain = (part_a @ (weights * gap))[:, np.newaxis] - part_b @ (weights * gap)
    gain += 2 * across - norms
    for _ in range(CANDIDATES):
        i, j = divmod(int(gain.argmax()), gain.shape[1])
        if gain[i, j] < 1e-9:
            return
        yield i, j
        gain -= 2 * (among_a[:, i] - across[:, j])[:, np.newaxis] - 2 * (across[i] - among_b[j])
        if not moves or i < len(part_a) - 1:
            gain[i] = -np.inf
        if not moves or j < len(part_b) - 1:
            gain[:, j] = -np.inf


def _to_cover(
    labels: Any,
    is_pair: NDArray[np.bool_],
    unit_sizes: Integers,
    folds: NDArray[np.intp],
    cover_shares: Floats,
) -> Any:
    """Return the unit-by-label indicators of the labels to cover; None if no fold lacks one.

    The columns include the labels of pairs that `label_matrix` left out. The first column is true
    for every unit, so that no fold of groups stays empty.
    """
    shape = len(cover_shares), labels.shape[1]
    row_of_entry = np.repeat(np.arange(len(folds)), np.diff(labels.indptr))
    is_full = labels.data == unit_sizes[row_of_entry]
    cells = folds[row_of_entry] * shape[1] + labels.indices
    counts = np.bincount(cells, minlength=shape[0] * shape[1]).reshape(shape)
    full_counts = np.bincount(cells, is_full, shape[0] * shape[1]).reshape(shape)
    size = np.bincount(folds, minlength=shape[0])[:, np.newaxis]
    other_counts = size - full_counts
    needed = _needed(counts, cover_shares)
    other_needed = _needed(other_counts, cover_shares) & is_pair
    is_covered = ~(needed & (counts == 0)).any() and ~(other_needed & (other_counts == 0)).any()
    if is_covered and size.all():
        return None
    # At most STEPS units change folds, so a more frequent label cannot be lost on the way.
    rare = np.flatnonzero((needed & (counts <= STEPS)).any(axis=0))
    other_rare = np.flatnonzero((other_needed & (other_counts <= STEPS)).any(axis=0))
    other = scipy.sparse.csr_array(labels[:, other_rare].toarray() < unit_sizes[:, np.newaxis])
    anything = scipy.sparse.csr_array(np.ones((len(folds), 1)))
    return scipy.sparse.hstack([anything, labels[:, rare] > 0, other], format="csr").astype(float)


def _needed(counts: NDArray[Any], cover_shares: Floats) -> NDArray[np.bool_]:
    """Return which fold should contain which label."""
    needed: NDArray[np.bool_] = np.outer(cover_shares, counts.sum(axis=0)) >= 1 - 1e-9
    return needed


def _ensure_coverage(
    problem: _Problem, present: Any, folds: NDArray[np.intp], cover_shares: Floats
) -> NDArray[np.intp]:
    """Exchange units until every fold has every label it needs, or for STEPS steps.

    The problem is the coloring of a hypergraph, which may have no solution. Each step moves a
    unit with a lacking label to the fold by the exchange that costs the fewest other labels; the
    weight of a label grows for as long as it is lacking. The best folds found are returned.
    Folds are compared by their number of lacking labels, rarest labels first.
    """
    counts = sum_by_group(present, folds, len(cover_shares)).toarray()
    needed = _needed(counts, cover_shares)
    excess = problem.excess(folds)
    by_label = present.tocsc()
    level = np.unique(counts.sum(axis=0), return_inverse=True)[1] + 1
    level[0] = 0  # an empty fold is the worst defect
    pressure = np.ones(present.shape[1])
    moved = np.full(len(folds), -2)
    rng = np.random.default_rng(0)  # constant seed: the same y gives the same folds
    best, best_folds = None, folds
    folds = folds.copy()
    for step in range(STEPS + 1):
        lacking = needed & (counts == 0)
        score = np.bincount(level, lacking.sum(axis=0)).tolist()
        if best is None or score < best:
            best, best_folds = score, folds.copy()
        if not lacking.any() or step == STEPS:
            break
        pressure[lacking.any(axis=0)] += 0.1
        fold, label = rng.choice(np.argwhere(lacking))
        donors = by_label.indices[by_label.indptr[label] : by_label.indptr[label + 1]]
        if rng.random() < 0.1:  # always taking the best exchange can cycle
            donors = rng.choice(donors, 1)
        resting = moved == step - 1
        exchange = _least_harm(
            problem, present, donors[~resting[donors]],
            np.flatnonzero((folds == fold) & ~resting), fold, folds, counts, excess,
            np.where(needed, pressure, 0.0),
        )  # fmt: skip
        if exchange is None:
            continue
        giver = folds[exchange[0]]
        for unit, source, goal in zip(exchange, (giver, fold), (fold, giver), strict=False):
            for table, sums in ((present, counts), (problem.labels, excess)):
                sums[[source, goal]] += np.outer([-1, 1], table[[unit]].toarray()[0])
            folds[unit], moved[unit] = goal, step
    return best_folds


def _least_harm(
    problem: _Problem,
    present: Any,
    donors: NDArray[np.intp],
    partners: NDArray[np.intp],
    fold: int,
    folds: NDArray[np.intp],
    counts: Floats,
    excess: Floats,
    pressure: Floats,
) -> NDArray[np.intp] | None:
    """Return the unit to move to `fold` and, unless it is a plain move, the unit to move back.

    The harm of an exchange is the total pressure of the labels that the two folds lose, minus
    that of the labels they gain. The imbalance resolves ties.
    """
    if not len(donors) or not (problem.moves or len(partners)):
        return None
    single, none = pressure * (counts == 1), pressure * (counts == 0)
    loss = present[donors].multiply(single[folds[donors]]).sum(axis=1)
    donors = donors[np.argsort(loss, kind="stable")[:DONORS]]
    partners = partners[np.argsort(present[partners] @ single[fold], kind="stable")[:PARTNERS]]
    in_donors, in_partners = present[donors].toarray(), problem.dense(present, partners)
    of_donors = problem.labels[donors].toarray()
    of_partners = problem.dense(problem.labels, partners)
    giver_single, giver_none = single[folds[donors]], none[folds[donors]]
    harm = (in_donors * (giver_single - none[fold])).sum(axis=1)[:, np.newaxis]
    harm = harm + in_partners @ single[fold]
    harm -= (in_donors * (giver_single + single[fold]) + giver_none) @ in_partners.T
    weights = problem.weights
    gap = (excess[folds[donors]] - excess[fold]) * weights
    imbalance = (of_donors * (of_donors * weights - gap)).sum(axis=1)[:, np.newaxis]
    imbalance = imbalance + of_partners**2 @ weights
    imbalance += (gap - 2 * of_donors * weights) @ of_partners.T
    harm += 1e-3 * imbalance / (1 + np.abs(imbalance).max())
    i, j = divmod(int(harm.argmin()), harm.shape[1])
    return np.append(donors[i], partners[j : j + 1])  # no partner if j is the row of zeros
