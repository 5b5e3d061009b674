"""The consistency score is the share of rows that a loop finds in order."""

import numpy as np
import pandas as pd
import pytest

from skattr.metrics import consistency_score

RULES = {
    "at_most_one": [["young", "old"]],
    "exactly_one": [["indoor", "outdoor", "studio"]],
    "implies": [("goatee", "beard"), ("beard", "old")],
}
NAMES = ["young", "old", "indoor", "outdoor", "studio", "goatee", "beard"]
WORDS = [
    "at most one of young, old",
    "exactly one of indoor, outdoor, studio",
    "goatee -> beard",
    "beard -> old",
]


def kept_of(row):
    """Whether a row of True, False and None keeps each of the rules."""
    place = [row[name] for name in RULES["exactly_one"][0]]
    return [
        not (row["young"] is True and row["old"] is True),
        place.count(True) == 1 or (place.count(True) == 0 and None in place),
        not (row["goatee"] is True and row["beard"] is False),
        not (row["beard"] is True and row["old"] is False),
    ]


@pytest.fixture
def table(rng):
    """Labels of which a quarter is unknown."""
    y = rng.random((300, len(NAMES))) < 0.4
    known = rng.random(y.shape) < 0.75
    return pd.DataFrame(y, columns=NAMES).astype(object).where(known, None)


@pytest.mark.parametrize("weighted", [False, True])
def test_shares_are_those_of_a_loop(table, rng, weighted):
    """Of all rules and of each, with and without weights, for several forms of y."""
    weights = rng.random(len(table)) if weighted else None
    kept = np.array([kept_of(row) for row in table.to_dict("records")])
    assert 0.1 < kept.all(axis=1).mean() < 0.9
    mixed = table.assign(
        goatee=table["goatee"].map({True: "yes", False: "no"}),
        hair=np.resize(["red", "brown", None], len(table)),
    )
    numbers = table.astype(float)
    for y in (table, numbers, table.astype("boolean"), mixed, mixed.fillna("?")):
        params = {"sample_weight": weights, "missing_label": "?"}
        ours = consistency_score(y, RULES, **params)
        assert isinstance(ours, float)
        assert ours == pytest.approx(np.average(kept.all(axis=1), weights=weights), abs=1e-12)
        each = consistency_score(y, RULES, per_constraint=True, **params)
        assert each.index.tolist() == WORDS
        np.testing.assert_allclose(each, np.average(kept, axis=0, weights=weights), atol=1e-12)


def test_arrays_have_names_and_positions(table):
    """The attributes of an array are y0, y1 and so on, or their positions."""
    numbers = table.astype(float)
    place = {name: j for j, name in enumerate(NAMES)}
    expected = consistency_score(table, RULES)
    for name_of in (place.get, lambda name: f"y{place[name]}"):
        renamed = {
            key: [[name_of(name) for name in group] for group in groups]
            for key, groups in RULES.items()
        }
        assert consistency_score(numbers.to_numpy(), renamed) == expected


def test_no_rule_is_kept_by_all(table):
    """Without rules every row is in order, and there is no share per rule."""
    for empty in (None, {}):
        assert consistency_score(table, empty) == 1
        assert len(consistency_score(table, empty, per_constraint=True)) == 0


def test_declared_classes_make_an_attribute_binary():
    """A column of one string is binary if its two classes are declared."""
    y = pd.DataFrame({"beard": ["no", "no"], "goatee": [0, 1]})
    rules = {"implies": [("goatee", "beard")]}
    assert consistency_score(y, rules, classes={"beard": ["no", "yes"]}) == 0.5
    with pytest.raises(ValueError, match="names 'beard', which is categorical"):
        consistency_score(y, rules)


def test_wrong_input_gets_a_sentence(table):
    """Rules, attributes, weights and containers."""
    with pytest.raises(ValueError, match=r"`constraints\['implies'\]\[0\]` names 'mole'"):
        consistency_score(table, {"implies": [("mole", "beard")]})
    with pytest.raises(ValueError, match="'young' can never be true"):
        impossible = {"at_most_one": [["young", "old"]], "implies": [("young", "old")]}
        consistency_score(table, impossible)
    with pytest.raises(ValueError, match="Negative values"):
        consistency_score(table, RULES, sample_weight=np.full(len(table), -1.0))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        consistency_score(table, RULES, sample_weight=[1.0])
    with pytest.raises(TypeError, match="y is a masked array"):
        consistency_score(np.ma.masked_array(np.eye(2)), RULES)
