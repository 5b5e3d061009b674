"""Crop boxes: the box columns of X and their validation."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skattr._inputs.sources import Source, describe_source
from skattr._inputs.unreadable import Unreadable, raise_or_record
from skattr.exceptions import InvalidBoxError

BOX_COLUMNS = ("xmin", "ymin", "xmax", "ymax")


def read_boxes(
    X: pd.DataFrame, sources: Sequence[Source], unreadable: Unreadable
) -> NDArray[np.float64] | None:
    """Return the boxes of all rows, None if X has no box columns.

    Parameters
    ----------
    X : DataFrame
    sources : sequence of Source
        Images of the rows, for error messages.
    unreadable : dict of {int: str}, or None
        Rows with an invalid box are recorded here. None raises an error instead.

    Returns
    -------
    ndarray of shape (n, 4), float64, or None
        NaN where a row has no box.

    Raises
    ------
    ValueError
        If X has only some of the four columns.
    InvalidBoxError
        If a box is invalid for every image size.
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
        # Text in one cell makes the whole conversion fail; convert cell by cell to find the rows.
        boxes = columns.map(_to_float).to_numpy(dtype=np.float64)
        is_text = np.isnan(boxes) & columns.notna().to_numpy()
        for row in np.flatnonzero(is_text.any(axis=1)).tolist():
            edges = columns.iloc[row].tolist()
            name = describe_source(sources[row])
            message = f"the box xmin, ymin, xmax, ymax = {edges} of {name} is not numeric"
            raise_or_record(unreadable, row, InvalidBoxError(message))
    for reason, is_invalid in box_faults(boxes).items():
        for row in np.flatnonzero(is_invalid).tolist():
            name = describe_source(sources[row])
            message = (
                f"the box xmin, ymin, xmax, ymax = {boxes[row].tolist()} of {name} {reason}; "
                "boxes are 0-based and half-open, with 0 <= xmin < xmax <= width and "
                "0 <= ymin < ymax <= height, or all NaN for the whole image."
            )
            raise_or_record(unreadable, row, InvalidBoxError(message))
    return boxes


def box_faults(boxes: NDArray[np.float64]) -> dict[str, NDArray[np.bool_]]:
    """Return the possible faults of boxes, and a mask of the boxes that have each.

    Parameters
    ----------
    boxes : ndarray of shape (n, 4), float64
        Rows of all NaN (no box) are valid.
    """
    missing = np.isnan(boxes)
    has_box = ~missing.all(axis=1)
    with np.errstate(invalid="ignore"):  # floor of infinity
        is_integer = np.isfinite(boxes) & (boxes == np.floor(boxes))
        return {
            "has a missing edge": missing.any(axis=1) & has_box,
            "has edges that are not whole pixels": has_box & ~is_integer.all(axis=1),
            "holds no pixel": (boxes[:, 2] <= boxes[:, 0]) | (boxes[:, 3] <= boxes[:, 1]),
            "starts outside its image": (boxes[:, :2] < 0).any(axis=1),
        }


def _to_float(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return np.nan
