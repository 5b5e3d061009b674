"""Units (rows, or groups of rows) are dealt to folds so that labels are spread evenly.

Three steps, each a pure function of its arguments: `_deal` gives units out in the order of their
rarest labels, `_balance` exchanges units between two folds while that lowers a weighted sum of
squared excesses, and `_cover` sees to it that a fold lacks no label it could have.
"""

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.integer[Any]]
ROUNDS = 8  # of all pairs of folds
POOL, CANDIDATES = 2048, 64  # units of each fold that are looked at and tried in a round
STEPS = 500  # to cover labels
DONORS, PARTNERS = 64, 256


def label_matrix(codes: Integers) -> tuple[Any, NDArray[np.bool_]]:
    """Turn codes into indicators of labels, without those that say nothing new.

    Left out are the commoner one of two labels of which every row has either, and otherwise
    labels that occur once or in every row.

    Parameters
    ----------
    codes : ndarray of shape (n, n_attributes), int
        Class of each attribute, negative where unknown.

    Returns
    -------
    labels : csr_array of shape (n, n_labels), float64
    is_pair : ndarray of shape (n_labels,), bool
        Whether a row that lacks the label has the other one, which was left out.
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
    # Of two labels that are equally frequent the first is left out.
    is_first = np.zeros(total, dtype=bool)
    seen = np.flatnonzero(counts)
    is_first[seen[np.unique(attribute[seen], return_index=True)[1]]] = True
    is_implied = is_pair & ((2 * counts > n) | ((2 * counts == n) & is_first))
    kept = np.flatnonzero(((counts > 1) | is_pair) & (counts > 0) & (counts < n) & ~is_implied)
    column = np.full(total + 1, -1, dtype=np.int32)
    column[kept] = np.arange(len(kept))
    columns = column[ids]
    is_kept = columns >= 0
    ends = np.concatenate([[0], np.cumsum(is_kept.sum(axis=1))])
    indices = columns[is_kept]
    labels = scipy.sparse.csr_array((np.ones(len(indices)), indices, ends), (n, len(kept)))
    return labels, is_pair[kept]


def grouped(labels: Any, group_of_row: Integers) -> Any:
    """Add up the rows of each group.

    Parameters
    ----------
    labels : csr_array of shape (n, n_labels)
    group_of_row : ndarray of shape (n,), int

    Returns
    -------
    csr_array of shape (n_groups, n_labels)
    """
    n = len(group_of_row)
    member = scipy.sparse.csr_array((np.ones(n), (group_of_row, np.arange(n))))
    return member @ labels


def assign(
    labels: Any,
    is_pair: NDArray[np.bool_],
    unit_sizes: Integers,
    targets: Floats,
    cover_shares: Floats,
) -> NDArray[np.intp]:
    """Deal units to folds.

    Parameters
    ----------
    labels : csr_array of shape (n_units, n_labels), float64
        How many rows of each unit have each label.
    is_pair : ndarray of shape (n_labels,), bool
        Whether all other rows have one other label, which is to be covered too.
    unit_sizes : ndarray of shape (n_units,), int
        The rows of each unit. If all are 1, the sizes of the folds are exact.
    targets : ndarray of shape (n_folds,), float64
        The rows of each fold; they sum to those of all units.
    cover_shares : ndarray of shape (n_folds,), float64
        A fold is to have every label that is found in 1 / share units or more.

    Returns
    -------
    ndarray of shape (n_units,), intp
        The fold of each unit.
    """
    units = np.bincount(labels.indices, minlength=labels.shape[1])
    order = np.argsort(units, kind="stable")
    order = order[(units[order] > 1) | is_pair[order]]
    labels, is_pair = labels[:, order], is_pair[order]
    labels.sort_indices()
    weights = 1 / np.maximum(labels.sum(axis=0), 1)
    shares = targets / targets.sum()
    is_grouped = bool((unit_sizes > 1).any())
    folds = _assign(labels, _unit_targets(targets, len(unit_sizes)))
    balanced = labels
    if is_grouped:
        n_labels = max(1, labels.shape[1])
        sizes = scipy.sparse.csr_array(unit_sizes[:, np.newaxis].astype(np.float64))
        balanced = scipy.sparse.hstack([labels, sizes], format="csr")
        weights = np.append(weights, np.sqrt(n_labels) / unit_sizes.sum())
    _rebalance(balanced, folds, shares, weights, is_grouped)
    present = _to_cover(labels, is_pair, unit_sizes, folds, cover_shares)
    if present is not None:
        folds = _ensure_coverage(
            present, balanced, folds, shares, cover_shares, weights, is_grouped
        )
    return folds


def _unit_targets(targets: Floats, n_units: int) -> Integers:
    """Share units out by the largest remainders."""
    exact = targets * (n_units / targets.sum())
    result: Integers = np.floor(exact + 1e-9).astype(np.intp)
    largest = np.argsort(result - exact, kind="stable")
    result[largest[: n_units - result.sum()]] += 1
    return result


def _assign(labels: Any, fold_units: Integers) -> NDArray[np.intp]:
    """Give units out evenly in the order of their rarest labels (columns go from rare on)."""
    n, n_labels = labels.shape
    length = np.diff(labels.indptr)
    keys = []
    for depth in range(3):
        key = np.full(n, n_labels)
        key[length > depth] = labels.indices[labels.indptr[:-1][length > depth] + depth]
        keys.append(key)
    turn = np.concatenate([(np.arange(size) + 0.5) / max(size, 1) for size in fold_units])
    fold_of_turn = np.repeat(np.arange(len(fold_units)), fold_units)
    folds = np.empty(n, dtype=np.intp)
    folds[np.lexsort(keys[::-1])] = fold_of_turn[np.argsort(turn, kind="stable")]
    return folds


def _sums(labels: Any, folds: NDArray[np.intp], n_folds: int) -> Floats:
    """Add the rows of `labels` up per fold."""
    member = scipy.sparse.csr_array(
        (np.ones(len(folds)), (folds, np.arange(len(folds)))), (n_folds, len(folds))
    )
    result: Floats = (member @ labels).toarray()
    return result


def _rebalance(
    labels: Any, folds: NDArray[np.intp], shares: Floats, weights: Floats, moves: bool
) -> None:
    """Exchange units, in place, while it lowers sum_fl weight_l (count_fl - desired_fl)^2."""
    counts = _sums(labels, folds, len(shares))
    excess = counts - shares[:, np.newaxis] * counts.sum(axis=0)
    squares = labels.power(2) @ weights
    for turn in range(ROUNDS):
        changed = False
        for a, b in combinations(range(len(shares)), 2):
            gap = excess[a] - excess[b]
            if np.abs(gap).max(initial=0) <= 1:  # counts are whole: nothing to gain
                continue
            units_a = _promising(labels, folds == a, weights * gap, squares, turn)
            units_b = _promising(labels, folds == b, -weights * gap, squares, turn)
            part_a, part_b = labels[units_a].toarray(), labels[units_b].toarray()
            if moves:
                units_a, units_b = np.append(units_a, -1), np.append(units_b, -1)
                part_a, part_b = (
                    np.vstack([part, np.zeros_like(gap)]) for part in (part_a, part_b)
                )
            for i, j in _exchanges(part_a, part_b, gap, weights, moves):
                changed = True
                if units_a[i] >= 0:
                    folds[units_a[i]] = b
                if units_b[j] >= 0:
                    folds[units_b[j]] = a
                excess[a] -= part_a[i] - part_b[j]
                excess[b] += part_a[i] - part_b[j]
        if not changed:
            break


def _promising(
    labels: Any, in_fold: NDArray[np.bool_], direction: Floats, squares: Floats, turn: int
) -> NDArray[np.intp]:
    """Return the units of a fold, or of a part of it, that it gains most by giving away."""
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

    With `moves` the last candidates stand for nobody and can be chosen again.
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
    """Return which units have which labels that may be lacking; None if no fold lacks one."""
    # The labels of pairs that were left out, and "any row": no fold of groups is to be empty.
    n_folds, n_labels = len(cover_shares), labels.shape[1]
    row_of_entry = np.repeat(np.arange(len(folds)), np.diff(labels.indptr))
    is_full = (labels.data == unit_sizes[row_of_entry]).astype(np.float64)
    cell = folds[row_of_entry] * n_labels + labels.indices
    counts, full_counts = (
        np.bincount(cell, entries, n_folds * n_labels).reshape(n_folds, n_labels)
        for entries in (None, is_full)
    )
    size = np.bincount(folds, minlength=n_folds)[:, np.newaxis]
    other_counts = size - full_counts
    lacks = _needed(counts, cover_shares) & (counts == 0)
    other_lacks = _needed(other_counts, cover_shares) & (other_counts == 0) & is_pair
    if not lacks.any() and not other_lacks.any() and size.all():
        return None
    # Fewer than STEPS units change folds: what is frequent in all of them is never lost.
    rare = np.flatnonzero((_needed(counts, cover_shares) & (counts <= STEPS)).any(axis=0))
    close = np.flatnonzero(
        is_pair & (_needed(other_counts, cover_shares) & (other_counts <= STEPS)).any(axis=0)
    )
    present = (labels[:, rare] > 0).astype(np.float64)
    other = scipy.sparse.csr_array(labels[:, close].toarray() < unit_sizes[:, np.newaxis])
    anything = scipy.sparse.csr_array(np.ones((len(folds), 1)))
    return scipy.sparse.hstack([anything, present, other], format="csr").astype(np.float64)


def _needed(counts: NDArray[Any], cover_shares: Floats) -> NDArray[np.bool_]:
    """Return which fold is to have which label."""
    needed: NDArray[np.bool_] = np.outer(cover_shares, counts.sum(axis=0)) >= 1 - 1e-9
    return needed


def _ensure_coverage(
    present: Any,
    labels: Any,
    folds: NDArray[np.intp],
    shares: Floats,
    cover_shares: Floats,
    weights: Floats,
    moves: bool,
) -> NDArray[np.intp]:
    """Exchange units until every fold has every label it needs, or STEPS are done.

    A search for a coloring of a hypergraph, which may not exist: a lacking label is brought to
    its fold by the exchange that costs the fewest others, and labels that stay lacking weigh
    more and more. The best folds on the way are returned; the rarest labels count first.
    """
    counts = _sums(present, folds, len(shares))
    needed = _needed(counts, cover_shares)
    sums = _sums(labels, folds, len(shares))
    excess = sums - shares[:, np.newaxis] * sums.sum(axis=0)
    by_label = present.tocsc()
    level = np.unique(counts.sum(axis=0), return_inverse=True)[1] + 1
    level[0] = 0  # a fold without anything is worst
    pressure = np.ones(present.shape[1])
    moved = np.full(len(folds), -2)
    rng = np.random.default_rng(0)  # a constant seed: the same y gives the same folds
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
        if rng.random() < 0.1:  # the best exchange at every step can run in circles
            donors = rng.choice(donors, 1)
        exchange = _least_harm(
            present, labels, donors, np.flatnonzero(folds == fold), fold, folds, counts,
            excess, np.where(needed, pressure, 0.0), weights, moved == step - 1, moves,
        )  # fmt: skip
        if exchange is None:
            continue
        giver = folds[exchange[0]]
        for unit, source, goal in zip(exchange, (giver, fold), (fold, giver), strict=False):
            counts[[source, goal]] += np.outer([-1, 1], present[[unit]].toarray()[0])
            excess[[source, goal]] += np.outer([-1, 1], labels[[unit]].toarray()[0])
            folds[unit], moved[unit] = goal, step
    return best_folds


def _least_harm(
    present: Any,
    labels: Any,
    donors: NDArray[np.intp],
    partners: NDArray[np.intp],
    fold: int,
    folds: NDArray[np.intp],
    counts: Floats,
    excess: Floats,
    pressure: Floats,
    weights: Floats,
    rests: NDArray[np.bool_],
    moves: bool,
) -> tuple[int, ...] | None:
    """Return the donor to bring to `fold`, and who leaves it in exchange (or nobody).

    Harm is the pressure of the labels a fold loses, less that of those it gains; the imbalance
    decides between equals.
    """
    single, none = pressure * (counts == 1), pressure * (counts == 0)
    donors, partners = donors[~rests[donors]], partners[~rests[partners]]
    if not len(donors) or not (moves or len(partners)):
        return None
    if len(donors) > DONORS:
        loss = np.empty(len(donors))
        for giver in np.unique(folds[donors]):
            of_giver = folds[donors] == giver
            loss[of_giver] = present[donors[of_giver]] @ single[giver]
        donors = donors[np.argsort(loss, kind="stable")[:DONORS]]
    if len(partners) > PARTNERS:
        loss = present[partners] @ single[fold]
        partners = partners[np.argsort(loss, kind="stable")[:PARTNERS]]
    in_donors, in_partners = present[donors].toarray(), present[partners].toarray()
    of_donors, of_partners = labels[donors].toarray(), labels[partners].toarray()
    if moves:
        in_partners = np.vstack([in_partners, np.zeros(in_partners.shape[1])])
        of_partners = np.vstack([of_partners, np.zeros(of_partners.shape[1])])
    giver_single, giver_none = single[folds[donors]], none[folds[donors]]
    harm = (in_donors * (giver_single - none[fold])).sum(axis=1)[:, np.newaxis]
    harm = harm + in_partners @ single[fold]
    harm -= (in_donors * (giver_single + single[fold]) + giver_none) @ in_partners.T
    gap = (excess[folds[donors]] - excess[fold]) * weights
    imbalance = (of_donors * (of_donors * weights - gap)).sum(axis=1)[:, np.newaxis]
    imbalance = imbalance + of_partners**2 @ weights
    imbalance += (gap - 2 * of_donors * weights) @ of_partners.T
    harm += 1e-3 * imbalance / (1 + np.abs(imbalance).max())
    i, j = divmod(int(harm.argmin()), harm.shape[1])
    return (donors[i], partners[j]) if j < len(partners) else (donors[i],)
