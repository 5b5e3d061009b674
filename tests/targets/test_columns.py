"""Tables of small whole numbers read at once are what they are read a column at a time."""

import re
from unittest import mock

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from skattr import AttributeEncoder
from skattr._targets.columns import (
    ROWS_AT_ONCE,
    class_positions,
    encode_integer_table,
    label_counts,
)
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
    path = "skattr._targets.encoder.encode_integer_table"
    with mock.patch(path, encode_integer_table if at_once else lambda *_: None):
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
        np.array([0, 1]),
        np.zeros((0, 2)),
        np.ma.masked_equal([[0, 1]], 1),
        pd.DataFrame({"a": [0, 1], "b": [0.0, 1.0]}),
        pd.DataFrame({"a": pd.array([0, None], dtype="Int64")}),
        [[0, 1]],
    ],
    ids=repr,
)
def test_anything_else_is_left_alone(y):
    """What is no table of small whole numbers of one type is read a column at a time."""
    assert encode_integer_table(y, None) is None


def test_a_missing_label_is_left_alone():
    """With one more value for unknown each column is looked at; NaN is none."""
    y = np.array([[0, 1]])
    assert encode_integer_table(y, 1) is None
    assert encode_integer_table(y, np.nan).tolist() == [[0, 1]]


def test_labels_unseen_in_fit_are_named():
    """A number that is no class is an error with its column and row."""
    encoder = AttributeEncoder().fit(np.array([[0, 3], [1, 5]]))
    with pytest.raises(UnseenLabelError, match=r"Column 'y1' of y, row 1: the label 4"):
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
        assert encode_integer_table(y, None) is None
        return
    codes = encode_integer_table(y, None)
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
