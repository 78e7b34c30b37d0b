"""`/v1/stream`, a WebSocket: pictures, sound and words in, readings of the last seconds out.

Shapes: N samples, S side of a face crop.
"""

import asyncio
import json
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import numpy as np
from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from emobraid.app.limits import ServerSettings
from emobraid.app.live import Live
from emobraid.app.refusals import Refusal, of_any
from emobraid.app.service import Service
from emobraid.app.together import Together
from emobraid.media import Limits, MediaBytes, MediaError, MediaReader

PICTURE, SOUND = 1, 2  # the first byte of a binary message says what follows
STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")  # JPEG and PNG
KINDS = {"int16": "<i2", "float32": "<f4"}
RATES = (8_000, 192_000)
LONGEST = 2.0  # seconds of sound in one message
GOING_AWAY, UNSUPPORTED, TRY_LATER = 1001, 1003, 1013  # how a WebSocket is closed (RFC 6455, and IANA's list)


class Misused(ValueError):
    """A message that is not as agreed; the stream ends."""


def add_stream(app: FastAPI, service: Service) -> None:
    limits = Limits(pixels=int(1e6 * service.settings.stream_megapixels), deadline=service.settings.decode_seconds)
    reader = MediaReader(limits=limits)
    pool = ThreadPoolExecutor(service.settings.streams, thread_name_prefix="emobraid-live")
    shared: list[Together] = []
    service.at_end += [lambda: pool.shutdown(wait=False, cancel_futures=True), reader.close]
    open_now: set[WebSocket] = set()
    service.metrics.gauges["emobraid_streams"] = ("Live streams.", lambda: len(open_now))

    @app.websocket("/v1/stream")
    async def stream(socket: WebSocket) -> None:
        await socket.accept()
        full = "all places for live streams are taken; try again later"
        try:
            readings, refused = service.ready(), full if len(open_now) >= service.settings.streams else ""
        except Refusal as refusal:
            refused = refusal.sentence
        if refused:
            await socket.send_json({"type": "error", "error": refused})
            await socket.close(TRY_LATER)
            return
        open_now.add(socket)
        shared[:] = shared or [Together(readings.recognizer)]
        try:
            await LiveStream(socket, shared[0], reader, pool, service.settings).run()
        except WebSocketDisconnect:
            pass
        finally:
            open_now.discard(socket)


