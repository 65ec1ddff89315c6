"""Cross-origin rules: a preflight is judged by all sites, the request itself by its key."""

from __future__ import annotations

from typing import Any, Final

from litestar.types import ASGIApp, Message, Receive, Scope, Send

from sitebrook.access.gate import Gate
from sitebrook.api.http import method_of
from sitebrook.errors import Unavailable

_ALLOWED_METHODS: Final = b"GET, POST, DELETE, OPTIONS"
_ALLOWED_HEADERS: Final = (
    "authorization",
    "content-type",
    "idempotency-key",
    "last-event-id",
    "x-sitebrook-resume",
)
_ALLOWED_HEADER_PREFIX: Final = "x-stainless-"
_EXPOSED_HEADERS: Final = b"x-request-id, x-answer-id, retry-after, server-timing"
_PREFLIGHT_SECONDS: Final = b"600"


class CorsMiddleware:
    """Answers preflights and adds the headers to every response, errors too."""

    def __init__(self, app: ASGIApp, gate: Gate) -> None:
        self._app = app
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Runs the request with the headers for its origin."""
        headers = dict(scope["headers"])
        origin = headers.get(b"origin")
        if scope["type"] != "http" or origin is None:
            await self._app(scope, receive, send)
            return
        is_allowed = await self._is_allowed(origin.decode("latin-1"))
        asked = headers.get(b"access-control-request-method")
        if method_of(scope) == "OPTIONS" and asked is not None:
            wanted = headers.get(b"access-control-request-headers", b"").decode("latin-1")
            await _answer_preflight(send, origin if is_allowed else None, wanted)
            return
        allowing = [
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", _EXPOSED_HEADERS),
        ]

        async def send_with_cors(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = list(message["headers"])
                # A public file allows every origin by itself; two values would allow none.
                is_public = any(name.lower() == allowing[0][0] for name, _ in own)
                fields = allowing if is_allowed and not is_public else []
                message["headers"] = [*own, (b"vary", b"Origin"), *fields]
            await send(message)

        await self._app(scope, receive, send_with_cors)

    async def _is_allowed(self, origin: str) -> bool:
        try:
            return await self._gate.is_known_origin(origin)
        except Unavailable:
            return False  # the request itself will say that the database is away


async def _answer_preflight(send: Send, origin: bytes | None, wanted: str) -> None:
    fields = [(b"vary", b"Origin, Access-Control-Request-Headers")]
    if origin is not None:
        names = [name.strip().lower() for name in wanted.split(",")]
        extra = [name for name in names if name.startswith(_ALLOWED_HEADER_PREFIX)]
        fields += [
            (b"access-control-allow-origin", origin),
            (b"access-control-allow-methods", _ALLOWED_METHODS),
            (b"access-control-allow-headers", ", ".join((*_ALLOWED_HEADERS, *extra)).encode()),
            (b"access-control-max-age", _PREFLIGHT_SECONDS),
        ]
    start: Any = {"type": "http.response.start", "status": 204, "headers": fields}
    await send(start)
    await send({"type": "http.response.body", "body": b"", "more_body": False})
