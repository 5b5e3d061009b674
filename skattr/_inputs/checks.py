"""Validation of X."""

import os
import reprlib
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skattr._inputs.boxes import BOX_COLUMNS as BOX_COLUMNS
from skattr._inputs.boxes import read_boxes
from skattr._inputs.decoding import Decoding
from skattr._inputs.decoding import read_image as read_image
from skattr._inputs.rows import FileRows, ImageRows
from skattr._inputs.unreadable import Unreadable, raise_or_record
from skattr.exceptions import ImageReadError

_ARRAYS = (
    "uint8 images of one size (n, H, W, 3) or (n, H, W), a list or 1-D array of file paths (str "
    "or path-like) of images of any sizes"
)


_TABLES = "a DataFrame with a 'path' column (and optional box columns xmin ymin xmax ymax)"


VALID_IMAGES = f"{_ARRAYS}, or {_TABLES}"


VALID_X = f"{_ARRAYS}, {_TABLES}, or 2-D numeric features"


_COLUMNS_SHOWN = 10


def infer_kind(X: Any) -> Literal["pixels", "files", "features"]:
    """Tell which kind of X this is by its container, dtype and number of dimensions.

    Returns
    -------
    "pixels", "files" or "features"
        "features" is also the answer for what is no valid X at all: scikit-learn's own
        validation then words the error.
    """
    if isinstance(X, pd.DataFrame):
        return "files" if "path" in X.columns else "features"
    if isinstance(X, pd.Series):
        return "files" if _are_paths(X.tolist()) else "features"
    if isinstance(X, list | tuple):
        if len(X) and _are_paths(X):
            return "files"
        return "pixels" if np.ndim(X[0] if len(X) else 0) in (2, 3) else "features"
    ndim = getattr(X, "ndim", 0)
    if isinstance(X, np.ndarray) and X.dtype.kind in "OUT" and (ndim == 1 or X.shape[1:] == (1,)):
        return "files" if _are_paths(X.ravel().tolist()) else "features"
    return "pixels" if ndim in (3, 4) else "features"


def _are_paths(values: Sequence[Any]) -> bool:
    """Whether the values are paths, some of which may be missing (reported later, by row)."""
    return any(isinstance(value, str | os.PathLike) for value in values[:100])


def check_image_array(X: Any, size: tuple[int, int]) -> ImageRows:
    """Check images in memory.

    Raises
    ------
    ValueError
        If the shape is not (n, H, W, 3) or (n, H, W), sizes differ, or there is no image.
    TypeError
        If the dtype is not uint8.
    """
    array = _stacked(X)
    if array.ndim not in (3, 4) or (array.ndim == 4 and array.shape[3] != 3):
        raise ValueError(f"X has the shape {array.shape}; valid are {VALID_X}.")
    if array.ndim == 3 and array.shape[2] in (3, 4):
        raise ValueError(
            f"X has the shape {array.shape}, which looks like one color image; pass a batch, "
            "such as X[np.newaxis]."
        )
    if array.dtype != np.uint8:
        raise TypeError(
            f"X holds images of dtype {array.dtype}; images in memory must be uint8, 0 to 255."
        )
    if 0 in array.shape:
        raise ValueError(f"X holds no image: its shape is {array.shape}.")
    return ImageRows(array, size)


def _stacked(X: Any) -> NDArray[Any]:
    """Return X as an array; if its rows differ in shape, raise a ValueError that names one."""
    try:
        return np.asarray(X)
    except ValueError as error:
        first = np.shape(X[0])
        row = next((row for row, one in enumerate(X) if np.shape(one) != first), None)
        if row is None:
            raise
        shape = np.shape(X[row])
        what = f"of shape {shape}" if shape else f"of type {type(X[row]).__name__}"
        raise ValueError(
            f"row {row} of X is {what}, row 0 of shape {first}; valid are {VALID_IMAGES}."
        ) from error


