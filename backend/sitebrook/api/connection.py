"""The client's connection: uvicorn's HTTP protocol, shown to the routes that stream."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from litestar.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application

_EXTENSION: Final = "sitebrook.connection"
_STATUS_LINE: Final = b"HTTP/1.1 "
_INTERIM: Final = b"HTTP/1.1 1"
_STATUS_200: Final = b"HTTP/1.1 200 OK\r\n"
_CHUNKED: Final = b"transfer-encoding: chunked\r\n\r\n"


class _JoiningTransport:
    """A transport that sends ``held``, such as the head of a response, with what follows it.

    uvicorn writes one after the other; each write is a system call that may wake the client.
    """

    __slots__ = ("_transport", "held")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.held = b""

    def write(self, part: bytes) -> None:
        """Sends a part of a response; its head waits for the next one."""
        if self.held:
            part, self.held = self.held + part, b""
        elif part.startswith(_STATUS_LINE) and not part.startswith(_INTERIM):
            self.held = part
            return
        self._transport.write(part)

    def flush(self) -> None:
        """Sends a head that nothing follows."""
        if self.held:
            held, self.held = self.held, b""
            self._transport.write(held)

    def close(self) -> None:
        """Closes the connection behind what was written."""
        self.flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class ClientConnection(HttpToolsProtocol):
    """One connection; the body of a chunked response can be written to it at once.

    Frames that go through ASGI's ``send`` pass every middleware and uvicorn's checks, each time a
    coroutine: a fifth of a relayed delta's processor time. The head of a stream is written here
    too, its end still takes that way. ``on_left`` is called once when the client is gone, in place
    of a task that waits for ``http.disconnect`` beside every stream.
    """

    on_left: Callable[[], object] | None = None
    is_lost = False
    _stuck_bytes = 0
    _stuck_since: float | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride] - as uvicorn has it
        """Takes over the connection."""
        super().connection_made(transport)
        self._write = transport.write
        self._joining = _JoiningTransport(transport)
        self.transport = cast("asyncio.Transport", self._joining)

    def on_response_complete(self) -> None:
        """Sends what is held back of a response without a body."""
        self._joining.flush()
        super().on_response_complete()

    def on_message_begin(self) -> None:
        """Shows itself to the request that begins."""
        super().on_message_begin()
        cast("dict[str, Any]", self.scope)["extensions"] = {_EXTENSION: self}

    def connection_lost(self, exc: Exception | None) -> None:
        """Tells whoever is answering."""
        super().connection_lost(exc)
        self.is_lost = True
        if self.on_left is not None:
            self.on_left()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._answered = cycle
        super()._start_asgi_task(cycle, app)

    def begin(self, fields: Sequence[tuple[bytes, bytes]]) -> None:
        """Begins a chunked response with status 200; its head is sent with its first part.

        uvicorn looks through each name and value for what no head may hold; the caller knows that
        these ``fields`` are fit, and in lower case. Raises RuntimeError when it has begun.
        """
        cycle = self._answered
        if cycle.response_started:
            raise RuntimeError("The response has begun already.")
        cycle.response_started = True
        cycle.waiting_for_100_continue = False
        cycle.chunked_encoding = True
        lines = [_STATUS_200]
        for name, value in (*cycle.default_headers, *fields):
            lines += (name, b": ", value, b"\r\n")
        if not cycle.keep_alive:
            lines.append(b"connection: close\r\n")
        lines.append(_CHUNKED)
        self._joining.held = b"".join(lines)

    def write(self, frame: bytes) -> None:
        """Sends a part of a chunked response that has begun, while the client is there."""
        if self.is_lost:
            return  # uvloop's closed transports raise
        if self._joining.held:
            self._joining.write(_to_chunk(frame))
        else:
            self._write(_to_chunk(frame))

    def hold(self, frame: bytes) -> None:
        """Keeps the last part of a response that has begun until its end is sent."""
        self._joining.held += _to_chunk(frame)

    @property
    def is_full(self) -> bool:
        """Whether the client reads slower than it is written to; then wait with ``drain``."""
        return self.flow.write_paused

    async def drain(self) -> None:
        """Returns when the client has read most of what was written, or is gone."""
        await self.flow.drain()

    def drop_if_stuck(self, now: float, patience_s: float) -> None:
        """Ends the connection of a client that took nothing for ``patience_s`` while it is full."""
        if not self.is_full:
            self._stuck_since = None
            return
        waiting = self.transport.get_write_buffer_size()
        if self._stuck_since is None or waiting < self._stuck_bytes:
            self._stuck_since, self._stuck_bytes = now, waiting
        elif now - self._stuck_since >= patience_s:
            self.transport.abort()


def _to_chunk(frame: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(frame), frame)


def connection_of(scope: Scope) -> ClientConnection:
    """The connection that a request came on.

    Raises RuntimeError under another server than ``sitebrook serve``.
    """
    own: Any = scope
    extensions: Any = own.get("extensions") or {}
    if _EXTENSION not in extensions:
        raise RuntimeError("Streams need the server of `sitebrook serve`.")
    connection: ClientConnection = extensions[_EXTENSION]
    return connection
