"""Square heat maps of labeled tables."""

from abc import ABC, abstractmethod
from dataclasses import KW_ONLY, dataclass
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skattr.inspection import _style as style
from skattr.inspection._keywords import artist_options, image_options

Array = NDArray[Any]
ANNOTATED = 12  # rows up to which numbers fit into the cells
_CELL = 17  # points a cell must have for a number
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
        self._check_table()
        order = order or self.order
        if order not in ORDERS:
            raise ValueError(f"`order` must be one of {list(ORDERS)}; got {order!r}.")
        values = self._table.to_numpy(dtype=np.float64, na_value=np.nan)
        rows = cluster_order(values) if order == "cluster" else np.arange(len(values))
        with style.plot_context(type(self).__name__) as plt:
            kwargs = artist_options(self, "image", kwargs)
            chosen = self._style(values[np.ix_(rows, rows)])
            self._draw(plt, ax, self._table.index[rows].tolist(), chosen, kwargs)
        return self

    def _check_table(self) -> None:
        """Reject anything but a square DataFrame with the same labels on both sides."""
        table, name = self._table, f"The table of {type(self).__name__}"
        if not isinstance(table, pd.DataFrame):
            raise TypeError(f"{name} must be a DataFrame; got {type(table).__name__}.")
        if table.shape[0] != table.shape[1] or not table.size:
            raise ValueError(f"{name} must be square and not empty; got shape {table.shape}.")
        if list(table.index) != list(table.columns):
            raise ValueError(f"{name} must have the same labels in one order in rows and columns.")

    def _draw(
        self, plt: Any, ax: Any, names: list[Any], chosen: HeatmapStyle, kwargs: dict[str, Any]
    ) -> None:
        n = len(names)
        side = min(8.0, max(2.8, 1.6 + 0.34 * n if n <= ANNOTATED else 3.0 + 0.085 * n))
        # constrained layout clips labels of axes with a fixed aspect ratio
        ax = style.get_axes(plt, ax, (side + 0.8, side), "compressed")
        options = {"interpolation": "nearest", "aspect": "equal", **chosen.options}
        options = image_options(options, kwargs)
        image = ax.imshow(chosen.values, **options)
        ax.set(xlabel=chosen.xlabel, ylabel=chosen.ylabel, facecolor=style.PALE)
        ax.spines[:].set_visible(False)
        ax.apply_aspect()  # the axes are square from now on, and not only when they are drawn
        style.label_ticks(ax.yaxis, names)
        style.label_ticks(ax.xaxis, names, rotation=90)
        if n <= ANNOTATED and style.row_spacing(ax.yaxis) > _CELL:
            _write_numbers(ax, image, chosen.values)
        style.add_colorbar(ax.figure, image, ax, chosen.label, fraction=0.04, pad=0.02)
        self.ax_, self.figure_ = ax, ax.figure


