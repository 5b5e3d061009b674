"""Loader of aPascal and aYahoo, on written files and, if available, on the official ones."""

import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from skattr.datasets import load_apascal
from skattr.exceptions import DatasetFormatError, DatasetWarning
from tests.datasets.formats import APASCAL_NAMES, table_of, write_apascal

NAMES = APASCAL_NAMES.split("|")
REAL = Path(os.environ.get("SKATTR_DATA", "")) / "apascal"
needs_real = pytest.mark.skipif(
    not os.environ.get("SKATTR_DATA") or not REAL.is_dir(),
    reason="SKATTR_DATA names no folder that holds apascal",
)


@pytest.fixture
def folder(tmp_path, rng):
    """Return a folder of the format."""
    write_apascal(tmp_path, rng)
    return tmp_path


def change(path, old, new):
    """Replace the only occurrence of some bytes of a file."""
    content = path.read_bytes()
    assert content.count(old) == 1
    path.write_bytes(content.replace(old, new))


@pytest.mark.parametrize("subset", ["train", "test", "ayahoo"])
def test_rows_are_those_of_the_file(tmp_path, rng, subset):
    """Labels, classes and boxes are what splitting each line by hand gives."""
    rows = write_apascal(tmp_path, rng)[subset]
    objects = load_apascal(tmp_path, subset)
    codes = [[int(bit) for bit in row[6:]] for row in rows]
    pd.testing.assert_frame_equal(objects.target, table_of(codes, NAMES))
    images = "ayahoo_test_images" if subset == "ayahoo" else "JPEGImages"
    for i, (image, category, *edges) in enumerate(row[:6] for row in rows):
        xmin, ymin, xmax, ymax = map(int, edges)
        found = objects.data.loc[i].to_dict()
        assert found == {
            "path": os.path.join(str(tmp_path), images, image),
            "xmin": xmin - 1,
            "ymin": ymin - 1,
            "xmax": xmax,
            "ymax": ymax,
            "category": category,
            "group": image,
            "split": subset,
        }
    assert objects.category_names == ["horse", "person", "donkey"]
    assert objects.attribute_kinds == dict.fromkeys(NAMES, "binary")


def test_boxes_follow_the_voc_convention(tmp_path, rng):
    """The crop of the half-open box is the image's pixels from xmin to xmax, both included."""
    rows = write_apascal(tmp_path, rng)["train"]
    pixels = rng.integers(0, 256, (40, 40), dtype=np.uint8)
    data = load_apascal(tmp_path, "train").data
    for i, row in enumerate(rows):
        xmin, ymin, xmax, ymax = map(int, row[2:6])
        box = tuple(data.loc[i, ["xmin", "ymin", "xmax", "ymax"]])
        crop = np.asarray(Image.fromarray(pixels).crop(box))
        # MATLAB's pixels(ymin:ymax, xmin:xmax), which counts from 1 and includes the last.
        wanted = [
            [pixels[y - 1, x - 1] for x in range(xmin, xmax + 1)] for y in range(ymin, ymax + 1)
        ]
        np.testing.assert_array_equal(crop, wanted)


def test_no_subset_is_all_of_them(folder):
    """The three parts are concatenated, with their names in the column split."""
    whole = load_apascal(folder)
    parts = [load_apascal(folder, part) for part in ("train", "test", "ayahoo")]
    for name in ("data", "target"):
        glued = pd.concat([part[name] for part in parts], ignore_index=True)
        pd.testing.assert_frame_equal(whole[name], glued)


def test_drop_empty(folder):
    """Only rows without any attribute are dropped."""
    whole, some = load_apascal(folder, "train"), load_apascal(folder, "train", drop_empty=True)
    keep = [0, 2, 3, 4, 5]
    pd.testing.assert_frame_equal(some.data, whole.data.loc[keep].reset_index(drop=True))
    pd.testing.assert_frame_equal(some.target, whole.target.loc[keep].reset_index(drop=True))


