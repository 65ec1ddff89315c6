"""One HTTP/1.1 connection of the client: requests go out, one answer at a time comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol, cast

import httptools

MAX_HEAD_BYTES: Final = 65_536
# Unread bytes at which a connection stops reading: with the 256,000 that one read of uvloop may
# bring, at most 256 KiB wait for the reader.
_PAUSE_AT_BYTES: Final = 6_144
_JOIN_BELOW_BYTES: Final = 65_536  # a larger body is sent by itself instead of being copied


class HttpError(Exception):
    """A response that cannot be read to its end."""


class ConnectionCut(HttpError):
    """The connection ended before the response did."""


class TooLate(HttpError):
    """The response did not begin in time."""


class MalformedResponse(HttpError):
    """What came is no HTTP, or its head has no end."""


class Pool(Protocol):
    """Where a connection goes that can serve another request."""

    def give_back(self, connection: Connection) -> None:
        """Keeps the connection for the next request."""
        ...

    def forget(self, connection: Connection) -> None:
        """The connection is closed."""
        ...


class Response:
    """One response; what the parser of its connection finds is put in here.

    When its last byte has come its connection goes back to the pool, whether or not all of it was
    read.
    """

    __slots__ = (
        "_connection",
        "_failure",
        "_has_surplus",
        "_head_bytes",
        "_is_interim",
        "_loop",
        "_parser",
        "_pieces",
        "_unread",
        "_waiter",
        "has_head",
        "headers",
        "is_over",
        "keeps_alive",
        "status",
        "tap",
    )

    def __init__(self, connection: Connection, loop: asyncio.AbstractEventLoop) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.has_head = False
        self.is_over = False  # nothing more will come
        self.keeps_alive = False
        # Told of bytes in the moment they come while the reader waits; True lets it wait on.
        self.tap: Callable[[], bool] | None = None
        self._connection = connection
        self._loop = loop
        self._failure: HttpError | None = None
        self._has_surplus = False
        self._head_bytes = 0
        self._is_interim = False
        self._pieces: list[bytes] = []
        self._unread = 0
        self._waiter: asyncio.Future[None] | None = None
        parser = httptools.HttpResponseParser(self)
        # As llhttp's other users read responses: both are common and neither is ambiguous here.
        parser.set_dangerous_leniencies(
            lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True
        )
        self._parser = parser

    @property
    def content_type(self) -> str:
        """The media type without its parameters, in lower case; empty when there is none."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def is_untouched(self) -> bool:
        """Whether not even one byte of it came."""
        return not (self._head_bytes or self.has_head)

    async def read(self) -> bytes:
        """What came since the last read, b"" at the end; one reader at a time.

        Raises HttpError when the body does not end as it should, after all that came before.
        """
        while True:
            await self.wait()
            piece = self.take()
            if piece or self.is_over:
                return piece

    async def wait(self) -> None:
        """Returns when something came, of which ``take`` may have nothing to give."""
        if not self._pieces and not self.is_over:
            self._waiter = waiter = self._loop.create_future()
            try:
                await waiter
            finally:
                self._waiter = None

    def take(self) -> bytes:
        """What came of the body since it was last taken; see ``read``."""
        pieces = self._pieces
        if not pieces:
            if self._failure is not None:
                raise self._failure
            return b""
        piece = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        if self._unread >= _PAUSE_AT_BYTES and not self.is_over:
            self._connection.resume()
        self._unread = 0
        return piece

    async def wait_for_head(self) -> None:
        """Returns once status and headers are there; raises HttpError when they never will be."""
        while not self.has_head:
            if self._failure is not None:
                raise self._failure
            self._waiter = waiter = self._loop.create_future()
            try:
                await waiter
            finally:
                self._waiter = None

    def close(self) -> None:
        """Ends the response; its connection is closed at once unless the last byte has come."""
        if not self.is_over:
            self._connection.abort()
            self.fail(ConnectionCut("closed by us"))

    def expire(self) -> None:
        """Ends the response as one that did not begin in time."""
        if not self.is_over:
            self._connection.abort()
            self.fail(TooLate("not in time"))

    def close_after(self, seconds: float) -> None:
        """Closes the response unless its last byte comes within ``seconds``."""
        if not self.is_over:
            self._loop.call_later(seconds, self.close)

    def feed(self, received: bytes) -> bool:
        """Takes what the connection received; says whether that ended the response."""
        unread = self._unread
        try:
            self._parser.feed_data(received)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            if self.is_over:
                self._has_surplus = True
            else:
                self.fail(MalformedResponse("not HTTP/1.1"))
            return True
        if self._unread == unread and not self.is_over:
            self._head_bytes += len(received)  # of a head, a chunk's head or a trailer
            if self._head_bytes > MAX_HEAD_BYTES:
                self.fail(MalformedResponse("a head without an end"))
                return True
        if self._waiter is not None and not (
            self.tap is not None and self._pieces and not self.is_over and self.tap()
        ):
            self._wake()
        return self.is_over

    @property
    def leaves_clean(self) -> bool:
        """Whether the connection can serve another request after this response."""
        return self.keeps_alive and self._failure is None and not self._has_surplus

    def lose(self, *, is_orderly: bool) -> None:
        """The connection has ended."""
        if self.is_over:
            return
        if is_orderly and self._ends_with_connection():
            self._end()
        else:
            self.fail(ConnectionCut("closed by the server"))

    def fail(self, failure: HttpError) -> None:
        """Ends the response with ``failure`` for its reader."""
        self._failure = failure
        self._end()

    def on_message_begin(self) -> None:
        """Of the parser: a response begins."""
        self._has_surplus = self.is_over

    def on_header(self, name: bytes, value: bytes) -> None:
        """Of the parser: a header, or after the body a trailer, which is read over."""
        if self.has_head:
            return
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > MAX_HEAD_BYTES:
            raise MalformedResponse("too large a head")
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        known = self.headers.get(key)
        self.headers[key] = text if known is None else f"{known}, {text}"

    def on_headers_complete(self) -> None:
        """Of the parser: the head is there; one of 1xx only announces another."""
        if self.is_over:
            return
        parser = self._parser
        self.status = parser.get_status_code()
        self._is_interim = 100 <= self.status < 200
        if self._is_interim:
            self.headers.clear()
            return
        self.keeps_alive = parser.should_keep_alive()
        self.has_head = True
        self._head_bytes = 0

    def on_body(self, body: bytes) -> None:
        """Of the parser: a piece of the body."""
        if self.is_over:
            return
        self._pieces.append(body)
        unread = self._unread
        self._unread = unread + len(body)
        self._head_bytes = 0
        if unread < _PAUSE_AT_BYTES <= self._unread:
            self._connection.pause()

    def on_message_complete(self) -> None:
        """Of the parser: the response is whole."""
        if self._is_interim:
            self._is_interim = False
        elif not self.is_over:
            self._end()

    def _ends_with_connection(self) -> bool:
        headers = self.headers
        return (
            self.has_head and "content-length" not in headers and "transfer-encoding" not in headers
        )

    def _end(self) -> None:
        self.is_over = True
        del self._parser  # holds methods of this object
        self._wake()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)


