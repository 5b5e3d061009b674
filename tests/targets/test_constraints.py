"""Constraints are parsed, contradictions rejected, and the decoder finds the best assignment."""

import itertools
import pickle
import re
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skattr._targets import constraints as _constraints
from skattr._targets import elimination
from skattr._targets.constraints import decode, parse_constraints, violations

NAMES = list("abcdefgh")


def satisfies(row, constraints):
    """Whether a dict of {name: bool} satisfies constraints, by their definition."""
    return (
        all(sum(row[name] for name in group) <= 1 for group in constraints["at_most_one"])
        and all(sum(row[name] for name in group) == 1 for group in constraints["exactly_one"])
        and all(row[b] or not row[a] for a, b in constraints["implies"])
    )


def consistent(constraints, width):
    """Return all consistent assignments, in lexicographic order."""
    every = itertools.product([False, True], repeat=width)
    kept = [row for row in every if satisfies(dict(zip(NAMES, row, strict=False)), constraints)]
    return np.array(kept, dtype=bool).reshape(-1, width)


def best_of_all(log_odds, table):
    """Return the most probable row of a table: more infinities met, larger sum, fewer positives."""
    infinite = np.isinf(log_odds)
    met = np.where(infinite, table == (log_odds > 0), False).sum(axis=1)
    total = np.where(table & ~infinite, log_odds, 0).sum(axis=1)
    keys = zip(-met, -total, table.sum(axis=1), table.tolist(), strict=True)
    return min(keys)[-1]


def parsed(constraints, width, **params):
    """Parse constraints of binary attributes."""
    return parse_constraints(constraints, NAMES[:width], ["binary"] * width, **params)


@st.composite
def constraint_dicts(draw, most=8):
    """Constraints of 2 to `most` attributes, perhaps contradictory."""
    width = draw(st.integers(2, most))
    names = st.sampled_from(NAMES[:width])
    group = st.lists(names, min_size=2, max_size=4, unique=True)
    pair = st.lists(names, min_size=2, max_size=2, unique=True)
    drawn = {
        "at_most_one": draw(st.lists(group, max_size=3)),
        "exactly_one": draw(st.lists(group, max_size=1)),
        "implies": draw(st.lists(pair, max_size=5)),
    }
    return drawn, width


@st.composite
def valid_constraints(draw):
    """Constraints that leave both values to every attribute, found by leaving constraints out."""
    drawn, width = draw(constraint_dicts())
    kept = {key: [] for key in drawn}
    for key, listed in drawn.items():
        for item in listed:
            more = {**kept, key: [*kept[key], item]}
            table = consistent(more, width)
            if len(table) and table.any(axis=0).all() and not table.all(axis=0).any():
                kept = more
    return kept, width


# Sums of quarters are exact, so ties are ties.
QUARTERS = st.integers(-6, 6).map(lambda number: number / 4)
EXTREME = st.sampled_from([np.inf, -np.inf, 0.0, 0.0, 1.0, -2.0, 30.0])


@settings(deadline=None, max_examples=120)
@given(st.data(), valid_constraints(), st.sampled_from([0, 10_000]))
def test_decoding_is_the_best_of_all_assignments(data, drawn, limit):
    """Brute force finds the same, with ties and infinities, listed (10,000) or searched (0)."""
    constraints, width = drawn
    table = consistent(constraints, width)
    numbers = data.draw(st.sampled_from([QUARTERS, EXTREME]))
    row = st.lists(numbers, min_size=width, max_size=width)
    log_odds = np.array(data.draw(st.lists(row, min_size=1, max_size=4)))
    found = decode(log_odds, parsed(constraints, width, max_assignments=limit))
    assert found.dtype == bool
    assert found.tolist() == [best_of_all(one, table) for one in log_odds]


