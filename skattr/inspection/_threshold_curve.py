"""Precision, recall and F1 as functions of the threshold."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve

from skattr.inspection._predictions import (
    Declared,
    ScoredLabels,
    binary_positions,
    chosen_thresholds,
    get_thresholds,
    score_estimator,
    score_predictions,
    warn_left_out,
)
from skattr.inspection._style import (
    COLORS,
    DASHED,
    GRAY,
    MARKERS,
    MAX_LINES,
    MAX_PANELS,
    PALE,
    add_colorbar,
    display_name,
    figure_legend,
    get_axes,
    grid_columns,
    hide_spines,
    label_line_ends,
    label_ticks,
    legend_right,
    make_figure,
    make_panels,
    make_row_figure,
    plot_context,
    thin_positions,
    unit_ticks,
)

Array = NDArray[Any]
METRICS = ("precision", "recall", "f1")
_TITLES = {"precision": "Precision", "recall": "Recall", "f1": "F1"}
_LINES: dict[str, dict[str, Any]] = {
    "precision": {"color": COLORS[0], "linestyle": "--"},
    "recall": {"color": COLORS[1], "linestyle": ":"},
    "f1": {"color": COLORS[2], "linestyle": "-"},
}
_LINESTYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1)), (0, (1, 1)))


class ThresholdCurveDisplay:
    """Precision, recall and F1 of binary attributes as functions of the threshold.

    The chosen threshold of each attribute is marked. One attribute is drawn in one panel, and so
    are up to six attributes with a single metric. Up to 48 attributes are drawn as small
    multiples. More are drawn as heat maps with one row per attribute, sorted by the metric at the
    chosen threshold.

    Parameters
    ----------
    names : list of length L
    thresholds, precision, recall : list of ndarray of shape (n_thresholds,), float64
        For each attribute its increasing thresholds, and the metrics of the prediction
        ``score >= threshold``.
    chosen : ndarray of shape (L,)
        The chosen thresholds.
    is_proba : bool, default=True
        Whether the scores are probabilities.
    metrics : sequence of {"precision", "recall", "f1"}
        Metrics to draw.

    Attributes
    ----------
    f1 : list of ndarray of shape (n_thresholds,), float64
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
        chosen: Any,
        *,
        is_proba: bool = True,
        metrics: Sequence[str] = METRICS,
    ) -> None:
        self.names = names
        self.thresholds = thresholds
        self.precision = precision
        self.recall = recall
        self.chosen = np.asarray(chosen, dtype=np.float64)
        self.is_proba = is_proba
        self.metrics = metrics

    @property
    def f1(self) -> list[Array]:
        """F1 at each threshold; 0 if precision and recall are 0."""
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
            Rows that it cannot read (``on_bad_image="warn"``) are left out.
        y : array-like of shape (n,) or (n, L), Series or DataFrame
            Missing labels are left out, attribute by attribute.
        metrics, select, ax, **kwargs
            As for :meth:`from_predictions`.
        thresholds : number, dict by name or array-like, default=None
            None reads `best_threshold_` of the classifier or of the last step
            of a pipeline. Without such an attribute it is 0.5 for probabilities and 0 for
            decisions.
        response_method : {"auto", "predict_proba", "decision_function"}, default="auto"
        missing_label : scalar, default=None
            Additional value of y that marks a missing label. None uses the estimator's own.

        Returns
        -------
        ThresholdCurveDisplay
        """
        scored = score_estimator(estimator, X, y, response_method, missing_label)
        if thresholds is None:
            thresholds = get_thresholds(estimator)
        return cls._of(scored, metrics, thresholds, select, ax, kwargs)

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
            Thresholds to mark: one per attribute, per binary attribute or per drawn attribute.
            None means 0.5 if all scores are between 0 and 1, else 0.
        select : sequence of names or positions, default=None
            The attributes to draw. None draws all binary attributes.
        attributes, missing_label : default=None
            Parameters of the :class:`skattr.AttributeEncoder` that reads y_true.
        ax : Axes, default=None
            None makes a figure. For several panels the axes must be part of a grid.
        **kwargs : dict
            Properties of the lines, or arguments of ``imshow``.

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
            If attributes without a positive label are left out.
        """
        scored = score_predictions(y_true, y_score, attributes, missing_label)
        return cls._of(scored, metrics, thresholds, select, ax, kwargs)

    @classmethod
    def _of(
        cls, scored: ScoredLabels, metrics: Any, thresholds: Any, select: Any, ax: Any, kwargs: Any
    ) -> Self:
        metrics = _checked_metrics(metrics)
        positions = np.array(binary_positions(scored, select))
        chosen = chosen_thresholds(thresholds, scored, positions.tolist())
        has_positive = (scored.codes[:, positions] == 1).any(axis=0)
        left_out = [scored.names[j] for j in positions[~has_positive]]
        warn_left_out(left_out, "no positive label", int(has_positive.sum()))
        drawn = positions[has_positive]
        curves = [precision_recall_curve(*scored.known(j)) for j in drawn]
        display = cls(
            [scored.names[j] for j in drawn],
            [values.astype(np.float64) for _, _, values in curves],
            [precision[:-1] for precision, _, _ in curves],  # the last point has no threshold
            [recall[:-1] for _, recall, _ in curves],
            chosen[has_positive],
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
            Above the highest score, recall and F1 are 0 and precision is NaN.
        """
        [metric] = _checked_metrics(metric)
        above_all = np.nan if metric == "precision" else 0.0
        rows = np.asarray(thresholds, dtype=np.float64)
        result = np.empty(rows.shape)
        triples = zip(rows, self.thresholds, getattr(self, metric), strict=True)
        for i, (row, curve_thresholds, values) in enumerate(triples):
            result[i] = np.append(values, above_all)[np.searchsorted(curve_thresholds, row)]
        return result

    def plot(self, ax: Any = None, *, metrics: Any = None, **kwargs: Any) -> Self:
        """Draw the curves.

        Parameters
        ----------
        ax : Axes, default=None
        metrics : sequence of {"precision", "recall", "f1"}, or one of them, default=None
            None uses the metrics of the constructor.
        **kwargs : dict
            Properties of the lines, or arguments of ``imshow``.

        Returns
        -------
        ThresholdCurveDisplay
            The display itself, with `ax_` and `figure_`.
        """
        drawn = _checked_metrics(self.metrics if metrics is None else metrics)
        n = len(self.names)
        with plot_context("ThresholdCurveDisplay") as plt:
            if n == 1:
                self._plot_one(get_axes(plt, ax, (4.2, 3.0)), drawn, kwargs)
            elif n <= MAX_LINES and len(drawn) == 1:
                self._plot_few(get_axes(plt, ax, (5.0, 3.2)), drawn[0], kwargs)
            elif n <= MAX_PANELS:
                self._plot_panels(plt, ax, drawn, kwargs)
            else:
                self._plot_many(plt, ax, drawn, kwargs)
        return self

    @property
    def _label(self) -> str:
        return "Threshold (probability)" if self.is_proba else "Threshold (score)"

    def _draw_curve(
        self, ax: Any, i: int, metric: str, line: dict[str, Any], marker: str = "o"
    ) -> Any:
        """Draw one curve and a marker at the chosen threshold; return the line."""
        thresholds, values = self.thresholds[i], getattr(self, metric)[i]
        if self.is_proba:  # below the lowest score the prediction does not change
            thresholds, values = np.append(0.0, thresholds), np.append(values[0], values)
        at = thin_positions(len(thresholds))
        [curve] = ax.plot(thresholds[at], values[at], drawstyle="steps-pre", **line)
        look = {"color": curve.get_color(), "markersize": 4, "clip_on": False}
        ax.plot(self.chosen[i], self.at(metric, self.chosen)[i], marker, **look)
        return curve

    def _title(self, i: int, limit: int = 28) -> str:
        return f"{display_name(self.names[i], limit)} ≥ {self.chosen[i]:.2f}"

    def _plot_one(self, ax: Any, metrics: tuple[str, ...], kwargs: dict[str, Any]) -> None:
        unit_ticks(ax, x=self.is_proba)
        ends = []
        for metric in metrics:
            curve = self._draw_curve(ax, 0, metric, {**_LINES[metric], **kwargs})
            x, y = curve.get_xdata()[-1], curve.get_ydata()[-1]
            ends.append((x, y, _TITLES[metric], curve.get_color()))
        ax.axvline(self.chosen[0], color=GRAY, linewidth=0.8, linestyle=DASHED, zorder=0)
        ax.set(xlabel=self._label, ylabel=_TITLES[metrics[0]] if len(metrics) == 1 else "Value")
        ax.set_title(self._title(0))
        label_line_ends(ax, ends)
        hide_spines(ax)
        self.ax_, self.figure_ = ax, ax.figure

    def _plot_few(self, ax: Any, metric: str, kwargs: dict[str, Any]) -> None:
        unit_ticks(ax, x=self.is_proba)
        values = self.at(metric, self.chosen)
        for i in np.argsort(-values, kind="stable"):
            text = f"{self._title(i)}: {values[i]:.2f}"
            look = {"color": COLORS[i], "linestyle": _LINESTYLES[i], "label": text}
            self._draw_curve(ax, i, metric, {**look, **kwargs}, MARKERS[i])
        ax.set(xlabel=self._label, ylabel=_TITLES[metric])
        legend_right(ax)
        hide_spines(ax)
        self.ax_, self.figure_ = ax, ax.figure

    def _plot_panels(
        self, plt: Any, ax: Any, metrics: tuple[str, ...], kwargs: dict[str, Any]
    ) -> None:
        n = len(self.names)
        columns = grid_columns(n)
        side = 2.2 if n <= MAX_LINES else 1.15
        size = (max(columns * side, 3.4), -(-n // columns) * (side * 0.9 + 0.12) + 0.6)
        figure = make_figure(plt, ax, size)
        axes = make_panels(figure, n, columns)
        limit, text = (24, 8) if n <= MAX_LINES else (10, 7)
        for i, panel in enumerate(axes):
            unit_ticks(panel, x=self.is_proba)
            for metric in metrics:
                self._draw_curve(panel, i, metric, {**_LINES[metric], "linewidth": 1, **kwargs})
            panel.axvline(self.chosen[i], color=GRAY, linewidth=0.7, linestyle=DASHED, zorder=0)
            panel.set_title(self._title(i, limit), pad=3, fontsize=text)
            hide_spines(panel)
        figure.supxlabel(self._label)
        is_single = len(metrics) == 1
        figure.supylabel(_TITLES[metrics[0]] if is_single else "Value")
        lines = [] if is_single else [(_TITLES[metric], _LINES[metric]) for metric in metrics]
        mark: dict[str, Any] = {"color": GRAY, "linestyle": DASHED, "linewidth": 0.8}
        figure_legend(figure, *lines, ("chosen threshold", mark))
        self.ax_, self.figure_ = np.array(axes), figure

    def _plot_many(
        self, plt: Any, ax: Any, metrics: tuple[str, ...], kwargs: dict[str, Any]
    ) -> None:
        n = len(self.names)
        figure, inches = make_row_figure(plt, ax, 1.6 + 2.4 * len(metrics), n)
        axes = figure.subplots(1, len(metrics), sharex=True, sharey=True, squeeze=False)[0]
        sorted_by = "f1" if "f1" in metrics else metrics[0]
        order = np.argsort(-np.nan_to_num(self.at(sorted_by, self.chosen), nan=-1), kind="stable")
        low, high = 0.0, 1.0
        if not self.is_proba:
            low = min(float(thresholds[0]) for thresholds in self.thresholds)
            high = max(float(thresholds[-1]) for thresholds in self.thresholds)
        grid = np.linspace(low, high, 201)
        half = (grid[1] - grid[0]) / 2
        look = {"cmap": "viridis", "vmin": 0, "vmax": 1, "interpolation": "nearest", **kwargs}
        for panel, metric in zip(axes, metrics, strict=True):
            values = self.at(metric, np.broadcast_to(grid, (n, len(grid))))[order]
            panel.set_facecolor(PALE)
            extent = (low - half, high + half, n - 0.5, -0.5)
            image = panel.imshow(values, aspect="auto", extent=extent, **look)
            panel.plot(
                self.chosen[order], np.arange(n), "o", color="white", markeredgecolor="black",
                markeredgewidth=0.5, markersize=2.6, clip_on=False,
            )  # fmt: skip
            panel.set_title(_TITLES[metric])
            if self.is_proba:
                panel.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
            hide_spines(panel)
        label_ticks(axes[0].yaxis, [self.names[i] for i in order], inches)
        figure.supxlabel(self._label)
        axes[0].set_ylabel(f"{n} attributes, by {_TITLES[sorted_by]} at the threshold (○)")
        label = "Value (gray: nothing predicted)"
        add_colorbar(figure, image, list(axes), label, fraction=0.03, pad=0.01)
        self.ax_, self.figure_ = np.array(axes), figure


def _f1(precision: Array, recall: Array) -> NDArray[np.float64]:
    total = precision + recall
    result = np.zeros(len(total))
    np.divide(2 * precision * recall, total, out=result, where=total > 0)
    return result


def _checked_metrics(metrics: Any) -> tuple[str, ...]:
    names = (metrics,) if isinstance(metrics, str) else tuple(metrics)
    if not names or set(names) - set(METRICS):
        raise ValueError(f"`metrics` must be one or more of {list(METRICS)}; got {metrics!r}.")
    return names
