"""Loader of attribute tables with an explicit coding."""

import csv
import os
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.base import clone
from sklearn.model_selection import KFold, cross_validate, train_test_split

from skattr import AttributeClassifier, AttributeEncoder, ThresholdCalibrator
from skattr.datasets import load_attribute_table
from skattr.exceptions import DatasetFormatError, LabelWarning
from skattr.metrics import attribute_report, get_scorer, mean_absolute_error
from skattr.model_selection import multilabel_train_test_split
from tests.datasets.formats import table_of

REAL = Path(os.environ.get("SKATTR_DATA", "")) / "fashion"
needs_real = pytest.mark.skipif(
    not os.environ.get("SKATTR_DATA") or not REAL.is_dir(),
    reason="SKATTR_DATA names no folder that holds fashion",
)
TEXT = """path,hat,color,size,who
a.jpg,yes,NA,2,anna
b.jpg,no,,1,bert
c.jpg,?,nan,3,anna
d.jpg,,None,2,anna
"""
CODING = {"positive": "yes", "negative": ["no"], "unknown": ["", "?"]}


@pytest.fixture
def file(tmp_path):
    """Return a small table."""
    path = tmp_path / "labels.csv"
    path.write_text(TEXT)
    return path


def test_every_kind(file):
    """Binary, categorical and ordinal columns have their types; NA, nan and None are levels."""
    attributes = {"size": ("ordinal", [1, 2, 3]), "hat": "binary", "color": "categorical"}
    labels = load_attribute_table(file, attributes=attributes, group="who", **CODING)
    expected = pd.DataFrame(
        {
            "size": pd.Categorical([2, 1, 3, 2], [1, 2, 3], ordered=True),
            "hat": pd.array([True, False, None, None], dtype="boolean"),
            "color": pd.Categorical(["NA", np.nan, "nan", "None"], ["NA", "None", "nan"]),
        }
    )
    pd.testing.assert_frame_equal(labels.target, expected, check_categorical=False)
    assert labels.target["size"].cat.ordered and not labels.target["color"].cat.ordered
    assert labels.target["size"].cat.categories.tolist() == [1, 2, 3]
    assert labels.attribute_kinds == attributes
    assert labels.category_names is None
    assert labels.data["group"].tolist() == ["anna", "bert", "anna", "anna"]
    assert labels.data["path"].tolist() == ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]
    for line in ("Positive: ['yes']", "Negative: ['no']", "Unknown: ['', '?']", "rows   "):
        assert line in labels.DESCR


def test_only_cells_in_unknown_are_missing(file):
    """With unknown=None an empty cell is a level; by default it is the only missing one."""
    for unknown, expected in [(None, ["NA", "", "nan", "None"]), ("NA", [None, "", "nan", "None"])]:
        column = load_attribute_table(file, attributes=["color"], unknown=unknown).target["color"]
        assert [None if pd.isna(cell) else cell for cell in column] == expected
    column = load_attribute_table(file, attributes=["color"]).target["color"]
    assert column.isna().tolist() == [False, True, False, False]


