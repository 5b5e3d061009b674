"""Similarity of categories, by their attributes and by their embeddings."""

import warnings
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd
import scipy.sparse
from numpy.typing import NDArray

from skattr._multioutput.scores import check_distinct_names
from skattr._targets.alignment import align_rows
from skattr._targets.columns import read_labels, reject_masked
from skattr._targets.encoder import AttributeEncoder
from skattr._targets.positive import positive_name
from skattr.exceptions import SkattrWarning
from skattr.metrics._binary_inputs import Floats, check_option
from skattr.metrics._rates import divide


def attribute_profiles(
    y: Any,
    category: Any,
    *,
    attributes: Mapping[Any, Any] | None = None,
    missing_label: Any = None,
) -> pd.DataFrame:
    """Return the mean of every attribute within each category of objects.

    Parameters
    ----------
    y : array-like of shape (n,) or (n, L), Series or DataFrame
        Attributes as for `AttributeClassifier`; NaN, None and pandas.NA are missing labels.
    category : array-like of shape (n,)
        Category of each row ("dog", "bus"). Rows with a missing category are left out.
    attributes : dict of {name: kind}, default=None
        Kinds that are not to be read from y, see :class:`skattr.AttributeEncoder`.
    missing_label : scalar, default=None
        A value that marks a missing label, besides NaN, None and pandas.NA.

    Returns
    -------
    DataFrame of shape (n_categories, n_columns), float64
        One row per category, in sorted order or that of a pandas categorical. A binary attribute
        has one column, the share of its positive level among the known labels, which has the name
        of the attribute, or one such as "gender=Women" if the level is not 1. Any other attribute
        has one column per level, such as "color=red". NaN without a
        known label. ``attrs["n_rows"]`` holds the number of rows of each category,
        ``attrs["n_known"]`` the number of known labels of each attribute in each category.

    Raises
    ------
    ValueError, TypeError
        If lengths differ, no category is known, y is invalid, or two columns would have the same
        name.

    Warns
    -----
    SkattrWarning
        If categories are missing; the message has their number.

    Examples
    --------
    >>> import pandas as pd
    >>> from skattr.metrics import attribute_profiles
    >>> y = pd.DataFrame({"furry": [1, 1, None, 0], "color": ["red", "red", "gray", "blue"]})
    >>> profiles = attribute_profiles(y, ["dog", "dog", "dog", "bus"])
    >>> profiles.round(2)
         furry  color=blue  color=gray  color=red
    bus    0.0         1.0        0.00       0.00
    dog    1.0         0.0        0.33       0.67
    >>> profiles.attrs["n_known"]["furry"]
    {'bus': 1, 'dog': 2}
    """
    y, category = align_rows(y=y, category=category)
    encoder = AttributeEncoder(attributes=attributes, missing_label=missing_label)
    codes = encoder.fit_transform(read_labels(y, missing_label))
    members, names = _members(category, len(codes))
    parts, n_known = [], {}
    columns: list[tuple[Any, Any, Any]] = []  # column, attribute, level
    for j, name in enumerate(encoder.output_names_):
        known = members @ (codes[:, j] >= 0).astype(np.float64)
        levels = range(len(encoder.classes_[j]))
        is_binary = encoder.kinds_[j] == "binary" and len(levels) == 2
        for level in [1] if is_binary else levels:
            share = members @ (codes[:, j] == level).astype(np.float64)
            parts.append(divide(share, known))
            label = None if is_binary else encoder.classes_[j][level].item()
            column = positive_name(name, encoder.classes_[j]) if is_binary else f"{name}={label}"
            columns.append((column, name, label))
        n_known[name] = dict(zip(names.tolist(), known.astype(int).tolist(), strict=True))
    check_distinct_names(columns)
    labels = [column for column, _, _ in columns]
    profiles = pd.DataFrame(np.stack(parts, axis=1), index=names, columns=labels)
    profiles.attrs = {"n_rows": _row_counts(members, names), "n_known": n_known}
    return profiles


