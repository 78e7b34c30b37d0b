"""What a client is told when it does not get what it asked for: a status, one sentence, and the request's id."""

import logging
import math
import traceback
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from emobraid.media import MediaError
from emobraid.prediction import NoNumber
from emobraid.recognizer import NothingToRead

log = logging.getLogger("emobraid.server")

LONGEST = 400  # characters of a sentence
PLAIN = {404: "there is nothing at this address", 405: "this address does not take that method"}


class Refusal(Exception):
    """Why a request is not answered; `retry_after` seconds when asking again may help."""

    def __init__(self, status: int, sentence: str, *, retry_after: float | None = None) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.retry_after = status, sentence, retry_after

    @property
    def headers(self) -> dict[str, str]:
        return {} if self.retry_after is None else {"Retry-After": str(max(1, math.ceil(self.retry_after)))}


class ClientLeft(Exception):
    """Nobody waits for the answer any more."""


def told(sentence: str, request_id: str) -> dict[str, str]:
    return {"error": sentence, "request_id": request_id}


def refusal_of(error: BaseException) -> Refusal | None:
    """What a client should hear of an error that is known; None for one of ours."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, NothingToRead | MediaError | NoNumber):
        return Refusal(422, sentence(str(error)))
    if isinstance(error, ValidationError | RequestValidationError):
        return Refusal(422, what_is_wrong(error.errors()))
    if isinstance(error, HTTPException):
        return Refusal(error.status_code, PLAIN.get(error.status_code, sentence(str(error.detail))))
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or "allocate memory" in str(error):
        return Refusal(503, "this is too large right now; try again later or send less", retry_after=5)
    return None


def what_is_wrong(errors: Iterable[Mapping[str, Any]]) -> str:
    """The first thing that is wrong with a request, without repeating what was sent."""
    first = next(iter(errors))
    place = ".".join(str(part) for part in first["loc"] if part != "body")
    said = str(first["msg"]).removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        said = "is not a field of this request; docs/server.md and /openapi.json name those there are"
    return sentence(f"{place}: {said}" if place else said)


def sentence(text: str) -> str:
    """Printable, on one line, not too long; a lone surrogate would not go over the wire."""
    text = text[: 4 * LONGEST]  # it may repeat what was sent, whose length nobody promised
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    line = line.encode(errors="replace").decode()
    return line if len(line) <= LONGEST else f"{line[:LONGEST]} ..."


def answer(refusal: Refusal, request_id: str) -> JSONResponse:
    body = told(refusal.sentence, request_id)
    return JSONResponse(body, status_code=refusal.status, headers=refusal.headers)


def note_failure(error: BaseException, request_id: str) -> None:
    """Where an error of ours came from. Not its message, which may hold what somebody said."""
    places = [f"{f.filename}:{f.lineno} in {f.name}" for f in traceback.extract_tb(error.__traceback__)[-6:]]
    log.error("request %s failed: %s at %s", request_id, type(error).__name__, " < ".join(reversed(places)))


def of_any(error: BaseException, request_id: str) -> Refusal:
    """What a client should hear of any error. One of ours goes to the log."""
    refusal = refusal_of(error)
    if refusal is None:
        note_failure(error, request_id)
        refusal = Refusal(500, "the server failed at this; the request's id is in its log")
    return refusal


def install(app: FastAPI) -> None:
    """FastAPI's own words become sentences; all other errors reach the gate."""

    async def handle(request: Request, error: Exception) -> JSONResponse:
        request_id = request.state.request_id
        return answer(of_any(error, request_id), request_id)

    app.add_exception_handler(HTTPException, handle)
    app.add_exception_handler(RequestValidationError, handle)
