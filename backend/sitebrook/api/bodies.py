"""Request bodies: of the type that the route reads, decoded alike everywhere, never left unread."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Final

import msgspec
from litestar import Request
from litestar.connection import ASGIConnection
from litestar.datastructures import FormMultiDict, UploadFile
from litestar.handlers import BaseRouteHandler
from litestar.types import Receive

from sitebrook.api.http import check_json_type, decode_json, head_of
from sitebrook.errors import InvalidRequest, UnsupportedBody

_DISCARDED_BYTES: Final = 64_000_000
_DISCARD_S: Final = 10
_MULTIPART: Final = "multipart/form-data"
_DECODER: Final = msgspec.json.Decoder(Any)


class JSONRequest(Request[Any, Any, Any]):
    """A request whose JSON is refused as the chat route refuses it."""

    async def json(self) -> Any:
        """The decoded body. Raises InvalidRequest for what is not JSON in UTF-8."""
        return decode_json(await self.body(), _DECODER)


def check_json(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """A guard for routes that read JSON. Raises UnsupportedBody for another content type."""
    check_json_type(head_of(connection.scope, None))


async def check_upload(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """A guard for routes that read files.

    Raises UnsupportedBody for another content type, InvalidRequest for a form without files or
    with fields that are none.
    """
    form = await read_form(JSONRequest(connection.scope, connection.receive))
    names = [name for name, value in form.multi_items() if not isinstance(value, UploadFile)]
    if names:
        raise InvalidRequest("This field of the form is not a file.", param=names[0])
    if not form:
        raise InvalidRequest("The form holds no file.", param="files")


async def read_form(request: Request[Any, Any, Any]) -> FormMultiDict:
    """The fields of a form with files.

    Raises UnsupportedBody for another content type, InvalidRequest without a boundary or for a
    field that is not in UTF-8.
    """
    kind, options = request.content_type
    if kind != _MULTIPART:
        raise UnsupportedBody(f"Send files as {_MULTIPART}; the body is {kind or 'untyped'}.")
    if not options.get("boundary"):
        raise InvalidRequest("The content type names no boundary.", code="invalid_body")
    try:
        return await request.form()
    except UnicodeDecodeError:
        raise InvalidRequest("A field of the form is not in UTF-8.", code="invalid_body") from None


class Body:
    """A request's body; what is left of it can be taken before the request is refused.

    A connection closed on unread bytes is reset, and the response is lost with it. ``is_held``
    while the client waits to be asked for the body.
    """

    __slots__ = ("_is_held", "_is_whole", "_receive")

    def __init__(self, receive: Receive, *, is_held: bool) -> None:
        self._receive = receive
        self._is_held = is_held
        self._is_whole = False

    async def receive(self) -> Any:
        """The next message."""
        self._is_held = False
        message = await self._receive()
        is_body = message["type"] == "http.request"
        self._is_whole = not (is_body and message.get("more_body", False))
        return message

    async def discard(self) -> None:
        """Takes what is left, within bounds."""
        if self._is_held:
            return
        left = _DISCARDED_BYTES
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DISCARD_S):
                while left > 0 and not self._is_whole:
                    left -= len((await self.receive()).get("body", b""))
