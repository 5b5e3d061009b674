"""Best assignments under constraints, by eliminating one attribute after the other.

The constraints on an attribute that is eliminated become one table over the other attributes in
them: for each of their consistent values, the best value of the eliminated one. All rows are
computed together. The tables stay small if the graph of the constraints is close to a tree, as it
is for any number of attributes that imply one other.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Places = NDArray[np.intp]
_MOST_STATES = 4096  # of the attributes that are looked at together
_ENTRIES = 1 << 20  # of a table, for all rows of a block
_WORD = 64  # bits of an integer


class Relation(NamedTuple):
    """Consistent values of some attributes, (n_states, n_members), and where they come from.

    `source` is the step whose result it is, -1 for a constraint.
    """

    members: tuple[int, ...]
    states: Mask
    source: int


class Step(NamedTuple):
    """Elimination of an attribute.

    `parts` are earlier steps with the index of their state for each joint state. `false` and
    `true` are, for each state of the result, the joint state in which the attribute has this
    value, -1 if there is none.
    """

    attribute: int
    n_joint: int
    parts: tuple[tuple[int, Places], ...]
    false: Places
    true: Places


def plan_elimination(relations: Sequence[tuple[Sequence[int], Mask]]) -> tuple[Step, ...] | None:
    """Return the steps that eliminate all attributes of a connected component.

    Parameters
    ----------
    relations : sequence of (members, states)
        The consistent values of the members of each constraint.

    Returns
    -------
    tuple of Step, or None if a table would become too large
    """
    left = [Relation(tuple(members), states, -1) for members, states in relations]
    steps: list[Step] = []
    attributes = {member for relation in left for member in relation.members}
    while attributes:
        # The attribute with the fewest neighbors leaves the smallest table.
        scopes = {
            attribute: {j for relation in left if attribute in relation.members
                        for j in relation.members}
            for attribute in attributes
        }  # fmt: skip
        attribute = min(attributes, key=lambda j: (len(scopes[j]), j))
        involved = [relation for relation in left if attribute in relation.members]
        joint = _join(involved)
        if joint is None:
            return None
        members, states, places = joint
        column = members.index(attribute)
        is_true, rest = states[:, column], np.delete(states, column, axis=1)
        distinct, inverse = np.unique(rest, axis=0, return_inverse=True)
        false, true = np.full((2, len(distinct)), -1, dtype=np.intp)
        inverse = inverse.reshape(-1)
        false[inverse[~is_true]] = np.flatnonzero(~is_true)
        true[inverse[is_true]] = np.flatnonzero(is_true)
        parts = tuple(
            (relation.source, place)
            for relation, place in zip(involved, places, strict=True)
            if relation.source >= 0
        )
        result = Relation(tuple(j for j in members if j != attribute), distinct, len(steps))
        steps.append(Step(attribute, len(states), parts, false, true))
        left = [relation for relation in left if attribute not in relation.members]
        if result.members:
            left.append(result)
        attributes.remove(attribute)
    return tuple(steps)


def _join(relations: list[Relation]) -> tuple[list[int], Mask, list[Places]] | None:
    """Return the members and states of all relations, and their states in each; None if many."""
    members = list(relations[0].members)
    states, places = relations[0].states, [np.arange(len(relations[0].states))]
    for relation in relations[1:]:
        shared = [j for j in relation.members if j in members]
        new = [k for k, j in enumerate(relation.members) if j not in members]
        own = relation.states[:, [relation.members.index(j) for j in shared]]
        by_shared: dict[bytes, list[int]] = {}
        for place, key in enumerate(own):
            by_shared.setdefault(key.tobytes(), []).append(place)
        there = np.ascontiguousarray(states[:, [members.index(j) for j in shared]])
        pairs = [
            (first, second)
            for first, key in enumerate(there)
            for second in by_shared.get(key.tobytes(), [])
        ]
        if len(pairs) > _MOST_STATES:
            return None
        first, second = np.array(pairs, dtype=np.intp).reshape(-1, 2).T
        states = np.concatenate([states[first], relation.states[second][:, new]], axis=1)
        places = [place[first] for place in places] + [second]
        members += [relation.members[k] for k in new]
    return members, states, places


def best_assignments(log_odds: Floats, steps: Sequence[Step], tolerance: Floats) -> Mask:
    """Return the consistent assignment of each row with the largest sum of log odds.

    Of equal sums the one with the fewest positives wins, then the first in lexicographic order.

    Parameters
    ----------
    log_odds : ndarray of shape (n, n_members)
    steps : sequence of Step
    tolerance : ndarray of shape (n,)
        Sums of parts that differ by less are equal.

    Returns
    -------
    ndarray of shape (n, n_members), bool
    """
    height = max(1, _ENTRIES // max(step.n_joint for step in steps))
    blocks = [
        _best_of_block(log_odds[start : start + height].T, steps, tolerance[start : start + height])
        for start in range(0, len(log_odds), height)
    ]
    return np.concatenate(blocks)


def _best_of_block(log_odds: Floats, steps: Sequence[Step], tolerance: Floats) -> Mask:
    width, n = log_odds.shape
    n_words = -(-width // _WORD)
    results: list[tuple[Floats, NDArray[np.uint64]]] = []
    for step in steps:
        gains = np.zeros((step.n_joint, n))
        # The positives chosen so far, as bits: the first attribute is the highest bit, so that
        # the smaller number is the first in lexicographic order.
        chosen = np.zeros((step.n_joint, n_words, n), dtype=np.uint64)
        for source, place in step.parts:
            gains += results[source][0][place]
            chosen |= results[source][1][place]
        false, true = gains[step.false], gains[step.true] + log_odds[step.attribute]
        false[step.false < 0] = true[step.true < 0] = -np.inf
        without, with_it = chosen[step.false], chosen[step.true]
        word, bit = divmod(step.attribute, _WORD)
        with_it[:, word] |= np.uint64(1 << (_WORD - 1 - bit))
        difference = true - false
        is_true = difference > tolerance
        is_tied = np.abs(difference) <= tolerance
        if is_tied.any():
            is_true |= is_tied & _comes_first(with_it, without)
        gain = np.where(is_true, true, false)
        results.append((gain, np.where(is_true[:, np.newaxis], with_it, without)))
    words = results[-1][1][0]
    bits = np.arange(width)
    shifts = (_WORD - 1 - bits % _WORD).astype(np.uint64)[:, np.newaxis]
    return np.asarray((words[bits // _WORD] >> shifts & np.uint64(1)).T.astype(bool))


def _comes_first(first: Any, second: Any) -> Mask:
    """Whether an assignment has fewer positives, or as many and is first in order."""
    counts, others = (
        np.bitwise_count(part).sum(axis=1, dtype=np.int64) for part in (first, second)
    )
    is_smaller = np.zeros(counts.shape, dtype=bool)
    is_equal = np.ones(counts.shape, dtype=bool)
    for word in range(first.shape[1]):
        is_smaller |= is_equal & (first[:, word] < second[:, word])
        is_equal &= first[:, word] == second[:, word]
    return np.asarray((counts < others) | ((counts == others) & is_smaller))