def test_other_roles(tmp_path):
    """Category, split and boxes are columns of data; without attributes, the rest are."""
    path = tmp_path / "labels.csv"
    path.write_text(
        "x1,y1,x2,y2,file,what,part,a,b\n"
        "0,1,20,30.0,my cat.jpg,cat,train,1,0\n"
        ",,,,dög.jpg,,test,0,1\n",
        encoding="utf-8",
    )
    options = {"path": "file", "category": "what", "split": "part", "positive": 1, "negative": 0}
    labels = load_attribute_table(path, boxes=["x1", "y1", "x2", "y2"], folder="pics", **options)
    expected = pd.DataFrame(
        {
            "path": [os.path.join("pics", "my cat.jpg"), os.path.join("pics", "dög.jpg")],
            "xmin": [0.0, np.nan],
            "ymin": [1.0, np.nan],
            "xmax": [20.0, np.nan],
            "ymax": [30.0, np.nan],
            "category": pd.Series(["cat", np.nan], dtype="str"),
            "split": ["train", "test"],
        }
    )
    pd.testing.assert_frame_equal(labels.data, expected)
    assert labels.attribute_kinds == {"a": "binary", "b": "binary"}
    assert labels.category_names == ["cat"]
    path.write_text(path.read_text(encoding="utf-8").replace(",,,,", "3,4,5,6,"), encoding="utf-8")
    boxes = load_attribute_table(path, boxes=["x1", "y1", "x2", "y2"], **options).data["xmin"]
    assert boxes.dtype == np.int64


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_any_text_survives(tmp_path, data):
    """Whatever the csv module writes is read again, quotes, separators and line ends included."""
    alphabet = st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufeff")
    cell = st.text(alphabet, max_size=4)
    rows = data.draw(st.lists(st.tuples(st.text(alphabet, min_size=1), cell, cell), min_size=1))
    end = data.draw(st.sampled_from(["\n", "\r\n"]))
    separator = data.draw(st.sampled_from([",", ";", "\t"]))
    path = tmp_path / "any.csv"
    with open(path, "w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, delimiter=separator, lineterminator=end, quoting=csv.QUOTE_ALL)
        writer.writerows([("path", "a", "b"), *rows])
    labels = load_attribute_table(path, separator=separator, unknown=None)
    assert labels.data["path"].tolist() == [row[0] for row in rows]
    assert labels.target.to_numpy().tolist() == [list(row[1:]) for row in rows]


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.sampled_from(["1", "0", "u", "9"]), min_size=1, max_size=8))
def test_a_coding_is_kept_or_the_first_fault_named(tmp_path, cells):
    """Labels follow the coding; the first cell outside is named with its line and column."""
    path = tmp_path / "coding.csv"
    path.write_text("path,hat\n" + "".join(f"x.jpg,{cell}\n" for cell in cells))
    options = {"positive": 1, "negative": 0, "unknown": "u"}
    if "9" in cells:
        message = f"coding.csv, line {2 + cells.index('9')}: attribute 'hat' is '9', but must be"
        with pytest.raises(DatasetFormatError, match=message):
            load_attribute_table(path, **options)
    else:
        codes = [[{"1": 1, "0": 0, "u": -1}[cell]] for cell in cells]
        found = load_attribute_table(path, **options).target
        pd.testing.assert_frame_equal(found, table_of(codes, ["hat"]))


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("path,a\nx,1\ny\n", {}, "line 3: expected 2 fields, as in line 1, got 1"),
        ("path,a\nx,1,2\ny,1\n", {}, "line 2: expected 2 fields, as in line 1, got 3"),
        ('path,a\n"x\n1",1\n\ny,1\n', {}, "line 4: expected 2 fields, as in line 1, got 0"),
        ('path,a\n"x\n1",1\ny,9\n', {"positive": 1, "negative": 0}, "line 4: attribute 'a' is '9'"),
        ('path,a\nx,1\n"y,1\nz,1\n', {}, "row that begins in line 3 cannot be read .* left open"),
        ('path,a\nx,"1"2\n', {}, "row that begins in line 2 cannot be read"),
        ("path,a,a\nx,1,1\n", {}, "line 1: expected the distinct names of the columns"),
        ("path,a\n", {}, "contains no row; line 1 must name the columns"),
        ("", {}, "contains no row"),
        ("path,a\n,1\n", {}, "line 2: the column of paths is '', but must be something"),
        ("path,a,who\nx,1,\n", {"group": "who"}, "line 2: the column of groups is ''"),
        (
            "path,a\nx,4\n",
            {"attributes": {"a": ("ordinal", [1, 2])}},
            r"line 2: attribute 'a' is '4', but must be one of \[1, 2\] or unknown",
        ),
        (
            "path,a,x,y,z,w\nx,1,0,0,4,4\nx,1,0,0,,4\n",
            {"boxes": ["x", "y", "z", "w"]},
            "line 3: a box must be four numbers or empty",
        ),
        (
            "path,a,x,y,z,w\nx,1,0,0,4,4.5\n",
            {"boxes": ["x", "y", "z", "w"]},
            "line 2: ymax is '4.5', but must be a whole number or empty",
        ),
    ],
)
def test_faults_are_named(tmp_path, text, options, message):
    """The error for each fault names line and column, and says what was expected."""
    path = tmp_path / "labels.csv"
    path.write_text(text)
    with pytest.raises(DatasetFormatError, match=rf"labels\.csv.*{message}"):
        load_attribute_table(path, **options)


