"""Calibration curves of predicted probabilities."""

from dataclasses import KW_ONLY, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.calibration import calibration_curve

from skattr._targets.encoder import is_binary
from skattr.inspection import _style as style
from skattr.inspection._heatmap import rounded_up
from skattr.inspection._keywords import artist_options, image_options
from skattr.inspection._predictions import (
    Declared,
    ScoredLabels,
    attribute_positions,
    drawable_positions,
    score_estimator,
    score_predictions,
)

Array = NDArray[Any]
_X, _Y = "Mean predicted probability", "Observed frequency"
_EDGES = np.linspace(0, 1, 21)  # of the histograms


@dataclass(eq=False, repr=False)
class ReliabilityDisplay:
    """Calibration curves: observed frequency as a function of the predicted probability.

    For a binary attribute the curve uses the probability of the positive class. For any other
    attribute it uses the highest probability of a row and the frequency with which that class is
    correct. Up to six attributes are drawn in one panel above the histograms of their
    probabilities. Up to 48 are drawn as small multiples. More are drawn as a heat map of observed
    minus predicted values, with the worst calibrated attribute first.

    Parameters
    ----------
    names : list of length L
        Of the attributes, such as "hat" or, with the positive one of two strings, "gender=Women".
    prob_true, prob_pred : list of ndarray of shape (n_bins,), float64
        Observed frequency and mean predicted probability of the bins that are not empty.
    counts : list of ndarray of shape (n_bins,), int
        Number of known labels in these bins.
    bins : list of ndarray of shape (n_bins,), int
        Indices of these bins.
    y_prob : list of ndarray
        Probabilities of the known labels.
    n_bins : int, default=10
    strategy : {"uniform", "quantile"}, default="uniform"

    Attributes
    ----------
    errors : ndarray of shape (L,), float64
        Expected calibration error: the mean of ``|prob_true - prob_pred|`` over known labels.
    ax_ : Axes, or ndarray of Axes if there are several panels
    figure_ : Figure or SubFigure

    Examples
    --------
    >>> from skattr.inspection import ReliabilityDisplay
    >>> y = [1, 0, 1, None, 1, 0]
    >>> proba = [0.8, 0.2, 0.8, 0.1, 0.2, 0.2]
    >>> display = ReliabilityDisplay.from_predictions(y, proba, n_bins=5)
    >>> display.prob_true[0].round(2), display.prob_pred[0].round(2)
    (array([0.33, 1.  ]), array([0.2, 0.8]))
    """

    names: list[Any]
    prob_true: list[Array]
    prob_pred: list[Array]
    counts: list[Array]
    bins: list[Array]
    y_prob: list[Array]
    _: KW_ONLY
    n_bins: int = 10
    strategy: str = "uniform"

    @property
    def errors(self) -> NDArray[np.float64]:
        """Expected calibration error of each attribute."""
        parts = zip(self.prob_true, self.prob_pred, self.counts, strict=True)
        return np.array([np.average(abs(true - pred), weights=n) for true, pred, n in parts])

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        n_bins: int = 10,
        strategy: str = "uniform",
        select: Any = None,
        missing_label: Any = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Draw the calibration curves of a fitted classifier.

        Parameters
        ----------
        estimator : fitted multi-output classifier with `predict_proba`
        X : n rows as the classifier takes them
            Rows that it cannot read (``on_bad_image="warn"``) are left out.
        y : array-like of shape (n,) or (n, L), Series or DataFrame
            Missing labels are left out, attribute by attribute.
        n_bins, strategy, select, ax, **kwargs
            As for :meth:`from_predictions`.
        missing_label : scalar, default=None
            Additional value of y that marks a missing label. None uses the estimator's own.

        Returns
        -------
        ReliabilityDisplay
        """
        scored = score_estimator(estimator, X, y, "predict_proba", missing_label)
        return cls._of(scored, n_bins, strategy, select, ax, kwargs)

    @classmethod
    def from_predictions(
        cls,
        y_true: Any,
        y_prob: Any,
        *,
        n_bins: int = 10,
        strategy: str = "uniform",
        select: Any = None,
        attributes: Declared = None,
        missing_label: Any = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Draw the calibration curves of given probabilities.

        Parameters
        ----------
        y_true : array-like of shape (n,) or (n, L), Series or DataFrame
            Missing labels are left out, attribute by attribute.
        y_prob : ndarray of shape (n, L), or list of ndarray of shape (n, n_classes)
        n_bins : int, default=10
        strategy : {"uniform", "quantile"}, default="uniform"
            Bins of equal width, or with equal numbers of known labels.
        select : sequence of names or positions, default=None
            The attributes to draw. None draws all.
        attributes, missing_label : default=None
            Parameters of the :class:`skattr.AttributeEncoder` that reads y_true.
        ax : Axes, default=None
            None makes a figure. The axes must be part of a grid, as they are divided.
        **kwargs : dict
            Properties of the curves, or arguments of ``imshow``.

        Returns
        -------
        ReliabilityDisplay

        Raises
        ------
        ValueError
            If shapes differ, a name is unknown, or scores are not probabilities.
        TypeError
            If a keyword is unknown; the message lists the valid ones.

        Warns
        -----
        UndefinedAttributeWarning
            If attributes without any known label are left out.
        """
        scored = score_predictions(y_true, y_prob, attributes, missing_label)
        return cls._of(scored, n_bins, strategy, select, ax, kwargs)

    @classmethod
    def _of(
        cls, scored: ScoredLabels, n_bins: int, strategy: str, select: Any, ax: Any, kwargs: Any
    ) -> Self:
        if not scored.scores.is_proba:
            raise ValueError("The scores are not probabilities: some are outside [0, 1].")
        has_labels = np.any(scored.codes >= 0, axis=0)
        positions = attribute_positions(select, scored.names)
        drawn = drawable_positions(scored, positions, has_labels, "no known label")
        binary = is_binary(scored.encoder)
        parts = []
        for j in drawn:
            codes, part = scored.known(j)
            event = codes == 1 if binary[j] else part.argmax(axis=1) == codes
            prob = np.clip(part if binary[j] else part.max(axis=1), 0, 1)
            true, pred = calibration_curve(
                event, prob, n_bins=n_bins, strategy=strategy, pos_label=True
            )
            bins, counts = _nonempty_bins(prob, n_bins, strategy)
            parts.append((true, pred, counts, bins, prob))
        values: list[list[Array]] = [list(part) for part in zip(*parts, strict=True)]
        names = [scored.shown_names[j] for j in drawn]
        return cls(names, *values, n_bins=n_bins, strategy=strategy).plot(ax, **kwargs)

    def plot(self, ax: Any = None, **kwargs: Any) -> Self:
        """Draw the curves.

        Parameters
        ----------
        ax : Axes of a grid, default=None
            None makes a figure.
        **kwargs : dict
            Properties of the curves, or arguments of ``imshow``.

        Returns
        -------
        ReliabilityDisplay
            The display itself, with `ax_` and `figure_`.
        """
        n = len(self.names)
        with style.plot_context("ReliabilityDisplay") as plt:
            kind = "lines" if n <= style.MAX_PANELS else "image"
            kwargs = artist_options(self, kind, kwargs)
            if n <= style.MAX_LINES:
                self._plot_few(plt, ax, kwargs)
            elif n <= style.MAX_PANELS:
                self._plot_panels(plt, ax, kwargs)
            else:
                self._plot_many(plt, ax, kwargs)
        return self

    def differences(self) -> NDArray[np.float64]:
        """Return the observed frequency minus the predicted probability of each bin.

        Returns
        -------
        ndarray of shape (L, n_bins), float64
            NaN for empty bins.
        """
        result = np.full((len(self.names), self.n_bins), np.nan)
        parts = zip(result, self.prob_true, self.prob_pred, self.bins, strict=True)
        for row, true, pred, bins in parts:
            row[bins] = true - pred
        return result

    def _plot_few(self, plt: Any, ax: Any, kwargs: dict[str, Any]) -> None:
        figure = style.make_figure(plt, ax, (4.8, 4.4))
        self.ax_, self.figure_ = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1]), figure
        upper, lower = self.ax_
        style.unit_scale(upper)
        upper.plot([0, 1], [0, 1], **style.REFERENCE)
        for i, name in enumerate(self.names):
            text = f"{style.display_name(name)}\nECE {self.errors[i]:.3f}"
            look = {"color": style.COLORS[i], "marker": style.MARKERS[i], "markersize": 4}
            look |= {"clip_on": False, "label": text, **kwargs}
            [line] = upper.plot(self.prob_pred[i], self.prob_true[i], **look)
            counts, _ = np.histogram(self.y_prob[i], _EDGES)
            lower.stairs(counts, _EDGES, color=line.get_color(), fill=len(self.names) == 1)
        style.legend_right(upper)
        upper.set_ylabel(_Y)
        lower.set(xlabel=_X, ylabel="Known labels")
        lower.yaxis.get_major_locator().set_params(nbins=3)

    def _plot_panels(self, plt: Any, ax: Any, kwargs: dict[str, Any]) -> None:
        self.figure_, self.ax_ = style.make_panels(plt, ax, len(self.names), 1.15)
        for i, panel in enumerate(self.ax_):
            style.unit_scale(panel)
            counts, _ = np.histogram(self.y_prob[i], _EDGES)
            bars = {"fill": True, "color": style.PALE, "zorder": 0, "label": "histogram"}
            panel.stairs(0.35 * counts / counts.max(), _EDGES, **bars)
            panel.plot([0, 1], [0, 1], label="perfect", **style.REFERENCE)
            look = {"color": style.COLORS[0], "marker": "o", "markersize": 2.5, "linewidth": 1}
            look |= {"label": "curve; title: calibration error", "clip_on": False, **kwargs}
            panel.plot(self.prob_pred[i], self.prob_true[i], **look)
            title = f"{style.display_name(self.names[i], 11)}  {self.errors[i]:.2f}"
            panel.set_title(title, pad=3, fontsize=7)
        style.label_panels(self.figure_, self.ax_, _X, _Y)

    def _plot_many(self, plt: Any, ax: Any, kwargs: dict[str, Any]) -> None:
        n = len(self.names)
        self.figure_, self.ax_ = style.make_row_panels(plt, ax, n, 6.2, 2, width_ratios=[3, 1.4])
        left, right = self.ax_
        errors = self.errors
        order = np.argsort(-errors, kind="stable")
        values = self.differences()[order]
        # a percentile, as a bin with few labels would otherwise set the scale for all
        limit = rounded_up(float(np.nanpercentile(abs(values), 95)))
        is_uniform = self.strategy == "uniform"
        span = (0.0, 1.0) if is_uniform else (0.5, self.n_bins + 0.5)
        scale = {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit}
        scale = image_options(scale, kwargs)
        image = style.draw_rows(left, values, [self.names[i] for i in order], span, scale)
        left.set_ylabel(f"{n} attributes, the worst calibrated first")
        left.set_xlabel("Predicted probability" if is_uniform else "Quantile of the probabilities")
        if is_uniform:
            left.set_xticks(*style.UNIT_TICKS)
        right.hlines(np.arange(n), 0, errors[order], color=style.PALE, linewidth=0.8)
        right.plot(errors[order], np.arange(n), "o", color=style.COLORS[0], markersize=2.5)
        right.set(xlabel="Expected calibration error", xlim=(0, None), ylim=(n - 0.5, -0.5))
        right.tick_params(axis="y", length=0, labelleft=False)
        label = "Observed − predicted (red: underconfident; gray: empty)"
        place = {"location": "top", "fraction": 0.03, "pad": 0.01, "extend": "both"}
        style.add_colorbar(self.figure_, image, left, label, **place)


def _nonempty_bins(prob: Array, n_bins: int, strategy: str) -> tuple[Array, Array]:
    """Return the indices and the counts of the bins that are not empty.

    The bins are those of :func:`sklearn.calibration.calibration_curve`.
    """
    steps = np.linspace(0.0, 1.0, n_bins + 1)
    edges = steps if strategy == "uniform" else np.percentile(prob, steps * 100)
    counts = np.bincount(np.searchsorted(edges[1:-1], prob), minlength=n_bins)
    bins = np.flatnonzero(counts)
    return bins, counts[bins]
