"""Precision, recall and F1 over the threshold."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve

from skattr.inspection._predictions import (
    Declared,
    Levels,
    ScoredLabels,
    binary_positions,
    cuts_of,
    leave_out,
    score_estimator,
    score_predictions,
    thresholds_of,
)
from skattr.inspection._style import (
    COLOURS,
    FEW,
    GREY,
    MARKERS,
    PALE,
    SOME,
    drawing,
    key,
    label_ends,
    legend_beside,
    n_columns,
    name_ticks,
    one_axes,
    panels,
    shown,
    strip,
    subfigure,
    thinned,
    unit_ticks,
)

Array = NDArray[Any]
METRICS = ("precision", "recall", "f1")
_TITLES = {"precision": "Precision", "recall": "Recall", "f1": "F1"}
_LINES = dict(zip(METRICS, zip(COLOURS[:3], ("--", ":", "-"), strict=True), strict=True))
_LINES_OF_ONE_METRIC = ("-", "--", "-.", ":", (0, (5, 1, 1, 1)), (0, (1, 1)))


class ThresholdCurveDisplay:
    """Precision, recall and F1 of binary attributes over the threshold, the chosen cut marked.

    One attribute is drawn in one panel; up to six, of one metric, as well; up to 48 in small
    multiples; more as heat maps with one row per attribute, sorted by the metric at the cut.

    Parameters
    ----------
    names : list of length L
    thresholds, precision, recall : list of ndarray of shape (n_cuts,), float64
        Of each attribute, the thresholds rising: what is predicted with
        ``score >= threshold``.
    cuts : ndarray of shape (L,)
        The chosen thresholds.
    is_proba : bool, default=True
        Whether thresholds are of probabilities.
    metrics : sequence of {"precision", "recall", "f1"}
        What is drawn.

    Attributes
    ----------
    f1 : list of ndarray of shape (n_cuts,), float64
    ax_ : Axes, or ndarray of Axes if there are several panels
    figure_ : Figure or SubFigure

    Examples
    --------
    >>> from skattr.inspection import ThresholdCurveDisplay
    >>> y = [[1, None], [0, 1], [1, 0], [0, 0]]
    >>> scores = [[0.9, 0.3], [0.4, 0.6], [0.7, 0.2], [0.1, 0.5]]
    >>> display = ThresholdCurveDisplay.from_predictions(y, scores, thresholds=[0.5, 0.4])
    >>> display.names, display.recall[0]
    (['y0', 'y1'], array([1. , 1. , 1. , 0.5]))
    """

    def __init__(
        self,
        names: list[Any],
        thresholds: list[Array],
        precision: list[Array],
        recall: list[Array],
        cuts: Any,
        *,
        is_proba: bool = True,
        metrics: Sequence[str] = METRICS,
    ) -> None:
        self.names = names
        self.thresholds = thresholds
        self.precision = precision
        self.recall = recall
        self.cuts = np.asarray(cuts, dtype=np.float64)
        self.is_proba = is_proba
        self.metrics = metrics

    @property
    def f1(self) -> list[Array]:
        """F1 of each attribute's cuts; 0 where nothing is right."""
        pairs = zip(self.precision, self.recall, strict=True)
        return [_f1(precision, recall) for precision, recall in pairs]

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        metrics: Sequence[str] = METRICS,
        thresholds: Any = None,
        select: Any = None,
        response_method: str = "auto",
        missing_label: Any = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Draw the curves of a fitted classifier.

        Parameters
        ----------
        estimator : fitted multi-output classifier
        X : n rows as the classifier takes them
            Rows that it could not read (``on_bad_image="warn"``) are left out.
        y : array-like of shape (n,) or (n, L), Series or DataFrame
            Missing labels are left out, attribute by attribute.
        metrics, select, ax, **kwargs
            As for :meth:`from_predictions`.
        thresholds : number, dict by name or array-like, default=None
            None reads `best_threshold_` of the classifier, or of the last step
            of a pipeline; failing that 0.5 of probabilities, 0 of decisions.
        response_method : {"auto", "predict_proba", "decision_function"}, default="auto"
        missing_label : scalar, default=None
            One more value of y that means unknown; None reads the estimator's own.

        Returns
        -------
        ThresholdCurveDisplay
        """
        scored = score_estimator(estimator, X, y, response_method, missing_label)
        found = thresholds_of(estimator) if thresholds is None else thresholds
        return cls._of(scored, metrics, found, select, ax, kwargs)

    @classmethod
    def from_predictions(
        cls,
        y_true: Any,
        y_score: Any,
        *,
        metrics: Sequence[str] = METRICS,
        thresholds: Any = None,
        select: Any = None,
        attributes: Declared = None,
        classes: Levels = None,
        missing_label: Any = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Draw the curves of given scores.

        Parameters
        ----------
        y_true : array-like of shape (n,) or (n, L), Series or DataFrame
            Missing labels are left out, attribute by attribute.
        y_score : ndarray of shape (n, L), or list of ndarray of shape (n, n_classes)
        metrics : sequence of {"precision", "recall", "f1"}, or one of them
        thresholds : number, dict by name or array-like, default=None
            The cuts to mark, one per attribute, per binary attribute or per drawn one. None is
            0.5 if all scores lie between 0 and 1, else 0.
        select : sequence of names or positions, default=None
            The attributes to draw; None draws all binary ones.
        attributes, classes, missing_label : default=None
            How y_true is read; see :class:`skattr.AttributeEncoder`.
        ax : Axes, default=None
            None makes a figure. Axes that must be divided are those of a grid.
        **kwargs : dict
            Of the lines, or of the heat maps.

        Returns
        -------
        ThresholdCurveDisplay

        Raises
        ------
        ValueError
            If shapes differ, no attribute is binary, or a name is unknown.

        Warns
        -----
        UndefinedAttributeWarning
            If attributes are left out because none of their known labels is positive.
        """
        scored = score_predictions(y_true, y_score, attributes, classes, missing_label)
        return cls._of(scored, metrics, thresholds, select, ax, kwargs)

    @classmethod
    def _of(
        cls, scored: ScoredLabels, metrics: Any, thresholds: Any, select: Any, ax: Any, kwargs: Any
    ) -> Self:
        metrics = _checked_metrics(metrics)
        positions = binary_positions(scored, select, "thresholds are of")
        cuts = cuts_of(thresholds, scored, positions)
        kept = [i for i, j in enumerate(positions) if (scored.codes[:, j] == 1).any()]
        absent = [scored.names[j] for i, j in enumerate(positions) if i not in set(kept)]
        leave_out(absent, "no label that is known to be positive", len(kept))
        curves = []
        for i in kept:
            codes, scores = scored.known(positions[i])
            parts = precision_recall_curve(codes, scores)
            curves.append((parts[2].astype(np.float64), parts[0][:-1], parts[1][:-1]))
        found, precision, recall = (list(part) for part in zip(*curves, strict=True))
        names = [scored.names[positions[i]] for i in kept]
        display = cls(
            names,
            found,
            precision,
            recall,
            cuts[kept],
            is_proba=scored.scores.is_proba,
            metrics=metrics,
        )
        return display.plot(ax, **kwargs)

    def at(self, metric: str, thresholds: Any) -> NDArray[np.float64]:
        """Return the value of a metric at any threshold.

        Parameters
        ----------
        metric : {"precision", "recall", "f1"}
        thresholds : array-like of shape (L,) or (L, n_thresholds)

        Returns
        -------
        ndarray of the shape of `thresholds`, float64
            Above the highest score recall and F1 are 0, and precision is NaN.
        """
        [metric] = _checked_metrics(metric)
        beyond = np.nan if metric == "precision" else 0.0
        rows = np.asarray(thresholds, dtype=np.float64)
        result = np.empty(rows.shape)
        triples = zip(rows, self.thresholds, getattr(self, metric), strict=True)
        for i, (row, found, values) in enumerate(triples):
            result[i] = np.append(values, beyond)[np.searchsorted(found, row)]
        return result

    def plot(self, ax: Any = None, *, metrics: Any = None, **kwargs: Any) -> Self:
        """Draw the curves.

        Parameters
        ----------
        ax : Axes, default=None
        metrics : sequence of {"precision", "recall", "f1"}, or one of them, default=None
            None draws those of the constructor.
        **kwargs : dict
            Of the lines, or of the heat maps.

        Returns
        -------
        ThresholdCurveDisplay
            Itself, with `ax_` and `figure_`.
        """
        wanted = _checked_metrics(self.metrics if metrics is None else metrics)
        n = len(self.names)
        with drawing("ThresholdCurveDisplay") as plt:
            if n == 1:
                self._plot_one(one_axes(plt, ax, (4.2, 3.0)), wanted, kwargs)
            elif n <= FEW and len(wanted) == 1:
                self._plot_few(one_axes(plt, ax, (5.0, 3.2)), wanted[0], kwargs)
            elif n <= SOME:
                self._plot_some(plt, ax, wanted, kwargs)
            else:
                self._plot_many(plt, ax, wanted, kwargs)
        return self

    @property
    def _label(self) -> str:
        return "Threshold (probability)" if self.is_proba else "Threshold (score)"

    def _lines(self, ax: Any, i: int, metric: str, line: dict[str, Any], marker: str = "o") -> Any:
        """Draw one curve and the mark at its cut; return its line."""
        found, values = self.thresholds[i], getattr(self, metric)[i]
        if self.is_proba:  # below the lowest score nothing changes
            found, values = np.append(0.0, found), np.append(values[0], values)
        at = thinned(len(found))
        [drawn] = ax.plot(found[at], values[at], drawstyle="steps-pre", **line)
        look = {"color": drawn.get_color(), "markersize": 4, "clip_on": False}
        ax.plot(self.cuts[i], self.at(metric, self.cuts)[i], marker, **look)
        return drawn

    def _scale(self, ax: Any) -> None:
        unit_ticks(ax, x=self.is_proba)

    def _plot_one(self, ax: Any, metrics: tuple[str, ...], kwargs: dict[str, Any]) -> None:
        self._scale(ax)
        ends = []
        for metric in metrics:
            color, style = _LINES[metric]
            line = {"color": color, "linestyle": style, **kwargs}
            drawn = self._lines(ax, 0, metric, line)
            x, y = drawn.get_xdata()[-1], drawn.get_ydata()[-1]
            ends.append((x, y, _TITLES[metric], drawn.get_color()))
        ax.axvline(self.cuts[0], color=GREY, linewidth=0.8, linestyle=(0, (4, 2)), zorder=0)
        ax.set(xlabel=self._label, ylabel=_TITLES[metrics[0]] if len(metrics) == 1 else "Value")
        ax.set_title(f"{shown(self.names[0])} ≥ {self.cuts[0]:.2f}")
        label_ends(ax, ends)
        strip(ax)
        self.ax_, self.figure_ = ax, ax.figure

    def _plot_few(self, ax: Any, metric: str, kwargs: dict[str, Any]) -> None:
        self._scale(ax)
        values = self.at(metric, self.cuts)
        for i in np.argsort(-values, kind="stable"):
            text = f"{shown(self.names[i])} ≥ {self.cuts[i]:.2f}: {values[i]:.2f}"
            look = {"color": COLOURS[i], "linestyle": _LINES_OF_ONE_METRIC[i], "label": text}
            self._lines(ax, i, metric, {**look, **kwargs}, MARKERS[i])
        ax.set(xlabel=self._label, ylabel=_TITLES[metric])
        legend_beside(ax)
        strip(ax)
        self.ax_, self.figure_ = ax, ax.figure

    def _plot_some(
        self, plt: Any, ax: Any, metrics: tuple[str, ...], kwargs: dict[str, Any]
    ) -> None:
        n = len(self.names)
        columns = n_columns(n)
        side = 2.2 if n <= FEW else 1.15
        size = (max(columns * side, 3.4), -(-n // columns) * (side * 0.9 + 0.12) + 0.6)
        figure = subfigure(plt, ax, size)
        axes = panels(figure, n, columns)
        limit, text = (24, 8) if n <= FEW else (10, 7)
        for i, (panel, name) in enumerate(zip(axes, self.names, strict=True)):
            self._scale(panel)
            for metric in metrics:
                color, style = _LINES[metric]
                line = {"color": color, "linestyle": style, "linewidth": 1, **kwargs}
                self._lines(panel, i, metric, line)
            panel.axvline(self.cuts[i], color=GREY, linewidth=0.7, linestyle=(0, (4, 2)), zorder=0)
            panel.set_title(f"{shown(name, limit)} ≥ {self.cuts[i]:.2f}", pad=3, fontsize=text)
            strip(panel)
        figure.supxlabel(self._label)
        only = _TITLES[metrics[0]] if len(metrics) == 1 else None
        entries = [
            (_TITLES[metric], {"color": _LINES[metric][0], "linestyle": _LINES[metric][1]})
            for metric in metrics
        ]
        figure.supylabel(only or "Value")
        cut = {"color": GREY, "linestyle": (0, (4, 2)), "linewidth": 0.8}
        key(figure, [*([] if only else entries), ("chosen cut", cut)])
        self.ax_, self.figure_ = np.array(axes), figure

    def _plot_many(
        self, plt: Any, ax: Any, metrics: tuple[str, ...], kwargs: dict[str, Any]
    ) -> None:
        n = len(self.names)
        height = min(9.0, 1.2 + 0.12 * n)
        figure = subfigure(plt, ax, (1.6 + 2.4 * len(metrics), height))
        axes = figure.subplots(1, len(metrics), sharex=True, sharey=True, squeeze=False)[0]
        sorted_by = "f1" if "f1" in metrics else metrics[0]
        order = np.argsort(-np.nan_to_num(self.at(sorted_by, self.cuts), nan=-1), kind="stable")
        low, high = 0.0, 1.0
        if not self.is_proba:
            low = min(float(found[0]) for found in self.thresholds)
            high = max(float(found[-1]) for found in self.thresholds)
        grid = np.linspace(low, high, 201)
        half = (grid[1] - grid[0]) / 2
        look = {"cmap": "viridis", "vmin": 0, "vmax": 1, "interpolation": "nearest", **kwargs}
        for panel, metric in zip(axes, metrics, strict=True):
            values = self.at(metric, np.broadcast_to(grid, (n, len(grid))))[order]
            panel.set_facecolor(PALE)
            extent = (low - half, high + half, n - 0.5, -0.5)
            image = panel.imshow(values, aspect="auto", extent=extent, **look)
            panel.plot(
                self.cuts[order], np.arange(n), "o", color="white", markeredgecolor="black",
                markeredgewidth=0.5, markersize=2.6, clip_on=False,
            )  # fmt: skip
            panel.set_title(_TITLES[metric])
            if self.is_proba:
                panel.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
            strip(panel)
        inches = height - 1.0 if ax is None else ax.get_window_extent().height / ax.figure.dpi
        name_ticks(axes[0].yaxis, [self.names[i] for i in order], inches)
        figure.supxlabel(self._label)
        axes[0].set_ylabel(f"{n} attributes, by {_TITLES[sorted_by]} at the cut (○)")
        bar = figure.colorbar(image, ax=list(axes), fraction=0.03, pad=0.01)
        bar.set_label("Value (gray: nothing predicted)")
        bar.outline.set_visible(False)
        self.ax_, self.figure_ = np.array(axes), figure


def _f1(precision: Array, recall: Array) -> NDArray[np.float64]:
    total = precision + recall
    result = np.zeros(len(total))
    np.divide(2 * precision * recall, total, out=result, where=total > 0)
    return result


def _checked_metrics(metrics: Any) -> tuple[str, ...]:
    wanted = (metrics,) if isinstance(metrics, str) else tuple(metrics)
    if not wanted or set(wanted) - set(METRICS):
        raise ValueError(f"`metrics` must be one or more of {list(METRICS)}, got {metrics!r}.")
    return wanted
