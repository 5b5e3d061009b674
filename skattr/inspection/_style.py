"""Style and layout shared by all displays."""

import math
from collections.abc import Callable, Iterator, Sequence
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
DASHED = (0, (4, 2))
# Beyond these numbers of attributes labels collide or panels become too small to read.
MAX_LABELED_LINES = 3  # lines that are named at their ends
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
    """Yield pyplot with the settings of the displays; restore the caller's settings on exit.

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
    with plt.rc_context(_RC):
        yield plt


def get_axes(plt: Any, ax: Any, size: tuple[float, float], layout: str = "constrained") -> Any:
    """Return `ax`, or the axes of a new figure of `size` inches if it is None."""
    if ax is None:
        _, ax = plt.subplots(figsize=size, layout=layout)
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


def make_row_figure(plt: Any, ax: Any, width: float, n: int) -> tuple[Any, float]:
    """Return a figure with one thin row for each of n attributes, and the height of its axes."""
    height = min(9.0, 1.2 + 0.12 * n)
    figure = make_figure(plt, ax, (width, height))
    return figure, height - 1.0 if ax is None else axes_size(ax)[1]


def make_panels(figure: Any, n: int, columns: int) -> list[Any]:
    """Return n axes in a grid with shared axes; the lowest panel of a column has tick labels."""
    rows = math.ceil(n / columns)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    axes = list(grid.ravel())
    for extra in axes[n:]:
        extra.remove()
    for axis in axes[max(0, n - columns) : n]:
        axis.tick_params(labelbottom=True)
    return axes[:n]


def grid_columns(n: int) -> int:
    """Return the number of columns of a grid of n panels that is somewhat wider than high."""
    return min(n, max(1, math.ceil(math.sqrt(1.3 * n)))) if n > 3 else n


def display_name(name: Any, limit: int = 28) -> str:
    """Return a name as text of at most `limit` characters, with dollar signs escaped.

    Long names are shortened in the middle, as names often differ in their ends only.
    """
    text = str(name)
    if len(text) > limit:
        tail = (limit - 1) * 2 // 5
        text = f"{text[: limit - 1 - tail]}…{text[len(text) - tail :]}"
    return text.replace("$", r"\$")  # matplotlib would typeset text between dollars as a formula


def plural(n: int, noun: str) -> str:
    """Return "1 attribute" or "2 attributes"."""
    return f"{n} {noun}{'' if n == 1 else 's'}"


def label_ticks(axis: Any, names: Sequence[Any], inches: float, **text: Any) -> None:
    """Label every row of a heat map or dot plot, or every n-th row if space is short.

    Parameters
    ----------
    axis : matplotlib.axis.Axis
        The rows are at 0, 1, ...
    names : sequence
    inches : float
        Length of the axis.
    **text : dict
        Properties of the labels.
    """
    size = _FONT if inches * 72 >= len(names) * _FONT * 1.25 else _SMALL - 0.5
    n_labels = max(1.0, inches * 72 / (size * 1.2))
    step = next((step for step in _STEPS if len(names) / step <= n_labels), _STEPS[-1])
    places = np.arange(0, len(names), step)
    labels = [display_name(names[place]) for place in places.tolist()]
    axis.set_ticks(places, labels=labels, fontsize=size, **text)
    axis.set_tick_params(length=0 if step == 1 else 2)


def axes_size(ax: Any) -> tuple[float, float]:
    """Return the width and the height of axes in inches."""
    box = ax.get_window_extent()
    return box.width / ax.figure.dpi, box.height / ax.figure.dpi


def spread_apart(values: Any, gap: float, low: float = 0.0, high: float = 1.0) -> Array:
    """Move values apart in two sweeps, so that neighbors differ by `gap` or more.

    The order does not change. Values that do not fit between `low` and `high` start at `low`.
    """
    values = np.asarray(values, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    places: Array = values[order].copy()
    for i in range(1, len(places)):
        places[i] = max(places[i], places[i - 1] + gap)
    top = high
    for i in range(len(places) - 1, -1, -1):
        places[i] = min(places[i], top)
        top = places[i] - gap
    if len(places):
        places = places + max(0.0, low - float(places[0]))
    return places[np.argsort(order)]


def label_line_ends(ax: Any, ends: Sequence[tuple[float, float, str, str]]) -> None:
    """Name lines at their right ends: (x, y, text, color) each, in data coordinates."""
    low, high = ax.get_ylim()
    lines = max(text.count("\n") + 1 for _, _, text, _ in ends)
    gap = lines * _FONT * 1.3 / 72 / max(axes_size(ax)[1], 0.5)
    places = spread_apart([(y - low) / (high - low) for _, y, _, _ in ends], gap)
    for (x, y, text, color), place in zip(ends, places, strict=True):
        arrow = {"arrowstyle": "-", "color": color, "linewidth": 0.5, "shrinkB": 1}
        ax.annotate(
            text, (x, y), (1.04, place), textcoords="axes fraction", color=color, va="center",
            annotation_clip=False, arrowprops=arrow,
        )  # fmt: skip


def legend_right(ax: Any) -> None:
    """Add a legend to the right of axes, for lines whose ends are too close to be labeled."""
    ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, handlelength=3)


def hide_spines(ax: Any) -> None:
    """Hide the top and the right spine of axes.

    The rc settings do this for new axes only, not for axes that the caller passes.
    """
    ax.spines[["top", "right"]].set_visible(False)


def unit_ticks(ax: Any, *, x: bool = True, y: bool = True) -> None:
    """Scale one or both axes from 0 to 1."""
    for is_wanted, set_lim, set_ticks in (
        (x, ax.set_xlim, ax.set_xticks),
        (y, ax.set_ylim, ax.set_yticks),
    ):
        if is_wanted:
            set_lim(-0.02, 1.02)
            set_ticks([0, 0.5, 1], ["0", "0.5", "1"])


def add_colorbar(figure: Any, image: Any, ax: Any, label: str, **options: Any) -> None:
    """Add a color bar without an outline to one or several axes."""
    bar = figure.colorbar(image, ax=ax, **options)
    bar.set_label(label)
    bar.outline.set_visible(False)


def figure_legend(figure: Any, *entries: tuple[str, dict[str, Any]]) -> None:
    """Add a legend above all panels: (text, properties of a line) each."""
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], label=text, **line) for text, line in entries]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), frameon=False)


def thin_positions(n: int, at_most: int = 500) -> Array:
    """Return up to `at_most` of n positions, including both ends.

    A line has no more visible detail, and a figure saved as a vector graphic stays small.
    """
    return np.asarray(np.unique(np.linspace(0, n - 1, min(n, at_most)).round().astype(np.intp)))


def cell_formatter(limit: float) -> Callable[[float], str]:
    """Return a function that formats the cells of a heat map whose largest value is `limit`."""
    if limit >= 10_000:
        return lambda value: f"{value:.2g}".replace("e+0", "e")
    if limit > 1:
        return lambda value: f"{value:.0f}"
    return lambda value: f"{value:.2f}".replace("0.", ".").replace("-", "−")
