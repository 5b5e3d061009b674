"""Stack level of warnings."""

import inspect


def find_stack_level() -> int:
    """Return the stacklevel, seen from the caller, of the first frame outside the libraries."""
    frame, level = inspect.currentframe(), -1
    while frame is not None:
        if frame.f_globals.get("__name__", "").partition(".")[0] not in ("skattr", "sklearn"):
            break
        frame, level = frame.f_back, level + 1
    return level + 1
