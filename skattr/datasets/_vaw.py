"""Loader of VAW, Visual Attributes in the Wild."""

from typing import Any

import numpy as np
import pandas as pd

from skattr.datasets._annotation_files import (
    BOX_COLUMNS,
    NEGATIVE,
    POSITIVE,
    UNKNOWN,
    Codes,
    Folder,
    check_choice,
    check_unique,
    read_json,
)
from skattr.datasets._bunch import About, find_empty_boxes, join_paths, make_bunch
from skattr.exceptions import DatasetFormatError

_ABOUT = About(
    title="VAW (Visual Attributes in the Wild): objects with 620 attributes, most labels missing",
    source="https://github.com/adobe-research/vaw_dataset; the images are those of Visual "
    "Genome 1.4, https://visualgenome.org/.",
    citation='K. Pham, K. Kafle, Z. Lin, Z. Ding, S. Cohen, Q. Tran and A. Shrivastava, "Learning '
    'To Predict Visual Attributes in the Wild", CVPR 2021.',
    license="Adobe Research License: for noncommercial research only.",
    layout="train_part1.json, train_part2.json, val.json, test.json, attribute_index.json, "
    "head_tail.json and attribute_types.json in one folder or in its folder data, the images "
    "<image_id>.jpg of VG_100K and VG_100K_2 together in its folder images, or in the one that "
    "the parameter images names.",
    folders=("data",),
)
_SUBSETS = {
    "train": ("train_part1.json", "train_part2.json"),
    "val": ("val.json",),
    "test": ("test.json",),
}
# The types of the fields that are read. `instance_polygon` is not used.
_FIELDS: dict[str, Any] = {
    "image_id": int,
    "instance_id": (int, str),
    "instance_bbox": list,
    "object_name": str,
    "positive_attributes": list,
    "negative_attributes": list,
}
_CODES = {"positive_attributes": POSITIVE, "negative_attributes": NEGATIVE}


def load_vaw(
    folder: Folder,
    subset: str | None = None,
    *,
    images: Folder = "images",
    existing_only: bool = False,
    return_X_y: bool = False,
) -> Any:
    """Load VAW, objects of Visual Genome with 620 binary attributes.

    Annotators marked some attributes of each object as present and some as absent. All other
    labels, about 616 of 620, are missing.

    Parameters
    ----------
    folder : str or path-like
        Folder of ``train_part1.json``, ``train_part2.json``, ``val.json``, ``test.json`` and
        ``attribute_index.json``, which may be in its folder ``data``.
    subset : {"train", "val", "test"}, default=None
        The part to load. None loads all three, 260,895 objects.
    images : str or path-like, default="images"
        Folder of the images, ``<image_id>.jpg``, absolute or relative to `folder`.
    existing_only : bool, default=False
        Whether to drop objects whose image file does not exist.
    return_X_y : bool, default=False
        Whether to return the pair ``(data, target)`` instead of a Bunch.

    Returns
    -------
    data : sklearn.utils.Bunch
        With these entries:

        data : DataFrame
            Columns ``path``, ``xmin``, ``ymin``, ``xmax``, ``ymax`` (0-based, half-open),
            ``category`` (the object's name), ``group`` (its image) and ``split``.
        target : DataFrame
            A boolean column for each attribute, in the order of ``attribute_index.json``.
        attribute_kinds : dict
            Every attribute is ``"binary"``.
        category_names : list of str
            The sorted names of the loaded objects.
        attribute_groups : dict of list, or None
            The attributes in ``"head"``, ``"medium"`` and ``"tail"``, by the number of labels, for
            ``vaw_metrics(groups=...)``. None if ``head_tail.json`` does not exist.
        attribute_types : dict of list, or None
            The attributes of each type, such as ``"color"``. None if ``attribute_types.json`` does
            not exist.
        DESCR : str
            Source, citation, license, layout and the counts of the loaded rows.
    (data, target) : tuple
        Returned instead of the Bunch if `return_X_y` is true.

    Raises
    ------
    FileNotFoundError
        If a file is missing.
    DatasetFormatError
        If a file is not JSON or is cut short, an object lacks a field, names an attribute that is
        not in ``attribute_index.json``, or has an attribute as both positive and negative. The
        message names the file and the object.

    Warns
    -----
    DatasetWarning
        If a box has no area.

    Notes
    -----
    Edges of boxes ``[x, y, width, height]`` may be fractions of pixels. They are rounded to the
    nearest whole pixel, but a box stays at least one pixel wide and high.

    Examples
    --------
    >>> from skattr.datasets import load_vaw
    >>> objects = load_vaw("vaw_dataset", "val")  # doctest: +SKIP
    >>> len(objects.attribute_groups["tail"])  # doctest: +SKIP
    78
    """
    check_choice("subset", subset, (None, *_SUBSETS))
    path = _ABOUT.file(folder, "attribute_index.json")
    index = read_json(path)
    is_index = isinstance(index, dict) and all(type(number) is int for number in index.values())
    if not is_index or sorted(index.values()) != list(range(len(index))) or not index:
        raise DatasetFormatError(
            f"{path}: expected an object that maps attributes to the numbers 0, 1, 2, ..."
        )
    names = sorted(index, key=index.__getitem__)
    parts = [part for part in _SUBSETS if subset in (None, part)]
    files = [(_ABOUT.file(folder, file), part) for part in parts for file in _SUBSETS[part]]
    # The labels of all objects are int8 until the end: 620 columns of 8 bytes need 1.3 GB.
    tables, labels = zip(*(_read(path, part, names) for path, part in files), strict=True)
    data = pd.concat(tables, ignore_index=True)
    place = data.pop("place").tolist().__getitem__
    check_unique(data.pop("instance"), "instance_id", place)
    data.insert(0, "path", join_paths(folder, images, data["group"] + ".jpg"))
    return make_bunch(
        _ABOUT,
        data,
        np.concatenate(labels),
        names,
        empty_boxes=find_empty_boxes(data[BOX_COLUMNS].to_numpy(), place),
        category_names=sorted(data["category"].unique()),
        existing_only=existing_only,
        return_X_y=return_X_y,
        attribute_groups=_groups(folder, "head_tail.json", names, is_partition=True),
        attribute_types=_groups(folder, "attribute_types.json", names, is_partition=False),
    )


