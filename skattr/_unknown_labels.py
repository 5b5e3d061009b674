"""Classifiers that cannot take unknown labels are named."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

# What scikit-learn's classifiers, and Python itself, say of an unknown label in y.
_NO_LABEL = re.compile(
    "Input (y )?contains NaN|Unknown label type|'<' not supported|boolean value of NA is ambiguous"
)


@contextmanager
def blaming_unknown_labels(
    estimator: Any, codes: NDArray[np.int64], names: Sequence[Any]
) -> Iterator[None]:
    """Say of a classifier that fails on unknown labels that it takes none; other errors pass.

    Parameters
    ----------
    estimator : classifier
        One with a `missing_label`, its own or that of a part of it, can take them.
    codes : ndarray of shape (n, n_outputs)
        Those of y, -1 where unknown.
    names : sequence
        Of the outputs.

    Raises
    ------
    ValueError
        From the classifier's own error.
    """
    try:
        yield
    except (TypeError, ValueError) as error:
        unknown = [name for name, column in zip(names, codes.T, strict=True) if (column < 0).any()]
        takes_them = any(name.endswith("missing_label") for name in estimator.get_params())
        if takes_them or not unknown or not _NO_LABEL.search(str(error)):
            raise
        raise ValueError(
            f"{type(estimator).__name__} cannot take unknown labels, and y has some in the "
            f"output(s) {unknown}. Take a classifier that can, such as AttributeClassifier, or fit "
            f"one per output on the rows whose label is known. Its own error: {error}"
        ) from error
