"""How long a file lasts."""

import io
from collections.abc import Mapping
from typing import Any

import av
from av.error import FFmpegError

from emobraid.decoding.pictures import is_cover, stamp_of
from emobraid.decoding.tracks import INDEXED, declared_length, opened


def length_of(file: io.FileIO, request: Mapping[str, Any]) -> float:
    """Seconds until the last of the first sound track and the first film ends; 0 for a picture.

    Taken from the header where the format keeps an index, which rests on the same numbers; else from the stamps of all
    packets, none of which is decoded: what is estimated, or was written before the end was known, is no length.
    """
    with opened(file, request) as container:
        films = [s for s in container.streams.video if not is_cover(s)]
        tracks: list[Any] = [*container.streams.audio[:1], *films[:1]]
        declared = [declared_length(container, track) for track in tracks]
        if container.format.name in INDEXED and None not in declared:
            return max((length for length in declared if length), default=0.0)
        zero, last = (container.start_time or 0) / av.time_base, 0.0
        pictures = 0
        try:
            for packet in container.demux(tracks) if tracks else ():
                if (stamp := stamp_of(packet)) is None:
                    continue
                pictures += packet.stream.type == "video"
                last = max(last, stamp - zero + float((packet.duration or 0) * packet.time_base))
        except MemoryError:
            raise
        except FFmpegError:
            pass  # damaged from here on
        return last if pictures != 1 or container.streams.audio else 0.0
