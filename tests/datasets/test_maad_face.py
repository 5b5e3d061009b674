"""Loader of MAAD-Face, on a written file."""

import os

import pandas as pd
import pytest

from skattr.datasets import load_maad_face
from skattr.exceptions import DatasetFormatError
from tests.datasets.formats import MAAD_HEADER, table_of, write_maad_face

NAMES = MAAD_HEADER.split(",")[2:]


def test_zero_is_unknown(tmp_path, rng):
    """1 is true, -1 false and 0 missing, as pandas' reader and a replacement give them."""
    codes = write_maad_face(tmp_path, rng)
    faces = load_maad_face(tmp_path)
    pd.testing.assert_frame_equal(faces.target, table_of(codes, NAMES))
    frame = pd.read_csv(tmp_path / "MAAD_Face.csv")[NAMES].astype("Int64")
    theirs = frame.replace({0: pd.NA, -1: 0}).astype("boolean")
    pd.testing.assert_frame_equal(faces.target, theirs)


def test_persons_are_groups(tmp_path, rng):
    """The group is the column Identity; paths are relative to the file or to `images`."""
    write_maad_face(tmp_path, rng)
    data = load_maad_face(tmp_path).data
    assert data["group"].tolist() == [str(k // 3) for k in range(9)]
    assert data["path"][4] == os.path.join(str(tmp_path), "n000001/0004_01.jpg")
    data = load_maad_face(tmp_path / "MAAD_Face.csv", images="train").data
    assert data["path"][4] == os.path.join(str(tmp_path), "train", "n000001/0004_01.jpg")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "Filename,Identity",
            "Identity,Filename",
            "line 1: expected the columns 'Filename,Identity,",
        ),
        ("Young,", "Male,", "line 1: expected .* distinct names"),
        ("Young,", "", "line 2: expected 5 fields, got 6"),
        ("Young,", "Young,Senior,", "line 2: expected 7 fields, got 6"),
        ("n000000/0001_01.jpg,0,", "n000000/0000_01.jpg,0,", "line 3: the image .*line 2"),
        ("n000000/0001_01.jpg,0,", "n000000/0001_01.jpg,0,2", "line 3: attribute 'Male' is '2"),
        ("n000000/0001_01.jpg,0,", "n000000/0001_01.jpg,0", "line 3: expected 6 fields, got 5"),
        ("n000000/0001_01.jpg,0,", "n000000/0001_01.jpg,,", "line 3: Identity is '', but must be"),
        ("n000000/0001_01.jpg,0,", ",0,", "line 3: Filename is '', but must be not empty"),
        ("_Shadow\n", "_Shadow,\n", "line 1: expected .* distinct names"),
        ("_Shadow\n", "_Shadow\n,,,,,\n", "line 2: Filename is ''"),
    ],
)
def test_faults_are_named(tmp_path, rng, old, new, message):
    """The error for each fault names the line and says what was expected."""
    write_maad_face(tmp_path, rng)
    path = tmp_path / "MAAD_Face.csv"
    content = path.read_text()
    assert old in content
    path.write_text(content.replace(old, new, 1))
    with pytest.raises(DatasetFormatError, match=f"MAAD_Face.csv, {message}"):
        load_maad_face(tmp_path)
