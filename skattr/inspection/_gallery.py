"""Gallery of images with their correct and wrong predictions."""

import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import _safe_indexing, check_random_state

from skattr._inputs.checks import check_image_array, check_image_paths, infer_kind
from skattr._inputs.decoding import read_image, resize
from skattr._inputs.rows import FileRows
from skattr._targets.alignment import align_rows
from skattr._targets.encoder import UNKNOWN, is_binary
from skattr._utils.parameters import AT_LEAST_1
from skattr._utils.tables import as_pandas
from skattr.inspection import _style as style
from skattr.inspection._keywords import artist_options, image_options
from skattr.inspection._predictions import (
    EvaluatedLabels,
    attribute_positions,
    evaluate_estimator,
    evaluate_predictions,
)

Array = NDArray[Any]
Line = tuple[str, str]  # text and color
_ORDERS = ("worst", "best", "random")
_SIDE = 320  # pixels to which the longer side of an image file is reduced; the figure shows less
_CELL, _TOP, _PITCH = 1.7, 0.35, 0.125  # inches: an image, the legend, a line of a caption
_MARK: dict[str, Any] = {"linestyle": "none", "markersize": 6}
_MARKS = (("correct", "$✓$", style.RIGHT), ("wrong: predicted (true)", "$✗$", style.WRONG))


