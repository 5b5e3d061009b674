"""Validation of X."""

import os
import reprlib
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skattr._inputs.advice import advise, advise_missing_file
from skattr._inputs.boxes import BOX_COLUMNS, read_boxes
from skattr._inputs.decoding import Decoding, warn_without_simplejpeg
from skattr._inputs.deep import ValueRange
from skattr._inputs.rows import FileRows, ImageRows
from skattr._inputs.sources import (
    VALID_OBJECTS,
    Source,
    as_array,
    as_source,
    hint,
    is_array_like,
    is_image_object,
)
from skattr._inputs.unreadable import Unreadable, raise_or_record
from skattr._targets.columns import reject_masked
from skattr.exceptions import ImageReadError

_ARRAYS = (
    "uint8 images of one size (n, H, W, 3) or (n, H, W), a list or 1-D array of images of any "
    f"sizes: {VALID_OBJECTS}"
)
_TABLES = "a DataFrame with a 'path' column (and optional box columns xmin ymin xmax ymax)"
VALID_IMAGES = f"{_ARRAYS}, or {_TABLES}"
VALID_X = f"{_ARRAYS}, {_TABLES}, or 2-D numeric features"
_N_COLUMNS_SHOWN = 10


def infer_kind(X: Any) -> Literal["pixels", "files", "features"]:
    """Infer the kind of X from its container, dtype and number of dimensions.

    Parameters
    ----------
    X : object
        Tables are those of pandas, see :func:`~skattr._utils.tables.as_pandas`.

    Returns
    -------
    "pixels", "files" or "features"
        "pixels" is an array of images of one size, "files" any sequence of images. Invalid X is
        also reported as "features", so that scikit-learn's validation raises the error.

    Raises
    ------
    TypeError
        If X is masked or sparse.
    """
    reject_masked(X, "X")
    values = _row_values(X)
    if values is None:
        return "pixels" if getattr(X, "ndim", 0) in (3, 4) else "features"
    if isinstance(X, pd.DataFrame) or any(map(is_image_object, values)):
        return "files"
    if not isinstance(X, list | tuple):
        return "files" if any(map(is_array_like, values)) else "features"
    if not any(map(is_array_like, values)):  # lists of numbers
        return "pixels" if len(X) and _n_dimensions(X[0]) in (2, 3) else "features"
    shapes = {value.shape if is_array_like(value) else None for value in values}
    return "pixels" if len(shapes) == 1 else "files"


def _n_dimensions(row: Any) -> int:
    try:
        return np.ndim(row)
    except ValueError:  # of ragged lists, such as an image and its label
        return 0


def _row_values(X: Any) -> list[Any] | None:
    """Return the rows of a sequence or of the column ``path``; None if X has none of them."""
    if isinstance(X, pd.DataFrame):
        return X["path"].tolist() if list(X.columns).count("path") == 1 else None
    if isinstance(X, pd.Series):
        return X.tolist()
    if isinstance(X, np.ndarray):
        is_column = X.ndim == 1 or X.shape[1:] == (1,)
        return X.ravel().tolist() if X.dtype.kind in "OUT" and is_column else None
    # Other sequences are, for example, the columns of datasets of Hugging Face.
    is_text = isinstance(X, str | bytes | bytearray | memoryview | range)
    return list(X) if isinstance(X, Sequence) and not is_text else None


def check_images(
    X: Any,
    size: tuple[int, int],
    on_bad_image: str = "raise",
    decoding: Decoding = "exact",
    value_range: ValueRange | None = None,
) -> ImageRows | FileRows:
    """Check X that is not of kind "features" and return its rows, without opening a file.

    The parameters and errors are those of :func:`check_image_array` and
    :func:`check_image_paths`.
    """
    if infer_kind(X) == "pixels":
        return check_image_array(X, size)
    return check_image_paths(X, size, on_bad_image, decoding, value_range)


def check_image_array(X: Any, size: tuple[int, int]) -> ImageRows:
    """Check images in memory.

    Parameters
    ----------
    X : array-like of shape (n, H, W, 3), (n, H, W, 1) or (n, H, W), uint8
    size : (height, width)
        The size to which images are resized.

    Raises
    ------
    ValueError
        If X has another shape or no image.
    TypeError
        If the dtype is not uint8.
    """
    is_tensor = hasattr(X, "detach")
    if isinstance(X, list | tuple) and len(X) and is_array_like(X[0]):
        array = np.stack([as_array(image) for image in X])
    else:
        array = as_array(X)
    if array.ndim == 4 and array.shape[3] == 1:
        array = array[..., 0]
    if array.ndim not in (3, 4) or (array.ndim == 4 and array.shape[3] != 3):
        raise ValueError(f"X has shape {array.shape}; valid are {VALID_X}{hint(array)}")
    # Read as a batch of gray images it would silently have a few rows of three or four pixels,
    # or a tensor with its channels first three rows.
    is_single = array.ndim == 3 and (array.shape[2] in (3, 4) or (is_tensor and len(array) == 3))
    if is_single:
        raise ValueError(
            f"X has shape {array.shape}, which looks like one color image; pass a batch, such as "
            f"X[np.newaxis]{hint(array)}"
        )
    # Floats may be in [0, 1] or [0, 255], which is not guessed.
    if array.dtype != np.uint8:
        raise TypeError(
            f"X contains images of dtype {array.dtype}; images in memory must be uint8, 0 to 255."
        )
    if 0 in array.shape:
        raise ValueError(f"X holds no image: its shape is {array.shape}.")
    return ImageRows(array, size)


