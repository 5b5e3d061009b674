"""Parameters that all metrics share, with their part of each signature and docstring."""

import inspect
from collections.abc import Callable
from typing import Any, TypedDict, TypeVar

from skattr.metrics._inputs import Declared

Function = TypeVar("Function", bound=Callable[..., Any])


class Options(TypedDict, total=False):
    """Keyword parameters that say how y is read and weighted."""

    sample_weight: Any
    label_weight: Any
    attributes: Declared
    missing_label: Any


_PARAMETERS = {
    "y_true": """array-like of shape (n,) or (n, n_attributes), or DataFrame
    True labels; missing ones are left out.""",
    "y_pred": """array-like of the shape of y_true
    Predicted labels. No prediction may be missing where the true label is known.""",
    "average": """{"macro", "micro", "weighted", "samples"} or None, default=<default>
    - "macro": mean over attributes.
    - "micro": value of all entries pooled; each class of an attribute that is not binary counts
      against the rest.
    - "weighted": mean over the positive classes, weighted by their known positives.
    - "samples": mean over rows of the value of a row's known labels.
    - None: one value per attribute.""",
    "zero_division": """{"warn", 0, 1, nan}, default=<default>
    Value of 0 / 0, as in scikit-learn. "warn" is 0 with a warning, but NaN for attributes
    without a known positive in recall, F-scores and Jaccard.""",
    "sample_weight": """array-like of shape (n,), default=None
    Weight of each row.""",
    "label_weight": """array-like of shape (n, n_attributes), default=None
    Weight of each entry, multiplied by that of its row.""",
    "attributes": """dict of {name: declaration}, default=None
    Kinds, classes and positive levels that are not to be read from y_true, as for
    :class:`skattr.AttributeEncoder`.""",
    "missing_label": """scalar, default=None
    A value that marks a missing label, besides NaN, None and pandas.NA.""",
}
_RETURNS = """float, or ndarray of shape (n_attributes,) for ``average=None``
    NaN where undefined. Averages are over the defined attributes, with one
    ``UndefinedAttributeWarning`` that lists the others."""
_RAISES = """ValueError
    If shapes, columns or parameters do not fit, a prediction is missing where the label is known,
    or no label is known."""


def documented(
    *, returns: str = _RETURNS, raises: str = _RAISES, **parameters: str
) -> Callable[[Function], Function]:
    """Write the shared parameters into the signature and the docstring of a metric.

    The metric takes them as ``**options: Unpack[Options]``, so that type checkers know each by
    name. In its docstring ``{sections}`` is replaced by the sections Parameters, Returns and
    Raises.

    Parameters
    ----------
    returns, raises : str
        Text of these sections.
    **parameters : str
        Type and description of parameters that the metric does not share, or has in another
        form. ``<default>`` is replaced by the default value.

    Returns
    -------
    callable
        A decorator. It changes the function itself, as doctest does not find the examples of a
        wrapper.
    """

    def decorate(function: Function) -> Function:
        signature = inspect.signature(function)
        shared = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
            for name, kind in Options.__annotations__.items()
        ]
        own = [
            parameter
            for parameter in signature.parameters.values()
            if parameter.kind is not inspect.Parameter.VAR_KEYWORD
        ]
        function.__signature__ = signature.replace(parameters=own + shared)  # type: ignore[attr-defined]
        texts = [
            f"{parameter.name} : {(_PARAMETERS | parameters)[parameter.name]}".replace(
                "<default>", repr(parameter.default).replace("'", '"')
            )
            for parameter in own + shared
        ]
        sections = [
            f"{title}\n{'-' * len(title)}\n{text}"
            for title, text in (
                ("Parameters", "\n".join(texts)),
                ("Returns", returns),
                ("Raises", raises),
            )
        ]
        if function.__doc__:  # None under python -OO
            indented = "\n\n".join(sections).replace("\n", "\n    ").replace("    \n", "\n")
            function.__doc__ = function.__doc__.replace("{sections}", indented)
        return function

    return decorate