def profile_similarity(
    profiles: pd.DataFrame, metric: Literal["cosine", "correlation"] = "cosine"
) -> pd.DataFrame:
    """Return the similarity of the profiles of any two categories.

    Parameters
    ----------
    profiles : DataFrame of shape (n_categories, n_columns)
        Profiles as returned by :func:`attribute_profiles`. Two rows are compared over the columns
        that are NaN in neither of them.
    metric : {"cosine", "correlation"}, default="cosine"
        Cosine of the angle, or Pearson's correlation.

    Returns
    -------
    DataFrame of shape (n_categories, n_categories), float64
        Symmetric, from -1 to 1, 1 on the diagonal.

    Raises
    ------
    ValueError, TypeError
        If profiles are not a DataFrame of finite numbers and NaN.

    Warns
    -----
    SkattrWarning
        If a similarity is undefined and NaN, because one of the two rows is all zero (constant
        for the correlation) over the columns they share.

    Examples
    --------
    >>> import pandas as pd
    >>> from skattr.metrics import profile_similarity
    >>> profiles = pd.DataFrame({"furry": [1.0, 0.8], "round": [0.0, 0.6]}, index=["cat", "ball"])
    >>> profile_similarity(profiles)
          cat  ball
    cat   1.0   0.8
    ball  0.8   1.0
    """
    check_option("metric", metric, ("cosine", "correlation"))
    if not isinstance(profiles, pd.DataFrame):
        raise TypeError(f"`profiles` must be a DataFrame; got {type(profiles).__name__}.")
    values = profiles.to_numpy(dtype=np.float64, na_value=np.nan)
    if np.isinf(values).any():
        row, column = np.argwhere(np.isinf(values))[0]
        raise ValueError(
            f"`profiles`: row {profiles.index[row]!r}, column {profiles.columns[column]!r} is not "
            "finite."
        )
    known = ~np.isnan(values)
    center = metric == "correlation"
    if known.all():
        units = _units(values, known, center)
        similarity = units @ units.T
    else:
        similarity = np.stack([_against(i, values, known, center) for i in range(len(values))])
    undefined = np.isnan(similarity)
    if undefined.any():
        row, column = np.argwhere(undefined)[0]
        warnings.warn(
            f"{int(undefined.sum())} of {undefined.size} similarities are undefined and NaN, such "
            f"as that of {profiles.index[row]!r} and {profiles.index[column]!r}: over the columns "
            f"they share one of them is {'constant' if center else 'all zero'}.",
            SkattrWarning,
            stacklevel=2,
        )
    return _square(similarity, profiles.index)


def embedding_similarity(embeddings: Any, category: Any, *, center: bool = False) -> pd.DataFrame:
    """Return the cosine similarity of the mean embeddings of any two categories.

    Parameters
    ----------
    embeddings : array-like of shape (n, n_features)
        Embedding of each row. Rows of all NaN (not embedded) are left out.
    category : array-like of shape (n,)
        Category of each row. Rows with a missing category are left out.
    center : bool, default=False
        Whether to subtract the mean of all rows first. Without it all cosines are high if
        features are never negative, such as those after a ReLU.

    Returns
    -------
    DataFrame of shape (n_categories, n_categories), float64
        Symmetric, 1 on the diagonal; NaN for a category whose mean embedding is zero. In
        ``attrs``: "n_rows", the number of rows of each category; "within", the mean cosine of two
        rows of each category (NaN with fewer than two); "between", the mean cosine of two rows
        of different categories. Rows of all zeros have no cosine and count in neither.

    Raises
    ------
    ValueError, TypeError
        If lengths differ, no category is known, or an embedding is partly not finite.

    Warns
    -----
    SkattrWarning
        If rows are left out; the message has their number.

    Examples
    --------
    >>> import numpy as np
    >>> from skattr.metrics import embedding_similarity
    >>> similarity = embedding_similarity(np.eye(3)[[0, 0, 1, 2]], ["cat", "cat", "cat", "bus"])
    >>> similarity
         bus  cat
    bus  1.0  0.0
    cat  0.0  1.0
    >>> round(similarity.attrs["within"]["cat"], 3), similarity.attrs["between"]
    (0.333, 0.0)
    """
    embeddings, category = align_rows(embeddings=embeddings, category=category)
    reject_masked(embeddings, "`embeddings`")
    rows = np.asarray(embeddings, dtype=np.float64)
    if rows.ndim != 2 or 0 in rows.shape:
        raise ValueError(
            f"`embeddings` must have shape (n, n_features) and not be empty; got {rows.shape}."
        )
    embedded = np.asarray(~np.isnan(rows).all(axis=1))
    is_invalid = embedded & ~np.isfinite(rows).all(axis=1)
    if is_invalid.any():
        raise ValueError(f"`embeddings`: row {int(np.argmax(is_invalid))} is not finite.")
    members, names = _members(category, len(rows), embedded)
    used = np.asarray(members.sum(axis=0)).ravel() > 0
    members, rows = members[:, used], rows[used]
    if center:
        rows = rows - rows.mean(axis=0)
    sums = np.asarray(members @ rows)  # the cosines of sums are those of means
    units = _units(sums, np.isfinite(sums))
    similarity = _square(units @ units.T, names)
    within, between = _within_and_between(members, _units(rows, np.isfinite(rows)))
    similarity.attrs = {
        "n_rows": _row_counts(members, names),
        "within": dict(zip(names.tolist(), within.tolist(), strict=True)),
        "between": between,
    }
    return similarity


