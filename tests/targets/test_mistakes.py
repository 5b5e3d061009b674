"""Labels that are probably mistakes of a table: one warning lists them, and what mends them."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier

from skattr import (
    AttributeClassifier,
    AttributeEncoder,
    CalibratedMultiOutputCV,
    ThresholdCalibrator,
    TunedThresholdMultiOutputCV,
)
from skattr._targets.mistakes import find_tags
from skattr.exceptions import LabelWarning
from skattr.model_selection import cross_val_predict_proba

RNG = np.random.default_rng(0)


def mistakes(y, **params):
    """Return the text of the only warning of AttributeEncoder.fit, "" if there is none."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        AttributeEncoder(**params).fit(y)
    texts = [str(warning.message) for warning in caught if warning.category is LabelWarning]
    assert len(texts) <= 1
    assert all(warning.filename == __file__ for warning in caught)
    return "".join(texts)


def column(*labels, n=40):
    """Return a column of n random labels, each of which occurs."""
    return [*labels, *RNG.choice(np.array(labels, dtype=object), n - len(labels))]


def forms(labels):
    """Return a column in several containers and dtypes."""
    yield labels
    yield np.array(labels, dtype=object)
    yield pd.Series(labels)
    yield pd.DataFrame({"y0": labels, "y1": np.arange(len(labels)) % 2})
    yield pd.Series(labels, dtype="category")
    if isinstance(labels[0], str):
        yield np.array(labels)
        yield pd.Series(labels, dtype="string")


MISSING = ["", " ", "nan", "NaN", "None", "NA", "N/A", "n/a", "<NA>", "?", " ? ", "null", "NULL",
           "NaT", "#N/A", "-", "--", ".", "\t"]  # fmt: skip


@pytest.mark.parametrize("text", MISSING)
def test_missing_labels_written_as_text(text):
    """They are named with column and parameter, unless it is passed or they are declared."""
    for y in forms(column("cat", "dog", text)):
        message = mistakes(y)
        assert f"Missing labels written as text in 'y0' [{text!r}]" in message
        assert "pass one of them as `missing_label`" in message
        assert "declare the classes of their columns in `attributes`" in message
        assert not mistakes(y, missing_label=text)
        for kind in ("categorical", "ordinal"):
            assert not mistakes(y, attributes={0: (kind, ["cat", "dog", text])})
    ordered = pd.Categorical(column("cat", text), ["cat", text], ordered=True)
    assert not mistakes(pd.Series(ordered))
    assert repr(text) in mistakes(column("hat", text), attributes={0: ("binary", "hat")})


@pytest.mark.parametrize(
    "labels", [["none", "mild", "severe"], ["unknown", "known"], ["nano", "a"]]
)
def test_words_that_are_classes_of_many_tables(labels):
    """They are no missing labels."""
    assert not mistakes(column(*labels))


@pytest.mark.parametrize("number", [int, float, str, "int8"])
def test_a_negative_number_beside_zero_and_one(number):
    """-1 and other sentinels are named, in numbers and in strings; -1 and 1 are a usual pair."""

    def read(*labels):
        labels = column(*labels)
        return [number(label) for label in labels] if callable(number) else np.array(labels, number)

    for labels in ([-1, 0, 1], [0, 1, -99], [-1, 0], [-1, 0, 1, 2]):
        message = mistakes(read(*labels))
        bad = min(labels) if not callable(number) else number(min(labels))
        assert f"A negative number beside 0, 1, ... in 'y0' [{bad!r}]" in message
        assert "as `missing_label` if it marks a missing label" in message
    if number is not str:
        assert not mistakes(read(-1, 0, 1), missing_label=-1)
    for labels in ([-1, 1], [-2, -1, 0, 1, 2], [0, 1, 2], [-5, 0, 5], [1, 2]):
        assert "negative" not in mistakes(read(*labels))


def test_tables_of_many_columns_are_listed_in_part():
    """Ten columns of each kind are named, and the others counted."""
    y = RNG.integers(-1, 2, size=(60, 14))
    message = mistakes(y)
    assert "'y0' [-1], 'y1' [-1]" in message and "and 4 more columns: pass it as" in message
    assert "'y10'" not in message


@pytest.mark.parametrize(
    ("labels", "alike"),
    [
        (["Yes", "yes", "no "], ["Yes", "yes"]),
        (["red", "red ", "blue"], ["red", "red "]),
        (["dark blue", "dark  blue", "x"], ["dark  blue", "dark blue"]),
        (["a\u00a0b", "a b", "x"], ["a b", "a\u00a0b"]),
        (["STRASSE", "Straße", "x"], ["STRASSE", "Straße"]),
        (["caf\u00e9", "cafe\u0301", "x"], ["cafe\u0301", "caf\u00e9"]),
        (["1", "1.0", "2"], ["1", "1.0"]),
        (["no", "No"], ["No", "no"]),
    ],
)
def test_levels_that_differ_in_case_or_blanks(labels, alike):
    """They are listed together; each is a class of its own until it is mended or declared."""
    for y in forms(column(*labels)):
        message = mistakes(y)
        assert f"Levels that differ in case, blanks or notation only in 'y0' {alike!r}" in message
        assert not mistakes(y, attributes={0: ("categorical", labels)})