def check_image_paths(
    X: Any, size: tuple[int, int], on_bad_image: str = "raise", decoding: Decoding = "exact"
) -> FileRows:
    """Check paths and boxes, without opening a file.

    Parameters
    ----------
    X : DataFrame with a ``path`` column, Series, sequence or 1-D array of paths
        Further columns of a DataFrame are left alone.
    size : (height, width)
    on_bad_image : {"raise", "warn"}
        With "warn" the errors that name a row are kept in the `unreadable` of the result.
    decoding : {"exact", "scaled"}
        How the files will be decoded; see :func:`~skattr._inputs.decoding.read_image`.

    Raises
    ------
    ImageReadError
        If a path is missing from X or no such file exists; the row is named.
    InvalidBoxError
        If a box is not made of whole numbers, holds no pixel or starts left of or above the
        image; the row is named.
    ValueError
        If X is empty, a column is there twice, or only some of the four box columns are there.
    """
    if isinstance(X, pd.DataFrame):
        twice = X.columns[X.columns.duplicated()].intersection(["path", *BOX_COLUMNS]).tolist()
        if twice:
            raise ValueError(f"X has the columns {twice} more than once.")
    values = X["path"].tolist() if isinstance(X, pd.DataFrame) else np.ravel(_objects(X)).tolist()
    if not values:
        raise ValueError("X holds no path: found array with 0 sample(s), a minimum of 1 is needed.")
    unreadable: Unreadable = {} if on_bad_image == "warn" else None
    paths = []
    for row, value in enumerate(values):
        path = os.fspath(value) if isinstance(value, str | os.PathLike) else None
        if not isinstance(path, str):
            is_scalar = pd.api.types.is_scalar(value)
            shown = reprlib.repr(value) if is_scalar else f"a value of type {type(value).__name__}"
            what = f"{shown} is not a path (a str or path-like)."
            raise_or_record(unreadable, row, ImageReadError(what))
        elif not os.path.isfile(path):  # Path.is_file raises where the name is too long
            raise_or_record(unreadable, row, ImageReadError(f"there is no file {path!r}."))
        paths.append(path if isinstance(path, str) else "")
    boxes = read_boxes(X, paths, unreadable) if isinstance(X, pd.DataFrame) else None
    return FileRows(paths, boxes, size, unreadable, decoding)


def _objects(X: Any) -> NDArray[np.object_]:
    return np.asarray(X, dtype=object)


def describe(X: Any) -> str:
    """Say what X is, without its values, to go on after "X is"."""
    words = f"of type {type(X).__name__}"
    if isinstance(X, pd.DataFrame):
        names = ", ".join(map(repr, X.columns[:_COLUMNS_SHOWN]))
        more = ", ..." if X.shape[1] > _COLUMNS_SHOWN else ""
        return f"{words} with the columns [{names}{more}], none of which is 'path'"
    if _is_sequence(X):
        kind = f" of type {type(next(iter(X))).__name__}" if len(X) else ""
        return f"{words} with {len(X)} row(s){kind}"
    shape = getattr(X, "shape", ())
    return f"{words} and shape {tuple(shape)}" if shape else words


def _is_sequence(X: Any) -> bool:
    return isinstance(X, list | tuple) or getattr(X, "ndim", 0) == 1


def check_container(X: Any) -> None:
    """Raise a ValueError if X is of a kind that scikit-learn's validation has no good words for.

    Such are a path or a number alone, an image of Pillow's, bytes, a set, or an array of objects
    that are images.
    """
    if isinstance(X, pd.DataFrame):
        is_valid = X.shape[1] > 0
    elif isinstance(X, list | tuple):
        is_valid = not (len(X) and isinstance(X[0], bytes))
    elif _is_sequence(X):
        first: Any = next(iter(X), None)
        is_valid = np.ndim(first) == 0 and not isinstance(first, str | bytes)
    else:
        ndim = X.ndim if hasattr(X, "ndim") else np.asarray(X).ndim
        is_valid = isinstance(X, np.ndarray) or ndim == 2
    if not is_valid:
        raise ValueError(f"X is {describe(X)}; valid are {VALID_X}.")


def check_numeric_columns(X: Any) -> None:
    """Raise a ValueError if X is a DataFrame with columns that are not numbers."""
    if isinstance(X, pd.DataFrame):
        text = X.columns[[not pd.api.types.is_numeric_dtype(dtype) for dtype in X.dtypes]].tolist()
        if text:
            raise ValueError(
                f"X has the columns {text}, which are not numeric; valid X: {VALID_X}."
            )