def test_bytes_that_are_not_utf8(tmp_path):
    """Latin-1 is an error with the line, and so is UTF-16 without a byte order mark."""
    path = tmp_path / "labels.csv"
    path.write_bytes(b"path,a\r\nx,1\r\nm\xfcll.jpg,1\r\n")
    with pytest.raises(DatasetFormatError, match="line 3: the byte 0xfc is not UTF-8"):
        load_attribute_table(path)
    path.write_bytes(TEXT.encode("utf-16-le"))
    with pytest.raises(DatasetFormatError, match="line 1: the line contains a NUL; .* 'utf-16-le'"):
        load_attribute_table(path)
    path.write_bytes("path,a\nä,1".encode("utf-16-be"))
    with pytest.raises(DatasetFormatError, match="line 2: the byte 0xe4 is not UTF-8; .* 'utf-16-"):
        load_attribute_table(path)


@pytest.mark.parametrize(
    "encoding", ["utf-8", "cp1252", "latin-1", "utf-16", "utf-16-le", "utf-32"]
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_encodings(tmp_path, encoding, end):
    """Any text encoding is read, with and without a byte order mark."""
    path = tmp_path / "labels.csv"
    text = "path,größe\nmüll.jpg,groß\nb.jpg,klein\n".replace("\n", end)
    path.write_bytes(text.encode(encoding))
    options = {"attributes": {"größe": ("ordinal", ["klein", "groß"])}}
    named = load_attribute_table(path, encoding=encoding, **options)
    assert named.data["path"].tolist() == ["müll.jpg", "b.jpg"]
    assert named.target["größe"].cat.codes.tolist() == [1, 0]
    marked = {"utf-8": "utf-8-sig", "utf-16": "utf-16", "utf-32": "utf-32"}
    if encoding in marked:  # the mark says which encoding it is
        path.write_bytes(text.encode(marked[encoding]))
        found = load_attribute_table(path, **options)
        pd.testing.assert_frame_equal(found.target, named.target)
        with pytest.raises(DatasetFormatError, match=f"byte order mark of {encoding.upper()}, but"):
            load_attribute_table(path, encoding="cp1252", **options)


@pytest.mark.parametrize("encoding", ["utf8000", "hex", 8])
def test_encodings_that_do_not_exist(file, encoding):
    """The error names the parameter."""
    with pytest.raises(ValueError, match="encoding must be the name of a text encoding"):
        load_attribute_table(file, encoding=encoding)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"positive": 1}, ValueError, "positive and negative must be given together"),
        ({"positive": [], "negative": 0}, ValueError, "positive must have at least one cell"),
        (
            {"positive": 1, "negative": "1"},
            ValueError,
            "negative has the cell '1', which already has a",
        ),
        (
            {"positive": "", "negative": 0},
            ValueError,
            "unknown has the cell '', which already has a",
        ),
        ({"positive": [[1]], "negative": 0}, TypeError, "positive must be a str, a number"),
        ({"attributes": "hat"}, TypeError, "attributes must be a list or a dict of columns"),
        ({"attributes": []}, ValueError, "attributes must be at least one column, distinct"),
        ({"attributes": ["hat", "hat"]}, ValueError, "distinct and with a name"),
        ({"attributes": {"hat": "bool"}}, ValueError, "kind of the attribute 'hat' must be 'binar"),
        ({"attributes": {"hat": ("ordinal", ["a"])}}, ValueError, "with at least two levels"),
        ({"attributes": {"hat": ("ordinal", ["a", 1])}}, ValueError, "all str or all int"),
        ({"attributes": {"hat": ("ordinal", "ab")}}, ValueError, "with at least two levels"),
        ({"attributes": {"hat": "binary"}}, ValueError, r"must be given, for the binary \['hat'\]"),
        (
            {"attributes": {"hat": "categorical"}, "positive": 1, "negative": 0},
            ValueError,
            "but no attribute is binary",
        ),
        ({"attributes": ["cap"]}, ValueError, "attributes names the column 'cap', but .* has only"),
        ({"path": "image"}, ValueError, r"path names the column 'image', but .*labels\.csv has"),
        ({"group": "person"}, ValueError, "group names the column 'person'"),
        ({"boxes": ["hat"]}, ValueError, "boxes must be the names of four columns"),
        ({"boxes": "abcd"}, ValueError, "boxes must be the names of four columns"),
        ({"boxes": ["a", "b", "c", "d"]}, ValueError, "xmin names the column 'a'"),
        ({"separator": ",,"}, ValueError, "separator must be one character"),
        ({"existing_only": 1}, ValueError, "existing_only must be one of"),
        ({"return_X_y": "yes"}, ValueError, "return_X_y must be one of"),
    ],
)
def test_bad_parameters(file, options, error, message):
    """The error for each invalid parameter names the valid values."""
    with pytest.raises(error, match=message):
        load_attribute_table(file, **options)


