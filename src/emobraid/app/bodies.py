"""A request's body -> what it asks. JSON or a form; nothing of it ever lies on a disk."""

import asyncio
import json
from typing import Any, NoReturn, TypeVar

from fastapi import Request
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from emobraid.app.api_models import PredictRequest
from emobraid.app.bounds import PARTS, JsonCount, refuse_deep, too_deep
from emobraid.app.limits import ServerSettings
from emobraid.app.refusals import Refusal, sentence
from emobraid.media import MediaBytes

T = TypeVar("T", bound=PredictRequest)

LARGE = 1 << 16  # bytes from which parsing is left to a thread: others wait for the loop
NAMED = 3  # unknown fields that a refusal names


async def asked(request: Request, kind: type[T], settings: ServerSettings) -> T:
    """What the body asks, checked; a Refusal says what is wrong with it."""
    content = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content == "application/json":
        fields = await in_thread_if_large(_json, await request.body())
    elif content == "multipart/form-data":
        fields = await _form(request, settings)
    else:
        raise Refusal(415, "send application/json or multipart/form-data")
    _check_names(fields, kind)
    ask = await in_thread_if_large(kind.model_validate, fields, size=_size(fields))
    _check_text(ask.text or "", settings.text_characters)
    return ask


def _check_names(fields: dict[str, Any], kind: type[PredictRequest]) -> None:
    """Before anything else is checked: each unknown name would be a mistake of its own."""
    unknown = [name for name in fields if name not in kind.model_fields]
    if unknown:
        named = ", ".join(name[:40] for name in unknown[:NAMED])
        more = f" and {len(unknown) - NAMED} more" if len(unknown) > NAMED else ""
        said = "is not a field" if len(unknown) == 1 else "are not fields"
        raise Refusal(422, sentence(f"{named}{more}: {said} of this request; there are {', '.join(kind.model_fields)}"))


def _check_text(text: str, most: int) -> None:
    if len(text) > most:
        raise Refusal(422, f"text: has {len(text):,} characters, the limit is {most:,}")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Refusal(422, "text: holds half of a character (a lone surrogate)") from None


async def in_thread_if_large(work: Any, value: Any, *, size: int | None = None) -> Any:
    if (len(value) if size is None else size) < LARGE:
        return work(value)
    return await asyncio.to_thread(work, value)


def _size(fields: dict[str, Any]) -> int:
    return sum(len(v) for v in fields.values() if isinstance(v, str | bytes))


def _json(body: bytes) -> dict[str, Any]:
    count = JsonCount()
    try:
        fields = json.loads(
            body,
            parse_constant=_refuse_constant,
            object_pairs_hook=count.pairs,
            parse_int=count.whole,
            parse_float=count.real,
        )
    except RecursionError:
        raise too_deep() from None
    except ValueError:
        raise Refusal(400, "the body is not valid JSON") from None
    refuse_deep(fields)
    if not isinstance(fields, dict):
        raise Refusal(422, "the body must be a JSON object")
    return fields


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


async def _form(request: Request, settings: ServerSettings) -> dict[str, Any]:
    parser = MultiPartParser(
        request.headers,
        request.stream(),
        max_files=PARTS,
        max_fields=PARTS,
        max_part_size=4 * settings.text_characters + 1024,  # UTF-8 takes up to four bytes for a character
    )
    parser.spool_max_size = settings.upload + 1  # the gate lets no larger body in, so nothing goes over to a disk
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise Refusal(400, f"the form cannot be read: {error.message}") from None
    except (ValueError, KeyError, AssertionError, IndexError):
        raise Refusal(400, "the form cannot be read") from None
    try:
        return _fields(form)
    finally:
        await form.close()


def _fields(form: FormData) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, value in form.multi_items():
        if name in fields:
            raise Refusal(422, "a field of the form is there twice")
        if isinstance(value, UploadFile):
            content = value.file.read()  # from memory
            if not content and not value.filename:
                continue  # what a browser sends of a file input in which nothing was chosen
            fields[name] = content
        elif name in ("audio", "video") and not value:
            continue  # what a browser sends of a file input in which nothing was chosen
        elif name in ("audio", "video"):
            raise Refusal(422, f"{name}: must be sent as a file, with a filename")
        else:
            fields[name] = value
    return fields


def media(ask: PredictRequest) -> dict[str, MediaBytes]:
    """The files of a request. They are called by their field, so that no message or log holds somebody's file name."""
    files = {"audio": ask.audio, "video": ask.video}
    return {name: MediaBytes(name, content) for name, content in files.items() if content is not None}