@pytest.mark.parametrize(
    ("cells", "separator"),
    [
        (["A|B", "A", "C"], "|"), (["A|B", "C|D"], "|"), (["A;B", "B"], ";"), (["A; B", "C"], ";"),
        (["A, B", "A", "B"], ","), (["A,B", "B,C", "A,C"], ","), (["A/B", "B", "A"], "/"),
        (["A + B", "A", "B"], "+"), (["cat dog", "cat", "dog"], " "), (["A_B", "A", "B"], "_"),
        (["A-B", "B", "A"], "-"), (["A||B", "A"], "||"), (["A\tB", "B"], "\t"),
        (["1,2", "1", "2"], ","), (["A, B", "A", "C"], ","),
        (["['a', 'b']", "['a']", "['b']"], ","), (["Pleural Mass|Edema", "Edema"], "|"),
        (["A and B", "A", "B"], " and "), (["A und B", "B", "A"], " und "),
        (["A.B", "A", "B"], "."),
        (["A : B", "A", "B"], ":"), (["A -> B", "A", "B"], "->"), (["A\nB", "B"], "\n"),
    ],
)  # fmt: skip
def test_several_labels_in_one_cell(cells, separator):
    """Whatever separates them, with the remedy."""
    for y in forms(column(*cells)):
        message = mistakes(y)
        assert "Several labels in one cell in 'y0'" in message
        assert (
            f"(separator {separator!r})" in message and "skattr.datasets.tags_to_table" in message
        )
        assert not mistakes(y, attributes={0: ("categorical", cells)})


@pytest.mark.parametrize(
    "cells",
    [
        ["t-shirt", "dress", "top"], ["New York, NY", "Boston, MA"], ["light blue", "blue", "red"],
        ["no hat", "hat"], ["(0, 10]", "(10, 20]", "(20, 30]"], ["[0, 1)", "[1, 2)"],
        ["3/5", "4/5", "5/5", "5/4"], ["1,000", "1", "10"],
        ["t-shirt/top", "top"],
        ["2020-01", "2020-02"], ["0-2", "4-6", "8-12"], ["x,y", "z"],
        ["R&B", "Rock & Roll", "Rock"], ["a.b", "c.d"], ["St. John's", "St. Mary's"],
    ],
)  # fmt: skip
def test_cells_that_hold_one_label(cells):
    """Names of several words, intervals, dates and fractions are no lists."""
    assert find_tags(cells) is None
    assert not mistakes(column(*cells))


def test_columns_of_names():
    """A column with more classes than half its rows is named; digits and rare levels are not."""
    files = [f"image_{j}.jpg" for j in range(40)]
    for labels in (
        files,
        [*files[:30], *files[:10]],
        list(range(40)),
        [f"{j:04d}" for j in range(40)],
    ):
        for y in forms(labels):
            message = mistakes(y)
            assert "About as many classes as rows in 'y0'" in message
            assert "leave the column out of y" in message
    assert not mistakes(column(*range(10)))
    assert not mistakes(column(*"abcdefghijklmnopqr"))
    assert "About" in mistakes([*files, *[None] * 200])  # missing rows do not count
    assert not mistakes(list("abcdefgh"))  # too few rows to judge


def test_constant_columns():
    """Strings, zeros, ones and bools are named, also beside others; declared ones are not."""
    y = pd.DataFrame(
        {"a": ["x"] * 9, "b": 0, "c": [1, 0, None] * 3, "d": True, "e": [1.0, *[None] * 8]}
    )
    message = mistakes(y)
    assert "A single label in all rows in 'a' ['x'], 'b', 'd': nothing can be learned" in message
    array = np.zeros((20, 3), dtype=int)
    array[0, 1] = 1
    assert "A single label in all rows in 'y0', 'y2':" in mistakes(array)
    assert "'y0'" in mistakes(np.where(array, 1, np.nan)[:, 1:2].tolist() + [[1]])
    declared = {
        "a": ("categorical", ["x", "y"]),
        "b": ("binary", [0, 1]),
        "d": ("binary", [False, True]),
    }
    assert not mistakes(y, attributes=declared)
    assert not mistakes(pd.Series(pd.Categorical(["x"] * 9, ["x", "y"], ordered=True)))


