"""One connection to Redis, shared by all who call: what they send goes out as it comes."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, cast

import hiredis
from redis import exceptions
from redis.asyncio.connection import AbstractConnection

from sitebrook.db.redis_commands import Command, Value

_pack: Final[Callable[[tuple[Value, ...]], bytes]] = cast("Any", hiredis).pack_command
_NOTHING: Final = object()
# A loop that was held up for longer reads what has come before it takes Redis for silent.
_LATE_S: Final = 0.05


class _Call:
    """Commands that were sent together, and their answers so far."""

    __slots__ = ("answers", "due_at", "left", "whole")

    def __init__(self, whole: asyncio.Future[list[Any]], left: int, due_at: float) -> None:
        self.whole = whole
        self.left = left
        self.due_at = due_at
        self.answers: list[Any] = []


class RedisWire(asyncio.Protocol):
    """An open connection of the library, read by callbacks of the event loop.

    The library's client holds a connection for each call and wraps it in streams, time-outs and
    checks, which cost the event log more than all that it sends. The library connects, with TLS
    and passwords. Every call is answered, or fails within ``timeout_s``
    with all others, since an answer that is late would be taken for the next one's.
    """

    def __init__(self, connection: AbstractConnection, timeout_s: float) -> None:
        self._opened = opened = cast("Any", connection)
        self._transport: asyncio.Transport = opened._writer.transport  # noqa: SLF001 - there is no other way to it
        self._timeout_s = timeout_s
        self._loop = asyncio.get_running_loop()
        self._reader: Any = cast("Any", hiredis).Reader(
            protocolError=exceptions.InvalidResponse,
            replyError=opened._parser.parse_error,  # noqa: SLF001 - as above
            notEnoughData=_NOTHING,
        )
        self._calls: deque[_Call] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self.is_lost = False
        self._transport.set_protocol(self)

    async def send(self, commands: Sequence[Command]) -> list[Any]:
        """The answer to each command; a refusal is an exception of the library, not raised.

        They reach Redis one directly after the other. Raises ConnectionError or TimeoutError of
        the library; then the wire is lost.
        """
        if self.is_lost:
            raise exceptions.ConnectionError("the connection was lost")
        packed = b"".join([_pack(tuple(command)) for command in commands])  # may raise
        whole: asyncio.Future[list[Any]] = self._loop.create_future()
        due_at = self._loop.time() + self._timeout_s
        self._calls.append(_Call(whole, len(commands), due_at))
        if self._timer is None:
            self._timer = self._loop.call_at(due_at, self._look)
        self._transport.write(packed)
        return await whole

    def close(self) -> None:
        """Ends the connection and every call."""
        self._fail(exceptions.ConnectionError("the connection was closed"))

    def data_received(self, data: bytes) -> None:
        """Takes bytes of answers."""
        reader, calls = self._reader, self._calls
        try:
            reader.feed(data)
            while (answer := reader.gets()) is not _NOTHING:
                call = calls[0]
                call.answers.append(answer)
                call.left -= 1
                if not call.left:
                    calls.popleft()
                    if not call.whole.done():  # else nobody waits any more
                        call.whole.set_result(call.answers)
        except (exceptions.RedisError, IndexError) as error:  # the latter: nobody asked
            self._fail(exceptions.ConnectionError(f"it sent what is no answer: {error}"))

    def connection_lost(self, exc: Exception | None) -> None:
        """Fails what was not answered."""
        self._fail(exceptions.ConnectionError(str(exc) if exc else "it closed the connection"))

    def _look(self) -> None:
        """Fails all calls when the oldest is overdue."""
        self._timer = None
        if not self._calls:
            return
        now = self._loop.time()
        overdue_s = now - self._calls[0].due_at
        if overdue_s < 0:
            self._timer = self._loop.call_at(self._calls[0].due_at, self._look)
        elif overdue_s < _LATE_S:
            self._fail(exceptions.TimeoutError())
        else:
            self._calls[0].due_at = now + _LATE_S
            self._timer = self._loop.call_at(now + _LATE_S, self._look)

    def _fail(self, error: exceptions.RedisError) -> None:
        self.is_lost = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._transport.abort()
        self._opened._close()  # noqa: SLF001 - at once, which the public way is not
        calls, self._calls = self._calls, deque()
        for call in calls:
            if not call.whole.done():
                call.whole.set_exception(type(error)(*error.args))
