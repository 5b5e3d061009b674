"""Loader of CelebA."""

from typing import Any

import numpy as np
import pandas as pd

from skattr.datasets._annotation_files import (
    BOX_COLUMNS,
    NEGATIVE,
    POSITIVE,
    Folder,
    check_choice,
    check_order,
    check_unique,
    line_of,
    read_codes,
    read_numbers,
    read_rows,
    text_lines,
    translate,
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
    title="CelebA: faces of celebrities, with 40 attributes",
    source="https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html.",
    citation='Z. Liu, P. Luo, X. Wang and X. Tang, "Deep Learning Face Attributes in the Wild", '
    "ICCV 2015.",
    license="for non-commercial research only, as the source states.",
    layout="list_attr_celeba.txt, list_eval_partition.txt and, where wanted, identity_CelebA.txt "
    "and list_bbox_celeba.txt in one folder or in its folders Anno and Eval, the images in its "
    "folder img_align_celeba, or in the one that the parameter images names.",
)
_SPLITS = {"0": "train", "1": "val", "2": "test"}
_NAMES = (
    "5_o_Clock_Shadow,Arched_Eyebrows,Attractive,Bags_Under_Eyes,Bald,Bangs,Big_Lips,"
    "Big_Nose,Black_Hair,Blond_Hair,Blurry,Brown_Hair,Bushy_Eyebrows,Chubby,Double_Chin,"
    "Eyeglasses,Goatee,Gray_Hair,Heavy_Makeup,High_Cheekbones,Male,Mouth_Slightly_Open,"
    "Mustache,Narrow_Eyes,No_Beard,Oval_Face,Pale_Skin,Pointy_Nose,Receding_Hairline,"
    "Rosy_Cheeks,Sideburns,Smiling,Straight_Hair,Wavy_Hair,Wearing_Earrings,Wearing_Hat,"
    "Wearing_Lipstick,Wearing_Necklace,Wearing_Necktie,Young"
)