def test_bad_files(tmp_path):
    """Missing files and values that are not paths are errors."""
    with pytest.raises(FileNotFoundError, match=r"no file '.*none\.csv'"):
        load_attribute_table(tmp_path / "none.csv")
    with pytest.raises(FileNotFoundError, match="no file"):
        load_attribute_table(tmp_path)
    with pytest.raises(TypeError, match="file must be a str, a path-like object or a DataFrame"):
        load_attribute_table(None)


def test_a_column_without_a_name(tmp_path):
    """The index that pandas writes is an error, unless the attributes are given."""
    path = tmp_path / "labels.csv"
    pd.DataFrame({"path": ["x", "y"], "a": ["1", "2"]}).to_csv(path)
    assert list(load_attribute_table(path, attributes=["a"]).target) == ["a"]
    with pytest.raises(ValueError, match="distinct and with a name"):
        load_attribute_table(path)


def test_existing_only_and_pair(file, tmp_path):
    """Rows whose image does not exist are dropped from both tables."""
    Image.new("RGB", (3, 3)).save(tmp_path / "c.jpg")
    data, target = load_attribute_table(
        file, attributes=["color"], folder=tmp_path, existing_only=True, return_X_y=True
    )
    assert data["path"].tolist() == [str(tmp_path / "c.jpg")]
    assert target["color"].tolist() == ["nan"]


# --- parquet -----------------------------------------------------------------------------------


def nullable():
    """Return a table as pandas reads it from parquet."""
    return pd.DataFrame(
        {
            "path": pd.array(["a", "b", "c"], dtype="string"),
            "hat": pd.array([True, None, False], dtype="boolean"),
            "size": pd.array([1, None, 2], dtype="Int64"),
            "color": pd.array(["NA", None, "red"], dtype="string"),
            "list": [[1], [2], [3]],
        }
    )


def check_parquet(path):
    """Check what is loaded from a parquet file of this table."""
    attributes = {"hat": "binary", "size": ("ordinal", [1, 2]), "color": "categorical"}
    target = load_attribute_table(path, attributes=attributes, positive=True, negative=False).target
    expected = pd.DataFrame(
        {
            "hat": pd.array([True, None, False], dtype="boolean"),
            "size": pd.Categorical([1, None, 2], [1, 2], ordered=True),
            "color": pd.Categorical(["NA", np.nan, "red"], ["NA", "red"]),
        }
    )
    pd.testing.assert_frame_equal(target, expected, check_categorical=False)
    assert target["size"].cat.ordered
    with pytest.raises(DatasetFormatError, match=r"row 2 \(from 0\): attribute 'hat' is 'False'"):
        load_attribute_table(path, attributes=["hat"], positive=True, negative=0)
    with pytest.raises(
        DatasetFormatError, match="column 'list' must contain text, numbers or bools"
    ):
        load_attribute_table(path, attributes=["list"])


