"""Loader of VAW, Visual Attributes in the Wild."""

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skattr.datasets._annotation_files import (
    BOX_COLUMNS,
    NEGATIVE,
    POSITIVE,
    UNKNOWN,
    Codes,
    Folder,
    Place,
    check_choice,
    check_unique,
    read_json,
)
from skattr.datasets._bunch import (
    About,
    boolean_table,
    find_empty_boxes,
    join_paths,
    make_bunch,
    warn_empty_boxes,
)
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
    index_file = _file(folder, "attribute_index.json")
    names = _names(index_file, read_json(index_file))
    # The labels of all objects are int8 until the end: 620 columns of 8 bytes need 1.3 GB.
    tables, labels, places, empty = [], [], [], []
    for part in _SUBSETS if subset is None else [subset]:
        for file in _SUBSETS[part]:
            path = _file(folder, file)
            rows, codes, flat = _read(path, names)
            tables.append(rows.assign(split=pd.Series(part, index=rows.index, dtype="str")))
            labels.append(codes)
            places += [(path, row) for row in range(len(rows))]
            empty += flat
    data = pd.concat(tables, ignore_index=True)
    check_unique(data.pop("instance"), "instance_id", lambda row: _place(*places[row]))
    warn_empty_boxes(empty)
    data.insert(0, "path", join_paths(folder, images, data["group"] + ".jpg"))
    groups_file = _ABOUT.find(folder, "head_tail.json", "data/head_tail.json")
    types_file = _ABOUT.find(folder, "attribute_types.json", "data/attribute_types.json")
    return make_bunch(
        _ABOUT,
        data,
        boolean_table(np.concatenate(labels), names),
        category_names=sorted(data["category"].unique()),
        existing_only=existing_only,
        return_X_y=return_X_y,
        attribute_groups=None
        if groups_file is None
        else _groups(groups_file, names, is_partition=True),
        attribute_types=None
        if types_file is None
        else _groups(types_file, names, is_partition=False),
    )


def _file(folder: Folder, name: str) -> str:
    return _ABOUT.file(folder, name, f"data/{name}")


def _place(path: str, row: int) -> str:
    return f"{path}, object {row} (from 0)"


def _names(path: str, index: Any) -> list[str]:
    """Return the attributes in the order of their numbers, which must be 0, 1, 2 and so on."""
    is_index = isinstance(index, dict) and all(type(number) is int for number in index.values())
    if not is_index or sorted(index.values()) != list(range(len(index))) or not index:
        raise DatasetFormatError(
            f"{path}: expected an object that maps attributes to the numbers 0, 1, 2, ..."
        )
    return sorted(index, key=index.__getitem__)


def _groups(path: str, names: list[str], *, is_partition: bool) -> dict[str, list[str]]:
    """Return groups of attributes; with `is_partition`, each attribute is in exactly one."""
    groups = read_json(path)
    if not isinstance(groups, dict) or not all(isinstance(v, list) for v in groups.values()):
        raise DatasetFormatError(f"{path}: expected an object of groups, lists of attributes.")
    members = [name for group in groups.values() for name in group]
    unknown = [name for name in members if name not in set(names)]
    if unknown:
        raise DatasetFormatError(f"{path}: {unknown[0]!r} is not in attribute_index.json.")
    if is_partition and sorted(members) != sorted(names):
        wrong = next(name for name in names if members.count(name) != 1)
        raise DatasetFormatError(f"{path}: {wrong!r} must be in exactly one group.")
    return groups


def _read(path: str, names: list[str]) -> tuple[pd.DataFrame, Codes, list[str]]:
    """Return the objects of a file, their labels, and the places of boxes without area."""
    records = read_json(path)
    if not isinstance(records, list) or not records:
        raise DatasetFormatError(f"{path}: expected a list of objects.")

    place = partial(_place, path)
    for row, record in enumerate(records):
        for field, kind in _FIELDS.items():
            if not isinstance(record, dict) or not isinstance(record.get(field), kind):
                raise DatasetFormatError(f"{place(row)}: {field} is missing or of a wrong type.")
    columns = {field: [record[field] for record in records] for field in _FIELDS}
    boxes = _boxes(columns["instance_bbox"], place)
    empty = find_empty_boxes(boxes, place)
    edges = np.rint(boxes)
    # Rounding must not make a box empty that has an area in the file.
    edges[:, 2:] = np.where(
        boxes[:, 2:] > boxes[:, :2], np.maximum(edges[:, 2:], edges[:, :2] + 1), edges[:, 2:]
    )
    data = pd.DataFrame(edges.astype(np.int64), columns=BOX_COLUMNS)
    data["category"] = pd.Series(columns["object_name"], dtype="str")
    data["group"] = pd.Series(map(str, columns["image_id"]), dtype="str")
    data["instance"] = pd.Series(map(str, columns["instance_id"]), dtype="str")
    return data, _codes(columns, names, place), empty


def _boxes(values: list[Any], place: Place) -> NDArray[np.float64]:
    """Return xmin, ymin, xmax and ymax for a list of [x, y, width, height]."""
    for row, box in enumerate(values):
        if len(box) != 4 or not all(type(edge) in (int, float) for edge in box):
            raise DatasetFormatError(
                f"{place(row)}: instance_bbox is {box}, but must be four numbers x, y, width and "
                "height."
            )
    boxes = np.array(values, dtype=np.float64)
    # JSON may contain NaN and Infinity, and larger numbers would overflow as integers.
    is_valid = (np.abs(boxes) < 1e9).all(axis=1)
    if not is_valid.all():
        row = int(np.argmin(is_valid))
        raise DatasetFormatError(
            f"{place(row)}: instance_bbox is {values[row]}, but must be finite and below 1e9."
        )
    boxes[:, 2:] += boxes[:, :2]
    return boxes


def _codes(columns: dict[str, list[Any]], names: list[str], place: Place) -> Codes:
    number = {name: k for k, name in enumerate(names)}
    codes = np.full((len(columns["image_id"]), len(names)), UNKNOWN, dtype=np.int8, order="F")
    for field, code in {"positive_attributes": POSITIVE, "negative_attributes": NEGATIVE}.items():
        listed = columns[field]
        rows = np.repeat(np.arange(len(listed)), [len(attributes) for attributes in listed])
        flat = [name for attributes in listed for name in attributes]
        where = np.array([number.get(str(name), -1) for name in flat], dtype=np.intp)
        if (where < 0).any():
            first = int(np.argmax(where < 0))
            raise DatasetFormatError(
                f"{place(rows[first])}: {field} has {flat[first]!r}, which is not in "
                "attribute_index.json."
            )
        is_contradiction = codes[rows, where] == 1 - code
        if is_contradiction.any():
            first = int(np.argmax(is_contradiction))
            raise DatasetFormatError(
                f"{place(rows[first])}: {flat[first]!r} is both a positive and a negative "
                "attribute."
            )
        codes[rows, where] = code
    return codes