@pytest.mark.parametrize("limit", [0, 10_000])
def test_infinite_log_odds_outweigh_all_finite_ones(limit):
    """Together, too: the last attributes exclude the first, and have the larger finite sum."""
    pairs = {"at_most_one": [["a", "b"], ["a", "c"], ["a", "d"]]}
    constraints = parsed(pairs, 4, max_assignments=limit)
    log_odds = [[np.inf, 1e8, 1e8, 1e8], [1e8, np.inf, -1.0, -1.0], [2.0, 1.5, 1.5, -9.0]]
    found = decode(np.array(log_odds), constraints).tolist()
    assert found == [[True] + [False] * 3, [False, True, False, False], [False, True, True, False]]


@settings(deadline=None, max_examples=60)
@given(valid_constraints(), st.sampled_from([0, 10_000]), st.integers(0, 2**32 - 1))
def test_random_log_odds_are_decoded_exactly(drawn, limit, seed):
    """On numbers drawn from a normal distribution, of either precision, too."""
    constraints, width = drawn
    checked = parsed(constraints, width, max_assignments=limit)
    table = consistent(constraints, width)
    log_odds = np.random.default_rng(seed).normal(0, 4, (6, width))
    for given_odds in (log_odds, log_odds.astype(np.float32)):
        before = given_odds.copy()
        expected = [best_of_all(row.astype(np.float64), table) for row in given_odds]
        assert decode(given_odds, checked).tolist() == expected
        np.testing.assert_array_equal(given_odds, before)


@settings(deadline=None, max_examples=150)
@given(constraint_dicts(), st.sampled_from([0, 10_000]))
def test_contradictions_are_those_of_brute_force(drawn, limit):
    """Listed or searched, constraints are rejected if and only if they leave too little possible.

    That is nothing at all, or one value only of an attribute.
    """
    constraints, width = drawn
    table = consistent(constraints, width)
    if not len(table):
        with pytest.raises(ValueError, match="no row can satisfy them all, because of: "):
            parsed(constraints, width, max_assignments=limit)
        return
    never_true, never_false = ~table.any(axis=0), table.all(axis=0)
    if not (never_true | never_false).any():
        assert len(parsed(constraints, width, max_assignments=limit).names) == width
        return
    with pytest.raises(ValueError, match="contradict each other: .* because of: ") as caught:
        parsed(constraints, width, max_assignments=limit)
    name, value = re.search(r"'(.)' can never be (true|false)", str(caught.value)).groups()
    assert {"true": never_true, "false": never_false}[value][NAMES.index(name)]


@settings(deadline=None, max_examples=100)
@given(constraint_dicts())
def test_the_constraints_named_are_the_cause(drawn):
    """The constraints of the message contradict alone, and not without any one of them."""
    constraints, width = drawn

    def message(some):
        try:
            parsed(some, width)
        except ValueError as error:
            return str(error)
        return ""

    text = message(constraints)
    if not text:
        return
    cause = text.removesuffix(".").split("because of: ")[1].split("; ")
    named = {key: [] for key in constraints}
    for item in cause:
        if " -> " in item:
            named["implies"].append(item.split(" -> "))
        else:
            key, members = item.split(" of ")
            named[key.replace(" ", "_")].append(members.split(", "))
    claim = text.split(", because")[0]
    assert claim in message(named)
    for key, listed in named.items():
        for i in range(len(listed)):
            fewer = {**named, key: listed[:i] + listed[i + 1 :]}
            table = consistent(fewer, width)
            assert len(table)
            found = re.search(r"'(.)' can never be (true|false)", claim)
            if found:
                assert (table[:, NAMES.index(found[1])] == (found[2] == "true")).any()