def test_cells_of_parquet_are_compared_as_text(tmp_path, monkeypatch):
    """Bools, numbers and nulls are the text that Python writes, and the empty cell."""
    path = tmp_path / "labels.parquet"
    path.touch()
    monkeypatch.setattr(pd, "read_parquet", lambda name, dtype_backend: nullable())
    check_parquet(path)


def test_a_real_parquet_file(tmp_path):
    """A file written by pandas is read; a file that is cut short is rejected."""
    pytest.importorskip("pyarrow")
    path = tmp_path / "labels.parquet"
    nullable().to_parquet(path)
    check_parquet(path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DatasetFormatError, match="cannot be read as a parquet file .* cut short"):
        load_attribute_table(path)


def test_parquet_without_a_reader(tmp_path, monkeypatch):
    """The error names the packages to install."""

    def fail(name, dtype_backend):
        raise ImportError("Unable to find a usable engine")

    path = tmp_path / "labels.pq"
    path.touch()
    monkeypatch.setattr(pd, "read_parquet", fail)
    with pytest.raises(ImportError, match=r"To read '.*labels\.pq', install pyarrow or fastparque"):
        load_attribute_table(path)


# --- DataFrames ---------------------------------------------------------------------------------


def test_a_data_frame_is_read_as_a_file_is(file):
    """As pandas reads the same file, whose integers with a missing value are floats."""
    attributes = {"size": ("ordinal", [1, 2, 3]), "hat": "binary"}
    expected = load_attribute_table(file, attributes=attributes, group="who", **CODING)
    frame = pd.read_csv(file, keep_default_na=False)
    found = load_attribute_table(
        frame.set_index(pd.Index([7, 7, 1, 0])), attributes=attributes, group="who", **CODING
    )
    pd.testing.assert_frame_equal(found.data, expected.data)
    pd.testing.assert_frame_equal(found.target, expected.target)
    frame["hat"] = [1, 0, None, 1]
    for positive, negative in ((1, 0), ("1", "0"), (True, False)):
        frame["hat"] = frame["hat"].astype("boolean" if positive is True else float)
        coding = {"positive": positive, "negative": negative}
        target = load_attribute_table(frame, attributes=["hat"], **coding).target
        assert target["hat"].tolist() == [True, False, pd.NA, True]
    with pytest.raises(
        DatasetFormatError, match=r"the DataFrame, row 1 \(from 0\): attribute 'hat'"
    ):
        wrong = frame.assign(hat=[1, 9, 0, 1])
        load_attribute_table(wrong, attributes=["hat"], positive=1, negative=0)


def test_data_frames_that_hold_no_table():
    """Without rows, or with a name of two columns, there is nothing to read."""
    with pytest.raises(DatasetFormatError, match="DataFrame contains no row"):
        load_attribute_table(pd.DataFrame({"path": []}))
    twice = pd.DataFrame([["a", 1, 2]], columns=["path", "a", "a"])
    with pytest.raises(ValueError, match="names of the columns must be distinct"):
        load_attribute_table(twice)


# --- tags ---------------------------------------------------------------------------------------

TAGS = "path,found,age\na.png,Mass|Edema,9\nb.png,No Finding,4\nc.png,,9\nd.png, Mass ,4\n"


