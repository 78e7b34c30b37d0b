"""`POST /v1/chat`: what is said is read and answered, all at once or piece by piece; `DELETE /v1/session` forgets."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from functools import partial
from typing import Any, TypeVar

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from emobraid.app.api_models import ChatRequest, TurnBody
from emobraid.app.bodies import asked, media
from emobraid.app.described import ERRORS, body_of
from emobraid.app.languages import first_language
from emobraid.app.readings import Readings, while_waited_for
from emobraid.app.refusals import Refusal, of_any, told
from emobraid.app.service import Service
from emobraid.app.sessions import Session, give_cookie
from emobraid.dialogue import Conversation, look
from emobraid.recognizer import NothingToRead, Prediction

T = TypeVar("T")

SHORT = 4096  # bytes of a request whose words are looked into before a place is asked for
TALKERS = 8  # answers that are written at once; a language model may take seconds for one


def add_chat(app: FastAPI, service: Service) -> None:
    talkers = ThreadPoolExecutor(TALKERS, thread_name_prefix="emobraid-talk")
    looking = ThreadPoolExecutor(1, "emobraid-crisis")  # a long text takes half a second, and others wait for the loop
    for pool in (talkers, looking):
        service.at_end.append(partial(pool.shutdown, wait=False, cancel_futures=True))

    async def in_crisis(text: str) -> bool:
        return await asyncio.get_running_loop().run_in_executor(looking, look, text) is not None

    @app.post(
        "/v1/chat",
        tags=["dialogue"],
        summary="An answer to what was said, and what it expressed",
        responses={200: {"model": TurnBody}, **ERRORS},
        openapi_extra=body_of(ChatRequest),
    )
    async def chat(request: Request) -> Response:
        if not _small(request):
            service.ready().refuse_when_full()
        ask = await asked(request, ChatRequest, service.settings)
        if not ask.text.strip():
            raise Refusal(422, "text: nothing was said")
        readings = None  # help in a crisis needs no model and no place, and waits for neither
        if not _small(request) or not await in_crisis(ask.text):
            readings = service.ready()
            readings.refuse_when_full()  # as long as there is a status to say it with
        session = service.sessions.of(request)
        ask.locale = ask.locale or first_language(request.headers.get("accept-language", ""))
        talk = Talk(readings, session, ask, talkers, in_crisis, request.state.request_id)
        seconds = service.settings.request_seconds
        if ask.stream:
            response: Response = StreamingResponse(talk.events(seconds), media_type="text/event-stream")
        else:
            with talk.place():
                turn = await while_waited_for(request, talk.turn(), seconds)
            response = JSONResponse({**turn, "request_id": request.state.request_id})
        give_cookie(response, session, request)
        return response

    @app.delete("/v1/session", tags=["dialogue"], summary="Forget this conversation")
    async def forget(request: Request) -> dict[str, Any]:
        return {"forgotten": service.sessions.forget(request), "request_id": request.state.request_id}


class Talk:
    """One turn of one session; without `readings` it is answered with help in a crisis."""

    def __init__(
        self,
        readings: Readings | None,
        session: Session,
        ask: ChatRequest,
        talkers: ThreadPoolExecutor,
        in_crisis: Callable[[str], Awaitable[bool]],
        request_id: str,
    ) -> None:
        self.readings, self.session, self.ask = readings, session, ask
        self.talkers, self.in_crisis, self.request_id = talkers, in_crisis, request_id

    def place(self) -> AbstractContextManager[None]:
        return self.readings.place() if self.readings else nullcontext()

    async def turn(self) -> dict[str, Any]:
        """The whole turn as JSON values."""
        prediction = await self._prediction()
        turn = await self._alone(lambda: self._conversation().answer(self.ask.text, prediction))
        return {"reply": asdict(turn.reply), "prediction": as_json(turn.prediction)}

    def _conversation(self) -> Conversation:
        """The session's, which helps in the language of this request; in that of an earlier one when it names none."""
        if self.ask.locale:
            self.session.conversation.speak(self.ask.locale)
        return self.session.conversation

    async def _prediction(self) -> Prediction | None:
        """What the turn expresses. Words that tell of a crisis are read by no model."""
        if self.readings is None or await self.in_crisis(self.ask.text):
            return None
        reads_text = "text" in self.readings.recognizer.model.config.modalities
        files = media(self.ask)
        if not reads_text and not files:
            return None
        try:
            return await self.readings.read(self.ask.text if reads_text else None, files, sound=self.ask.sound)
        except NothingToRead:
            return None  # there are words to answer all the same

    async def _alone(self, work: Callable[[], T]) -> T:
        """`work` in a thread while nobody else has the conversation, not even when we have been cancelled."""
        await self.session.lock.acquire()
        future = asyncio.get_running_loop().run_in_executor(self.talkers, work)
        future.add_done_callback(lambda _: self.session.lock.release())
        return await asyncio.shield(future)

    async def events(self, seconds: float) -> AsyncIterator[bytes]:
        """Server-sent events: the reading, the answer's words as they come, then the whole turn."""
        until = time.monotonic() + seconds
        pieces = Pieces()
        try:
            with self.place():
                prediction = await asyncio.wait_for(self._prediction(), seconds)
                yield event("reading", {"prediction": as_json(prediction)})
                writing = asyncio.ensure_future(self._alone(lambda: self._write(prediction, pieces)))
                while (piece := await asyncio.wait_for(pieces.next(), until - time.monotonic())) is not None:
                    yield event("words", {"text": piece})
                yield event("turn", {**await writing, "request_id": self.request_id})
        except TimeoutError:
            yield event("error", told(f"no answer within {seconds:g} s", self.request_id))
        except Exception as error:
            yield event("error", told(of_any(error, self.request_id).sentence, self.request_id))
        finally:
            pieces.left = True

    def _write(self, prediction: Prediction | None, pieces: "Pieces") -> dict[str, Any]:
        talk = self._conversation()
        try:
            for piece in talk.stream(self.ask.text, prediction):
                pieces.put(piece)
                if pieces.left:
                    break
            turn = talk.history.turns[-1]
            return {"reply": asdict(turn.reply), "prediction": as_json(turn.prediction)}
        finally:
            pieces.put(None)


class Pieces:
    """Words on their way from the thread that writes them to the loop that sends them."""

    def __init__(self) -> None:
        self.left = False  # nobody reads them any more
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[str | None] = asyncio.Queue()

    def put(self, piece: str | None) -> None:
        self._loop.call_soon_threadsafe(self._queue.put_nowait, piece)

    async def next(self) -> str | None:
        return await self._queue.get()


def _small(request: Request) -> bool:
    """So short that looking into it costs little, also when all places are taken."""
    length = request.headers.get("content-length", "")
    return length.isdecimal() and int(length) <= SHORT


def as_json(prediction: Prediction | None) -> dict[str, Any] | None:
    return None if prediction is None else prediction.to_json()


def event(name: str, data: dict[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()
