"""The picture of a file: frames evenly spaced in time, upright.

Shapes: T frames, H x W pixels.
"""

import io
import math
import os
from collections.abc import Iterator, Mapping
from typing import Any

import av
import cv2
import numpy as np

from emobraid.decoding.blazeface import Image
from emobraid.decoding.faces import NO_FACES, Detector, faces_in
from emobraid.decoding.room import make_room
from emobraid.decoding.tracks import WHOLE, Damaged, Packet, Part, Refused, Track, join, opened, refuse_more
from emobraid.media.frames import evenly, too_large
from emobraid.media.kinds import Faces, Side

REORDERED = 16  # packets that may come after one that is shown later than they are, at most (H.264)


def look(file: io.FileIO, request: dict[str, Any], detect: Detector) -> Faces:
    """The face in the first video track or picture; no crops and the reason where there is none."""
    with opened(file, request) as container:
        if not container.streams.video:
            return NO_FACES._replace(note="no video track")
        index = next((i for i, s in enumerate(container.streams.video) if not is_cover(s)), None)
        if index is None:
            return NO_FACES._replace(note="no video track, only a cover picture")
        track = Track(container, container.streams.video[index], request["seconds"], Part.of(request))
        picture = track.stream.codec_context
        refuse_large(picture, request["pixels"])
        make_room(request, picture.width * picture.height)
        times, keys = survey(track, request["seconds"])
        cut = cut_picture(file, container) if still(container) else ""
        if still(container):  # what follows in the file is a depth map, a gain map, another view
            times, keys = times[:1], keys[:1]
    if not len(times):
        return NO_FACES._replace(note="the video track is empty")
    shown = shown_in(times - track.zero, track.part)
    if not len(shown):
        if track.part.end is not None and track.part.end <= (begins := float(times.min()) - track.zero):
            return NO_FACES._replace(note=f"its picture begins at {begins:.1f} s")
        raise Damaged(track.part.beyond("picture", float(times.max()) - track.zero))
    wanted, fed = plan(times, keys, request["faces"]["max_frames"], shown)
    with opened(file, request) as container:
        track = Track(container, container.streams.video[index], request["seconds"], Part.of(request))
        images, stamps = grab(track, wanted, fed, request)
    if not images:
        if cut:
            raise Damaged(f"{cut}, too early to be read; fetch it again")
        most = f"{request['pixels'] / 1e6:g} megapixels"
        raise Damaged(f"none of its pictures could be decoded: it is damaged, or larger than {most}")
    begin = track.zero + track.part.start
    faces = faces_in(images, [max(t - begin, 0.0) for t in stamps], request, detect)
    faces = faces._replace(note=join([faces.note, cut]))
    if len(times) > 1:  # a still picture has no length
        last = times.min() + float(np.ptp(times)) * len(times) / (len(times) - 1)  # when the last picture goes
        seen = min(last - begin, math.inf if track.part.end is None else track.part.end - track.part.start)
        faces = faces._replace(note=join([faces.note, *track.notes(seen, track.part.within(track.length), "picture")]))
    return faces


def still(container: av.container.InputContainer) -> bool:
    """Whether the file is one picture, whatever else is in it."""
    return container.format.name.endswith("_pipe")


def cut_picture(file: io.FileIO, container: av.container.InputContainer) -> str:
    """That a JPEG or PNG lacks its end; empty when it does not, or is of another kind."""
    name = container.format.name.removesuffix("_pipe").upper()
    start, end = {"JPEG": (b"\xff\xda", b"\xff\xd9"), "PNG": (b"IHDR", b"IEND")}.get(name, (b"", b""))
    content = os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0) if end else b""
    whole = content.find(end, content.rfind(start) if name == "JPEG" else 0) >= 0 if content else True
    return "" if whole else f"the {name} picture is cut short"


def is_cover(stream: Any) -> bool:
    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def refuse_large(picture: Any, pixels: int) -> None:
    if picture.width * picture.height > pixels:
        raise Refused(too_large(picture.width, picture.height, pixels))


