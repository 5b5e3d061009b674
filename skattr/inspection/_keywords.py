"""Keywords of displays that are passed on to matplotlib."""

import difflib
import inspect
from collections.abc import Mapping
from typing import Any

# What a display sets itself, and what makes no sense for several artists.
_DATA = {"data", "xdata", "ydata", "array", "extent", "figure", "bounds", "width", "x", "y", "xy"}
_CONSTRUCTORS = ("from_estimator", "from_predictions", "from_labels", "from_scores")


def artist_options(display: Any, kind: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Check the keywords of a display, and return them without abbreviations.

    Parameters
    ----------
    display : object
        The display, whose name and own parameters are in the message.
    kind : {"lines", "bars", "image"}
        What it draws.
    given : dict

    Raises
    ------
    TypeError
        If matplotlib has no such keyword; the message lists those it has.
    """
    valid = artist_keywords(kind)
    unknown = [name for name in given if name not in valid]
    if unknown:
        own = _own_parameters(display)
        near = difflib.get_close_matches(unknown[0], [*own, *sorted(valid)], n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        what = {"lines": "lines", "bars": "bars", "image": "an image"}[kind]
        raise TypeError(
            f"{type(display).__name__} got the unknown keyword {unknown[0]!r}.{hint} Its own "
            f"parameters are {', '.join(own)}. It draws {what} here, with the keywords "
            f"{', '.join(sorted(valid))}."
        )
    from matplotlib.cbook import normalize_kwargs

    return dict(normalize_kwargs(dict(given), _artist(kind)))


def artist_keywords(kind: str) -> set[str]:
    """Return the valid keywords of a kind of artist."""
    # Imported here, as matplotlib is optional.
    from matplotlib.artist import ArtistInspector
    from matplotlib.axes import Axes

    inspector = ArtistInspector(_artist(kind))
    valid = set(inspector.get_setters()).union(*inspector.aliasd.values())
    if kind == "image":
        parameters = inspect.signature(Axes.imshow).parameters.values()
        valid |= {item.name for item in parameters if item.kind is not item.VAR_KEYWORD}
    return valid - _DATA - {"self", "X"}


def _artist(kind: str) -> Any:
    """Return the class of matplotlib that is drawn."""
    if kind == "image":
        from matplotlib.image import AxesImage

        return AxesImage
    from matplotlib.lines import Line2D
    from matplotlib.patches import Rectangle

    return Line2D if kind == "lines" else Rectangle


def image_options(defaults: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of ``imshow``: those given, and defaults that go with them."""
    replaced: tuple[str, ...] = ()
    if given.get("colorizer") is not None:
        replaced = ("vmin", "vmax", "cmap", "norm")
    elif given.get("norm") is not None and not isinstance(given["norm"], str):
        replaced = ("vmin", "vmax")
    return {name: value for name, value in defaults.items() if name not in replaced} | dict(given)


def check_params(function: Any, given: Mapping[str, Any], parameter: str) -> None:
    """Raise if a function has no parameters of the given names.

    Raises
    ------
    TypeError
        The message lists the valid names.
    """
    items = list(inspect.signature(function).parameters.values())
    if any(item.kind is item.VAR_KEYWORD for item in items):
        return
    valid = [item.name for item in items[2:]]
    unknown = [name for name in given if name not in valid]
    if unknown:
        name = getattr(function, "__name__", repr(function))
        raise TypeError(
            f"`{parameter}` has the unknown name {unknown[0]!r}; {name} has {', '.join(valid)}."
        )


def _own_parameters(display: Any) -> list[str]:
    """Return the names of the keyword parameters of a display's methods."""
    methods = [getattr(display, name, None) for name in (*_CONSTRUCTORS, "from_similarity", "plot")]
    names = [
        item.name
        for method in methods
        if method is not None
        for item in inspect.signature(method).parameters.values()
        if item.kind is item.KEYWORD_ONLY or item.name == "ax"
    ]
    return list(dict.fromkeys(names))
