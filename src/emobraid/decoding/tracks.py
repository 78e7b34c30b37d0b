"""A file that is already open -> a container and its tracks, within limits; strangers are refused by name."""

import io
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple, NoReturn

import av
from av.error import FFmpegError

from emobraid.decoding.clock import declared_length, zero_of

FORMATS = (
    "wav,w64,aiff,au,caf,flac,ogg,mp3,aac,ac3,amr,wv,nistsphere,"
    "mov,matroska,avi,flv,asf,mpeg,mpegts,ivf,"
    "gif,apng,png_pipe,jpeg_pipe,bmp_pipe,webp_pipe,tiff_pipe,pgm_pipe,ppm_pipe"
)
# these find a time by an index, so what follows a jump has the same times as without
INDEXED = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi", "wav", "w64")
LEAD = 2.0  # s before a stretch that are decoded as well: codecs need what was before, and a jump lands on a key frame

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

Packet = Any  # av.Packet is generic in its stubs and not at run time


class Refused(Exception):
    """Why a file is not read, in words for its owner."""


class Damaged(Refused):
    """One track is beyond reading; another may not be."""


def refuse_strangers(head: bytes) -> None:
    if head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X" and head[20:21] and head[20] & 2:
        raise Refused("an animated WebP, which we cannot read; save it as GIF, PNG or MP4")
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


class Part(NamedTuple):
    """A stretch of a file, in seconds from its start; None for an end is the file's own."""

    start: float = 0.0
    end: float | None = None

    @classmethod
    def of(cls, request: Mapping[str, Any]) -> "Part":
        return cls(*request.get("stretch", ()))

    def within(self, length: float | None) -> float | None:
        """How long the stretch should be in a file of `length` s, which may be unknown."""
        last = length if self.end is None else self.end
        return None if last is None else max(last - self.start, 0.0)

    def beyond(self, what: str, length: float) -> str:
        """Why there is nothing in it."""
        until = "on" if self.end is None else f"to {self.end:g} s"
        return f"its {what} ends at {length:.1f} s, nothing is there from {self.start:g} s {until}"


WHOLE = Part()


class Track:
    """One stream of an open file, read tolerantly: what cannot be decoded is counted in `lost` and left out."""

    def __init__(self, container: av.container.InputContainer, stream: Any, seconds: float, part: Part = WHOLE) -> None:
        self.container, self.stream, self.part = container, stream, part
        self.lost = 0
        self.zero = zero_of(container, stream)
        self.length = declared_length(container, stream)  # s on the film's clock, None where the file does not say
        self.reached = 0.0  # s on it, as far as it was decoded
        self.begins: float | None = None  # s on it, where something comes that lies after the stretch
        refuse_long(part.within(self.length) or 0.0, seconds)
        if stream.codec_context is None:
            raise Damaged(f"the {stream.type} track is in a coding we cannot read")
        stream.codec_context.thread_count = 1

    def jump(self) -> None:
        """Go to shortly before the stretch, where the file has an index; else all before it is read."""
        if self.part.start > LEAD and self.container.format.name in INDEXED and self.stream.time_base:
            stamp = int((self.zero + self.part.start - LEAD) / self.stream.time_base)
            with suppress(FFmpegError):  # no index after all, and then the place is the same as before
                self.container.seek(stamp, stream=self.stream)

    def packets(self) -> Iterator[Packet]:
        self.jump()
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

    def notes(self, read: float, length: float | None, what: str) -> list[str]:
        """Warnings about a track of which `read` of `length` seconds were there."""
        cut = length is not None and length - read > max(0.1, 0.05 * length)
        if cut and self.part.end is not None and abs((self.length or 0.0) - self.part.start - read) < 0.1:
            cut, ends = False, f"its {what} ends at {self.length:.1f} s"  # as the file says: nothing of it is lost
        else:
            ends = ""
        lost = f"{self.lost} damaged packets left out" if self.lost and not cut else ""
        return [f"cut short at {read:.1f} of {length:.1f} s" if cut else ends, lost]


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


def join(notes: Sequence[str]) -> str:
    return "; ".join(note for note in notes if note)
