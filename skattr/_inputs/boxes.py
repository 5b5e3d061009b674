"""Crop boxes: the columns of X that hold them, and what is wrong with them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skattr._inputs.unreadable import Unreadable, raise_or_record
from skattr.exceptions import InvalidBoxError

BOX_COLUMNS = ("xmin", "ymin", "xmax", "ymax")


def read_boxes(
    X: pd.DataFrame, paths: Sequence[str], unreadable: Unreadable
) -> NDArray[np.float64] | None:
    """Return the boxes of all rows, None if X has no columns for them.

    Parameters
    ----------
    X : DataFrame
    paths : sequence of str
        Of the rows, for messages.
    unreadable : dict of {int: str}, or None
        What is wrong with a row's box is kept there; None raises it.

    Returns
    -------
    ndarray of shape (n, 4), float64, or None
        NaN where a row has no box.

    Raises
    ------
    ValueError
        If only some of the four columns are there.
    InvalidBoxError
        If a box is invalid, whatever the size of its image.
    """
    present = [name for name in BOX_COLUMNS if name in X.columns]
    if not present:
        return None
    if len(present) < 4:
        absent = [name for name in BOX_COLUMNS if name not in present]
        raise ValueError(
            f"X has the box columns {present} but not {absent}; boxes need all four of "
            f"{list(BOX_COLUMNS)}."
        )
    columns = X[list(BOX_COLUMNS)]
    try:
        boxes = columns.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        if unreadable is None:
            raise InvalidBoxError(f"the box columns of X must be numbers: {error}") from None
        boxes = columns.map(_number).to_numpy(dtype=np.float64)
        text = np.isnan(boxes) & columns.notna().to_numpy()
        for row in np.flatnonzero(text.any(axis=1)).tolist():
            edges = columns.iloc[row].tolist()
            what = f"the box xmin, ymin, xmax, ymax = {edges} of {paths[row]!r} is not of numbers"
            raise_or_record(unreadable, row, InvalidBoxError(what))
    for reason, bad in box_faults(boxes).items():
        for row in np.flatnonzero(bad).tolist():
            what = (
                f"the box xmin, ymin, xmax, ymax = {boxes[row].tolist()} of {paths[row]!r} "
                f"{reason}; boxes are 0-based and half-open, with 0 <= xmin < xmax <= width and "
                "0 <= ymin < ymax <= height, or all NaN for the whole image."
            )
            raise_or_record(unreadable, row, InvalidBoxError(what))
    return boxes


def box_faults(boxes: NDArray[np.float64]) -> dict[str, NDArray[np.bool_]]:
    """Return what may be wrong with boxes, and which of them it is true of.

    Parameters
    ----------
    boxes : ndarray of shape (n, 4), float64
        A row of NaN is no box, and right.
    """
    missing = np.isnan(boxes)
    whole = missing.all(axis=1)
    with np.errstate(invalid="ignore"):
        is_whole_number = np.isfinite(boxes) & (boxes == np.floor(boxes))
        return {
            "has a missing edge": missing.any(axis=1) & ~whole,
            "has edges that are not whole pixels": ~whole & ~is_whole_number.all(axis=1),
            "holds no pixel": (boxes[:, 2] <= boxes[:, 0]) | (boxes[:, 3] <= boxes[:, 1]),
            "starts outside its image": (boxes[:, :2] < 0).any(axis=1),
        }


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return np.nan