def _groups(
    folder: Folder, file: str, names: list[str], *, is_partition: bool
) -> dict[str, list[str]] | None:
    """Return groups of attributes; with `is_partition`, each attribute is in exactly one.

    The file is optional.
    """
    path = _ABOUT.find(folder, file)
    if path is None:
        return None
    groups = read_json(path)
    if not isinstance(groups, dict) or not all(isinstance(v, list) for v in groups.values()):
        raise DatasetFormatError(f"{path}: expected an object of groups, lists of attributes.")
    members = [name for group in groups.values() for name in group]
    unknown = [name for name in members if name not in names]
    if unknown:
        raise DatasetFormatError(f"{path}: {unknown[0]!r} is not in attribute_index.json.")
    if is_partition and sorted(members) != sorted(names):
        wrong = next(name for name in names if members.count(name) != 1)
        raise DatasetFormatError(f"{path}: {wrong!r} must be in exactly one group.")
    return groups


def _read(path: str, part: str, names: list[str]) -> tuple[pd.DataFrame, Codes]:
    """Return the objects of a file and their labels."""
    records = read_json(path)
    if not isinstance(records, list) or not records:
        raise DatasetFormatError(f"{path}: expected a list of objects.")
    number = {name: k for k, name in enumerate(names)}
    codes = np.full((len(records), len(names)), UNKNOWN, dtype=np.int8, order="F")
    rows = []
    for row, record in enumerate(records):
        place = f"{path}, object {row} (from 0)"
        for field, kind in _FIELDS.items():
            if not isinstance(record, dict) or not isinstance(record.get(field), kind):
                raise DatasetFormatError(f"{place}: {field} is missing or of a wrong type.")
        for field, code in _CODES.items():
            for name in record[field]:
                if not isinstance(name, str) or name not in number:
                    raise DatasetFormatError(
                        f"{place}: {field} has {name!r}, which is not in attribute_index.json."
                    )
                if codes[row, number[name]] == 1 - code:
                    raise DatasetFormatError(
                        f"{place}: {name!r} is both a positive and a negative attribute."
                    )
                codes[row, number[name]] = code
        box = _box(record["instance_bbox"], place)
        texts = record["object_name"], str(record["image_id"]), str(record["instance_id"])
        rows.append((*box, *texts, part, place))
    columns = [*BOX_COLUMNS, "category", "group", "instance", "split", "place"]
    return pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(columns[4:], "str")), codes


def _box(box: list[Any], place: str) -> list[int]:
    """Return the rounded xmin, ymin, xmax and ymax of x, y, width and height."""
    # JSON may contain NaN and Infinity, and larger numbers would overflow as integers.
    if len(box) != 4 or not all(type(edge) in (int, float) and abs(edge) < 1e9 for edge in box):
        raise DatasetFormatError(
            f"{place}: instance_bbox is {box}, but must be four numbers x, y, width and height, "
            "finite and below 1e9."
        )
    edges = []
    for start, length in zip(box[:2], box[2:], strict=True):
        low, high = round(start), round(start + length)
        # Rounding must not make a box empty that has an area in the file.
        edges.append((low, max(high, low + 1) if start + length > start else high))
    return [low for low, _ in edges] + [high for _, high in edges]
