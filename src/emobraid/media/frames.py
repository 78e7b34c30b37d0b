"""Which frames of a film are looked at, and how large they may be."""

import numpy as np


def evenly(times: np.ndarray, count: int) -> np.ndarray:
    """Indices of at most `count` of the ascending `times`, evenly spaced in time, whatever the spacing of `times`."""
    if len(times) <= count:
        return np.arange(len(times))
    span = times[-1] - times[0]
    wanted = times[0] + (np.arange(count) + 0.5) / count * span * len(times) / (len(times) - 1)
    after = np.searchsorted(times, wanted).clip(1, len(times) - 1)
    return np.unique(after - (wanted - times[after - 1] < times[after] - wanted))


def too_large(width: int, height: int, pixels: int) -> str:
    return f"{width} x {height} pixels, the limit is {pixels / 1e6:g} megapixels; make it smaller"
