"""What the routes share: the model once it is there, conversations, counts."""

import logging
from collections.abc import Callable
from types import SimpleNamespace

from starlette.types import Scope

from emobraid.app.limits import ServerSettings
from emobraid.app.metrics import Metrics
from emobraid.app.readings import Readings
from emobraid.app.refusals import Refusal
from emobraid.app.sessions import Sessions
from emobraid.dialogue import Responder
from emobraid.recognizer import Recognizer

log = logging.getLogger("emobraid.server")

ALIVE = "/livez"
PLACED = ("/v1/predict", "/v1/timeline")  # not /v1/chat, which looks for words of a crisis first


class Service:
    """`readings` is None until the model is loaded, and `failure` tells why it will never be."""

    def __init__(self, settings: ServerSettings, responder: Callable[[], Responder] | None) -> None:
        self.settings, self.metrics = settings, Metrics()
        self.readings: Readings | None = None
        self.failure: Exception | None = None
        self.on_failure: Callable[[], None] = lambda: None
        self.at_end: list[Callable[[], None]] = []
        self.sessions = Sessions(responder, most=settings.sessions, idle=60 * settings.session_minutes)
        self.metrics.gauges["emobraid_ready"] = ("Whether the model is loaded.", lambda: self.readings is not None)
        self.metrics.gauges["emobraid_sessions"] = ("Conversations kept.", lambda: len(self.sessions))

    def ready(self) -> Readings:
        """The readings; a Refusal while there are none."""
        if self.readings is None:
            why = "the model could not be loaded" if self.failure else "the model is being loaded; try again"
            raise Refusal(503, why, retry_after=2)
        return self.readings

    def early(self, scope: Scope) -> dict[str, str] | None:
        """What is told before routes are looked for: that the server lives, or, as a Refusal, that places are taken."""
        path, method = scope["path"], scope.get("method")
        if path == ALIVE and method == "GET":
            scope["route"] = SimpleNamespace(path=path)  # by which it is counted
            return {"status": "alive"}
        if path in PLACED and method == "POST" and self.readings is not None:
            scope["route"] = SimpleNamespace(path=path)
            self.readings.refuse_when_full()
        return None

    def use(self, recognizer: Recognizer) -> None:
        self.readings = Readings(recognizer, self.settings, self.metrics)

    def load(self, source: Callable[[], Recognizer]) -> None:
        """Make the recognizer, and close it at the end."""
        try:
            recognizer = source()
            self.at_end.append(recognizer.close)
            self.use(recognizer)
        except Exception as error:
            self.failure = error
            self.on_failure()

    def close(self) -> None:
        if self.readings is not None:
            self.readings.close()
        for end in self.at_end:
            end()
