"""Style and layout shared by all displays."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

# Okabe and Ito's palette, which color-blind readers can tell apart, without its yellow, which is
# too pale for lines on white.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
RIGHT, WRONG = "#0072B2", "#D55E00"
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
GRAY, PALE = "#767676", "#E4E4E4"
REFERENCE: dict[str, Any] = {
    "color": GRAY, "linewidth": 0.8, "linestyle": (0, (4, 2)), "zorder": 0,
}  # fmt: skip
UNIT_TICKS = ([0, 0.5, 1], ["0", "0.5", "1"])
# Beyond these numbers of attributes lines overlap or panels become too small to read.
MAX_LINES = 6  # lines in one panel
MAX_PANELS = 48  # small multiples; more attributes are drawn as a heat map
_FONT, _SMALL = 8, 6.5
_RC: dict[Any, Any] = {
    "font.size": _FONT,
    "axes.titlesize": _FONT,
    "axes.labelsize": _FONT,
    "xtick.labelsize": _SMALL + 0.5,
    "ytick.labelsize": _SMALL + 0.5,
    "legend.fontsize": _FONT,
    "figure.titlesize": _FONT + 1,
    "figure.labelsize": _FONT + 1,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.2,
}
_STEPS = (1, 2, 3, 4, 5, 10, 20, 25, 50, 100)


@contextmanager
def plot_context(caller: str) -> Iterator[Any]:
    """Yield pyplot with the settings of the displays, and restore these settings on exit.

    Others are not touched: a notebook's backend sets `interactive` when the first figure is made,
    and would show no further figure if that were undone.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    # Imported here, as matplotlib is optional and reading or listing results does not need it.
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            f"{caller} needs matplotlib, which is not installed: pip install matplotlib"
        ) from error
    before = {name: plt.rcParams[name] for name in _RC}
    try:
        plt.rcParams.update(_RC)
        yield plt
    finally:
        plt.rcParams.update(before)


def _check_axes(plt: Any, ax: Any) -> None:
    """Raise a TypeError if `ax` is neither None nor one Axes."""
    if ax is not None and not isinstance(ax, plt.Axes):
        is_array = isinstance(ax, np.ndarray | list | tuple)
        hint = "; pass one of its elements, such as ax[0]" if is_array else ""
        raise TypeError(
            f"`ax` must be one matplotlib Axes or None, got a value of type {type(ax).__name__}"
            f"{hint}."
        )


def get_axes(plt: Any, ax: Any, size: tuple[float, float], layout: str = "constrained") -> Any:
    """Return `ax`, or the axes of a new figure of `size` inches if it is None."""
    _check_axes(plt, ax)
    if ax is None:
        _, ax = plt.subplots(figsize=size, layout=layout)
    # the rc settings do this for new axes only, not for axes that the caller passes
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def make_figure(
    plt: Any, ax: Any, size: tuple[float, float], layout: str | None = "constrained"
) -> Any:
    """Return a new figure of `size` inches, or a subfigure that replaces `ax` in its figure.

    Raises
    ------
    ValueError
        If `ax` is not part of a grid and therefore cannot be divided.
    """
    _check_axes(plt, ax)
    if ax is None:
        return plt.figure(figsize=size, layout=layout)
    spec = ax.get_subplotspec()
    if spec is None:
        raise ValueError(
            "This display has several panels: `ax` must come from plt.subplots or add_subplot, "
            "so that it can be divided, or be None."
        )
    ax.set_axis_off()
    return ax.figure.add_subfigure(spec)


def make_panels(plt: Any, ax: Any, n: int, side: float) -> tuple[Any, Array]:
    """Return a figure and n axes, each about `side` inches wide, that share their scales.

    The grid is somewhat wider than high, and the lowest panel of a column has tick labels.
    """
    columns = n if n <= 3 else math.ceil(math.sqrt(1.3 * n))
    rows = math.ceil(n / columns)
    figure = make_figure(plt, ax, (max(columns * side, 3.4), rows * (side * 0.9 + 0.14) + 0.6))
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for extra in grid[n:]:
        extra.remove()
    for panel in grid[max(0, n - columns) : n]:
        panel.tick_params(labelbottom=True)
    return figure, grid[:n]


