"""Tables of tags."""

import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier
from sklearn.preprocessing import MultiLabelBinarizer

from skattr import AttributeClassifier, AttributeEncoder, CalibratedMultiOutputCV
from skattr.datasets import load_attribute_table, tags_to_table
from skattr.exceptions import LabelWarning
from skattr.metrics import f1_score, get_scorer
from skattr.model_selection import cross_val_predict_proba
from skattr.thresholds import find_thresholds

ROWS = st.lists(st.sets(st.sampled_from(["hat", "tie", "a b", "é"])), min_size=1)


@given(ROWS.filter(any))
def test_the_table_is_that_of_scikit_learn(rows):
    """Of collections of any kind, and of texts, the table is that of MultiLabelBinarizer."""
    binarizer = MultiLabelBinarizer()
    expected = binarizer.fit_transform(rows)
    forms = [
        rows, [list(row) for row in rows], [tuple(row) for row in rows],
        [np.array(list(row), dtype=object) for row in rows], pd.Series(rows),
        [frozenset(row) for row in rows], (pd.Series(list(row), dtype=object) for row in rows),
    ]  # fmt: skip
    texts = [[sep.join(row) for row in rows] for sep in ("|", ", ", "||")]
    tables = [tags_to_table(form) for form in forms]
    tables += [tags_to_table(t, separator=s) for t, s in zip(texts, ("|", ",", "||"), strict=True)]
    for table in tables:
        assert list(table) == binarizer.classes_.tolist()
        np.testing.assert_array_equal(table.to_numpy(dtype=int), expected)


def test_missing_rows_and_rows_without_a_tag():
    """None, NaN and pandas.NA are missing; an empty collection or text has no tag."""
    for missing in (None, np.nan, pd.NA):
        tags = pd.Series([["b", "a"], [], missing, ["a", "a"]], index=list("wxyz"))
        table = tags_to_table(tags)
        expected = {"a": [True, False, None, True], "b": [True, False, None, False]}
        assert table.to_dict("list") == expected
        assert table.index.tolist() == list("wxyz")
        codes = AttributeEncoder().fit_transform(table)
        assert codes.tolist() == [[1, 1], [0, 0], [-1, -1], [1, 0]]
    texts = tags_to_table(["b | a", "", None, "a"], separator="|")
    assert texts.to_dict("list") == expected


def test_lists_as_text():
    """A file holds lists of Python as text, which are read if the separator is given."""
    rows = [["b", "a b"], [], ["a b"]]
    expected = tags_to_table(rows)
    for text in ([str(row) for row in rows], [str(tuple(row)) for row in rows]):
        pd.testing.assert_frame_equal(tags_to_table(text, separator=","), expected)
    assert list(tags_to_table(["(a) b, c"], separator=",")) == ["(a) b", "c"]


def test_names_and_no_tag():
    """`names` are the columns in their order, and `no_tag` is none."""
    table = tags_to_table([[3], [1, 3], [0]], names=[3, 2, 1], no_tag=0)
    assert list(table) == [3, 2, 1]
    assert table.to_numpy(dtype=int).tolist() == [[1, 0, 0], [1, 0, 1], [0, 0, 0]]


@pytest.mark.parametrize(
    ("tags", "options", "error", "message"),
    [
        (["a|b"], {}, TypeError, "row 0 must be a collection .*'a|b'; pass the separator"),
        ([["a"], 3], {}, TypeError, "row 1 must be a collection of tags, or missing; got 3"),
        ([["a"], ["b", None]], {}, ValueError, "row 1: None is no tag"),
        ([["a", ["b"]]], {}, ValueError, r"row 0: \['b'\] is no tag"),
        ([["a", 1]], {}, ValueError, "Tags must be of one type"),
        ([[], []], {}, ValueError, "one tag or more"),
        ([["a"], ["b"]], {"names": ["a"]}, ValueError, "row 1: the tag 'b' is not one of"),
        ([["a"]], {"names": ["a", "a"]}, ValueError, "each of them once"),
        ([["a", "none"]], {"no_tag": "none"}, ValueError, "row 0: 'none' means no tag"),
        (["a"], {"separator": 3}, ValueError, "separator of tags must be a str"),
    ],
)
def test_invalid_tags(tags, options, error, message):
    """The error names the row and the tag."""
    with pytest.raises(error, match=message):
        tags_to_table(tags, **options)


TAGS = [["hat", "tie"], ["tie", "coat"], ["coat", "hat"]]
REMEDY = "skattr.datasets.tags_to_table makes a table of them"


