"""Encoding of tables of labels as integer codes, and decoding."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.preprocessing import LabelEncoder, OrdinalEncoder

from skattr import AttributeEncoder
from skattr._targets.declarations import as_attributes, with_classes
from skattr.exceptions import UnseenLabelError

INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
FLOATS = ["float16", "float32", "float64"]


def one_column(y, **params):
    """Fit an encoder on one column: kind, classes and codes."""
    encoder = AttributeEncoder(**params).fit(y)
    return encoder.kinds_[0], encoder.classes_[0], encoder.transform(y)[:, 0]


def assert_round_trip(encoder, y, columns):
    """Check that known labels are decoded to equal labels, and missing ones to None."""
    codes = encoder.transform(y)
    labels = encoder.inverse_transform(codes)
    labels = labels if labels.ndim == 2 else labels[:, np.newaxis]
    assert codes.dtype == np.int64
    assert codes.shape == labels.shape == (len(columns[0]), len(columns))
    for j, column in enumerate(columns):
        for row, label in enumerate(column):
            if label is None:
                assert codes[row, j] == -1
                assert labels[row, j] is None
            else:
                assert labels[row, j] == label
                assert isinstance(label, bool) == isinstance(labels[row, j], bool | np.bool_)
                assert isinstance(label, str) == isinstance(labels[row, j], str)


# --- dtypes ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "as_series"),
    [
        *((dtype, False) for dtype in [*INTEGERS, *FLOATS, "bool", "U3", "T"]),
        *((dtype, True) for dtype in [*INTEGERS, *FLOATS, "bool", "U3"]),
    ],
)
def test_arrays_are_decoded_to_their_own_dtype(dtype, as_series):
    """A fully known column comes back equal and in the dtype it had (strings as numpy's)."""
    values = [1, 0, 1, 1] if dtype == "bool" else [3, 1, 3, 2]
    dtype = np.dtypes.StringDType() if dtype == "T" else np.dtype(dtype)
    y = np.array([f"l{v}" for v in values] if dtype.kind in "UT" else values).astype(dtype)
    encoder = AttributeEncoder().fit(pd.Series(y) if as_series else y)
    labels = encoder.inverse_transform(encoder.transform(y))
    assert labels.tolist() == y.tolist()
    assert labels.shape == (4,)
    if dtype.kind in "UT":
        assert labels.dtype.kind == encoder.classes_[0].dtype.kind == "U"
    else:
        assert labels.dtype == encoder.classes_[0].dtype == dtype
    assert encoder.classes_[0].tolist() == np.unique(y).tolist()


@pytest.mark.parametrize(
    ("values", "dtype", "kind"),
    [
        ([2, None, 5, 2], "Int64", "i"),
        ([2, None, 5, 2], "Int8", "i"),
        ([2, None, 5, 2], "UInt16", "u"),
        ([2, None, 5, 2], "Float64", "f"),
        ([2, None, 5, 2], "float64", "f"),
        ([2, None, 5, 2], object, "i"),
        ([2, None, 5, 2], "category", "i"),
        ([1, None, 0, 1], "Int64", "i"),
        ([True, None, False, True], "boolean", "b"),
        ([True, None, False, True], object, "b"),
        ([True, None, False, True], "category", "b"),
        (["b", None, "NA", "b"], "string", "U"),
        (["b", None, "NA", "b"], "str", "U"),
        (["b", None, "NA", "b"], object, "U"),
        (["b", None, "NA", "b"], "category", "U"),
    ],
)
@pytest.mark.parametrize("container", ["Series", "DataFrame", "pandas array", "numpy array"])
def test_columns_with_missing_labels_are_decoded(values, dtype, kind, container):
    """Every dtype that can miss a label keeps its kind, and never becomes object."""
    if dtype == "category" and kind == "i":
        series = pd.Series(pd.Categorical(pd.array(values, dtype="Int64")))
    else:
        series = pd.Series(values, dtype=dtype)
    y = {
        "Series": series,
        "DataFrame": series.to_frame("a"),
        "pandas array": series.array,
        "numpy array": series.to_numpy(dtype=object),
    }[container]
    encoder = AttributeEncoder().fit(y)
    is_unsigned = kind == "u" and container == "numpy array"  # an array of Python's own ints
    assert encoder.classes_[0].dtype.kind == ("i" if is_unsigned else kind)
    assert encoder.known_.tolist() == [3]
    assert_round_trip(encoder, y, [values])


def test_a_table_of_mixed_columns():
    """A DataFrame of every dtype: kinds, classes and names are read from it."""
    y = pd.DataFrame(
        {
            "hat": pd.array([True, None, False], dtype="boolean"),
            "count": pd.array([3, 1, None], dtype="Int64"),
            "neck": pd.Series(["NA", "v", None], dtype="string"),
            "sleeve": pd.Series(["long", None, "short"], dtype="str"),
            "color": pd.Categorical(["red", "blue", None], categories=["red", "blue", "green"]),
            "age": pd.Categorical(
                ["old", None, "young"], categories=["young", "old"], ordered=True
            ),
            7: [0.0, np.nan, 1.0],
        }
    ).set_index(pd.Index([5, 5, 2]))
    encoder = AttributeEncoder().fit(y)
    assert encoder.output_names_ == list(y.columns)
    assert encoder.kinds_ == [
        "binary", "binary", "binary", "binary", "categorical", "ordinal", "binary",
    ]  # fmt: skip
    assert [classes.tolist() for classes in encoder.classes_] == [
        [False, True], [1, 3], ["NA", "v"], ["long", "short"], ["blue", "green", "red"],
        ["young", "old"], [0.0, 1.0],
    ]  # fmt: skip
    assert encoder.known_.tolist() == [2] * 7
    columns = [y[name].astype(object).where(y[name].notna(), None).tolist() for name in y]
    assert_round_trip(encoder, y, columns)


@pytest.mark.parametrize("container", [list, tuple, lambda y: np.array(y, dtype=object)])
def test_nested_lists_keep_the_type_of_every_label(container):
    """Bools, numbers and strings side by side in rows of a list stay what they are."""
    rows = [[True, 2, "NA", 1.0], [None, 3, None, None], [False, None, "v", 0.0]]
    y = container(rows)
    encoder = AttributeEncoder().fit(y)
    assert [classes.dtype.kind for classes in encoder.classes_] == ["b", "i", "U", "f"]
    assert encoder.output_names_ == ["y0", "y1", "y2", "y3"]
    assert_round_trip(encoder, y, list(zip(*rows, strict=True)))


def test_bools_beside_numbers_stay_bools():
    """A list of a bool and a number column is not one of numbers."""
    encoder = AttributeEncoder().fit([[True, 2], [False, 3]])
    assert [classes.dtype.kind for classes in encoder.classes_] == ["b", "i"]
    assert encoder.inverse_transform([[1, 0]]).tolist() == [[True, 2]]


def test_columns_of_one_dtype_are_decoded_to_one_array():
    """Where all columns agree in dtype so does the result; else it is object."""
    numbers = np.array([[3, 7], [1, 9], [3, 8]], dtype=np.int16)
    encoder = AttributeEncoder().fit(numbers)
    labels = encoder.inverse_transform(encoder.transform(numbers))
    assert labels.dtype == np.int16
    np.testing.assert_array_equal(labels, numbers)
    text = np.array([["a", "long one"], ["b", "c"]])
    encoder = AttributeEncoder().fit(text)
    np.testing.assert_array_equal(encoder.inverse_transform(encoder.transform(text)), text)


def test_series_and_arrays_are_named():
    """The name of a Series, else y0; 1-D comes back 1-D."""
    assert AttributeEncoder().fit(pd.Series([1, 2], name="age")).output_names_ == ["age"]
    assert AttributeEncoder().fit(pd.Series([1, 2])).output_names_ == ["y0"]
    encoder = AttributeEncoder().fit([1, 2])
    assert encoder.output_names_ == ["y0"]


def test_y_is_not_edited():
    """Fitting and transforming leave y as it was."""
    y = pd.DataFrame({"a": [1.0, np.nan, -1.0], "b": pd.Series(["x", "?", None], dtype="str")})
    before = y.copy(deep=True)
    AttributeEncoder(missing_label="?").fit(y).transform(y)
    pd.testing.assert_frame_equal(y, before)


# --- against scikit-learn and pandas -----------------------------------------------------------


def labels_of(kind):
    """Strategy of the labels of one kind of column."""
    return {
        "bool": st.booleans(),
        "zero_one": st.integers(0, 1),
        "int": st.integers(-(2**40), 2**40),
        "small": st.integers(0, 4),
        "float": st.integers(-1000, 1000).map(float),
        "text": st.one_of(
            st.sampled_from(["NA", "nan", "None", "", " ", "a", "A", "0", "1", "-1", "True", "?"]),
            st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=4),
        ),
    }[kind]


