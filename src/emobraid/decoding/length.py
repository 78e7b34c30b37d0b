"""How long a file lasts."""

import io
from collections.abc import Mapping
from typing import Any

from av.error import FFmpegError

from emobraid.decoding.clock import A_DAY, ABSURD, ANEW, chosen_sound, declared_length, zero_of
from emobraid.decoding.pictures import is_cover, stamp_of, still
from emobraid.decoding.tracks import INDEXED, Refused, opened, spoken


def length_of(file: io.FileIO, request: Mapping[str, Any]) -> float:
    """Seconds until the last of the first sound track and the first film ends; 0 for a picture.

    Taken from the header where the format keeps an index, which rests on the same numbers; else from the stamps of all
    packets, none of which is decoded: what is estimated, or was written before the end was known, is no length.
    """
    with opened(file, request) as container:
        films = [s for s in container.streams.video if not is_cover(s)]
        tracks: list[Any] = [*films[:1]]
        if container.streams.audio:
            tracks.append(chosen_sound(container)[0])
        if still(container):
            return 0.0
        declared = [declared_length(container, track) for track in tracks]
        if container.format.name in INDEXED and None not in declared:
            return max((length for length in declared if length), default=0.0)
        zeros, last = {t.index: zero_of(container, t) for t in tracks}, 0.0
        seen: dict[int, float] = {}
        pictures = 0
        try:
            for packet in container.demux(tracks) if tracks else ():
                if (stamp := stamp_of(packet)) is None:
                    continue
                pictures += packet.stream.type == "video"
                index = packet.stream_index
                if index not in seen and abs(stamp - zeros[index]) > A_DAY:
                    zeros[index] = stamp  # the whole track is on another clock
                at, before = stamp - zeros[index], seen.get(index, 0.0)
                if abs(at - before) > ABSURD:
                    raise Refused(f"its time stamps jump by {spoken(abs(at - before))}, so they must be wrong; {ANEW}")
                seen[index] = at
                last = max(last, at + float((packet.duration or 0) * packet.time_base))
        except MemoryError:
            raise
        except FFmpegError:
            pass  # damaged from here on
        return last if pictures != 1 or container.streams.audio else 0.0
