"""Columns are matched by name, rows by the index of pandas objects."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import Pipeline

from skattr._targets.alignment import align_rows, column_order, match_columns
from skattr._targets.columns import read_labels
from skattr.exceptions import RowIndexWarning


@pytest.mark.parametrize(
    ("given", "wanted", "order"),
    [
        (["a", "b"], ["a", "b"], None),
        (["c", "a", "b"], ["a", "b", "c"], [1, 2, 0]),
        ([2, 0, 1], [0, 1, 2], [1, 2, 0]),
        (["1", "0"], [0, 1], [1, 0]),  # names that became strings in a file
        ([0, 1], ["a", "b"], None),  # columns without names
        (["a", "b"], [0, 1], None),
        (["a", "b"], ["y0", "y1"], None),  # labels that were an array
        (["y1", "y0"], ["y0", "y1"], [1, 0]),
        ([("x", 1), ("x", 0)], [("x", 0), ("x", 1)], [1, 0]),
    ],
)
def test_column_order(given, wanted, order):
    """Equal names are matched in any order; numbered columns are matched by position."""
    assert column_order(given, wanted, "y", "X") == order


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["a", "b"], r"y lacks \['c'\]\. Columns are matched by name; those of X are \['a', 'b'"),
        (["a", "b", "c", "d"], r"y also has \['d'\]"),
        (["a", "b", "x"], r"y lacks \['c'\] and also has \['x'\]"),
        (["a", "b", "b"], r"y has the column names \['b'\] more than once"),
        ([1, 0, 2], r"y lacks \['a', 'b', 'c'\] and also has \[1, 0, 2\]"),
    ],
)
def test_other_columns_are_an_error(given, message):
    """The message names what is lacking and what is there besides."""
    with pytest.raises(ValueError, match=message):
        column_order(given, ["a", "b", "c"], "y", "X")


@pytest.mark.parametrize(
    ("given", "wanted"), [([0, 2], [0, 1]), (["y0", "y2"], ["y0", "y1"]), ([1, 2], [0, 1])]
)
def test_chosen_numbers_are_names(given, wanted):
    """Some columns of a larger table are not those of the numbered one by position."""
    with pytest.raises(ValueError, match="y lacks"):
        column_order(given, wanted, "y", "X")


def test_match_columns_moves_the_values():
    """A column keeps its values, its dtype and the index."""
    table = pd.DataFrame({"b": [1, 2], "a": ["x", "y"]}, index=[5, 4])
    expected = pd.DataFrame({"a": ["x", "y"], "b": [1, 2]}, index=[5, 4])
    pd.testing.assert_frame_equal(match_columns(table, ["a", "b"], "y", "X"), expected)
    array = table.to_numpy()
    assert match_columns(array, ["a", "b"], "y", "X") is array


def test_a_table_of_labels_is_matched():
    """Arrays in a frame and columns of several dtypes are moved alike."""
    numbers = read_labels(pd.DataFrame({"b": [1, 0], "a": [0, 0]})).matched(["a", "b"], "X")
    assert (numbers.names, numbers.indicators().tolist()) == (["a", "b"], [[0, 1], [0, 0]])
    mixed = read_labels(pd.DataFrame({"b": [1, 0], "a": ["x", None]})).matched(["a", "b"], "X")
    assert (mixed.names, mixed.known_labels(0).tolist()) == (["a", "b"], ["x"])
    series = read_labels(pd.Series([0, 1], name="hat"))
    matched = series.matched(["bag"], "X")  # a single column is matched by position
    assert (matched.names, matched.data is series.data) == (["hat"], True)


class OtherFrame:
    """A DataFrame that is not of pandas, as far as its names and values go."""

    columns = ("b", "a")

    def __array__(self, dtype=None, copy=None):
        return np.array([[1, 0], [0, 0], [1, 1]])

    def __getitem__(self, key):
        rows, order = key
        return np.asarray(self)[rows, order]


def test_names_of_other_frames_are_read():
    """Columns of a frame that is not of pandas are matched by name, too."""
    table = read_labels(OtherFrame())
    assert (table.names, table.is_named) == (["b", "a"], True)
    assert table.matched(["a", "b"], "X").indicators()[:, 1].tolist() == [1, 0, 1]
    assert match_columns(OtherFrame(), ["a", "b"], "y", "X")[:, 1].tolist() == [1, 0, 1]


def indexed(labels):
    """Return a Series with row labels."""
    return pd.Series(range(len(labels)), index=labels)


PAIRS = pd.MultiIndex.from_tuples([(0, "a"), (0, "b")])
EQUAL = [
    (range(3), range(3)),
    ([2, 0, 1], [2, 0, 1]),
    ([0, 1, 2], [0.0, 1.0, 2.0]),
    (list("aab"), list("aab")),
    ([0, 0, 0], [0, 0, 0]),
    (PAIRS, PAIRS),
    ([np.nan, 1.0], [np.nan, 1.0]),
    (range(3), range(4)),  # another length is for others to say
]
PERMUTED = [
    (range(3), [2, 0, 1]),
    ([2, 0, 1], range(3)),
    (range(3), range(2, -1, -1)),
    (list("abc"), list("cab")),
    (list("aab"), list("aba")),
    (PAIRS, PAIRS[::-1]),
    ([np.nan, 1.0], [1.0, np.nan]),
    (pd.CategoricalIndex(["a", "b"]), ["b", "a"]),
    (pd.date_range("2024", periods=2), pd.date_range("2024", periods=2)[::-1]),
]
OTHER = [
    (range(3), range(1, 4)),
    (range(3), [7, 1, 0]),
    (list("abc"), list("abd")),
    (list("aab"), list("abb")),
    ([0, 1], ["0", "1"]),
    (PAIRS, range(2)),
]


@pytest.mark.parametrize(("first", "second"), EQUAL)
def test_equal_indexes(first, second):
    """Nothing happens, and nothing is copied."""
    X, y = indexed(first), indexed(second)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = align_rows(X=X, y=y, groups=None, sample_weight=np.ones(3))
    assert found[0] is X
    assert found[1] is y


@pytest.mark.parametrize(("first", "second"), PERMUTED)
def test_permuted_indexes_are_an_error(first, second):
    """The message says how to align, and the advice works if labels are unique."""
    X, y = indexed(first), indexed(second)
    with pytest.raises(
        ValueError, match="index of y has the labels of the index of X in another"
    ) as e:
        align_rows(X=X, groups=[1, 2, 3], y=y)
    advice = "Pass y.loc[X.index]" if X.index.is_unique else "Labels repeat"
    assert advice in str(e.value)
    if X.index.is_unique:
        align_rows(X=X, y=y.loc[X.index])
    y.index = X.index  # the other advice
    align_rows(X=X, y=y)


@pytest.mark.parametrize(("first", "second"), OTHER)
def test_other_indexes_are_one_warning(first, second):
    """There is one warning for all arguments, and none for what is returned."""
    X, y = indexed(first), indexed(second)
    with pytest.warns(RowIndexWarning, match="indexes of X and y have different labels") as caught:
        X2, y2, weight = align_rows(X=X, y=y, sample_weight=y * 2)
    assert len(caught) == 1
    assert y2.tolist() == y.tolist()
    assert y.index.tolist() == indexed(second).index.tolist()  # the caller's is not changed
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        align_rows(X=X2, y=y2, sample_weight=weight)


def test_parts_of_a_list_have_rows():
    """Scores in a list of DataFrames are compared; other lists have no index."""
    scores = [pd.DataFrame({"a": [0.1, 0.2]}), pd.DataFrame({"b": [0.1, 0.2]}, index=[1, 0])]
    with pytest.raises(ValueError, match="index of y_score has the labels"):
        align_rows(y_true=pd.Series([0, 1]), y_score=scores)
    align_rows(y_true=pd.Series([0, 1], index=[1, 0]), y_score=[[0.1], [0.2]], paths=["a", "b"])


class Numbered:
    """A step that returns a DataFrame for an array, as with ``set_output``."""

    def fit(self, X, y=None):
        """Compare X, as it comes from the step before, with y."""
        align_rows(X=pd.DataFrame(X), y=y)
        return self

    def transform(self, X):
        """Return the rows."""
        return X


def test_pipelines_number_rows():
    """The default index of what a step returns is not the user's; the same labels still are."""
    X = np.zeros((3, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Pipeline([("step", Numbered())]).fit(X, indexed([7, 9, 8]))
    with pytest.raises(ValueError, match="in another order"):
        Pipeline([("step", Numbered())]).fit(X, indexed([2, 0, 1]))
    with pytest.warns(RowIndexWarning):
        Numbered().fit(X, indexed([7, 9, 8]))
