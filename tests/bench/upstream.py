"""An OpenAI upstream that costs little: precomputed frames, one write for each delta.

``python -m tests.bench.upstream PORT`` serves until it is terminated. A request for the model
``bench-<deltas>-<pace in ms>`` is answered with so many deltas, the first at once and one in each
pace, the streams out of step (pace 0: as fast as they are taken, the streams in turn). The content
of a chunk is the time it was written, in nanoseconds of the monotonic clock, which all processes of
a machine share. Without ``"stream": true`` the answer is one JSON body with as many words.
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
_PLAIN = (
    b'{"id":"chatcmpl-bench","object":"chat.completion","created":1,"model":"bench","choices":'
    b'[{"index":0,"message":{"role":"assistant","content":"%b"},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":10,"completion_tokens":%d,"total_tokens":%d}}'
)
_WHOLE = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
_NOTHING = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_MODEL = re.compile(rb'"model": *"bench-(\d+)-([\d.]+)"')
_STREAMS = re.compile(rb'"stream": *true')
# Streams that start together must not tick together: whoever delays their start would spread them
# and be spared the bursts. Multiples of the golden ratio fill the interval evenly.
_phases = (number * 0.618034 % 1 for number in itertools.count())


def _framed(payload: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(payload), payload)


_END = _framed(_STOP) + _framed(_DONE) + b"0\r\n\r\n"
# The length of the time does not change while the machine is up for less than a year.
_SIZE = b"%x\r\n" % len(b"%b%d%b" % (_BEFORE, time.monotonic_ns(), _AFTER))
_DELTA = _SIZE + _BEFORE + b"%b" + _AFTER + b"\r\n"
_DIGITS = len(b"%d" % time.monotonic_ns())


def _delta() -> bytes:
    now = b"%d" % time.monotonic_ns()
    if len(now) == _DIGITS:
        return _DELTA % now
    return _framed(_BEFORE + now + _AFTER)


class _Connection(asyncio.Protocol):
    """One connection, request by request."""

    def __init__(self) -> None:
        self._pace_s = 0.0
        self._left = -1  # deltas; -1 once the end is written
        self._due = 0.0
        self._received = b""
        self._next: asyncio.Handle | None = None
        self._is_paused = False
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
        if model is None:  # LiteLLM asks for the list of models when it starts
            self._transport.write(_NOTHING)
        elif _STREAMS.search(body):
            self._start(int(model[1]), float(model[2]) / 1000)
        else:
            words = int(model[1])
            text = _PLAIN % (b"streaming " * words, words, words + 10)
            self._transport.write(_WHOLE % (len(text), text))

    def _start(self, deltas: int, pace_s: float) -> None:
        self._left, self._pace_s = deltas - 1, pace_s
        self._transport.write(_HEAD + _delta())
        self._due = self._loop.time() - pace_s * next(_phases)
        self._schedule()

    def _schedule(self) -> None:
        if self._pace_s:
            self._due += self._pace_s
            self._next = self._loop.call_at(self._due, self._send)
        else:
            self._next = self._loop.call_soon(self._send)

    def _send(self) -> None:
        self._next = None
        self._left -= 1
        self._transport.write(_END if self._left < 0 else _delta())
        if self._left >= 0 and not self._is_paused:
            self._schedule()

    def pause_writing(self) -> None:
        self._is_paused = True
        self._stop()

    def resume_writing(self) -> None:
        self._is_paused = False
        if self._left >= 0:
            self._due = max(self._due, self._loop.time() - self._pace_s)
            self._schedule()

    def connection_lost(self, exc: Exception | None) -> None:
        self._left = -1
        self._stop()

    def _stop(self) -> None:
        if self._next is not None:
            self._next.cancel()
            self._next = None


async def _serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Connection, "127.0.0.1", port, backlog=8192)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
