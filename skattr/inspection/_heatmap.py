"""Square heat maps of labelled tables."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skattr.inspection._style import PALE, formatter, inches_of, name_ticks, one_axes

Array = NDArray[Any]
ANNOTATED, _SLOW = 12, 500  # rows with numbers in their cells; with an optimal leaf ordering
ORDERS = ("given", "cluster")


def check_square(frame: pd.DataFrame, what: str) -> None:
    """Refuse what is no square table of numbers with the same labels on both sides.

    Raises
    ------
    TypeError
        If it is no DataFrame.
    ValueError
        If it is not square, empty, or its labels differ.
    """
    if not isinstance(frame, pd.DataFrame):
        raise TypeError(f"{what} must be a DataFrame, got {type(frame).__name__}.")
    if frame.shape[0] != frame.shape[1] or not frame.size:
        raise ValueError(f"{what} must be square and not empty, got the shape {frame.shape}.")
    if list(frame.index) != list(frame.columns):
        raise ValueError(f"The rows and columns of {what} must have the same labels in one order.")


def check_order(order: str) -> None:
    """Refuse an order that is not known.

    Raises
    ------
    ValueError
        If it is none of the valid ones.
    """
    if order not in ORDERS:
        raise ValueError(f"`order` must be one of {list(ORDERS)}, got {order!r}.")


def cluster_order(similarity: Array) -> Array:
    """Return an order in which similar rows are neighbours: average linkage.

    What is NaN counts as the mean similarity.
    """
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    n = len(similarity)
    if n < 3:
        return np.arange(n)
    both = (similarity + similarity.T) / 2
    defined = both[~np.isnan(both)]
    both = np.where(np.isnan(both), defined.mean() if len(defined) else 0.0, both)
    distance = both.max() - both
    np.fill_diagonal(distance, 0)
    tree = linkage(squareform(distance, checks=False), "average", optimal_ordering=n <= _SLOW)
    return np.asarray(leaves_list(tree))


def without_diagonal(values: Array) -> Array:
    """Return a copy whose diagonal is NaN."""
    result = np.array(values, dtype=np.float64)
    np.fill_diagonal(result, np.nan)
    return result


def rounded_up(value: float) -> float:
    """Return a limit for a scale: the value, rounded up to a twentieth, at most 1."""
    return min(1.0, max(0.05, float(np.ceil(value * 20 - 1e-9) / 20)))


def places_of(values: Array, order: str) -> Array:
    """Return the rows in an order, "given" or "cluster"."""
    check_order(order)
    return cluster_order(values) if order == "cluster" else np.arange(len(values))


def diverging(values: Array) -> dict[str, Any]:
    """Return a scale that is white at 0: all of [-1, 1] if rows are few, else as needed."""
    limit = 1.0
    if len(values) > ANNOTATED and not np.isnan(values).all():
        limit = rounded_up(float(np.nanmax(abs(values))))
    return {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit}


def square_map(
    plt: Any,
    ax: Any,
    values: Array,
    names: list[Any],
    look: dict[str, Any],
    label: str,
    *,
    log: bool = False,
    extend: str = "neither",
) -> Any:
    """Draw a square heat map; return its axes.

    Parameters
    ----------
    plt : module
    ax : Axes or None
    values : ndarray of shape (L, L), float64
        NaN is gray.
    names : list of length L
    look : dict
        Arguments of ``imshow``.
    label : str
        Of the color bar.
    log : bool
        Whether colors stand for logarithms.
    extend : str
        Ends of the color bar that values lie beyond.
    """
    n = len(names)
    side = min(8.0, max(2.8, 1.6 + 0.34 * n if n <= ANNOTATED else 3.0 + 0.085 * n))
    # constrained layout cuts labels off where the aspect is fixed
    ax = one_axes(plt, ax, (side + 0.8, side), "compressed")
    if log:
        from matplotlib.colors import LogNorm

        low, high = look.pop("vmin", None), look.pop("vmax", None)
        look = {"norm": LogNorm(low, high), **look}
    ax.set_facecolor(PALE)
    image = ax.imshow(values, **{"interpolation": "nearest", "aspect": "equal", **look})
    inches = side - 1.4 if n > ANNOTATED else side
    if ax.get_subplotspec() is None or len(ax.figure.axes) > 1:
        inches = min(inches_of(ax))
    name_ticks(ax.yaxis, names, inches)
    name_ticks(ax.xaxis, names, inches, rotation=90)
    ax.spines[:].set_visible(False)
    if n <= ANNOTATED and inches / n > 0.24:
        _write_numbers(ax, image, values)
    bar = ax.figure.colorbar(image, ax=ax, fraction=0.04, pad=0.02, extend=extend)
    bar.set_label(label)
    bar.outline.set_visible(False)
    return ax


def _write_numbers(ax: Any, image: Any, values: Array) -> None:
    largest = np.nanmax(abs(values)) if not np.isnan(values).all() else 1
    written = formatter(int(np.ceil(largest)))
    for (row, column), value in np.ndenumerate(values):
        if np.isnan(value):
            continue
        red, green, blue, _ = image.cmap(image.norm(value))
        is_dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
        ax.text(
            column, row, written(value), ha="center", va="center", fontsize=7,
            color="white" if is_dark else "black",
        )  # fmt: skip
