"""Heat maps of co-occurring attributes and of correlated errors."""

from dataclasses import KW_ONLY, dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skattr._multioutput.scores import check_distinct_names
from skattr._targets.columns import read_labels
from skattr._targets.encoder import UNKNOWN, AttributeEncoder, is_binary
from skattr._targets.positive import positive_name
from skattr.inspection._heatmap import (
    HeatmapStyle,
    SquareHeatmapDisplay,
    diverging_scale,
    mask_diagonal,
)
from skattr.inspection._predictions import (
    Declared,
    EvaluatedLabels,
    attribute_positions,
    evaluate_estimator,
    evaluate_predictions,
)
from skattr.metrics._rates import divide

Array = NDArray[Any]
_KINDS = ("conditional", "count", "correlation")


@dataclass(eq=False, repr=False)
class CooccurrenceDisplay(SquareHeatmapDisplay):
    """Heat map of how often two attributes occur together.

    Each pair of attributes is counted over the rows in which both labels are known.

    Parameters
    ----------
    matrix : DataFrame of shape (L, L), float64
        Value of each pair, NaN if undefined.
    kind : {"conditional", "count", "correlation"}, default="conditional"
        Kind of the values; see :meth:`from_labels`.
    order : {"given", "cluster"}, default="given"
        "given" is the column order of y. "cluster" places attributes that often occur together
        next to each other.

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

    matrix: pd.DataFrame
    _: KW_ONLY
    kind: str = "conditional"
    order: str = "given"

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
        """Draw the co-occurrence of true or predicted labels.

        Parameters
        ----------
        y : array-like of shape (n,) or (n, L), Series or DataFrame
            An attribute that is not binary has a row and a column for each of its classes.
        kind : {"conditional", "count", "correlation"}, default="conditional"
            "conditional" is the probability of the column's attribute given the row's. "count"
            is the number of rows in which both are positive. "correlation" is the phi
            coefficient, Pearson's correlation of two binary variables.
        order : {"given", "cluster"}, default="given"
        select : sequence of names or positions, default=None
            The attributes to draw. None draws all.
        attributes, missing_label : default=None
            Parameters of the :class:`skattr.AttributeEncoder` that reads y.
        ax : Axes, default=None
            None makes a figure.
        **kwargs : dict
            Arguments of ``imshow``.

        Returns
        -------
        CooccurrenceDisplay

        Raises
        ------
        ValueError
            If `kind` or `order` is invalid, or a name is unknown.
        TypeError
            If a keyword is unknown; the message lists the valid ones.
        """
        if kind not in _KINDS:
            raise ValueError(f"`kind` must be one of {list(_KINDS)}; got {kind!r}.")
        encoder = AttributeEncoder(attributes, missing_label)
        codes = encoder.fit_transform(read_labels(y, missing_label))
        chosen = attribute_positions(select, encoder.output_names_)
        known, positive, names = _indicators(encoder, codes, chosen)
        values = _pairwise(known, positive, kind)
        frame = pd.DataFrame(values, index=names, columns=names)
        return cls(frame, kind=kind, order=order).plot(ax, **kwargs)

    @property
    def _table(self) -> pd.DataFrame:
        return self.matrix

    def _style(self, values: Array) -> HeatmapStyle:
        if self.kind == "correlation":
            values = mask_diagonal(values)
            return HeatmapStyle(values, diverging_scale(values), "Correlation φ (gray: none)")
        if self.kind == "count":
            positive = values[values > 0]
            # Counts of rare and frequent attributes differ by orders of magnitude: on a linear
            # scale all but the most frequent would have one color.
            if len(positive) and positive.max() / positive.min() > 100:
                values = np.where(values > 0, values, np.nan)
                label = "Rows, logarithmic (gray: none)"
                return HeatmapStyle(values, {"cmap": "viridis", "norm": "log"}, label)
            return HeatmapStyle(values, {"cmap": "viridis", "vmin": 0}, "Rows")
        return HeatmapStyle(
            values,
            {"cmap": "viridis", "vmin": 0, "vmax": 1},
            "P(column | row) (gray: undefined)",
            xlabel="Attribute that occurs too (column)",
            ylabel="Given attribute (row)",
        )


@dataclass(eq=False, repr=False)
class ErrorCorrelationDisplay(SquareHeatmapDisplay):
    """Heat map of the correlation (phi coefficient) of the errors of two attributes.

    Parameters
    ----------
    correlation : DataFrame of shape (L, L), float64
        Correlation of each pair over the rows in which both labels are known. It is NaN if one
        of the two attributes is never or always wrong in these rows.
    n_rows : DataFrame of shape (L, L), int
        Number of rows in which both labels are known.
    order : {"given", "cluster"}, default="given"
        "given" is the column order of y. "cluster" places attributes with correlated errors next
        to each other.

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

    correlation: pd.DataFrame
    n_rows: pd.DataFrame
    _: KW_ONLY
    order: str = "given"

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
        """Draw the correlations of the errors of a fitted classifier.

        Parameters
        ----------
        estimator : fitted multi-output classifier
        X : n rows as the classifier takes them
            Rows that it cannot read (``on_bad_image="warn"``) are left out.
        y : array-like of shape (n,) or (n, L), Series or DataFrame
        missing_label : scalar, default=None
            Additional value of y that marks a missing label. None uses the estimator's own.
        order, select, ax, **kwargs
            As for :meth:`from_predictions`.

        Returns
        -------
        ErrorCorrelationDisplay
        """
        evaluated = evaluate_estimator(estimator, X, y, missing_label)
        return cls._of(evaluated, order, select, ax, kwargs)

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
            True and predicted labels. Rows with a missing true label are left out.
        order : {"given", "cluster"}, default="given"
        select : sequence of names or positions, default=None
            The attributes to draw. None draws all.
        missing_label : scalar, default=None
            Additional value that marks a missing label.
        ax : Axes, default=None
            None makes a figure.
        **kwargs : dict
            Arguments of ``imshow``.

        Returns
        -------
        ErrorCorrelationDisplay

        Raises
        ------
        ValueError
            If shapes differ, the prediction of a known label is missing, or a name is unknown.
        TypeError
            If a keyword is unknown; the message lists the valid ones.
        """
        evaluated = evaluate_predictions(y_true, y_pred, missing_label)
        return cls._of(evaluated, order, select, ax, kwargs)

    @classmethod
    def _of(cls, rows: EvaluatedLabels, order: str, select: Any, ax: Any, kwargs: Any) -> Self:
        chosen = attribute_positions(select, rows.names)
        names = [rows.names[j] for j in chosen]
        known = (rows.codes[:, chosen] != UNKNOWN).astype(np.float64)
        values = _pairwise(known, rows.wrong[:, chosen].astype(np.float64), "correlation")
        correlation = pd.DataFrame(values, index=names, columns=names)
        n_rows = pd.DataFrame((known.T @ known).astype(np.int64), index=names, columns=names)
        return cls(correlation, n_rows, order=order).plot(ax, **kwargs)

    @property
    def _table(self) -> pd.DataFrame:
        return self.correlation

    def _style(self, values: Array) -> HeatmapStyle:
        values = mask_diagonal(values)
        label = "Correlation of errors, φ (gray: none)"
        return HeatmapStyle(values, diverging_scale(values), label)


def _indicators(
    encoder: AttributeEncoder, codes: Array, chosen: list[int]
) -> tuple[Array, Array, list[Any]]:
    """Return two (n, n_columns) indicator matrices, known and positive, and the column names.

    A binary attribute has one column, called "hat" or "gender=Women", any other attribute one
    column per class.
    """
    binary = is_binary(encoder)
    pairs = [
        (j, code)
        for j in chosen
        for code in ([1] if binary[j] else range(len(encoder.classes_[j])))
    ]
    sources = []  # column, attribute, level
    for j, code in pairs:
        name, levels = encoder.output_names_[j], encoder.classes_[j]
        column, level = positive_name(name, levels), None
        if not binary[j]:
            level = levels[code].item()
            column = f"{name}={level}"
        sources.append((column, name, level))
    check_distinct_names(sources)
    names = [column for column, _, _ in sources]
    columns, positive_codes = np.array(pairs, dtype=np.intp).reshape(-1, 2).T
    codes = codes[:, columns]
    return (codes != UNKNOWN).astype(float), (codes == positive_codes).astype(float), names


def _pairwise(known: Array, positive: Array, kind: str) -> NDArray[np.float64]:
    """Return a value for each pair of columns, over the rows in which both are known.

    Let a, b, c and d be the numbers of rows in which both, only the first, only the second or
    neither is positive. The phi coefficient is
    ``(ad - bc) / sqrt((a + b)(c + d)(a + c)(b + d))``.
    """
    a = positive.T @ positive
    if kind == "count":
        return np.asarray(a)
    first = positive.T @ known  # a + b: the row's attribute is positive, the column's is known
    if kind == "conditional":
        return np.asarray(divide(a, first))
    b, c = first - a, first.T - a
    d = known.T @ known - a - b - c
    # the product of four roots: the product of the counts could exceed float64's exact integers
    root = np.sqrt(a + b) * np.sqrt(c + d) * np.sqrt(a + c) * np.sqrt(b + d)
    return np.asarray(divide(a * d - b * c, root))
