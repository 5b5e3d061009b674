"""Object categories: a column of X or metadata of `fit`."""

import warnings
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skattr._targets.codes import positions
from skattr._utils.warnings import find_stack_level
from skattr.exceptions import SkattrWarning, UnseenCategoryWarning

COLUMN = "category"


def split_category(X: Any) -> tuple[Any, pd.Series | None]:
    """Separate the category from X.

    Parameters
    ----------
    X : any valid X
        A column ``category`` of a DataFrame is the category of the object, never a feature.

    Returns
    -------
    X : the features without the column, or the unchanged X
    category : Series of shape (n,), or None

    Raises
    ------
    ValueError
        If X has the column twice, or no other column.
    """
    if not isinstance(X, pd.DataFrame) or COLUMN not in X.columns:
        return X, None
    if list(X.columns).count(COLUMN) > 1:
        raise ValueError(f"X has the column {COLUMN!r} more than once.")
    category = X[COLUMN]
    if "path" in X.columns:
        return X, category
    if X.shape[1] == 1:
        raise ValueError(
            f"X has the column {COLUMN!r} only; it also needs features or a column 'path'."
        )
    return X.drop(columns=COLUMN), category


def warn_numeric_category(column: pd.Series | None) -> None:
    """Warn that a numeric column of this name, which no parameter uses, is not a feature."""
    if column is not None and pd.api.types.is_numeric_dtype(column) and column.notna().any():
        warnings.warn(
            f"The column {COLUMN!r} of X is the category of the object and not a feature; "
            "category_prior=None does not use it. Rename the column if it is a feature.",
            SkattrWarning,
            stacklevel=find_stack_level(),
        )


def category_for_fit(prior: str | None, column: Any, metadata: Any) -> Any:
    """Return the categories to train with, from X or from the metadata `category`.

    Raises
    ------
    ValueError
        If they are missing or given twice, or if prediction needs a column and X has none.
    """
    if prior is None:
        return None
    if column is not None and metadata is not None:
        raise ValueError(
            f"The category is given twice, as the column {COLUMN!r} of X and as fit(..., "
            "category=...); give it once."
        )
    if prior == "condition" and column is None:
        raise ValueError(
            "category_prior='condition' needs the category of each object in fit and in "
            f"prediction: a column {COLUMN!r} of a DataFrame X, with None where it is unknown."
        )
    if column is None and metadata is None:
        raise ValueError(
            f"category_prior={prior!r} needs the category of each object in fit: a column "
            f"{COLUMN!r} of a DataFrame X, or fit(..., category=...), with None where unknown."
        )
    return metadata if column is None else column


def category_series(category: Any, n_rows: int) -> pd.Series:
    """Return the category of each row.

    Raises
    ------
    ValueError
        If the number of categories is not the number of rows.
    """
    if np.shape(category) != (n_rows,):
        raise ValueError(
            f"category has shape {np.shape(category)}, but X has {n_rows} row(s); it needs one "
            "category for each row, with None where it is unknown."
        )
    return pd.Series(category).reset_index(drop=True)


def read_categories(values: pd.Series) -> NDArray[Any]:
    """Return the distinct categories, sorted.

    Raises
    ------
    ValueError
        If none is known, or they are neither all strings nor all numbers.
    """
    known = values[values.notna()]
    if known.empty:
        raise ValueError("All categories are missing; at least one must be known.")
    labels = known.tolist()
    invalid = [label for label in labels if not isinstance(label, str | Real | np.bool_)]
    if invalid:
        raise ValueError(
            f"The category {invalid[0]!r} is neither a string nor a number; categories must be "
            "strings or numbers."
        )
    are_strings = [isinstance(label, str) for label in labels]
    if any(are_strings) != all(are_strings):
        kinds = sorted({type(label).__name__ for label in labels})
        raise ValueError(
            f"The categories are of type {', '.join(kinds)}; they must all be strings or all "
            "be numbers."
        )
    return np.unique(np.array(labels))


def category_codes(values: pd.Series, categories: NDArray[Any]) -> NDArray[np.int64]:
    """Return the position of each row's category in `categories`, -1 where it is unknown.

    Warns
    -----
    UnseenCategoryWarning
        Once, if some categories are not in `categories`. They count as unknown.
    """
    known = values.notna().to_numpy()
    # -1 is a valid input: with category_prior="condition" the network learns a row for it.
    codes = np.full(len(values), -1, dtype=np.int64)
    codes[known] = positions(values[known], categories)
    unseen = known & (codes < 0)
    if unseen.any():
        names = sorted(map(repr, pd.unique(values[unseen])))
        warnings.warn(
            f"{int(unseen.sum())} row(s), first row {int(np.argmax(unseen))}, have a category "
            f"that was not seen in training: {', '.join(names[:10])}"
            f"{', ...' if len(names) > 10 else ''}; it counts as unknown.",
            UnseenCategoryWarning,
            stacklevel=find_stack_level(),
        )
    return codes