def test_boxes_without_area_are_kept_and_reported(folder):
    """One warning names every such line; the boxes are as in the file."""
    change(folder / "ayahoo_test.txt", b" 1 7 10 8 ", b" 10 7 10 8 ")
    change(folder / "ayahoo_test.txt", b" 1 7 12 8 ", b" 1 9 12 8 ")
    with pytest.warns(
        DatasetWarning, match=r"^Boxes without area are kept \(2\): .*line 2; .*line 4\.$"
    ) as seen:
        data = load_apascal(folder, "ayahoo").data
    assert len(seen) == 1
    assert seen[0].filename == __file__
    assert data.loc[1, ["xmin", "ymin", "xmax", "ymax"]].tolist() == [9, 6, 10, 8]
    assert data.loc[3, ["xmin", "ymin", "xmax", "ymax"]].tolist() == [0, 8, 12, 8]


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("apascal_train.txt", b" person 1 7 9 ", b" person 1 7 ", "train.txt, line 1: expected 70"),
        ("apascal_train.txt", b" 1 7 10 8 ", b" 1 7 x 8 ", "line 2: xmax is 'x'"),
        ("apascal_train.txt", b" 1 7 10 8 0", b" 1 7 10 8 2", "line 2: attribute '2D Boxy' is '2'"),
        (
            "apascal_train.txt",
            b" person 1 7 9 ",
            b" cow 1 7 9 ",
            "line 1: the class is 'cow', but must be one of class_names.txt",
        ),
        ("apascal_train.txt", b" person 1 7 9 ", b" p\xe9rson 1 7 9 ", "line 1: the byte 0xe9"),
        (
            "attribute_names.txt",
            b"Ear\nSnout\n",
            b"Snout\nEar\n",
            "the attribute 'Ear' comes after 'Snout'",
        ),
        ("attribute_names.txt", b"Ear\n", b"", "line 1: expected 69 fields, got 70"),
        ("attribute_names.txt", b"Ear\n", b"Eye\n", "line 16: .* a new name, got 'Eye'"),
    ],
)
def test_faults_are_named(folder, file, old, new, message):
    """The error for each fault names file and line, and says what was expected."""
    change(folder / file, old, new)
    with pytest.raises(DatasetFormatError, match=message):
        load_apascal(folder, "train")


@pytest.mark.parametrize("missing", ["attribute_names.txt", "class_names.txt", "apascal_test.txt"])
def test_a_missing_file_is_named(folder, missing):
    """The error says which file is missing and where the data comes from."""
    (folder / missing).unlink()
    message = rf"no file '{missing}' in {re.escape(repr(str(folder)))}.*JPEGImages.*cs\.uiuc\.edu"
    with pytest.raises(FileNotFoundError, match=message):
        load_apascal(folder)


# --- the real files ----------------------------------------------------------------------------


@needs_real
@pytest.mark.parametrize(
    ("subset", "rows", "empty", "without"),
    [("train", 6340, 25, 0), ("test", 6355, 598, 0), ("ayahoo", 2644, 366, 17)],
)
@pytest.mark.filterwarnings("ignore::skattr.exceptions.DatasetWarning")
def test_the_real_counts(subset, rows, empty, without):
    """Rows, all-zero rows and attributes without a positive are those of the official files."""
    objects = load_apascal(REAL, subset)
    assert objects.target.shape == (rows, 64)
    positive = objects.target.to_numpy(dtype=bool)
    assert (~positive.any(axis=1)).sum() == empty
    assert (~positive.any(axis=0)).sum() == without
    assert len(load_apascal(REAL, subset, drop_empty=True).data) == rows - empty
    for line in (f"rows +{rows}", f"without a positive +{empty}", f"a positive +{without}\n"):
        assert re.search(line, objects.DESCR)


@needs_real
def test_the_two_real_boxes_without_area_are_reported():
    """The boxes in lines 1526 and 2211 of aYahoo are one pixel wide."""
    with pytest.warns(DatasetWarning, match=r"kept \(2\): .*line 1526; .*line 2211"):
        data = load_apascal(REAL, "ayahoo").data
    thin = data[data["xmax"] - data["xmin"] == 1]
    assert thin["group"].tolist() == ["mug_308.jpg", "bag_227.jpg"]


@needs_real
def test_the_real_images_hold_their_boxes():
    """Boxes are within their images, for all images that exist."""
    data = load_apascal(REAL, "train", existing_only=True).data
    assert 0 < len(data) < 6340
    for path, rows in data.groupby("path"):
        with Image.open(path) as image:
            width, height = image.size
        assert (rows["xmin"] >= 0).all() and (rows["xmax"] <= width).all()
        assert (rows["ymin"] >= 0).all() and (rows["ymax"] <= height).all()


@needs_real
def test_the_real_files_with_windows_ends(tmp_path):
    """Files with CRLF line ends give the same result."""
    for file in REAL.glob("*.txt"):
        (tmp_path / file.name).write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    pd.testing.assert_frame_equal(
        load_apascal(tmp_path, "test").target, load_apascal(REAL, "test").target
    )
