"""An OpenAI upstream that costs little: precomputed frames, one timer for all streams.

``python -m tests.bench.upstream PORT`` serves until it is terminated. A request for the model
``bench-<deltas>-<pace in ms>`` is answered with so many deltas, the first at once and one in each
pace, the streams out of step (0: all as fast as they are taken). The content of a chunk is the
time it was written, in nanoseconds of the monotonic clock, which all processes of a machine share.
"""

from __future__ import annotations

import asyncio
import itertools
import re
import sys
import time

import uvloop

_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n"
    b"cache-control: no-cache\r\n\r\n"
)
_BEFORE = (
    b'data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1,"model":"bench",'
    b'"choices":[{"index":0,"delta":{"content":"'
)
_AFTER = b' "},"logprobs":null,"finish_reason":null}]}\n\n'
_STOP = (
    b'data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1,"model":"bench",'
    b'"choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]}\n\n'
)
_DONE = b"data: [DONE]\n\n"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_MODEL = re.compile(rb'"model": *"bench-(\d+)-([\d.]+)"')
_BATCH = 50
# Streams that start together must not tick together: whoever delays their start would spread them
# and be spared the bursts. Multiples of the golden ratio fill the interval evenly.
_phases = (number * 0.618034 % 1 for number in itertools.count())


def _framed(payload: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(payload), payload)


def _delta() -> bytes:
    return _framed(b"%b%d%b" % (_BEFORE, time.monotonic_ns(), _AFTER))


class _Connection(asyncio.Protocol):
    """One connection, request by request."""

    def __init__(self) -> None:
        self._pace_s = 0.0
        self._left = 0
        self._due = 0.0
        self._received = b""
        self._timer: asyncio.TimerHandle | None = None
        self._can_write = True
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not found or len(body) < (int(length[1]) if length else 0):
            return
        self._received = b""
        model = _MODEL.search(body)
        assert model is not None
        self._left, self._pace_s = int(model[1]) - 1, float(model[2]) / 1000
        self._transport.write(_HEAD + _delta())
        self._due = self._loop.time() - self._pace_s * next(_phases)
        self._schedule()

    def _schedule(self) -> None:
        self._due += self._pace_s
        if self._pace_s:
            self._timer = self._loop.call_at(self._due, self._send_one)
        else:
            self._send_all()

    def _send_one(self) -> None:
        if not self._left:
            self._end()
            return
        self._left -= 1
        self._transport.write(_delta())
        self._schedule()

    def _send_all(self) -> None:
        while self._left and self._can_write:
            count = min(self._left, _BATCH)
            self._left -= count
            self._transport.write(b"".join(_delta() for _ in range(count)))
        if not self._left:
            self._end()

    def _end(self) -> None:
        self._left = 0
        self._transport.write(_framed(_STOP) + _framed(_DONE) + b"0\r\n\r\n")

    def pause_writing(self) -> None:
        self._can_write = False

    def resume_writing(self) -> None:
        self._can_write = True
        if self._left and not self._pace_s:
            self._send_all()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()


async def _serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Connection, "127.0.0.1", port, backlog=8192)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