def test_one_warning_lists_every_kind():
    """In one text, each kind with its columns and its remedy."""
    y = pd.DataFrame(
        {
            "gap": column("a", "b", "?", ""), "code": column(0, 1, -1),
            "case": column("Red", "red"),
            "tags": column("A|B", "A"), "file": [f"{j}.png" for j in range(40)], "one": 0,
            "good": column("no", "yes"), "fine": column(0, 1),
        }
    )  # fmt: skip
    message = mistakes(y)
    order = [message.index(f"'{name}'") for name in ("gap", "code", "case", "tags", "file", "one")]
    assert order == sorted(order)
    assert "'good'" not in message and "'fine'" not in message
    assert "['', '?']" in message


def test_fits_warn_once():
    """Every estimator that encodes y warns once, with all of its folds and clones."""
    X = RNG.normal(size=(60, 2))
    y = np.array(column("a", "b", "nan", n=60))
    y = np.stack([y, np.where(X[:, 0] > 0, "no", "yes")], axis=1)
    y_of = {"declared": {0: ("categorical", ["a", "b", "nan"])}, "read": None}
    forest = RandomForestClassifier(5, random_state=0)

    def net(attributes, **params):
        return AttributeClassifier(attributes=attributes, max_epochs=1, random_state=0, **params)

    fits = {
        "fit": lambda a: net(a).fit(X, y),
        "partial_fit": lambda a: net(a).partial_fit(X, y).partial_fit(X, y),
        "cross_fit": lambda a: net(a, cross_fit=3).fit_transform(X, y),
        "add": lambda a: AttributeClassifier(max_epochs=1).fit(X, y[:, 1]).add_attributes(
            X, pd.DataFrame({"new": y[:, 0]}), attributes=a and {"new": a[0]}
        ),
        "encoder": lambda a: AttributeEncoder(a).fit_transform(y),
        "calibrator": lambda a: ThresholdCalibrator(attributes=a).fit(RNG.random((60, 4)), y),
        "tuned": lambda a: TunedThresholdMultiOutputCV(net(a), cv=3).fit(X, y),
        "tuned once": lambda a: TunedThresholdMultiOutputCV(net(a), cv=0.3, refit=False).fit(X, y),
        "calibrated": lambda a: CalibratedMultiOutputCV(net(a), cv=3).fit(X, y),
        "out of fold": lambda a: cross_val_predict_proba(net(a), X, y, cv=3),
        "forest": lambda a: a or TunedThresholdMultiOutputCV(forest, cv=3).fit(X, y),
    }  # fmt: skip
    for name, fit in fits.items():
        for kind, attributes in y_of.items():
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                fit(attributes)
            found = [w for w in caught if w.category is LabelWarning]
            assert len(found) == (kind == "read"), (name, kind)
            assert all(w.filename == __file__ for w in found)
            assert all("['nan']" in str(w.message) for w in found)


def test_streams_and_tuned_thresholds_do_not_warn_of_constant_columns():
    """A batch may lack a rare label, and ThresholdNotTunedWarning names such columns."""
    X, y = RNG.normal(size=(30, 2)), np.zeros((30, 2), dtype=int)
    y[::2, 0] = 1
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        AttributeClassifier().partial_fit(X, y)
        TunedThresholdMultiOutputCV(AttributeClassifier(max_epochs=1), cv=3).fit(X, y)
    assert LabelWarning not in [w.category for w in caught]
    with pytest.warns(LabelWarning, match="A single label in all rows in 'y1'"):
        AttributeClassifier(max_epochs=1).fit(X, y)


@pytest.mark.parametrize(
    ("labels", "is_named"),
    [
        ([*"abcdefghij"] * 2, False),  # half as many classes as rows
        ([*"abcdefghij", *"abcdefghi"], True),
        ([*"abcdefghi"], False),  # too few to judge
        ([*"abcdefghij"], True),
        ([*range(10), *range(10)], False),
        ([*range(10), *range(9)], True),
    ],
)
def test_as_many_classes_as_rows_are_more_than_half_and_ten(labels, is_named):
    """The limits of the docstring's rule, on either side of them."""
    assert ("About as many classes as rows" in mistakes(labels)) == is_named


def test_one_known_label_is_not_constant():
    """Two equal ones are; the bools False and True are no sentinel and no constant."""
    assert not mistakes([["x", 0], [None, 1]])
    assert "A single label in all rows in 'y0' ['x']" in mistakes([["x", 0], ["x", 1]])
    assert not mistakes([True, False, True])


@pytest.mark.parametrize(("n", "more"), [(10, ""), (11, " and 1 more columns")])
def test_ten_columns_are_listed(n, more):
    """The eleventh is counted."""
    message = mistakes(np.tile([[-1], [0], [1]], (5, n)))
    assert f"'y9' [-1]{more}: pass it as" in message
