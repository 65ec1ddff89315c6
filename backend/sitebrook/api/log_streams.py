"""Streams of the event log on their way to a client."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol, cast

from litestar.types import Scope, Send

from sitebrook.api.connection import connection_of
from sitebrook.api.errors import ErrorReply, to_reply
from sitebrook.api.http import ClientLeft, parts_of, ticker_of
from sitebrook.errors import RequestError
from sitebrook.events.log import Event, EventReader

KEEP_ALIVE: Final = b": keep-alive\n\n"
STREAM_HEADERS: Final = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
)


class LogFormat(Protocol):
    """How the events of one stream are written as frames; made for each client."""

    def encode(self, event: Event) -> bytes:
        """The frames of an event, with its position as their id; empty when it is not shown.

        Raises RequestError where the stream cannot be shown any further.
        """
        ...

    def encode_error(self, reply: ErrorReply) -> bytes:
        """The last frame when the log cannot be read on."""
        ...


class LogStream:
    """One client that reads; whatever ends that early goes through here."""

    def __init__(self, scope: Scope, send: Send) -> None:
        parts = parts_of(scope)
        self._open_answers = parts.open_answers
        self._clocks = parts.settings.server
        self._ticker = ticker_of(scope)
        self._connection = connection_of(scope)
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._sent_at = 0.0
        self._task = cast("asyncio.Task[None]", asyncio.current_task())
        self._broken_off: RequestError | None = None

    async def run(
        self, reader: EventReader, form: LogFormat, headers: list[tuple[bytes, bytes]]
    ) -> None:
        """Sends what there is and what comes, to the end of the stream.

        Raises ClientLeft when the client left, Unavailable when the server takes no new work.
        """
        connection, task = self._connection, self._task
        connection.on_left = task.cancel
        try:
            if connection.is_lost:
                task.cancel()
            with self._open_answers.enter(self._break_off):
                await self._relay(reader, form, headers)
        except asyncio.CancelledError:
            if not connection.is_lost and self._broken_off is None:
                raise
            task.uncancel()
            if connection.is_lost or self._broken_off is None:
                raise ClientLeft from None
            await self._end(form.encode_error(to_reply(self._broken_off)))
        finally:
            connection.on_left = None
            self._ticker.discard(self)

    def tick(self, now: float) -> None:
        """Shows a sign of life after a silence, and drops a client that reads nothing."""
        self._connection.drop_if_stuck(now, self._clocks.slow_reader_s)
        if now - self._sent_at >= self._clocks.keep_alive_s and not self._connection.is_full:
            self._write(KEEP_ALIVE)

    def _break_off(self, error: RequestError) -> None:
        if self._broken_off is None:
            self._broken_off = error
            self._task.cancel()

    async def _relay(
        self, reader: EventReader, form: LogFormat, headers: list[tuple[bytes, bytes]]
    ) -> None:
        head = [*STREAM_HEADERS, *headers]
        await self._send({"type": "http.response.start", "status": 200, "headers": head})
        self._ticker.add(self)
        self._write(KEEP_ALIVE)  # the head leaves with it, however long the stream is silent
        try:
            while batch := await reader.batch():
                self._write(b"".join(map(form.encode, batch)))
                if self._connection.is_full:
                    await self._connection.drain()
        except RequestError as error:
            self._write(form.encode_error(to_reply(error)))
        await self._end(b"")

    async def _end(self, last: bytes) -> None:
        self._write(last)
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    def _write(self, frames: bytes) -> None:
        if frames:
            self._sent_at = self._loop.time()
            self._connection.write(frames)