@dataclass(eq=False, repr=False)
class SimilarityDisplay(SquareHeatmapDisplay):
    """Heat map of the similarity of categories.

    Parameters
    ----------
    similarity : DataFrame of shape (L, L)
        Table with the same labels on both sides, such as the result of
        :func:`skattr.metrics.profile_similarity` or
        :func:`skattr.metrics.embedding_similarity`.
    order : {"given", "cluster"}, default="given"
        "given" is the order of the table. "cluster" places similar categories next to each
        other, by average linkage.
    label : str, default="Similarity"
        Label of the color bar.

    Attributes
    ----------
    ax_ : Axes
    figure_ : Figure or SubFigure

    Examples
    --------
    >>> import pandas as pd
    >>> from skattr.inspection import SimilarityDisplay
    >>> from skattr.metrics import profile_similarity
    >>> profiles = pd.DataFrame({"furry": [1.0, 0.8], "round": [0.0, 0.6]}, index=["cat", "ball"])
    >>> display = SimilarityDisplay.from_similarity(profile_similarity(profiles))
    >>> [label.get_text() for label in display.ax_.get_yticklabels()]
    ['cat', 'ball']
    """

    similarity: pd.DataFrame
    _: KW_ONLY
    order: str = "given"
    label: str = "Similarity"

    @classmethod
    def from_similarity(
        cls,
        similarity: pd.DataFrame,
        *,
        order: str = "given",
        label: str = "Similarity",
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Draw a table of similarities.

        Parameters
        ----------
        similarity, order, label
            As for the constructor.
        ax : Axes, default=None
            None makes a figure.
        **kwargs : dict
            Arguments of ``imshow``.

        Returns
        -------
        SimilarityDisplay

        Raises
        ------
        TypeError, ValueError
            If `similarity` is not a square DataFrame with the same labels on both sides,
            `order` is invalid, or a keyword is unknown; the message lists the valid ones.
        """
        return cls(similarity, order=order, label=label).plot(ax, **kwargs)

    @property
    def _table(self) -> pd.DataFrame:
        return self.similarity

    def _style(self, values: Array) -> HeatmapStyle:
        values = mask_diagonal(values)
        options: dict[str, Any] = {"cmap": "viridis"}
        if not np.isnan(values).all():
            low, high = np.nanmin(values), np.nanmax(values)
            # Slightly negative values are noise; a scale that is centered at 0 would waste half
            # of its colors on them.
            if low < -0.25 * abs(high):
                options = diverging_scale(values)
        return HeatmapStyle(values, options, f"{self.label} (gray: none)")


def cluster_order(similarity: Array) -> Array:
    """Return an order in which similar rows are neighbors, by average linkage.

    Undefined similarities (NaN) are replaced by the mean similarity.
    """
    # scipy.cluster takes long to import and only this order needs it
    from scipy.cluster.hierarchy import leaves_list, linkage

    n = len(similarity)
    if n < 3:
        return np.arange(n)
    symmetric = (similarity + similarity.T) / 2
    defined = symmetric[~np.isnan(symmetric)]
    symmetric = np.where(np.isnan(symmetric), defined.mean() if len(defined) else 0.0, symmetric)
    distances = (symmetric.max() - symmetric)[np.triu_indices(n, 1)]
    tree = linkage(distances, "average", optimal_ordering=n <= _MAX_OPTIMAL)
    return np.asarray(leaves_list(tree))


def mask_diagonal(values: Array) -> Array:
    """Return a copy whose diagonal is NaN."""
    return np.where(np.eye(len(values), dtype=bool), np.nan, values)


def rounded_up(value: float) -> float:
    """Return a limit for a scale: the value rounded up to a multiple of 0.05, at most 1."""
    # 1e-9: a rounding error such as that of 0.1 + 0.2 must not add a step
    return float(np.clip(np.ceil(value * 20 - 1e-9) / 20, 0.05, 1.0))


def diverging_scale(values: Array) -> dict[str, Any]:
    """Return ``imshow`` arguments of a scale that is white at 0.

    The scale covers [-1, 1] if the cells have numbers, and the range of the values otherwise.
    """
    limit = 1.0
    if len(values) > ANNOTATED and not np.isnan(values).all():
        limit = rounded_up(float(np.nanmax(abs(values))))
    return {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit}


def _write_numbers(ax: Any, image: Any, values: Array) -> None:
    largest = np.nanmax(abs(values), initial=0)
    for (row, column), value in np.ndenumerate(values):
        if np.isnan(value):
            continue
        red, green, blue, _ = image.cmap(image.norm(value))
        # luma of Rec. 601: the brightness that an eye perceives
        is_dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
        ax.text(
            column, row, _cell_text(value, largest), ha="center", va="center", fontsize=7,
            color="white" if is_dark else "black",
        )  # fmt: skip


def _cell_text(value: float, largest: float) -> str:
    """Return a number as text that fits into a cell, in the format that `largest` needs."""
    if largest > 9_999:
        return f"{value:.2g}".replace("e+0", "e")
    if largest > 1:
        return f"{value:.0f}"
    return f"{value:.2f}".replace("0.", ".").replace("-", "−")
