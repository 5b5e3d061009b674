"""Validation of X: its kind, arrays of images, paths and boxes."""

import pathlib
import re

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from PIL import Image

from skattr._inputs.checks import (
    check_features,
    check_image_array,
    check_image_paths,
    check_images,
    check_same_kind,
    describe,
    find_nan_rows,
    infer_kind,
)
from skattr._inputs.rows import FileRows, ImageRows
from skattr.exceptions import ImageReadError, InvalidBoxError
from tests.inputs.sample_images import LEVELS, SIZE, make_boxed, save

PATHS = ["a.png", "b c.png", "ä/b.png"]


@pytest.mark.parametrize(
    ("edges", "reason"),
    [
        ((np.nan, 0, 5, 5), "has a missing edge"),
        ((0, 0, 5, np.nan), "has a missing edge"),
        ((0.5, 0, 5, 5), "not whole pixels"),
        ((0, 0, np.inf, 5), "not whole pixels"),
        ((-np.inf, 0, 5, 5), "not whole pixels"),
        ((3, 0, 3, 5), "holds no pixel"),
        ((0, 4, 3, 4), "holds no pixel"),
        ((5, 0, 3, 5), "holds no pixel"),
        ((-1, 0, 3, 5), "starts outside its image"),
        ((0, -2, 3, 5), "starts outside its image"),
    ],
)
def test_rejects_malformed_boxes(one_file, edges, reason):
    """Before a file is opened, the error names row, path, box and fault."""
    good = make_boxed(one_file, 0, 0, 2, 2)
    frame = pd.concat([good, make_boxed(one_file, *edges)], ignore_index=True)
    with pytest.raises(InvalidBoxError, match=f"row 1 of X.*one.png.*{reason}"):
        check_image_paths(frame, SIZE)


def test_rejects_some_of_the_box_columns(one_file):
    """The error names the columns that are absent."""
    with pytest.raises(ValueError, match=r"but not \['ymin', 'ymax'\]"):
        check_image_paths(make_boxed(one_file, 0, 0, 2, 2).drop(columns=["ymin", "ymax"]), SIZE)


def test_rejects_text_in_box_columns(one_file):
    """Edges of a box must be numbers."""
    with pytest.raises(InvalidBoxError, match="must be numbers"):
        check_image_paths(make_boxed(one_file, "left", 0, 2, 2), SIZE)


@pytest.mark.parametrize("column", ["path", "ymax"])
def test_rejects_repeated_columns(one_file, column):
    """Two columns of the same name are an error that names them."""
    frame = make_boxed(one_file, 0, 0, 2, 2)
    frame = pd.concat([frame, frame[[column]]], axis=1)
    with pytest.raises(ValueError, match=rf"\['{column}'\] more than once"):
        check_image_paths(frame, SIZE)


def test_a_list_of_images_is_stacked(images):
    """Lists of arrays and of tensors give the batch of the stacked array."""
    indices = np.array([1, 4])
    for X in (list(images), tuple(images), [*map(torch.tensor, images)]):
        assert infer_kind(X) == "pixels"
        np.testing.assert_array_equal(check_image_array(X, (12, 10)).take(indices), images[indices])


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (np.zeros((2, 4, 4, 3)), TypeError, "dtype float64.*must be uint8"),
        (np.zeros((2, 4, 4, 3), np.uint16), TypeError, "dtype uint16.*must be uint8"),
        (np.zeros((2, 4, 5), bool), TypeError, "dtype bool.*must be uint8"),
        (np.zeros((2, 4, 4, 4), np.uint8), ValueError, r"shape \(2, 4, 4, 4\); valid are"),
        (np.zeros((2, 3, 4, 4), np.uint8), ValueError, r"shape \(2, 3, 4, 4\); valid are"),
        (np.zeros((2, 3, 4, 4), np.uint8), ValueError, "channels seem to come first"),
        (torch.zeros((3, 4, 5), dtype=torch.uint8), ValueError, "looks like one color image"),
        (np.zeros((0, 4, 4, 3), np.uint8), ValueError, "holds no image"),
        (np.zeros((2, 0, 4, 3), np.uint8), ValueError, "holds no image"),
        (np.zeros((2, 4, 0), np.uint8), ValueError, "holds no image"),
    ],
)
def test_rejects_invalid_arrays_of_images(X, error, message):
    """The error names shape or dtype."""
    with pytest.raises(error, match=message):
        check_image_array(X, (4, 4))


