"""Readers of MATLAB files."""

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from skattr.datasets._matlab import Structure, as_structure, read_matlab
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
    np.testing.assert_array_equal(read_matlab(str(path))["labels"], matrix)
    for cut in [*range(0, len(whole), 5), len(whole) - 1]:
        path.write_bytes(whole[:cut])
        try:
            found = read_matlab(str(path))["labels"]
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
    mat = Structure("f", loadmat(tmp_path / "a.mat"))
    for name in ("column", "row", "two"):
        assert mat.texts(name) == ["a", "b b"]
    mixed = Structure("f", {"names": np.array([["a"], [3.0]], dtype=object)})
    with pytest.raises(DatasetFormatError, match="f: cell 2 of names must be a text"):
        mixed.texts("names")


def test_structures(tmp_path):
    """Fields are found by name or position; the error names a missing one."""
    savemat(tmp_path / "a.mat", {"s": {"one": 1, "two": "b"}, "plain": np.eye(2)})
    mat = read_matlab(str(tmp_path / "a.mat"))
    assert mat.structure("s")["one"].item() == 1
    assert mat.structure("s", ["first"])["two"].item() == "b"
    assert mat.structure("s", ["first", "second"])["second"].item() == "b"
    with pytest.raises(DatasetFormatError, match=r"mat: expected 'x', but there are only \['one'"):
        mat.structure("s")["x"]
    with pytest.raises(DatasetFormatError, match=r"mat: expected 'x', but there are only \["):
        mat.structure("x")
    with pytest.raises(DatasetFormatError, match="s must be a structure with 3 or more fields"):
        mat.structure("s", list("abc"))
    for wrong in (mat["plain"], mat.structure("s")["one"]):
        with pytest.raises(DatasetFormatError, match="f: s must be a structure with 1 or more"):
            as_structure(wrong, "f", "s")


@pytest.mark.parametrize(
    "matrix", [[[0.5]], [[np.nan]], [["1"]], np.zeros((1, 1, 1)), cell(["a"]), [[1j]]]
)
def test_numbers_must_be_whole(matrix):
    """Fractions, NaN, text and other shapes are rejected; whole doubles are accepted."""
    assert Structure("f", {"m": [[1.0, -2.0]]}).numbers("m").tolist() == [[1, -2]]
    with pytest.raises(DatasetFormatError, match="f: m must be a matrix of whole numbers"):
        Structure("f", {"m": matrix}).numbers("m")