NULLABLE = {
    "bool": "boolean",
    "zero_one": "Int64",
    "int": "Int64",
    "small": "Int64",
    "float": "Float64",
    "text": "string",
}


@st.composite
def tables(draw):
    """Kinds and columns (lists with None) of a random table; some label is known."""
    n_rows = draw(st.integers(1, 8))
    kinds = draw(st.lists(st.sampled_from(sorted(NULLABLE)), min_size=1, max_size=4))
    columns = [
        draw(st.lists(st.none() | labels_of(kind), min_size=n_rows, max_size=n_rows))
        for kind in kinds
    ]
    assume(any(label is not None for column in columns for label in column))
    return kinds, columns


def containers(kinds, columns):
    """Yield the same table as every container."""
    rows = [list(row) for row in zip(*columns, strict=True)]
    names = [f"c{j}" for j in range(len(columns))]
    labels = [label for row in rows for label in row]
    if len(columns) == 1 or not all(isinstance(label, str) for label in labels):
        yield rows  # lists of text only might be collections of tags
    yield np.array(rows, dtype=object)
    yield pd.DataFrame({n: pd.Series(c, dtype=object) for n, c in zip(names, columns, strict=True)})
    yield pd.DataFrame(
        {n: pd.array(c, dtype=NULLABLE[k]) for n, c, k in zip(names, columns, kinds, strict=True)}
    )
    yield pd.DataFrame(
        {
            n: pd.Series(c, dtype=object).astype("category")
            for n, c in zip(names, columns, strict=True)
        }
    )


