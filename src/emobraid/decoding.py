"""What runs inside a decoder child: one open file in, its sound and face crops out. Only `emobraid.media` starts it.

The child gives up writing files, and the network where the system allows that. It is handed the one file to read; a
file that names other files (a playlist) is refused by its format, and by `refuse_other_files` if that should fail.
Shapes: N samples, C channels, T frames, H x W pixels.
"""

import ctypes
import io
import json
import math
import os
import resource
import select
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import av
import cv2
import numpy as np
import soxr
from av.error import FFmpegError
from cv2.data import haarcascades

from emobraid.media import SAMPLE_RATE, Audio, Faces, evenly, fill, receive, send, too_large

FORMATS = (
    "wav,w64,aiff,au,caf,flac,ogg,mp3,aac,ac3,amr,wv,nistsphere,"
    "mov,matroska,avi,flv,asf,mpeg,mpegts,ivf,"
    "gif,apng,png_pipe,jpeg_pipe,bmp_pipe,webp_pipe,tiff_pipe,pgm_pipe,ppm_pipe"
)
GUESSED_LENGTH = {"mp3", "aac", "ac3", "amr"}  # these state none: FFmpeg extrapolates from the first bit rate
PCM = {"u8": "u1", "s16": "i2", "s32": "i4", "s64": "i8", "flt": "f4", "dbl": "f8"}

SILENCE = 10 ** (-70 / 20)  # root mean square, full scale = 1
SHORTEST = 0.025  # s, one frame of the usual speech front ends
BLOCK = 1 << 16  # samples to resample at once
LOUDEST = 16.0  # 24 dB over full scale: a float file may overshoot a little, this is damage
CANCELLED = 0.1  # a mix 20 dB below its first channel: that is out of phase

SMALLEST_FACE = 0.1  # of the longer side of a frame
FACE_PIXELS = 32  # side of the smallest face as the detector sees it
MARGIN = 0.15  # of the face box, on every side
DETECTIONS = 10  # at most, in one clip; boxes in between are interpolated

# How data that is no media begins (after `starts`), what it is, and what to do.
STRANGERS: Mapping[bytes, str] = {
    b"version https://git-lfs": "a Git LFS pointer, not the file itself; run `git lfs pull`",
    b"<!doctype html": "a web page (HTML), perhaps an error or login page saved by a download; fetch the file again",
    b"<html": "a web page (HTML), perhaps an error or login page saved by a download; fetch the file again",
    b"<svg": "an SVG drawing; save it as PNG or JPEG",
    b"<mpd": "a playlist (DASH), which only names other files; give those",
    b"<?xml": "an XML text (SVG, DASH, ...), not sound or video",
    b"#extm3u": "a playlist (M3U), which only names other files; give those",
    b"ffconcat": "a playlist (FFmpeg concat), which only names other files; give those",
    b"v=0": "a session description (SDP), which only names a stream on a network; record that first",
    b"pk\x03\x04": "a ZIP archive; unpack it first",
    b"\x1f\x8b": "a gzip archive; unpack it first",
    b"%pdf-": "a PDF document, not sound or video",
    b"ftypheic": "a HEIC picture; save it as JPEG",
    b"ftypmif1": "a HEIF picture; save it as JPEG",
}
FAMILIAR: Mapping[bytes, str] = {  # how formats in FORMATS begin: where one of these does not open, it is damaged
    b"riff": "WAV, AVI or WebP",
    b"rifx": "WAV",
    b"rf64": "WAV",
    b"flac": "FLAC",
    b"oggs": "Ogg",
    b"id3": "MP3",
    b"\x1ae\xdf\xa3": "WebM or Matroska",
    b"ftyp": "MP4 or MOV",
    b"\x89png": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"gif8": "GIF",
}

Image = np.ndarray  # (H, W, 3) uint8 RGB
Box = np.ndarray  # (4,) float: x, y, width, height in pixels; Boxes are (N, 4)
Packet = Any  # av.Packet is generic in its stubs and not at run time
Detector = Callable[[Image, float], np.ndarray]  # image, smallest face as a part of its longer side -> Boxes