@dataclass(eq=False, repr=False)
class GalleryDisplay:
    """Grid of images, each with its correctly and wrongly predicted attributes.

    Correct predictions are blue with a check mark. Wrong predictions are vermilion with a cross
    and have the true label in parentheses. Attributes with a missing label are not listed.

    Parameters
    ----------
    images : list of ndarray of shape (height, width) or (height, width, 3), uint8
    rows : ndarray of shape (len(images),), int
        Positions of the images in X.
    captions : list of list of (text, color)
        The lines below each image.

    Attributes
    ----------
    ax_ : ndarray of Axes
    figure_ : Figure or SubFigure

    Examples
    --------
    >>> import numpy as np
    >>> from skattr.inspection import GalleryDisplay
    >>> images = np.zeros((3, 8, 8), dtype=np.uint8)
    >>> y, predicted = [[1, 0], [0, 1], [1, None]], [[1, 0], [1, 0], [1, 1]]
    >>> display = GalleryDisplay.from_predictions(y, predicted, X=images, n_images=1)
    >>> display.rows, [text for text, _ in display.captions[0]]
    (array([1]), ['✗ y0: yes (no)', '✗ y1: no (yes)'])
    """

    images: list[Array]
    rows: Array
    captions: list[list[Line]]

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        order: str = "worst",
        n_images: int = 12,
        max_lines: int = 6,
        select: Any = None,
        missing_label: Any = None,
        random_state: Any = 0,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Draw images with the predictions of a fitted classifier.

        Parameters
        ----------
        estimator : fitted multi-output classifier of images
        X : images as for :meth:`from_predictions`
            Images that it cannot read (``on_bad_image="warn"``) are left out.
        y : array-like of shape (n,) or (n, L), Series or DataFrame
        missing_label : scalar, default=None
            Additional value of y that marks a missing label. None uses the estimator's own.
        order, n_images, max_lines, select, random_state, ax, **kwargs
            As for :meth:`from_predictions`.

        Returns
        -------
        GalleryDisplay
        """
        table = evaluate_estimator(estimator, X, y, missing_label)
        display = cls._of(table, X, order, n_images, max_lines, select, random_state)
        return display.plot(ax, **kwargs)

    @classmethod
    def from_predictions(
        cls,
        y_true: Any,
        y_pred: Any,
        *,
        X: Any,
        order: str = "worst",
        n_images: int = 12,
        max_lines: int = 6,
        select: Any = None,
        missing_label: Any = None,
        random_state: Any = 0,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Draw images with given predictions.

        Parameters
        ----------
        y_true, y_pred : array-like of shape (n,) or (n, L), Series or DataFrame
            True and predicted labels. Rows without a known label are left out.
        X : array-like of shape (n, height, width) or (n, height, width, 3), uint8; or paths
            Paths, or images in any other form that AttributeClassifier takes, are a sequence, or
            a DataFrame with a "path" column and optional box columns. Only the images that are
            drawn are opened. Damaged images are shown as they are decoded.
        order : {"worst", "best", "random"}, default="worst"
            "worst" and "best" sort by the share of known labels that are predicted wrongly.
        n_images : int, default=12
        max_lines : int, default=6
            Number of lines below an image. Wrong attributes come first, then correct attributes
            with a positive label. The last line counts the attributes that do not fit.
        select : sequence of names or positions, default=None
            The attributes to compare. None uses all.
        missing_label : scalar, default=None
            Additional value that marks a missing label.
        random_state : int, RandomState or None, default=0
            Used if ``order="random"``.
        ax : Axes of a grid, default=None
            None makes a figure.
        **kwargs : dict
            Arguments of ``imshow``.

        Returns
        -------
        GalleryDisplay

        Raises
        ------
        ValueError
            If X is not images or has another length than y, or a parameter is invalid.
        TypeError
            If a keyword is unknown; the message lists the valid ones.
        """
        X, y_true, y_pred = align_rows(X=X, y_true=y_true, y_pred=y_pred)
        table = evaluate_predictions(y_true, y_pred, missing_label)
        display = cls._of(table, X, order, n_images, max_lines, select, random_state)
        return display.plot(ax, **kwargs)

    @classmethod
    def _of(
        cls,
        table: EvaluatedLabels,
        X: Any,
        order: str,
        n_images: int,
        max_lines: int,
        select: Any,
        random_state: Any,
    ) -> Self:
        if order not in _ORDERS:
            raise ValueError(f"`order` must be one of {list(_ORDERS)}; got {order!r}.")
        for name, value in (("n_images", n_images), ("max_lines", max_lines)):
            if not AT_LEAST_1.is_satisfied_by(value):
                raise ValueError(f"`{name}` must be 1 or more; got {value!r}.")
        if len(X) != len(table.codes):
            raise ValueError(f"X has {len(X)} images, y has {len(table.codes)} rows.")
        attributes = attribute_positions(select, table.names)
        n_known = (table.codes[:, attributes] != UNKNOWN).sum(axis=1)
        n_wrong = table.wrong[:, attributes].sum(axis=1)
        rows = np.flatnonzero(n_known)
        if not len(rows):
            raise ValueError("No image has a known label.")
        share = n_wrong[rows] / n_known[rows]
        if order == "random":
            rows = check_random_state(random_state).permutation(rows)
        else:  # between equal shares, the row with more known labels is the stronger case
            sign = -1 if order == "worst" else 1
            rows = rows[np.lexsort((-n_known[rows], sign * share))]
        rows = rows[:n_images]
        captions = [_caption(table, int(row), attributes, max_lines) for row in rows]
        return cls(_images(X, rows), rows, captions)

    def plot(self, ax: Any = None, **kwargs: Any) -> Self:
        """Draw the images.

        Parameters
        ----------
        ax : Axes of a grid, default=None
        **kwargs : dict
            Arguments of ``imshow``.

        Returns
        -------
        GalleryDisplay
            The display itself, with `ax_` and `figure_`.
        """
        n = len(self.images)
        columns = min(n, max(3, math.ceil(math.sqrt(1.3 * n))), 5)
        n_rows = math.ceil(n / columns)
        below = _PITCH * max(len(caption) for caption in self.captions) + 0.12
        size = (_CELL * columns, n_rows * (_CELL * 0.85 + below) + _TOP)
        with style.plot_context("GalleryDisplay") as plt:
            look = artist_options(self, "image", kwargs)
            look = image_options({"cmap": "gray", "vmin": 0, "vmax": 255}, look)
            figure = style.make_figure(plt, ax, size, layout=None)
            width, height = figure.bbox.size / figure.dpi
            cell = width / columns, (height - _TOP) / n_rows
            tall = max(cell[1] - below, 0.3)
            axes = []
            # Placed by hand: no layout engine of matplotlib leaves space for the captions both in
            # a new figure and in a grid of the caller's.
            for i, (image, caption) in enumerate(zip(self.images, self.captions, strict=True)):
                left, top = cell[0] * (i % columns), height - _TOP - cell[1] * (i // columns)
                frame = (left + 0.06, top - tall, cell[0] - 0.12, tall)
                panel = figure.add_axes(np.divide(frame, [width, height] * 2))
                panel.imshow(image, **look)
                panel.set_anchor("SW")
                panel.set_axis_off()
                for line, (text, color) in enumerate(caption):
                    panel.annotate(
                        style.display_name(text, int(cell[0] * 17)), (0, 0),
                        (0, -4 - 72 * _PITCH * line), xycoords="axes fraction",
                        textcoords="offset points", va="top", fontsize=7, color=color,
                        fontfamily="DejaVu Sans", annotation_clip=False,
                    )  # fmt: skip
                axes.append(panel)
            marks = [
                plt.Line2D([], [], label=label, marker=marker, color=color, **_MARK)
                for label, marker, color in _MARKS
            ]
            style.legend_above(figure, marks)
        self.ax_, self.figure_ = np.array(axes), figure
        return self


def _caption(table: EvaluatedLabels, row: int, attributes: list[int], max_lines: int) -> list[Line]:
    """Return the lines below an image: wrong attributes, then correct positive ones."""
    binary = is_binary(table.encoder)
    known = [j for j in attributes if table.codes[row, j] != UNKNOWN]
    wrong = [j for j in known if table.wrong[row, j]]
    right = [j for j in known if not table.wrong[row, j]]
    right.sort(key=lambda j: bool(binary[j]) and table.codes[row, j] == 0)  # negatives last
    listed = [*wrong, *right]
    if len(listed) > max_lines:
        listed = listed[: max_lines - 1]
    lines = []
    for j in listed:
        name, is_yes_no = str(table.names[j]), bool(binary[j])
        predicted = _label_text(table.guesses[j][row], is_yes_no)
        if table.wrong[row, j]:
            true = _label_text(table.encoder.classes_[j][table.codes[row, j]], is_yes_no)
            lines.append((f"✗ {name}: {predicted} ({true})", style.WRONG))
        else:
            lines.append((f"✓ {name}: {predicted}", style.RIGHT))
    if len(listed) < len(known):
        hidden = [sum(j not in listed for j in group) for group in (wrong, right)]
        parts = [f"{n} {what}" for n, what in zip(hidden, ("✗", "✓"), strict=True) if n]
        lines.append((f"and {', '.join(parts)}", style.GRAY))
    return lines


def _label_text(label: Any, is_yes_no: bool) -> str:
    """Return a label as text: "yes" or "no" for 0, 1 and bools of binary attributes."""
    value = label.item() if isinstance(label, np.generic) else label
    if is_yes_no and isinstance(value, bool | int | float) and value in (0, 1):
        return "yes" if value else "no"
    # a column of integers with a missing label is float, and 2 must not become "2.0"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value)


def _images(X: Any, rows: Array) -> list[Array]:
    """Return the images in some rows of X."""
    X = as_pandas(X)
    kind = infer_kind(X)
    if kind == "pixels":
        array = check_image_array(X, (1, 1)).array
        return [array[row] for row in rows]
    if kind == "features":
        raise ValueError("X contains features, not images; pass images or their paths as `X`.")
    files = check_image_paths(_safe_indexing(X, rows), (1, 1))
    return [_read(files, i) for i in range(len(files))]


def _read(files: FileRows, row: int) -> Array:
    """Read an image or its crop, keeping the aspect ratio."""
    image = read_image(files.sources[row], None, files.box(row), keep_damaged=True)
    height, width, _ = image.shape
    scale = min(1.0, _SIDE / max(width, height))
    return resize(image, (max(1, round(height * scale)), max(1, round(width * scale))))