@settings(max_examples=60, deadline=None)
@given(tables())
def test_random_tables_are_decoded(table):
    """Known labels of any table are decoded to equal labels of their type; missing ones are -1."""
    kinds, columns = table
    for y in containers(kinds, columns):
        encoder = AttributeEncoder().fit(y)
        for kind, column, classes in zip(kinds, columns, encoder.classes_, strict=True):
            known = [label for label in column if label is not None]
            if not known:
                assert classes.tolist() == [0, 1]
            else:
                assert classes.dtype.kind == {"bool": "b", "float": "f", "text": "U"}.get(kind, "i")
        assert_round_trip(encoder, y, columns)
        np.testing.assert_array_equal(
            encoder.known_, [sum(label is not None for label in column) for column in columns]
        )


@settings(max_examples=60, deadline=None)
@given(tables())
def test_codes_are_those_of_scikit_learn(table):
    """Known codes equal those of LabelEncoder on the known labels and the declared classes."""
    kinds, columns = table
    y = pd.DataFrame({f"c{j}": pd.Series(c, dtype=object) for j, c in enumerate(columns)})
    codes = AttributeEncoder().fit_transform(y)
    for kind, column, code in zip(kinds, columns, codes.T, strict=True):
        known = [label for label in column if label is not None]
        if not known:
            continue
        reference = LabelEncoder().fit(known)
        if set(reference.classes_.tolist()) <= {0, 1} and kind != "text":
            reference.fit([0, 1])
        np.testing.assert_array_equal(code[code >= 0], reference.transform(known))


def test_codes_with_missing_labels_are_those_of_ordinal_encoder():
    """OrdinalEncoder, which also keeps NaN apart, gives the same codes for a table of strings."""
    y = pd.DataFrame(
        {"a": ["x", None, "z", "y"], "b": ["NA", "q", None, "q"]}, dtype=object
    ).replace({None: np.nan})
    reference = OrdinalEncoder(encoded_missing_value=-1).fit_transform(y)
    np.testing.assert_array_equal(AttributeEncoder().fit_transform(y), reference)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.none() | st.integers(0, 5), min_size=1, max_size=10), st.sampled_from([-1, 9]))
def test_a_missing_label_is_read_as_none(column, missing_label):
    """A number for unknown gives the codes None gives, in any numeric dtype."""
    assume(any(label is not None for label in column))
    kind, classes, codes = one_column(np.array(column, dtype=object))
    filled = [missing_label if label is None else label for label in column]
    for dtype in (np.int8, np.int64, np.float32, object, "Int64", "Int8", "Float64"):
        y = pd.Series(filled, dtype=dtype)
        other = one_column(y, missing_label=missing_label)
        assert other[0] == kind
        assert other[1].tolist() == classes.tolist()
        np.testing.assert_array_equal(other[2], codes)


# --- missing labels ----------------------------------------------------------------------------


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA, float("nan"), pd.NaT])
@pytest.mark.parametrize("missing_label", [None, np.nan, pd.NA, "?", -1])
def test_every_missing_value_is_a_missing_label(missing, missing_label):
    """NaN, None and pandas.NA are unknown whatever `missing_label` adds."""
    y = np.array(["b", missing, "a"], dtype=object)
    assert one_column(y, missing_label=missing_label)[2].tolist() == [1, -1, 0]


@pytest.mark.parametrize(
    ("y", "missing_label", "codes"),
    [
        (np.array([1, 0, -1]), -1, [1, 0, -1]),
        (np.array([1.0, np.nan, -1.0]), -1, [1, -1, -1]),
        (np.array([1, 2, 0]), 0, [0, 1, -1]),
        (np.array([1, 2, 0]), 0.0, [0, 1, -1]),
        (np.array([1, 2, 0]), np.int64(0), [0, 1, -1]),
        (np.array([1, 2, 3], dtype=np.uint8), -1, [0, 1, 2]),
        (np.array(["a", "?", "b"]), "?", [0, -1, 1]),
        (np.array(["a", "?", "b"], dtype=object), np.str_("?"), [0, -1, 1]),
        (pd.Series(["a", "?", None], dtype="string"), "?", [0, -1, -1]),
        (pd.Series(["a", "?", None], dtype="str"), "?", [0, -1, -1]),
        (pd.Series([1, -1, None], dtype="Int64"), -1, [1, -1, -1]),
        (pd.Series([2.0, -1.0, None], dtype="Float64"), -1, [0, -1, -1]),
        (np.array([1, -1, pd.NA], dtype=object), -1, [1, -1, -1]),
        (pd.Series(pd.Categorical(["a", "?", "b"])), "?", [0, -1, 1]),
        (np.array([True, False, True]), True, [-1, 0, -1]),
        (pd.Series([True, False, None], dtype="boolean"), False, [1, -1, -1]),
    ],
)
def test_missing_label_masks(y, missing_label, codes):
    """The missing label is unknown in every dtype, also where NA stands beside it."""
    assert one_column(y, missing_label=missing_label)[2].tolist() == codes


