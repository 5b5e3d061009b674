"""Consistency scores, compared with a loop over rows."""

import numpy as np
import pandas as pd
import pytest

from skattr.metrics import consistency_score

CONSTRAINTS = {
    "at_most_one": [["young", "old"]],
    "exactly_one": [["indoor", "outdoor", "studio"]],
    "implies": [("goatee", "beard"), ("beard", "old")],
}
NAMES = ["young", "old", "indoor", "outdoor", "studio", "goatee", "beard"]
DESCRIPTIONS = [
    "at most one of young, old",
    "exactly one of indoor, outdoor, studio",
    "goatee -> beard",
    "beard -> old",
]


def satisfied_by(row):
    """Tell whether a row of True, False and None satisfies each of the constraints."""
    places = [row[name] for name in CONSTRAINTS["exactly_one"][0]]
    return [
        not (row["young"] is True and row["old"] is True),
        places.count(True) == 1 or (places.count(True) == 0 and None in places),
        not (row["goatee"] is True and row["beard"] is False),
        not (row["beard"] is True and row["old"] is False),
    ]


@pytest.fixture
def table(rng):
    """Return labels of which a quarter is missing."""
    y = rng.random((300, len(NAMES))) < 0.4
    known = rng.random(y.shape) < 0.75
    return pd.DataFrame(y, columns=NAMES).astype(object).where(known, None)


@pytest.mark.parametrize("weighted", [False, True])
def test_shares_equal_a_loop(table, rng, weighted):
    """For all constraints and each, with and without weights, for several forms of y."""
    weights = rng.random(len(table)) if weighted else None
    satisfied = np.array([satisfied_by(row) for row in table.to_dict("records")])
    assert 0.1 < satisfied.all(axis=1).mean() < 0.9
    mixed = table.assign(
        goatee=table["goatee"].map({True: "yes", False: "no"}),
        hair=np.resize(["red", "brown", None], len(table)),
    )
    numbers = table.astype(float)
    for y in (table, numbers, table.astype("boolean"), mixed, mixed.fillna("?")):
        params = {"sample_weight": weights, "missing_label": "?"}
        ours = consistency_score(y, CONSTRAINTS, **params)
        assert isinstance(ours, float)
        assert ours == pytest.approx(np.average(satisfied.all(axis=1), weights=weights), abs=1e-12)
        each = consistency_score(y, CONSTRAINTS, per_constraint=True, **params)
        assert each.index.tolist() == DESCRIPTIONS
        np.testing.assert_allclose(each, np.average(satisfied, axis=0, weights=weights), atol=1e-12)


def test_arrays_have_names_and_positions(table):
    """The attributes of an array are y0, y1 and so on, or their positions."""
    numbers = table.astype(float)
    place = {name: j for j, name in enumerate(NAMES)}
    expected = consistency_score(table, CONSTRAINTS)
    for name_of in (place.get, lambda name: f"y{place[name]}"):
        renamed = {
            key: [[name_of(name) for name in group] for group in groups]
            for key, groups in CONSTRAINTS.items()
        }
        assert consistency_score(numbers.to_numpy(), renamed) == expected


def test_every_row_satisfies_no_constraints(table):
    """The share is 1, and there is no share per constraint."""
    for empty in (None, {}):
        assert consistency_score(table, empty) == 1
        assert len(consistency_score(table, empty, per_constraint=True)) == 0


def test_declared_classes_make_an_attribute_binary():
    """A column of one string is binary if its two classes are declared."""
    y = pd.DataFrame({"beard": ["no", "no"], "goatee": [0, 1]})
    constraints = {"implies": [("goatee", "beard")]}
    declared = {"beard": ("binary", ["no", "yes"])}
    assert consistency_score(y, constraints, attributes=declared) == 0.5
    with pytest.raises(ValueError, match="names 'beard', which is categorical"):
        consistency_score(y, constraints)


def test_rejects_invalid_arguments(table):
    """Constraints, attributes, weights and containers."""
    with pytest.raises(ValueError, match=r"`constraints\['implies'\]\[0\]` names 'mole'"):
        consistency_score(table, {"implies": [("mole", "beard")]})
    with pytest.raises(ValueError, match="'young' can never be true"):
        impossible = {"at_most_one": [["young", "old"]], "implies": [("young", "old")]}
        consistency_score(table, impossible)
    with pytest.raises(ValueError, match="Negative values"):
        consistency_score(table, CONSTRAINTS, sample_weight=np.full(len(table), -1.0))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        consistency_score(table, CONSTRAINTS, sample_weight=[1.0])
