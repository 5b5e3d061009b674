"""Callers of a function, for warnings."""

import inspect


def find_stack_level() -> int:
    """Return the `stacklevel` of the first frame outside skattr and scikit-learn.

    A fixed number would not do: the same check is reached from `fit`, from a meta-estimator or
    from a search, over different numbers of frames.
    """
    frame, level = inspect.currentframe(), -1
    while frame is not None:
        if frame.f_globals.get("__name__", "").partition(".")[0] not in ("skattr", "sklearn"):
            break
        frame, level = frame.f_back, level + 1
    return level + 1


def is_called_from(module: str) -> bool:
    """Whether a function of a module, such as "sklearn.pipeline", is among the callers."""
    frame = inspect.currentframe()
    while frame is not None and frame.f_globals.get("__name__") != module:
        frame = frame.f_back
    return frame is not None
