"""A longer recording that somebody uploaded, read in windows while they wait: what it expresses over time."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from emobraid.media import MediaBytes
from emobraid.recognizer import Recognizer
from emobraid.timeline import Plan, Timeline, Window

SHORT = 10.0  # seconds; what lasts no longer is one reading
WINDOWS = 60  # that are read of a recording, however long, give or take one
PATIENCE = 60.0  # seconds that reading them may take
LOOKS = 0.5  # seconds between two looks of what is on its way


@dataclass(frozen=True)
class Course:
    """What has been read of a recording of `seconds`; no more comes when it is `done`."""

    seconds: float
    plan: Plan
    windows: tuple[Window, ...] = ()
    done: bool = False


def plan_for(seconds: float, frames: int) -> Plan:
    """Windows of 4 s every 2 s, longer and fewer where more than `WINDOWS` would come of that, and no more pictures of
    them than the `frames` that a model looks at."""
    step = max(2.0, math.ceil(seconds / WINDOWS))
    window = min(2 * step, 60.0)
    return Plan(window=window, step=min(step, window), fps=min(4.0, max(0.25, frames / window)))


def courses(recognizer: Recognizer, source: MediaBytes, gone: Callable[[], bool]) -> Iterator[Course]:
    """The course of a recording as it grows, nothing for a short one. Ends early when whoever asked is `gone`, and
    after `PATIENCE`. MediaError when no track can be decoded."""
    seconds = recognizer.reader.length(source)
    if seconds <= SHORT:
        return
    plan = plan_for(seconds, recognizer.config.model.video_max_frames)
    yield Course(seconds, plan)
    windows: list[Window] = []
    until = time.monotonic() + PATIENCE
    looked = time.monotonic()
    for window in Timeline(recognizer, source, plan):
        windows.append(window)
        if gone():
            return
        if time.monotonic() > until:
            break
        if time.monotonic() - looked > LOOKS:
            looked = time.monotonic()
            yield Course(seconds, plan, tuple(windows))
    yield Course(seconds, plan, tuple(windows), done=True)
