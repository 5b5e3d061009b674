"""Loader of MAAD-Face."""

import os
from typing import Any

import pandas as pd

from skattr.datasets._annotation_files import (
    NEGATIVE,
    POSITIVE,
    UNKNOWN,
    Folder,
    check_cells,
    check_unique,
    read_codes,
    read_csv,
    read_header,
)
from skattr.datasets._bunch import About, join_paths, make_bunch

_ABOUT = About(
    title="MAAD-Face: the faces of VGGFace2, with 47 attributes",
    source="https://github.com/pterhoer/MAAD-Face; the images are those of VGGFace2, "
    "https://www.robots.ox.ac.uk/~vgg/data/vgg_face2/.",
    citation="P. Terhörst, D. Fährmann, J. N. Kolf, N. Damer, F. Kirchbuchner and A. Kuijper, "
    '"MAAD-Face: A Massively Annotated Attribute Dataset for Face Images", IEEE Transactions on '
    "Information Forensics and Security 16, 2021.",
    license="CC BY-SA 4.0 by the README of 2020; see the source for the current one.",
    layout="MAAD_Face.csv in one folder, the folders n000001, n000002, ... of VGGFace2, of its "
    "training and its test part alike, in the same folder, or in the one that the parameter "
    "images names.",
)


def load_maad_face(
    folder: Folder,
    *,
    images: Folder = "",
    existing_only: bool = False,
    return_X_y: bool = False,
) -> Any:
    """Load MAAD-Face, 3.3 million faces with 47 binary attributes and a fifth of labels missing.

    Parameters
    ----------
    folder : str or path-like
        The folder of ``MAAD_Face.csv``, or a file in its format.
    images : str or path-like, default=""
        Folder of the folders ``n000001`` and so on, absolute or relative to the folder of the
        file.
    existing_only : bool, default=False
        Whether to drop faces whose image file does not exist.
    return_X_y : bool, default=False
        Whether to return the pair ``(data, target)`` instead of a Bunch.

    Returns
    -------
    data : sklearn.utils.Bunch
        With these entries:

        data : DataFrame
            Columns ``path`` and ``group`` (the person).
        target : DataFrame
            A boolean column for each attribute: 1 is true, -1 false, and 0 (undefined) missing.
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
        If a line is malformed or an image occurs twice. The message names the line.

    Examples
    --------
    >>> from skattr.datasets import load_maad_face
    >>> faces = load_maad_face("MAAD-Face")  # doctest: +SKIP
    >>> faces.target.isna().to_numpy().mean()  # doctest: +SKIP
    """
    is_file = isinstance(folder, str | os.PathLike) and os.path.isfile(folder)
    path = os.fspath(folder) if is_file else _ABOUT.file(folder, "MAAD_Face.csv")
    names = read_header(path)[2:]
    rows, place = read_csv(path, ["Filename", "Identity", *names], n_text=2)
    # A repeated image would leak from the training into the test rows of a random split.
    check_unique(rows[0], "the image", place)
    for column, name in ((0, "Filename"), (1, "Identity")):
        check_cells((rows[column] == "").to_numpy(), rows[column], name, "not empty", place)
    # 0 is undefined, which about 20 % of the labels are, and not negative.
    coding = {"1": POSITIVE, "-1": NEGATIVE, "0": UNKNOWN}
    codes = read_codes(rows.iloc[:, 2:], names, coding, place)
    paths = join_paths(os.path.dirname(path), images, rows[0])
    data = pd.DataFrame({"path": paths, "group": rows[1]})
    return make_bunch(
        _ABOUT, data, codes, names, existing_only=existing_only, return_X_y=return_X_y
    )