@pytest.mark.parametrize(
    ("y", "missing_label"),
    [
        (np.array([True, False]), 0),
        (np.array([True, False]), 1.0),
        (np.array([True, False], dtype=object), 0),
        (pd.Series([True, False], dtype="boolean"), 0),
        (np.array([0, 1]), False),
        (np.array([0, 1], dtype=object), False),
        (pd.Series([0, 1], dtype="Int64"), False),
        (np.array([0.0, 1.0]), True),
        (np.array(["0", "-1"]), -1),
        (np.array(["0", "-1"]), 0),
        (np.array([0, -1]), "-1"),
        (pd.Series([0, -1], dtype="Int64"), "0"),
        (np.array([True, False]), "True"),
    ],
)
def test_missing_label_never_matches_across_types(y, missing_label):
    """0 is not False, and "-1" is not -1."""
    assert (one_column(y, missing_label=missing_label)[2] >= 0).all()


def test_a_missing_label_masks_columns_of_its_type():
    """In a mixed table only columns of the missing label's type are masked by it."""
    y = pd.DataFrame({"a": [0, 1, 2], "b": [False, True, False], "c": ["0", "1", "2"]})
    codes = AttributeEncoder(missing_label=0).fit_transform(y)
    assert codes.tolist() == [[-1, 0, 0], [0, 1, 1], [1, 0, 2]]


def test_the_missing_label_is_no_category():
    """A category that means unknown is no class, whether or not the categorical is ordered."""
    for ordered, kind in ((False, "binary"), (True, "ordinal")):
        y = pd.Series(pd.Categorical(["b", "?", "a"], categories=["?", "b", "a"], ordered=ordered))
        result = one_column(y, missing_label="?")
        assert result[0] == kind
        assert sorted(result[1]) == ["a", "b"]


@pytest.mark.parametrize("label", ["NA", "nan", "None", "", "<NA>", "null"])
def test_words_are_levels(label):
    """Text that looks like a missing value is a label."""
    for dtype in (object, "str", "string", "category"):
        kind, classes, codes = one_column(pd.Series([label, "zz", None], dtype=dtype))
        assert (kind, classes.tolist(), codes.tolist()) == ("binary", [label, "zz"], [0, 1, -1])


# --- kinds and classes -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("y", "classes"),
    [
        ([1, 1], [0, 1]),
        ([0.0, 0.0], [0.0, 1.0]),
        ([True, True], [False, True]),
        ([False], [False, True]),
        (np.array([True, None], dtype=object), [False, True]),
        (np.array([1, None], dtype=object), [0, 1]),
        (np.array([1, 1], dtype=np.uint8), [0, 1]),
        (pd.array([1, None], dtype="Int8"), [0, 1]),
        (pd.array([True, None], dtype="boolean"), [False, True]),
    ],
)
def test_zero_one_and_bool_columns_have_two_classes(y, classes):
    """Even where only one of them is seen."""
    kind, found, codes = one_column(y)
    assert kind == "binary"
    assert found.tolist() == classes
    assert [type(label) for label in found.tolist()] == [type(label) for label in classes]
    assert codes[0] == classes.index(y[0])


@pytest.mark.parametrize(
    "column",
    [
        [None, None],
        [np.nan, np.nan],
        pd.array([None, None], dtype="boolean"),
        pd.array([None, None], dtype="string"),
        pd.Categorical([None, None]),
        pd.Categorical([None, None], ordered=True),
        pd.to_datetime([None, None]),
        [-1, -1],
    ],
)
def test_a_column_of_missing_labels_has_the_classes_0_and_1(column):
    """A column without a known label is binary, and is all -1."""
    y = pd.DataFrame({"a": column, "b": ["x", "y"]})
    encoder = AttributeEncoder(missing_label=-1).fit(y)
    assert encoder.kinds_ == ["binary", "binary"]
    assert encoder.classes_[0].tolist() == [0, 1]
    assert encoder.classes_[0].dtype == np.int64
    assert encoder.transform(y).tolist() == [[-1, 0], [-1, 1]]
    assert encoder.known_.tolist() == [0, 2]


def test_a_column_of_missing_labels_keeps_its_declared_classes():
    """Declared classes, categories and orders hold without any label."""
    y = pd.DataFrame(
        {
            "a": [None, None],
            "b": pd.Categorical([None, None], categories=["v", "u"]),
            "c": [None, None],
            "d": [1, 2],
        }
    )
    declared = {"a": ("binary", ["q", "p"]), "c": ("ordinal", ["low", "high"])}
    encoder = AttributeEncoder(declared).fit(y)
    assert [c.tolist() for c in encoder.classes_[:3]] == [["q", "p"], ["u", "v"], ["low", "high"]]