class Connection(asyncio.Protocol):
    """The protocol of one socket."""

    __slots__ = ("_is_paused", "_loop", "_pool", "_response", "_transport")

    def __init__(self, pool: Pool, loop: asyncio.AbstractEventLoop) -> None:
        self._pool = pool
        self._loop = loop
        self._response: Response | None = None
        self._transport: asyncio.Transport | None = None
        self._is_paused = False

    @property
    def is_usable(self) -> bool:
        """Whether a request can be sent."""
        transport = self._transport
        return transport is not None and self._response is None and not transport.is_closing()

    def send(self, head: bytes, body: bytes) -> Response:
        """Sends a request; the response is filled as it comes."""
        self._response = response = Response(self, self._loop)
        transport = self._transport
        if transport is None:
            response.fail(ConnectionCut("closed before the request"))
        elif len(body) < _JOIN_BELOW_BYTES:
            transport.write(head + body)
        else:
            transport.write(head)
            transport.write(body)
        return response

    def abort(self) -> None:
        """Closes the socket at once."""
        self._response = None
        if self._transport is not None:
            self._transport.abort()

    def pause(self) -> None:
        """Stops reading."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()
            self._is_paused = True

    def resume(self) -> None:
        """Reads again."""
        if self._is_paused and self._transport is not None:
            self._is_paused = False
            if not self._transport.is_closing():
                self._transport.resume_reading()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Of the loop: the socket is connected."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Of the loop: bytes came; nobody asked for those that come between responses."""
        response = self._response
        if response is None:
            self.abort()
        elif response.feed(data):
            self._let_go(response)

    def connection_lost(self, exc: Exception | None) -> None:
        """Of the loop: the socket is closed."""
        response, self._response, self._transport = self._response, None, None
        self._pool.forget(self)
        if response is not None:
            response.lose(is_orderly=exc is None)

    def _let_go(self, response: Response) -> None:
        self._response = None
        transport = self._transport
        if (
            not response.leaves_clean
            or transport is None
            or transport.is_closing()
            or transport.get_write_buffer_size()
        ):
            self.abort()
            return
        self.resume()
        self._pool.give_back(self)
