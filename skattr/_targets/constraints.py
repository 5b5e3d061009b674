"""Rules that binary attributes obey together, and the most probable labels that obey them.

Any of the keys may be absent. Members are binary attributes, "true" being their positive class::

    constraints = {
        "at_most_one": [["young", "middle-aged", "senior"]],
        "exactly_one": [["indoor", "outdoor"]],
        "implies": [("goatee", "beard")],  # who has a goatee has a beard
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

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]
Limits = list[LinearConstraint]

MAX_ASSIGNMENTS = 10_000
_KEYS = ("at_most_one", "exactly_one", "implies")
_BLOCK = 1 << 21  # sums looked at together
_TIE = 1e-9  # of the largest log odds
_SCALE = 1e4  # of the largest log odds in a program, whose tolerances are 1e-6


class Rule(NamedTuple):
    """A key of `constraints`, and positions of its members among the binary attributes."""

    kind: str
    members: tuple[int, ...]

    def broken(self, codes: NDArray[Any]) -> Mask:
        """Tell which rows of codes break the rule, whatever is unknown (-1) in them."""
        part = codes[:, self.members]
        if self.kind == "implies":
            return np.asarray((part[:, 0] == 1) & (part[:, 1] == 0))
        broken = (part == 1).sum(axis=1) > 1
        if self.kind == "exactly_one":
            broken |= (part == 0).all(axis=1)
        return np.asarray(broken)

    def text(self, names: Sequence[Any]) -> str:
        """Return the rule in words."""
        members = [str(names[j]) for j in self.members]
        if self.kind == "implies":
            return " -> ".join(members)
        return f"{self.kind.replace('_', ' ')} of {', '.join(members)}"


class Component(NamedTuple):
    """Attributes that rules connect.

    `members` are their positions, and the `rules` have positions among those as members.
    `assignments` (n_assignments, n_members) are all that are consistent, those with fewest
    positives first, then in lexicographic order; None if they are too many.
    """

    members: NDArray[np.intp]
    rules: tuple[Rule, ...]
    assignments: Mask | None


@dataclass(frozen=True, eq=False)
class LogicalConstraints:
    """Rules that were checked, made by :func:`parse_constraints`.

    Attributes
    ----------
    names : tuple of length n_binary
        Names of the attributes that have a positive and a negative class.
    columns : ndarray of shape (n_binary,), int
        Their positions among all attributes.
    rules : tuple of Rule of length n_rules
        Those of "at_most_one" first, then of "exactly_one", then of "implies".
    components : tuple of Component
    """

    names: tuple[Any, ...]
    columns: NDArray[np.intp]
    rules: tuple[Rule, ...]
    components: tuple[Component, ...]

    @property
    def rule_names(self) -> list[str]:
        """The rules in words, such as "goatee -> beard" and "at most one of young, senior"."""
        return [rule.text(self.names) for rule in self.rules]


def parse_constraints(
    constraints: Mapping[str, Any] | None,
    names: Sequence[Any],
    kinds: Sequence[str],
    n_classes: Sequence[int] | None = None,
    *,
    max_assignments: int = MAX_ASSIGNMENTS,
) -> LogicalConstraints:
    """Check rules, and that they do not contradict each other.

    Parameters
    ----------
    constraints : dict of {"at_most_one", "exactly_one", "implies"}, or None
        Lists of groups of names, and a list of pairs of names. As elsewhere an integer is a
        position unless it is a name. None is no rule.
    names : sequence of length L
        Names of all attributes.
    kinds : sequence of length L
        "binary", "categorical" or "ordinal".
    n_classes : sequence of length L, default=None
        Numbers of classes; None is two for every binary attribute.
    max_assignments : int
        Up to how many consistent assignments of connected attributes are listed.

    Returns
    -------
    LogicalConstraints

    Raises
    ------
    ValueError
        If a key, a container or a name is not valid, an attribute is not binary, or the rules
        leave no assignment at all, or to an attribute one value only.

    Examples
    --------
    >>> names, kinds = ["goatee", "beard", "hair"], ["binary", "binary", "categorical"]
    >>> rules = parse_constraints({"implies": [("goatee", "beard")]}, names, kinds)
    >>> decode([[2.0, -1.0], [1.0, -2.0]], rules)
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
    rules = [
        Rule(kind, tuple(binary.index(name) for name in _attributes(members, whats, place)))
        for kind, place, members in _entries(constraints)
    ]
    components = tuple(_components(rules, len(binary), max_assignments)) if rules else ()
    for component in components:
        _check_consistent(component, [binary[j] for j in component.members])
    return LogicalConstraints(binary, columns, tuple(rules), components)


