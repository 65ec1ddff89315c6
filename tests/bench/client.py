"""Requests of one lean client: when bytes came, how late each delta was, what was not whole."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

_SENT_AT = re.compile(rb'"content": ?"(\d{9,}) ?"')
_DELTA = re.compile(rb'"content": ?"[^"]')
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_OK = b"HTTP/1.1 200 "
_DONE = b"data: [DONE]"


class Failed(Exception):
    """A target did not do what a scenario needs; the message has what it sent."""


@dataclass(frozen=True, slots=True)
class Request:
    """One chat request to a server on 127.0.0.1, as bytes."""

    port: int
    text: bytes


class Stream(asyncio.Protocol):
    """One stream. ``delays_s`` are from the upstream's write to our read, delta by delta.

    ``first_s`` is when the first text came, 0 while there is none; it counts from the request, or
    from before the connection where that was not there.
    """

    def __init__(self, request: Request, *, is_timed: bool = True) -> None:
        loop = asyncio.get_running_loop()
        self._request = request
        self._read = self._read_timed if is_timed else self._read_counted
        self._is_accepted = False
        self._tail = b""
        self._transport: asyncio.WriteTransport | None = None
        self._began = 0.0
        self.started: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[None] = loop.create_future()
        self.failure = ""
        self.first_s = 0.0
        self.deltas = 0
        self.delays_s: list[float] = []

    @property
    def is_whole(self) -> bool:
        """Whether it came to its regular end."""
        return self.ended.done() and not self.failure

    async def connect(self) -> None:
        """Opens the connection; OSError is kept as the failure."""
        self._began = time.monotonic()
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: self, "127.0.0.1", self._request.port)
        except OSError as error:
            self._fail(str(error))

    def connection_made(self, transport: asyncio.WriteTransport) -> None:
        self._transport = transport

    def send(self, *, is_pooled: bool = True) -> None:
        """Sends the request; a pooled connection has been there before and costs no time."""
        if is_pooled:
            self._began = time.monotonic()
        if self._transport is not None:
            self._transport.write(self._request.text)

    def data_received(self, data: bytes) -> None:
        if not self._is_accepted:
            self._is_accepted = data.startswith(_OK)
            if not self._is_accepted:
                self._fail(data[:600].decode("utf-8", "replace"))
        self._read(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(self._tail[-300:].decode("utf-8", "replace") or "the connection was closed")

    def abort(self) -> None:
        """Leaves, as a caller who closes the page."""
        if not self.ended.done():
            self._fail("it did not finish in time")
        if self._transport is not None:
            self._transport.abort()

    def _read_timed(self, data: bytes) -> None:
        now_ns = time.monotonic_ns()
        # Whole lines only: a delta that was cut counts with the read that completes it.
        lines, cut, self._tail = (self._tail + data).rpartition(b"\n")
        if not cut:
            return
        self.delays_s += [(now_ns - int(sent)) / 1e9 for sent in _SENT_AT.findall(lines)]
        count = len(_DELTA.findall(lines))
        if count:
            self._note(count)
        if _DONE in lines:
            self._end()

    def _read_counted(self, data: bytes) -> None:
        self._tail = data
        if self.deltas:
            self.deltas += data.count(b'"content":')
        elif (count := len(_DELTA.findall(data))) > 0:
            self._note(count)

    def _note(self, count: int) -> None:
        if not self.started.done():
            self.first_s = time.monotonic() - self._began
            self.started.set_result(None)
        self.deltas += count

    def _end(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)
        if self._transport is not None:
            self._transport.close()

    def _fail(self, failure: str) -> None:
        if not self.ended.done():
            self.failure = failure
            self.ended.set_result(None)
            if not self.started.done():
                self.started.set_result(None)


@dataclass(frozen=True, slots=True)
class Crowd:
    """Streams that were read to their end, and the seconds from the first's start to the last's."""

    streams: list[Stream]
    elapsed_s: float
    is_finished: bool

    @property
    def failures(self) -> list[str]:
        """Why streams were not whole."""
        return [stream.failure for stream in self.streams if stream.failure]

    @property
    def deltas(self) -> int:
        """Deltas of all streams."""
        return sum(stream.deltas for stream in self.streams)


async def read_one(request: Request, *, limit_s: float) -> Stream:
    """A stream read to its end over a connection that was there; Failed when it is not whole."""
    stream = Stream(request)
    await stream.connect()
    stream.send()
    await asyncio.wait({stream.ended}, timeout=limit_s)
    if not stream.is_whole:
        stream.abort()
        raise Failed(f"a stream was not whole: {stream.failure}")
    return stream


async def read_crowd(request: Request, count: int, *, within_s: float, limit_s: float) -> Crowd:
    """So many streams, started evenly within the time, all read to their end or to the limit.

    At 0 s the connections are there before and the requests leave together, else connecting is
    part of the start.
    """
    streams = [Stream(request) for _ in range(count)]
    if not within_s:
        for stream in streams:
            await stream.connect()
    began = time.monotonic()
    async with _started(streams, within_s):
        ended = {stream.ended for stream in streams}
        await asyncio.wait(ended, timeout=limit_s)
        elapsed_s = time.monotonic() - began
        is_finished = all(future.done() for future in ended)
    for stream in streams:
        stream.abort()
    return Crowd(streams, elapsed_s, is_finished)


@contextlib.asynccontextmanager
async def open_streams(
    request: Request, count: int, *, within_s: float, limit_s: float
) -> AsyncIterator[list[Stream]]:
    """Endless streams, each with its first delta unless it failed or the limit came before."""
    streams = [Stream(request, is_timed=False) for _ in range(count)]
    try:
        async with _started(streams, within_s or 0.1):
            await asyncio.wait({stream.started for stream in streams}, timeout=limit_s)
            yield streams
    finally:
        for stream in streams:
            stream.abort()


@contextlib.asynccontextmanager
async def _started(streams: list[Stream], within_s: float) -> AsyncIterator[None]:
    """The streams on their way; the block may wait for them."""
    starting = asyncio.create_task(_start(streams, within_s))
    try:
        yield
    finally:
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)


async def _start(streams: list[Stream], within_s: float) -> None:
    if not within_s:
        for stream in streams:
            stream.send()
        return
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with asyncio.TaskGroup() as group:
        for number, stream in enumerate(streams):
            wait_s = began + number * within_s / len(streams) - loop.time()
            if wait_s > 0.001:
                await asyncio.sleep(wait_s)
            group.create_task(_connect_and_send(stream))


async def _connect_and_send(stream: Stream) -> None:
    await stream.connect()
    stream.send(is_pooled=False)


@dataclass(slots=True)
class Asked:
    """Plain answers that came within the time."""

    answers: int = 0
    failures: list[str] = field(default_factory=list)


class _Plain(asyncio.Protocol):
    """One connection that asks again as soon as the answer is there."""

    def __init__(self, request: Request, note: Callable[[bytes], None]) -> None:
        self._request = request
        self._note = note
        self._received = b""

    def connection_made(self, transport: asyncio.WriteTransport) -> None:
        transport.write(self._request.text)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found:
            return
        length = _LENGTH.search(head)
        whole = len(body) >= int(length[1]) if length else body.endswith(b"0\r\n\r\n")
        if not whole:
            return
        self._note(self._received)
        self._received = b""
        self._transport.write(self._request.text)


async def ask_plain(request: Request, connections: int, *, seconds: float, limit_s: float) -> Asked:
    """Plain answers over so many connections that ask one after the other.

    A server that has not answered at all by then is given until the limit.
    """
    asked = Asked()

    def note(answer: bytes) -> None:
        if answer.startswith(_OK) and b'"content":' in answer:
            asked.answers += 1
        else:
            asked.failures.append(answer[:300].decode("utf-8", "replace"))

    loop = asyncio.get_running_loop()
    transports = [
        (await loop.create_connection(lambda: _Plain(request, note), "127.0.0.1", request.port))[0]
        for _ in range(connections)
    ]
    waits_until = loop.time() + limit_s
    await asyncio.sleep(seconds)
    while not asked.answers and not asked.failures and loop.time() < waits_until:
        await asyncio.sleep(0.05)
    for transport in transports:
        transport.abort()
    return asked
