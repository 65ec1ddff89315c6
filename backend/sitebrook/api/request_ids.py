"""An id for every request, in the response and in the log."""

from __future__ import annotations

import re
from typing import Final

from litestar.types import ASGIApp, Message, Receive, Scope, Send

from sitebrook.ids import new_id
from sitebrook.telemetry.logs import request_id

_HEADER: Final = b"x-request-id"
_ACCEPTED: Final = re.compile(rb"[A-Za-z0-9._-]{8,64}")


class RequestIdMiddleware:
    """Takes over a well-formed ``x-request-id`` of the caller, else makes one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Runs the request under its id."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = dict(scope["headers"]).get(_HEADER, b"")
        own = given if _ACCEPTED.fullmatch(given) else new_id("req").encode()
        token = request_id.set(own.decode())

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (_HEADER, own)]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        finally:
            request_id.reset(token)
