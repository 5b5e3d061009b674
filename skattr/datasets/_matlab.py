"""Strict readers of MATLAB files: structures, cell arrays of text, matrices of whole numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat

from skattr.exceptions import DatasetFormatError


@dataclass(frozen=True)
class Structure:
    """The variables of a MATLAB file, or the fields of one of its structures, by name."""

    path: str
    values: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        if name not in self.values:
            raise DatasetFormatError(
                f"{self.path}: expected {name!r}, but there are only {list(self.values)}."
            )
        return self.values[name]

    def texts(self, name: str) -> list[str]:
        """Return the texts in a cell array, or in the first column of one of several columns."""
        array = np.asarray(self[name], dtype=object)
        column = array[:, 0] if array.ndim == 2 and array.shape[0] > 1 else array.reshape(-1)
        found = [_content(cell) for cell in column]
        for number, text in enumerate(found, start=1):
            if not isinstance(text, str):
                raise DatasetFormatError(f"{self.path}: cell {number} of {name} must be a text.")
        return [str(text) for text in found]

    def numbers(self, name: str) -> NDArray[np.int64]:
        """Return a matrix of whole numbers."""
        array = np.asarray(self[name])
        is_whole = array.dtype.kind in "biu" or (
            array.dtype.kind == "f" and bool((np.isfinite(array) & (array == np.rint(array))).all())
        )
        if not is_whole or array.ndim != 2:
            raise DatasetFormatError(f"{self.path}: {name} must be a matrix of whole numbers.")
        return array.astype(np.int64)

    def structure(self, name: str, fields: Sequence[str] = ()) -> "Structure":
        """Return a structure of one element.

        Its first fields are renamed to `fields`, whatever their names in the file.
        """
        return as_structure(self[name], self.path, name, fields)


def as_structure(value: Any, path: str, name: str, fields: Sequence[str] = ()) -> Structure:
    """Return the fields of a structure of one element, the first ones renamed to `fields`."""
    content = _content(value)
    names = content.dtype.names if isinstance(content, np.void) else None
    n_fields = max(1, len(fields))
    if names is None or len(names) < n_fields:
        raise DatasetFormatError(
            f"{path}: {name} must be a structure with {n_fields} or more fields."
        )
    labels = [*fields, *names[len(fields) :]]
    return Structure(path, {label: content[own] for label, own in zip(labels, names, strict=True)})


def _content(cell: Any) -> Any:
    """Return the content of a cell, which SciPy puts in arrays of one element."""
    while isinstance(cell, np.ndarray) and cell.size == 1:
        cell = cell.reshape(-1)[0]
    return cell


def read_matlab(path: str) -> Structure:
    """Return the variables of a MATLAB file.

    Raises
    ------
    DatasetFormatError
        If the file has version 7.3, is cut short or is not a MATLAB file.
    """
    try:
        return Structure(path, loadmat(path))
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
