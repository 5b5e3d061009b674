"""Attributes ranked by a metric, with bootstrap intervals."""

import inspect
import math
import warnings
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import check_consistent_length

from skattr._multioutput.classes import encoder_for, match_outputs
from skattr._multioutput.scores import as_predict_proba
from skattr._multioutput.unreadable import check_predicted_rows, select_response
from skattr._targets.alignment import align_rows
from skattr._targets.columns import fill_masked, read_labels
from skattr._targets.declarations import as_attributes
from skattr._targets.encoder import AttributeEncoder
from skattr.inspection import _style as style
from skattr.inspection._keywords import artist_options, check_params
from skattr.inspection._metric_names import Metric, metric_of, names_of, takes_scores, title_of
from skattr.inspection._predictions import attribute_positions, score_estimator, shown_names
from skattr.metrics._bootstrap import BootstrapDraws

Array = NDArray[Any]
_BARS = 16  # attributes up to which bars are drawn, then dots
_COLUMN = 52  # attributes up to which one column is high enough for all names


@dataclass(eq=False, repr=False)
class AttributeScoresDisplay:
    """Attributes sorted by their score.

    Up to 16 attributes are drawn as bars, more as dots in columns of up to 52.

    Parameters
    ----------
    values : ndarray of shape (L,), float64
        Score of each attribute. Undefined scores (NaN) are listed last, without a mark.
    low, high : ndarray of shape (L,), float64, or None
        Limits of the intervals.
    names : list of length L
        Of the attributes, such as "hat" or, with the positive one of two strings, "gender=Women".
    metric_name : str
        Label of the axis.
    confidence : float, default=None
        Confidence level of the intervals, for the label.

    Attributes
    ----------
    order : ndarray of shape (L,), int
        Positions from the highest to the lowest score; undefined scores are last.
    ax_ : Axes, or ndarray of Axes if there are several columns
    figure_ : Figure or SubFigure

    Examples
    --------
    >>> from skattr.inspection import AttributeScoresDisplay
    >>> y = [[1, None], [0, 1], [1, 0], [0, 1]]
    >>> predicted = [[1, 1], [1, 1], [1, 0], [0, 1]]
    >>> display = AttributeScoresDisplay.from_predictions(y, predicted, confidence=None)
    >>> display.values, display.order
    (array([0.8, 1. ]), array([1, 0]))
    """

    values: Any
    low: Any
    high: Any
    names: Sequence[Any]
    _: KW_ONLY
    metric_name: str = "Score"
    confidence: float | None = None

    def __post_init__(self) -> None:
        self.values = np.asarray(self.values, dtype=np.float64)
        self.low = None if self.low is None else np.asarray(self.low, dtype=np.float64)
        self.high = None if self.high is None else np.asarray(self.high, dtype=np.float64)
        self.names = list(self.names)

    @property
    def order(self) -> NDArray[np.intp]:
        """Positions of the attributes from the highest to the lowest score."""
        return np.argsort(-self.values, kind="stable")

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        metric: Metric = "f1",
        confidence: float | None = 0.95,
        n_bootstrap: int = 200,
        groups: Any = None,
        random_state: Any = 0,
        select: Any = None,
        missing_label: Any = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Draw the scores of a fitted classifier.

        Parameters
        ----------
        estimator : fitted multi-output classifier
            Its labels are used, or its scores if `metric` takes scores.
        X : n rows as the classifier takes them
            Rows that it cannot read (``on_bad_image="warn"``) are left out.
        y : array-like of shape (n,) or (n, L), Series or DataFrame
        missing_label : scalar, default=None
            Additional value of y that marks a missing label. None uses the estimator's own.
        metric, confidence, n_bootstrap, groups, random_state, select, ax, **kwargs
            As for :meth:`from_predictions`.

        Returns
        -------
        AttributeScoresDisplay
        """
        X, y, groups = align_rows(X=X, y=y, groups=groups)
        y, _ = match_outputs(estimator, y)
        encoder = encoder_for(estimator, y, missing_label)
        options: dict[str, Any] = {"missing_label": encoder.missing_label}
        function = metric_of(metric)
        if "attributes" in inspect.signature(function).parameters:
            names, classes = encoder.output_names_, encoder.classes_
            options["attributes"] = as_attributes(names, encoder.kinds_, classes)
        if takes_scores(function):
            scored = score_estimator(estimator, X, y, "auto", missing_label)
            unreadable = check_predicted_rows(estimator, scored.scores)
            predicted = as_predict_proba(scored.scores, encoder)
        else:
            predicted = estimator.predict(X)
            unreadable = check_predicted_rows(estimator, predicted)
        if unreadable.any():
            rows = np.flatnonzero(~unreadable)
            y, predicted = _safe_indexing(y, rows), select_response(predicted, rows)
            groups = None if groups is None else _safe_indexing(groups, rows)
        return cls.from_predictions(
            y, predicted, metric=metric, confidence=confidence, n_bootstrap=n_bootstrap,
            groups=groups, random_state=random_state, select=select, metric_params=options, ax=ax,
            **kwargs,
        )  # fmt: skip

    @classmethod
    def from_predictions(
        cls,
        y_true: Any,
        y_pred: Any,
        *,
        metric: Metric = "f1",
        metric_params: dict[str, Any] | None = None,
        confidence: float | None = 0.95,
        n_bootstrap: int = 200,
        groups: Any = None,
        random_state: Any = 0,
        select: Any = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Draw the scores of given predictions.

        Parameters
        ----------
        y_true : array-like of shape (n,) or (n, L), Series or DataFrame
            Missing labels are left out.
        y_pred : array-like of shape (n, L), or list of ndarray of shape (n, n_classes)
            Labels, or scores if `metric` takes scores.
        metric : str or callable, default="f1"
            A function of :mod:`skattr.metrics` with a parameter `average`, its name, or its name
            without "_score". Any other function is called as ``metric(y_true, y_pred,
            average=None, sample_weight=...)`` and must return one value per attribute.
        metric_params : dict, default=None
            Further arguments of `metric`, such as `attributes`, or the `beta` of
            "fbeta".
        confidence : float, default=0.95
            Confidence level of the intervals. None draws no intervals.
        n_bootstrap : int, default=200
            Number of resamples of the rows. The limits of an interval are their quantiles.
        groups : array-like of shape (n,), default=None
            Rows of one group, such as the images of one person, are resampled together.
        random_state : int, RandomState or None, default=0
        select : sequence of names or positions, default=None
            The attributes to draw. None draws all.
        ax : Axes, default=None
            None makes a figure, with several columns for many attributes.
        **kwargs : dict
            Properties of the bars or dots.

        Returns
        -------
        AttributeScoresDisplay

        Raises
        ------
        ValueError
            If the metric is unknown or does not return one value per attribute, or if
            `confidence`, `n_bootstrap` or `groups` is invalid.
        TypeError
            If a keyword, or a name in `metric_params`, is unknown; the message lists the valid
            ones.

        Notes
        -----
        A resample weights the rows instead of copying them, so that every resample has all
        classes. A resample in which the metric of an attribute is undefined is not used for it.
        """
        function = metric_of(metric)
        y_true, y_pred, groups = align_rows(y_true=y_true, y_pred=y_pred, groups=groups)
        params = {"average": None, **(metric_params or {})}
        check_params(function, params, "metric_params")
        y_true = fill_masked(y_true)
        if confidence is not None and n_bootstrap < 2:
            raise ValueError(f"n_bootstrap must be at least 2; got {n_bootstrap!r}.")
        values = np.atleast_1d(np.asarray(function(y_true, y_pred, **params), dtype=np.float64))
        names = names_of(y_true, len(values))
        drawn = attribute_positions(select, names)
        shown = names
        if "attributes" in inspect.signature(function).parameters:
            missing_label = params.get("missing_label")
            encoder = AttributeEncoder(params.get("attributes"), missing_label)
            shown = shown_names(encoder.fit(read_labels(y_true, missing_label)))
        low = high = None
        if confidence is not None:
            draws = BootstrapDraws(len(y_true), confidence, n_bootstrap, groups, random_state)
            with warnings.catch_warnings():
                # Rare classes are missing from some resamples; such a warning per resample and
                # attribute would only repeat what the wide interval shows.
                warnings.simplefilter("ignore")
                resampled = [
                    np.atleast_1d(function(y_true, y_pred, sample_weight=weight, **params))
                    for weight in draws.times
                ]
            limits = draws.limits(np.array(resampled, dtype=np.float64))
            low, high = (limit[drawn] for limit in limits)
        title = title_of(metric)
        display = cls(
            values[drawn], low, high, [shown[j] for j in drawn],
            metric_name=title, confidence=confidence,
        )  # fmt: skip
        return display.plot(ax, **kwargs)

    @classmethod
    def from_scores(
        cls,
        values: Any,
        low: Any = None,
        high: Any = None,
        names: Sequence[Any] | None = None,
        *,
        metric_name: str = "Score",
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Draw given scores.

        Parameters
        ----------
        values : array-like of shape (L,), Series or dict by name
        low, high : array-like of shape (L,), default=None
            Limits of the intervals. Give both or neither.
        names : sequence of length L, default=None
            None uses the index of a Series, the keys of a dict, or "y0", "y1", ...
        metric_name : str, default="Score"
            Label of the axis.
        ax, **kwargs
            As for :meth:`from_predictions`.

        Returns
        -------
        AttributeScoresDisplay

        Raises
        ------
        ValueError
            If lengths differ, or only one of `low` and `high` is given.
        """
        series = pd.Series(values)
        if names is None:
            is_named = isinstance(values, pd.Series | dict)
            names = list(series.index) if is_named else [f"y{j}" for j in range(len(series))]
        if (low is None) != (high is None):
            raise ValueError("Pass both limits of the intervals, `low` and `high`, or neither.")
        check_consistent_length(series, names, low, high)
        if not len(series):
            raise ValueError("`values` is empty; there is no score to draw.")
        numbers = series.to_numpy(dtype=np.float64, na_value=np.nan)
        return cls(numbers, low, high, names, metric_name=metric_name).plot(ax, **kwargs)

    def plot(self, ax: Any = None, **kwargs: Any) -> Self:
        """Draw the scores.

        Parameters
        ----------
        ax : Axes, default=None
        **kwargs : dict
            Properties of the bars or dots.

        Returns
        -------
        AttributeScoresDisplay
            The display itself, with `ax_` and `figure_`.
        """
        n = len(self.names)
        columns = 1 if ax is not None else min(4, math.ceil(n / _COLUMN))
        depth = math.ceil(n / columns)
        with style.plot_context("AttributeScoresDisplay") as plt:
            kwargs = artist_options(self, "bars" if n <= _BARS else "lines", kwargs)
            if columns == 1:
                self.ax_ = style.get_axes(plt, ax, (4.6, 1.0 + max(n * 0.17, 0.5)))
                self.figure_ = self.ax_.figure
                set_label = self.ax_.set_xlabel
            else:
                size = (2.6 * columns + 0.4, min(9.5, 1.0 + depth * 0.15))
                self.figure_ = style.make_figure(plt, None, size)
                self.ax_ = self.figure_.subplots(1, columns, sharex=True)
                set_label = self.figure_.supxlabel
            axes = np.atleast_1d(self.ax_)
            for i, panel in enumerate(axes):
                self._draw_column(panel, self.order[i * depth : (i + 1) * depth], depth, kwargs)
            self._set_scale(axes[0])
            self._draw_mean(axes)
            text = self.metric_name
            if self.low is not None and self.confidence is not None:
                text += f" with {self.confidence:.0%} bootstrap interval"
            set_label(text if n <= _BARS else f"{text}, {n} attributes")
        return self

    def _draw_column(self, ax: Any, order: Array, depth: int, kwargs: dict[str, Any]) -> None:
        rows, values = np.arange(len(order)), self.values[order]
        ends, names = values, [self.names[i] for i in order]
        is_bar = len(self.names) <= _BARS
        ax.set_ylim(depth - 0.4, -0.6)
        if self.low is not None and self.high is not None:
            color = "black" if is_bar else style.GRAY
            ax.hlines(rows, self.low[order], self.high[order], color=color, linewidth=1, zorder=3)
            ends = np.fmax(values, self.high[order])
        if is_bar:
            ax.barh(rows, values, **{"height": 0.7, "color": "#9CC7E4", **kwargs})
            ax.set_yticks(rows, [style.display_name(name) for name in names])
            ax.tick_params(axis="y", length=0)
        else:
            grid = {"transform": ax.get_yaxis_transform(), "color": style.PALE, "linewidth": 0.4}
            ax.hlines(rows, 0, 1, **grid)
            look = {"color": style.COLORS[0], "marker": "o", "markersize": 3, "zorder": 4}
            ax.plot(values, rows, **{"linestyle": "none", **look, **kwargs})
            style.label_ticks(ax.yaxis, names)
        for row, value, end in zip(rows, values, ends, strict=True):
            if np.isnan(value):
                ax.text(
                    0.01, row, "undefined", transform=ax.get_yaxis_transform(), va="center",
                    fontsize=6.5, color=style.GRAY,
                )  # fmt: skip
            elif is_bar:
                # not ax.bar_label, which would write over the interval
                ax.annotate(
                    f"{value:.2f}", (max(end, 0), row), (4, 0), textcoords="offset points",
                    va="center", annotation_clip=False,
                    bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
                )  # fmt: skip

    def _draw_mean(self, axes: Array) -> None:
        if np.isnan(self.values).all():
            return
        mean, look = float(np.nanmean(self.values)), {"color": style.COLORS[1]}
        for ax in axes:
            ax.axvline(mean, linewidth=0.9, linestyle="--", zorder=2, **look)
        place = {"transform": axes[0].get_xaxis_transform(), "ha": "center", "va": "bottom"}
        axes[0].text(mean, 1, f"mean {mean:.2f}", **place, **look)

    def _set_scale(self, ax: Any) -> None:
        """Set the range of the scores: bars start at 0, and scores within [0, 1] end at 1."""
        is_bar = len(self.names) <= _BARS
        ends = [part for part in (self.values, self.low, self.high) if part is not None]
        values = np.concatenate(ends)
        values = values[np.isfinite(values)]
        low, high = (values.min(), values.max()) if len(values) else (0.0, 1.0)
        if low >= 0 and high <= 1:
            start = 0.0 if is_bar or low < 0.4 else max(0.0, math.floor(low * 10 - 0.5) / 10)
            ax.set_xlim(start, 1.0 + 0.02 * (1 - start) * (not is_bar))
        elif is_bar:
            ax.set_xlim(min(0.0, low * 1.05), max(0.0, high * 1.05))