NO_AUDIO = Audio(np.empty(0, np.float32))
NO_FACES = Faces(np.empty((0, 1, 1, 3), np.uint8), np.empty(0, np.float32))


class Refused(Exception):
    """Why a file is not read, in words for its owner."""


class Damaged(Refused):
    """One track is beyond reading; another may not be."""


# --- The child and its parent


def main() -> None:
    """Answers requests from standard input, which is a socket, until it ends."""
    settings = json.loads(sys.argv[1])
    channel = socket.socket(fileno=sys.stdin.fileno())
    model = settings["face_model"]
    cv2.setNumThreads(1)
    try:
        detect = yunet(model) if model else haar()
    except cv2.error:
        send(channel, {"error": f"face_model {model} is not a YuNet model that OpenCV can read"})
        return
    confine(settings["memory"])
    send(channel, {"ready": True})
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # from here on, libraries complain about the file, not about us
    while True:
        mark, files, _, _ = socket.recv_fds(channel, 1, 1)
        if not mark:
            return
        serve(channel, receive(channel), files, detect)


def confine(memory: int) -> None:
    """Gives up what decoding never needs, and all memory but `memory` bytes more than what is mapped by now."""
    new_user_and_network = 0x10000000 | 0x40000000
    if hasattr(libc := ctypes.CDLL(None), "unshare"):
        libc.unshare(new_user_and_network)  # refused on some systems: then the list of formats has to do
    threading.Thread(target=end_with_parent, args=(os.getppid(),), daemon=True).start()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    if (statm := Path("/proc/self/statm")).exists():
        total = int(statm.read_text().split()[0]) * resource.getpagesize() + memory
        resource.setrlimit(resource.RLIMIT_AS, (total, total))


def end_with_parent(parent: int) -> None:
    """Watches for the end of a parent that was killed outright, because a busy decoder does not read its socket."""
    hung_up = select.poll()
    hung_up.register(sys.stdin.fileno(), getattr(select, "POLLRDHUP", 0))
    while os.getppid() == parent and not hung_up.poll(1000):
        pass
    os._exit(1)


def serve(channel: socket.socket, request: Mapping[str, Any], files: list[int], detect: Detector) -> None:
    """Answers one request, with samples, times and crops or with the reason why not."""
    spent = resource.getrusage(resource.RUSAGE_SELF)
    until = int(spent.ru_utime + spent.ru_stime + request["deadline"]) + 2
    resource.setrlimit(resource.RLIMIT_CPU, (until, resource.RLIM_INFINITY))
    try:
        if files:
            with io.FileIO(files[0]) as file:
                audio, faces = read(file, request, detect)
        else:
            audio, faces = NO_AUDIO, faces_in(*received(channel, request), request, detect)
    except Refused as refused:
        send(channel, {"error": str(refused)})
    except MemoryError:
        text = f"decoding needs more than {request['memory'] >> 20} MB; the file is too large or damaged"
        send(channel, {"error": text, "retire": True})
    except Exception as error:  # of a library, or ours: a strange file must not end a long run
        send(channel, {"error": f"could not be decoded ({type(error).__name__}: {error})", "retire": True})
    else:
        counts = {"samples": len(audio.samples), "faces": len(faces.times)}
        notes = {"audio_note": audio.note, "faces_note": faces.note}
        send(channel, {**counts, **notes}, audio.samples, faces.times, faces.crops)


def received(channel: socket.socket, request: Mapping[str, Any]) -> tuple[list[Image], list[float]]:
    """Frames that were in the parent's memory, and their times."""
    images = []
    for _ in request["times"]:
        image = np.empty(request["shape"], np.uint8)
        fill(channel, image)
        images.append(shrunk(image, room(request)))
    return images, request["times"]


