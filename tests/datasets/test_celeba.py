"""Loader of CelebA, on written files."""

import os

import numpy as np
import pandas as pd
import pytest

from skattr.datasets import load_celeba
from skattr.exceptions import DatasetFormatError, DatasetWarning
from tests.datasets.formats import CELEBA_NAMES, table_of, write_celeba

NAMES = CELEBA_NAMES.split()


@pytest.fixture
def folder(tmp_path, rng):
    """Return a folder of the format."""
    write_celeba(tmp_path, rng)
    return tmp_path


def change(path, old, new):
    """Replace the first occurrence of some text of a file."""
    content = path.read_text()
    assert old in content
    path.write_text(content.replace(old, new, 1))


def test_minus_one_is_negative(tmp_path, rng):
    """Labels are those that were written, and none is missing."""
    labels = write_celeba(tmp_path, rng)
    faces = load_celeba(tmp_path)
    pd.testing.assert_frame_equal(faces.target, table_of(labels.astype(int), NAMES))
    assert not faces.target.isna().any(axis=None)


def test_the_rows_are_those_of_the_other_files(folder):
    """Path, person and part are joined to each image."""
    data = load_celeba(str(folder)).data
    assert data["path"][2] == os.path.join(str(folder), "img_align_celeba", "000003.jpg")
    assert data["group"].tolist() == [str(2880 + k // 2) for k in range(7)]
    assert data["split"].tolist() == ["train"] * 3 + ["val"] * 2 + ["test"] * 2
    assert list(data) == ["path", "group", "split"]


@pytest.mark.parametrize("subset", ["train", "val", "test"])
def test_a_subset_is_its_rows_of_the_whole(folder, subset):
    """A subset has the rows whose part it is, numbered from 0."""
    whole, part = load_celeba(folder), load_celeba(folder, subset)
    rows = whole.data["split"] == subset
    pd.testing.assert_frame_equal(part.data, whole.data[rows].reset_index(drop=True))
    pd.testing.assert_frame_equal(part.target, whole.target[rows].reset_index(drop=True))


def test_boxes_are_of_the_images_in_the_wild(folder):
    """The box is x_1, y_1 and their sums with width and height."""
    data = load_celeba(folder, boxes=True, images=folder / "wild").data
    assert data["path"][0] == str(folder / "wild" / "000001.jpg")
    assert data.loc[1, ["xmin", "ymin", "xmax", "ymax"]].tolist() == [96, 71, 96 + 226, 71 + 313]
    change(folder / "list_bbox_celeba.txt", "226 313", "0 0")
    with pytest.warns(DatasetWarning, match=r"kept \(1\): .*list_bbox_celeba\.txt, line 3"):
        load_celeba(folder, boxes=True)


def test_the_folders_of_the_archive(folder, rng):
    """Files may lie in Anno and Eval, and the persons' file may be missing."""
    flat = load_celeba(folder)
    for name in ("Anno", "Eval"):
        (folder / name).mkdir()
    (folder / "list_attr_celeba.txt").rename(folder / "Anno" / "list_attr_celeba.txt")
    (folder / "list_eval_partition.txt").rename(folder / "Eval" / "list_eval_partition.txt")
    (folder / "identity_CelebA.txt").unlink()
    deep = load_celeba(folder)
    pd.testing.assert_frame_equal(deep.target, flat.target)
    assert list(deep.data) == ["path", "split"]


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("list_attr_celeba.txt", "7\n", "8\n", "line 1: expected .* which is 7, got '8'"),
        ("list_attr_celeba.txt", "Bald Bangs", "Bangs Bald", "line 2: the attribute 'Bald' comes"),
        ("list_attr_celeba.txt", "Bald Bangs", "Bald", "line 3: expected 40 fields, got 41"),
        ("list_attr_celeba.txt", "Bald Bangs", "Bald Bald", "line 2: .* distinct names"),
        (
            "list_attr_celeba.txt",
            "000002.jpg",
            "000001.jpg",
            "line 4: the image '000001.jpg' occurs twice",
        ),
        ("list_eval_partition.txt", "2.jpg 0", "2.jpg 3", "line 2: the partition is '3'"),
        (
            "list_eval_partition.txt",
            "2.jpg 0",
            "2.jpg x",
            r"line 2: the partition is 'x', but must be 0 \(train\), 1 \(val\) or 2 \(test\)\.",
        ),
        (
            "list_eval_partition.txt",
            "2.jpg 0",
            "9.jpg 0",
            "line 2: expected 000002.jpg, as in .*list_attr_celeba, but there is 000009.jpg",
        ),
        (
            "list_eval_partition.txt",
            "000007.jpg 2\n",
            "",
            "line 7: expected 000007.jpg, as in .*list_attr_celeba, but there is the end of",
        ),
        (
            "identity_CelebA.txt",
            "000007.jpg 2883\n",
            "000007.jpg 2883\n000008.jpg 1\n",
            "line 8: expected the end of the file, as in .*, but there is 000008.jpg",
        ),
    ],
)
def test_faults_are_named(folder, file, old, new, message):
    """The error for each fault names file and line, and says what was expected."""
    change(folder / file, old, new)
    with pytest.raises(DatasetFormatError, match=f"{file}, {message}"):
        load_celeba(folder)


