"""Strict readers of MATLAB files: structures, cell arrays of text, matrices of whole numbers."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat

from skattr.exceptions import DatasetFormatError


def read_matlab(path: str) -> dict[str, Any]:
    """Return the variables of a MATLAB file in SciPy's representation.

    Raises
    ------
    DatasetFormatError
        If the file has version 7.3, is cut short or is not a MATLAB file.
    """
    try:
        variables: dict[str, Any] = loadmat(path)
    except NotImplementedError:
        raise DatasetFormatError(
            f"{path} is a MATLAB file of version 7.3 (HDF5), which scipy cannot read; save it "
            "again in MATLAB with save(..., '-v7')."
        ) from None
    # For invalid bytes SciPy raises many kinds of errors: ValueError, TypeError, zlib.error.
    except Exception as error:
        raise DatasetFormatError(
            f"{path} cannot be read as a MATLAB file ({type(error).__name__}: {error}); it may be "
            "cut short."
        ) from None
    return variables


def field(owner: Any, name: str, path: str) -> Any:
    """Return a variable of a file, or a field of a structure of one element."""
    if isinstance(owner, np.ndarray) and owner.size == 1:
        owner = owner.reshape(-1)[0]
    names = list(owner) if isinstance(owner, dict) else list(owner.dtype.names or [])
    if name not in names:
        raise DatasetFormatError(f"{path}: expected {name!r}, but there are only {names}.")
    return owner[name]


def structure(owner: Any, n_fields: int, name: str, path: str) -> list[Any]:
    """Return the fields of a structure of one element, of at least `n_fields`, in their order."""
    while isinstance(owner, np.ndarray) and owner.size == 1:
        owner = owner.reshape(-1)[0]
    names = owner.dtype.names if isinstance(owner, np.void) else None
    if names is None or len(names) < n_fields:
        raise DatasetFormatError(f"{path}: {name} must be a structure of {n_fields} fields.")
    return [owner[name] for name in names]


def texts(cells: Any, name: str, path: str) -> list[str]:
    """Return the texts in a cell array, or in the first column of one of several columns."""
    array = np.asarray(cells, dtype=object)
    column = array[:, 0] if array.ndim == 2 and array.shape[0] > 1 else array.reshape(-1)
    found = []
    for number, cell in enumerate(column, start=1):
        while isinstance(cell, np.ndarray) and cell.size == 1:
            cell = cell.reshape(-1)[0]
        if not isinstance(cell, str):
            raise DatasetFormatError(f"{path}: cell {number} of {name} must be a text.")
        found.append(str(cell))
    return found


def numbers(matrix: Any, name: str, path: str) -> NDArray[np.int64]:
    """Return a matrix of whole numbers."""
    array = np.asarray(matrix)
    is_whole = array.dtype.kind in "biu" or (
        array.dtype.kind == "f" and bool((np.isfinite(array) & (array == np.rint(array))).all())
    )
    if not is_whole or array.ndim != 2:
        raise DatasetFormatError(f"{path}: {name} must be a matrix of whole numbers.")
    return array.astype(np.int64)


def labels(
    matrix: NDArray[np.int64], coding: dict[int, int], names: list[str], place: Callable[[int], str]
) -> NDArray[np.int8]:
    """Return the codes 1, 0 or -1 of the values of a matrix."""
    codes = np.zeros(matrix.shape, dtype=np.int8, order="F")
    known = np.zeros(matrix.shape, dtype=bool)
    for value, code in coding.items():
        codes[matrix == value] = code
        known |= matrix == value
    if not known.all():
        row, column = np.argwhere(~known)[0]
        raise DatasetFormatError(
            f"{place(int(row))}: attribute {names[column]!r} is {matrix[row, column]}, but must "
            f"be one of {list(coding)}."
        )
    return codes
