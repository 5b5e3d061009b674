"""Precision, recall and F1 as functions of the threshold."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve

from skattr.inspection import _style as style
from skattr.inspection._keywords import artist_options, image_options
from skattr.inspection._predictions import (
    Declared,
    ScoredLabels,
    binary_positions,
    chosen_thresholds,
    drawable_positions,
    get_thresholds,
    score_estimator,
    score_predictions,
)
from skattr.metrics._rates import harmonic_mean

Array = NDArray[Any]
METRICS = ("precision", "recall", "f1")
_LINES: dict[str, dict[str, Any]] = {
    "precision": {"label": "Precision", "color": style.COLORS[0], "linestyle": "--"},
    "recall": {"label": "Recall", "color": style.COLORS[1], "linestyle": ":"},
    "f1": {"label": "F1", "color": style.COLORS[2], "linestyle": "-"},
}
_LINESTYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1)), (0, (1, 1)))
_MOST_POINTS = 500  # of a line, which shows no more detail and keeps vector graphics small


@dataclass(eq=False, repr=False)
class ThresholdCurveDisplay:
    """Precision, recall and F1 of binary attributes as functions of the threshold.

    The chosen threshold of each attribute is marked. One attribute is drawn in one panel, and so
    are up to six attributes with a single metric. Up to 48 attributes are drawn as small
    multiples. More are drawn as heat maps with one row per attribute, sorted by the metric at the
    chosen threshold.

    Parameters
    ----------
    names : list of length L
        Of the attributes, such as "hat" or, with the positive one of two strings, "gender=Women".
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

    names: list[Any]
    thresholds: list[Array]
    precision: list[Array]
    recall: list[Array]
    chosen: Any
    _: KW_ONLY
    is_proba: bool = True
    metrics: Sequence[str] = METRICS

    def __post_init__(self) -> None:
        self.chosen = np.asarray(self.chosen, dtype=np.float64)

    @property
    def f1(self) -> list[Array]:
        """F1 at each threshold; 0 if precision and recall are 0."""
        pairs = zip(self.precision, self.recall, strict=True)
        return [harmonic_mean(precision, recall) for precision, recall in pairs]

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
        TypeError
            If a keyword is unknown; the message lists the valid ones.

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
        positions = binary_positions(scored, select)
        has_positive = (scored.codes == 1).any(axis=0)
        drawn = drawable_positions(scored, positions, has_positive, "no positive label")
        chosen = chosen_thresholds(thresholds, scored, positions)
        curves = [precision_recall_curve(*scored.known(j)) for j in drawn]
        display = cls(
            [scored.shown_names[j] for j in drawn],
            [values.astype(np.float64) for _, _, values in curves],
            [precision[:-1] for precision, _, _ in curves],  # the last point has no threshold
            [recall[:-1] for _, recall, _ in curves],
            chosen[has_positive[positions]],
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
        with style.plot_context("ThresholdCurveDisplay") as plt:
            kind = "lines" if n <= style.MAX_PANELS else "image"
            kwargs = artist_options(self, kind, kwargs)
            if n == 1 or (n <= style.MAX_LINES and len(drawn) == 1):
                self._plot_one_panel(style.get_axes(plt, ax, (5.0, 3.2)), drawn, kwargs)
            elif n <= style.MAX_PANELS:
                self._plot_panels(plt, ax, drawn, kwargs)
            else:
                self._plot_many(plt, ax, drawn, kwargs)
        return self

    @property
    def _xlabel(self) -> str:
        return "Threshold (probability)" if self.is_proba else "Threshold (score)"

    def _title(self, i: int, limit: int = 28) -> str:
        return f"{style.display_name(self.names[i], limit)} ≥ {self.chosen[i]:.2f}"

    def _draw_curve(self, ax: Any, i: int, metric: str, marker: str, line: dict[str, Any]) -> None:
        """Draw one curve and a marker at the chosen threshold."""
        thresholds, values = self.thresholds[i], getattr(self, metric)[i]
        if self.is_proba:  # below the lowest score the prediction does not change
            thresholds, values = np.append(0.0, thresholds), np.append(values[0], values)
        n = len(thresholds)
        points = np.unique(np.linspace(0, n - 1, min(n, _MOST_POINTS)).round().astype(int))
        line = {"drawstyle": "steps-pre", **line}
        [curve] = ax.plot(thresholds[points], values[points], **line)
        look = {"color": curve.get_color(), "markersize": 4, "clip_on": False}
        ax.plot(self.chosen[i], self.at(metric, self.chosen)[i], marker, **look)

    def _draw_attribute(
        self, ax: Any, i: int, metrics: tuple[str, ...], kwargs: dict[str, Any]
    ) -> None:
        """Draw the curves of an attribute and a line at its threshold."""
        for metric in metrics:
            self._draw_curve(ax, i, metric, "o", {**_LINES[metric], **kwargs})
        ax.axvline(self.chosen[i], label="chosen threshold", **style.REFERENCE)

    def _plot_one_panel(self, ax: Any, metrics: tuple[str, ...], kwargs: dict[str, Any]) -> None:
        """Draw the metrics of one attribute, or one metric of a few attributes."""
        style.unit_scale(ax, x=self.is_proba)
        if len(self.names) == 1:
            self._draw_attribute(ax, 0, metrics, kwargs)
            ax.set_title(self._title(0))
        else:
            values = self.at(metrics[0], self.chosen)
            for i in np.argsort(-values, kind="stable"):
                label = f"{self._title(i)}: {values[i]:.2f}"
                look = {"color": style.COLORS[i], "linestyle": _LINESTYLES[i], "label": label}
                self._draw_curve(ax, i, metrics[0], style.MARKERS[i], {**look, **kwargs})
        ax.set(xlabel=self._xlabel, ylabel=_axis_label(metrics))
        style.legend_right(ax)
        self.ax_, self.figure_ = ax, ax.figure

    def _plot_panels(
        self, plt: Any, ax: Any, metrics: tuple[str, ...], kwargs: dict[str, Any]
    ) -> None:
        side, limit, fontsize = (
            (2.2, 24, 8) if len(self.names) <= style.MAX_LINES else (1.15, 10, 7)
        )
        self.figure_, self.ax_ = style.make_panels(plt, ax, len(self.names), side)
        for i, panel in enumerate(self.ax_):
            style.unit_scale(panel, x=self.is_proba)
            self._draw_attribute(panel, i, metrics, {"linewidth": 1, **kwargs})
            panel.set_title(self._title(i, limit), pad=3, fontsize=fontsize)
        style.label_panels(self.figure_, self.ax_, self._xlabel, _axis_label(metrics))

    def _plot_many(
        self, plt: Any, ax: Any, metrics: tuple[str, ...], kwargs: dict[str, Any]
    ) -> None:
        n = len(self.names)
        width = 1.6 + 2.4 * len(metrics)
        self.figure_, self.ax_ = style.make_row_panels(plt, ax, n, width, len(metrics), sharex=True)
        sorted_by = "f1" if "f1" in metrics else metrics[0]
        order = np.argsort(-np.nan_to_num(self.at(sorted_by, self.chosen), nan=-1), kind="stable")
        low, high = 0.0, 1.0
        if not self.is_proba:
            low = min(float(thresholds[0]) for thresholds in self.thresholds)
            high = max(float(thresholds[-1]) for thresholds in self.thresholds)
        grid = np.linspace(low, high, 201)
        half = (grid[1] - grid[0]) / 2
        names, span = [self.names[i] for i in order], (low - half, high + half)
        dots = {"color": "white", "markeredgecolor": "black", "markeredgewidth": 0.5}
        for panel, metric in zip(self.ax_, metrics, strict=True):
            values = self.at(metric, np.broadcast_to(grid, (n, len(grid))))[order]
            scale = image_options({"cmap": "viridis", "vmin": 0, "vmax": 1}, kwargs)
            image = style.draw_rows(panel, values, names, span, scale)
            panel.plot(self.chosen[order], np.arange(n), "o", markersize=2.6, clip_on=False, **dots)
            panel.set_title(_LINES[metric]["label"])
            if self.is_proba:
                panel.set_xticks(*style.UNIT_TICKS)
        self.figure_.supxlabel(self._xlabel)
        by = _LINES[sorted_by]["label"]
        self.ax_[0].set_ylabel(f"{n} attributes, by {by} at the threshold (○)")
        label = "Value (gray: nothing predicted)"
        style.add_colorbar(self.figure_, image, list(self.ax_), label, fraction=0.03, pad=0.01)


def _axis_label(metrics: tuple[str, ...]) -> str:
    return str(_LINES[metrics[0]]["label"]) if len(metrics) == 1 else "Value"


def _checked_metrics(metrics: Any) -> tuple[str, ...]:
    names = (metrics,) if isinstance(metrics, str) else tuple(metrics)
    if not names or set(names) - set(METRICS):
        raise ValueError(f"`metrics` must be one or more of {list(METRICS)}; got {metrics!r}.")
    return names
