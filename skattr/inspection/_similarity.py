"""How alike categories are."""

from typing import Any, Self

import numpy as np
import pandas as pd

from skattr.inspection._heatmap import (
    check_square,
    diverging,
    places_of,
    square_map,
    without_diagonal,
)
from skattr.inspection._style import drawing


class SimilarityDisplay:
    """Heat map of how alike categories are.

    Parameters
    ----------
    similarity : DataFrame of shape (L, L)
        With the same labels on both sides, such as
        :func:`skattr.metrics.profile_similarity` and
        :func:`skattr.metrics.embedding_similarity` return.
    order : {"given", "cluster"}, default="given"
        "cluster" puts similar categories next to each other, by average linkage.
    label : str, default="Similarity"
        Of the color bar.

    Attributes
    ----------
    ax_ : Axes
    figure_ : Figure or SubFigure

    Examples
    --------
    >>> import pandas as pd
    >>> from skattr.inspection import SimilarityDisplay
    >>> from skattr.metrics import profile_similarity
    >>> profiles = pd.DataFrame({"furry": [1.0, 0.8], "round": [0.0, 0.6]}, index=["cat", "ball"])
    >>> display = SimilarityDisplay.from_similarity(profile_similarity(profiles))
    >>> [label.get_text() for label in display.ax_.get_yticklabels()]
    ['cat', 'ball']
    """

    def __init__(
        self, similarity: pd.DataFrame, *, order: str = "given", label: str = "Similarity"
    ) -> None:
        self.similarity = similarity
        self.order = order
        self.label = label

    @classmethod
    def from_similarity(
        cls,
        similarity: pd.DataFrame,
        *,
        order: str = "given",
        label: str = "Similarity",
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Draw a table of similarities.

        Parameters
        ----------
        similarity, order, label
            As for the class.
        ax : Axes, default=None
            None makes a figure.
        **kwargs : dict
            Of the heat map.

        Returns
        -------
        SimilarityDisplay

        Raises
        ------
        TypeError, ValueError
            If it is no square DataFrame with the same labels on both sides, or `order` is
            invalid.
        """
        check_square(similarity, "similarity")
        return cls(similarity, order=order, label=label).plot(ax, **kwargs)

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
        SimilarityDisplay
            Itself, with `ax_` and `figure_`.
        """
        check_square(self.similarity, "similarity")
        values = self.similarity.to_numpy(dtype=np.float64, na_value=np.nan)
        places = places_of(values, order or self.order)
        drawn = without_diagonal(values[np.ix_(places, places)])
        names = [self.similarity.index[i] for i in places]
        look: dict[str, Any] = {"cmap": "viridis"}
        low, high = (0, 1) if np.isnan(drawn).all() else (np.nanmin(drawn), np.nanmax(drawn))
        if low < -0.25 * abs(high):
            look = diverging(drawn)
        label = f"{self.label} (gray: none)"
        with drawing("SimilarityDisplay") as plt:
            self.ax_ = square_map(plt, ax, drawn, names, {**look, **kwargs}, label)
        self.figure_ = self.ax_.figure
        return self
