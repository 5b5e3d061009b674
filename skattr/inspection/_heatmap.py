"""Square heat maps of labeled tables."""

from abc import ABC, abstractmethod
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skattr.inspection._style import (
    PALE,
    add_colorbar,
    axes_size,
    cell_formatter,
    get_axes,
    label_ticks,
    plot_context,
)

Array = NDArray[Any]
ANNOTATED = 12  # rows up to which numbers fit into the cells
_MAX_OPTIMAL = 500  # rows up to which the optimal leaf ordering, cubic in the rows, is fast
ORDERS = ("given", "cluster")


class HeatmapStyle(NamedTuple):
    """Values and appearance of a heat map.

    NaN is drawn gray. `options` are arguments of ``imshow``, and `label` is for the color bar.
    """

    values: Array
    options: dict[str, Any]
    label: str
    xlabel: str = ""
    ylabel: str = ""


class SquareHeatmapDisplay(ABC):
    """Base class of displays of one square table.

    Subclasses have the attribute `order`, the table in `_table`, and `_style`.
    """

    order: str

    @property
    @abstractmethod
    def _table(self) -> pd.DataFrame:
        """Table to draw, with the same labels on both sides."""

    @abstractmethod
    def _style(self, values: Array) -> HeatmapStyle:
        """Choose the scale for the sorted values."""

    def plot(self, ax: Any = None, *, order: str | None = None, **kwargs: Any) -> Self:
        """Draw the heat map.

        Parameters
        ----------
        ax : Axes, default=None
            None makes a figure.
        order : {"given", "cluster"}, default=None
            None uses the order of the constructor.
        **kwargs : dict
            Arguments of ``imshow``.

        Returns
        -------
        object
            The display itself, with `ax_` and `figure_`.
        """
        check_square(self._table, "The table")
        values = self._table.to_numpy(dtype=np.float64, na_value=np.nan)
        rows = row_order(values, order or self.order)
        style = self._style(values[np.ix_(rows, rows)])
        names = [self._table.index[i] for i in rows]
        with plot_context(type(self).__name__) as plt:
            self.ax_ = draw_square_heatmap(plt, ax, names, style, kwargs)
        self.figure_ = self.ax_.figure
        return self


def check_square(frame: pd.DataFrame, name: str) -> None:
    """Reject anything but a square DataFrame with the same labels on both sides.

    Raises
    ------
    TypeError
        If it is not a DataFrame.
    ValueError
        If it is not square, is empty, or its row and column labels differ.
    """
    if not isinstance(frame, pd.DataFrame):
        raise TypeError(f"{name} must be a DataFrame; got {type(frame).__name__}.")
    if frame.shape[0] != frame.shape[1] or not frame.size:
        raise ValueError(f"{name} must be square and not empty; got shape {frame.shape}.")
    if list(frame.index) != list(frame.columns):
        raise ValueError(f"{name} must have the same labels in one order in rows and columns.")


def check_order(order: str) -> None:
    """Reject an unknown order.

    Raises
    ------
    ValueError
        If it is not one of `ORDERS`.
    """
    if order not in ORDERS:
        raise ValueError(f"`order` must be one of {list(ORDERS)}; got {order!r}.")


def cluster_order(similarity: Array) -> Array:
    """Return an order in which similar rows are neighbors, by average linkage.

    Undefined similarities (NaN) are replaced by the mean similarity.
    """
    # scipy.cluster takes long to import and only this order needs it
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    n = len(similarity)
    if n < 3:
        return np.arange(n)
    symmetric = (similarity + similarity.T) / 2
    defined = symmetric[~np.isnan(symmetric)]
    symmetric = np.where(np.isnan(symmetric), defined.mean() if len(defined) else 0.0, symmetric)
    distance = symmetric.max() - symmetric
    np.fill_diagonal(distance, 0)
    condensed = squareform(distance, checks=False)
    tree = linkage(condensed, "average", optimal_ordering=n <= _MAX_OPTIMAL)
    return np.asarray(leaves_list(tree))


def mask_diagonal(values: Array) -> Array:
    """Return a copy whose diagonal is NaN."""
    result = np.array(values, dtype=np.float64)
    np.fill_diagonal(result, np.nan)
    return result


def rounded_up(value: float) -> float:
    """Return a limit for a scale: the value rounded up to a multiple of 0.05, at most 1."""
    # 1e-9: a rounding error such as that of 0.1 + 0.2 must not add a step
    return min(1.0, max(0.05, float(np.ceil(value * 20 - 1e-9) / 20)))


def row_order(values: Array, order: str) -> Array:
    """Return the positions of the rows for an order, "given" or "cluster"."""
    check_order(order)
    return cluster_order(values) if order == "cluster" else np.arange(len(values))


def diverging_scale(values: Array) -> dict[str, Any]:
    """Return ``imshow`` arguments of a scale that is white at 0.

    The scale covers [-1, 1] if the cells have numbers, and the range of the values otherwise.
    """
    limit = 1.0
    if len(values) > ANNOTATED and not np.isnan(values).all():
        limit = rounded_up(float(np.nanmax(abs(values))))
    return {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit}


def draw_square_heatmap(
    plt: Any, ax: Any, names: list[Any], style: HeatmapStyle, kwargs: dict[str, Any]
) -> Any:
    """Draw a square heat map and return its axes.

    Parameters
    ----------
    plt : module
    ax : Axes or None
    names : list of length L
    style : HeatmapStyle
        With values of shape (L, L).
    kwargs : dict
        Arguments of ``imshow`` that override those of the style.
    """
    n = len(names)
    side = min(8.0, max(2.8, 1.6 + 0.34 * n if n <= ANNOTATED else 3.0 + 0.085 * n))
    # constrained layout clips labels of axes with a fixed aspect ratio
    ax = get_axes(plt, ax, (side + 0.8, side), "compressed")
    options = {**style.options, **kwargs}
    ax.set_facecolor(PALE)
    ax.set(xlabel=style.xlabel, ylabel=style.ylabel)
    image = ax.imshow(style.values, **{"interpolation": "nearest", "aspect": "equal", **options})
    inches = side - 1.4 if n > ANNOTATED else side
    # the size estimated above is wrong for axes that share a figure with others
    if ax.get_subplotspec() is None or len(ax.figure.axes) > 1:
        inches = min(axes_size(ax))
    label_ticks(ax.yaxis, names, inches)
    label_ticks(ax.xaxis, names, inches, rotation=90)
    ax.spines[:].set_visible(False)
    if n <= ANNOTATED and inches / n > 0.24:
        _write_numbers(ax, image, style.values)
    add_colorbar(ax.figure, image, ax, style.label, fraction=0.04, pad=0.02)
    return ax


def _write_numbers(ax: Any, image: Any, values: Array) -> None:
    largest = np.nanmax(abs(values)) if not np.isnan(values).all() else 1
    format_cell = cell_formatter(float(np.ceil(largest)))
    for (row, column), value in np.ndenumerate(values):
        if np.isnan(value):
            continue
        red, green, blue, _ = image.cmap(image.norm(value))
        # luma of Rec. 601: the brightness that an eye perceives
        is_dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
        ax.text(
            column, row, format_cell(value), ha="center", va="center", fontsize=7,
            color="white" if is_dark else "black",
        )  # fmt: skip
