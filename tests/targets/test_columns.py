"""The reader of y, and its fast path for tables of small whole numbers."""

import re
from contextlib import nullcontext
from unittest import mock

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from skattr import AttributeEncoder
from skattr._targets.codes import ROWS_AT_ONCE, class_positions, label_counts
from skattr._targets.columns import fill_masked, read_labels
from skattr.exceptions import UnseenLabelError

DTYPES = ["bool", "int8", "uint8", "int64", "float32", "float64", ">i4", ">f8"]


@st.composite
def tables(draw):
    """Draw arrays or DataFrames of small numbers, some missing if they can be."""
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    shape = draw(st.tuples(st.integers(1, 12), st.integers(1, 5)))
    most = draw(st.sampled_from([1, 2, 9, 120]))
    values = draw(hnp.arrays(np.int64, shape, elements=st.integers(0, most)))
    table = values.astype(dtype)
    if dtype.kind == "f":
        table[draw(hnp.arrays(bool, shape))] = np.nan
    if not dtype.isnative or not draw(st.booleans()):
        return table  # pandas does little with bytes in the other order
    return pd.DataFrame(table, columns=[f"name {j}" for j in range(shape[1])])


def read(y, new_rows, *, at_once):
    """Return all that is learned of y and made of new rows, or the error."""
    path = "skattr._targets.columns.LabelTable.integer_codes"
    with nullcontext() if at_once else mock.patch(path, lambda *_: None):
        try:
            encoder = AttributeEncoder().fit(y)
            codes = encoder.transform(new_rows)
        except ValueError as error:
            return type(error), str(error)
    classes = [(one.dtype, one.tolist()) for one in encoder.classes_]
    learned = encoder.kinds_, classes, encoder.known_.tolist(), encoder.output_names_
    return learned, encoder.n_outputs_, codes.dtype, codes.tolist()


@given(tables(), st.data())
def test_the_same_as_a_column_at_a_time(y, data):
    """Kinds, classes, counts, names, codes and errors are the same to the type."""
    n_columns = y.shape[1]
    picked = data.draw(st.lists(st.integers(0, len(y) - 1), min_size=1, max_size=6))
    new_rows = y.iloc[picked] if isinstance(y, pd.DataFrame) else y[picked]
    if data.draw(st.booleans()):
        other = data.draw(hnp.arrays(np.int64, (3, n_columns), elements=st.integers(0, 3)))
        names = y.columns if isinstance(y, pd.DataFrame) else None
        new_rows = other if names is None else pd.DataFrame(other, columns=names)
    assert read(y, new_rows, at_once=True) == read(y, new_rows, at_once=False)


@pytest.mark.parametrize(
    "y",
    [
        np.array([[0.5, 1.0]]),
        np.array([[np.inf, 1.0]]),
        np.array([[-1, 1]]),
        np.array([[-1.0, 1.0]]),
        np.array([[0, 256]]),
        np.array([["0", "1"]]),
        np.array([[0, 1]], dtype=object),
        pd.DataFrame({"a": [0, 1], "b": [0.0, 1.0]}),
        pd.DataFrame({"a": pd.array([0, None], dtype="Int64")}),
        [[0, 1]],
    ],
    ids=repr,
)
def test_other_tables_have_no_integer_codes(y):
    """Tables of other labels than small whole numbers of one type are read by columns."""
    assert read_labels(y).integer_codes() is None


@pytest.mark.parametrize(
    ("y", "missing_label", "codes"),
    [
        (np.array([[0, 1]]), 1, [[0, -1]]),
        (np.array([[0, 1]]), True, [[0, 1]]),
        (np.array([[0, 1]]), "1", [[0, 1]]),
        (np.array([[0, 1]]), np.nan, [[0, 1]]),
        (np.array([[0, 999]]), 999, [[0, -1]]),
        (np.array([[0, 1]], dtype=np.uint8), -1, [[0, 1]]),
        (np.array([[0, 2**63]], dtype=np.uint64), 2**63, [[0, -1]]),
        (np.array([[0.0, np.nan, -1.0]]), -1, [[0, -1, -1]]),
        (np.array([[True, False]]), False, [[1, -1]]),
        (np.array([[True, False]]), 0, [[1, 0]]),
        (np.ma.masked_equal([[0, 7]], 7), None, [[0, -1]]),
        (np.ma.masked_equal([[0.0, np.inf]], np.inf), None, [[0, -1]]),
        (np.ma.masked_array([[True, False]], [[True, False]]), None, [[-1, 0]]),
        (np.array([0, 1]), None, [[0], [1]]),
        (pd.Series([0.0, None]), None, [[0], [-1]]),
        (scipy.sparse.csr_array([[0, 1]]), None, [[0, 1]]),
    ],
)
@pytest.mark.parametrize("largest", [1, 255])
def test_missing_labels_of_integer_tables(y, missing_label, codes, largest):
    """Masks, NaN and a missing label of the column's type are -1, by both of two routes."""
    table = read_labels(y, missing_label)
    assert table.integer_codes(largest).tolist() == codes
    assert AttributeEncoder(missing_label=missing_label).fit(y).transform(y).tolist() == codes
    with mock.patch("skattr._targets.columns.LabelTable.integer_codes", lambda *_: None):
        assert table.indicators().tolist() == codes


def test_labels_unseen_in_fit_are_named():
    """A number that is no class is an error with its column and row."""
    encoder = AttributeEncoder().fit(np.array([[0, 3], [1, 5]]))
    with pytest.raises(UnseenLabelError, match=r"y, column 'y1', row 1: the label 4"):
        encoder.transform(np.array([[0, 5], [0, 4]]))


