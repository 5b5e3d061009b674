"""Construction of the Bunch that a loader returns: tables, boxes, paths and the description."""

import os
import textwrap
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.utils import Bunch

from skattr.datasets._annotation_files import POSITIVE, UNKNOWN, Codes, Folder, Place, check_choice
from skattr.exceptions import DatasetWarning


@dataclass(frozen=True)
class About:
    """Source, license and folder layout of a dataset."""

    title: str
    source: str
    citation: str
    license: str
    layout: str

    def __str__(self) -> str:
        parts = {
            "Source": self.source,
            "Citation": self.citation,
            "License": self.license,
            "Layout": self.layout,
        }
        filled = [
            textwrap.fill(f"{name}: {text}", 88, break_long_words=False, break_on_hyphens=False)
            for name, text in parts.items()
        ]
        return "\n".join([self.title, "", *filled, ""])

    def find(self, folder: Folder, *names: str) -> str | None:
        """Return the path of the first of `names` that is a file in `folder`, else None."""
        if not isinstance(folder, str | os.PathLike):
            raise TypeError(f"folder must be a str or a path-like object, got {folder!r}.")
        paths = [os.path.join(os.fspath(folder), name) for name in names]
        return next(filter(os.path.isfile, paths), None)

    def file(self, folder: Folder, *names: str) -> str:
        """Return the path of the first of `names` that is a file in `folder`.

        Raises
        ------
        FileNotFoundError
            If none of them exists. The message describes the source and the layout.
        """
        path = self.find(folder, *names)
        if path is None:
            is_there = os.path.isdir(folder)
            base = os.fspath(folder)
            absent = f"file {names[0]!r} in {base!r}" if is_there else f"folder {base!r}"
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


def warn_empty_boxes(places: Sequence[str]) -> None:
    """Warn the caller of a loader about boxes without area.

    They are kept: whether such a crop is useful is not for the loader to decide.
    """
    if places:
        more = f" and {len(places) - 5} more" if len(places) > 5 else ""
        warnings.warn(
            f"Boxes without area are kept ({len(places)}): {'; '.join(places[:5])}{more}.",
            DatasetWarning,
            stacklevel=3,
        )


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
    target: pd.DataFrame,
    *,
    kinds: Mapping[str, Any] | None = None,
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
    target : DataFrame of n rows
    kinds : mapping, optional
        By default every attribute is binary.
    category_names : list of str, optional
    existing_only : bool
        Whether to keep only rows whose image file exists.
    return_X_y : bool
    **more : object
        Further entries of the Bunch.
    """
    check_choice("return_X_y", return_X_y, (True, False))
    data, target = existing_rows(data, target, existing_only, f" Layout: {about.layout}")
    if return_X_y:
        return data, target
    return Bunch(
        data=data,
        target=target,
        attribute_kinds=dict(kinds or dict.fromkeys(target.columns, "binary")),
        category_names=category_names,
        DESCR=f"{about}\n{describe_counts(target)}",
        **more,
    )


def describe_counts(target: pd.DataFrame) -> str:
    """Return the counts of a table of labels as text."""
    known = target.notna().to_numpy().sum()
    lines = {
        "rows": len(target),
        "attributes": target.shape[1],
        "known cells": known,
        "missing share": f"{(target.size - known) / max(target.size, 1):.4f}",
    }
    binary = [name for name in target if target[name].dtype == "boolean"]
    if binary:
        has_positive = np.zeros(len(target), dtype=bool)
        positives = []
        for name in binary:
            positive = target[name].to_numpy(dtype=bool, na_value=False)
            has_positive |= positive
            positives.append(int(positive.sum()))
        lines |= {
            "positive cells": sum(positives),
            "rows without a positive": int((~has_positive).sum()),
            "binary attributes without a positive": positives.count(0),
        }
    return "\n".join(["Counts of this load", *(f"{k:<38}{v}" for k, v in lines.items())]) + "\n"
