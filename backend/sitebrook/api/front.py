"""What stands around the routes: request ids, measuring, CORS, unread bodies, the server's stop.

One layer: as five nested ones it took a tenth of a plain answer's processor time, a closure and a
coroutine for each, and for each message of the response one more of both.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from litestar.types import ASGIApp, Receive, Scope, Send

from sitebrook.api.bodies import Body
from sitebrook.api.connection import connection_of
from sitebrook.api.cors import Cors, Fields, with_cors
from sitebrook.api.draining import refuse_work
from sitebrook.api.errors import to_reply
from sitebrook.api.http import send_reply
from sitebrook.api.latency import Measuring
from sitebrook.api.request_ids import REQUEST_ID, to_request_id
from sitebrook.parts import Parts
from sitebrook.telemetry.latency import Timings
from sitebrook.telemetry.logs import request_id

_FIRST_ERROR_STATUS: Final = 400
_EVENT_STREAM: Final = b"text/event-stream"
_PLAIN_HOST: Final = re.compile(rb"[0-9A-Za-z.:_\[\]-]*")


class Front:
    """Runs each HTTP request; it goes to ``routes``, or by its path to one of ``direct``.

    ``direct`` are bare ASGI routes of the same application, which need nothing of what Litestar
    does before it calls them.
    """

    def __init__(
        self, routes: ASGIApp, direct: Mapping[str, ASGIApp], parts: Parts, measuring: Measuring
    ) -> None:
        self._routes = routes
        self._direct = direct
        self._cors = Cors(parts.gate)
        self._open_answers = parts.open_answers
        self._measuring = measuring

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Runs the request and records it at its end, however it ends."""
        if scope["type"] != "http":
            await self._routes(scope, receive, send)
            return
        measuring = self._measuring
        headers = dict(scope["headers"])
        own_id = to_request_id(headers.get(REQUEST_ID))
        request_id.set(own_id)  # the task ends with the request, and its context too
        timings = measuring.begin(scope, headers, own_id)
        body = Body(receive, is_held=headers.get(b"expect") == b"100-continue")
        response = _Response(scope, send, body, timings, measuring)
        try:
            if b"origin" in headers:
                response.cors = await self._cors.begin(scope, headers, response.send_own)
                if response.cors is None:
                    return
            await self._run(scope, headers, response)
        except BaseException:
            timings.outcome = "error"
            raise
        finally:
            if response.is_stream:
                measuring.metrics.close_stream()
            measuring.finish(scope, timings)

    async def _run(self, scope: Scope, headers: Mapping[bytes, bytes], response: _Response) -> None:
        path, send = scope["path"], response.send
        if self._open_answers.is_draining and await refuse_work(self._open_answers, path, send):
            return
        handler = self._direct.get(path)
        # Litestar refuses some characters in a host, and it is left to it.
        if handler is None or not _PLAIN_HOST.fullmatch(headers.get(b"host", b"")):
            await self._routes(scope, response.body.receive, send)
            return
        try:
            await handler(scope, response.body.receive, send)
        except Exception as error:
            if response.has_begun:
                raise
            reply = to_reply(error)
            await send_reply(send, reply.status, reply.encode(), reply.headers)


class _Response:
    """The response to one request: what is added to its head, and what is known once it began."""

    __slots__ = (
        *("_measuring", "_scope", "_send", "_timings"),
        *("body", "cors", "has_begun", "is_stream"),
    )

    def __init__(
        self, scope: Scope, send: Send, body: Body, timings: Timings, measuring: Measuring
    ) -> None:
        self.body = body
        self.cors: Fields | None = None
        self.has_begun = False
        self.is_stream = False
        self._scope = scope
        self._send = send
        self._timings = timings
        self._measuring = measuring

    async def send(self, message: Any) -> None:
        """Sends a message of the route."""
        if message["type"] == "http.response.start":
            if message["status"] >= _FIRST_ERROR_STATUS:
                await self.body.discard()
            if self.cors is not None:
                message["headers"] = with_cors(message["headers"], self.cors)
            self._begin(message)
            if self.is_stream and message["status"] == 200:
                connection_of(self._scope).begin(message["headers"])
                return
        await self._send(message)

    async def send_own(self, message: Any) -> None:
        """Sends a message of the answer to a preflight, whose headers are whole."""
        if message["type"] == "http.response.start":
            self._begin(message)
        await self._send(message)

    def _begin(self, message: Any) -> None:
        timings = self._timings
        fields = [*message["headers"]]
        if timings.phases and self._measuring.shows_phases:
            fields.append((b"server-timing", timings.to_server_timing().encode()))
        fields.append((REQUEST_ID, timings.request_id.encode()))
        timings.status = message["status"]
        if timings.status >= _FIRST_ERROR_STATUS:
            timings.outcome = "error"
        if not self.has_begun and _is_event_stream(fields):
            self.is_stream = True
            self._measuring.metrics.open_stream()
        self.has_begun = True
        timings.first_byte_ms = timings.elapsed_ms()
        message["headers"] = fields


def _is_event_stream(fields: Fields) -> bool:
    for name, value in fields:
        if name == b"content-type":
            return value.startswith(_EVENT_STREAM)
    return False
