"""When things are in a film: time 0 is its start, for sound and picture alike."""

from typing import Any

import av

A_DAY = 86_400.0  # s
ABSURD = 21_600.0  # s: no film pauses for so long, its stamps are of another clock
ANEW = "write it anew, as `ffmpeg -fflags +genpts -i FILE NEW` does"
GUESSED_LENGTH = {"mp3", "aac", "ac3", "amr"}  # these state none: FFmpeg extrapolates from the first bit rate


def zero_of(container: av.container.InputContainer, stream: Any) -> float:
    """The stamp, in seconds, at which the film begins; of a track on another clock, a day or more away, its own."""
    zero = (container.start_time or 0) / av.time_base
    own = float((stream.start_time or 0) * stream.time_base) if stream.time_base else zero
    return own if abs(own - zero) > A_DAY else zero


def declared_length(container: av.container.InputContainer, stream: Any) -> float | None:
    """When a track ends on the film's clock, as the file says."""
    if container.format.name in GUESSED_LENGTH:
        return None
    alone = len(container.streams) == 1
    if container.format.name == "matroska,webm" and not alone:  # FFmpeg puts the film's length in for the track's
        tagged = tagged_length(stream.metadata.get("DURATION", ""))
        return tagged if tagged is None or tagged < A_DAY else None  # that is when it ends by another clock
    if stream.duration is not None and stream.time_base is not None:
        late = float((stream.start_time or 0) * stream.time_base) - zero_of(container, stream)
        return float(stream.duration * stream.time_base) + max(late, 0.0)
    return container.duration / av.time_base if container.duration and alone else None


def tagged_length(tag: str) -> float | None:
    """Seconds of Matroska's own "00:00:07.400000000"."""
    try:
        hours, minutes, seconds = map(float, tag.split(":"))
    except ValueError:
        return None
    return 3600 * hours + 60 * minutes + seconds


def chosen_sound(container: av.container.InputContainer) -> tuple[Any, str]:
    """The sound track that a player takes, and a note where there are others."""
    tracks = container.streams.audio
    default = [i for i, s in enumerate(tracks) if s.disposition & av.stream.Disposition.default]
    at = default[0] if default else 0
    language = str(tracks[at].metadata.get("language", "und"))
    spoken_in = f" ({language})" if language.isalpha() and language != "und" else ""
    return tracks[at], f"{len(tracks)} sound tracks, read number {at + 1}{spoken_in}" if len(tracks) > 1 else ""
