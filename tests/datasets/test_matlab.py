"""Readers of MATLAB files."""

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from skattr.datasets._matlab import field, labels, numbers, read_matlab, structure, texts
from skattr.exceptions import DatasetFormatError
from tests.datasets.formats import cell


@pytest.mark.parametrize("compressed", [False, True])
def test_rejects_truncated_files(tmp_path, rng, compressed):
    """A file that is cut short raises a DatasetFormatError, unless only padding is missing."""
    path = tmp_path / "a.mat"
    matrix = rng.integers(0, 2, (30, 7)).astype(np.uint8)
    variables = {"names": cell(["a", "bc"]), "labels": matrix}
    savemat(path, variables, do_compression=compressed)
    whole = path.read_bytes()
    np.testing.assert_array_equal(field(read_matlab(str(path)), "labels", "f"), matrix)
    for cut in [*range(0, len(whole), 5), len(whole) - 1]:
        path.write_bytes(whole[:cut])
        try:
            found = field(read_matlab(str(path)), "labels", str(path))
        except DatasetFormatError as error:
            assert str(path) in str(error)
        else:
            assert cut > len(whole) - 8
            np.testing.assert_array_equal(found, matrix)


def test_rejects_hdf5(tmp_path):
    """The error for version 7.3 says how to save the file."""
    path = tmp_path / "new.mat"
    header = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM"
    path.write_bytes(header + b"\0" * 384 + b"\x89HDF\r\n\x1a\n" + b"\0" * 64)
    with pytest.raises(DatasetFormatError, match=r"version 7\.3 \(HDF5\).* save\(\.\.\., '-v7'\)"):
        read_matlab(str(path))


def test_texts_of_cells(tmp_path):
    """Cells of text are read in columns, rows and in the first of several columns."""
    two = np.array([["a", "x"], ["b b", "y"]], dtype=object)
    savemat(
        tmp_path / "a.mat", {"column": cell(["a", "b b"]), "row": cell(["a", "b b"]).T, "two": two}
    )
    mat = loadmat(tmp_path / "a.mat")
    for name in ("column", "row", "two"):
        assert texts(mat[name], name, "f") == ["a", "b b"]
    mixed = np.array([["a"], [3.0]], dtype=object)
    with pytest.raises(DatasetFormatError, match="f: cell 2 of names must be a text"):
        texts(mixed, "names", "f")


def test_structures(tmp_path):
    """Fields are found by name or position; the error names a missing one."""
    savemat(tmp_path / "a.mat", {"s": {"one": 1, "two": "b"}, "plain": np.eye(2)})
    mat = loadmat(tmp_path / "a.mat")
    assert field(mat["s"], "one", "f").item() == 1
    assert structure(mat["s"], 2, "s", "f")[1].item() == "b"
    with pytest.raises(DatasetFormatError, match=r"f: expected 'x', but there are only \['one'"):
        field(mat["s"], "x", "f")
    for wrong in (mat["plain"], mat["s"]["one"]):
        with pytest.raises(DatasetFormatError, match="f: s must be a structure of 2 fields"):
            structure(wrong, 2, "s", "f")
        with pytest.raises(DatasetFormatError, match=r"f: expected 'x', but there are only \[\]"):
            field(wrong, "x", "f")


@pytest.mark.parametrize(
    "matrix", [[[0.5]], [[np.nan]], [["1"]], np.zeros((1, 1, 1)), cell(["a"]), [[1j]]]
)
def test_numbers_must_be_whole(matrix):
    """Fractions, NaN, text and other shapes are rejected; whole doubles are accepted."""
    assert numbers([[1.0, -2.0]], "m", "f").tolist() == [[1, -2]]
    with pytest.raises(DatasetFormatError, match="f: m must be a matrix of whole numbers"):
        numbers(matrix, "m", "f")


def test_labels_by_a_coding():
    """Numbers of the coding get their code; the error for any other names the row."""
    matrix = np.array([[0, 1], [2, 0]])
    assert labels(matrix, {0: 0, 1: 1, 2: -1}, ["a", "b"], str).tolist() == [[0, 1], [-1, 0]]
    with pytest.raises(DatasetFormatError, match=r"^row 1: attribute 'a' is 2, .* of \[0, 1\]"):
        labels(matrix, {0: 0, 1: 1}, ["a", "b"], lambda row: f"row {row}")
