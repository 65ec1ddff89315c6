"""The refusal of new work while the server stops."""

from __future__ import annotations

from typing import Final

from litestar.types import ASGIApp, Receive, Scope, Send

from sitebrook.api.errors import to_reply
from sitebrook.api.http import send_reply
from sitebrook.chat.open_answers import OpenAnswers
from sitebrook.errors import Unavailable

_WORK: Final = ("/v1/", "/api/")
# Figures of a server that stops are still wanted; health, pages and files are no work.
_SERVED: Final = frozenset({"/api/latency"})


class DrainMiddleware:
    """Answers 503 with Retry-After to what would begin work, on a connection that closes."""

    def __init__(self, app: ASGIApp, open_answers: OpenAnswers) -> None:
        self._app = app
        self._open_answers = open_answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Runs the request unless it is refused."""
        if self._open_answers.is_draining and scope["type"] == "http" and _is_work(scope["path"]):
            try:
                self._open_answers.check_taken()
            except Unavailable as error:
                reply = to_reply(error)
                headers = {**reply.headers, "connection": "close"}
                await send_reply(send, reply.status, reply.encode(), headers)
                return
        await self._app(scope, receive, send)


def _is_work(path: str) -> bool:
    return path.startswith(_WORK) and path not in _SERVED
