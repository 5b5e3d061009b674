"""Sentences for objects that are often passed as X; tables of polars and pyarrow."""

import pathlib
import zipfile

import numpy as np
import pandas as pd
import pytest
import torchvision
from PIL import Image
from sklearn.model_selection import GridSearchCV
from torch.utils.data import DataLoader, Subset

from skattr import AttributeClassifier, ImageEmbedder, ImageReading
from skattr._inputs.advice import advise, find_image_column
from skattr._inputs.checks import check_image_paths
from skattr._utils.tables import as_pandas
from skattr.datasets import check_images
from skattr.exceptions import BadImageWarning
from tests.tiny_models import tiny


@pytest.fixture
def root(tmp_path, images):
    """Return a folder with a subfolder per category, and an archive."""
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for number in range(4):
            Image.fromarray(images[number]).save(tmp_path / name / f"{number}.png")
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        archive.writestr("a.png", b"")
    return tmp_path


class Dataset(dict):
    """A dict of splits with columns, such as the DatasetDict of Hugging Face."""


class Split:
    """A table with named columns, such as the Dataset of Hugging Face."""

    column_names = ("label", "image")
    features = ()

    def __len__(self):
        return 8

    def __getitem__(self, key):
        return {"image": None, "label": 0}


PATHS = ["a.jpg", "b.jpg"]
CASES = [
    (lambda root: str(root), "is a folder; skattr.datasets.load_image_folder reads a folder"),
    (lambda root: root, "is a folder; skattr.datasets.load_image_folder"),
    (lambda root: str(root / "images.zip"), "is an archive; unpack it"),
    (lambda root: "elsewhere.tar.gz", "is an archive; unpack it"),
    (lambda root: "a.jpg", r"pass a list of paths, \[X\]"),
    (lambda root: Image.new("RGB", (9, 9)), r"X is one image; pass a list, \[X\]"),
    (lambda root: b"\xff\xd8", r"X is one image; pass a list, \[X\]"),
    (lambda root: {"bytes": b"\xff\xd8", "path": None}, r"X is one image; pass a list, \[X\]"),
    (lambda root: (path for path in PATHS), r"read only once; pass list\(X\)"),
    (lambda root: iter(PATHS), r"read only once; pass list\(X\)"),
    (lambda root: set(PATHS), "a set has no order"),
    (lambda root: {"image": PATHS, "label": [0, 1]}, r"such as X\['image'\], or pandas.DataFrame"),
    (lambda root: Dataset(train=Split(), test=Split()), r"such as X\['train'\]\['image'\]"),
    (lambda root: Split(), r"one of its columns, such as X\['image'\]"),
    (
        torchvision.datasets.ImageFolder,
        r"\[path for path, _ in dataset.samples\].*load_image_folder",
    ),
    (lambda root: DataLoader(torchvision.datasets.ImageFolder(root)), "as a list, and its labels"),
    (lambda root: Subset(torchvision.datasets.ImageFolder(root), [0]), "as a list, and its labels"),
    (lambda root: [["a.jpg"], ["b.jpg"]], "its rows are lists; pass one flat list"),
    (lambda root: [None, None], "2 rows of X are missing|type list with 2"),
    (lambda root: {}, "type dict"),
    (lambda root: np.array([b"a", b"b"]), "type ndarray with 2"),
]


@pytest.mark.parametrize(("make", "words"), CASES, ids=[case[1] for case in CASES])
def test_the_sentence_says_how_to_pass_it(make, words, root, images):
    """In `fit`, ImageEmbedder, `check_images` and `predict`."""
    fitted = tiny().fit(images, np.arange(24) % 2)
    for call in (
        lambda X: tiny().fit(X, [0, 1]),
        lambda X: ImageEmbedder("resnet18").fit(X),
        fitted.predict,
        check_images,
    ):
        with pytest.raises(ValueError, match=words):
            call(make(root))


def test_a_row_that_is_a_folder(root):
    """The helper is named for a folder in a list, too."""
    with pytest.raises(OSError, match="row 0 of X: there is no file .*load_image_folder"):
        tiny().fit([str(root)], [0])
    with pytest.raises(OSError, match="row 0 of X: there is no file .*URLs are not read"):
        tiny().fit(["https://example.org/a.jpg"], [0])


@pytest.mark.parametrize(
    ("columns", "name"),
    [
        ({"filename": PATHS, "n": [1, 2]}, "filename"),
        ({"n": [1, 2], "file": PATHS}, "file"),
        ({"img_path": PATHS}, "img_path"),
        ({"Path": PATHS}, "Path"),
        ({" path ": PATHS}, " path "),
        ({"image": [b"a", b"b"]}, "image"),
        ({"image": [None, {"bytes": b"a", "path": None}]}, "image"),
        ({"photo of the item": ["x/a.PNG", None]}, "photo of the item"),
        ({"name": ["Ann", "Bob"], "file_name": ["a", "b"]}, "file_name"),
        ({"image": ["a", "b"], "scan": PATHS}, "scan"),
        ({0: [Image.new("L", (4, 4))] * 2}, 0),
    ],
)
def test_columns_of_other_names(columns, name):
    """The column to be renamed is named: one of files or images, then one of a common name."""
    X = pd.DataFrame(columns)
    words = rf"rename the column {name!r} to 'path'"
    for call in (lambda: tiny().fit(X, [0, 1]), lambda: check_images(X)):
        with pytest.raises(ValueError, match=words):
            call()