def survey(track: Track, seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """Time and key flag of every packet in file order, to the end of the stretch, without decoding: what a header says
    may be wrong or missing."""
    times: list[float] = []
    keys: list[bool] = []
    end, late = math.inf if track.part.end is None else track.part.end, 0
    for packet in track.packets():
        stamp = stamp_of(packet)
        times.append(stamp if stamp is not None else times[-1] if times else 0.0)
        keys.append(packet.is_keyframe)
        since = times[0] if track.part == WHOLE else track.zero + track.part.start
        late += times[-1] >= track.zero + end
        if late > REORDERED:
            break
        refuse_more(min(times[-1], track.zero + end) - since, seconds)
    return np.array(times), np.array(keys, dtype=bool)


def stamp_of(packet: Packet) -> float | None:
    stamp = packet.pts if packet.pts is not None else packet.dts
    return None if stamp is None or packet.time_base is None else float(stamp * packet.time_base)


def shown_in(times: np.ndarray, part: Part) -> np.ndarray:
    """Which of the frames at `times`, in seconds of the file, are on the screen in `part`, in order of time.

    The first is often one that came before it and is still there."""
    order = np.argsort(times, kind="stable")
    if part == WHOLE or len(times) == 1:  # a still picture is always there
        return order
    ascending = times[order]
    if part.start >= ascending[-1] + np.ptp(ascending) / (len(times) - 1):
        return order[:0]
    first = max(int(np.searchsorted(ascending, part.start + 1e-6, side="right")) - 1, 0)
    last = len(times) if part.end is None else int(np.searchsorted(ascending, part.end - 1e-6, side="left"))
    return order[first:last]


def plan(
    times: np.ndarray, keys: np.ndarray, count: int, shown: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Which times to keep, ascending, and for each packet whether the decoder needs it to get there.

    They are chosen among the frames `shown`, in order of time; by default all.

    Decoding may start at any key frame, so whole groups of pictures are passed over. Where key frames lie closer than
    the frames we want, only key frames are decoded, and ten minutes cost no more than ten seconds.
    """
    shown = np.argsort(times, kind="stable") if shown is None else shown
    chosen = shown[evenly(times[shown], count)]
    group = np.cumsum(keys)
    fed = np.isin(group, group[chosen])
    entries = shown[keys[shown]]
    if len(entries) and len(shown) > count:
        at_key = times[entries]
        nearest = np.abs(at_key - times[chosen][:, None]).argmin(axis=1)
        if np.abs(at_key[nearest] - times[chosen]).max() <= np.ptp(times[shown]) / count / 2:
            chosen = np.unique(entries[nearest])
            fed = np.isin(np.arange(len(times)), chosen)
    return np.unique(times[chosen]), fed


def grab(
    track: Track, wanted: np.ndarray, fed: np.ndarray, request: Mapping[str, Any]
) -> tuple[list[Image], list[float]]:
    """The pictures at the `wanted` times, or the next ones where those are lost, and their own times."""
    images: list[Image] = []
    stamps: list[float] = []
    served = 0
    for frame, packet in shown_frames(track, fed):
        # not frame.time: it is NaN for the frames that come when the decoder is drained
        time = (stamp_of(packet) or 0.0) if frame.pts is None else float(frame.pts * track.stream.time_base)
        due = int(np.searchsorted(wanted, time + 1e-4, side="right"))
        if due > served:
            refuse_large(frame, request["pixels"])  # the header may have promised less
            ratio = float(track.stream.sample_aspect_ratio or 1)
            images.append(half(upright(frame, packet, room(request), ratio), request.get("side")))
            stamps.append(time)
            served = due
    return images, stamps


def half(image: Image, side: Side | None) -> Image:
    """One half of a picture, to the left or to the right of its middle; all of it without a `side`."""
    middle = image.shape[1] // 2
    return image if side is None else np.ascontiguousarray(image[:, :middle] if side == "left" else image[:, -middle:])


def shown_frames(track: Track, fed: np.ndarray) -> Iterator[tuple[av.VideoFrame, Packet]]:
    """Decodes the packets that are `fed`, starting afresh after each gap; with a frame comes the last packet."""
    behind: Packet | None = None
    for packet, needed in zip(track.packets(), fed, strict=False):
        if needed:
            yield from ((frame, packet) for frame in track.decode(packet))
            behind = packet
        elif behind is not None:
            yield from ((frame, packet) for frame in track.decode(None))
            track.stream.codec_context.flush_buffers()
            behind = None
    if behind is not None:
        for frame in track.decode(None):
            yield frame, behind


def room(request: Mapping[str, Any]) -> float:
    """Pixels that one kept frame may have, so that all of them fill a quarter of the memory at most."""
    return float(request["memory"] / 4 / 3 / request["faces"]["max_frames"])


def shrunk(image: Image, most: float) -> Image:
    scale = math.sqrt(most / (image.shape[0] * image.shape[1]))
    return image if scale >= 1 else cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def upright(frame: av.VideoFrame, packet: Packet, most: float, ratio: float = 1.0) -> Image:
    """The frame as RGB the way it was meant to be seen: upright, as neither FFmpeg nor PyAV turns phone video, and with
    square pixels, where `ratio` is how wide one is: DV, DVD and many camcorders store a picture narrower than shown."""
    try:
        matrix: Any = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:  # PyAV 18.1 does not know EXIF, and `frame.rotation` cannot tell a mirror image
        image = cv2.imdecode(np.frombuffer(bytes(packet), np.uint8), cv2.IMREAD_COLOR_RGB)
        if image is None:
            raise Damaged("the picture is damaged") from None
        return shrunk(np.asarray(image), most)
    ratio = ratio if 0.2 <= ratio <= 5 else 1.0  # else a mistake of whoever wrote it
    wide, high = frame.width * max(ratio, 1.0), frame.height / min(ratio, 1.0)
    scale = min(1.0, math.sqrt(most / (wide * high)))
    width, height = max(round(wide * scale), 1), max(round(high * scale), 1)
    image = frame.to_ndarray(format="rgb24", width=width, height=height, interpolation="AREA", threads=1)
    return image if matrix is None else turned(image, np.frombuffer(bytes(matrix), np.int32).reshape(3, 3))


def turned(image: Image, matrix: np.ndarray) -> Image:
    """Applies a display matrix, which sends a point (x, y, 1) to (x, y, 1) @ matrix, in quarter turns and mirrors."""
    (a, b, _), (c, d, _), _ = matrix
    if abs(b) > abs(a):
        image, a, d = image.swapaxes(0, 1), c, b
    if a < 0:
        image = image[:, ::-1]
    return np.ascontiguousarray(image[::-1] if d < 0 else image)
