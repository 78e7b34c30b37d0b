"""The HTTP API: `create_app` makes it, `emobraid.app.serving.serve` runs it. docs/server.md says how to use it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from emobraid import __version__
from emobraid.app import refusals
from emobraid.app.api_models import PredictionBody, PredictRequest
from emobraid.app.bodies import asked, media
from emobraid.app.chat import add_chat
from emobraid.app.described import ABOUT, ERRORS, body_of
from emobraid.app.gate import Gate
from emobraid.app.limits import ServerSettings
from emobraid.app.readings import while_waited_for
from emobraid.app.service import Service
from emobraid.app.streaming import add_stream
from emobraid.app.timelines import add_timeline
from emobraid.dialogue import Responder
from emobraid.recognizer import Recognizer

SWEEP = 30.0  # seconds between looks for conversations that rested too long


def create_app(
    recognizer: Recognizer | Callable[[], Recognizer],
    settings: ServerSettings | None = None,
    *,
    responder: Callable[[], Responder] | None = None,
) -> FastAPI:
    """The API of one model. `app.state.service` holds what its routes share.

    A Recognizer is closed by whoever gave it. A function is called while the server already answers /livez, for models
    that take long to load, and its Recognizer is closed at the end. `responder` makes who answers in a new conversation
    (BuiltIn unless given).
    """
    settings = settings or ServerSettings()
    service = Service(settings, responder)
    if isinstance(recognizer, Recognizer):
        service.use(recognizer)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        loading = None
        if not isinstance(recognizer, Recognizer):
            loading = asyncio.create_task(asyncio.to_thread(service.load, recognizer))
        sweeping = asyncio.create_task(_sweep(service))
        try:
            yield
        finally:
            sweeping.cancel()
            with suppress(asyncio.CancelledError):
                await sweeping
            if loading is not None:
                await loading
            await asyncio.to_thread(service.close)

    # no /docs: that page takes its scripts from other hosts
    app = FastAPI(
        title="emobraid", version=__version__, description=ABOUT, docs_url=None, redoc_url=None, lifespan=lifespan
    )
    app.state.service = service
    app.add_middleware(Gate, settings=settings, metrics=service.metrics, early=service.early)
    refusals.install(app)
    for add in (add_health, add_predict, add_timeline, add_chat, add_stream):
        add(app, service)
    return app


async def _sweep(service: Service) -> None:
    while True:
        await asyncio.sleep(SWEEP)
        service.sessions.sweep()


def add_health(app: FastAPI, service: Service) -> None:
    @app.get("/livez", tags=["health"], summary="Whether the server answers")
    async def livez() -> dict[str, str]:
        return {"status": "alive"}

    @app.get("/readyz", tags=["health"], summary="Whether the model is loaded", responses={503: ERRORS[503]})
    async def readyz() -> dict[str, str]:
        service.ready()
        return {"status": "ready"}

    @app.get("/metrics", tags=["health"], summary="Counts and times for Prometheus", response_class=PlainTextResponse)
    async def metrics() -> Response:
        return PlainTextResponse(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


def add_predict(app: FastAPI, service: Service) -> None:
    @app.post(
        "/v1/predict",
        tags=["readings"],
        summary="What one utterance expresses",
        responses={200: {"model": PredictionBody}, **ERRORS},
        openapi_extra=body_of(PredictRequest),
    )
    async def predict(request: Request) -> JSONResponse:
        readings = service.ready()
        ask = await asked(request, PredictRequest, service.settings)
        with readings.place():
            work = readings.read(ask.text, media(ask), sound=ask.sound)
            prediction = await while_waited_for(request, work, service.settings.request_seconds)
        return JSONResponse({**prediction.to_json(), "request_id": request.state.request_id})
