"""Sentences that say how to pass X, for common objects that are not a valid X."""

import os
import zipfile
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any

import pandas as pd

from skattr._inputs.sources import is_array_like, is_image_object

# Names, in lower case, of columns that contain images in tables of the field.
_NAMES = (
    "path",
    "paths",
    "image_path",
    "img_path",
    "image_paths",
    "filepath",
    "file_path",
    "filename",
    "file_name",
    "image_file",
    "image_name",
    "image_id",
    "file",
    "image",
    "images",
    "img",
    "fname",
    "filenames",
    "files",
)
_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".7z", ".rar")
_FOLDER = "skattr.datasets.load_image_folder reads a folder with one subfolder per category"


def advise(X: Any) -> str | None:
    """Return how to pass what X contains, as the end of a sentence; None without advice.

    Parameters
    ----------
    X : object
        What is not a valid X.
    """
    if isinstance(X, pd.DataFrame):
        name = find_image_column(X)
        return None if name is None else f"rename the column {name!r} to 'path'"
    if isinstance(X, str | os.PathLike):
        return _advise_path(os.fspath(X))
    if is_image_object(X) and not isinstance(X, Mapping):
        return "X is one image; pass a list, [X]"
    if isinstance(X, Mapping):
        return _advise_mapping(X)
    if isinstance(X, list | tuple):
        return _advise_nested(X[0]) if len(X) and isinstance(X[0], list | tuple) else None
    if isinstance(X, Iterator):
        return "an iterator can be read only once; pass list(X)"
    if isinstance(X, Set):
        return "a set has no order; pass a list in the order of y"
    if hasattr(X, "samples") and hasattr(X, "class_to_idx"):  # ImageFolder of torchvision
        return (
            "pass its paths and labels, X=[path for path, _ in dataset.samples] and "
            f"y=dataset.targets, or use what {_FOLDER.split(' reads ')[0]} returns for its folder"
        )
    if hasattr(X, "column_names") and hasattr(X, "features"):  # a Dataset of Hugging Face
        return f"pass one of its columns, such as X[{_likely(X.column_names)!r}]"
    if hasattr(X, "collect") and hasattr(X, "collect_schema"):  # a LazyFrame of polars
        return "pass X.collect()"
    is_sequence = isinstance(X, Sequence) or hasattr(X, "shape")
    is_dataset = hasattr(X, "__getitem__") and hasattr(X, "__len__") and not is_sequence
    if hasattr(X, "dataset") or is_dataset:  # a DataLoader or a Dataset of torch
        return "pass its images, or their paths, as a list, and its labels as y"
    return None


def _advise_nested(row: Sequence[Any]) -> str | None:
    """Return how to pass images that are in the lists or tuples of which `row` is the first."""
    images = [_is_image(part) for part in row]
    texts = [isinstance(part, str) for part in row]
    if any(image and not text for image, text in zip(images, texts, strict=True)):
        images = [image and not text for image, text in zip(images, texts, strict=True)]  # labels
    if not any(images):
        return None
    if all(images):
        return "its rows are lists; pass one flat list of images"
    position = images.index(True)  # such as (image, label), the items of torch's datasets
    return (
        f"its rows are of an image and something else; pass [row[{position}] for row in X], and "
        "labels as y"
    )


def _is_image(value: Any) -> bool:
    if isinstance(value, Mapping):
        return {"bytes", "path"} <= set(value)
    return is_image_object(value) or getattr(value, "ndim", 0) > 1


def find_image_column(X: pd.DataFrame) -> Any:
    """Return the name of the column that has the images of a table, None if it has none."""
    text = [name for name, dtype in X.dtypes.items() if not pd.api.types.is_numeric_dtype(dtype)]
    by_content = [name for name in text if _is_image_column(X[name])]
    by_name = [name for name in text if str(name).lower().strip() in _NAMES]
    both = [name for name in by_name if name in by_content]
    return next(iter(both or by_content or by_name), None)


def _is_image_column(column: Any) -> bool:
    if not isinstance(column, pd.Series):  # a name that occurs twice
        return False
    first = next(iter(column.dropna()), None)
    if isinstance(first, str):
        return first.lower().endswith(_SUFFIXES)
    return is_image_object(first) or is_array_like(first)


def _advise_path(path: str | bytes) -> str | None:
    if isinstance(path, bytes):
        return None
    if os.path.isdir(path):
        return f"{path!r} is a folder; {_FOLDER}"
    if path.lower().endswith(_ARCHIVES) or (os.path.isfile(path) and zipfile.is_zipfile(path)):
        return f"{path!r} is an archive; unpack it and pass the paths of its images ({_FOLDER})"
    return "pass a list of paths, [X]"


def advise_missing_file(path: str) -> str:
    """Return the end of a sentence that says why there is no file of this name."""
    if os.path.isdir(path):
        return f"; it is a folder: {_FOLDER}."
    if "://" in path:
        return "; URLs are not read: download the files first."
    if path.startswith("data:") or len(path) > 1000:
        return "; the text is read as a path: decode base64 to bytes with base64.b64decode."
    return "."


def _advise_mapping(X: Mapping[Any, Any]) -> str | None:
    if {"bytes", "path"} & set(X):
        return "X is one image; pass a list, [X]"
    splits = [name for name, value in X.items() if hasattr(value, "column_names")]
    if splits:  # a DatasetDict of Hugging Face
        return (
            f"pass the images of one split, such as "
            f"X[{splits[0]!r}][{_likely(X[splits[0]].column_names)!r}]"
        )
    if not len(X):
        return None
    return f"pass one of its values, such as X[{_likely(list(X))!r}], or pandas.DataFrame(X)"


def _likely(names: Any) -> Any:
    """Return the name that most probably has the images."""
    found = [name for name in names if str(name).lower() in _NAMES]
    return found[0] if found else next(iter(names), "image")