def test_kinds_are_read_from_the_labels():
    """Two labels make a binary attribute, one or three a categorical one."""
    y = pd.DataFrame({"one": ["a"] * 3, "two": ["a", "b", "a"], "three": [5, 6, 7]})
    assert AttributeEncoder().fit(y).kinds_ == ["categorical", "binary", "categorical"]


def test_the_second_class_in_sorted_order_is_the_positive_one():
    """Classes are sorted, except the levels of an ordinal attribute."""
    assert one_column(["no", "yes"])[1].tolist() == ["no", "yes"]
    assert one_column(["yes", "no"])[1].tolist() == ["no", "yes"]
    assert one_column([10, 9, -1])[1].tolist() == [-1, 9, 10]


@pytest.mark.parametrize(
    "levels",
    [["young", "adult", "old"], ("young", "adult", "old"), np.array(["young", "adult", "old"])],
)
def test_ordinal_levels_keep_their_order(levels):
    """Codes of an ordinal attribute are positions in the declared order, seen or not."""
    kind, classes, codes = one_column(["old", None, "young"], attributes={0: ("ordinal", levels)})
    assert kind == "ordinal"
    assert classes.tolist() == ["young", "adult", "old"]
    assert codes.tolist() == [2, -1, 0]


def test_ordered_categories_are_ordinal_unless_declared_otherwise():
    """The order of an ordered categorical is that of its categories."""
    y = pd.Series(pd.Categorical(["m", "s"], categories=["s", "m", "l"], ordered=True))
    assert one_column(y)[:2][0] == "ordinal"
    assert one_column(y)[1].tolist() == ["s", "m", "l"]
    kind, classes, _ = one_column(y, attributes={0: "categorical"})
    assert kind == "categorical"
    assert classes.tolist() == ["l", "m", "s"]
    assert one_column(y, attributes={0: ("ordinal", ["l", "m", "s"])})[1].tolist() == [
        "l",
        "m",
        "s",
    ]


def test_declared_kinds():
    """Two classes can be categorical, and declaring what is read anyway changes nothing."""
    assert one_column([0, 1], attributes={0: "categorical"})[0] == "categorical"
    assert one_column([0, 1], attributes={0: "binary"})[0] == "binary"
    assert one_column(["a", "a"], attributes={0: "binary"})[0] == "binary"


@pytest.mark.parametrize("key", ["color", 1, np.int64(1)])
def test_attributes_go_by_name_or_position(key):
    """A key is a name, or a position where it is no name."""
    y = pd.DataFrame({"hat": [0, 1], "color": ["a", "b"]})
    assert AttributeEncoder(attributes={key: "categorical"}).fit(y).kinds_ == [
        "binary",
        "categorical",
    ]
    encoder = AttributeEncoder({key: ("categorical", ["a", "b", "c"])}).fit(y)
    assert encoder.classes_[1].tolist() == ["a", "b", "c"]


def test_a_name_comes_before_a_position():
    """In a table whose columns are numbered, a number is a name."""
    y = pd.DataFrame({1: [0, 1], 0: [0, 1]})
    assert AttributeEncoder(attributes={1: "categorical"}).fit(y).kinds_ == [
        "categorical",
        "binary",
    ]


@pytest.mark.parametrize(
    "attributes",
    [
        {"a": ("categorical", ["z", "x", "y"]), "b": ("categorical", [2, 1, 3])},
        {0: ("categorical", ("z", "x", "y")), 1: ("categorical", np.array([2, 1, 3]))},
        {
            "a": ("categorical", pd.Series(["z", "x", "y"])),
            "b": ("categorical", pd.Index([2, 1, 3])),
        },
    ],
)
def test_declared_classes_keep_their_order(attributes):
    """Levels are any sequence, keyed by name or position; unseen labels are known."""
    y = pd.DataFrame({"a": ["x", "y"], "b": [1, 3]})
    encoder = AttributeEncoder(attributes).fit(y)
    assert [c.tolist() for c in encoder.classes_] == [["z", "x", "y"], [2, 1, 3]]
    assert encoder.kinds_ == ["categorical", "categorical"]
    assert encoder.transform(pd.DataFrame({"a": ["z"], "b": [3]})).tolist() == [[0, 2]]


@pytest.mark.parametrize(
    ("y", "declared", "classes", "codes"),
    [
        (["hat", "no hat", None], ("binary", "hat"), ["no hat", "hat"], [1, 0, -1]),
        (["hat", "no hat", None], ("binary", "no hat"), ["hat", "no hat"], [0, 1, -1]),
        (["hat", "no hat"], ("binary", ["no hat", "hat"]), ["no hat", "hat"], [1, 0]),
        (["no hat", None], ("binary", "hat"), ["no hat", "hat"], [0, -1]),
        (["no hat", None], ("binary", np.str_("hat")), ["no hat", "hat"], [0, -1]),
        (["hat", None], ("binary", ["no hat", "hat"]), ["no hat", "hat"], [1, -1]),
        ([1, 0, 1], ("binary", 0), [1, 0], [0, 1, 0]),
        ([1, 1], ("binary", 0), [1, 0], [0, 0]),
        ([True, None], ("binary", False), [True, False], [0, -1]),
        ([True, None], ("binary", 1), [False, True], [1, -1]),
        ([2, 5], ("binary", 2), [5, 2], [1, 0]),
        ([2.0, np.nan], ("binary", [5, 2]), [5, 2], [1, -1]),
        (np.array([3, 7], dtype=">i4"), ("binary", 3), [7, 3], [1, 0]),
        (pd.Categorical(["b", "a"]), ("binary", "a"), ["b", "a"], [0, 1]),
        (pd.Categorical([1, 0]), ("binary", 0), [1, 0], [0, 1]),
    ],
)
def test_the_positive_level_is_the_second_class(y, declared, classes, codes):
    """A positive level or an order of two is kept; the other level is learned from y."""
    kind, found, found_codes = one_column(y, attributes={0: declared})
    assert kind == "binary"
    assert found.tolist() == classes
    assert found_codes.tolist() == codes


