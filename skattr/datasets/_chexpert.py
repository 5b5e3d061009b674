"""Loader of CheXpert."""

from typing import Any

import numpy as np
import pandas as pd

from skattr.datasets._annotation_files import (
    NEGATIVE,
    POSITIVE,
    UNKNOWN,
    Codes,
    Folder,
    check_cells,
    check_choice,
    check_unique,
    read_codes,
    read_csv,
    read_numbers,
)
from skattr.datasets._bunch import About, join_paths, make_bunch

_ABOUT = About(
    title="CheXpert: chest radiographs, with 14 observations",
    source="https://stanfordmlgroup.github.io/competitions/chexpert/.",
    citation='J. Irvin et al., "CheXpert: A Large Chest Radiograph Dataset with Uncertainty '
    'Labels and Expert Comparison", AAAI 2019.',
    license="Stanford University Dataset Research Use Agreement: for personal, non-commercial "
    "research.",
    layout="train.csv, valid.csv and the folders train and valid of the images in one folder "
    "(CheXpert-v1.0 or CheXpert-v1.0-small).",
)
_FILES = {"train": "train.csv", "val": "valid.csv"}
# The columns between Path and the observations describe the patient and the view.
_COLUMNS = (
    "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Enlarged Cardiomediastinum,Cardiomegaly,"
    "Lung Opacity,Lung Lesion,Edema,Consolidation,Pneumonia,Atelectasis,Pneumothorax,"
    "Pleural Effusion,Pleural Other,Fracture,Support Devices"
)
_POLICIES = {"unknown": UNKNOWN, "positive": POSITIVE, "negative": NEGATIVE}


def load_chexpert(
    folder: Folder,
    subset: str | None = None,
    *,
    uncertain: str = "unknown",
    existing_only: bool = False,
    return_X_y: bool = False,
) -> Any:
    """Load CheXpert, chest radiographs with 14 binary observations.

    Parameters
    ----------
    folder : str or path-like
        Folder of ``train.csv``, ``valid.csv`` and the folders ``train`` and ``valid``.
    subset : {"train", "val"}, default=None
        The part to load. None loads both.
    uncertain : {"unknown", "positive", "negative"}, default="unknown"
        How uncertain labels (-1) are coded. "unknown" makes them missing. The three values are
        the policies U-Ignore, U-Ones and U-Zeros of the paper.
    existing_only : bool, default=False
        Whether to drop radiographs whose image file does not exist.
    return_X_y : bool, default=False
        Whether to return the pair ``(data, target)`` instead of a Bunch.

    Returns
    -------
    data : sklearn.utils.Bunch
        With these entries:

        data : DataFrame
            Columns ``path``, ``group`` (the patient), ``split``, and the columns ``Sex``, ``Age``
            (a whole number), ``Frontal/Lateral`` and ``AP/PA`` (NaN where blank) of the file,
            which describe the patient and the view and are not attributes.
        target : DataFrame
            A boolean column for each observation: 1.0 is true, 0.0 false, and blank is missing.
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
        If a line is malformed or an image occurs twice. The message names the file and the line.

    Notes
    -----
    ``Path`` in the files begins with the name of the archive. It is removed, so that the folder
    may have any name.

    Examples
    --------
    >>> from skattr.datasets import load_chexpert
    >>> chests = load_chexpert("CheXpert-v1.0-small", "val")  # doctest: +SKIP
    >>> chests.data["Frontal/Lateral"].value_counts()  # doctest: +SKIP
    """
    check_choice("subset", subset, (None, *_FILES))
    check_choice("uncertain", uncertain, tuple(_POLICIES))
    columns = _COLUMNS.split(",")
    subsets = [part for part in _FILES if subset in (None, part)]
    parts = [_read(folder, part, columns, _POLICIES[uncertain]) for part in subsets]
    return make_bunch(
        _ABOUT,
        pd.concat([rows for rows, _ in parts], ignore_index=True),
        np.concatenate([codes for _, codes in parts]),
        columns[5:],
        existing_only=existing_only,
        return_X_y=return_X_y,
    )


def _read(
    folder: Folder, subset: str, columns: list[str], uncertain: int
) -> tuple[pd.DataFrame, Codes]:
    path = _ABOUT.file(folder, _FILES[subset])
    rows, place = read_csv(path, columns)
    check_unique(rows[0], "the image", place)
    part = _FILES[subset].removesuffix(".csv")
    # The patient is part of the path; radiographs of one patient must stay in one group.
    found = rows[0].str.extract(rf"^(?:[^/]+/)?({part}/(patient[0-9]+)/.+)$")
    valid = f"like 'CheXpert-v1.0/{part}/patient00001/study1/view1_frontal.jpg'"
    check_cells(found[0].isna().to_numpy(), rows[0], "Path", valid, place)
    data = pd.DataFrame({"path": join_paths(folder, "", found[0]), "group": found[1]})
    data["split"] = pd.Series(subset, index=data.index, dtype="str")
    data[columns[1:5]] = rows[[1, 2, 3, 4]].astype("str").replace("", np.nan)
    data["Age"] = read_numbers(rows[[2]], ["Age"], place)[:, 0]
    # A blank means that the report does not mention the observation, so it is missing and not
    # negative.
    coding = {"1.0": POSITIVE, "0.0": NEGATIVE, "-1.0": uncertain, "": UNKNOWN}
    return data, read_codes(rows.iloc[:, 5:], columns[5:], coding, place)