def _members(
    category: Any, n: int, usable: NDArray[np.bool_] | None = None
) -> tuple[Any, "pd.Index[Any]"]:
    """Return a sparse (n_categories, n) matrix of ones, and the categories' names."""
    reject_masked(category, "`category`")
    values = category if isinstance(category, pd.Series) else pd.Series(category)
    if len(values) != n:
        raise ValueError(f"`category` has {len(values)} entries, but there are {n} rows.")
    usable = np.ones(n, dtype=bool) if usable is None else usable
    known = values.notna().to_numpy(dtype=bool)
    left_out = [
        f"{int(unusable.sum())} of {n} rows are left out: {why}."
        for unusable, why in ((~known, "their category is missing"), (~usable, "they are all NaN"))
        if unusable.any()
    ]
    used = known & usable
    if not used.any():
        raise ValueError(f"No row is left with a known category. {' '.join(left_out)}".strip())
    if left_out:
        warnings.warn(" ".join(left_out), SkattrWarning, stacklevel=3)
    groups = pd.Categorical(values[used]).remove_unused_categories()
    at = groups.codes.astype(np.intp), np.flatnonzero(used)
    shape = (len(groups.categories), n)
    names = pd.Index(groups.categories, name=values.name)
    return scipy.sparse.csr_array((np.ones(int(used.sum())), at), shape=shape), names


def _row_counts(members: Any, names: "pd.Index[Any]") -> dict[Any, int]:
    counts = np.asarray(members.sum(axis=1)).astype(int).tolist()
    return dict(zip(names.tolist(), counts, strict=True))


def _units(rows: Floats, known: NDArray[np.bool_], center: bool = False) -> Floats:
    """Scale the known part of rows to length 1, 0 elsewhere; NaN for rows of length 0."""
    rows = np.where(known, rows, 0.0)
    if center:
        level = divide(rows.sum(axis=1), known.sum(axis=1), 0.0)
        highest = np.where(known, rows, -np.inf).max(axis=1)
        # Subtracting the mean of a constant row leaves rounding errors, which would be scaled.
        varies = highest > np.where(known, rows, np.inf).min(axis=1)
        rows = np.where(known & varies[:, np.newaxis], rows - level[:, np.newaxis], 0.0)
    # The squares of small numbers would underflow.
    scale = np.abs(rows).max(axis=1, keepdims=True)
    rows = np.divide(rows, scale, out=np.full(rows.shape, np.nan), where=scale > 0)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def _against(i: int, values: Floats, known: NDArray[np.bool_], center: bool) -> Floats:
    """Return the similarity of row i with every row, over the columns both have."""
    shared = known & known[i]
    ours = _units(np.broadcast_to(values[i], values.shape), shared, center)
    return np.asarray((ours * _units(values, shared, center)).sum(axis=1))


def _square(similarity: Floats, names: "pd.Index[Any]") -> pd.DataFrame:
    """Label a similarity matrix, and remove what rounding adds beyond 1."""
    similarity = np.clip((similarity + similarity.T) / 2, -1.0, 1.0)
    diagonal = np.diagonal(similarity)
    np.fill_diagonal(similarity, np.where(np.isnan(diagonal), np.nan, 1.0))
    return pd.DataFrame(similarity, index=names, columns=names)


def _within_and_between(members: Any, units: Floats) -> tuple[Floats, float]:
    """Return the mean cosine of pairs of rows within each category, and across categories."""
    # The squared length of a sum of unit vectors is the sum of the cosines of all their pairs.
    has_length = ~np.isnan(units).any(axis=1)
    members, units = members[:, has_length], units[has_length]
    n = np.asarray(members.sum(axis=1)).ravel()
    sums = np.asarray(members @ units)
    squares = (sums**2).sum(axis=1)
    within = divide(squares - n, n * (n - 1))
    pairs = n.sum() ** 2 - (n**2).sum()
    all_sums = (sums.sum(axis=0) ** 2).sum() - squares.sum()
    return np.clip(within, -1.0, 1.0), float(np.clip(divide(all_sums, pairs), -1.0, 1.0))