def read(file: io.FileIO, request: Mapping[str, Any], detect: Detector) -> tuple[Audio, Faces]:
    refuse_strangers(os.pread(file.fileno(), 512, 0))
    audio, faces = NO_AUDIO, NO_FACES
    try:
        audio = hear(file, request) if "audio" in request else audio
    except Damaged as damage:
        if "faces" not in request:
            raise
        audio = NO_AUDIO._replace(note=str(damage))
    try:
        faces = look(file, request, detect) if "faces" in request else faces
    except Damaged as damage:
        if not len(audio.samples):
            raise
        faces = NO_FACES._replace(note=str(damage))
    return audio, faces


# --- Files and tracks


def refuse_strangers(head: bytes) -> None:
    for start, what in STRANGERS.items():
        if starts(head, start):
            raise Refused(what)


def starts(head: bytes, start: bytes) -> bool:
    """Whether a file begins so, whatever the case, white space or byte-order mark; MP4 has its size before."""
    head = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return head.startswith(start) or (start.startswith(b"ftyp") and head[4:].startswith(start))


def unknown(head: bytes) -> str:
    """What a file looks like that did not open."""
    for start, what in FAMILIAR.items():
        if starts(head, start):
            return f"looks like {what}, but is damaged or cut off"
    if all(c.isprintable() or c.isspace() for c in head.decode(errors="ignore")) and b"\0" not in head:
        return "looks like plain text, not like sound, video or a picture"
    return f"no sound, video or picture in a format we know; it begins with {head[:8].hex(' ')}"


def refuse_other_files(url: str, *_: object) -> NoReturn:
    raise PermissionError(f"the file asks for {url}")


@contextmanager
def opened(file: io.FileIO, request: Mapping[str, Any]) -> Iterator[av.container.InputContainer]:
    file.seek(0)
    file.name = "media"  # PyAV wants a string, FFmpeg must not go by it
    options = {"format_whitelist": FORMATS, "protocol_whitelist": "", "max_pixels": str(request["pixels"])}
    options["max_probe_packets"] = "1"  # else a WAV is searched for hidden DTS, ten times the work of reading it
    try:
        container = av.open(
            file, options=options, io_open=refuse_other_files, metadata_errors="ignore", buffer_size=1 << 16
        )
    except MemoryError:
        raise
    except (FFmpegError, OSError):
        raise Refused(unknown(os.pread(file.fileno(), 512, 0))) from None
    with container:
        assert isinstance(container, av.container.InputContainer)
        if not container.streams:
            raise Refused(unknown(os.pread(file.fileno(), 512, 0)))
        yield container


class Track:
    """One stream of an open file, read tolerantly: what cannot be decoded is counted in `lost` and left out."""

    def __init__(self, container: av.container.InputContainer, stream: Any, seconds: float) -> None:
        self.container, self.stream = container, stream
        self.lost = 0
        self.length = declared_length(container, stream)  # seconds, None where the file does not say
        refuse_long(self.length or 0.0, seconds)
        if stream.codec_context is None:
            raise Damaged(f"the {stream.type} track is in a coding we cannot read")
        stream.codec_context.thread_count = 1

    def packets(self) -> Iterator[Packet]:
        packets = self.container.demux(self.stream)
        while True:
            try:
                packet = next(packets, None)
            except MemoryError:
                raise
            except FFmpegError:
                self.lost += 1
                return
            if packet is None:
                return
            if packet.size:  # the last one is empty, a request to drain
                yield packet

    def decode(self, packet: Packet | None) -> list[Any]:
        """The frames that `packet` completes; None drains the decoder at the end."""
        try:
            return list(self.stream.codec_context.decode(packet))
        except EOFError:
            return []
        except MemoryError:
            raise
        except FFmpegError:
            self.lost += 1
            return []

    def notes(self, read: float, length: float | None) -> list[str]:
        """Warnings about a track of which `read` of `length` seconds were there."""
        cut = length is not None and length - read > max(0.1, 0.05 * length)
        lost = f"{self.lost} damaged packets left out" if self.lost and not cut else ""
        return [f"cut short at {read:.1f} of {length:.1f} s" if cut else "", lost]


def declared_length(container: av.container.InputContainer, stream: Any) -> float | None:
    if container.format.name in GUESSED_LENGTH:
        return None
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    alone = len(container.streams) == 1  # else it may be the length of another track
    return container.duration / av.time_base if container.duration and alone else None