@settings(deadline=None, max_examples=100)
@given(st.data(), valid_constraints())
def test_a_violation_does_not_depend_on_missing_labels(data, drawn):
    """Violations are those of every completion of the unknown entries, one by one."""
    constraints, width = drawn
    row = st.lists(st.sampled_from([-1, 0, 1]), min_size=width, max_size=width)
    codes = np.array(data.draw(st.lists(row, min_size=1, max_size=4)))
    found = violations(codes, parsed(constraints, width))
    single = [(key, item) for key in constraints for item in constraints[key]]
    assert found.shape == (len(codes), len(single))
    none = dict.fromkeys(constraints, [])
    every = np.array(list(itertools.product([0, 1], repeat=width)))
    for i, one in enumerate(codes):
        fits = every[((every == one) | (one == -1)).all(axis=1)]
        for r, (key, item) in enumerate(single):
            alone = {**none, key: [item]}
            rows = [dict(zip(NAMES, row, strict=False)) for row in fits.tolist()]
            assert found[i, r] == (not any(satisfies(row, alone) for row in rows))


@settings(deadline=None, max_examples=60)
@given(valid_constraints(), st.integers(0, 2**32 - 1))
def test_decoded_rows_violate_no_constraint(drawn, seed):
    """What is decoded is consistent, and what is consistent alone is left alone."""
    constraints, width = drawn
    checked = parsed(constraints, width)
    log_odds = np.random.default_rng(seed).normal(size=(20, width))
    decided = decode(log_odds, checked)
    assert not violations(decided, checked).any()
    fine = ~violations(log_odds > 0, checked).any(axis=1)
    np.testing.assert_array_equal(decided[fine], log_odds[fine] > 0)
    np.testing.assert_array_equal(decode(np.where(decided, 1.0, -1.0), checked), decided)


def test_one_of_many_is_the_largest(rng):
    """A group of 300 attributes is decided as a softmax is, and none where all are below 0."""
    names = list(range(300))
    log_odds = rng.normal(-2, 1, (40, 300))
    log_odds[::2] -= 10
    for key in ("exactly_one", "at_most_one"):
        checked = parse_constraints({key: [names]}, names, ["binary"] * 300)
        assert checked.components[0].assignments is not None
        expected = np.zeros(log_odds.shape, dtype=bool)
        expected[np.arange(40), log_odds.argmax(axis=1)] = True
        if key == "at_most_one":
            expected &= log_odds > 0
        np.testing.assert_array_equal(decode(log_odds, checked), expected)


def test_many_implications_of_one_need_programs(rng):
    """Forty kinds of beard imply a beard: it is there if all that speaks for it is above 0."""
    names = [*(f"kind {j}" for j in range(40)), "beard"]
    constraints = {"implies": [(name, "beard") for name in names[:-1]]}
    checked = parse_constraints(constraints, names, ["binary"] * 41)
    assert checked.components[0].assignments is None
    log_odds = rng.normal(0, 2, (12, 41))
    log_odds[:, -1] = -35
    for_beard = np.maximum(log_odds[:, :-1], 0).sum(axis=1) + log_odds[:, -1] > 0
    assert 0 < for_beard.sum() < 12
    expected = np.zeros(log_odds.shape, dtype=bool)
    expected[for_beard] = log_odds[for_beard] > 0
    expected[:, -1] = for_beard
    np.testing.assert_array_equal(decode(log_odds, checked), expected)


@pytest.mark.parametrize("limit", [0, 10_000])
def test_ties_have_one_winner(limit):
    """Fewest positives come first, then the lexicographically first; zero is false."""
    group = parsed({"exactly_one": [["a", "b", "c"]]}, 3, max_assignments=limit)
    assert decode([[0, 0, 0], [-1, -2, -1]], group).tolist() == [[0, 0, 1], [0, 0, 1]]
    star = parsed({"at_most_one": [["a", "b"], ["a", "c"]]}, 3, max_assignments=limit)
    # .1 + .2 is above .3 by rounding
    assert decode([[0.3, 0.1, 0.2], [0.3, 0.1, 0.3]], star).tolist() == [[1, 0, 0], [0, 1, 1]]
    assert not decode(np.zeros((2, 3)), star).any()