def test_the_positive_level_keeps_the_dtype_of_y():
    """Classes in the declared order have the dtype that they have in y."""
    y = np.array([[0, 1], [1, 1]], dtype=np.int16)
    encoder = AttributeEncoder({0: ("binary", 0)}).fit(y)
    assert [classes.dtype for classes in encoder.classes_] == [np.int16, np.int16]
    np.testing.assert_array_equal(encoder.inverse_transform(encoder.transform(y)), y)


def test_an_ordered_categorical_of_two_levels_tells_the_positive_one():
    """The order of its categories is a declared order, unless attributes has another."""
    y = pd.Categorical(["on", "off"], categories=["on", "off"], ordered=True)
    assert one_column(y, attributes={0: "binary"})[:2][1].tolist() == ["on", "off"]
    assert one_column(y, attributes={0: "ordinal"})[1].tolist() == ["on", "off"]
    assert one_column(y, attributes={0: ("binary", "on")})[1].tolist() == ["off", "on"]
    assert one_column(pd.Categorical(y, ordered=False))[1].tolist() == ["off", "on"]


def test_equal_numbers_of_another_dtype_are_the_same_label():
    """A fold read as floats, because a label is missing, has the labels of the whole table."""
    encoder = AttributeEncoder().fit(np.array([3, 1, 2]))
    for y in (np.array([3.0, np.nan]), pd.array([3, None], dtype="Int64"), [3, None]):
        assert encoder.transform(y)[:, 0].tolist() == [2, -1]
    flags = AttributeEncoder().fit([True, False])
    assert flags.transform([1, 0, None])[:, 0].tolist() == [1, 0, -1]


def test_a_refit_starts_from_scratch():
    """Nothing of the first fit is left after the second; clone keeps the parameters."""
    encoder = AttributeEncoder().fit([["a", 1], ["b", 2]])
    encoder.fit([5, 6, 7])
    assert encoder.n_outputs_ == 1
    assert encoder.classes_[0].tolist() == [5, 6, 7]
    copy = clone(AttributeEncoder({"a": ("binary", 1)}, "?"))
    assert copy.get_params() == {"attributes": {"a": ("binary", 1)}, "missing_label": "?"}


# --- errors ------------------------------------------------------------------------------------


def test_an_unseen_label_is_named():
    """Column, row, label and the classes stand in the message."""
    y = pd.DataFrame({"hat": [True, None], "color": ["red", "blue"]})
    encoder = AttributeEncoder().fit(y)
    new = pd.DataFrame({"hat": [None, None, False], "color": [None, "red", "mauve"]})
    message = r"y, column 'color', row 2: the label 'mauve' is not among .*\['blue', 'red'\]"
    with pytest.raises(UnseenLabelError, match=message):
        encoder.transform(new)
    with pytest.raises(ValueError, match="row 0: the label 0.5"):
        AttributeEncoder().fit([1, 2, 3]).transform([0.5])


def test_many_classes_are_not_all_shown():
    """The message of an unseen label stays short."""
    with pytest.raises(UnseenLabelError, match=r"9, \.\.\. 1000 in all\]"):
        AttributeEncoder().fit(np.arange(1000)).transform([-5])


@pytest.mark.parametrize("kind", ["binary", "categorical", "ordinal"])
def test_labels_outside_the_declared_classes(kind):
    """A label that contradicts the declaration is an error of fit that names it."""
    with pytest.raises(UnseenLabelError, match=r"y, column 'y0' contains the labels \['c'\]"):
        AttributeEncoder({0: (kind, ["a", "b"])}).fit(["a", "c"])