@pytest.mark.parametrize(
    "y",
    [
        [["hat", "tie"], ["tie"], []],
        [["hat"], None, ["tie", "hat"]],
        [("hat",), ("tie", "hat")],
        [{"hat"}, {"tie", "hat"}],
        [frozenset("ab"), frozenset("a")],
        [np.array(["hat"]), np.array(["tie", "hat"])],
        TAGS,
        tuple(map(tuple, TAGS)),
        pd.Series(TAGS),
        pd.Series([["hat"], None, {"tie"}]),
        pd.DataFrame({"tags": TAGS, "size": [0, 1, 0]}),
        pd.DataFrame({"size": [0, 1, 0], "tags": [("a",), ("b", "a"), None]}),
        np.array([["hat"], ["tie", "hat"]], dtype=object),
        np.array([{"hat"}, {"tie"}], dtype=object),
        np.array([{1}, {2, 1}], dtype=object),
    ],
)
@pytest.mark.parametrize("missing_label", [None, -1, "?"])
def test_readers_of_labels_name_the_remedy(y, missing_label):
    """Tags given as y are an error that names the function, in every reader."""
    readers = [
        lambda: AttributeEncoder(missing_label=missing_label).fit(y),
        lambda: f1_score(y, [0] * len(y), missing_label=missing_label),
        lambda: find_thresholds(y, np.zeros(len(y))),
    ]
    for read in readers:
        with pytest.raises(ValueError, match=REMEDY):
            read()


@pytest.mark.parametrize(
    "y",
    [
        [["yes", "no"], ["no", "yes"], ["yes", "no"]],
        [["hat", "red"], ["cap", "blue"]],
        [["a", "b"], ["b", "c"], ["a", "a"]],
        [["no", "yes", "no"], ["yes", "no", "yes"]],
        np.array(TAGS),
        pd.DataFrame(TAGS),
        [[1, 2], [2, 3], [3, 1]],
    ],
)
def test_tables_that_are_no_tags(y):
    """Labels of several attributes are read as before, although they resemble tags."""
    codes = AttributeEncoder().fit_transform(y)
    assert codes.shape == np.shape(y)


def test_lists_of_labels_are_no_tags_where_the_attributes_are_known():
    """Two attributes may have the same colors; what is fitted, declared or predicted says so."""
    y = [["red", "black"], ["black", "blue"], ["blue", "red"]] * 8
    X = np.eye(3)[np.arange(24) % 3]
    with pytest.raises(ValueError, match=REMEDY):
        AttributeEncoder().fit(y)
    colors = ("categorical", ["red", "black", "blue"])
    declared = {"y0": colors, "y1": colors}
    encoder = AttributeEncoder().fit(np.array(y))
    expected = encoder.transform(np.array(y))
    np.testing.assert_array_equal(encoder.transform(y), expected)
    np.testing.assert_array_equal(
        AttributeEncoder(declared).fit_transform(y)[:3], [[0, 1], [1, 2], [2, 0]]
    )
    with pytest.raises(ValueError, match=REMEDY):
        AttributeEncoder({"y0": colors}).fit(y)
    assert f1_score(np.array(y), y) == f1_score(y, np.array(y)) == 1
    with pytest.raises(ValueError, match=REMEDY):
        f1_score(y, y)
    forest = RandomForestClassifier(5, random_state=0).fit(X, np.array(y))
    assert get_scorer("macro_f1")(forest, X, y) == 1
    calibrated = CalibratedMultiOutputCV(forest, cv="prefit").fit(X, y)
    np.testing.assert_array_equal(calibrated.predict(X), y)
    classifier = AttributeClassifier(attributes=declared, max_epochs=1, random_state=0)
    folds = cross_val_predict_proba(classifier, X, y, cv=2, random_state=0)
    as_array = cross_val_predict_proba(classifier, X, np.array(y), cv=2, random_state=0)
    np.testing.assert_array_equal(folds, as_array)


def test_a_sparse_table_is_no_collection():
    """Indicators of tags, as MultiLabelBinarizer writes them, are labels."""
    sparse = MultiLabelBinarizer(sparse_output=True).fit_transform(TAGS)
    assert scipy.sparse.issparse(sparse)
    np.testing.assert_array_equal(
        AttributeEncoder().fit_transform(sparse), tags_to_table(TAGS).to_numpy(dtype=int)
    )


@pytest.mark.parametrize(
    ("tags", "options", "words"),
    [
        (["Cardiomegaly;Hernia", "Hernia"], {"separator": "|"}, "separator ';'"),
        ([["hat", "Hat"], ["tie"]], {}, r"\['Hat', 'hat'\]: write each tag in one way"),
        ([["hat", "N/A"], ["tie"]], {}, r"\['N/A'\]: replace them by None"),
    ],
)
def test_tags_that_look_like_mistakes(tags, options, words):
    """They would become attributes; `names` says that they are right."""
    with pytest.warns(LabelWarning, match=words):
        table = tags_to_table(tags, **options)
    again = tags_to_table(tags, names=list(table.columns), **options)
    pd.testing.assert_frame_equal(again, table)


def test_tags_without_mistakes_are_silent():
    """Names of several words, and numbers, are tags."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        tags_to_table([["New York, NY"], ["Boston, MA"]])
        tags_to_table([[1, 2], [3]])
        tags_to_table([["rock & roll"], ["jazz"]])
    assert not caught


def test_a_wrong_separator_of_a_file_is_named(tmp_path):
    """The warning names the parameters of the loader."""
    file = tmp_path / "labels.csv"
    file.write_text("path,finding\na.png,Hernia;Mass\nb.png,Hernia\n")
    with pytest.warns(LabelWarning, match=r"`tag_separator`.* tags=\{'finding': \[\.\.\.\]\}"):
        load_attribute_table(file, tags="finding")
    labels = load_attribute_table(file, tags="finding", tag_separator=";")
    assert list(labels.target) == ["Hernia", "Mass"]
