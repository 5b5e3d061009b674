"""Logical constraints on binary attributes, and the most probable labels that satisfy them.

Each key is optional. Members are binary attributes; "true" is their positive class::

    constraints = {
        "at_most_one": [["young", "middle-aged", "senior"]],
        "exactly_one": [["indoor", "outdoor"]],
        "implies": [("goatee", "beard")],  # a goatee is a beard
    }
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, connected_components

from skattr._targets.elimination import Step, best_assignments, plan_elimination

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]
Limits = list[LinearConstraint]

MAX_ASSIGNMENTS = 10_000
_KEYS = ("at_most_one", "exactly_one", "implies")
_BLOCK = 1 << 21  # sums computed at a time, which bounds the memory of a comparison
# Sums whose difference, relative to the largest log odds, is below this count as equal: floating
# point errors must not decide between assignments.
_TIE = 1e-9
# Log odds are scaled to this maximum, so that the tolerance of the solver, 1e-6, is negligible.
_SCALE = 1e4


class Constraint(NamedTuple):
    """A constraint: its key, and the positions of its members among the binary attributes."""

    kind: str
    members: tuple[int, ...]

    def violated(self, codes: NDArray[Any]) -> Mask:
        """Return which rows violate the constraint whatever their missing labels (-1) are."""
        part = codes[:, self.members]
        if self.kind == "implies":
            return np.asarray((part[:, 0] == 1) & (part[:, 1] == 0))
        violated = (part == 1).sum(axis=1) > 1
        if self.kind == "exactly_one":
            violated |= (part == 0).all(axis=1)
        return np.asarray(violated)

    def states(self) -> Mask:
        """Return the consistent values of the members."""
        if self.kind == "implies":
            return np.array([[0, 0], [0, 1], [1, 1]], dtype=bool)
        one = np.eye(len(self.members), dtype=bool)
        return one if self.kind == "exactly_one" else np.concatenate([one[:1] & False, one])

    def text(self, names: Sequence[Any]) -> str:
        """Return a description, such as "at most one of young, senior"."""
        members = [str(names[j]) for j in self.members]
        if self.kind == "implies":
            return " -> ".join(members)
        return f"{self.kind.replace('_', ' ')} of {', '.join(members)}"


class Component(NamedTuple):
    """A connected component of attributes.

    `members` are their positions. The members of its `constraints` are positions among these.
    `assignments` (n_assignments, n_members) are all consistent ones, those with the fewest
    positives first, then in lexicographic order; None if there are too many. `steps` eliminate
    one member after the other instead; None if that is not needed or has too large tables.
    """

    members: NDArray[np.intp]
    constraints: tuple[Constraint, ...]
    assignments: Mask | None
    steps: tuple[Step, ...] | None


@dataclass(frozen=True, eq=False)
class LogicalConstraints:
    """Checked constraints, as :func:`parse_constraints` returns them.

    Attributes
    ----------
    names : tuple of length n_binary
        Names of the attributes that have a positive and a negative class.
    columns : ndarray of shape (n_binary,), int
        Their positions among all attributes.
    items : tuple of Constraint of length n_constraints
        Those of "at_most_one" first, then of "exactly_one", then of "implies".
    components : tuple of Component
    """

    names: tuple[Any, ...]
    columns: NDArray[np.intp]
    items: tuple[Constraint, ...]
    components: tuple[Component, ...]

    @property
    def descriptions(self) -> list[str]:
        """Descriptions, such as "goatee -> beard" and "at most one of young, senior"."""
        return [item.text(self.names) for item in self.items]


def parse_constraints(
    constraints: Mapping[str, Any] | None,
    names: Sequence[Any],
    kinds: Sequence[str],
    n_classes: Sequence[int] | None = None,
    *,
    max_assignments: int = MAX_ASSIGNMENTS,
) -> LogicalConstraints:
    """Check constraints, and that they do not contradict each other.

    Parameters
    ----------
    constraints : dict of {"at_most_one", "exactly_one", "implies"}, or None
        Lists of groups of names, and a list of pairs of names. An integer is a position unless
        it is a name. None has no constraint.
    names : sequence of length L
        Names of all attributes.
    kinds : sequence of length L
        "binary", "categorical" or "ordinal".
    n_classes : sequence of length L, default=None
        Numbers of classes. None means that every binary attribute has two.
    max_assignments : int
        Largest number of consistent assignments of connected attributes that are listed.

    Returns
    -------
    LogicalConstraints

    Raises
    ------
    ValueError
        If a key, a container or a name is invalid, an attribute is not binary, no assignment is
        consistent, or an attribute has the same value in all of them.

    Examples
    --------
    >>> names, kinds = ["goatee", "beard", "hair"], ["binary", "binary", "categorical"]
    >>> parsed = parse_constraints({"implies": [("goatee", "beard")]}, names, kinds)
    >>> decode([[2.0, -1.0], [1.0, -2.0]], parsed)
    array([[ True,  True],
           [False, False]])
    """
    sizes = [2] * len(names) if n_classes is None else n_classes
    whats = {
        name: kind if kind != "binary" or size == 2 else f"binary with {size} class(es)"
        for name, kind, size in zip(names, kinds, sizes, strict=True)
    }
    columns = np.flatnonzero([what == "binary" for what in whats.values()])
    binary = tuple(name for name, what in whats.items() if what == "binary")
    items = [
        Constraint(kind, tuple(binary.index(name) for name in _attributes(members, whats, place)))
        for kind, place, members in _entries(constraints)
    ]
    components = tuple(_components(items, len(binary), max_assignments)) if items else ()
    for component in components:
        _check_consistent(component, [binary[j] for j in component.members])
    return LogicalConstraints(binary, columns, tuple(items), components)


def _entries(constraints: Any) -> Iterator[tuple[str, str, Sequence[Any]]]:
    """Yield the key, the place for messages, and the members of each constraint."""
    if not isinstance(constraints, Mapping | None):
        raise ValueError(f"`constraints` must be a dict with keys of {_KEYS}; got {constraints!r}.")
    given = constraints or {}
    for key in given:
        if key not in _KEYS:
            raise ValueError(f"`constraints` has the key {key!r}; the valid keys are {_KEYS}.")
    for key in [key for key in _KEYS if key in given]:
        is_pair = key == "implies"
        form = "pairs of names (a, b), a implying b" if is_pair else "lists of two or more names"
        if not isinstance(given[key], list | tuple):
            raise ValueError(
                f"`constraints[{key!r}]` must be a list of {form}; got {given[key]!r}."
            )
        for i, members in enumerate(given[key]):
            place = f"`constraints[{key!r}][{i}]`"
            n = len(members) if isinstance(members, list | tuple) else 0
            if n < 2 or (is_pair and n > 2):
                raise ValueError(f"{place} is {members!r}; {key!r} must be a list of {form}.")
            yield key, place, members


def _attributes(members: Sequence[Any], whats: Mapping[Any, str], place: str) -> list[Any]:
    """Return the names of the members, which must be different binary attributes."""
    names, found = list(whats), []
    for member in members:
        is_name = isinstance(member, Hashable) and member in whats
        is_position = isinstance(member, Integral) and not isinstance(member, bool)
        if not is_name and not (is_position and 0 <= member < len(names)):
            raise ValueError(f"{place} names {member!r}, which is no attribute; y has {names}.")
        name = member if is_name else names[member]
        if whats[name] != "binary":
            raise ValueError(
                f"{place} names {name!r}, which is {whats[name]}; only binary attributes have "
                f"constraints: {[name for name in names if whats[name] == 'binary']}."
            )
        if name in found:
            raise ValueError(
                f"{place} names {name!r} twice; the members of a constraint must differ."
            )
        found.append(name)
    return found


def _check_consistent(component: Component, names: Sequence[Any]) -> None:
    """Raise if no assignment is consistent, or all give an attribute the same value."""
    low, high = np.zeros(len(names)), np.ones(len(names))
    never = _never(component)
    if never is not None and not never.any():
        return
    claim = "no row can satisfy them all"
    if never is not None:
        first = int(np.argmax(never != 0))
        low[first] = high[first] = never[first] > 0
        claim = f"{names[first]!r} can never be {'true' if never[first] > 0 else 'false'}"
    # For the message, drop each constraint without which the contradiction remains.
    core = list(dict.fromkeys(component.constraints))
    for item in tuple(core):
        rest = [other for other in core if other != item]
        if rest and _best(0 * low, [_linear(rest, len(names))], low, high) is None:
            core = rest
    why = "; ".join(item.text(names) for item in core)
    raise ValueError(f"`constraints` contradict each other: {claim}, because of: {why}.")


def _never(component: Component) -> Floats | None:
    """Return 1 for attributes that are never true, -1 for never false, else 0.

    None if no assignment is consistent.
    """
    listed = component.assignments
    if listed is not None:
        never = np.asarray(1.0 - listed.any(axis=0) - listed.all(axis=0))
        return never if len(listed) else None
    limits = [_linear(component.constraints, len(component.members))]
    seen = _best(np.zeros(len(component.members)), limits)
    if seen is None:
        return None
    never = np.asarray(1 - 2 * seen)
    while True:  # each program asks for as many values as possible that were not seen yet
        seen = _best(never, limits)
        assert seen is not None
        found = (never != 0) & ((seen == 1) == (never > 0))
        if not found.any():
            return never
        never[found] = 0


def _components(
    items: Sequence[Constraint], width: int, max_assignments: int
) -> Iterator[Component]:
    _, label = connected_components(_graph(items, width), directed=False)
    for component in np.unique([label[item.members[0]] for item in items]):
        members = np.flatnonzero(label == component)
        inside = tuple(
            Constraint(item.kind, tuple(np.searchsorted(members, item.members).tolist()))
            for item in items
            if label[item.members[0]] == component
        )
        listed = _assignments(inside, len(members), max_assignments)
        steps = None
        if listed is None:
            steps = plan_elimination([(item.members, item.states()) for item in inside])
        yield Component(members, inside, listed, steps)


def _graph(items: Sequence[Constraint], width: int) -> Any:
    """Return edges from the first member of each constraint to the others."""
    edges = [(item.members[0], other) for item in items for other in item.members[1:]]
    return csr_array((np.ones(len(edges)), tuple(np.transpose(edges))), shape=(width, width))


def _assignments(items: Sequence[Constraint], width: int, max_assignments: int) -> Mask | None:
    """List the consistent assignments, None if there are too many."""
    # Attributes are added in the order of the graph, starting from the most connected one:
    # inconsistent partial assignments are dropped early, so that the list stays short.
    n_uses = np.bincount([j for item in items for j in item.members])
    order, _ = breadth_first_order(_graph(items, width), np.argmax(n_uses), directed=False)
    codes = np.full((1, width), -1, dtype=np.int8)
    for j in order:
        codes = np.repeat(codes, 2, axis=0)
        codes[::2, j], codes[1::2, j] = 0, 1
        violated = [item.violated(codes) for item in items if j in item.members]
        codes = codes[~np.any(violated, axis=0)]
        if len(codes) > max_assignments:
            return None
    return np.asarray(codes[np.lexsort((*codes.T[::-1], codes.sum(axis=1)))] == 1)


def violations(assignment: Any, constraints: LogicalConstraints) -> Mask:
    """Return which constraints each row violates.

    Parameters
    ----------
    assignment : array-like of shape (n, n_binary), bool or int
        1 for true, 0 for false, -1 for missing. A constraint is violated only if no value of its
        missing members would satisfy it.
    constraints : LogicalConstraints

    Returns
    -------
    ndarray of shape (n, n_constraints), bool
    """
    codes = _table(assignment, constraints, "assignment")
    violated = np.empty((len(codes), len(constraints.items)), dtype=bool)
    for column, item in enumerate(constraints.items):
        violated[:, column] = item.violated(codes)
    return violated


def decode(log_odds: Any, constraints: LogicalConstraints) -> Mask:
    """Return the most probable consistent assignment of each row.

    If attributes are independent given the row, it is the one whose positives have the largest
    sum of log odds. Connected attributes are left as they are where thresholding each log odds
    at 0 is consistent.

    Parameters
    ----------
    log_odds : array-like of shape (n, n_binary)
        Infinite ones outweigh all finite ones together.
    constraints : LogicalConstraints

    Returns
    -------
    ndarray of shape (n, n_binary), bool

    Raises
    ------
    ValueError
        If log odds are NaN, or there is not one column for each binary attribute.

    Notes
    -----
    Of equally probable assignments, the one with the fewest positives is returned, and of those
    the first in lexicographic order, false before true. Sums that differ by less than 1e-9 of the
    largest log odds count as equal. Connected attributes with up to ``MAX_ASSIGNMENTS`` consistent
    assignments are decided by comparing all of them. Others are eliminated one after the other.
    Where many constraints are entangled, each inconsistent row needs integer programs instead.
    """
    log_odds = np.asarray(_table(log_odds, constraints, "log_odds"), dtype=np.float64)
    if np.isnan(log_odds).any():
        row, column = np.argwhere(np.isnan(log_odds))[0]
        name = constraints.names[column]
        raise ValueError(f"log_odds of row {row}, attribute {name!r}, is NaN; it must be a number.")
    decided: Mask = log_odds > 0
    for component in constraints.components:
        alone = decided[:, component.members]
        violated = [item.violated(alone) for item in component.constraints]
        rows = np.flatnonzero(np.any(violated, axis=0))
        if len(rows):
            cells = np.ix_(rows, component.members)
            decided[cells] = _most_probable(log_odds[cells], component)
    return decided


def _table(table: Any, constraints: LogicalConstraints, name: str) -> NDArray[Any]:
    array = np.asarray(table)
    if array.ndim != 2 or array.shape[1] != len(constraints.names):
        needed = f"a column for each of {list(constraints.names)}"
        raise ValueError(f"{name} must have {needed}, but its shape is {array.shape}.")
    return array


def _most_probable(log_odds: Floats, component: Component) -> Mask:
    bound = 1 + np.abs(log_odds).sum(axis=1, keepdims=True, where=np.isfinite(log_odds))
    log_odds = np.clip(log_odds, -bound, bound)  # infinite ones exceed the sum of all finite ones
    listed = component.assignments
    if listed is None and component.steps is not None:
        # Members are compared one by one: what is ignored adds up to _TIE at most.
        tolerance = _TIE * np.abs(log_odds).max(axis=1) / log_odds.shape[1]
        return best_assignments(log_odds, component.steps, tolerance)
    if listed is None:
        limit = _linear(component.constraints, log_odds.shape[1])
        return np.array([_solved(row, limit) == 1 for row in log_odds])
    columns = listed.T.astype(np.float64)
    chosen = np.empty(len(log_odds), dtype=np.intp)
    height = max(1, _BLOCK // len(listed))
    for start in range(0, len(log_odds), height):
        block = log_odds[start : start + height]
        sums = block @ columns
        enough = sums.max(axis=1) - _TIE * np.abs(block).max(axis=1)
        chosen[start : start + height] = np.argmax(sums >= enough[:, np.newaxis], axis=1)
    return np.asarray(listed[chosen])


def _solved(log_odds: Floats, limit: LinearConstraint) -> Floats:
    """Return the most probable consistent assignment of one row, by integer programs."""
    gain = log_odds * (_SCALE / (np.abs(log_odds).max() or 1.0))
    best = _best(gain, [limit])
    assert best is not None
    enough = gain @ best - _TIE * _SCALE
    # Is there another assignment as good as the best? If so, ties are broken below.
    other = _best(gain, [limit, LinearConstraint(1 - 2 * best, 1 - best.sum(), np.inf)])
    if other is None or gain @ other < enough:
        return best
    low, high = np.zeros(len(gain)), np.ones(len(gain))
    limits = [limit, LinearConstraint(gain, enough, np.inf)]
    best = _best(-high, limits)
    assert best is not None
    limits.append(LinearConstraint(high.copy(), 0, best.sum()))
    # The fewest positives, then the first in lexicographic order: fix one attribute at a time.
    for j in range(len(gain)):
        high[j] = 0
        other = _best(0 * gain, limits, low, high) if best[j] else best
        low[j] = high[j] = other is None
        best = best if other is None else other
    return best


def _linear(items: Sequence[Constraint], width: int) -> LinearConstraint:
    """Return the constraints as bounds of sums: a - b at most 0; at most, or exactly, one."""
    matrix = np.zeros((len(items), width))
    for row, item in zip(matrix, items, strict=True):
        row[list(item.members)] = [1, -1] if item.kind == "implies" else 1
    lower = [1 if item.kind == "exactly_one" else -np.inf for item in items]
    upper = [0 if item.kind == "implies" else 1 for item in items]
    return LinearConstraint(csr_array(matrix), lower, upper)


def _best(gain: Floats, limits: Limits, low: Any = 0, high: Any = 1) -> Floats | None:
    """Return the zeros and ones with the largest gain within the limits, None if infeasible."""
    program = {"integrality": 1, "bounds": Bounds(low, high), "constraints": limits}
    found = milp(-gain, **program, options={"mip_rel_gap": 0})
    if found.status not in (0, 2):
        raise RuntimeError(f"scipy.optimize.milp did not solve `constraints`: {found.message}")
    return None if found.x is None else np.asarray(found.x.round())