def make_row_panels(
    plt: Any, ax: Any, n: int, width: float, n_panels: int, **grid: Any
) -> tuple[Any, Array]:
    """Return a figure and axes next to each other, with a thin row for each of n attributes."""
    figure = make_figure(plt, ax, (width, min(9.0, 1.2 + 0.12 * n)))
    return figure, figure.subplots(1, n_panels, sharey=True, squeeze=False, **grid)[0]


def label_panels(figure: Any, axes: Array, xlabel: str, ylabel: str) -> None:
    """Label the axes of panels once, and add a legend of the first panel's lines above all."""
    figure.supxlabel(xlabel)
    figure.supylabel(ylabel)
    legend_above(figure, axes[0].get_legend_handles_labels()[0])


def legend_above(figure: Any, handles: Sequence[Any]) -> None:
    """Add a legend above all panels."""
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), frameon=False)


def legend_right(ax: Any) -> None:
    """Add a legend to the right of axes, with texts in the colors of the lines."""
    ax.legend(
        loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, handlelength=3,
        labelcolor="linecolor",
    )  # fmt: skip


def display_name(name: Any, limit: int = 28) -> str:
    """Return a name as text of at most `limit` characters, with dollar signs escaped.

    Long names are shortened in the middle, as names often differ in their ends only.
    """
    text = str(name)
    if len(text) > limit:
        tail = (limit - 1) * 2 // 5
        text = f"{text[: limit - 1 - tail]}…{text[len(text) - tail :]}"
    return text.replace("$", r"\$")  # matplotlib would typeset text between dollars as a formula


def row_spacing(axis: Any) -> float:
    """Return the distance between the positions 0 and 1 of an axis in points."""
    box = axis.axes.get_window_extent()
    length = box.width if axis.axis_name == "x" else box.height
    low, high = axis.get_view_interval()
    return float(length / axis.axes.figure.dpi * 72 / abs(high - low))


def label_ticks(axis: Any, names: Sequence[Any], **text: Any) -> None:
    """Label every row of a heat map or dot plot, or every n-th row if space is short.

    Parameters
    ----------
    axis : matplotlib.axis.Axis
        The rows are at 0, 1, ... and the limits are set.
    names : sequence
    **text : dict
        Properties of the labels.
    """
    spacing = row_spacing(axis)
    # A new figure is laid out when it is drawn, and its axes then become about a tenth larger.
    size = _FONT if spacing >= _FONT * 1.1 else _SMALL - 0.5
    step = next((step for step in _STEPS if step * spacing >= size * 1.1), _STEPS[-1])
    places = np.arange(0, len(names), step)
    labels = [display_name(names[place]) for place in places.tolist()]
    axis.set_ticks(places, labels=labels, fontsize=size, **text)
    axis.set_tick_params(length=0 if step == 1 else 2)


def unit_scale(ax: Any, *, x: bool = True) -> None:
    """Scale the y axis, and the x axis if `x` is true, from 0 to 1."""
    ax.set_ylim(-0.02, 1.02)
    ax.set_yticks(*UNIT_TICKS)
    if x:
        ax.set_xlim(-0.02, 1.02)
        ax.set_xticks(*UNIT_TICKS)


def draw_rows(
    ax: Any, values: Array, names: list[Any], span: tuple[float, float], options: dict[str, Any]
) -> Any:
    """Draw a heat map with a row for each name and columns that cover `span`; return the image.

    `options` are arguments of ``imshow``.
    """
    look = {"aspect": "auto", "interpolation": "nearest", **options}
    image = ax.imshow(values, extent=(*span, len(names) - 0.5, -0.5), **look)
    ax.set_facecolor(PALE)
    label_ticks(ax.yaxis, names)
    return image


def add_colorbar(figure: Any, image: Any, ax: Any, label: str, **options: Any) -> None:
    """Add a color bar without an outline to one or several axes."""
    bar = figure.colorbar(image, ax=ax, **options)
    bar.set_label(label)
    bar.outline.set_visible(False)