def test_a_column_of_tags(tmp_path):
    """Each tag becomes a binary attribute; other attributes stay beside them."""
    path = tmp_path / "tags.csv"
    path.write_text(TAGS)
    labels = load_attribute_table(path, tags="found", no_tag="No Finding")
    expected = table_of([[1, 1], [0, 0], [-1, -1], [0, 1]], ["Edema", "Mass"])
    pd.testing.assert_frame_equal(labels.target, expected)
    assert labels.attribute_kinds == {"Edema": "binary", "Mass": "binary"}
    names = ["Mass", "Edema", "Hernia"]
    labels = load_attribute_table(
        path,
        tags={"found": names},
        no_tag="No Finding",
        attributes={"age": ("ordinal", [4, 9])},
        existing_only=False,
    )
    assert list(labels.target) == ["age", *names]
    assert labels.target["Hernia"].tolist() == [False, False, pd.NA, False]
    path.write_text(TAGS.replace("|", " / "))
    again = load_attribute_table(path, tags="found", tag_separator="/", no_tag="No Finding")
    pd.testing.assert_frame_equal(again.target, expected)
    frame = pd.DataFrame({"path": list("abcd"), "found": [["Mass", "Edema"], [], None, {"Mass"}]})
    pd.testing.assert_frame_equal(load_attribute_table(frame, tags="found").target, expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tags": {"found": ["Mass"]}}, "line 2: the tag 'Edema' is not one of"),
        ({"tags": "found", "no_tag": "Mass"}, "line 2: 'Mass' means no tag, but the tags are"),
        ({"tags": "tags"}, "tags names the column 'tags', but"),
        ({"tags": {"found": ["a"], "age": ["b"]}}, "tags must name one column"),
        ({"tags": "found", "tag_separator": ""}, "separator of tags must be a str that is not"),
        ({"tags": {"found": []}}, "one tag or more"),
        ({"tags": {"found": ["age", "Mass", "Edema", "No Finding"]}, "attributes": ["age"]},
         r"tags \['age'\] have the names of attributes"),
    ],
)  # fmt: skip
def test_tags_that_do_not_fit(tmp_path, options, message):
    """The error names the line or the parameter."""
    path = tmp_path / "tags.csv"
    path.write_text(TAGS)
    with pytest.raises(ValueError, match=message):
        load_attribute_table(path, **options)


# --- kinds and mistakes -------------------------------------------------------------------------


def test_the_order_of_levels_travels_with_the_table(tmp_path):
    """`fit`, scores, reports and calibrators of any part know kinds and levels without a word."""
    rng = np.random.default_rng(0)
    levels = ["young", "adult", "old"]  # not in alphabetical order
    codes = rng.integers(3, size=90)
    X = rng.normal(size=(90, 2)) + codes[:, np.newaxis]
    path = tmp_path / "labels.csv"
    rows = "".join(f"{j}.jpg,{levels[code]},{j % 2}\n" for j, code in enumerate(codes))
    path.write_text("path,age,hat\n" + rows + "x.jpg,,1\n")
    kinds = {"age": ("ordinal", levels), "hat": "binary"}
    y = load_attribute_table(path, attributes=kinds, positive=1, negative=0).target.iloc[:90]
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    classifier = AttributeClassifier(max_epochs=5, random_state=0)
    parts = [
        y_train, y_test, pd.concat([y_test, y_train]), y[y["age"] != "adult"], y.iloc[[0]],
        multilabel_train_test_split(X, y, random_state=0)[3],
    ]  # fmt: skip
    for part in parts:
        encoder = AttributeEncoder().fit(part)
        assert encoder.kinds_ == ["ordinal", "binary"]
        assert encoder.classes_[0].tolist() == levels
    classifier.fit(X_train, y_train)
    declared = clone(classifier).set_params(attributes={"age": ("ordinal", levels)})
    declared.fit(X_train, y_train.astype({"age": object}))
    assert classifier.attribute_kinds_ == declared.attribute_kinds_ == ["ordinal", "binary"]
    for own, other in zip(
        classifier.predict_proba(X_test), declared.predict_proba(X_test), strict=True
    ):
        np.testing.assert_array_equal(own, other)
    calibrator = ThresholdCalibrator().fit(classifier.transform(X_test), y_test)
    assert calibrator.classes_[0].tolist() == levels
    report = attribute_report(y_test, classifier.predict(X_test))
    assert report.loc["age", "kind"] == "ordinal"
    error = mean_absolute_error(y_test[["age"]], classifier.predict(X_test)[:, :1])
    ranks = {level: rank for rank, level in enumerate(levels)}
    truth = y_test["age"].map(ranks).to_numpy(dtype=float)
    guess = np.array([ranks[level] for level in classifier.predict(X_test)[:, 0]])
    assert error == pytest.approx(np.abs(truth - guess).mean())
    scores = cross_validate(
        classifier, X, y, cv=KFold(3), scoring=get_scorer("accuracy"), error_score="raise"
    )
    assert np.isfinite(scores["test_score"]).all()


