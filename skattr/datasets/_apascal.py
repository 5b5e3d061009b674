"""Loader of aPascal and aYahoo."""

from typing import Any

import numpy as np
import pandas as pd

from skattr.datasets._annotation_files import (
    BOX_COLUMNS,
    NEGATIVE,
    POSITIVE,
    Codes,
    Folder,
    check_cells,
    check_choice,
    check_order,
    read_codes,
    read_names,
    read_numbers,
    read_rows,
    translate,
)
from skattr.datasets._bunch import About, find_empty_boxes, join_paths, make_bunch

_ABOUT = About(
    title="aPascal and aYahoo: objects in photographs, with 64 attributes",
    source="https://vision.cs.uiuc.edu/attributes/ (attribute_data.tar.gz and "
    "ayahoo_test_images.tar.gz); the images of aPascal are those of PASCAL VOC 2008, "
    "http://host.robots.ox.ac.uk/pascal/VOC/voc2008/.",
    citation='A. Farhadi, I. Endres, D. Hoiem and D. Forsyth, "Describing Objects by their '
    'Attributes", CVPR 2009.',
    license="none stated by the source; the images of VOC 2008 come from flickr, whose terms of "
    "use apply.",
    layout="apascal_train.txt, apascal_test.txt, ayahoo_test.txt, attribute_names.txt and "
    "class_names.txt in one folder, the images of VOC 2008 in its folder JPEGImages, those of "
    "aYahoo in its folder ayahoo_test_images.",
)
# The annotation file and the image folder of each subset. The images of train and test are in one
# folder, as in VOC 2008.
_SUBSETS = {
    "train": ("apascal_train.txt", "JPEGImages"),
    "test": ("apascal_test.txt", "JPEGImages"),
    "ayahoo": ("ayahoo_test.txt", "ayahoo_test_images"),
}
_NAMES = (
    "2D Boxy,3D Boxy,Round,Vert Cyl,Horiz Cyl,Occluded,Tail,Beak,Head,Ear,Snout,Nose,Mouth,Hair,"
    "Face,Eye,Torso,Hand,Arm,Leg,Foot/Shoe,Wing,Propeller,Jet engine,Window,Row Wind,Wheel,Door,"
    "Headlight,Taillight,Side mirror,Exhaust,Pedal,Handlebars,Engine,Sail,Mast,Text,Label,"
    "Furn. Leg,Furn. Back,Furn. Seat,Furn. Arm,Horn,Rein,Saddle,Leaf,Flower,Stem/Trunk,Pot,Screen,"
    "Skin,Metal,Plastic,Wood,Cloth,Furry,Glass,Feather,Wool,Clear,Shiny,Vegetation,Leather"
)


def load_apascal(
    folder: Folder,
    subset: str | None = None,
    *,
    drop_empty: bool = False,
    existing_only: bool = False,
    return_X_y: bool = False,
) -> Any:
    """Load aPascal and aYahoo, objects in photographs with 64 binary attributes.

    Parameters
    ----------
    folder : str or path-like
        Folder of ``apascal_train.txt``, ``apascal_test.txt``, ``ayahoo_test.txt``,
        ``attribute_names.txt`` and ``class_names.txt``. The images are expected in its folders
        ``JPEGImages`` (VOC 2008) and ``ayahoo_test_images``.
    subset : {"train", "test", "ayahoo"}, default=None
        The part to load: 6,340, 6,355 and 2,644 objects. None loads all three.
    drop_empty : bool, default=False
        Whether to drop objects without any attribute, as some published protocols do. There
        are 25, 598 and 366 of them.
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
            ``category`` (the object's class), ``group`` (its photograph) and ``split`` (the
            subset).
        target : DataFrame
            A boolean column for each attribute; every label is known.
        attribute_kinds : dict
            Every attribute is ``"binary"``.
        category_names : list of str
            The classes, in the order of ``class_names.txt``, whatever the subset: 20 of aPascal,
            12 of aYahoo.
        DESCR : str
            Source, citation, license, layout and the counts of the loaded rows.
    (data, target) : tuple
        Returned instead of the Bunch if `return_X_y` is true.

    Raises
    ------
    FileNotFoundError
        If a file is missing.
    DatasetFormatError
        If a line is malformed, or attributes are not named in their order; the message names
        the file and the line.

    Warns
    -----
    DatasetWarning
        If opposite edges of a box are equal in the file. The box is kept and is one pixel wide or
        high. This is so for two boxes of aYahoo.

    Notes
    -----
    The boxes in the files are those of VOC: 1-based and inclusive. They become
    ``(xmin - 1, ymin - 1, xmax, ymax)``.

    Examples
    --------
    >>> from skattr.datasets import load_apascal
    >>> objects = load_apascal("attribute_data", "train")  # doctest: +SKIP
    >>> objects.data.shape, objects.target.shape  # doctest: +SKIP
    ((6340, 8), (6340, 64))
    """
    check_choice("subset", subset, (None, *_SUBSETS))
    names_file = _ABOUT.file(folder, "attribute_names.txt")
    names = read_names(names_file)
    check_order(names, _NAMES, names_file)
    classes = read_names(_ABOUT.file(folder, "class_names.txt"))
    parts = [_read(folder, part, names, classes) for part in _SUBSETS if subset in (None, part)]
    codes = np.concatenate([codes for _, codes, _ in parts])
    return make_bunch(
        _ABOUT,
        pd.concat([rows for rows, _, _ in parts], ignore_index=True),
        codes,
        names,
        keep=(codes == POSITIVE).any(axis=1) if drop_empty else None,
        empty_boxes=[place for _, _, empty in parts for place in empty],
        category_names=classes,
        existing_only=existing_only,
        return_X_y=return_X_y,
    )


def _read(
    folder: Folder, subset: str, names: list[str], classes: list[str]
) -> tuple[pd.DataFrame, Codes, list[str]]:
    """Return the rows of a subset, their labels, and the places of boxes without area."""
    file, images = _SUBSETS[subset]
    rows, place = read_rows(_ABOUT.file(folder, file), 6 + len(names))
    known = {name: name for name in classes}
    category = translate(rows[1], "the class", known.get, "one of class_names.txt", place)
    boxes = read_numbers(rows[[2, 3, 4, 5]], BOX_COLUMNS, place)
    is_wrong = (boxes[:, :2] < 1).any(axis=1) | (boxes[:, 2:] < boxes[:, :2] - 1).any(axis=1)
    valid = "pixels counted from 1, with xmax and ymax not below xmin and ymin"
    check_cells(is_wrong, boxes.tolist(), "the box xmin, ymin, xmax, ymax", valid, place)
    codes = read_codes(rows.iloc[:, 6:], names, {"0": NEGATIVE, "1": POSITIVE}, place)
    data = pd.DataFrame({"path": join_paths(folder, images, rows[0])})
    data[BOX_COLUMNS] = boxes - [1, 1, 0, 0]
    data["category"] = pd.Series(category, dtype="str")
    data["group"] = rows[0]
    data["split"] = pd.Series(subset, index=data.index, dtype="str")
    return data, codes, find_empty_boxes(boxes, place)