def _entries(constraints: Any) -> Iterator[tuple[str, str, Sequence[Any]]]:
    """Yield the key, the place for messages, and the members of each rule."""
    if not isinstance(constraints, Mapping | None):
        raise ValueError(f"`constraints` must be a dict with keys of {_KEYS}, got {constraints!r}.")
    given = constraints or {}
    for key in given:
        if key not in _KEYS:
            raise ValueError(f"`constraints` has the key {key!r}; the valid keys are {_KEYS}.")
    for key in [key for key in _KEYS if key in given]:
        is_pair = key == "implies"
        form = "pairs of names (a, b), a implying b" if is_pair else "lists of two or more names"
        if not isinstance(given[key], list | tuple):
            raise ValueError(f"`constraints[{key!r}]` must be a list of {form}: {given[key]!r}.")
        for i, members in enumerate(given[key]):
            place = f"`constraints[{key!r}][{i}]`"
            n = len(members) if isinstance(members, list | tuple) else 0
            if n < 2 or (is_pair and n > 2):
                raise ValueError(f"{place} is {members!r}; {key!r} must be a list of {form}.")
            yield key, place, members


def _attributes(members: Sequence[Any], whats: Mapping[Any, str], place: str) -> list[Any]:
    """Return the names of a rule's members, which must be different binary attributes."""
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
                f"rules: {[name for name in names if whats[name] == 'binary']}."
            )
        if name in found:
            raise ValueError(f"{place} names {name!r} twice; the members of a rule must differ.")
        found.append(name)
    return found


def _check_consistent(component: Component, names: Sequence[Any]) -> None:
    """Refuse rules under which no row, or one value only of an attribute, is possible."""
    low, high = np.zeros(len(names)), np.ones(len(names))
    never = _never(component)
    if never is not None and not never.any():
        return
    claim = "no row can obey them all"
    if never is not None:
        first = int(np.argmax(never != 0))
        low[first] = high[first] = never[first] > 0
        claim = f"{names[first]!r} can never be {'true' if never[first] > 0 else 'false'}"
    core = list(dict.fromkeys(component.rules))
    for rule in tuple(core):
        rest = [other for other in core if other != rule]
        if rest and _best(0 * low, [_linear(rest, len(names))], low, high) is None:
            core = rest
    why = "; ".join(rule.text(names) for rule in core)
    raise ValueError(f"`constraints` contradict each other: {claim}, because of: {why}.")


def _never(component: Component) -> Floats | None:
    """Return 1 for what is never true, -1 for never false, else 0; None if nothing is possible."""
    listed = component.assignments
    if listed is not None:
        never = np.asarray(1.0 - listed.any(axis=0) - listed.all(axis=0))
        return never if len(listed) else None
    limits = [_linear(component.rules, len(component.members))]
    seen = _best(np.zeros(len(component.members)), limits)
    if seen is None:
        return None
    never = np.asarray(1 - 2 * seen)
    while True:  # ask for as many values not seen yet as can be
        seen = _best(never, limits)
        assert seen is not None
        found = (never != 0) & ((seen == 1) == (never > 0))
        if not found.any():
            return never
        never[found] = 0


def _components(rules: Sequence[Rule], width: int, max_assignments: int) -> Iterator[Component]:
    _, label = connected_components(_graph(rules, width), directed=False)
    for component in np.unique([label[rule.members[0]] for rule in rules]):
        members = np.flatnonzero(label == component)
        inside = tuple(
            Rule(rule.kind, tuple(np.searchsorted(members, rule.members).tolist()))
            for rule in rules
            if label[rule.members[0]] == component
        )
        yield Component(members, inside, _assignments(inside, len(members), max_assignments))


def _graph(rules: Sequence[Rule], width: int) -> Any:
    """Return edges from the first member of each rule to the others."""
    edges = [(rule.members[0], other) for rule in rules for other in rule.members[1:]]
    return csr_array((np.ones(len(edges)), tuple(np.transpose(edges))), shape=(width, width))


