"""What goes wrong around the events of an answer, the same on every wire."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass

from tests.fakes.upstream import Exchange, Script

SECRET = "upstream-secret-text"
STREAM = "text/event-stream"
# What an upstream says of itself; nothing of it is passed on.
HOSTILE = {
    "set_cookie": f"session={SECRET}; Path=/",
    "x_request_id": SECRET,
    "x_accel_redirect": f"/{SECRET}",
    "server": SECRET,
    "access_control_allow_origin": "*",
    "server_timing": f"{SECRET};dur=1",
}
_LATE_S = 0.2


@dataclass(frozen=True, slots=True)
class AnswerBytes:
    """The events of one answer as bytes: before its text, its first words, the rest, its ends."""

    start: bytes
    words: bytes
    rest: bytes
    finish: bytes
    last: bytes

    @property
    def cut(self) -> bytes:
        return self.start + self.words

    @property
    def body(self) -> bytes:
        return self.cut + self.rest + self.finish + self.last


def transport_faults(answer: AnswerBytes) -> dict[str, Script]:
    """The scripts, by name; those of ``whole`` give the whole answer."""
    return {**_whole(answer), **_broken_off(answer), **_refused(answer)}


def sending(*pieces: bytes, then: Callable[[Exchange], object] | None = None) -> Script:
    """A script that writes bytes as they are, then closes the connection or what ``then`` does."""

    async def play(exchange: Exchange) -> None:
        for piece in pieces:
            await exchange.raw(piece)
            await asyncio.sleep(0.002)
        (then or Exchange.close)(exchange)

    return play


def answering(status: int, content_type: str, body: bytes, **headers: str) -> Script:
    """A script that answers with a whole response."""

    async def play(exchange: Exchange) -> None:
        await exchange.whole(status, content_type, body, **headers)

    return play


def repeating(first: bytes, again: bytes) -> Script:
    """A script that never stops sending ``again`` after ``first``."""

    async def play(exchange: Exchange) -> None:
        await exchange.head(content_type=STREAM)
        await exchange.chunk(first)
        while True:
            await exchange.chunk(again)
            await asyncio.sleep(0.02)

    return play


def chunked(body: bytes) -> bytes:
    """Bytes as one HTTP chunk."""
    return b"%x\r\n%b\r\n" % (len(body), body)


def head(*lines: str, length: str = "Transfer-Encoding: chunked") -> bytes:
    """The head of an event stream."""
    return "\r\n".join(
        ["HTTP/1.1 200 OK", f"Content-Type: {STREAM}", length, *lines, "", ""]
    ).encode()


def _streaming(*pieces: bytes, pause_s: float = 0, **headers: str) -> Script:
    async def play(exchange: Exchange) -> None:
        await exchange.head(**{"content_type": STREAM, **headers})
        for piece in pieces:
            await exchange.chunk(piece)
            await asyncio.sleep(pause_s)
        await exchange.end()

    return play


def _between(body: bytes, filler: bytes) -> bytes:
    return filler + body.replace(b"\n\n", b"\n\n" + filler)


def _with_mixed_ends(body: bytes) -> bytes:
    events = body.split(b"\n\n")[:-1]
    ends = itertools.cycle((b"\r\n\r\n", b"\n\n", b"\r\r", b"\n\r\n", b"\r\n\n", b"\r\n\r"))
    return b"".join(event + end for event, end in zip(events, ends, strict=False))


def _whole(answer: AnswerBytes) -> dict[str, Script]:
    body, ending = answer.body, b"0\r\n\r\n"
    length = f"Content-Length: {len(body)}"

    async def slow_first_byte(exchange: Exchange) -> None:
        await asyncio.sleep(_LATE_S)
        await _streaming(body)(exchange)

    async def slow_head(exchange: Exchange) -> None:
        for byte in head():
            await exchange.raw(bytes([byte]))
        await exchange.raw(chunked(body))
        await exchange.end()

    async def surplus(exchange: Exchange) -> None:
        await exchange.raw(head() + chunked(body) + ending + b"HTTP/1.1 200 OK\r\n")
        await exchange.stall()

    async def stall_after_finish(exchange: Exchange) -> None:
        await exchange.head(content_type=STREAM)
        await exchange.chunk(answer.cut + answer.rest + answer.finish)
        await exchange.stall()

    return {
        "slow-first-byte": slow_first_byte,
        "slow-head": slow_head,
        "slow-first-delta": _streaming(answer.start, body[len(answer.start) :], pause_s=_LATE_S),
        "hostile-headers": _streaming(body, **HOSTILE),
        "mixed-ends": _streaming(_with_mixed_ends(body)),
        "retry-alone": _streaming(_between(body, b"retry: 1000\n\n")),
        "id-alone": _streaming(_between(body, b"id: 7\n\n")),
        "event-without-data": _streaming(_between(body, b"event: delta\n\n")),
        "unknown-fields": _streaming(_between(body, b"colour: red\nnonsense\n\n")),
        "comments": _streaming(_between(body, b": ping\n\n:\n\n")),
        "blank-lines": _streaming(_between(body, b"\n\n\n")),
        "early-hints": sending(
            b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" + head() + chunked(body) + ending
        ),
        "trailers": sending(head("Trailer: x-sum") + chunked(body) + b"0\r\nx-sum: 1\r\n\r\n"),
        "content-length": sending(head(length=length) + body),
        "until-close": sending(head(length="Connection: close") + body),
        "surplus": surplus,
        "cut-after-finish": sending(head() + chunked(answer.cut + answer.rest + answer.finish)),
        "finish-then-stall": stall_after_finish,
        "finish-then-reset": sending(
            head(),
            chunked(answer.cut + answer.rest + answer.finish),
            then=Exchange.reset,
        ),
        "finish-then-eof-in-json": _streaming(
            answer.cut + answer.rest + answer.finish + b'data: {"x'
        ),
        "finish-then-bad-json": _streaming(
            answer.cut + answer.rest + answer.finish + b"data: {x\n\n" + answer.last
        ),
    }


def _broken_off(answer: AnswerBytes) -> dict[str, Script]:
    cut = answer.cut
    next_event = answer.rest
    after_wide = next_event.index("wö".encode()) + 2  # inside the first character of two bytes
    return {
        "cut-at-event": sending(head() + chunked(cut)),
        "cut-in-field-name": _streaming(cut + b"da"),
        "cut-in-json": _streaming(cut + next_event[: next_event.index(b"{") + 9]),
        "cut-in-utf8": _streaming(cut + next_event[:after_wide]),
        "cut-before-blank-line": _streaming(cut + answer.rest.rstrip(b"\n")),
        "cut-before-finish": _streaming(cut + answer.rest),
        "cut-in-chunk-size": sending(head() + chunked(cut) + b"1"),
        "cut-in-chunk": sending(head() + chunked(cut), b"64\r\ndata: {"),
        "cut-in-length": sending(head(length="Content-Length: 9000") + cut),
        "cut-until-close": sending(head(length="Connection: close") + cut),
        "reset-in-chunk": sending(head() + chunked(cut), b"64\r\ndata: {", then=Exchange.reset),
        "bad-chunk-size": sending(head() + chunked(cut), b"zz\r\n"),
        "delta-and-bad-json": _streaming(cut + b"data: {x\n\n" + answer.finish + answer.last),
        "delta-and-array": _streaming(cut + b"data: [1]\n\n" + answer.finish + answer.last),
        "delta-and-deep-json": _streaming(
            cut + b'data: {"x":' + b"[" * 100_000 + b"\n\n" + answer.finish + answer.last
        ),
        "giant-event": _streaming(cut, b"data: " + b"x" * 5_000_000),
        "comments-forever": repeating(cut, b": ping\n\n"),
    }


def _refused(answer: AnswerBytes) -> dict[str, Script]:
    body = answer.body
    page = f"<html><h1>{SECRET}</h1></html>".encode()
    error = json.dumps({"error": {"message": SECRET, "type": SECRET, "param": SECRET}}).encode()
    kinds = {
        "stream-as-json": "application/json",
        "stream-as-text": "text/plain",
        "stream-as-binary": "application/octet-stream",
    }
    return {
        "html-200": answering(200, "text/html", page),
        "error-as-200": answering(200, "application/json", error),
        "empty-200": answering(200, STREAM, b""),
        "no-content": answering(204, STREAM, b""),
        "blank-200": answering(200, STREAM, b"\n" * 50),
        "html-as-stream": answering(200, STREAM, page),
        **{name: answering(200, kind, body) for name, kind in kinds.items()},
        "no-content-type": sending(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body),
        "gzip-200": answering(200, STREAM, gzip.compress(body), content_encoding="gzip"),
        **{
            f"redirect-{status}": answering(
                status, "text/html", page, location="/v1/redirected", **HOSTILE
            )
            for status in (301, 302, 303, 307, 308)
        },
        "500-html": answering(500, "text/html", page, **HOSTILE),
        "500-empty": answering(500, "application/json", b""),
        "502": answering(502, "text/html", page),
        "503-seconds": answering(503, "application/json", error, retry_after="3"),
        "405": answering(405, "text/html", page),
        "422": answering(422, "application/json", error),
        "closed-before": sending(b""),
        "cut-in-status": sending(b"HTTP/1.1 20"),
        "cut-in-head": sending(head()[:-9]),
        "cut-after-head": sending(head()),
        "cut-in-first-event": _streaming(answer.start + b'data: {"'),
        "reset-in-head": sending(head()[:-9], then=Exchange.reset),
        "reset-first": sending(head(), chunked(answer.start), then=Exchange.reset),
        "no-http": sending(SECRET.encode() + b"\r\n\r\n"),
        "giant-head": sending(head("x-much: " + "x" * 100_000) + chunked(body)),
        "bad-json-first": _streaming(answer.start + b"data: {x\n\n" + body),
        "comments-only": repeating(answer.start, b": ping\n\n"),
    }