@pytest.mark.parametrize(
    ("y", "error", "message"),
    [
        (None, ValueError, "requires y to be passed"),
        (np.zeros((2, 2, 2)), ValueError, r"shape \(n,\) or \(n, n_outputs\), got \(2, 2, 2\)"),
        (np.zeros((2, 0)), ValueError, r"got \(2, 0\)"),
        (pd.DataFrame(index=[0, 1]), ValueError, "no column"),
        (3, ValueError, r"got \(\)"),
        ("abc", ValueError, r"got \(\)"),
        ([[1, 2], [3]], ValueError, "y is ragged: row 0 has 2 label.s., row 1 has 1"),
        ([], ValueError, r"0 sample\(s\)"),
        (pd.DataFrame({"a": []}), ValueError, r"0 sample\(s\)"),
        (np.array([1j, 2]), ValueError, "Complex data not supported"),
        (pd.Series([1j, 2]), ValueError, "Unknown label type.*complex"),
        (np.array([b"a", b"b"]), ValueError, "'y0', row 0 holds .* bytes;.*decode bytes to str"),
        (np.array([b"a", b"b"], dtype=object), ValueError, "Unknown label type.*bytes"),
        (np.array(["2020-01-01"], dtype="datetime64[D]"), ValueError, "Unknown label type"),
        (pd.Series(pd.to_datetime(["2020-01-01"])), ValueError, "Unknown label type.*'y0'"),
        (pd.cut(pd.Series([1, 30]), [0, 18, 65]), ValueError, "Unknown label type.*Interval"),
        ([0.5, 1.0], ValueError, "Unknown label type: y, column 'y0', row 0 is continuous"),
        (pd.DataFrame({"a": [1], "b": [0.1]}), ValueError, "y, column 'b', row 0 is continuous"),
        (pd.Series([0.5, None], dtype="Float64"), ValueError, "continuous"),
        ([1.0, np.inf], ValueError, r"infinity or .* dtype\('float64'\) in column 'y0', row 1"),
        ([-np.inf, np.nan], ValueError, "infinity"),
        ([1, "a", None], ValueError, "y, column 'y0', row 1 holds values of type int, str"),
        (np.array([True, 2, None], dtype=object), ValueError, "values of type bool, int"),
        ([True, 2], ValueError, "values of type bool, int"),
        ([True, "a"], ValueError, "values of type bool, str"),
        ([{"a": 1}, {"b": 2}], ValueError, "Unknown label type.*dict"),
        ([None, None], ValueError, "Input y contains NaN."),
        ([np.nan, np.nan], ValueError, "Input y contains NaN."),
        (pd.DataFrame({"a": [None, None], "b": [pd.NA, pd.NA]}), ValueError, "contains NaN"),
    ],
)
def test_rejects_invalid_y(y, error, message):
    """Invalid y is rejected with a message that names the column."""
    with pytest.raises(error, match=message):
        AttributeEncoder().fit(y)


def test_a_column_name_there_twice():
    """Two columns of one name are an error."""
    y = pd.DataFrame([[1, 2, 3]], columns=["hat", "bag", "hat"])
    with pytest.raises(ValueError, match=r"\['hat'\] more than once"):
        AttributeEncoder().fit(y)


def test_all_labels_equal_the_missing_label():
    """Where nothing is known there is nothing to fit."""
    with pytest.raises(ValueError, match="None of its labels is known"):
        AttributeEncoder(missing_label=-1).fit([[-1, -1], [-1, -1]])


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"attributes": {"zz": "binary"}}, r"`attributes` names 'zz'.*\['hat', 'color', "),
        ({"attributes": {4: "binary"}}, "`attributes` names 4"),
        ({"attributes": {-1: "binary"}}, "`attributes` names -1"),
        ({"attributes": {True: "binary"}}, "`attributes` names True"),
        ({"attributes": {"hat": "binary", 0: "binary"}}, "'hat' twice"),
        ({"attributes": {"color": "binary"}}, "'color' is declared binary but has"),
        ({"attributes": {"color": ("binary", "a")}}, "positive level 'a', but has the classes"),
        ({"attributes": {"hat": ("binary", 2)}}, r"level 2, but has the classes \[0, 1\]"),
        (
            {"attributes": {"one": ("binary", "x")}},
            r"'x' of 'one'.*, \[negative, 'x'\]\)",
        ),
        (
            {"attributes": {"gap": ("binary", "x")}},
            r"'x' of 'gap'.*, \[negative, 'x'\]\)",
        ),
        (
            {"attributes": {"one": ("binary", 1)}},
            "column 'one' holds values of type int, str",
        ),
        ({"attributes": {"hat": "ordinal"}}, "'hat' is declared 'ordinal'.*levels in order"),
        ({"attributes": {"hat": ("ordinal", [0, 1, 0])}}, "levels of 'hat' must be .* distinct"),
        ({"attributes": {"hat": ("ordinal", [])}}, "levels of 'hat' must be a non-empty list"),
        ({"attributes": {"color": ("categorical", ["a", None])}}, "'color' must be .*not missing"),
        ({"attributes": {"hat": ("categorical", [0.5, 1])}}, "`attributes`, column 'hat' is cont"),
        ({"attributes": {"hat": ("binary", [0, "1"])}}, "`attributes`, column 'hat' holds values"),
        ({"attributes": {"hat": ("binary", ["0", "1"])}}, r"'hat' contains the labels \[0, 1\]"),
        ({"missing_label": [-1]}, r"`missing_label` must be one value, got \[-1\]"),
    ],
)
def test_rejects_invalid_declarations(params, message):
    """A declaration that does not fit y is rejected with a message that names it."""
    y = pd.DataFrame({"hat": [0, 1, 0], "color": ["a", "b", "c"], "one": ["x"] * 3, "gap": None})
    with pytest.raises(ValueError, match=message):
        AttributeEncoder(**params).fit(y)