def load_celeba(
    folder: Folder,
    subset: str | None = None,
    *,
    images: Folder = "img_align_celeba",
    boxes: bool = False,
    existing_only: bool = False,
    return_X_y: bool = False,
) -> Any:
    """Load CelebA, faces of celebrities with 40 binary attributes.

    Parameters
    ----------
    folder : str or path-like
        Folder of ``list_attr_celeba.txt`` and ``list_eval_partition.txt``, which may be in its
        folders ``Anno`` and ``Eval``.
    subset : {"train", "val", "test"}, default=None
        The part of the official partition to load. None loads all 202,599 faces.
    images : str or path-like, default="img_align_celeba"
        Folder of the images, absolute or relative to `folder`.
    boxes : bool, default=False
        Whether to read the faces' boxes from ``list_bbox_celeba.txt``. They belong to the
        images "in the wild" (``img_celeba``), not to the aligned ones.
    existing_only : bool, default=False
        Whether to drop faces whose image file does not exist.
    return_X_y : bool, default=False
        Whether to return the pair ``(data, target)`` instead of a Bunch.

    Returns
    -------
    data : sklearn.utils.Bunch
        With these entries:

        data : DataFrame
            Columns ``path``, with `boxes` also ``xmin``, ``ymin``, ``xmax``, ``ymax``
            (half-open), ``group`` (the person, if ``identity_CelebA.txt`` exists) and ``split``.
        target : DataFrame
            A boolean column for each attribute. Every label is known: -1 means negative.
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
        If a file is missing.
    DatasetFormatError
        If a line is malformed, attributes are not in their order, the count in the first line is
        not the number of rows, or the files list different images. The message names the file
        and the line.

    Warns
    -----
    DatasetWarning
        If a box has no area.

    Notes
    -----
    The source does not say whether boxes are 0-based or 1-based. ``x_1`` and ``y_1`` are used
    unchanged, and ``xmax`` is ``x_1 + width``.

    Examples
    --------
    >>> from skattr.datasets import load_celeba
    >>> faces = load_celeba("CelebA", "val")  # doctest: +SKIP
    >>> faces.target["Smiling"].mean()  # doctest: +SKIP
    """
    check_choice("subset", subset, (None, *_SPLITS.values()))
    check_choice("boxes", boxes, (True, False))
    path = _ABOUT.file(folder, "list_attr_celeba.txt", "Anno/list_attr_celeba.txt")
    names = _header(path)
    check_order(names, _NAMES, f"{path}, line 2")
    rows = read_rows(path, 1 + len(names), first=3, text=[0])
    _check_count(path, len(rows))
    files, place = rows[0], line_of(path, 3)
    check_unique(files, "the image", place)
    codes = read_codes(
        rows.iloc[:, 1:], names, {"1": POSITIVE, "-1": NEGATIVE}, place
    )  # -1 is not missing here
    data = pd.DataFrame({"path": join_paths(folder, images, files)})
    if boxes:
        path = _ABOUT.file(folder, "list_bbox_celeba.txt", "Anno/list_bbox_celeba.txt")
        listed = _read_same_images(path, files, 5, first=3)
        _check_count(path, len(listed))
        place = line_of(path, 3)
        corners = read_numbers(listed.iloc[:, 1:], ["x_1", "y_1", "width", "height"], place)
        corners[:, 2:] += corners[:, :2]
        data[BOX_COLUMNS] = corners
        warn_empty_boxes(find_empty_boxes(corners, place))
    # The file of persons is optional.
    identity = _ABOUT.find(folder, "identity_CelebA.txt", "Anno/identity_CelebA.txt")
    if identity is not None:
        data["group"] = _read_same_images(identity, files, 2)[1].astype("str")
    path = _ABOUT.file(folder, "list_eval_partition.txt", "Eval/list_eval_partition.txt")
    listed = _read_same_images(path, files, 2)
    valid = "0 (train), 1 (val) or 2 (test)"
    split = translate(listed[1], "the partition", _SPLITS.get, valid, line_of(path, 1))
    data["split"] = pd.Series(split, dtype="str")
    if subset is not None:
        keep = split == subset
        if not keep.any():
            raise DatasetFormatError(f"{path} has no image in the subset {subset!r}.")
        data, codes = data[keep].reset_index(drop=True), codes[keep]
    target = boolean_table(codes, names)
    return make_bunch(_ABOUT, data, target, existing_only=existing_only, return_X_y=return_X_y)


def _header(path: str) -> list[str]:
    """Return the names in the second line of a file."""
    lines = text_lines(path)
    next(lines, None)
    names = next(lines, "").split()
    if not names or len(set(names)) < len(names):
        raise DatasetFormatError(
            f"{path}, line 2: expected the distinct names of the attributes, got {names}."
        )
    return names


def _check_count(path: str, rows: int) -> None:
    line = next(text_lines(path)).strip()
    if line != str(rows):
        raise DatasetFormatError(
            f"{path}, line 1: expected the number of rows, which is {rows}, got {line!r}; rows "
            "may be missing."
        )


def _read_same_images(
    path: str, images: "pd.Series[Any]", width: int, first: int = 1
) -> pd.DataFrame:
    """Read a file that must list the given images in the same order."""
    rows = read_rows(path, width, first=first, text=[0])
    n_common = min(len(rows), len(images))
    differs = rows[0].to_numpy()[:n_common] != images.to_numpy()[:n_common]
    if differs.any() or len(rows) != len(images):
        row = int(np.argmax(differs)) if differs.any() else n_common
        expected = repr(images[row]) if row < len(images) else "the end of the file"
        found = repr(rows[0][row]) if row < len(rows) else "it"
        raise DatasetFormatError(
            f"{path}, line {first + row}: expected {expected}, as in list_attr_celeba.txt, got "
            f"{found}."
        )
    return rows
