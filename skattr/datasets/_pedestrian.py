"""Loader of pedestrian attributes: PETA, PA-100K and RAP."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skattr.datasets._annotation_files import (
    NEGATIVE,
    POSITIVE,
    UNKNOWN,
    Codes,
    Folder,
    check_choice,
    check_unique,
)
from skattr.datasets._bunch import About, boolean_table, join_paths, make_bunch
from skattr.datasets._matlab import field, labels, numbers, read_matlab, structure, texts
from skattr.exceptions import DatasetFormatError

_RAP_LAYOUT = (
    "RAP_annotation/RAP_annotation.mat in one folder, the images in its folder RAP_dataset, or "
    "in the one that the parameter images names."
)
_ABOUT = {
    "peta": About(
        title="PETA: pedestrians far away, with 35 attributes",
        source="http://mmlab.ie.cuhk.edu.hk/projects/PETA.html; with its annotations as PETA.mat "
        "by https://github.com/dangweili/pedestrian-attribute-recognition-pytorch.",
        citation='Y. Deng, P. Luo, C. C. Loy and X. Tang, "Pedestrian Attribute Recognition At '
        'Far Distance", ACM Multimedia 2014.',
        license="none stated with the annotations; the images come from ten public datasets "
        "with terms of their own.",
        layout="PETA.mat in one folder, the images 00001.png to 19000.png in its folder images, "
        "or in the one that the parameter images names.",
    ),
    "pa100k": About(
        title="PA-100K: pedestrians in the street, with 26 attributes",
        source="https://github.com/xh-liu/HydraPlus-Net.",
        citation="X. Liu, H. Zhao, M. Tian, L. Sheng, J. Shao, S. Yi, J. Yan and X. Wang, "
        '"HydraPlus-Net: Attentive Deep Features for Pedestrian Analysis", ICCV 2017.',
        license="none stated by the source.",
        layout="annotation.mat in one folder, the images 000001.jpg to 100000.jpg in its folder "
        "data, or in the one that the parameter images names.",
    ),
    "rap": About(
        title="RAP: pedestrians in a shopping mall, with 51 attributes",
        source="https://www.rapdataset.com/, on request.",
        citation='D. Li, Z. Zhang, X. Chen, H. Ling and K. Huang, "A Richly Annotated Dataset for '
        'Pedestrian Attribute Recognition", arXiv:1603.07054, 2016.',
        license="for academic research only, by agreement with the authors.",
        layout=_RAP_LAYOUT,
    ),
    "rap2": About(
        title="RAP v2: pedestrians in a shopping mall, with 54 attributes",
        source="https://www.rapdataset.com/, on request.",
        citation='D. Li, Z. Zhang, X. Chen and K. Huang, "A Richly Annotated Pedestrian Dataset '
        'for Person Retrieval in Real Surveillance Scenarios", IEEE Transactions on Image '
        "Processing 28, 2019.",
        license="for academic research only, by agreement with the authors.",
        layout=_RAP_LAYOUT,
    ),
}
_IMAGES = {"peta": "images", "pa100k": "data", "rap": "RAP_dataset", "rap2": "RAP_dataset"}
# Only RAP has labels that annotators marked as uncertain (2).
_BINARY = {0: NEGATIVE, 1: POSITIVE}
_WITH_UNCERTAIN = {**_BINARY, 2: UNKNOWN}
_N_PARTITIONS = 5


@dataclass
class _Annotations:
    """Contents of a file: images (n,), labels (n, n_names) and the split of each image."""

    images: list[str]
    names: list[str]
    codes: Codes
    split: NDArray[Any]


def load_pedestrian(
    folder: Folder,
    dataset: str,
    subset: str | None = None,
    *,
    partition: int = 0,
    images: Folder | None = None,
    existing_only: bool = False,
    return_X_y: bool = False,
) -> Any:
    """Load PETA, PA-100K or RAP, pedestrians with the binary attributes used for evaluation.

    Parameters
    ----------
    folder : str or path-like
        Folder of ``PETA.mat``, ``annotation.mat`` (PA-100K) or
        ``RAP_annotation/RAP_annotation.mat``.
    dataset : {"peta", "pa100k", "rap", "rap2"}
        PETA (19,000 images, 35 attributes), PA-100K (100,000, 26), RAP (41,585, 51) or its
        second version (84,928, 54).
    subset : {"train", "val", "test"}, default=None
        The part to load; "rap" has no "val". None loads all images.
    partition : int, default=0
        Which of the five official random partitions of PETA and RAP is used, from 0. PA-100K has
        one.
    images : str or path-like, default=None
        Folder of the images, absolute or relative to `folder`. None means ``images`` (PETA),
        ``data`` (PA-100K) or ``RAP_dataset``.
    existing_only : bool, default=False
        Whether to drop pedestrians whose image file does not exist.
    return_X_y : bool, default=False
        Whether to return the pair ``(data, target)`` instead of a Bunch.

    Returns
    -------
    data : sklearn.utils.Bunch
        With these entries:

        data : DataFrame
            Columns ``path`` and ``split``, and for RAP ``group``: the tracked person, the part of
            the file name before ``_frame``.
        target : DataFrame
            A boolean column for each attribute. RAP's label 2 (uncertain) is missing; in the other
            datasets every label is known.
        attribute_kinds : dict
            Every attribute is ``"binary"``.
        category_names : None
        DESCR : str
            Source, citation, license, layout and the counts of the loaded rows.
    (data, target) : tuple
        Returned instead of the Bunch if `return_X_y` is true.

    Raises
    ------
    FileNotFoundError
        If the file is missing.
    DatasetFormatError
        If the file has MATLAB version 7.3, is cut short or has another structure, a label is not
        0 or 1 (or 2 in RAP), or an image occurs twice, in no part or in two parts.

    Notes
    -----
    The structures are those that the published readers of these files expect; see the sources.
    PETA does not identify persons, and its official random partitions have the same persons in
    different parts. PA-100K keeps the images of a tracked person in one part, but does not
    identify persons either.

    Examples
    --------
    >>> from skattr.datasets import load_pedestrian
    >>> people = load_pedestrian("PA-100K", "pa100k")  # doctest: +SKIP
    >>> people.data["split"].value_counts()  # doctest: +SKIP
    """
    check_choice("dataset", dataset, tuple(_ABOUT))
    check_choice("subset", subset, (None, "train", "val", "test"))
    last = 0 if dataset == "pa100k" else _N_PARTITIONS - 1
    if type(partition) is not int or not 0 <= partition <= last:
        raise ValueError(
            f"partition must be an int from 0 to {last} for {dataset!r}, got {partition!r}."
        )
    about = _ABOUT[dataset]
    if dataset in ("rap", "rap2"):
        path = about.file(folder, "RAP_annotation/RAP_annotation.mat", "RAP_annotation.mat")
    else:
        path = about.file(folder, {"peta": "PETA.mat", "pa100k": "annotation.mat"}[dataset])
    found = _READERS[dataset](path, partition)
    files = pd.Series(found.images, dtype="str")
    check_unique(files, "the image", lambda row: _place(path, row))
    images = _IMAGES[dataset] if images is None else images
    data = pd.DataFrame({"path": join_paths(folder, images, files)})
    if dataset in ("rap", "rap2"):
        # Frames of one track are nearly equal, so a random split must keep them together.
        tracks = files.str.extract(r"^(.+)_frame[0-9]")[0]
        data["group"] = tracks.fillna(files)
    data["split"] = pd.Series(found.split, dtype="str")
    codes = found.codes
    if subset is not None:
        keep = found.split == subset
        if not keep.any():
            raise ValueError(f"subset={subset!r}: {path} has only {sorted(set(found.split))}.")
        data, codes = data[keep].reset_index(drop=True), codes[keep]
    target = boolean_table(codes, found.names)
    return make_bunch(about, data, target, existing_only=existing_only, return_X_y=return_X_y)


def _place(path: str, row: int) -> str:
    return f"{path}, row {row + 1}"


def _read_pa100k(path: str, partition: int) -> _Annotations:
    mat = read_matlab(path)
    names = texts(field(mat, "attributes", path), "attributes", path)
    images, parts, sizes = [], [], []
    for part in ("train", "val", "test"):
        listed = f"{part}_images_name"
        part_images = texts(field(mat, listed, path), listed, path)
        matrix = numbers(field(mat, f"{part}_label", path), f"{part}_label", path)
        _check_shape(matrix, len(part_images), len(names), f"{part}_label", path)
        images += part_images
        parts.append(matrix)
        sizes.append(len(part_images))
    return _annotations(
        path, images, names, np.concatenate(parts), _BINARY, np.repeat(_PARTS, sizes)
    )


def _read_peta(path: str, partition: int) -> _Annotations:
    fields = structure(field(read_matlab(path), "peta", path), 4, "peta", path)
    names = texts(fields[1], "the names of attributes", path)
    table = numbers(fields[0], "the table of labels", path)
    # The first four columns are not labels.
    _check_shape(table, len(table), 4 + len(names), "the table of labels", path)
    images = [f"{number:05}.png" for number in range(1, len(table) + 1)]
    split = _split(fields[3], partition, _PARTS, len(table), path)
    # Papers evaluate the first 35 attributes only.
    return _annotations(path, images, names[:35], table[:, 4:39], _BINARY, split)


def _read_rap(path: str, partition: int) -> _Annotations:
    annotation = field(read_matlab(path), "RAP_annotation", path)
    if "selected_attribute" in (annotation.dtype.names or ()):
        raise DatasetFormatError(f"{path} is of the second version of RAP; use dataset='rap2'.")
    fields = structure(annotation, 7, "RAP_annotation", path)
    names = texts(fields[6], "attribute_exp", path)
    images = texts(fields[5], "imagesname", path)
    table = numbers(fields[1], "label", path)
    _check_shape(table, len(images), len(texts(fields[3], "attribute_eng", path)), "label", path)
    split = _split(fields[0], partition, ("train", "test"), len(images), path)
    return _annotations(path, images, names, table[:, : len(names)], _WITH_UNCERTAIN, split)


def _read_rap2(path: str, partition: int) -> _Annotations:
    annotation = field(read_matlab(path), "RAP_annotation", path)
    images = texts(field(annotation, "name", path), "name", path)
    names = texts(field(annotation, "attribute", path), "attribute", path)
    table = numbers(field(annotation, "data", path), "data", path)
    _check_shape(table, len(images), len(names), "data", path)
    chosen = numbers(field(annotation, "selected_attribute", path), "selected_attribute", path)
    columns = chosen.reshape(-1) - 1
    if columns.min(initial=0) < 0 or columns.max(initial=0) >= len(names):
        raise DatasetFormatError(
            f"{path}: selected_attribute must be numbers from 1 to {len(names)}."
        )
    partitions = field(annotation, "partition_attribute", path)
    split = _split(partitions, partition, _PARTS, len(images), path)
    names = [names[column] for column in columns]
    return _annotations(path, images, names, table[:, columns], _WITH_UNCERTAIN, split)


_PARTS = ("train", "val", "test")
_READERS = {
    "peta": _read_peta,
    "pa100k": _read_pa100k,
    "rap": _read_rap,
    "rap2": _read_rap2,
}


def _annotations(
    path: str,
    images: list[str],
    names: list[str],
    table: NDArray[np.int64],
    coding: dict[int, int],
    split: NDArray[Any],
) -> _Annotations:
    if len(set(names)) < len(names):
        raise DatasetFormatError(f"{path}: the names of attributes are not distinct: {names}.")
    codes = labels(table, coding, names, lambda row: _place(path, row))
    return _Annotations(images, names, codes, split)


def _check_shape(matrix: NDArray[Any], rows: int, columns: int, name: str, path: str) -> None:
    if matrix.shape != (rows, columns):
        raise DatasetFormatError(
            f"{path}: {name} has shape {matrix.shape}; expected {(rows, columns)}, the numbers "
            "of images and attribute names."
        )


def _split(
    partitions: Any, partition: int, parts: Sequence[str], n_rows: int, path: str
) -> NDArray[Any]:
    """Return the part of each row, from a cell array of structures of 1-based row numbers."""
    cells = np.asarray(partitions, dtype=object).reshape(-1)
    if len(cells) <= partition:
        raise DatasetFormatError(f"{path}: there are only {len(cells)} partitions.")
    name = f"partition {partition}"
    split = np.full(n_rows, "", dtype=object)
    for part, rows in zip(parts, structure(cells[partition], len(parts), name, path), strict=False):
        matrix = numbers(rows, f"{part} of {name}", path)
        index = (matrix[:, 0] if len(matrix) > 1 else matrix.reshape(-1)) - 1
        if index.min(initial=0) < 0 or index.max(initial=0) >= n_rows:
            raise DatasetFormatError(
                f"{path}: {part} of {name} must be row numbers from 1 to {n_rows}."
            )
        if (split[index] != "").any() or len(np.unique(index)) < len(index):
            raise DatasetFormatError(f"{path}: a row is in two parts of {name}, or twice in one.")
        split[index] = part
    if (split == "").any():
        row = int(np.argmax(split == ""))
        raise DatasetFormatError(f"{_place(path, row)}: the image is in no part of {name}.")
    return split
