"""Validation of X."""

import os
import reprlib
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skattr._inputs.boxes import BOX_COLUMNS, read_boxes
from skattr._inputs.decoding import Decoding
from skattr._inputs.rows import FileRows, ImageRows
from skattr._inputs.unreadable import Unreadable, raise_or_record
from skattr._targets.columns import reject_masked
from skattr.exceptions import ImageReadError

_ARRAYS = (
    "uint8 images of one size (n, H, W, 3) or (n, H, W), a list or 1-D array of file paths (str "
    "or path-like) of images of any sizes"
)
_TABLES = "a DataFrame with a 'path' column (and optional box columns xmin ymin xmax ymax)"
VALID_IMAGES = f"{_ARRAYS}, or {_TABLES}"
VALID_X = f"{_ARRAYS}, {_TABLES}, or 2-D numeric features"
_N_COLUMNS_SHOWN = 10


def infer_kind(X: Any) -> Literal["pixels", "files", "features"]:
    """Infer the kind of X from its container, dtype and number of dimensions.

    Returns
    -------
    "pixels", "files" or "features"
        Invalid X is also reported as "features", so that scikit-learn's validation raises the
        error.

    Raises
    ------
    TypeError
        If X is masked or sparse.
    """
    reject_masked(X, "X")
    if isinstance(X, pd.DataFrame):
        return "files" if "path" in X.columns else "features"
    if isinstance(X, pd.Series):
        return "files" if _has_paths(X.tolist()) else "features"
    if isinstance(X, list | tuple):
        if len(X) and _has_paths(X):
            return "files"
        return "pixels" if np.ndim(X[0] if len(X) else 0) in (2, 3) else "features"
    ndim = getattr(X, "ndim", 0)
    if isinstance(X, np.ndarray) and X.dtype.kind in "OUT" and (ndim == 1 or X.shape[1:] == (1,)):
        return "files" if _has_paths(X.ravel().tolist()) else "features"
    return "pixels" if ndim in (3, 4) else "features"


def _has_paths(values: Sequence[Any]) -> bool:
    """Whether some of the first values are paths; the others may be missing."""
    return any(isinstance(value, str | os.PathLike) for value in values[:100])


def check_images(
    X: Any, size: tuple[int, int], on_bad_image: str = "raise", decoding: Decoding = "exact"
) -> ImageRows | FileRows:
    """Check X that is not of kind "features" and return its rows, without opening a file.

    The parameters and errors are those of :func:`check_image_array` and
    :func:`check_image_paths`.
    """
    if infer_kind(X) == "pixels":
        return check_image_array(X, size)
    return check_image_paths(X, size, on_bad_image, decoding)


def check_image_array(X: Any, size: tuple[int, int]) -> ImageRows:
    """Check images in memory.

    Parameters
    ----------
    X : array-like of shape (n, H, W, 3) or (n, H, W), uint8
    size : (height, width)
        The size to which images are resized.

    Raises
    ------
    ValueError
        If X has another shape, images of different sizes, or no image.
    TypeError
        If the dtype is not uint8.
    """
    array = _stack(X)
    if array.ndim not in (3, 4) or (array.ndim == 4 and array.shape[3] != 3):
        raise ValueError(f"X has shape {array.shape}; valid are {VALID_X}.")
    # Read as a batch of gray images it would silently have a few rows of three or four pixels.
    if array.ndim == 3 and array.shape[2] in (3, 4):
        raise ValueError(
            f"X has shape {array.shape}, which looks like one color image; pass a batch, such as "
            "X[np.newaxis]."
        )
    # Floats may be in [0, 1] or [0, 255], which is not guessed.
    if array.dtype != np.uint8:
        raise TypeError(
            f"X contains images of dtype {array.dtype}; images in memory must be uint8, 0 to 255."
        )
    if 0 in array.shape:
        raise ValueError(f"X holds no image: its shape is {array.shape}.")
    return ImageRows(array, size)


def _stack(X: Any) -> NDArray[Any]:
    """Return X as an array. Raise a ValueError that names a row if shapes differ."""
    try:
        return np.asarray(X)
    except ValueError as error:
        expected = np.shape(X[0])
        row = next((row for row, image in enumerate(X) if np.shape(image) != expected), None)
        if row is None:
            raise
        shape = np.shape(X[row])
        found = f"of shape {shape}" if shape else f"of type {type(X[row]).__name__}"
        raise ValueError(
            f"row {row} of X is {found}, row 0 of shape {expected}; valid are {VALID_IMAGES}."
        ) from error


