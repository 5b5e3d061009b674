"""Parameters that all metrics share, with their part of each signature and docstring."""

import inspect
from typing import Any, TypedDict, TypeVar

from skattr.metrics._inputs import Declared, Levels

Function = TypeVar("Function")


class Options(TypedDict, total=False):
    """Keyword parameters that say how y is read and weighted."""

    sample_weight: Any
    label_weight: Any
    attributes: Declared
    classes: Levels
    missing_label: Any


_TEXTS = {
    "options": """sample_weight : array-like of shape (n,), default=None
        Weight of each row.
    label_weight : array-like of shape (n, n_attributes), default=None
        Weight of each entry, multiplied by that of its row.
    attributes : dict of {name: kind}, default=None
        Kinds that are not to be read from y_true, as for :class:`skattr.AttributeEncoder`.
    classes : dict of {name: levels} or list of levels per attribute, default=None
        All labels an attribute may take, also those absent from y_true; read from the data if
        not given.
    missing_label : scalar, default=None
        A value that marks a missing label, besides NaN, None and pandas.NA.""",
    "y_true, y_pred": """y_true : array-like of shape (n,) or (n, n_attributes), or DataFrame
        True labels; missing ones are left out.
    y_pred : array-like of the shape of y_true
        Predicted labels. None may be missing where the true label is known.""",
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
    "values": """float, or ndarray of shape (n_attributes,) for ``average=None``
        NaN where undefined. Averages are over the defined attributes, with one
        ``UndefinedAttributeWarning`` that lists the others.""",
    "errors": """ValueError
        If shapes, columns or parameters do not fit, a prediction is missing where the label is
        known, or no label is known.""",
}


def documented(function: Function) -> Function:
    """Write the shared parameters into the signature and the docstring of a metric.

    The metric takes them as ``**options: Unpack[Options]``, so that type checkers know each by
    name. Its docstring has the names of shared passages in braces.

    The function itself is changed: doctest does not find the examples of a wrapper.
    """
    signature = inspect.signature(function)  # type: ignore[arg-type]
    parameters = [
        parameter
        for parameter in signature.parameters.values()
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD
    ]
    parameters += [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
        for name, kind in Options.__annotations__.items()
    ]
    function.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    for name, text in _TEXTS.items():
        if function.__doc__:  # None under python -OO
            function.__doc__ = function.__doc__.replace(f"{{{name}}}", text)
    return function