@pytest.mark.parametrize("is_tensor", [False, True])
@pytest.mark.parametrize(
    "shape", [(5, 4, 3), (5, 3, 4), (5, 4, 2), (5, 4, 5), (3, 4, 5), (4, 3, 5), (2, 4, 5)]
)
def test_one_color_image_is_no_batch_of_gray_ones(shape, is_tensor):
    """Three or four columns, or three images in a tensor, are one image; all else is a batch."""
    X = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    given = torch.from_numpy(X) if is_tensor else X
    if shape[2] in (3, 4) or (is_tensor and shape[0] == 3):
        with pytest.raises(ValueError, match=r"looks like one color image; pass .*X\[np.newaxis\]"):
            check_image_array(given, shape[1:])
    else:
        batch = check_image_array(given, shape[1:]).take(np.arange(shape[0]))
        np.testing.assert_array_equal(batch, np.repeat(X[..., np.newaxis], 3, axis=3))


@pytest.mark.parametrize("n", [1, 10, 11])
def test_describe_names_ten_columns(n):
    """Dots stand for further columns."""
    names = ", ".join(str(number) for number in range(min(n, 10))) + ", ..." * (n > 10)
    assert f"the columns [{names}], none" in describe(pd.DataFrame(np.zeros((2, n))))


@pytest.mark.parametrize(
    "X",
    [
        PATHS,
        tuple(PATHS),
        [pathlib.Path(path) for path in PATHS],
        [None, "a.png"],
        np.array(PATHS),
        np.array(PATHS, dtype=object),
        np.array(PATHS, dtype=np.dtypes.StringDType()),
        np.array([pathlib.Path(path) for path in PATHS], dtype=object),
        np.array(PATHS)[:, np.newaxis],
        np.array(PATHS, dtype=object)[:, np.newaxis],
        pd.Series(PATHS),
        pd.Series(PATHS, dtype=object),
        pd.Series(PATHS, dtype="str"),
        pd.Series(PATHS, dtype="string"),
        pd.Series(PATHS, dtype="category"),
        pd.Series(PATHS, index=[7, 7, 3]),
        pd.Series([pathlib.Path(path) for path in PATHS]),
        pd.DataFrame({"path": PATHS}),
        pd.DataFrame({"path": pd.Series(PATHS, dtype="string"), "id": [1, 2, 3], "who": PATHS}),
        pd.DataFrame({"path": PATHS, "xmin": 0, "ymin": 0, "xmax": 1, "ymax": 1}),
    ],
    ids=lambda X: type(X).__name__,
)
def test_paths_are_accepted_in_every_container(X, tmp_path, monkeypatch):
    """Paths of every container are the same; further columns are ignored."""
    assert infer_kind(X) == "files"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ä").mkdir()
    for path in PATHS:
        save(Image.fromarray(LEVELS[..., :3]), tmp_path / path)
    if len(X) == 3:
        rows = check_image_paths(X, SIZE)
        assert list(rows.sources) == PATHS
        assert len(rows) == 3
    else:
        with pytest.raises(ImageReadError, match="row 0 of X: None is not a path"):
            check_image_paths(X, SIZE)


@pytest.mark.parametrize(
    ("X", "kind"),
    [
        (np.zeros((2, 4, 4, 3), np.uint8), "pixels"),
        (np.zeros((2, 4, 4), np.uint8), "pixels"),
        (np.zeros((2, 4, 4, 3)), "pixels"),
        ([np.zeros((4, 4, 3), np.uint8)] * 2, "pixels"),
        (np.zeros((2, 4, 4, 3), np.uint8).tolist(), "pixels"),
        (np.zeros((2, 4, 4), np.uint8).tolist(), "pixels"),
        (np.zeros((2, 1, 1, 1, 3), np.uint8).tolist(), "features"),
        (np.zeros((2, 4)), "features"),
        (np.zeros((2, 4), np.uint8), "features"),
        (np.zeros(4), "features"),
        (np.zeros((2, 1), object), "features"),
        (np.array([["a", "b"]]), "features"),
        ([[1.0, 2.0], [3.0, 4.0]], "features"),
        ([1.0, 2.0], "features"),
        ([], "features"),
        (None, "features"),
        (3, "features"),
        ("a.png", "features"),
        (np.array("a.png"), "features"),
        (pd.DataFrame({"a": [1.0]}), "features"),
        (pd.DataFrame({"file": ["a.png"]}), "features"),
        (pd.Series([1.0, 2.0]), "features"),
        (np.zeros((1, 1, 1, 1, 3)), "features"),
    ],
)
def test_infer_kind_of_arrays_and_tables(X, kind):
    """Arrays of 3 or 4 dimensions are images; everything else is left to scikit-learn."""
    assert infer_kind(X) == kind


