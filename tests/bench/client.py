"""Streams read at once by one lean client: when bytes came, and how late each delta was."""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass, field

_SENT_AT = re.compile(rb'"content":"(\d{9,}) ?"')
_DELTA = re.compile(rb'"delta":\{(?:"role":"assistant",)?"content":"[^"]')


class StreamFailed(Exception):
    """A stream that was not whole; the message has its last bytes."""


@dataclass(frozen=True, slots=True)
class Request:
    """One chat request to a server on 127.0.0.1, as bytes."""

    port: int
    text: bytes


@dataclass(slots=True)
class StreamFigures:
    """One stream: times in seconds; ``delays_s`` only where the upstream writes times."""

    first_byte_s: float = 0.0
    total_s: float = 0.0
    deltas: int = 0
    delays_s: list[float] = field(default_factory=list)


class _Reader(asyncio.Protocol):
    def __init__(self, request: Request, ended: asyncio.Future[StreamFigures]) -> None:
        self._request = request
        self._ended = ended
        self._figures = StreamFigures()
        self._tail = b""
        self._first = b""

    def connection_made(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def start(self) -> None:
        """Sends the request; the connection has been there before, as with any pooled client."""
        self._began = time.monotonic()
        self._transport.write(self._request.text)

    def data_received(self, data: bytes) -> None:
        now_ns = time.monotonic_ns()
        figures = self._figures
        if not figures.first_byte_s:
            figures.first_byte_s = now_ns / 1e9 - self._began
            self._first = data[:300]
        # Whole lines only: a delta that was cut counts with the read that completes it.
        lines, cut, self._tail = (self._tail + data).rpartition(b"\n")
        if not cut:
            return
        figures.deltas += len(_DELTA.findall(lines))
        figures.delays_s += [(now_ns - int(sent)) / 1e9 for sent in _SENT_AT.findall(lines)]
        if b"data: [DONE]" in lines:
            figures.total_s = now_ns / 1e9 - self._began
            if not self._ended.done():
                self._ended.set_result(figures)
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._ended.done():
            text = (self._first + b" ... " + self._tail[-300:]).decode("utf-8", "replace")
            self._ended.set_exception(StreamFailed(f"A stream ended early: {text}"))


async def read_streams(request: Request, count: int, *, timeout_s: float) -> list[StreamFigures]:
    """The figures of ``count`` streams whose requests leave together.

    Raises StreamFailed or TimeoutError.
    """
    loop = asyncio.get_running_loop()
    ended: list[asyncio.Future[StreamFigures]] = [loop.create_future() for _ in range(count)]
    readers: list[_Reader] = []
    async with asyncio.timeout(timeout_s):
        for future in ended:
            _, reader = await loop.create_connection(
                lambda future=future: _Reader(request, future), "127.0.0.1", request.port
            )
            readers.append(reader)
        for reader in readers:
            reader.start()
        return await asyncio.gather(*ended)
