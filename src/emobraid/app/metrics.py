"""Counts and times in Prometheus' text format; nothing of what was sent."""

import logging
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Sequence

from starlette.types import Scope

log = logging.getLogger("emobraid.server")

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
BATCHES = (1, 2, 4, 8, 16, 32)


class Histogram:
    """How many values fell at or below each bound."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.sum = 0.0

    def add(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def lines(self, name: str, labels: str = "") -> list[str]:
        """As Prometheus wants it: running totals, then the sum and the count."""
        comma, total, lines = "," if labels else "", 0, []
        for bound, count in zip((*map(str, self.bounds), "+Inf"), self.counts, strict=True):
            total += count
            lines.append(f'{name}_bucket{{{labels}{comma}le="{bound}"}} {total}')
        braces = f"{{{labels}}}" if labels else ""
        return [*lines, f"{name}_sum{braces} {self.sum:.6f}", f"{name}_count{braces} {total}"]


class Metrics:
    """What has happened since the server started."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, int]] = Counter()  # by route and status
        self.seconds: dict[str, Histogram] = {}  # by route
        self.batch = Histogram(BATCHES)
        self.left = 0  # clients that did not wait for their answer
        self.gauges: dict[str, tuple[str, Callable[[], float]]] = {}  # name -> what it is, and its value now

    def answered(self, scope: Scope, status: int, seconds: float, request_id: str) -> None:
        """One request is done. Its route is counted, never its address, which anybody can fill with anything."""
        route = getattr(scope.get("route"), "path", "other")
        self.requests[route, status] += 1
        self.seconds.setdefault(route, Histogram(SECONDS)).add(seconds)
        log.info("%s %s %d %.0f ms %s", scope.get("method", "WS"), route, status, 1000 * seconds, request_id)

    def text(self) -> str:
        lines = [
            "# HELP emobraid_requests_total Requests by route and status (0: the client left).",
            "# TYPE emobraid_requests_total counter",
        ]
        lines += [
            f'emobraid_requests_total{{route="{route}",status="{status}"}} {count}'
            for (route, status), count in sorted(self.requests.items())
        ]
        lines += [
            "# HELP emobraid_request_seconds Time from a request's headers to the end of its answer.",
            "# TYPE emobraid_request_seconds histogram",
        ]
        for route, histogram in sorted(self.seconds.items()):
            lines += histogram.lines("emobraid_request_seconds", f'route="{route}"')
        lines += [
            "# HELP emobraid_batch_size Requests that were encoded together.",
            "# TYPE emobraid_batch_size histogram",
            *self.batch.lines("emobraid_batch_size"),
        ]
        lines += [
            "# HELP emobraid_clients_left_total Clients that left before their answer.",
            "# TYPE emobraid_clients_left_total counter",
            f"emobraid_clients_left_total {self.left}",
        ]
        for name, (what, value) in self.gauges.items():
            lines += [f"# HELP {name} {what}", f"# TYPE {name} gauge", f"{name} {value():g}"]
        return "\n".join([*lines, ""])
