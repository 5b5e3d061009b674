"""Construction of the Bunch that a loader returns: tables, boxes, paths and the description."""

import os
import textwrap
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.utils import Bunch

from skattr.datasets._annotation_files import POSITIVE, UNKNOWN, Codes, Folder, Place, check_choice
from skattr.exceptions import DatasetFormatError, DatasetWarning


@dataclass(frozen=True)
class About:
    """Source, license and folder layout of a dataset.

    Annotation files are in the folder of the dataset or in one of its `folders`.
    """

    title: str
    source: str
    citation: str
    license: str
    layout: str
    folders: tuple[str, ...] = ()

    def __str__(self) -> str:
        parts = [f"Source: {self.source}", f"Citation: {self.citation}"]
        parts += [f"License: {self.license}", f"Layout: {self.layout}"]
        filled = [
            textwrap.fill(part, 88, break_long_words=False, break_on_hyphens=False)
            for part in parts
        ]
        return "\n".join([self.title, "", *filled, ""])

    def find(self, folder: Folder, *names: str) -> str | None:
        """Return the path of the first of `names` that is a file, else None."""
        if not isinstance(folder, str | os.PathLike):
            raise TypeError(f"folder must be a str or a path-like object, got {folder!r}.")
        folders = [os.path.join(os.fspath(folder), part) for part in ("", *self.folders)]
        paths = [os.path.join(part, name) for name in names for part in folders]
        return next(filter(os.path.isfile, paths), None)

    def file(self, folder: Folder, *names: str) -> str:
        """Return the path of the first of `names` that is a file.

        Raises
        ------
        FileNotFoundError
            If none of them exists. The message describes the source and the layout.
        """
        path = self.find(folder, *names)
        if path is None:
            base = repr(os.fspath(folder))
            absent = f"file {names[0]!r} in {base}" if os.path.isdir(folder) else f"folder {base}"
            raise FileNotFoundError(
                f"There is no {absent}, and nothing is downloaded. Layout: {self.layout} "
                f"Source: {self.source}"
            )
        return path


def join_paths(folder: Folder, images: Folder, names: "pd.Series[Any]") -> "pd.Series[Any]":
    """Return the paths of images in the folder `images`, which may be relative to `folder`.

    Absolute paths in `names` are unchanged.
    """
    if not isinstance(images, str | os.PathLike):
        raise TypeError(f"images must be a str or a path-like object, got {images!r}.")
    # The empty last part makes the path end in a separator.
    base = os.path.join(os.fspath(folder), os.fspath(images), "")
    names = names.astype("str")
    is_absolute = names.map(os.path.isabs).astype(bool)
    return names.where(is_absolute, base + names).astype("str")


def boolean_table(codes: Codes, names: Sequence[str]) -> pd.DataFrame:
    """Return a table of nullable booleans for a matrix of 1, 0 and -1 (missing)."""
    columns = {
        name: pd.arrays.BooleanArray(codes[:, j] == POSITIVE, codes[:, j] == UNKNOWN)
        for j, name in enumerate(names)
    }
    return pd.DataFrame(columns)


def find_empty_boxes(boxes: NDArray[Any], place: Place) -> list[str]:
    """Return the places of boxes without area."""
    is_empty = (boxes[:, 2] <= boxes[:, 0]) | (boxes[:, 3] <= boxes[:, 1])
    return [place(row) for row in np.flatnonzero(is_empty).tolist()]


def rows_in(subset: str | None, split: NDArray[Any], path: str) -> NDArray[np.bool_] | None:
    """Return which rows of a file are in a subset, None for all rows."""
    if subset is None:
        return None
    keep = np.asarray(split == subset)
    if not keep.any():
        parts = sorted(set(split.tolist()))
        raise DatasetFormatError(
            f"{path} has no image in the subset {subset!r}; it has only {parts}."
        )
    return keep


def existing_rows(
    data: pd.DataFrame, target: pd.DataFrame, existing_only: bool, hint: str = ""
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return both tables; with `existing_only` only rows whose image file exists."""
    check_choice("existing_only", existing_only, (True, False))
    if not existing_only:
        return data, target
    # An image may have many rows (crops), so each path is checked once.
    exists = {path: os.path.isfile(path) for path in data["path"].unique()}
    keep = data["path"].map(exists).to_numpy(dtype=bool)
    if not keep.any():
        raise FileNotFoundError(
            f"existing_only=True leaves no row: none of {len(exists)} images exists, such as "
            f"{next(iter(exists))!r}.{hint}"
        )
    return data[keep].reset_index(drop=True), target[keep].reset_index(drop=True)


def make_bunch(
    about: About,
    data: pd.DataFrame,
    codes: Codes,
    names: Sequence[str],
    *,
    keep: NDArray[np.bool_] | None = None,
    empty_boxes: Sequence[str] = (),
    category_names: list[str] | None = None,
    existing_only: bool = False,
    return_X_y: bool = False,
    **more: Any,
) -> Any:
    """Return the Bunch of a loader, or only its data and target.

    Parameters
    ----------
    about : About
    data : DataFrame of n rows
        It has a column ``path``.
    codes : ndarray of shape (n, len(names))
        1, 0 and -1 (missing) for the binary attributes.
    names : sequence of str
        The attributes.
    keep : ndarray of shape (n,), bool, optional
        The rows to return. By default all.
    empty_boxes : sequence of str
        The places of boxes without area. The caller of the loader is warned about them.
    category_names : list of str, optional
    existing_only : bool
        Whether to keep only rows whose image file exists.
    return_X_y : bool
    **more : object
        Further entries of the Bunch.
    """
    check_choice("return_X_y", return_X_y, (True, False))
    if empty_boxes:
        others = len(empty_boxes) - 5
        more_boxes = f" and {others} more" if others > 0 else ""
        # They are kept: whether such a crop is useful is not for the loader to decide.
        warnings.warn(
            f"Boxes without area are kept ({len(empty_boxes)}): "
            f"{'; '.join(empty_boxes[:5])}{more_boxes}.",
            DatasetWarning,
            stacklevel=3,
        )
    if keep is not None:
        data, codes = data[keep].reset_index(drop=True), codes[keep]
    target = boolean_table(codes, names)
    data, target = existing_rows(data, target, existing_only, f" Layout: {about.layout}")
    if return_X_y:
        return data, target
    return Bunch(
        data=data,
        target=target,
        attribute_kinds=dict.fromkeys(names, "binary"),
        category_names=category_names,
        DESCR=f"{about}\n{describe_counts(target)}",
        **more,
    )


def describe_counts(target: pd.DataFrame) -> str:
    """Return the counts of a table of labels as text."""
    known = target.count().sum()
    lines = {
        "rows": len(target),
        "attributes": target.shape[1],
        "known cells": known,
        "missing share": f"{(target.size - known) / max(target.size, 1):.4f}",
    }
    binary = [column for _, column in target.items() if column.dtype == "boolean"]
    if binary:
        positive = np.array([column.to_numpy(dtype=bool, na_value=False) for column in binary])
        lines |= {
            "positive cells": positive.sum(),
            "rows without a positive": (~positive.any(axis=0)).sum(),
            "binary attributes without a positive": (~positive.any(axis=1)).sum(),
        }
    return "\n".join(["Counts of this load", *(f"{k:<38}{v}" for k, v in lines.items())]) + "\n"