@pytest.mark.parametrize("limit", [0, 10_000])
def test_a_row_does_not_depend_on_the_others(rng, monkeypatch, limit):
    """Blocks and neighbours change nothing, even among equals."""
    constraints = {"exactly_one": [NAMES[:5]], "at_most_one": [NAMES[4:]]}
    checked = parsed(constraints, 8, max_assignments=limit)
    log_odds = rng.choice([-0.7, -0.1, 0.1, 0.3, 0.7], (400, 8))
    decided = decode(log_odds, checked)
    alone = [decode(row[np.newaxis], checked)[0] for row in log_odds[:100]]
    np.testing.assert_array_equal(decided[:100], alone)
    for size in (1, 100):  # less than a row, and blocks of some rows
        monkeypatch.setattr(_constraints, "_BLOCK", size)
        monkeypatch.setattr(elimination, "_ENTRIES", size)
        np.testing.assert_array_equal(decode(log_odds, checked), decided)


def test_memory_is_bounded(rng):
    """4,000 rows against 8,193 assignments, 262 MB of sums, take less than 64 MB."""
    width = 14
    names = list(range(width))
    constraints = {"implies": [(j, width - 1) for j in range(width - 1)]}
    checked = parse_constraints(constraints, names, ["binary"] * width)
    assert len(checked.components[0].assignments) == 8193
    log_odds = rng.normal(size=(4000, width))
    tracemalloc.start()
    try:
        decode(log_odds, checked)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 64e6


def test_attributes_without_constraints_are_decided_alone(rng):
    """None, nothing and constraints of others leave an attribute at its own sign."""
    log_odds = rng.normal(size=(30, 3))
    for empty in (None, {}, {"implies": []}):
        checked = parsed(empty, 3)
        np.testing.assert_array_equal(decode(log_odds, checked), log_odds > 0)
        assert violations(log_odds > 0, checked).shape == (30, 0)
    checked = parsed({"at_most_one": [("a", "c")]}, 3)
    np.testing.assert_array_equal(decode(log_odds, checked)[:, 1], log_odds[:, 1] > 0)
    assert decode(np.empty((0, 3)), checked).shape == (0, 3)


def test_columns_are_those_of_the_binary_attributes():
    """Names and positions count among all attributes, columns among the binary ones."""
    names, kinds = ["age", "hat", "sex", "beard"], ["ordinal", "binary", "binary", "binary"]
    by_attribute_name = parse_constraints(
        {"implies": [("beard", "hat")]}, names, kinds, [3, 2, 2, 2]
    )
    by_position = parse_constraints({"implies": [(3, 1)]}, names, kinds)
    for checked in (by_attribute_name, by_position):
        assert checked.names == ("hat", "sex", "beard")
        assert checked.columns.tolist() == [1, 2, 3]
        assert checked.items == ((("implies", (2, 0))),)
        assert checked.descriptions == ["beard -> hat"]
    numbered = parse_constraints({"implies": [(2, 0)]}, [2, 1, 0], ["binary"] * 3)
    assert numbered.descriptions == ["2 -> 0"]


def test_checked_constraints_pickle(rng):
    """A copy decodes alike."""
    checked = parsed({"at_most_one": [NAMES[:4]], "exactly_one": [NAMES[3:]]}, 8)
    copy = pickle.loads(pickle.dumps(checked))
    log_odds = rng.normal(size=(50, 8))
    np.testing.assert_array_equal(decode(log_odds, copy), decode(log_odds, checked))
    assert copy.descriptions == checked.descriptions