def test_paths_of_bytes_have_no_advice():
    """They are no valid rows, so that a list of them would be an error too."""

    class BytesPath:
        def __fspath__(self):
            return b"a.jpg"

    assert advise(BytesPath()) is None


def test_tables_without_images_have_no_such_advice():
    """Columns of words are not paths."""
    with pytest.raises(ValueError, match="not numeric; valid X") as caught:
        tiny().fit(pd.DataFrame({"name": ["Ann", "Bob"], "n": [1, 2]}), [0, 1])
    assert "rename" not in str(caught.value)
    twice = pd.DataFrame([["a.jpg", "b.jpg"], ["c.jpg", "d.jpg"]], columns=["scan", "scan"])
    assert find_image_column(twice) is None
    twice["file"] = ["e", "f"]
    assert find_image_column(twice) == "file"


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
@pytest.mark.parametrize("container", [list, pd.Series, lambda rows: np.array(rows, dtype=object)])
def test_missing_paths_at_the_start(files, missing, container):
    """However many there are, the paths after them are found."""
    X = container([missing] * 120 + list(files))
    with pytest.raises(OSError, match="^row 0 of X: .* is not a path"):
        check_image_paths(X, (9, 9))
    classifier = tiny(images=ImageReading(on_bad_image="warn"))
    y = np.arange(len(X)) % 2
    with pytest.warns(BadImageWarning, match=f"120 of {len(X)} rows"):
        classifier.fit(X, y)
    with pytest.warns(BadImageWarning):
        proba = classifier.predict_proba(X)
    assert np.isnan(proba).any(axis=1).tolist() == [True] * 120 + [False] * len(files)
    np.testing.assert_array_equal(proba[120:], classifier.predict_proba(files))


# --- tables of other libraries -------------------------------------------------------------------


def in_polars(frame):
    """Return a DataFrame of pandas in polars, with its categories as an Enum."""
    pl = pytest.importorskip("polars")
    columns = {}
    for name, column in frame.items():
        values = [None if pd.isna(value) else value for value in column.tolist()]
        dtype = None
        if isinstance(column.dtype, pd.CategoricalDtype):
            dtype = pl.Enum(column.cat.categories.tolist())
        columns[name] = pl.Series(values, dtype=dtype)
    return pl.DataFrame(columns)


def in_pyarrow(frame):
    """Return a DataFrame of pandas in pyarrow."""
    return pytest.importorskip("pyarrow").Table.from_pandas(frame, preserve_index=False)


TABLE = pd.DataFrame(
    {
        "path": ["a", None, "c"],
        "whole": [1, 2, 3],
        "some": pd.array([1, None, 3], dtype="Int64"),
        "real": [0.5, np.nan, 2.0],
        "yes": [True, False, True],
        "maybe": pd.array([True, None, False], dtype="boolean"),
        "age": pd.Categorical(["old", None, "young"], ["young", "adult", "old"], ordered=True),
    }
)


@pytest.mark.parametrize("convert", [in_polars, in_pyarrow])
def test_tables_become_those_of_pandas(convert):
    """Names, order, values, missing values and categories stay, in tables and columns."""
    table = as_pandas(convert(TABLE))
    assert table.columns.tolist() == TABLE.columns.tolist()
    for name in TABLE:
        result = as_pandas(convert(TABLE)[name])
        assert result.dropna().tolist() == table[name].dropna().tolist()
        assert isinstance(result.dtype, pd.CategoricalDtype) == (name == "age")
        assert pd.isna(table[name]).tolist() == pd.isna(TABLE[name]).tolist()
        assert table[name].dropna().tolist() == TABLE[name].dropna().tolist()
    assert table["age"].cat.categories.tolist() == ["young", "adult", "old"]
    for other in (TABLE, TABLE["age"], np.zeros(3), [1], None, "a"):
        assert as_pandas(other) is other


def test_enums_are_ordered_as_by_polars_itself():
    """Its conversion to pandas, for which polars needs pyarrow, gives the same categories."""
    pl = pytest.importorskip("polars")
    pytest.importorskip("pyarrow")
    for dtype in (pl.Enum(["c", "b", "a"]), pl.Categorical):
        column = pl.Series("x", ["a", "c", None], dtype=dtype)
        pd.testing.assert_series_equal(as_pandas(column), column.to_pandas(), check_dtype=False)
        assert as_pandas(column).cat.ordered == column.to_pandas().cat.ordered