def check_image_paths(
    X: Any, size: tuple[int, int], on_bad_image: str = "raise", decoding: Decoding = "exact"
) -> FileRows:
    """Check paths and boxes, without opening a file.

    Parameters
    ----------
    X : DataFrame with a ``path`` column, Series, sequence or 1-D array of paths
        Further columns of a DataFrame are ignored.
    size : (height, width)
    on_bad_image : {"raise", "warn"}
        With "warn", errors of single rows are recorded in the `unreadable` of the result.
    decoding : {"exact", "scaled"}
        How files are decoded; see :func:`~skattr._inputs.decoding.read_image`.

    Raises
    ------
    ImageReadError
        If a path is missing from X or its file does not exist; the row is named.
    InvalidBoxError
        If a box is not made of whole numbers, holds no pixel or starts left of or above the
        image; the row is named.
    ValueError
        If X is empty, has a column twice, or only some of the four box columns.
    """
    if isinstance(X, pd.DataFrame):
        repeated = X.columns[X.columns.duplicated()].intersection(["path", *BOX_COLUMNS]).tolist()
        if repeated:
            raise ValueError(f"X has the columns {repeated} more than once.")
    column = X["path"] if isinstance(X, pd.DataFrame) else np.ravel(np.asarray(X, dtype=object))
    values = column.tolist()
    if not values:
        raise ValueError("X holds no path: found array with 0 sample(s), a minimum of 1 is needed.")
    unreadable: Unreadable = {} if on_bad_image == "warn" else None
    paths = [_check_path(value, row, unreadable) for row, value in enumerate(values)]
    boxes = read_boxes(X, paths, unreadable) if isinstance(X, pd.DataFrame) else None
    return FileRows(paths, boxes, size, unreadable, decoding)


def _check_path(value: Any, row: int, unreadable: Unreadable) -> str:
    """Return a path, or "" for an unreadable row whose value is not a path."""
    path = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if not isinstance(path, str):
        # reprlib shortens a long bytes object, but not an array or an image.
        is_scalar = pd.api.types.is_scalar(value)
        shown = reprlib.repr(value) if is_scalar else f"a value of type {type(value).__name__}"
        error = ImageReadError(f"{shown} is not a path (a str or path-like).")
        raise_or_record(unreadable, row, error)
        return ""
    if not os.path.isfile(path):  # Path.is_file raises if the name is too long
        raise_or_record(unreadable, row, ImageReadError(f"there is no file {path!r}."))
    return path


def describe(X: Any) -> str:
    """Describe the type of X, without its values, to follow "X is"."""
    description = f"of type {type(X).__name__}"
    if isinstance(X, pd.DataFrame):
        names = ", ".join(map(repr, X.columns[:_N_COLUMNS_SHOWN]))
        more = ", ..." if X.shape[1] > _N_COLUMNS_SHOWN else ""
        return f"{description} with the columns [{names}{more}], none of which is 'path'"
    if _is_sequence(X):
        element = f" of type {type(next(iter(X))).__name__}" if len(X) else ""
        return f"{description} with {len(X)} row(s){element}"
    shape = getattr(X, "shape", ())
    return f"{description} and shape {tuple(shape)}" if shape else description


def _is_sequence(X: Any) -> bool:
    return isinstance(X, list | tuple) or getattr(X, "ndim", 0) == 1


def check_same_kind(X: Any, *, is_features: bool) -> None:
    """Raise a ValueError if X is not of the kind (2-D features or images) seen in `fit`."""
    if (infer_kind(X) == "features") == is_features:
        return
    if is_features:
        raise ValueError("X contains images, but the estimator was fitted on 2-D features.")
    raise ValueError(
        f"The estimator was fitted on images, but X is {describe(X)}; valid are {VALID_IMAGES}."
    )


def check_features(X: Any) -> None:
    """Raise a ValueError if X cannot be 2-D features, before scikit-learn's validation.

    Only such X is rejected for which scikit-learn's error would be unclear: a single path, image
    or number, bytes, a set, an array of images, or a DataFrame with columns that are not numeric.
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
    if isinstance(X, pd.DataFrame):
        is_numeric = [pd.api.types.is_numeric_dtype(dtype) for dtype in X.dtypes]
        text = X.columns[np.logical_not(is_numeric)].tolist()
        if text:
            raise ValueError(
                f"X has the columns {text}, which are not numeric; valid X: {VALID_X}."
            )


def find_nan_rows(X: NDArray[np.floating[Any]]) -> dict[int, str]:
    """Return the rows of 2-D features that are all NaN, each with the reason "unreadable".

    ``ImageEmbedder(on_bad_image="warn")`` returns such rows for unreadable images.
    """
    rows = np.flatnonzero(np.isnan(X).all(axis=1))
    return dict.fromkeys(rows.tolist(), "all its features are NaN")
