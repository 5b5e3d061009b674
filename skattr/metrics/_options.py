"""Parameters that all metrics share, with their part of each signature and docstring."""

import inspect
from collections.abc import Callable
from typing import Any, TypedDict, TypeVar

from skattr.metrics._inputs import Declared

Function = TypeVar("Function", bound=Callable[..., Any])


class Options(TypedDict, total=False):
    """Keyword parameters that say how y is read and weighted.

    Attributes
    ----------
    sample_weight : array-like of shape (n,), default=None
        Weight of each row.
    label_weight : array-like of shape (n, n_attributes), default=None
        Weight of each entry, multiplied by that of its row.
    attributes : dict of {name: declaration}, default=None
        Kinds, classes and positive levels that are not to be read from y_true, as for
        :class:`skattr.AttributeEncoder`. A metric that depends on the positive level warns
        (``PositiveLevelWarning``) if that of two strings was chosen by sorting.
    missing_label : scalar, default=None
        A value that marks a missing label, besides NaN, None and pandas.NA.
    """

    sample_weight: Any
    label_weight: Any
    attributes: Declared
    missing_label: Any


_Y_TRUE = """y_true : array-like of shape (n,) or (n, n_attributes), or DataFrame
        True labels; missing ones are left out. Columns of two DataFrames are matched by name."""
_RAISES = """Raises
    ------
    ValueError
        If shapes, columns or parameters do not fit, no label is known, or a known label has no
        prediction or no valid score."""
_SHARED = {
    "labels": f"""{_Y_TRUE}
    y_pred : array-like of the shape of y_true
        Predicted labels. No prediction may be missing where the true label is known.""",
    "scores": f"""{_Y_TRUE}
    y_score : list of ndarray of shape (n, n_classes), or array-like of shape (n, n_attributes)
        Scores of the classes as `predict_proba` returns them, or of the positive classes (the
        second in sorted order) if all attributes are binary; for one attribute (n,) or
        (n, n_classes), the classes in sorted order. Columns of a DataFrame (n, n_classes) that
        are called like the classes are matched by name. Scores of entries with a missing label
        may be anything.""",
    "average": """average : {"macro", "micro", "weighted", "samples"} or None, default="macro"
        - "macro": mean over attributes.
        - "micro": value of all entries pooled; each class of an attribute that is not binary
          counts against the rest.
        - "weighted": mean over the positive classes, weighted by their known positives.
        - "samples": mean over rows of the value of a row's known labels.
        - None: one value per attribute.""",
    "zero_division": """zero_division : {"warn", 0, 1, nan}, default="warn"
        Value of 0 / 0, as in scikit-learn. "warn" is 0 with a warning, but NaN for attributes
        without a known positive in recall, F-scores and Jaccard.""",
    "options": (Options.__doc__ or "").partition("----------\n")[2].strip(),
    "returns": f"""Returns
    -------
    float, or ndarray of shape (n_attributes,) for ``average=None``
        NaN where undefined. Averages are over the defined attributes, with one
        ``UndefinedAttributeWarning`` that lists the others.

    {_RAISES}""",
    "raises": _RAISES,
}


def documented(function: Function) -> Function:
    """Write the shared parameters into the signature and the docstring of a metric.

    The metric takes them as ``**options: Unpack[Options]``, so that type checkers know each by
    name. In its docstring ``{options}`` and similar are replaced by the texts of this module.
    The function itself is changed, as doctest does not find the examples of a wrapper.
    """
    signature = inspect.signature(function)
    *own, _ = signature.parameters.values()
    shared = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
        for name, kind in Options.__annotations__.items()
    ]
    function.__signature__ = signature.replace(parameters=own + shared)  # type: ignore[attr-defined]
    if function.__doc__:  # None under python -OO
        for name, text in _SHARED.items():
            function.__doc__ = function.__doc__.replace(f"{{{name}}}", text)
    return function