@pytest.mark.parametrize("convert", [in_polars, in_pyarrow])
def test_x_and_y_of_other_libraries(convert, files, images):
    """Paths, boxes, labels, their names and categories are those of pandas."""
    X = pd.DataFrame({"path": files[:12], "xmin": 0, "ymin": 0, "xmax": 9, "ymax": 8})
    y = pd.DataFrame(
        {
            "hat": pd.array([True, False, None] * 4, dtype="boolean"),
            "age": pd.Categorical(
                ["old", "young", None] * 4, ["young", "adult", "old"], ordered=True
            ),
        }
    )
    expected = tiny().fit(X, y)
    classifier = tiny().fit(convert(X), convert(y))
    assert classifier.output_names_ == ["hat", "age"]
    assert classifier.attribute_kinds_ == expected.attribute_kinds_ == ["binary", "ordinal"]
    assert classifier.classes_[1].tolist() == expected.classes_[1].tolist()
    probas = classifier.predict_proba(convert(X))
    for one, other in zip(probas, expected.predict_proba(X), strict=True):
        np.testing.assert_array_equal(one, other)
    assert classifier.score(convert(X), convert(y)) == expected.score(X, y)
    embedder = ImageEmbedder("resnet18", layer="layer1", image_size=16)
    np.testing.assert_array_equal(embedder.fit_transform(convert(X)), embedder.fit_transform(X))
    bad = X.assign(path=[*files[:11], "none.png"])
    pd.testing.assert_frame_equal(check_images(convert(bad)), check_images(bad))
    wrong = convert(X.rename(columns={"path": "filename"}))
    with pytest.raises(ValueError, match="rename the column 'filename' to 'path'"):
        tiny().fit(wrong, convert(y))


def test_polars_in_searches(files):
    """Searches of scikit-learn slice frames and Series of polars."""
    pl = pytest.importorskip("polars")
    y = pl.Series("hat", [0, 1] * 6)
    for X in (pl.DataFrame({"path": files[:12]}), pl.Series(files[:12])):
        search = GridSearchCV(tiny(), {"max_epochs": [1]}, cv=2).fit(X, y)
        assert search.best_estimator_.output_names_ == ["hat"]
    with pytest.raises(ValueError, match=r"LazyFrame: pass X.collect\(\)"):
        tiny().fit(pl.DataFrame({"path": files[:12]}).lazy(), y)


def test_features_of_polars_keep_their_names():
    """2-D features of polars are named as those of pandas."""
    pl = pytest.importorskip("polars")
    X = pd.DataFrame({"a": np.arange(12.0), "b": np.arange(12.0) % 5})
    classifier = AttributeClassifier(random_state=0).fit(
        pl.from_dict({name: X[name].to_numpy() for name in X}), [0, 1] * 6
    )
    assert classifier.feature_names_in_.tolist() == ["a", "b"]
    expected = AttributeClassifier(random_state=0).fit(X, [0, 1] * 6).predict_proba(X)
    np.testing.assert_array_equal(classifier.predict_proba(X), expected)


def test_paths_of_path_objects_are_shown_as_given():
    """A missing pathlib path is named like a str."""
    with pytest.raises(OSError, match=r"row 0 of X: there is no file 'none\.png'\."):
        check_image_paths([pathlib.Path("none.png")], (4, 4))


@pytest.mark.parametrize("position", [0, 1])
@pytest.mark.parametrize(
    "image", [Image.new("RGB", (6, 5)), np.zeros((5, 6, 3), np.uint8), "photo.png"], ids=type
)
@pytest.mark.parametrize("label", [1, "cat", {"label": 1}], ids=type)
def test_items_of_datasets(image, label, position):
    """Pairs of image and label, such as the items of an ImageFolder, are told apart from images."""
    if isinstance(label, str) and isinstance(image, str):
        pytest.skip("Two texts may be two paths.")
    row = (image, label) if position == 0 else (label, image)
    with pytest.raises(
        ValueError, match=rf"pass \[row\[{position}\] for row in X\], and labels as"
    ):
        tiny(max_epochs=1).fit([row] * 4, [0, 1, 0, 1])
    with pytest.raises(
        ValueError, match=rf"pass \[row\[{position}\] for row in X\], and labels as"
    ):
        check_images([row] * 4)


def test_sequences_of_pandas_and_pyarrow(tmp_path, images):
    """An Index, an extension array, an Array or a RecordBatch of paths is a list of paths."""
    pyarrow = pytest.importorskip("pyarrow")
    paths = [str(tmp_path / f"{number}.png") for number in range(4)]
    for path, image in zip(paths, images, strict=False):
        Image.fromarray(image).save(path)
    classifier = tiny(max_epochs=1).fit(paths, [0, 1, 0, 1])
    expected = classifier.predict_proba(paths)
    for X in (
        pd.Index(paths),
        pd.array(paths, dtype="string"),
        pyarrow.array(paths),
        pyarrow.record_batch({"path": paths}),
    ):
        np.testing.assert_array_equal(classifier.predict_proba(X), expected)
        assert check_images(X).empty
