"""Warnings of Pillow, recorded per image instead of shown without the name of its file.

Images are decoded on several threads, and `warnings.catch_warnings` would hide the warnings of all
other threads. So a filter for the modules of Pillow and a hook are installed while any thread
decodes; the hook records what the decoding threads warn of and passes on the rest.
"""

import contextlib
import re
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

# Recorded even if the process turns warnings into errors: an image with doubtful metadata is
# readable.
_FILTER: Any = ("always", None, Warning, re.compile(r"PIL\."), 0)

_lock = threading.Lock()
_local = threading.local()
_n_active = 0
_shown_by: Callable[..., Any] = warnings.showwarning


@contextlib.contextmanager
def record_pillow_warnings(messages: list[str] | None) -> Iterator[None]:
    """Append the warnings of Pillow in this thread to `messages`; other warnings are unchanged.

    With None they are left to the context around this one, and dropped if there is none.
    """
    outer = getattr(_local, "messages", None)
    if messages is not None or outer is None:
        _local.messages = [] if messages is None else messages
    _install()
    try:
        yield
    finally:
        _remove()
        _local.messages = outer


def _install() -> None:
    global _n_active, _shown_by
    with _lock:
        _n_active += 1
        if warnings.showwarning is not _record:
            _shown_by = warnings.showwarning
            warnings.showwarning = _record
        # Not by `warnings.filterwarnings`, which makes Python forget what it has shown: warnings
        # that are shown once would be shown again in every batch.
        filters: Any = warnings.filters
        if not filters or filters[0] is not _FILTER:
            filters.insert(0, _FILTER)


def _remove() -> None:
    global _n_active
    with _lock:
        _n_active -= 1
        if _n_active:
            return
        if warnings.showwarning is _record:
            warnings.showwarning = _shown_by
        filters: Any = warnings.filters
        while _FILTER in filters:
            filters.remove(_FILTER)


def _record(
    message: Warning | str, category: type[Warning], filename: str, *args: Any, **kwargs: Any
) -> None:
    messages = getattr(_local, "messages", None)
    if messages is None:
        _shown_by(message, category, filename, *args, **kwargs)
    else:
        messages.append(f"{str(message).strip().rstrip('.')}.")