@pytest.mark.parametrize("dtype", [">i4", ">u2", ">f8", ">U3"])
@pytest.mark.parametrize("is_flat", [False, True])
def test_bytes_in_the_other_order(dtype, is_flat):
    """Labels are the same numbers and strings, of a native type, however they lay in memory."""
    y = np.array([[0, 300], [1, 2], [1, 7]]).astype(dtype)
    y, new = (y[:, 1], y[:1, 1]) if is_flat else (y, y[:1])
    encoder = AttributeEncoder().fit(y)
    expected = AttributeEncoder().fit(y.astype(y.dtype.newbyteorder("=")))
    for one, other in zip(encoder.classes_, expected.classes_, strict=True):
        assert one.dtype == other.dtype and one.dtype.isnative
        assert one.tolist() == other.tolist()
    assert encoder.transform(new).tolist() == expected.transform(new).tolist()
    with pytest.raises(UnseenLabelError, match="row 0: the label '?9"):
        encoder.transform(np.full_like(y, 9))


def test_classes_that_are_no_small_numbers():
    """They have positions that only columns can tell."""
    codes = np.array([[0], [1]])
    assert class_positions(codes, [np.array(["a", "b"])]) is None
    assert class_positions(codes, [np.array([-7, 0, 1, 1000])]).tolist() == [[1], [2]]


@pytest.mark.parametrize("bad", [None, 0.5, -1.0, 256.0, np.inf])
def test_every_row_is_looked_at(bad):
    """Tables are read a part at a time; a value in the last decides like any."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 7, size=(2 * ROWS_AT_ONCE + 3, 2)).astype(float)
    y[rng.random(y.shape) < 0.3] = np.nan
    if bad is not None:
        y[-1, 1] = bad
        assert read_labels(y).integer_codes() is None
        return
    codes = read_labels(y).integer_codes()
    np.testing.assert_array_equal(codes, np.where(np.isnan(y), -1, y))
    for j, counts in enumerate(label_counts(codes)):
        np.testing.assert_array_equal(counts, np.bincount(codes[codes[:, j] >= 0, j], minlength=7))


@given(tables())
def test_fit_transform_is_fit_and_transform(y):
    """All that is learned and returned is the same, or the error."""
    one, other = AttributeEncoder(), AttributeEncoder()
    try:
        expected = one.fit(y).transform(y)
    except ValueError as error:
        with pytest.raises(ValueError, match=re.escape(str(error))):
            other.fit_transform(y)
        return
    found = other.fit_transform(y)
    assert (found.dtype, found.tolist()) == (expected.dtype, expected.tolist())
    assert repr(vars(one)) == repr(vars(other))


@pytest.mark.parametrize("dtype", ["bool", "int8", "int64", "float32", "float64"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("bad", [None, 2])
def test_indicators_are_read_in_blocks(dtype, order, bad):
    """Every row of every memory layout is read, and the last row decides like any other."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, size=(2 * ROWS_AT_ONCE + 3, 3))
    y = np.asarray(truth, dtype=dtype, order=order)
    if y.dtype.kind == "f":
        gaps = rng.random(y.shape) < 0.3
        y[gaps], truth[gaps] = np.nan, -1
    if bad is None or dtype == "bool":
        np.testing.assert_array_equal(read_labels(y).indicators(), truth)
        return
    y[-1, 1] = bad
    with pytest.raises(ValueError, match=rf"y, column 'y1', row {len(y) - 1}: the label 2(.0)? is"):
        read_labels(y).indicators()


def test_names_index_and_columns_are_kept():
    """Names and index are those of the pandas object; columns are numbered by row."""
    frame = pd.DataFrame({"hat": [1, 0], 7: ["a", None]}, index=["x", "y"])
    table = read_labels(frame)
    assert (table.names, table.index.tolist(), table.is_named) == (["hat", 7], ["x", "y"], True)
    pd.testing.assert_frame_equal(table.to_frame(), frame.reset_index(drop=True))
    series = read_labels(pd.Series([1, 0], index=[5, 3], name="bag"))
    assert (series.names, series.index.tolist(), series.is_named) == (["bag"], [5, 3], False)
    plain = read_labels([[1, "a"], [0, "b"]])
    assert (plain.names, plain.index, len(plain)) == (["y0", "y1"], None, 2)


def test_a_table_is_read_once():
    """A table that was read is returned as it is, with its own missing label."""
    table = read_labels([1, 2, 9], 9, "y_true")
    assert read_labels(table, 2) is table
    assert AttributeEncoder().fit_transform(table).tolist() == [[0], [1], [-1]]


def test_masked_labels_of_a_frame_are_missing():
    """A masked array as a DataFrame has None where it is masked."""
    table = read_labels(np.ma.masked_array([["a", "b"], ["c", "d"]], [[0, 1], [0, 0]]))
    frame = table.to_frame()
    assert frame.isna().to_numpy().tolist() == [[False, True], [False, False]]
    assert frame.loc[1].tolist() == ["c", "d"]


@pytest.mark.parametrize(
    ("y", "filled"),
    [
        (np.ma.masked_equal([[0, 9]], 9), [[0.0, None]]),
        (np.ma.masked_equal(["a", "?"], "?"), ["a", None]),
        (np.ma.masked_array([True, False], [True, False]), [None, False]),
        (np.ma.masked_array([True, False], [False, False]), [True, False]),
        ([1, None], [1, None]),
    ],
)
def test_filled_masks(y, filled):
    """What is masked becomes NaN or None; a y without a mask keeps its type."""
    found = fill_masked(y)
    assert not isinstance(found, np.ma.MaskedArray)
    as_list = found if isinstance(found, list) else found.tolist()
    assert pd.DataFrame(as_list).astype(object).replace({np.nan: None}).to_numpy().tolist() == (
        pd.DataFrame(filled).astype(object).replace({np.nan: None}).to_numpy().tolist()
    )
