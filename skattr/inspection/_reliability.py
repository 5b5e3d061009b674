"""Calibration curves: whether probabilities mean what they say."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.calibration import calibration_curve

from skattr._targets.encoder import is_binary
from skattr.inspection._predictions import (
    Declared,
    ScoredLabels,
    leave_out,
    positions_of,
    score_estimator,
    score_predictions,
)
from skattr.inspection._style import (
    COLOURS,
    DIRECT,
    FEW,
    GREY,
    MARKERS,
    PALE,
    SOME,
    drawing,
    inches_of,
    key,
    label_ends,
    legend_beside,
    n_columns,
    name_ticks,
    panels,
    shown,
    strip,
    subfigure,
    unit_ticks,
)

Array = NDArray[Any]
_X, _Y = "Mean predicted probability", "Observed frequency"


class ReliabilityDisplay:
    """Calibration curves: how often what is predicted with some probability is so.

    Of a binary attribute it is the probability of the positive class, of any other the highest
    probability of a row and how often its class is the right one. Up to six attributes are
    drawn in one panel over the histograms of their probabilities; up to 48 in small multiples;
    more as a heat map of observed minus predicted, the worst calibrated first.

    Parameters
    ----------
    names : list of length L
    prob_true, prob_pred : list of ndarray of shape (n_bins,), float64
        Of the bins that are not empty: how often it was so, and the mean probability.
    counts : list of ndarray of shape (n_bins,), int
        Known labels in these bins.
    places : list of ndarray of shape (n_bins,), int
        Which bins these are.
    y_prob : list of ndarray
        Probabilities of the known entries.
    n_bins : int, default=10
    strategy : {"uniform", "quantile"}, default="uniform"

    Attributes
    ----------
    errors : ndarray of shape (L,), float64
        Expected calibration error: the mean of ``|prob_true - prob_pred|`` over known entries.
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

    def __init__(
        self,
        names: list[Any],
        prob_true: list[Array],
        prob_pred: list[Array],
        counts: list[Array],
        places: list[Array],
        y_prob: list[Array],
        *,
        n_bins: int = 10,
        strategy: str = "uniform",
    ) -> None:
        self.names = names
        self.prob_true = prob_true
        self.prob_pred = prob_pred
        self.counts = counts
        self.places = places
        self.y_prob = y_prob
        self.n_bins = n_bins
        self.strategy = strategy

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
            Rows that it could not read (``on_bad_image="warn"``) are left out.
        y : array-like of shape (n,) or (n, L), Series or DataFrame
            Missing labels are left out, attribute by attribute.
        n_bins, strategy, select, ax, **kwargs
            As for :meth:`from_predictions`.
        missing_label : scalar, default=None
            One more value of y that means unknown; None reads the estimator's own.

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
            Bins of equal width, or of equal numbers of known entries.
        select : sequence of names or positions, default=None
            The attributes to draw; None draws all.
        attributes, missing_label : default=None
            How y_true is read; see :class:`skattr.AttributeEncoder`.
        ax : Axes, default=None
            None makes a figure; else it must be in a grid, as it is divided.
        **kwargs : dict
            Of the curves, or of the heat map.

        Returns
        -------
        ReliabilityDisplay

        Raises
        ------
        ValueError
            If shapes differ, a name is unknown, or scores are no probabilities.

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
            raise ValueError("The scores are no probabilities: some lie outside of [0, 1].")
        positions = positions_of(select, scored.names)
        kept = [j for j in positions if (scored.codes[:, j] >= 0).any()]
        absent = [scored.names[j] for j in positions if j not in set(kept)]
        leave_out(absent, "no known label", len(kept))
        two = is_binary(scored.encoder)
        parts = []
        for j in kept:
            codes, part = scored.known(j)
            so = codes == 1 if two[j] else part.argmax(axis=1) == codes
            prob = np.clip(part if two[j] else part.max(axis=1), 0, 1)
            true, pred = calibration_curve(
                so, prob, n_bins=n_bins, strategy=strategy, pos_label=True
            )
            places, counts = _bins(prob, n_bins, strategy)
            parts.append((true, pred, counts, places, prob))
        values: list[list[Array]] = [list(part) for part in zip(*parts, strict=True)]
        names = [scored.names[j] for j in kept]
        return cls(names, *values, n_bins=n_bins, strategy=strategy).plot(ax, **kwargs)

    def plot(self, ax: Any = None, **kwargs: Any) -> Self:
        """Draw the curves.

        Parameters
        ----------
        ax : Axes of a grid, default=None
        **kwargs : dict
            Of the curves, or of the heat map.

        Returns
        -------
        ReliabilityDisplay
            Itself, with `ax_` and `figure_`.
        """
        n = len(self.names)
        with drawing("ReliabilityDisplay") as plt:
            if n <= FEW:
                self._plot_few(plt, ax, kwargs)
            elif n <= SOME:
                self._plot_some(plt, ax, kwargs)
            else:
                self._plot_many(plt, ax, kwargs)
        return self

    def _plot_few(self, plt: Any, ax: Any, kwargs: dict[str, Any]) -> None:
        figure = subfigure(plt, ax, (4.4, 4.4))
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
        unit_ticks(upper)
        upper.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=(0, (4, 2)), zorder=0)
        ends = []
        edges = np.linspace(0, 1, 21)
        for i, name in enumerate(self.names):
            text = f"{shown(name)}, ECE {self.errors[i]:.3f}"
            look = {"color": COLOURS[i], "marker": MARKERS[i], "markersize": 4, "label": text}
            [line] = upper.plot(
                self.prob_pred[i], self.prob_true[i], clip_on=False, **{**look, **kwargs}
            )
            x, y = float(self.prob_pred[i][-1]), float(self.prob_true[i][-1])
            ends.append((x, y, text.replace(", ", "\n"), line.get_color()))
            counts, _ = np.histogram(self.y_prob[i], edges)
            lower.stairs(counts, edges, color=line.get_color(), fill=len(self.names) == 1)
        if len(ends) <= DIRECT:
            label_ends(upper, ends)
        else:
            legend_beside(upper)
        upper.set_ylabel(_Y)
        lower.set(xlabel=_X, ylabel="Known labels")
        lower.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        lower.yaxis.get_major_locator().set_params(nbins=3)
        strip(upper)
        strip(lower)
        self.ax_, self.figure_ = np.array([upper, lower]), figure

    def _plot_some(self, plt: Any, ax: Any, kwargs: dict[str, Any]) -> None:
        n = len(self.names)
        columns = n_columns(n)
        size = (columns * 1.15, -(-n // columns) * 1.2 + 0.6)
        figure = subfigure(plt, ax, size)
        axes = panels(figure, n, columns)
        edges = np.linspace(0, 1, 21)
        for i, (panel, name) in enumerate(zip(axes, self.names, strict=True)):
            unit_ticks(panel)
            counts, _ = np.histogram(self.y_prob[i], edges)
            panel.stairs(0.35 * counts / counts.max(), edges, fill=True, color=PALE, zorder=0)
            panel.plot([0, 1], [0, 1], color=GREY, linewidth=0.7, linestyle=(0, (4, 2)), zorder=1)
            look = {"color": COLOURS[0], "marker": "o", "markersize": 2.5, "linewidth": 1, **kwargs}
            panel.plot(self.prob_pred[i], self.prob_true[i], clip_on=False, **look)
            panel.set_title(f"{shown(name, 11)}  {self.errors[i]:.2f}", pad=3, fontsize=7)
            strip(panel)
        figure.supxlabel(_X)
        figure.supylabel(_Y)
        key(
            figure,
            [
                ("curve, its calibration error in the title", {"color": COLOURS[0], "marker": "o"}),
                ("perfect", {"color": GREY, "linestyle": (0, (4, 2))}),
                ("histogram", {"color": PALE, "linewidth": 5}),
            ],
        )
        self.ax_, self.figure_ = np.array(axes), figure

    def differences(self) -> NDArray[np.float64]:
        """Return observed minus predicted for each bin.

        Returns
        -------
        ndarray of shape (L, n_bins), float64
            NaN for empty bins.
        """
        result = np.full((len(self.names), self.n_bins), np.nan)
        parts = zip(result, self.prob_true, self.prob_pred, self.places, strict=True)
        for row, true, pred, places in parts:
            row[places] = true - pred
        return result

    def _plot_many(self, plt: Any, ax: Any, kwargs: dict[str, Any]) -> None:
        n = len(self.names)
        height = min(9.0, 1.2 + 0.12 * n)
        figure = subfigure(plt, ax, (6.2, height))
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=[3, 1.4])
        errors = self.errors
        order = np.argsort(-errors, kind="stable")
        values = self.differences()[order]
        limit = max(0.05, float(np.ceil(np.nanpercentile(abs(values), 95) * 20) / 20))
        left.set_facecolor(PALE)
        is_uniform = self.strategy == "uniform"
        span = (0.0, 1.0) if is_uniform else (0.5, self.n_bins + 0.5)
        look = {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit, "interpolation": "nearest"}
        image = left.imshow(
            values, aspect="auto", extent=(*span, n - 0.5, -0.5), **{**look, **kwargs}
        )
        left.set_xlabel("Predicted probability" if is_uniform else "Quantile of the probabilities")
        if is_uniform:
            left.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        inches = height - 1.0 if ax is None else inches_of(ax)[1]
        name_ticks(left.yaxis, [self.names[i] for i in order], inches)
        left.set_ylabel(f"{n} attributes, the worst calibrated first")
        right.hlines(np.arange(n), 0, errors[order], color=PALE, linewidth=0.8)
        right.plot(errors[order], np.arange(n), "o", color=COLOURS[0], markersize=2.5)
        right.set(xlabel="Expected calibration error", xlim=(0, None), ylim=(n - 0.5, -0.5))
        right.tick_params(axis="y", length=0, labelleft=False)
        bar = figure.colorbar(
            image, ax=left, location="top", fraction=0.03, pad=0.01, extend="both"
        )
        bar.set_label("Observed − predicted (red: too cautious; gray: empty)")
        bar.outline.set_visible(False)
        strip(left)
        strip(right)
        self.ax_, self.figure_ = np.array([left, right]), figure


def _bins(prob: Array, n_bins: int, strategy: str) -> tuple[Array, Array]:
    """Return which bins are not empty and how many entries they hold.

    The bins are those of :func:`sklearn.calibration.calibration_curve`.
    """
    steps = np.linspace(0.0, 1.0, n_bins + 1)
    edges = steps if strategy == "uniform" else np.percentile(prob, steps * 100)
    counts = np.bincount(np.searchsorted(edges[1:-1], prob), minlength=n_bins)
    places = np.flatnonzero(counts)
    return places, counts[places]
