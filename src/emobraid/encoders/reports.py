"""What transformers says of its own accord while it loads a model."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_DOOR, _INSIDE, _OUTSIDE = threading.Lock(), list[None](), list[Any]()  # who is in, and what was set before


@contextmanager
def quiet() -> Iterator[None]:
    """The reports and progress bars of transformers stay off inside: what matters of a load its caller checks.

    Of threads that are inside at the same time, the last one out brings them back.
    """
    from transformers.utils import logging as reports

    with _DOOR:
        if not _INSIDE:
            _OUTSIDE[:] = reports.get_verbosity(), reports.set_tqdm_hook(_hidden)
            reports.set_verbosity(logging.ERROR)
        _INSIDE.append(None)
    try:
        yield
    finally:
        with _DOOR:
            _INSIDE.pop()
            if not _INSIDE:
                level, hook = _OUTSIDE
                reports.set_tqdm_hook(hook)
                reports.set_verbosity(level)


def _hidden(bar: Any, args: Any, settings: Any) -> Any:
    # not disable_progress_bar: what undoes it warns where bars are off by the environment
    return bar(*args, **{**settings, "disable": True})
