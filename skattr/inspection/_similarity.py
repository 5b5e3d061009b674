"""Heat map of the similarity of categories."""

from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skattr.inspection._heatmap import (
    HeatmapStyle,
    SquareHeatmapDisplay,
    check_square,
    diverging_scale,
    mask_diagonal,
)

Array = NDArray[Any]


class SimilarityDisplay(SquareHeatmapDisplay):
    """Heat map of the similarity of categories.

    Parameters
    ----------
    similarity : DataFrame of shape (L, L)
        Table with the same labels on both sides, such as the result of
        :func:`skattr.metrics.profile_similarity` or
        :func:`skattr.metrics.embedding_similarity`.
    order : {"given", "cluster"}, default="given"
        "given" is the order of the table. "cluster" places similar categories next to each
        other, by average linkage.
    label : str, default="Similarity"
        Label of the color bar.

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
            As for the constructor.
        ax : Axes, default=None
            None makes a figure.
        **kwargs : dict
            Arguments of ``imshow``.

        Returns
        -------
        SimilarityDisplay

        Raises
        ------
        TypeError, ValueError
            If `similarity` is not a square DataFrame with the same labels on both sides, or
            `order` is invalid.
        """
        check_square(similarity, "similarity")
        return cls(similarity, order=order, label=label).plot(ax, **kwargs)

    @property
    def _table(self) -> pd.DataFrame:
        return self.similarity

    def _style(self, values: Array) -> HeatmapStyle:
        values = mask_diagonal(values)
        options: dict[str, Any] = {"cmap": "viridis"}
        if not np.isnan(values).all():
            low, high = np.nanmin(values), np.nanmax(values)
            # Slightly negative values are noise; a scale that is centered at 0 would waste half
            # of its colors on them.
            if low < -0.25 * abs(high):
                options = diverging_scale(values)
        return HeatmapStyle(values, options, f"{self.label} (gray: none)")
