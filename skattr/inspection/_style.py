"""What all displays share: fonts, colors, panels, and labels that do not run into each other."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

# Okabe and Ito's colors, which color-blind readers tell apart; yellow is too pale for lines.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
RIGHT, WRONG = "#0072B2", "#D55E00"
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
GREY, PALE = "#767676", "#E4E4E4"
DIRECT, FEW, SOME = 3, 6, 48  # lines named at their ends; in one panel; small multiples
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
def drawing(caller: str) -> Iterator[Any]:
    """Yield pyplot with the settings of the displays, which end with the context.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            f"{caller} needs matplotlib, which is not installed: pip install matplotlib"
        ) from error
    with plt.rc_context(_RC):
        yield plt


def one_axes(plt: Any, ax: Any, size: tuple[float, float], layout: str = "constrained") -> Any:
    """Return `ax`, or the axes of a new figure of `size` inches."""
    if ax is None:
        _, ax = plt.subplots(figsize=size, layout=layout)
    return ax


def subfigure(
    plt: Any, ax: Any, size: tuple[float, float], layout: str | None = "constrained"
) -> Any:
    """Return a new figure of `size` inches, or one that takes the place of `ax` in its figure.

    Raises
    ------
    ValueError
        If `ax` is no cell of a grid, so that it cannot be divided.
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


def panels(figure: Any, n: int, columns: int) -> list[Any]:
    """Return n axes in a grid that shares both axes; a column's lowest panel has tick labels."""
    rows = math.ceil(n / columns)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    axes = list(grid.ravel())
    for extra in axes[n:]:
        extra.remove()
    for axis in axes[max(0, n - columns) : n]:
        axis.tick_params(labelbottom=True)
    return axes[:n]


def n_columns(n: int) -> int:
    """Return the columns of a grid of n panels that is somewhat wider than high."""
    return min(n, max(1, math.ceil(math.sqrt(1.3 * n)))) if n > 3 else n


def shown(name: Any, limit: int = 28) -> str:
    """Return a name as text of at most `limit` characters, its dollars no mathematics.

    Names are often told apart by their ends, so the middle is left out.
    """
    text = str(name)
    if len(text) > limit:
        tail = (limit - 1) * 2 // 5
        text = f"{text[: limit - 1 - tail]}…{text[len(text) - tail :]}"
    return text.replace("$", r"\$")


def plural(n: int, noun: str) -> str:
    """Return "1 attribute" or "2 attributes"."""
    return f"{n} {noun}{'' if n == 1 else 's'}"


def name_ticks(axis: Any, names: Sequence[Any], inches: float, **text: Any) -> None:
    """Label every row of a heat map or dot plot, or every n-th where there is no room.

    Parameters
    ----------
    axis : matplotlib.axis.Axis
        Its rows stand at 0, 1, ...
    names : sequence
    inches : float
        Length of the axis.
    **text : dict
        Of the labels.
    """
    size = _FONT if inches * 72 >= len(names) * _FONT * 1.25 else _SMALL - 0.5
    room = max(1.0, inches * 72 / (size * 1.2))
    step = next((step for step in _STEPS if len(names) / step <= room), _STEPS[-1])
    places = np.arange(0, len(names), step)
    labels = [shown(names[place]) for place in places.tolist()]
    axis.set_ticks(places, labels=labels, fontsize=size, **text)
    axis.set_tick_params(length=0 if step == 1 else 2)


def inches_of(ax: Any) -> tuple[float, float]:
    """Return the width and the height of axes."""
    box = ax.get_window_extent()
    return box.width / ax.figure.dpi, box.height / ax.figure.dpi


def spread(values: Any, gap: float, low: float = 0.0, high: float = 1.0) -> Array:
    """Move values apart, as little as a single sweep does, so that neighbours keep `gap`.

    Their order stays. What does not fit between `low` and `high` begins at `low`.
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


def label_ends(ax: Any, ends: Sequence[tuple[float, float, str, str]]) -> None:
    """Name lines at their right ends: (x, y, text, color) each, in data coordinates."""
    low, high = ax.get_ylim()
    lines = max(text.count("\n") + 1 for _, _, text, _ in ends)
    gap = lines * _FONT * 1.3 / 72 / max(inches_of(ax)[1], 0.5)
    places = spread([(y - low) / (high - low) for _, y, _, _ in ends], gap)
    for (x, y, text, color), place in zip(ends, places, strict=True):
        ax.annotate(
            text,
            (x, y),
            (1.04, place),
            xycoords="data",
            textcoords="axes fraction",
            color=color,
            va="center",
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": color, "linewidth": 0.5, "shrinkB": 1},
        )


def legend_beside(ax: Any) -> None:
    """Name lines to the right of axes, where they end too near to each other."""
    ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, handlelength=3)


def strip(ax: Any) -> None:
    """Take the upper and the right edge from axes."""
    ax.spines[["top", "right"]].set_visible(False)


def unit_ticks(ax: Any, *, x: bool = True, y: bool = True) -> None:
    """Scale axes from 0 to 1."""
    for is_wanted, set_lim, set_ticks in (
        (x, ax.set_xlim, ax.set_xticks),
        (y, ax.set_ylim, ax.set_yticks),
    ):
        if is_wanted:
            set_lim(-0.02, 1.02)
            set_ticks([0, 0.5, 1], ["0", "0.5", "1"])


def key(figure: Any, entries: Sequence[tuple[str, dict[str, Any]]]) -> None:
    """Explain marks above all panels: (text, properties of a line) each."""
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], label=text, **line) for text, line in entries]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), frameon=False)


def thinned(n: int, at_most: int = 500) -> Array:
    """Return positions among n, both ends among them: more are not seen in a line."""
    return np.asarray(np.unique(np.linspace(0, n - 1, min(n, at_most)).round().astype(np.intp)))


def formatter(limit: int) -> Callable[[float], str]:
    """Return how numbers are written in the cells of a heat map whose largest is `limit`."""
    if limit >= 10_000:
        return lambda value: f"{value:.2g}".replace("e+0", "e")
    if limit > 1:
        return lambda value: f"{value:.0f}"
    return lambda value: f"{value:.2f}".replace("0.", ".").replace("-", "−")