def check_image_paths(
    X: Any,
    size: tuple[int, int],
    on_bad_image: str = "raise",
    decoding: Decoding = "exact",
    value_range: ValueRange | None = None,
) -> FileRows:
    """Check paths, images given as objects, and boxes, without opening a file.

    Parameters
    ----------
    X : DataFrame with a ``path`` column, Series, sequence or 1-D array of paths or image objects
        Further columns of a DataFrame are ignored.
    size : (height, width)
    on_bad_image : {"raise", "warn", "keep"}
        With "warn", errors of single rows are recorded in the `unreadable` of the result.
    decoding : {"exact", "scaled"}
    value_range : (float, float), optional
        How images are decoded; see :func:`~skattr._inputs.decoding.read_image`.

    Raises
    ------
    ImageReadError
        If a path is missing from X or its file does not exist; the row is named.
    InvalidBoxError
        If a box is not made of whole numbers, holds no pixel or starts left of or above the
        image; the row is named.
    TypeError, ValueError
        If X is empty, has a column twice, or only some of the four box columns; or if an array
        among the rows is not an image.
    """
    if isinstance(X, pd.DataFrame):
        repeated = X.columns[X.columns.duplicated()].intersection(["path", *BOX_COLUMNS]).tolist()
        if repeated:
            raise ValueError(f"X has the columns {repeated} more than once.")
    values = _row_values(X)
    if not values:
        raise ValueError("X holds no path: found array with 0 sample(s), a minimum of 1 is needed.")
    unreadable: Unreadable = {} if on_bad_image == "warn" else None
    sources = [_check_source(value, row, unreadable) for row, value in enumerate(values)]
    boxes = None
    if isinstance(X, pd.DataFrame):
        boxes = read_boxes(X, sources, unreadable)
    keep_damaged = on_bad_image == "keep"
    if not keep_damaged:
        warn_without_simplejpeg(sources)
    return FileRows(sources, boxes, size, unreadable, decoding, value_range, keep_damaged)


def _check_source(value: Any, row: int, unreadable: Unreadable) -> Source:
    """Return the source of a row, "" if the row is unreadable and its value is not a path."""
    try:
        source = as_source(value)
    except ImageReadError as error:
        raise_or_record(unreadable, row, error)
        return ""
    except (TypeError, ValueError) as error:
        raise type(error)(f"row {row} of X: {error}") from None
    if isinstance(source, str) and not os.path.isfile(source):  # Path.is_file: long names raise
        shown = reprlib.repr(source) if source.startswith("data:") else repr(source)
        message = f"there is no file {shown}{advise_missing_file(source)}"
        raise_or_record(unreadable, row, ImageReadError(message))
    return source


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
        f"The estimator was fitted on images, but X is {describe(X)}{_advice(X)}; valid are "
        f"{VALID_IMAGES}."
    )


def reject_features(X: Any, name: str = "X") -> None:
    """Raise a ValueError that says how to pass images, if X is of kind "features"."""
    if infer_kind(X) == "features":
        raise ValueError(
            f"{name} contains no images, but is {describe(X)}{_advice(X)}; valid are "
            f"{VALID_IMAGES}."
        )


def _advice(X: Any) -> str:
    """Return how to pass X, to follow its description."""
    advice = advise(X)
    return "" if advice is None else f": {advice}"


def check_features(X: Any) -> None:
    """Raise a ValueError if X cannot be 2-D features, before scikit-learn's validation.

    Only such X is rejected for which scikit-learn's error would be unclear: a single path, image
    or number, bytes, a set, an array of images, or a DataFrame with columns that are not numeric.
    """
    advice = None if isinstance(X, pd.DataFrame) else advise(X)
    values = _row_values(X)
    if advice is not None:
        is_valid = False
    elif isinstance(X, pd.DataFrame):
        is_valid = X.shape[1] > 0
    elif values is not None and len(values) and all(value is None for value in values):
        raise ValueError(f"All {len(values)} rows of X are missing; at least one must be known.")
    elif isinstance(X, list | tuple):
        is_valid = True
    elif _is_sequence(X):
        first: Any = next(iter(X), None)
        is_valid = np.ndim(first) == 0 and not isinstance(first, str | bytes)
    else:
        ndim = X.ndim if hasattr(X, "ndim") else np.asarray(X).ndim
        is_valid = isinstance(X, np.ndarray) or ndim == 2
    if not is_valid:
        raise ValueError(f"X is {describe(X)}{_advice(X)}; valid are {VALID_X}.")
    if isinstance(X, pd.DataFrame):
        is_numeric = [pd.api.types.is_numeric_dtype(dtype) for dtype in X.dtypes]
        text = X.columns[np.logical_not(is_numeric)].tolist()
        if text:
            raise ValueError(
                f"X has the columns {text}, which are not numeric{_advice(X)}; valid X: {VALID_X}."
            )


def find_nan_rows(X: NDArray[np.floating[Any]]) -> dict[int, str]:
    """Return the rows of 2-D features that are all NaN, each with the reason "unreadable".

    ``ImageEmbedder(on_bad_image="warn")`` returns such rows for unreadable images.
    """
    rows = np.flatnonzero(np.isnan(X).all(axis=1))
    return dict.fromkeys(rows.tolist(), "all its features are NaN")
