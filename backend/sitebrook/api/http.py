"""The small part of HTTP that routes on bare ASGI need: headers, bodies, replies."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import msgspec
from litestar.types import Message, Receive, Scope, Send

from sitebrook.access.gate import Credentials
from sitebrook.api.errors import EMPTY_BODY, from_decode_error
from sitebrook.api.ticker import Ticker
from sitebrook.errors import BodyTooLarge, InvalidRequest, UnsupportedBody
from sitebrook.parts import Parts
from sitebrook.providers.wire import repair_escapes

T = TypeVar("T")

# NUL, or the first half of a surrogate pair; most bodies hold neither.
_DUBIOUS: Final = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
_NOT_DIRECT: Final = (
    *(b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-real-ip"),
    *(b"forwarded", b"via", b"origin"),
)
_JSON_TYPES: Final = ("application/json", "")


class ClientLeft(Exception):
    """The caller closed the connection before the request was whole."""


class RequestHead(msgspec.Struct, frozen=True, gc=False):
    """The headers of a request (lower-case names) and where it was sent."""

    headers: dict[bytes, bytes]
    own_origin: str

    def get(self, name: bytes) -> str | None:
        """The value of a header."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    def to_credentials(self) -> Credentials:
        """What the request says of its sender."""
        scheme, _, value = (self.get(b"authorization") or "").partition(" ")
        bearer = value.strip() if scheme.lower() == "bearer" else ""
        return Credentials(bearer or None, self.get(b"origin"), self.own_origin)


def head_of(scope: Scope, public_url: str | None) -> RequestHead:
    """The head of a request; its own origin is ``public_url``'s, else what the client addressed."""
    headers = dict(scope["headers"])
    if public_url:
        parts = urlsplit(public_url)
        return RequestHead(headers, f"{parts.scheme}://{parts.netloc}".lower())
    host = headers.get(b"host", b"").decode("latin-1") or "localhost"
    return RequestHead(headers, f"{scope['scheme']}://{host}".lower())


def address_of(scope: Scope) -> str:
    """The client's address, as trusted proxies tell it."""
    own: Any = scope
    client = own.get("client")
    return str(client[0]) if client else ""


def is_local_operator(scope: Scope, head: RequestHead) -> bool:
    """Whether a program on this machine asks, not through a proxy and not from a page.

    A page in a browser on this machine shows itself by its Origin, or by the host that it was led
    to (DNS rebinding).
    """
    if any(name in head.headers for name in _NOT_DIRECT):
        return False
    try:
        host = urlsplit(f"//{head.get(b'host') or ''}").hostname or ""
        return _is_loopback(address_of(scope)) and _is_loopback(host)
    except ValueError:
        return False


def _is_loopback(host: str) -> bool:
    return host == "localhost" or ipaddress.ip_address(host).is_loopback


def method_of(scope: Scope) -> str:
    """The request's method in capitals."""
    own: Any = scope
    return str(own["method"])


async def read_body(receive: Receive, head: RequestHead, *, max_bytes: int) -> bytes:
    """The whole body of a request.

    Raises BodyTooLarge when more than ``max_bytes`` are announced or have come, ClientLeft when
    the caller went away.
    """
    announced = head.headers.get(b"content-length", b"")
    if announced.isdigit() and int(announced) > max_bytes:
        raise _too_large(max_bytes)
    parts: list[bytes] = []
    size = 0
    has_more = True
    while has_more:
        message: Any = await receive()
        if message["type"] == "http.disconnect":
            raise ClientLeft
        part = message.get("body", b"")
        size += len(part)
        if size > max_bytes:
            raise _too_large(max_bytes)
        parts.append(part)
        has_more = message.get("more_body", False)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _too_large(max_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(f"The request body is over {max_bytes:,} bytes (SITEBROOK_MAX_BODY_BYTES).")


def check_json_type(head: RequestHead) -> None:
    """Raises UnsupportedBody unless the body is announced as JSON, or not announced at all."""
    if head.headers.get(b"content-type") == b"application/json":
        return
    content_type = (head.get(b"content-type") or "").split(";")[0].strip().lower()
    if content_type not in _JSON_TYPES and not content_type.endswith("+json"):
        raise UnsupportedBody(
            f"The body is {content_type}; send JSON with `Content-Type: application/json`."
        )


async def read_json(
    receive: Receive, head: RequestHead, decoder: msgspec.json.Decoder[T], *, max_bytes: int
) -> T:
    """The typed JSON body of a request. Raises what its parts below and above raise."""
    check_json_type(head)
    return decode_json(await read_body(receive, head, max_bytes=max_bytes), decoder)


def decode_json(body: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """The typed body, with U+FFFD for NUL and for half a surrogate pair, which no text may hold.

    Raises InvalidRequest that names the field.
    """
    if not body.strip():
        raise InvalidRequest(EMPTY_BODY, code="invalid_json")
    if _DUBIOUS.search(body):
        body = repair_escapes(body)
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise from_decode_error(error, decoder.type) from None


async def send_reply(
    send: Send, status: int, body: bytes, headers: Mapping[str, str] | None = None
) -> None:
    """Sends a whole JSON response."""
    fields = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    if headers:
        fields += [(name.encode(), value.encode()) for name, value in headers.items()]
    start: Any = {"type": "http.response.start", "status": status, "headers": fields}
    await send(start)
    end: Message = {"type": "http.response.body", "body": body, "more_body": False}
    await send(end)


def parts_of(scope: Scope) -> Parts:
    """The objects of this process."""
    parts: Parts = scope["litestar_app"].state.parts
    return parts


def ticker_of(scope: Scope) -> Ticker:
    """The timer that this process's streams share."""
    ticker: Ticker = scope["litestar_app"].state.ticker
    return ticker
