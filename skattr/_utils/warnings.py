"""Stack level of warnings."""

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
