"""The measuring middleware: pure ASGI, wraps ``send`` only, never touches or delays a body."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from litestar.types import ASGIApp, Message, Receive, Scope, Send

from sitebrook.telemetry.latency import Timings, TraceHeaders, current_timings
from sitebrook.telemetry.logs import request_id
from sitebrook.telemetry.metrics import Metrics

_SCOPE_KEY: Final = "sitebrook.timings"
_FIRST_ERROR_STATUS: Final = 400
_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
_EVENT_STREAM: Final = b"text/event-stream"


def timings_of(scope: Scope) -> Timings:
    """The timings of this request; unrecorded ones outside of the middleware."""
    own = cast("dict[str, Any]", scope)
    timings = own.get(_SCOPE_KEY)
    if timings is None:
        timings = own[_SCOPE_KEY] = Timings()
    return timings


@dataclass(frozen=True, slots=True)
class Measuring:
    """What is done with what was measured: each of ``records`` is called as a request ends.

    ``shows_phases`` adds Server-Timing to responses, ``reads_traces`` keeps the caller's trace.
    """

    metrics: Metrics
    records: Sequence[Callable[[Timings], None]]
    shows_phases: bool
    reads_traces: bool


class LatencyMiddleware:
    """Measures each HTTP request, and says in Server-Timing how long its phases took."""

    def __init__(self, app: ASGIApp, measuring: Measuring) -> None:
        self._app = app
        self._measuring = measuring

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Runs the request and records it at its end, however it ends."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        measuring = self._measuring
        timings = timings_of(scope)
        timings.request_id = request_id.get()
        if measuring.reads_traces:
            timings.trace = _trace_of(scope)
        is_stream = False

        async def timed_send(message: Message) -> None:
            nonlocal is_stream
            if message["type"] == "http.response.start":
                if timings.phases and measuring.shows_phases:
                    value = timings.to_server_timing().encode()
                    message["headers"] = [*message.get("headers", ()), (b"server-timing", value)]
                timings.status = message["status"]
                if timings.status >= _FIRST_ERROR_STATUS:
                    timings.outcome = "error"
                if not is_stream and _is_event_stream(message):
                    is_stream = True
                    measuring.metrics.open_stream()
                timings.first_byte_ms = timings.elapsed_ms()
            await send(message)

        token = current_timings.set(timings)
        try:
            await self._app(scope, receive, timed_send)
        except BaseException:
            timings.outcome = "error"
            raise
        finally:
            current_timings.reset(token)
            if is_stream:
                measuring.metrics.close_stream()
            self._finish(scope, timings)

    def _finish(self, scope: Scope, timings: Timings) -> None:
        timings.total_ms = timings.elapsed_ms()
        if timings.route == "other":
            own = cast("dict[str, Any]", scope)
            method = own["method"] if own["method"] in _METHODS else "other"
            timings.route = f"{method} {own.get('path_template') or 'other'}"
        for record in self._measuring.records:
            record(timings)


def _is_event_stream(message: Any) -> bool:
    return any(
        name == b"content-type" and value.startswith(_EVENT_STREAM)
        for name, value in message.get("headers", ())
    )


def _trace_of(scope: Scope) -> TraceHeaders | None:
    headers = dict(scope["headers"])
    parent = headers.get(b"traceparent")
    if parent is None:
        return None
    state = headers.get(b"tracestate", b"")
    return TraceHeaders(parent.decode("latin-1"), state.decode("latin-1"))
