"""The latency middleware: pure ASGI, wraps ``send`` only, never touches or delays a body."""

from __future__ import annotations

from typing import Any, Final, cast

from litestar.types import ASGIApp, Message, Receive, Scope, Send

from sitebrook.telemetry.latency import LatencyRecorder, Timings

_SCOPE_KEY: Final = "sitebrook.timings"
_FIRST_ERROR_STATUS: Final = 400


def timings_of(scope: Scope) -> Timings:
    """The timings of this request; unrecorded ones when the middleware is switched off."""
    own = cast("dict[str, Any]", scope)
    return own.setdefault(_SCOPE_KEY, Timings())


class LatencyMiddleware:
    """Measures each HTTP request and adds Server-Timing to answers that named phases."""

    def __init__(self, app: ASGIApp, recorder: LatencyRecorder) -> None:
        self._app = app
        self._recorder = recorder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Runs the request and records it at its end, however it ends."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        timings = timings_of(scope)

        async def timed_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                if timings.phases:
                    value = timings.to_server_timing().encode()
                    message["headers"] = [*message.get("headers", ()), (b"server-timing", value)]
                if message["status"] >= _FIRST_ERROR_STATUS:
                    timings.outcome = "error"
                timings.first_byte_ms = timings.elapsed_ms()
            await send(message)

        try:
            await self._app(scope, receive, timed_send)
        except BaseException:
            timings.outcome = "error"
            raise
        finally:
            timings.total_ms = timings.elapsed_ms()
            if timings.route == "other":
                timings.route = f"{scope['method']} {scope.get('path_template') or 'other'}"
            self._recorder.record(timings)