WRONG = {
    "a list": ([("a", "b")], "must be a dict with keys of .*'at_most_one', 'exactly_one'"),
    "an unknown key": ({"never": []}, "the key 'never'; the valid keys are .*'implies'"),
    "no list": ({"implies": {"a": "b"}}, r"\['implies'\]` must be a list of pairs of names"),
    "a name": ({"exactly_one": "ab"}, r"\['exactly_one'\]` must be a list of lists of two"),
    "one list": ({"at_most_one": ["a", "b"]}, r"\['at_most_one'\]\[0\]` is 'a'; .* lists of two"),
    "one member": ({"at_most_one": [["a"]]}, r"\[0\]` is \['a'\]; .* two or more names"),
    "three members": ({"implies": [("a", "b", "c")]}, "must be a list of pairs"),
    "no attribute": (
        {"implies": [("a", "b"), ("a", "z")]},
        r"\['implies'\]\[1\]` names 'z', which is no attribute; y has \['a', 'b', 'c', 'd'\]",
    ),
    "no name": ({"implies": [("a", ["b"])]}, r"names \['b'\], which is no attribute"),
    "no position": ({"implies": [("a", 4)]}, "names 4, which is no attribute"),
    "a truth value": ({"implies": [("a", True)]}, "names True, which is no attribute"),
    "a categorical": (
        {"exactly_one": [["a", "c"]]},
        r"names 'c', which is categorical; only binary attributes have constraints: \['a', 'b'\]",
    ),
    "one class": ({"exactly_one": [["a", "d"]]}, r"names 'd', which is binary with 1 class\(es\)"),
    "a name twice": ({"at_most_one": [["a", "b", "a"]]}, r"\[0\]` names 'a' twice"),
    "a name and position": ({"at_most_one": [["a", "b", 0]]}, "names 'a' twice"),
    "itself": (
        {"implies": [("a", "a")]},
        "names 'a' twice; the members of a constraint must differ",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_rejects_invalid_constraints(wrong):
    """It names the place and the valid values."""
    constraints, match = WRONG[wrong]
    kinds = ["binary", "binary", "categorical", "binary"]
    with pytest.raises(ValueError, match=f"`constraints.*{match}"):
        parse_constraints(constraints, NAMES[:4], kinds, [2, 2, 3, 1])


def test_a_contradiction_names_its_constraints():
    """And no constraint that has nothing to do with it."""
    constraints = {
        "at_most_one": [["goatee", "beard"], ["young", "old"]],
        "implies": [("goatee", "beard"), ("old", "beard")],
    }
    names = ["goatee", "beard", "young", "old"]
    with pytest.raises(ValueError) as caught:
        parse_constraints(constraints, names, ["binary"] * 4)
    assert str(caught.value) == (
        "`constraints` contradict each other: 'goatee' can never be true, because of: at most one "
        "of goatee, beard; goatee -> beard."
    )


def test_wrong_tables_get_a_sentence():
    """NaN is named by row and attribute; columns must be the binary attributes."""
    checked = parsed({"at_most_one": [["a", "b"]]}, 3)
    with pytest.raises(ValueError, match="log_odds of row 1, attribute 'c', is NaN"):
        decode([[0, 1, 2], [3, 4, np.nan]], checked)
    with pytest.raises(ValueError, match=r"log_odds must have a column for each of \['a', 'b', 'c"):
        decode([[1.0, 2.0]], checked)
    with pytest.raises(ValueError, match=r"assignment must have .* its shape is \(3,\)"):
        violations([1, 0, -1], checked)


def test_a_failing_solver_is_an_error(monkeypatch):
    """No answer is made up where the solver has none."""

    class Failed:
        status, x, message = 4, None, "numerical trouble"

    monkeypatch.setattr(_constraints, "milp", lambda *args, **kwargs: Failed)
    with pytest.raises(RuntimeError, match="did not solve `constraints`: numerical trouble"):
        parsed({"implies": [("a", "b")]}, 2, max_assignments=0)


@settings(deadline=None, max_examples=40)
@given(st.data(), valid_constraints())
def test_integer_programs_find_the_same(data, drawn):
    """They decide where the tables of an elimination would be too large."""
    constraints, width = drawn
    table = consistent(constraints, width)
    row = st.lists(QUARTERS, min_size=width, max_size=width)
    log_odds = np.array(data.draw(st.lists(row, min_size=1, max_size=2)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_constraints, "plan_elimination", lambda _: None)
        checked = parsed(constraints, width, max_assignments=0)
    assert all(component.steps is None for component in checked.components)
    assert decode(log_odds, checked).tolist() == [best_of_all(one, table) for one in log_odds]


def parents(n, direction):
    """Return constraints of one attribute and n others that imply it, or that it implies."""
    names = ["p", *(f"c{i}" for i in range(n))]
    pairs = [(name, "p") if direction == "up" else ("p", name) for name in names[1:]]
    return parse_constraints({"implies": pairs}, names, ["binary"] * (n + 1))


@pytest.mark.parametrize("direction", ["up", "down"])
@pytest.mark.parametrize("n", [13, 14, 40, 100])
def test_many_children_of_one_parent(n, direction):
    """With the parent false (or true), all children are; otherwise each is as its log odds say."""
    checked = parents(n, direction)
    log_odds = np.random.default_rng(0).normal(0, 2, (500, n + 1))
    log_odds[::7] = np.round(log_odds[::7])  # ties
    log_odds[3, 5], log_odds[4, 0], log_odds[5, :] = np.inf, -np.inf, 0
    finite = np.clip(log_odds, -1e6, 1e6)
    children = finite[:, 1:]
    free = np.maximum(children, 0).sum(axis=1)
    if direction == "up":  # of equal sums, nothing is the fewest positives
        parent = finite[:, 0] + free > 1e-9
        expected = np.column_stack([parent, (children > 0) & parent[:, np.newaxis]])
    else:
        parent = finite[:, 0] + children.sum(axis=1) > free + 1e-9
        expected = np.column_stack([parent, (children > 0) | parent[:, np.newaxis]])
    np.testing.assert_array_equal(decode(log_odds, checked), expected)
    assert not violations(decode(log_odds, checked), checked).any()


def test_trees_and_exclusive_children_of_many_attributes():
    """Forty attributes in a tree of implications with exclusive leaves, as integer programs do."""
    names = [f"a{i}" for i in range(40)]
    pairs = [(names[i], names[(i - 1) // 3]) for i in range(1, 40)]
    constraints = {"implies": pairs, "at_most_one": [names[31:34], names[34:37], names[5:8]]}
    checked = parse_constraints(constraints, names, ["binary"] * 40)
    [component] = checked.components
    assert component.assignments is None
    log_odds = np.random.default_rng(0).normal(0, 2, (20, 40)).round(1)
    found = decode(log_odds, checked)
    programs = component._replace(steps=None)
    expected = _constraints._most_probable(log_odds[:, component.members], programs)
    np.testing.assert_array_equal(found, expected)


def test_tables_that_are_too_large_are_left_to_integer_programs(monkeypatch):
    """An elimination is not planned if its tables would have more states than allowed."""
    monkeypatch.setattr(elimination, "_MOST_STATES", 2)
    [component] = parents(14, "up").components
    assert component.steps is None


@pytest.mark.parametrize("limit", [0, 10_000])
def test_ties_among_more_attributes_than_bits_of_a_word(limit):
    """Of 100 exclusive attributes the last of the equal ones is true, false being first."""
    names = [f"a{j}" for j in range(100)]
    checked = parse_constraints(
        {"exactly_one": [names]}, names, ["binary"] * 100, max_assignments=limit
    )
    assert (checked.components[0].assignments is None) == (limit == 0)
    log_odds = np.full((5, 100), -3.0)
    log_odds[1, [10, 70]] = log_odds[2, [10, 63]] = log_odds[3, [64, 65]] = log_odds[4, [0, 1]] = 1
    assert decode(log_odds, checked).argmax(axis=1).tolist() == [99, 70, 63, 65, 1]
    assert (decode(log_odds, checked).sum(axis=1) == 1).all()


@pytest.mark.parametrize("limit", [0, 10_000])
@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_differences_of_rounding_are_ties(size, limit):
    """Sums that differ by less than 1e-9 of the largest log odds are equal, others are not."""
    group = parsed({"exactly_one": [["a", "b"]]}, 2, max_assignments=limit)
    odds = size * np.array([[1 + 2e-10, 1.0], [1 + 2e-9, 1.0], [1.0, 1 + 2e-9]])
    assert decode(odds, group).tolist() == [[False, True], [True, False], [False, True]]
