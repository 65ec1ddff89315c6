"""Cross-origin rules: a preflight is judged by all sites, the request itself by its key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from litestar.types import Scope, Send

from sitebrook.access.gate import Gate
from sitebrook.api.http import method_of
from sitebrook.errors import Unavailable

Fields = list[tuple[bytes, bytes]]

_ALLOWED_METHODS: Final = b"GET, POST, DELETE, OPTIONS"
_ALLOWED_HEADERS: Final = (
    "authorization",
    "content-type",
    "idempotency-key",
    "last-event-id",
    "x-sitebrook-resume",
)
_ALLOWED_HEADER_PREFIX: Final = "x-stainless-"
_ALLOW_ORIGIN: Final = b"access-control-allow-origin"
_EXPOSE: Final = (
    b"access-control-expose-headers",
    b"x-request-id, x-answer-id, retry-after, server-timing",
)
_VARY: Final = (b"vary", b"Origin")
_PREFLIGHT_SECONDS: Final = b"600"


class Cors:
    """Judges the origins of requests."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    async def begin(
        self, scope: Scope, headers: Mapping[bytes, bytes], send: Send
    ) -> Fields | None:
        """What a response to this origin says besides; None when a preflight was answered."""
        origin = headers[b"origin"]
        is_allowed = await self._is_allowed(origin.decode("latin-1"))
        asked = headers.get(b"access-control-request-method")
        if method_of(scope) == "OPTIONS" and asked is not None:
            wanted = headers.get(b"access-control-request-headers", b"").decode("latin-1")
            await _answer_preflight(send, origin if is_allowed else None, wanted)
            return None
        if not is_allowed:
            return [_VARY]
        return [_VARY, (_ALLOW_ORIGIN, origin), _EXPOSE]

    async def _is_allowed(self, origin: str) -> bool:
        try:
            return await self._gate.is_known_origin(origin)
        except Unavailable:
            return False  # the request itself will say that the database is away


def with_cors(own: Fields, fields: Fields) -> Fields:
    """A response's headers with those for its origin.

    A public file allows every origin by itself; two values would allow none.
    """
    is_public = any(name.lower() == _ALLOW_ORIGIN for name, _ in own)
    return [*own, *(fields[:1] if is_public else fields)]


async def _answer_preflight(send: Send, origin: bytes | None, wanted: str) -> None:
    fields = [(b"vary", b"Origin, Access-Control-Request-Headers")]
    if origin is not None:
        names = [name.strip().lower() for name in wanted.split(",")]
        extra = [name for name in names if name.startswith(_ALLOWED_HEADER_PREFIX)]
        fields += [
            (_ALLOW_ORIGIN, origin),
            (b"access-control-allow-methods", _ALLOWED_METHODS),
            (b"access-control-allow-headers", ", ".join((*_ALLOWED_HEADERS, *extra)).encode()),
            (b"access-control-max-age", _PREFLIGHT_SECONDS),
        ]
    start: Any = {"type": "http.response.start", "status": 204, "headers": fields}
    await send(start)
    await send({"type": "http.response.body", "body": b"", "more_body": False})