def refuse_long(length: float, limit: float) -> None:
    if length > limit:
        raise Refused(f"{spoken(length)}, the limit is {spoken(limit)}; cut it into utterances")


def refuse_more(decoded: float, limit: float) -> None:
    """As `refuse_long`, for a file that stated less, or nothing."""
    if decoded > limit:
        raise Refused(f"longer than the limit of {spoken(limit)}; cut it into utterances")


def spoken(seconds: float) -> str:
    """A duration in words: 2.0 s, 10 min, 10 h 0 min."""
    minutes = int(seconds / 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min" if minutes >= 2 else f"{seconds:.1f} s"


# --- Sound


def hear(file: io.FileIO, request: Mapping[str, Any]) -> Audio:
    """The first sound track; no samples and the reason where there is nothing to hear."""
    with opened(file, request) as container:
        if not container.streams.audio:
            return NO_AUDIO._replace(note="no audio track")
        track = Track(container, container.streams.audio[0], request["seconds"])
        sound = Sound(request["seconds"])
        for packet in track.packets():
            for frame in track.decode(packet):
                sound.add(frame)
        for frame in track.decode(None):
            sound.add(frame)
    if not sound.seconds and (track.lost or track.length):
        raise Damaged("none of its sound could be decoded: it is damaged")
    parts = riff_parts(file)
    warnings = track.notes(sound.seconds, sound.seconds * parts if parts else track.length)
    if sound.seconds < SHORTEST:
        length = f"too short ({sound.seconds * 1000:.0f} ms)" if sound.seconds else "the audio track is empty"
        return NO_AUDIO._replace(note=join([length, *warnings]))
    samples, notes = sound.finish()
    if samples.std(dtype=np.float64) < SILENCE:  # about the mean, so that a constant offset is silence
        return NO_AUDIO._replace(note=join(["silent", *warnings]))
    return Audio(samples, join(notes + warnings))


class Sound:
    """Decoded frames on their way to 16 kHz: two columns, the mix of all channels and the first channel."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.seconds = 0.0
        self.wild = False
        self.kind: tuple[int, str, int] | None = None  # rate, sample format and channels of what waits
        self.waiting: list[np.ndarray] = []  # each (C, N) as decoded
        self.count = 0  # samples that wait
        self.chunks: list[np.ndarray] = []  # each (N, 2) at SAMPLE_RATE

    def add(self, frame: av.AudioFrame) -> None:
        if not 1000 <= frame.sample_rate <= 768_000:  # a low one would blow up in the resampler
            raise Refused(f"a sample rate of {frame.sample_rate} Hz is no sound")
        self.seconds += frame.samples / frame.sample_rate
        refuse_more(self.seconds, self.limit)
        kind = (frame.sample_rate, frame.format.name, frame.layout.nb_channels)
        if kind != self.kind:
            self.flush()
            self.kind = kind
            self.resampler = soxr.ResampleStream(frame.sample_rate, SAMPLE_RATE, 2, dtype="float32")
        self.waiting.append(channels_of(frame))
        self.count += frame.samples
        if self.count >= BLOCK:
            self.resample()

    def resample(self, *, last: bool = False) -> None:
        channels = waveform(np.concatenate(self.waiting, axis=1))
        self.waiting, self.count = [], 0
        wild = ~(np.abs(channels) <= LOUDEST)  # this way round it is true of NaN
        if wild.any():
            self.wild = True
            channels[wild] = 0
        columns = np.stack([channels.mean(axis=0), channels[0]], axis=1)
        self.chunks.append(self.resampler.resample_chunk(columns, last=last))

    def flush(self) -> None:
        if self.waiting:
            self.resample(last=True)
        elif self.kind is not None:
            self.chunks.append(self.resampler.resample_chunk(np.empty((0, 2), np.float32), last=True))

    def finish(self) -> tuple[np.ndarray, list[str]]:
        """The samples, and warnings about them."""
        self.flush()
        mix, first = np.ascontiguousarray(np.concatenate(self.chunks).T)
        notes = ["values that are not a number, or far too large, were set to 0"] if self.wild else []
        if mix.std(dtype=np.float64) < CANCELLED * first.std(dtype=np.float64):
            return first, [*notes, "the channels cancel out, read the first"]
        return mix, notes


def channels_of(frame: av.AudioFrame) -> np.ndarray:
    """The samples of a frame as decoded, (C, N); unlike `to_ndarray` this knows 64-bit integers."""
    dtype, count = PCM[frame.format.name.removesuffix("p")], frame.layout.nb_channels
    if not frame.format.is_planar:
        return np.frombuffer(bytes(frame.planes[0]), dtype, frame.samples * count).reshape(-1, count).T
    return np.stack([np.frombuffer(bytes(plane), dtype, frame.samples) for plane in frame.planes])


def waveform(channels: np.ndarray) -> np.ndarray:
    """Samples of any type as float32 with full scale = 1."""
    if channels.dtype.kind == "f":
        with np.errstate(over="ignore"):  # to infinity, which is cleaned later
            return channels.astype(np.float32)
    full = 2.0 ** (8 * channels.dtype.itemsize - 1)
    return (channels.astype(np.float32) - np.float32(full if channels.dtype.kind == "u" else 0)) / np.float32(full)


def riff_parts(file: io.FileIO) -> float | None:
    """What a RIFF file should hold, in parts of what it does hold: FFmpeg passes over a cut WAV in silence."""
    head, size = os.pread(file.fileno(), 8, 0), os.fstat(file.fileno()).st_size
    promised = int.from_bytes(head[4:], "little") + 8
    streamed = promised > 0x7FFF_0000  # written to a pipe: the length was not known
    return promised / size if head[:4] == b"RIFF" and not streamed else None


# --- Pictures


def look(file: io.FileIO, request: Mapping[str, Any], detect: Detector) -> Faces:
    """The face in the first video track or picture; no crops and the reason where there is none."""
    with opened(file, request) as container:
        if not container.streams.video:
            return NO_FACES._replace(note="no video track")
        index = next((i for i, s in enumerate(container.streams.video) if not is_cover(s)), None)
        if index is None:
            return NO_FACES._replace(note="no video track, only a cover picture")
        track = Track(container, container.streams.video[index], request["seconds"])
        refuse_large(track.stream.codec_context, request["pixels"])
        times, keys = survey(track, request["seconds"])
    if not len(times):
        return NO_FACES._replace(note="the video track is empty")
    wanted, fed = plan(times, keys, request["faces"]["max_frames"])
    with opened(file, request) as container:
        start = (container.start_time or 0) / av.time_base
        track = Track(container, container.streams.video[index], request["seconds"])
        images, stamps = grab(track, wanted, fed, request)
    if not images:
        most = f"{request['pixels'] / 1e6:g} megapixels"
        raise Damaged(f"none of its pictures could be decoded: it is damaged, or larger than {most}")
    faces = faces_in(images, [max(t - start, 0.0) for t in stamps], request, detect)
    if len(times) > 1:  # a still picture has no length
        seen = float(np.ptp(times)) * len(times) / (len(times) - 1)
        faces = faces._replace(note=join([faces.note, *track.notes(seen, track.length)]))
    return faces


def is_cover(stream: Any) -> bool:
    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def refuse_large(picture: Any, pixels: int) -> None:
    if picture.width * picture.height > pixels:
        raise Refused(too_large(picture.width, picture.height, pixels))


def survey(track: Track, seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """Time and key flag of every packet in file order, without decoding: what a header says may be wrong or missing."""
    times: list[float] = []
    keys: list[bool] = []
    for packet in track.packets():
        stamp = stamp_of(packet)
        times.append(stamp if stamp is not None else times[-1] if times else 0.0)
        keys.append(packet.is_keyframe)
        refuse_more(times[-1] - times[0], seconds)
    return np.array(times), np.array(keys, dtype=bool)


def stamp_of(packet: Packet) -> float | None:
    stamp = packet.pts if packet.pts is not None else packet.dts
    return None if stamp is None or packet.time_base is None else float(stamp * packet.time_base)


def plan(times: np.ndarray, keys: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Which times to keep, ascending, and for each packet whether the decoder needs it to get there.

    Decoding may start at any key frame, so whole groups of pictures are passed over. Where key frames lie closer than
    the frames we want, only key frames are decoded, and ten minutes cost no more than ten seconds.
    """
    order = np.argsort(times, kind="stable")
    chosen = order[evenly(times[order], count)]
    group = np.cumsum(keys)
    fed = np.isin(group, group[chosen])
    if keys.any() and len(times) > count:
        at_key = times[keys]
        nearest = np.abs(at_key - times[chosen][:, None]).argmin(axis=1)
        if np.abs(at_key[nearest] - times[chosen]).max() <= np.ptp(times) / count / 2:
            chosen = np.unique(np.flatnonzero(keys)[nearest])
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
            images.append(upright(frame, packet, room(request)))
            stamps.append(time)
            served = due
    return images, stamps


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


def upright(frame: av.VideoFrame, packet: Packet, most: float) -> Image:
    """The frame as RGB the way it was meant to be seen; neither FFmpeg nor PyAV turns phone video."""
    try:
        matrix: Any = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:  # PyAV 18.1 does not know EXIF, and `frame.rotation` cannot tell a mirror image
        image = cv2.imdecode(np.frombuffer(bytes(packet), np.uint8), cv2.IMREAD_COLOR_RGB)
        if image is None:
            raise Damaged("the picture is damaged") from None
        return shrunk(np.asarray(image), most)
    scale = min(1.0, math.sqrt(most / (frame.width * frame.height)))
    width, height = max(round(frame.width * scale), 1), max(round(frame.height * scale), 1)
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


# --- Faces


def haar() -> Detector:
    """The cascade of Viola and Jones (2001) that comes with OpenCV 4."""
    # alt2: of the frontal cascades, the one without false alarms on the pictures we tried
    cascade = cv2.CascadeClassifier(haarcascades + "haarcascade_frontalface_alt2.xml")

    def detect(image: Image, smallest: float) -> np.ndarray:
        small, scale = working_size(image, smallest)
        grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
        boxes = cascade.detectMultiScale(grey, 1.1, 3, minSize=(FACE_PIXELS, FACE_PIXELS))
        return np.asarray(boxes, dtype=np.float64).reshape(-1, 4) / scale

    return detect


def yunet(model: str) -> Detector:
    """YuNet (Wu et al. 2023, Machine Intelligence Research 20) from an ONNX file."""
    network = cv2.FaceDetectorYN.create(model, "", (320, 320), score_threshold=0.7)

    def detect(image: Image, smallest: float) -> np.ndarray:
        small, scale = working_size(image, smallest)
        network.setInputSize(small.shape[1::-1])
        _, faces = network.detect(cv2.cvtColor(small, cv2.COLOR_RGB2BGR))
        return np.zeros((0, 4)) if faces is None else faces[:, :4].astype(np.float64) / scale

    return detect


def working_size(image: Image, smallest: float) -> tuple[Image, float]:
    """The image with its smallest face at FACE_PIXELS; it grows only where it is tiny itself."""
    longest = max(image.shape[:2])
    scale = min(FACE_PIXELS / smallest, max(longest, 4 * FACE_PIXELS)) / longest
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return cv2.resize(image, None, fx=scale, fy=scale, interpolation=method), scale


def bordered(detect: Detector) -> Detector:
    """The same detector on the picture with a border, for pictures that are a tightly cropped face already."""

    def detect_inside(image: Image, smallest: float) -> np.ndarray:
        edge = max(image.shape[:2]) // 4
        framed = cv2.copyMakeBorder(image, edge, edge, edge, edge, cv2.BORDER_REPLICATE)
        return np.subtract(detect(framed, smallest), [edge, edge, 0, 0])

    return detect_inside


def faces_in(images: Sequence[Image], times: Sequence[float], request: Mapping[str, Any], detect: Detector) -> Faces:
    """Square crops of one face through all `images`, with `times`; what it looks for, it looks for in order of time."""
    if not images:
        return NO_FACES._replace(note="no frames")
    every = math.ceil(len(images) / DETECTIONS)
    boxes, several = follow(images[::every], detect)
    if not boxes:
        boxes, several = follow(images[::every], bordered(detect))
    if not boxes:
        return NO_FACES._replace(note=f"no face in {len(images)} frame{'s'[: len(images) > 1]}")
    last = (len(images) - 1) // every
    kept = [i for i in range(len(images)) if min(round(i / every), last) in boxes]
    # held before the first and after the last box, straight lines in between
    tracks = [np.interp(kept, np.array(list(boxes)) * every, [box[k] for box in boxes.values()]) for k in range(4)]
    crops = [crop(images[i], box, request["faces"]["size"]) for i, box in zip(kept, np.stack(tracks, 1), strict=True)]
    found = f"face in {len(kept)} of {len(images)} frames" if len(kept) < len(images) else ""
    crowd = f"{several} faces, read the largest" if several > 1 else ""
    return Faces(np.stack(crops), np.array([times[i] for i in kept], np.float32), join([found, crowd]))


def follow(images: Sequence[Image], detect: Detector) -> tuple[dict[int, Box], int]:
    """The box of one face by image index, where it was found, and how many faces there usually are."""
    boxes: dict[int, Box] = {}
    crowd = []
    last: Box | None = None
    for i, image in enumerate(images):
        # every fifth time, and when lost, the whole image: others may have come
        seen = near(image, last, detect) if last is not None and i % 5 else np.zeros((0, 4))
        if not len(seen):
            seen = detect(image, SMALLEST_FACE)
            crowd += [len(seen)] if len(seen) else []
        box = closest(seen, last)
        if box is not None:
            boxes[i] = box
        last = box if box is not None or i - 1 in boxes else None  # gone for two looks: any face may be next
    return boxes, sorted(crowd)[len(crowd) // 2] if crowd else 0


def near(image: Image, box: Box, detect: Detector) -> np.ndarray:
    """Boxes around the place of the last one, ten times as fast as in the whole image."""
    x, y, width, height = box
    left, top = max(int(x - width / 2), 0), max(int(y - height / 2), 0)
    part = image[top : int(y + 1.5 * height), left : int(x + 1.5 * width)]
    return detect(part, 0.3) + np.array([left, top, 0, 0]) if part.size else np.zeros((0, 4))


def closest(boxes: np.ndarray, last: Box | None) -> Box | None:
    """The largest box to begin with, then the one nearest to the last, if it moved by less than its own size."""
    if not len(boxes):
        return None
    if last is None:
        return np.asarray(boxes[(boxes[:, 2] * boxes[:, 3]).argmax()])
    moved = np.linalg.norm(boxes[:, :2] + boxes[:, 2:] / 2 - (last[:2] + last[2:] / 2), axis=1)
    return np.asarray(boxes[moved.argmin()]) if moved.min() <= last[2:].max() else None


def crop(image: Image, box: Box, size: int) -> Image:
    """A square around the box with MARGIN on every side; beyond the edge of the picture its last pixels go on."""
    x, y, width, height = box
    side = max(round(max(width, height) * (1 + 2 * MARGIN)), 1)
    left, top = round(x + (width - side) / 2), round(y + (height - side) / 2)
    above, below = max(-top, 0), max(top + side - image.shape[0], 0)
    before, after = max(-left, 0), max(left + side - image.shape[1], 0)
    square = image[max(top, 0) : top + side, max(left, 0) : left + side]
    square = cv2.copyMakeBorder(square, above, below, before, after, cv2.BORDER_REPLICATE)
    method = cv2.INTER_AREA if side >= size else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(square, (size, size), interpolation=method))


def join(notes: Sequence[str]) -> str:
    return "; ".join(note for note in notes if note)


if __name__ == "__main__":
    main()
