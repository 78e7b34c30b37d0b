"""What callers hold in their hands -> a file, bytes, words or an array: what `Recognizer.predict` reads."""

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from emobraid.media import SAMPLE_RATE, MediaBytes

Given = str | Path | MediaBytes | np.ndarray | None
WANTED = {
    "text": "a string",
    "audio": "a file, its bytes, samples (N,) at 16 kHz, (rate, samples), or {'array': ..., 'sampling_rate': ...}",
    "video": "a file, its bytes, a picture, or RGB frames (T, H, W, 3)",
    "motion": "a file, a cell, or values (T, W)",
}
HEARD = 0.1  # of the loudest channel's level, below which a channel holds nothing of the voice


def taken(modality: str, value: Any, *, features: bool = False) -> Given:
    """What was given for a modality; None where it is missing, as None, NaN and pandas' NA say.

    With `features` its numbers are published features, not samples or frames. ValueError for anything else.
    """
    if value is None or _is_missing(value):
        return None
    if modality == "text" and not features:
        return _words(value)
    found = _file(modality, value)
    return _numbers(modality, value, features=features) if found is None else found


def _file(modality: str, value: Any) -> str | Path | MediaBytes | np.ndarray | None:
    """What names a file or holds one; None for anything else."""
    if isinstance(value, MediaBytes):
        return value
    if isinstance(value, str | os.PathLike):
        return str(value) if modality == "motion" else Path(value)
    if isinstance(value, Mapping):
        return _of_mapping(modality, value)
    if callable(getattr(value, "read", None)):
        value = value.read()
        if isinstance(value, str):
            raise ValueError(f"{modality}: the file was opened as text; open it with mode 'rb'")
    return _held(modality, bytes(value)) if isinstance(value, bytes | bytearray | memoryview) else None


def _numbers(modality: str, value: Any, *, features: bool) -> np.ndarray:
    """Samples, frames or features."""
    if features or modality == "motion":
        return _array(modality, value)
    if modality == "video":
        return _frames(value)
    if _has_rate(value):
        return _at_our_rate(_array(modality, value[1]), value[0])
    return _one_channel(_array(modality, value))


def _is_missing(value: Any) -> bool:
    return (isinstance(value, float) and math.isnan(value)) or type(value).__name__ in ("NAType", "NaTType")


def _refused(modality: str, value: Any) -> ValueError:
    kind = type(value).__name__
    article = "an" if kind[:1].lower() in "aeiou" else "a"
    return ValueError(f"{modality} must be {WANTED[modality]}; got {article} {kind}")


def _words(value: Any) -> str:
    if isinstance(value, bytes | bytearray):
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise ValueError("text: these bytes are not UTF-8; decode them first") from None
    if not isinstance(value, str):
        raise _refused("text", value)
    return str(value)


def _held(modality: str, content: bytes) -> MediaBytes:
    if modality not in ("audio", "video"):
        raise ValueError(f"{modality} must be {WANTED[modality]}; got bytes")
    if not content:
        raise ValueError(f"{modality}: there are no bytes in it")
    return MediaBytes(modality, content)


def _of_mapping(modality: str, value: Mapping[str, Any]) -> Path | MediaBytes | np.ndarray:
    """As `datasets` and `transformers` hold sounds and pictures."""
    if value.get("bytes") is not None:
        return _held(modality, value["bytes"])
    samples = value.get("array", value.get("raw"))
    if modality == "audio" and samples is not None and "sampling_rate" in value:
        return _at_our_rate(_array(modality, samples), value["sampling_rate"])
    if isinstance(value.get("path"), str | os.PathLike):
        return Path(value["path"])
    raise ValueError(
        f"{modality} must be {WANTED[modality]}; got a mapping with {', '.join(map(str, value)) or 'nothing'}"
    )


def _has_rate(value: Any) -> bool:
    """(rate, samples), as Gradio and scipy give it."""
    if not isinstance(value, tuple | list) or len(value) != 2:
        return False
    return isinstance(value[0], int | np.integer) and not isinstance(value[1], int | float | np.number)


def _array(modality: str, value: Any) -> np.ndarray:
    """A numpy array of a tensor of any library, or of nested lists."""
    if callable(getattr(value, "detach", None)):
        value = value.detach().cpu()
        value = value.float() if str(value.dtype) == "torch.bfloat16" else value  # numpy knows none
        return np.asarray(value.numpy())
    if not isinstance(value, Sequence) and not hasattr(value, "__array__"):
        raise _refused(modality, value)
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError):  # ragged lists
        raise _refused(modality, value) from None
    if not np.issubdtype(array.dtype, np.number):
        raise _refused(modality, value)
    return array.astype(np.float32) if isinstance(value, Sequence) and modality != "video" else array


def _one_channel(samples: np.ndarray) -> np.ndarray:
    """(1, N) and (N, 1) as (N,); all else as it is, which is checked where it is read."""
    return samples.reshape(-1) if samples.ndim == 2 and 1 in samples.shape else samples


def _at_our_rate(samples: np.ndarray, rate: Any) -> np.ndarray:
    """(N,) float32 at 16 kHz of samples with a rate of their own: integers are scaled, channels with a voice mixed."""
    if not isinstance(rate, int | float | np.number) or not 1_000 <= rate <= 1_000_000:
        raise ValueError(f"audio: a sampling rate of {rate!r} is none")
    if np.issubdtype(samples.dtype, np.integer):
        scale = np.iinfo(samples.dtype)
        samples = (samples.astype(np.float64) - (128 if scale.min == 0 else 0)) / (scale.max if scale.min else 128)
    if samples.ndim == 2:
        channels = samples if samples.shape[0] <= samples.shape[1] else samples.T  # (C, N)
        level = channels.std(axis=1)
        samples = channels[level >= HEARD * level.max()].mean(axis=0)
    if samples.ndim != 1 or not len(samples):
        raise ValueError(f"audio: samples have shape {samples.shape}; give (N,) or (N, channels)")
    import soxr

    return np.asarray(soxr.resample(samples.astype(np.float32), float(rate), SAMPLE_RATE), dtype=np.float32)


def _frames(value: Any) -> np.ndarray:
    """RGB frames (T, H, W, 3) uint8 of a picture, of several, of arrays and tensors with the channels first or last."""
    if callable(getattr(value, "convert", None)):  # a PIL image
        return np.asarray(value.convert("RGB"))[None]
    if isinstance(value, list | tuple):
        if not value:
            raise ValueError("video: there are no frames in it")
        several = [_frames(v)[0] if callable(getattr(v, "convert", None)) else _array("video", v) for v in value]
        if len({frame.shape for frame in several}) > 1:
            raise ValueError("video: the frames are of several sizes; bring them to one")
        frames = np.stack(several)
    else:
        frames = _array("video", value)
    if frames.ndim == 4 and frames.shape[1] == 3 != frames.shape[-1]:
        frames = np.moveaxis(frames, 1, -1)
    if np.issubdtype(frames.dtype, np.floating) and frames.size and frames.min() >= 0 and frames.max() <= 1:
        frames = np.round(255 * frames).astype(np.uint8)
    elif np.issubdtype(frames.dtype, np.integer) and frames.size and frames.min() >= 0 and frames.max() <= 255:
        frames = frames.astype(np.uint8)
    return np.ascontiguousarray(frames)