class LiveStream:
    """One client. Its messages are taken in turn, and between them it is told what the last seconds express."""

    def __init__(
        self,
        socket: WebSocket,
        together: Together,
        reader: MediaReader,
        pool: ThreadPoolExecutor,
        settings: ServerSettings,
    ) -> None:
        self.socket, self.reader, self.pool, self.settings = socket, reader, pool, settings
        self.live = Live(together.recognizer, together)
        self.rate, self.kind = 16_000, "int16"
        self.news = False  # something came in since the last reading
        self.left_out = 0  # pictures beyond the agreed number a second
        self.last_picture = self.last_reading = float("-inf")

    async def run(self) -> None:
        coming = asyncio.ensure_future(self.socket.receive())
        try:
            while True:
                done, _ = await asyncio.wait({coming}, timeout=self._patience())
                if done:
                    message = coming.result()
                    if message["type"] == "websocket.disconnect":
                        return
                    coming = asyncio.ensure_future(self.socket.receive())
                    await self._take(message)
                elif not self.news:
                    await self.socket.close(GOING_AWAY, "nothing came for a long time")
                    return
                if self.news and time.monotonic() - self.last_reading >= self.settings.stream_every:
                    await self._tell()
        except Misused as error:
            await self.socket.send_json({"type": "error", "error": str(error)})
            await self.socket.close(UNSUPPORTED)
        except WebSocketDisconnect:
            raise
        except Exception as error:
            refusal = of_any(error, self.socket.state.request_id)
            await self.socket.send_json({"type": "error", "error": refusal.sentence})
            await self.socket.close(TRY_LATER)
        finally:
            coming.cancel()
            with suppress(asyncio.CancelledError, RuntimeError):
                await coming

    def _patience(self) -> float:
        """Seconds until the next reading is due, or until a client that sends nothing is let go."""
        if not self.news:
            return 60 * self.settings.session_minutes
        return max(self.last_reading + self.settings.stream_every - time.monotonic(), 0)

    async def _take(self, message: Any) -> None:
        now = time.monotonic()
        if (data := message.get("bytes")) is not None:
            if data[:1] == bytes([PICTURE]):
                await self._picture(data[1:], now)
            elif data[:1] == bytes([SOUND]):
                chunk = self._samples(data[1:])
                await self._in_thread(self.live.hear, chunk, self.rate, now)
                self.news = True
            else:
                raise Misused("a binary message begins with byte 1 (picture) or 2 (sound)")
        else:
            await self._words(message.get("text") or "", now)

    async def _picture(self, data: bytes, now: float) -> None:
        if not data.startswith(STARTS):
            raise Misused("a picture must be JPEG or PNG")
        if now - self.last_picture < 1 / self.settings.stream_frames:
            self.left_out += 1
            return
        self.last_picture = now
        if not self.live.reads("video"):
            raise Misused("this model reads no pictures")
        try:
            crop = await self._in_thread(self._face, MediaBytes("picture", data))
        except MediaError as error:
            await self.socket.send_json({"type": "error", "error": str(error)})
            return
        # the time at which it is there to be read: the first picture waits for a decoder to start
        await self._in_thread(self.live.show, crop, time.monotonic())
        self.news = True

    def _face(self, picture: MediaBytes) -> np.ndarray | None:
        """(S, S, 3) uint8, cut out in a decoder process; None when there is no face."""
        size = self.live.encoders["video"].crop
        faces = self.reader.faces(picture, max_frames=1, size=size)
        return faces.crops[0] if len(faces.crops) else None

    def _samples(self, data: bytes) -> np.ndarray:
        """(N,) int16."""
        kind = np.dtype(KINDS[self.kind])
        if len(data) % kind.itemsize or not data:
            raise Misused(f"a sound message must hold whole {self.kind} samples")
        samples = np.frombuffer(data, kind)
        if len(samples) > LONGEST * self.rate:
            raise Misused(f"a sound message may hold {LONGEST:g} s at most")
        if kind.kind == "i":
            return samples
        if not np.isfinite(samples).all():
            raise Misused("sound must be finite numbers")
        return (samples.clip(-1, 1) * 32767).astype("<i2")

    async def _words(self, text: str, now: float) -> None:
        if len(text) > 12 * self.settings.text_characters + 1000:  # an escaped character takes up to twelve
            raise Misused("a text message is far longer than the text it may hold")
        try:
            sent = json.loads(text)
        except (ValueError, RecursionError):
            raise Misused("a text message must be JSON") from None
        if not isinstance(sent, dict) or set(sent) - {"text", "rate", "format", "forget"}:
            raise Misused('a text message holds "text", "rate" and "format", or "forget"')
        if "rate" in sent or "format" in sent:
            self._agree(sent.get("rate", self.rate), sent.get("format", self.kind))
        if sent.get("forget"):
            self.live.forget()
        if (words := sent.get("text")) is not None:
            if not isinstance(words, str) or len(words) > self.settings.text_characters:
                raise Misused(f"text must be a string of at most {self.settings.text_characters:,} characters")
            await self._in_thread(self.live.say, words.encode(errors="replace").decode(), now)
            self.news = True

    def _agree(self, rate: object, kind: object) -> None:
        if type(rate) is not int or not RATES[0] <= rate <= RATES[1]:
            raise Misused(f"rate must be a whole number of {RATES[0]} to {RATES[1]} samples a second")
        if kind not in KINDS:
            raise Misused(f"format must be one of {', '.join(KINDS)}")
        self.rate, self.kind = rate, str(kind)

    async def _tell(self) -> None:
        """A reading of the last seconds, or why there is none."""
        now = time.monotonic()
        self.news, self.last_reading = False, now
        prediction = await self._in_thread(self.live.read, now)
        told: dict[str, Any] = {"type": "nothing", "notes": dict(self.live.notes)}
        if prediction is not None:
            told = {"type": "reading", "prediction": prediction.to_json()}
        milliseconds = round(1000 * (time.monotonic() - now), 1)
        await self.socket.send_json({**told, "left_out": self.left_out, "milliseconds": milliseconds})

    async def _in_thread(self, work: Any, *given: Any) -> Any:
        future: Future[Any] = self.pool.submit(work, *given)
        return await asyncio.wrap_future(future)