def _assignments(rules: Sequence[Rule], width: int, max_assignments: int) -> Mask | None:
    """List what is consistent, neighbour by neighbour, dropping at once what breaks a rule."""
    often = np.bincount([j for rule in rules for j in rule.members])
    order, _ = breadth_first_order(_graph(rules, width), np.argmax(often), directed=False)
    codes = np.full((1, width), -1, dtype=np.int8)
    for j in order:
        codes = np.repeat(codes, 2, axis=0)
        codes[::2, j], codes[1::2, j] = 0, 1
        broken = [rule.broken(codes) for rule in rules if j in rule.members]
        codes = codes[~np.any(broken, axis=0)]
        if len(codes) > max_assignments:
            return None
    return np.asarray(codes[np.lexsort((*codes.T[::-1], codes.sum(axis=1)))] == 1)


def violations(assignment: Any, constraints: LogicalConstraints) -> Mask:
    """Tell which rules each row breaks.

    Parameters
    ----------
    assignment : array-like of shape (n, n_binary), bool or int
        1 for true, 0 for false, -1 for unknown. A rule is broken only if it is whatever its
        unknown members are.
    constraints : LogicalConstraints

    Returns
    -------
    ndarray of shape (n, n_rules), bool
    """
    codes = _table(assignment, constraints, "assignment")
    broken = np.empty((len(codes), len(constraints.rules)), dtype=bool)
    for r, rule in enumerate(constraints.rules):
        broken[:, r] = rule.broken(codes)
    return broken


def decode(log_odds: Any, constraints: LogicalConstraints) -> Mask:
    """Return the most probable consistent assignment of each row.

    For attributes that are independent given the row, it is the one whose positives have the
    largest sum of log odds. Connected attributes that are consistent where each is decided alone,
    true if its log odds are above 0, are left at that.

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
    Of equally probable assignments it is the one with fewest positives, and of those the first in
    lexicographic order, false before true; sums that differ by less than 1e-9 of the largest log
    odds count as equal. Connected attributes of up to ``MAX_ASSIGNMENTS`` consistent assignments
    are decided by comparing them all; for others each inconsistent row takes integer programs.
    """
    log_odds = np.asarray(_table(log_odds, constraints, "log_odds"), dtype=np.float64)
    if np.isnan(log_odds).any():
        row, column = np.argwhere(np.isnan(log_odds))[0]
        name = constraints.names[column]
        raise ValueError(f"log_odds of row {row}, attribute {name!r}, is NaN; it must be a number.")
    decided: Mask = log_odds > 0
    for component in constraints.components:
        alone = decided[:, component.members]
        rows = np.flatnonzero(np.any([rule.broken(alone) for rule in component.rules], axis=0))
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
    log_odds = np.clip(log_odds, -bound, bound)  # beyond all finite ones of the row together
    listed = component.assignments
    if listed is None:
        limit = _linear(component.rules, log_odds.shape[1])
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
    """Return the most probable consistent assignment of one row by integer programs."""
    gain = log_odds * (_SCALE / (np.abs(log_odds).max() or 1.0))
    best = _best(gain, [limit])
    assert best is not None
    enough = gain @ best - _TIE * _SCALE
    other = _best(gain, [limit, LinearConstraint(1 - 2 * best, 1 - best.sum(), np.inf)])
    if other is None or gain @ other < enough:
        return best
    low, high = np.zeros(len(gain)), np.ones(len(gain))
    limits = [limit, LinearConstraint(gain, enough, np.inf)]
    best = _best(-high, limits)
    assert best is not None
    limits.append(LinearConstraint(high.copy(), 0, best.sum()))
    for j in range(len(gain)):
        high[j] = 0
        other = _best(0 * gain, limits, low, high) if best[j] else best
        low[j] = high[j] = other is None
        best = best if other is None else other
    return best


def _linear(rules: Sequence[Rule], width: int) -> LinearConstraint:
    """Return the rules as bounds of sums: a - b at most 0; at most, or exactly, one."""
    matrix = np.zeros((len(rules), width))
    for row, rule in zip(matrix, rules, strict=True):
        row[list(rule.members)] = [1, -1] if rule.kind == "implies" else 1
    lower = [1 if rule.kind == "exactly_one" else -np.inf for rule in rules]
    upper = [0 if rule.kind == "implies" else 1 for rule in rules]
    return LinearConstraint(csr_array(matrix), lower, upper)


def _best(gain: Floats, limits: Limits, low: Any = 0, high: Any = 1) -> Floats | None:
    """Return the zeros and ones of largest gain within limits, None if there are none."""
    program = {"integrality": 1, "bounds": Bounds(low, high), "constraints": limits}
    found = milp(-gain, **program, options={"mip_rel_gap": 0})
    if found.status not in (0, 2):
        raise RuntimeError(f"scipy.optimize.milp did not solve `constraints`: {found.message}")
    return None if found.x is None else np.asarray(found.x.round())
