"""Loader of pedestrian attributes: PETA, PA-100K and RAP."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skattr.datasets._annotation_files import UNKNOWN, Folder, check_choice, check_unique
from skattr.datasets._bunch import About, join_paths, make_bunch, rows_in
from skattr.datasets._matlab import Structure, as_structure, read_matlab
from skattr.exceptions import DatasetFormatError

# Images (n,), attributes (L,), labels (n, L) and the part of each image (n,).
_Annotations = tuple[list[str], list[str], NDArray[np.int64], NDArray[Any]]

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
        folders=("RAP_annotation",),
    ),
    "rap2": About(
        title="RAP v2: pedestrians in a shopping mall, with 54 attributes",
        source="https://www.rapdataset.com/, on request.",
        citation='D. Li, Z. Zhang, X. Chen and K. Huang, "A Richly Annotated Pedestrian Dataset '
        'for Person Retrieval in Real Surveillance Scenarios", IEEE Transactions on Image '
        "Processing 28, 2019.",
        license="for academic research only, by agreement with the authors.",
        layout=_RAP_LAYOUT,
        folders=("RAP_annotation",),
    ),
}
_PARTS = ("train", "val", "test")
_N_PARTITIONS = 5


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
    check_choice("subset", subset, (None, *_PARTS))
    last = 0 if dataset == "pa100k" else _N_PARTITIONS - 1
    if type(partition) is not int or not 0 <= partition <= last:
        raise ValueError(
            f"partition must be an int from 0 to {last} for {dataset!r}, got {partition!r}."
        )
    about = _ABOUT[dataset]
    read, image_folder, file = _FORMATS[dataset]
    path = about.file(folder, file)
    names_of_images, names, table, split = read(read_matlab(path), partition)
    if len(set(names)) < len(names):
        raise DatasetFormatError(f"{path}: the names of attributes are not distinct: {names}.")
    # Only RAP has labels that annotators marked as uncertain (2).
    valid = [0, 1, 2] if dataset in ("rap", "rap2") else [0, 1]
    is_wrong = ~np.isin(table, valid)
    if is_wrong.any():
        row, column = np.argwhere(is_wrong)[0]
        raise DatasetFormatError(
            f"{_place(path, row)}: attribute {names[column]!r} is {table[row, column]}, but must "
            f"be one of {valid}."
        )
    image_names = pd.Series(names_of_images, dtype="str")
    check_unique(image_names, "the image", lambda row: _place(path, row))
    images = image_folder if images is None else images
    data = pd.DataFrame({"path": join_paths(folder, images, image_names)})
    if dataset in ("rap", "rap2"):
        # Frames of one track are nearly equal, so a random split must keep them together.
        data["group"] = image_names.str.extract(r"^(.+)_frame[0-9]")[0].fillna(image_names)
    data["split"] = pd.Series(split, dtype="str")
    return make_bunch(
        about,
        data,
        np.where(table == 2, UNKNOWN, table).astype(np.int8),
        names,
        keep=rows_in(subset, split, path),
        existing_only=existing_only,
        return_X_y=return_X_y,
    )


def _place(path: str, row: int) -> str:
    return f"{path}, row {row + 1}"


def _read_pa100k(mat: Structure, partition: int) -> _Annotations:
    names = mat.texts("attributes")
    images = {part: mat.texts(f"{part}_images_name") for part in _PARTS}
    labels = [_labels(mat, f"{part}_label", len(some), len(names)) for part, some in images.items()]
    split = np.repeat(_PARTS, [len(some) for some in images.values()])
    every_image = [image for some in images.values() for image in some]
    return every_image, names, np.concatenate(labels), split


def _read_peta(mat: Structure, partition: int) -> _Annotations:
    peta = mat.structure("peta", ["data", "attribute", "selected_attribute", "partition"])
    names = peta.texts("attribute")
    n_rows = len(peta["data"])
    # The first four columns are not labels.
    table = _labels(peta, "data", n_rows, 4 + len(names))
    images = [f"{number:05}.png" for number in range(1, n_rows + 1)]
    split = _split(peta, "partition", partition, _PARTS, n_rows)
    # Papers evaluate the first 35 attributes only.
    return images, names[:35], table[:, 4:39], split


def _read_rap(mat: Structure, partition: int) -> _Annotations:
    if "selected_attribute" in mat.structure("RAP_annotation").values:
        raise DatasetFormatError(f"{mat.path} is of the second version of RAP; use dataset='rap2'.")
    fields = "partion,label,attribute_chinese,attribute_eng,position,imagesname,attribute_exp"
    rap = mat.structure("RAP_annotation", fields.split(","))
    images, names = rap.texts("imagesname"), rap.texts("attribute_exp")
    table = _labels(rap, "label", len(images), len(rap.texts("attribute_eng")))
    split = _split(rap, "partion", partition, ("train", "test"), len(images))
    return images, names, table[:, : len(names)], split


def _read_rap2(mat: Structure, partition: int) -> _Annotations:
    rap = mat.structure("RAP_annotation")
    images, names = rap.texts("name"), rap.texts("attribute")
    table = _labels(rap, "data", len(images), len(names))
    columns = rap.numbers("selected_attribute").reshape(-1) - 1
    if columns.min(initial=0) < 0 or columns.max(initial=0) >= len(names):
        raise DatasetFormatError(
            f"{mat.path}: selected_attribute must be numbers from 1 to {len(names)}."
        )
    split = _split(rap, "partition_attribute", partition, _PARTS, len(images))
    return images, [names[column] for column in columns], table[:, columns], split


# The reader, the folder of the images, and the annotation file.
_FORMATS: dict[str, Any] = {
    "peta": (_read_peta, "images", "PETA.mat"),
    "pa100k": (_read_pa100k, "data", "annotation.mat"),
    "rap": (_read_rap, "RAP_dataset", "RAP_annotation.mat"),
    "rap2": (_read_rap2, "RAP_dataset", "RAP_annotation.mat"),
}


def _labels(owner: Structure, name: str, rows: int, columns: int) -> NDArray[np.int64]:
    """Return a matrix that must have this shape."""
    matrix = owner.numbers(name)
    if matrix.shape != (rows, columns):
        raise DatasetFormatError(
            f"{owner.path}: {name} has shape {matrix.shape}; expected {(rows, columns)}, the "
            "numbers of images and attribute names."
        )
    return matrix


def _split(
    owner: Structure, field: str, partition: int, parts: Sequence[str], n_rows: int
) -> NDArray[Any]:
    """Return the part of each row, from a cell array of structures of 1-based row numbers."""
    path, name = owner.path, f"partition {partition}"
    cells = np.asarray(owner[field], dtype=object).reshape(-1)
    if len(cells) <= partition:
        raise DatasetFormatError(f"{path}: there are only {len(cells)} partitions.")
    labels = {f"{part} of {name}": part for part in parts}
    rows_of = as_structure(cells[partition], path, name, list(labels))
    split = np.full(n_rows, "", dtype=object)
    for label, part in labels.items():
        matrix = rows_of.numbers(label)
        index = (matrix[:, 0] if len(matrix) > 1 else matrix.reshape(-1)) - 1
        if index.min(initial=0) < 0 or index.max(initial=0) >= n_rows:
            raise DatasetFormatError(f"{path}: {label} must be row numbers from 1 to {n_rows}.")
        if (split[index] != "").any() or len(np.unique(index)) < len(index):
            raise DatasetFormatError(f"{path}: a row is in two parts of {name}, or twice in one.")
        split[index] = part
    if (split == "").any():
        row = int(np.argmax(split == ""))
        raise DatasetFormatError(f"{_place(path, row)}: the image is in no part of {name}.")
    return split