def test_a_value_outside_the_coding(folder):
    """0 is not a label of CelebA."""
    path = folder / "list_attr_celeba.txt"
    lines = path.read_text().split("\n")
    lines[4] = lines[4][:-2] + " 0"
    path.write_text("\n".join(lines))
    with pytest.raises(DatasetFormatError, match=r"line 5: attribute 'Young' is '0', but must be"):
        load_celeba(folder)


def test_rejects_truncated_files(folder):
    """A file that is cut short is rejected, unless only the last line feed is missing."""
    path = folder / "list_attr_celeba.txt"
    whole = path.read_bytes()
    for cut in np.linspace(1, len(whole) - 2, 60).astype(int):
        path.write_bytes(whole[:cut])
        with pytest.raises(DatasetFormatError, match="list_attr_celeba.txt"):
            load_celeba(folder)
    path.write_bytes(whole[:-1])
    assert len(load_celeba(folder).data) == 7


def test_an_empty_subset(folder):
    """A subset without an image is an error, not an empty table."""
    path = folder / "list_eval_partition.txt"
    path.write_text(path.read_text().replace(" 1\n", " 0\n"))
    with pytest.raises(DatasetFormatError, match="has no image in the subset 'val'"):
        load_celeba(folder, "val")


def as_csv(folder, keep=()):
    """Replace the files, except the names in `keep`, by CSV files made by pandas."""
    columns = {
        "list_attr_celeba.txt": ["image_id", *NAMES],
        "list_eval_partition.txt": ["image_id", "partition"],
        "list_bbox_celeba.txt": ["image_id", "x_1", "y_1", "width", "height"],
    }
    for name, header in columns.items():
        if name not in keep:
            above = 0 if "partition" in name else 2
            file = folder / name
            table = pd.read_csv(file, sep=r"\s+", header=None, skiprows=above, names=header)
            table.to_csv(file.with_suffix(".csv"), index=False)
            file.unlink()


@pytest.mark.parametrize(
    "keep", [(), ("list_attr_celeba.txt",), ("list_eval_partition.txt", "list_bbox_celeba.txt")]
)
@pytest.mark.parametrize("windows", [False, True])
def test_files_as_csv(folder, keep, windows):
    """CSV files have the content of the published ones, alone or mixed with them."""
    published = load_celeba(folder, boxes=True)
    as_csv(folder, keep)
    for file in folder.glob("*.csv"):
        content = file.read_bytes()
        if windows:
            content = b"\xef\xbb\xbf" + content.replace(b"\n", b"\r\n")
        file.write_bytes(content)
    found = load_celeba(folder, boxes=True)
    pd.testing.assert_frame_equal(found.data, published.data)
    pd.testing.assert_frame_equal(found.target, published.target)
    assert len(load_celeba(folder, "val").data) == 2


def test_a_published_file_has_priority_over_its_csv(folder):
    """A CSV file is read only if the file as published does not exist, wherever it is."""
    published = load_celeba(folder)
    (folder / "list_eval_partition.csv").write_text("image_id,partition\n")
    (folder / "Eval").mkdir()
    (folder / "list_eval_partition.txt").rename(folder / "Eval" / "list_eval_partition.txt")
    pd.testing.assert_frame_equal(load_celeba(folder).data, published.data)


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("list_attr_celeba.csv", "Bald,Bangs", "Bangs,Bald", "line 1: the attribute 'Bald' comes"),
        ("list_attr_celeba.csv", "image_id", "image", "line 1: expected the columns 'image_id,5_o"),
        ("list_attr_celeba.csv", ",Young", ",Young,", "line 1: .* distinct names"),
        ("list_attr_celeba.csv", "Bald,Bangs", "Bald", "line 2: expected 40 fields, got 41"),
        ("list_attr_celeba.csv", "000002.jpg,", "000002.jpg,0", "line 3: attribute '5_o_Clock"),
        ("list_attr_celeba.csv", "000002.jpg", "000001.jpg", "line 3: the image .* occurs twice"),
        ("list_attr_celeba.csv", "000007.jpg", "000008.jpg", None),
        (
            "list_eval_partition.csv",
            "2.jpg,0",
            "2.jpg,3",
            r"line 3: .*'3', but must be 0 \(train\)",
        ),
        ("list_eval_partition.csv", "2.jpg,0", "2.jpg,0,", "line 3: expected 2 fields, got 3"),
        ("list_eval_partition.csv", "image_id,partition\n", "", "line 1: expected the columns"),
        ("list_bbox_celeba.csv", "x_1,y_1", "y_1,x_1", "line 1: expected the columns 'image_id,x_"),
        ("list_bbox_celeba.csv", "226,313", "226,-", "line 2: height is '-', but must be a whole"),
    ],
)
def test_faults_of_csv_files_are_named(folder, file, old, new, message):
    """The error for each fault names file and line, and says what was expected."""
    as_csv(folder)
    change(folder / file, old, new)
    if message is None:
        file, message = "list_bbox_celeba.csv", "line 8: expected 000008.jpg, as in .*there is 0"
    with pytest.raises(DatasetFormatError, match=f"{file}, {message}"):
        load_celeba(folder, boxes=True)