def test_rejects_columns_that_are_not_numeric():
    """In a table without paths the error names the columns with text and dates."""
    with pytest.raises(ValueError, match=r"columns \['file', 'when'\], which are not numeric"):
        check_features(
            pd.DataFrame({"file": ["a"], "n": [1], "ok": [True], "when": [pd.Timestamp(0)]})
        )
    check_features(pd.DataFrame({"n": [1], "m": pd.Series([1.5], dtype="Float32")}))


@pytest.mark.parametrize(
    "X",
    [
        np.zeros((2, 4)),
        np.zeros(4),
        [],
        [1.0, 2.0],
        [[1.0], [2.0]],
        pd.Series([1.0]),
        pd.DataFrame({"a": [1.0]}),
        scipy.sparse.csr_array((2, 3)),
        np.zeros((1, 1, 1, 1, 3)),
    ],
    ids=lambda X: type(X).__name__,
)
def test_other_invalid_features_are_left_to_scikit_learn(X):
    """X for which scikit-learn's error is clear passes."""
    check_features(X)


@pytest.mark.parametrize(
    ("X", "words"),
    [
        (3, "type int$"),
        (None, "type NoneType$"),
        (pd.Index(PATHS), r"type Index with 3 row\(s\) of type str$"),
        (np.array([b"a.png"]), r"type ndarray with 1 row\(s\) of type bytes_$"),
        (
            pd.DataFrame(index=PATHS),
            r"type DataFrame with the columns \[\], none of which is 'path'$",
        ),
    ],
)
def test_describe_names_type_and_contents(X, words):
    """The description has the type of X and of its elements, and no values."""
    assert re.search(words, describe(X))
    with pytest.raises(ValueError, match="X is of .*; valid are .*, or 2-D numeric features"):
        check_features(X)


@pytest.mark.parametrize("bad", ["", "missing.png", "x" * 5000, "nul\0.png", "."])
def test_rejects_missing_files(files, bad):
    """Missing files, directories and invalid names are errors before a file is opened."""
    with pytest.raises(ImageReadError, match="row 2 of X: there is no file"):
        check_image_paths([files[0], files[1], bad], SIZE)


@pytest.mark.parametrize("bad", [None, np.nan, pd.NA, 3, np.zeros(4, np.uint8), [1] * 10_000])
def test_rejects_values_that_are_not_paths(files, bad):
    """The error for a missing path or a number names the row, without a long value."""
    for X in ([files[0], bad], pd.DataFrame({"path": [files[0], bad]})):
        with pytest.raises(ImageReadError, match="row 1 of X: .* is not a path") as caught:
            check_image_paths(X, SIZE)
        assert len(str(caught.value)) < 120


def test_rejects_an_empty_column_of_paths():
    """A DataFrame without rows is an error."""
    with pytest.raises(ValueError, match=r"0 sample\(s\)"):
        check_image_paths(pd.DataFrame({"path": []}), SIZE)


def test_check_images_dispatches_on_the_kind(images, files):
    """Arrays become ImageRows and paths become FileRows with the given options."""
    assert isinstance(check_images(images, SIZE, "warn", "scaled"), ImageRows)
    rows = check_images(files, SIZE, "warn", "scaled")
    assert isinstance(rows, FileRows)
    assert (rows.unreadable, rows.decoding, rows.size) == ({}, "scaled", SIZE)
    assert check_images(files, SIZE).unreadable is None


def test_rejects_another_kind_than_in_fit(images):
    """Features after images, and images after features, are errors; the same kind passes."""
    features = np.zeros((2, 3))
    check_same_kind(features, is_features=True)
    check_same_kind(images, is_features=False)
    with pytest.raises(ValueError, match="X contains images, but .* on 2-D features"):
        check_same_kind(images, is_features=True)
    with pytest.raises(ValueError, match=r"fitted on images, but X is .*shape \(2, 3\); valid"):
        check_same_kind(features, is_features=False)


def test_rows_of_nan_are_unreadable():
    """Only rows of features that are all NaN count as unreadable images."""
    X = np.array([[np.nan, np.nan], [1.0, np.nan], [np.nan, np.inf], [np.nan, np.nan]])
    assert find_nan_rows(X) == dict.fromkeys([0, 3], "all its features are NaN")
    assert find_nan_rows(X[1:3]) == {}
