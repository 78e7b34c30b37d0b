"""`POST /v1/timeline`: a longer recording, read in windows."""

import asyncio
import threading

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from emobraid.app.api_models import TimelineBody, TimelineRequest
from emobraid.app.bodies import asked, media
from emobraid.app.described import ERRORS, body_of
from emobraid.app.readings import Readings, while_waited_for
from emobraid.app.refusals import Refusal
from emobraid.app.service import Service
from emobraid.media import MediaBytes
from emobraid.timeline import Plan, Timeline, Window


def add_timeline(app: FastAPI, service: Service) -> None:
    @app.post(
        "/v1/timeline",
        tags=["readings"],
        summary="What a longer recording expresses over time",
        responses={200: {"model": TimelineBody}, **ERRORS},
        openapi_extra=body_of(TimelineRequest),
    )
    async def timeline(request: Request) -> JSONResponse:
        readings = service.ready()
        ask = await asked(request, TimelineRequest, service.settings)
        files = media(ask)
        if len(files) != 1:
            raise Refusal(422, "send one recording, as audio or video")
        if ask.step > ask.window:
            raise Refusal(422, "step: must be at most as long as window")
        [source], plan = files.values(), Plan(window=ask.window, step=ask.step)
        with readings.place():
            work = _read(readings, source, plan, service.settings.media_seconds)
            told = await while_waited_for(request, work, service.settings.timeline_seconds)
        return JSONResponse({**told, "request_id": request.state.request_id})


async def _read(readings: Readings, source: MediaBytes, plan: Plan, longest: float) -> dict[str, object]:
    """The timeline as JSON values. When nobody waits any more, its thread ends with the window it is at."""
    left = threading.Event()

    def work() -> dict[str, object]:
        timeline = Timeline(readings.recognizer, source, plan, reader=readings.reader)
        if timeline.seconds > longest:
            raise Refusal(422, f"it lasts {timeline.seconds:.0f} s, the limit is {longest:g} s; cut it")
        windows: list[Window] = []
        for window in timeline:
            if left.is_set():
                break
            windows.append(window)
        return {
            "seconds": timeline.seconds,
            "window": plan.window,
            "step": plan.step,
            "windows": [w.to_json() for w in windows],
        }

    try:
        return await asyncio.get_running_loop().run_in_executor(readings.long, work)
    finally:
        left.set()