def test_levels_that_look_like_mistakes(tmp_path):
    """One warning lists columns, levels and parameters; declared levels are right."""
    path = tmp_path / "labels.csv"
    rows = "".join(
        f"{j}.jpg,{'NA' if j else 'EU'},{'Red' if j % 2 else 'red'},{j}\n" for j in range(20)
    )
    path.write_text("path,region,color,number\n" + rows)
    with pytest.warns(LabelWarning) as caught:
        load_attribute_table(path)
    assert len(caught) == 1
    message = str(caught[0].message)
    assert caught[0].filename == __file__
    for part in (
        "'region' ['NA']: list them in `unknown`",
        "'color' ['Red', 'red']: write",
        "'number' ['0', '1', '10', '11', '12', ... 20 in all]: leave the column out of",
    ):
        assert part in message  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        attributes = {"region": ("categorical", ["NA", "EU"]), "color": ("ordinal", ["red", "Red"])}
        labels = load_attribute_table(path, attributes=attributes)
        assert labels.attribute_kinds == attributes
        AttributeEncoder(labels.attribute_kinds).fit(labels.target)


# --- a real table ------------------------------------------------------------------------------


@needs_real
def test_the_real_levels():
    """Cells of a real table are read as text: "NA" is a level, an empty cell is missing."""
    names = ["gender", "subCategory", "articleType", "baseColour", "season", "usage"]
    labels = load_attribute_table(
        REAL / "labels.csv", path="image", attributes=names, category="masterCategory"
    )
    with open(REAL / "labels.csv", newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    for name in names:
        column = labels.target[name]
        assert [("" if pd.isna(cell) else cell) for cell in column] == [row[name] for row in rows]
    assert (labels.target["usage"] == "NA").sum() > 0
    assert labels.target["season"].isna().sum() > 0
    assert len(labels.category_names) == 6


def test_the_code_for_unknown_is_of_attributes_only(tmp_path):
    """A split or a group of that name stays one, and absolute paths stay where they are."""
    file = tmp_path / "labels.csv"
    file.write_text("path,part,person,hat\na.jpg,0,0,1\n/images/b.jpg,1,7,-1\nc.jpg,0,7,0\n")
    data = load_attribute_table(
        file, attributes=["hat"], positive=1, negative=-1, unknown=0, split="part", group="person",
        folder="here",
    )  # fmt: skip
    assert data.data["split"].tolist() == ["0", "1", "0"]
    assert data.data["group"].tolist() == ["0", "7", "7"]
    assert data.data["path"][1] == "/images/b.jpg"
    assert data.data["path"][0].endswith("a.jpg")
    assert data.target["hat"].isna().tolist() == [False, False, True]


def test_tables_of_polars_and_pyarrow():
    """They are read as the DataFrame of pandas is; of other types the error names the type."""
    polars, pyarrow = pytest.importorskip("polars"), pytest.importorskip("pyarrow")
    cells = {"path": ["a", "b", "c"], "hat": [1, None, 0], "t": [["x"], [], ["x", "y"]]}
    for table in (pd.DataFrame(cells), polars.DataFrame(cells), pyarrow.table(cells)):
        labels = load_attribute_table(
            table, attributes=["hat"], positive=1, negative=0, tags="t"
        ).target
        assert labels["hat"].tolist() == [True, pd.NA, False]
        assert labels["x"].tolist() == [True, False, True]
        assert labels["y"].tolist() == [False, False, True]
    with pytest.raises(TypeError, match="or a DataFrame, got a value of type dict"):
        load_attribute_table(cells)
