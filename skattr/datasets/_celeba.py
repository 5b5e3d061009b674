"""Loader of CelebA."""

from itertools import zip_longest
from typing import Any

import pandas as pd

from skattr.datasets._annotation_files import (
    BOX_COLUMNS,
    NEGATIVE,
    POSITIVE,
    Folder,
    Rows,
    check_choice,
    check_order,
    check_unique,
    read_codes,
    read_csv,
    read_header,
    read_numbers,
    read_rows,
    text_lines,
    translate,
)
from skattr.datasets._bunch import About, find_empty_boxes, join_paths, make_bunch, rows_in
from skattr.exceptions import DatasetFormatError

_ABOUT = About(
    title="CelebA: faces of celebrities, with 40 attributes",
    source="https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html.",
    citation='Z. Liu, P. Luo, X. Wang and X. Tang, "Deep Learning Face Attributes in the Wild", '
    "ICCV 2015.",
    license="for non-commercial research only, as the source states.",
    layout="list_attr_celeba.txt, list_eval_partition.txt and, where wanted, identity_CelebA.txt "
    "and list_bbox_celeba.txt in one folder or in its folders Anno and Eval, or the same files as "
    ".csv, the images in its folder img_align_celeba, or in the one that the parameter images "
    "names.",
    folders=("Anno", "Eval"),
)
_SPLITS = {"0": "train", "1": "val", "2": "test"}
_BOX = ["x_1", "y_1", "width", "height"]
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
        folders ``Anno`` and ``Eval``. If a file does not exist, its comma-separated form is read,
        such as ``list_attr_celeba.csv``, whose first line names the columns.
    subset : {"train", "val", "test"}, default=None
        The part of the official partition to load. None loads all 202,599 faces.
    images : str or path-like, default="img_align_celeba"
        Folder of the images, absolute or relative to `folder`. The archive that has CSV files
        nests it: ``"img_align_celeba/img_align_celeba"``.
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
    path = _ABOUT.file(folder, "list_attr_celeba.txt", "list_attr_celeba.csv")
    if path.endswith(".csv"):
        names, line = read_header(path)[1:], 1
    else:
        names, line = read_header(path, None, line=2), 2
    check_order(names, _NAMES, f"{path}, line {line}")
    rows, place = _read(path, names, n_above=2)
    check_unique(rows[0], "the image", place)
    coding = {"1": POSITIVE, "-1": NEGATIVE}  # -1 is not missing here
    codes = read_codes(rows.iloc[:, 1:], names, coding, place)
    data = pd.DataFrame({"path": join_paths(folder, images, rows[0])})
    listed = rows[0]
    empty: list[str] = []
    if boxes:
        path = _ABOUT.file(folder, "list_bbox_celeba.txt", "list_bbox_celeba.csv")
        rows, place = _read(path, _BOX, 2, listed)
        corners = read_numbers(rows.iloc[:, 1:], _BOX, place)
        corners[:, 2:] += corners[:, :2]
        data[BOX_COLUMNS] = corners
        empty = find_empty_boxes(corners, place)
    # The file of persons is optional.
    identity = _ABOUT.find(folder, "identity_CelebA.txt")
    if identity is not None:
        data["group"] = _read(identity, ["identity"], 0, listed)[0][1].astype("str")
    path = _ABOUT.file(folder, "list_eval_partition.txt", "list_eval_partition.csv")
    rows, place = _read(path, ["partition"], 0, listed)
    valid = "0 (train), 1 (val) or 2 (test)"
    split = translate(rows[1], "the partition", _SPLITS.get, valid, place)
    data["split"] = pd.Series(split, dtype="str")
    return make_bunch(
        _ABOUT,
        data,
        codes,
        names,
        keep=rows_in(subset, split, path),
        empty_boxes=empty,
        existing_only=existing_only,
        return_X_y=return_X_y,
    )


def _read(
    path: str, columns: list[str], n_above: int, images: "pd.Series[Any] | None" = None
) -> Rows:
    """Read a file whose rows begin with the name of an image.

    Parameters
    ----------
    path : str
    columns : list of str
        The other columns. Only CSV files must name them in their first line.
    n_above : int
        The number of lines above the rows of a file as published: 0, or 2 where the first one is
        the number of rows.
    images : Series, optional
        The images that the file must list in the same order.
    """
    if path.endswith(".csv"):
        rows, place = read_csv(path, ["image_id", *columns])
    else:
        rows, place = read_rows(path, 1 + len(columns), first=n_above + 1)
        count = next(text_lines(path)).strip()
        if n_above and count != str(len(rows)):
            raise DatasetFormatError(
                f"{path}, line 1: expected the number of rows, which is {len(rows)}, got "
                f"{count!r}; rows may be missing."
            )
    if images is not None:
        ends = "the end of the file"
        pairs = zip_longest(images.tolist(), rows[0].tolist(), fillvalue=ends)
        for row, (expected, found) in enumerate(pairs):
            if found != expected:
                raise DatasetFormatError(
                    f"{place(row)}: expected {expected}, as in the file list_attr_celeba, but "
                    f"there is {found}."
                )
    return rows, place