@pytest.mark.parametrize(
    "declared",
    [
        "nominal", None, 1, ["binary", 1], ("nominal", [0, 1]), ("binary",), ("binary", 1, 0),
        ("binary", [1]), ("binary", [0, 1, 2]), ("binary", None), ("binary", np.nan),
        ("categorical", "ab"), ("categorical", 3), ("categorical", {"ab"}), ("ordinal",),
        ("ordinal", 3), ("ordinal", "ab"), ("ordinal", [[1], [2]]),
    ],
    ids=repr,
)  # fmt: skip
def test_rejects_invalid_forms_of_a_declaration(declared):
    """The message names the attribute, every valid form and the one that was given."""
    with pytest.raises(ValueError) as caught:
        AttributeEncoder({"hat": declared}).fit(pd.DataFrame({"hat": [0, 1]}))
    message = str(caught.value)
    assert "`attributes`: 'hat' must be" in message and message.endswith(f"got {declared!r}.")
    forms = ("'binary',", "('binary', positive level)", "('binary', [negative, positive])",
             "'categorical',", "('categorical', [classes])", "'ordinal' for an ordered pandas",
             "('ordinal', [levels in order])")  # fmt: skip
    assert all(form in message for form in forms)


def test_other_columns_than_those_of_fit():
    """The number of columns, and the names of a DataFrame, must be those of fit."""
    y = pd.DataFrame({"hat": [0, 1], "bag": [1, 0]})
    encoder = AttributeEncoder().fit(y)
    with pytest.raises(ValueError, match=r"1 column\(s\), but 2 were fitted: \['hat', 'bag'\]"):
        encoder.transform(y[["hat"]].to_numpy())
    with pytest.raises(ValueError, match=r"y of fit differ: y lacks \['bag'\]"):
        encoder.transform(y[["hat"]])
    np.testing.assert_array_equal(encoder.transform(y[["bag", "hat"]]), y)
    np.testing.assert_array_equal(encoder.transform(y.to_numpy()), y)


# --- classes of partial_fit, and declarations of what is learned --------------------------------


@pytest.mark.parametrize(
    ("attributes", "classes", "names", "expected"),
    [
        (None, None, ["a"], None),
        (None, [2, 1], ["a"], {"a": ("binary", [1, 2])}),
        (None, np.array(["y", "x", "z"]), ["a"], {"a": ("categorical", ["x", "y", "z"])}),
        (None, [[2, 1], ["u"]], ["a", "b"], {"a": ("binary", [1, 2]), "b": ("categorical", ["u"])}),
        ({1: "ordinal"}, [None, [1, 2, 3]], ["a", "b"], {"b": ("ordinal", [1, 2, 3])}),
        ({"a": "categorical"}, [0, 1], ["a"], {"a": ("categorical", [0, 1])}),
        ({"a": ("binary", 0)}, [0, 1], ["a"], {"a": ("binary", [1, 0])}),
    ],
)
def test_classes_as_scikit_learn_passes_them(attributes, classes, names, expected):
    """Classes of `partial_fit` complete what `attributes` declares."""
    assert with_classes(attributes, classes, names) == expected


@pytest.mark.parametrize("classes", [[0, 1], [[0, 1]], {"a": [0, 1], "b": [0, 1]}, [[0], [1], [2]]])
def test_classes_of_another_number_of_attributes(classes):
    """They must list the labels of each attribute."""
    with pytest.raises(ValueError, match=r"each of the 2 attributes \['a', 'b'\]"):
        with_classes(None, classes, ["a", "b"])


@settings(max_examples=40, deadline=None)
@given(tables())
def test_learned_classes_can_be_declared(table):
    """An encoder that is declared what another has learned learns the same."""
    _, columns = table
    y = pd.DataFrame({f"c{j}": pd.Series(c, dtype=object) for j, c in enumerate(columns)})
    learned = AttributeEncoder().fit(y)
    attributes = as_attributes(learned.output_names_, learned.kinds_, learned.classes_)
    again = AttributeEncoder(attributes).fit(y)
    assert again.kinds_ == learned.kinds_
    np.testing.assert_array_equal(again.transform(y), learned.transform(y))


@pytest.mark.parametrize("classes", [5, "hat", {"hat": ["no hat", "hat"]}, [["a"], ["b"]]])
def test_rejects_invalid_classes_of_partial_fit(classes):
    """Classes that are no list of labels are rejected with a sentence that names them."""
    with pytest.raises(ValueError, match="`classes` must list the labels of each of the 1 attr"):
        with_classes(None, classes, ["hat"])


def test_classes_of_partial_fit_complete_a_positive_level():
    """The negative level comes from `classes`; the declared positive level is second."""
    declared = with_classes({"hat": ("binary", "hat")}, [["hat", "no hat"]], ["hat"])
    assert declared == {"hat": ("binary", ["no hat", "hat"])}
