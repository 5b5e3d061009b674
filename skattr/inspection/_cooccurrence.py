"""Which attributes, and which errors, go together."""

from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skattr._multioutput.scores import column_names
from skattr._targets.encoder import UNKNOWN, AttributeEncoder, is_binary
from skattr.inspection._heatmap import diverging, places_of, square_map, without_diagonal
from skattr.inspection._predictions import (
    Declared,
    EvaluatedLabels,
    judge,
    judged,
    positions_of,
)
from skattr.inspection._style import drawing

Array = NDArray[Any]
_KINDS = ("conditional", "count", "correlation")


class CooccurrenceDisplay:
    """How often attributes occur together, over the rows in which both are known.

    Parameters
    ----------
    matrix : DataFrame of shape (L, L), float64
        NaN where undefined.
    kind : {"conditional", "count", "correlation"}, default="conditional"
        What it holds.
    order : {"given", "cluster"}, default="given"
        "cluster" puts attributes that go together next to each other.

    Attributes
    ----------
    ax_ : Axes
    figure_ : Figure or SubFigure

    Examples
    --------
    >>> import pandas as pd
    >>> from skattr.inspection import CooccurrenceDisplay
    >>> y = pd.DataFrame({"hat": [1, 1, 0, None], "coat": [1, 0, 0, 1]})
    >>> CooccurrenceDisplay.from_labels(y).matrix
          hat  coat
    hat   1.0   0.5
    coat  1.0   1.0
    """

    def __init__(
        self, matrix: pd.DataFrame, *, kind: str = "conditional", order: str = "given"
    ) -> None:
        self.matrix = matrix
        self.kind = kind
        self.order = order

    @classmethod
    def from_labels(
        cls,
        y: Any,
        *,
        kind: str = "conditional",
        order: str = "given",
        select: Any = None,
        attributes: Declared = None,
        missing_label: Any = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Draw the co-occurrence of labels, true or predicted.

        Parameters
        ----------
        y : array-like of shape (n,) or (n, L), Series or DataFrame
            An attribute that is not binary has a row and a column for each of its classes.
        kind : {"conditional", "count", "correlation"}, default="conditional"
            The probability of the column given the row; the number of rows in which both hold;
            or the phi coefficient, Pearson's correlation of two binary variables.
        order : {"given", "cluster"}, default="given"
        select : sequence of names or positions, default=None
            The attributes to draw; None draws all.
        attributes, missing_label : default=None
            How y is read; see :class:`skattr.AttributeEncoder`.
        ax : Axes, default=None
            None makes a figure.
        **kwargs : dict
            Of the heat map.

        Returns
        -------
        CooccurrenceDisplay

        Raises
        ------
        ValueError
            If `kind` or `order` is invalid, or a name is unknown.
        """
        if kind not in _KINDS:
            raise ValueError(f"`kind` must be one of {list(_KINDS)}, got {kind!r}.")
        encoder = AttributeEncoder(attributes, missing_label).fit(y)
        chosen = positions_of(select, encoder.output_names_)
        known, holds, names = _indicators(encoder, encoder.transform(y), chosen)
        values = _pairs(known, holds, kind)
        frame = pd.DataFrame(values, index=names, columns=names)
        return cls(frame, kind=kind, order=order).plot(ax, **kwargs)

    def plot(self, ax: Any = None, *, order: str | None = None, **kwargs: Any) -> Self:
        """Draw the heat map.

        Parameters
        ----------
        ax : Axes, default=None
        order : {"given", "cluster"}, default=None
            None is that of the constructor.
        **kwargs : dict
            Of the heat map.

        Returns
        -------
        CooccurrenceDisplay
            Itself, with `ax_` and `figure_`.
        """
        values = self.matrix.to_numpy()
        places = places_of(values, order or self.order)
        drawn, log = values[np.ix_(places, places)], False
        if self.kind == "correlation":
            drawn = without_diagonal(drawn)
            look, label = diverging(drawn), "Correlation φ (gray: none)"
        elif self.kind == "count":
            look, label = {"cmap": "viridis", "vmin": 0}, "Rows"
            positive = drawn[drawn > 0]
            log = len(positive) > 0 and positive.max() / positive.min() > 100
            if log:
                drawn = np.where(drawn > 0, drawn, np.nan)
                look, label = {"cmap": "viridis"}, "Rows, logarithmic (gray: none)"
        else:
            look = {"cmap": "viridis", "vmin": 0, "vmax": 1}
            label = "P(column | row) (gray: undefined)"
        names = [self.matrix.index[i] for i in places]
        with drawing("CooccurrenceDisplay") as plt:
            self.ax_ = square_map(plt, ax, drawn, names, {**look, **kwargs}, label, log=log)
            if self.kind == "conditional":
                self.ax_.set(xlabel="is there as well (column)", ylabel="where this is there (row)")
        self.figure_ = self.ax_.figure
        return self


class ErrorCorrelationDisplay:
    """Which attributes are wrong in the same rows: the phi coefficient of their errors.

    Parameters
    ----------
    correlation : DataFrame of shape (L, L), float64
        NaN where one of the two is never, or always, wrong over the rows where both are known.
    n_rows : DataFrame of shape (L, L), int
        Rows where both are known.
    order : {"given", "cluster"}, default="given"
        "cluster" puts attributes whose errors go together next to each other.

    Attributes
    ----------
    ax_ : Axes
    figure_ : Figure or SubFigure

    Examples
    --------
    >>> from skattr.inspection import ErrorCorrelationDisplay
    >>> y = [[1, 1], [0, 0], [1, None], [0, 1]]
    >>> predicted = [[1, 1], [1, 1], [1, 0], [0, 1]]
    >>> ErrorCorrelationDisplay.from_predictions(y, predicted).correlation
         y0   y1
    y0  1.0  1.0
    y1  1.0  1.0
    """

    def __init__(
        self, correlation: pd.DataFrame, n_rows: pd.DataFrame, *, order: str = "given"
    ) -> None:
        self.correlation = correlation
        self.n_rows = n_rows
        self.order = order

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        order: str = "given",
        select: Any = None,
        missing_label: Any = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Draw the correlations of a fitted classifier's errors.

        Parameters
        ----------
        estimator : fitted multi-output classifier
        X : n rows as the classifier takes them
            Rows that it could not read (``on_bad_image="warn"``) are left out.
        y : array-like of shape (n,) or (n, L), Series or DataFrame
        missing_label : scalar, default=None
            One more value of y that means unknown; None reads the estimator's own.
        order, select, ax, **kwargs
            As for :meth:`from_predictions`.

        Returns
        -------
        ErrorCorrelationDisplay
        """
        return cls._of(judge(estimator, X, y, missing_label), order, select, ax, kwargs)

    @classmethod
    def from_predictions(
        cls,
        y_true: Any,
        y_pred: Any,
        *,
        order: str = "given",
        select: Any = None,
        missing_label: Any = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Draw the correlations of the errors of given predictions.

        Parameters
        ----------
        y_true, y_pred : array-like of shape (n, L) or DataFrame
            Labels. Where the true one is unknown there is no error.
        order : {"given", "cluster"}, default="given"
        select : sequence of names or positions, default=None
            The attributes to draw; None draws all.
        missing_label : scalar, default=None
            One more value that means unknown.
        ax : Axes, default=None
            None makes a figure.
        **kwargs : dict
            Of the heat map.

        Returns
        -------
        ErrorCorrelationDisplay

        Raises
        ------
        ValueError
            If shapes differ, a prediction is missing, or a name is unknown.
        """
        return cls._of(judged(y_true, y_pred, missing_label), order, select, ax, kwargs)

    @classmethod
    def _of(cls, rows: EvaluatedLabels, order: str, select: Any, ax: Any, kwargs: Any) -> Self:
        chosen = positions_of(select, rows.names)
        names = [rows.names[j] for j in chosen]
        known = (rows.codes[:, chosen] != UNKNOWN).astype(np.float64)
        values = _pairs(known, rows.wrong[:, chosen].astype(np.float64), "correlation")
        correlation = pd.DataFrame(values, index=names, columns=names)
        n_rows = pd.DataFrame((known.T @ known).astype(np.int64), index=names, columns=names)
        return cls(correlation, n_rows, order=order).plot(ax, **kwargs)

    def plot(self, ax: Any = None, *, order: str | None = None, **kwargs: Any) -> Self:
        """Draw the heat map.

        Parameters
        ----------
        ax : Axes, default=None
        order : {"given", "cluster"}, default=None
            None is that of the constructor.
        **kwargs : dict
            Of the heat map.

        Returns
        -------
        ErrorCorrelationDisplay
            Itself, with `ax_` and `figure_`.
        """
        values = self.correlation.to_numpy()
        places = places_of(values, order or self.order)
        drawn = without_diagonal(values[np.ix_(places, places)])
        names = [self.correlation.index[i] for i in places]
        label = "Correlation of errors, φ (gray: none)"
        with drawing("ErrorCorrelationDisplay") as plt:
            self.ax_ = square_map(plt, ax, drawn, names, {**diverging(drawn), **kwargs}, label)
        self.figure_ = self.ax_.figure
        return self


def _indicators(
    encoder: AttributeEncoder, codes: Array, chosen: list[int]
) -> tuple[Array, Array, list[Any]]:
    """Return what is known and what holds, (n, n_columns) float64 each, and the columns' names."""
    known, holds, names = [], [], []
    two = is_binary(encoder)
    for j in chosen:
        name, kind, labels = encoder.output_names_[j], encoder.kinds_[j], encoder.classes_[j]
        levels = [1] if two[j] else range(len(labels))
        names += [name] if two[j] else list(column_names([name], [labels], [kind]))
        for level in levels:
            known.append(codes[:, j] != UNKNOWN)
            holds.append(codes[:, j] == level)
    return np.array(known, dtype=float).T, np.array(holds, dtype=float).T, names


def _pairs(known: Array, holds: Array, kind: str) -> NDArray[np.float64]:
    """Count pairs of columns over the rows where both are known.

    With a, b, c and d rows in which both hold, only the first, only the second or none, phi is
    ``(ad - bc) / sqrt((a + b)(c + d)(a + c)(b + d))``.
    """
    a = holds.T @ holds
    if kind == "count":
        return np.asarray(a)
    first = holds.T @ known  # the row holds, the column is known
    if kind == "conditional":
        return _ratio(a, first)
    b, c = first - a, first.T - a
    d = known.T @ known - a - b - c
    root = np.sqrt(a + b) * np.sqrt(c + d) * np.sqrt(a + c) * np.sqrt(b + d)
    return _ratio(a * d - b * c, root)


def _ratio(above: Array, below: Array) -> NDArray[np.float64]:
    result = np.full(above.shape, np.nan)
    np.divide(above, below, out=result, where=below > 0)
    return result
