"""What the fake upstream plays on OpenAI's wire, by model name."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import struct
from email.utils import formatdate
from time import time
from typing import Any

from tests.fakes.upstream import SCRIPTS, Exchange, Script, script

WORDS = ("Hello", ",", " wörld", " 😀", ".")
TEXT = "".join(WORDS)
USAGE = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
SECRET = "upstream-secret-text"


def event(payload: object, end: str = "\n") -> bytes:
    """One event; ``end`` is its line end."""
    text = payload if isinstance(payload, str) else json.dumps(payload, ensure_ascii=False)
    return f"data: {text}{end}{end}".encode()


def chunk_of(delta: dict[str, Any], finish: str | None = None, index: int = 0) -> dict[str, Any]:
    """One chunk of OpenAI's wire."""
    choice = {"index": index, "delta": delta, "finish_reason": finish, "logprobs": None}
    return {
        "id": "chatcmpl-upstream",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "upstream-model",
        "choices": [choice],
        "usage": None,
    }


ROLE = chunk_of({"role": "assistant", "content": "", "refusal": None})
STOP = chunk_of({}, "stop")
USAGE_CHUNK = {"choices": [], "usage": USAGE}


def events(words: tuple[str, ...] = WORDS) -> list[Any]:
    """The payloads of a whole answer."""
    return [ROLE, *(chunk_of({"content": word}) for word in words), STOP, USAGE_CHUNK, "[DONE]"]


async def stream(exchange: Exchange, payloads: list[Any], end: str = "\n") -> None:
    """Head, then one HTTP chunk for each payload; leaves the response open."""
    await exchange.head(content_type="text/event-stream; charset=utf-8")
    for payload in payloads:
        await exchange.chunk(event(payload, end))


def playing(payloads: list[Any], end: str = "\n") -> Script:
    """A script that streams payloads and ends in order."""

    async def play(exchange: Exchange) -> None:
        await stream(exchange, payloads, end)
        await exchange.end()

    return play


def bytes_playing(body: bytes, size: int, **headers: str) -> Script:
    """A script that streams bytes in HTTP chunks of ``size``."""

    async def play(exchange: Exchange) -> None:
        await exchange.head(**{"content_type": "text/event-stream", **headers})
        for start in range(0, len(body), size):
            await exchange.chunk(body[start : start + size])
            if start % 64 == 0:
                await asyncio.sleep(0)
        await exchange.end()

    return play


def refusing(status: int, error: dict[str, Any], **headers: str) -> Script:
    """A script that answers with an error body."""

    async def play(exchange: Exchange) -> None:
        body = json.dumps({"error": {"message": SECRET, **error}}).encode()
        await exchange.whole(status, "application/json", body, **headers)

    return play


_BODY = b"".join(event(payload) for payload in events())
_TOOL = {"index": 0, "id": "call_1", "type": "function"}

SCRIPTS.update(
    {
        "normal": playing(events()),
        "cr": playing(events(), "\r"),
        "crlf": playing(events(), "\r\n"),
        "no-done": playing(events()[:-1]),
        "no-usage": playing([*events()[:-2], "[DONE]"]),
        "no-space": bytes_playing(_BODY.replace(b"data: ", b"data:"), 50),
        "bom": bytes_playing(b"\xef\xbb\xbf" + _BODY, 2),
        "split": bytes_playing(_BODY, 1),
        "one-read": bytes_playing(_BODY, len(_BODY)),
        "pings": bytes_playing(_BODY.replace(b"\n\n", b"\n\n: ping\n\n:\n\n"), 70),
        "fields": bytes_playing(
            b"retry: 100\n\nevent: ping\n\n" + _BODY.replace(b"data: ", b"event: x\nid: 1\ndata: "),
            70,
        ),
        "multi-line": bytes_playing(_BODY.replace(b'"choices"', b'\ndata: "choices"'), 70),
        "no-last-blank-line": bytes_playing(_BODY.rstrip(b"\n"), 70),
        "gzip": bytes_playing(gzip.compress(_BODY), 100, content_encoding="gzip"),
        "empty-choices": playing([{"choices": []}, {"choices": None}, *events()]),
        "early-usage": playing(
            [{"choices": [], "usage": {**USAGE, "completion_tokens": 1}}, *events()]
        ),
        "surrogate": playing(
            [
                r'{"choices":[{"delta":{"content":"a\ud800b\udc00c\ud83d\ude00\\ud800"}}]}',
                STOP,
                "[DONE]",
            ]
        ),
        "nul": playing([r'{"choices":[{"delta":{"content":"a\u0000b\\u0000"}}]}', STOP, "[DONE]"]),
        "invalid-utf8": bytes_playing(
            b'data: {"choices":[{"delta":{"content":"a\xffb"}}]}\n\n' + event(STOP), 20
        ),
        "two-choices": playing(
            [
                chunk_of({"content": "a"}),
                chunk_of({"content": "b"}, index=1),
                chunk_of({}, "stop"),
                chunk_of({}, "length", index=1),
                "[DONE]",
            ]
        ),
        "second-choice-open": playing(
            [chunk_of({"content": "a"}), chunk_of({"content": "b"}, index=1), STOP, "[DONE]"]
        ),
        "tools": playing(
            [
                chunk_of(
                    {
                        "role": "assistant",
                        "content": None,
                        "tool_calls": [{**_TOOL, "function": {"name": "find", "arguments": ""}}],
                    }
                ),
                chunk_of({"tool_calls": [{"index": 0, "function": {"arguments": '{"a":1}'}}]}),
                chunk_of({}, "tool_calls"),
                "[DONE]",
            ]
        ),
        "extras": playing(
            [
                chunk_of({"content": None, "tool_calls": None, "reasoning_content": "hm"}),
                chunk_of({"content": None, "reasoning": "so"}),
                chunk_of({"refusal": "no"}),
                {"choices": [{"index": 0, "delta": {"content": "a"}, "logprobs": {"content": []}}]},
                chunk_of({"content": "b", "annotations": [], "new_field": {"x": 1}}),
                STOP,
                "[DONE]",
            ]
        ),
        # cuts and faults after the first delta
        "truncated": playing(events()[:4]),
        "done-without-finish": playing([*events()[:4], "[DONE]"]),
        "eof-in-json": bytes_playing(_BODY[: _BODY.index(b"w\xc3") + 2], 90),
        "bad-json": playing([*events()[:3], '{"choices": [', STOP, "[DONE]"]),
        "not-an-object": playing([*events()[:3], '"text"', STOP, "[DONE]"]),
        "error-event": playing([*events()[:3], {"error": {"message": SECRET, "code": 503}}]),
        # before the first delta
        "error-first": playing(
            [ROLE, {"error": {"message": SECRET, "type": "insufficient_quota"}}]
        ),
        "role-only": playing([ROLE, "[DONE]"]),
        "html": bytes_playing(b"<html>" + SECRET.encode(), 50, content_type="text/html"),
        "plain": bytes_playing(_BODY, 50, content_type="text/plain"),
        "json": bytes_playing(b'{"choices":[]}', 50, content_type="application/json"),
        "empty": bytes_playing(b"", 50),
        "only-pings": bytes_playing(b": ping\n\n" * 3, 50),
        "redirect": refusing(307, {}, location="/v1/elsewhere"),
        "401": refusing(401, {"code": "invalid_api_key"}),
        "404": refusing(404, {"code": "model_not_found"}),
        "400": refusing(400, {"code": "bad_request"}),
        "too-long": refusing(400, {"code": "context_length_exceeded"}),
        "408": refusing(408, {}),
        "409": refusing(409, {}),
        "429": refusing(429, {"code": "rate_limit_exceeded"}),
        "429-seconds": refusing(429, {}, retry_after="7"),
        "429-date": refusing(429, {}, retry_after=formatdate(time() + 3600, usegmt=True)),
        "429-nonsense": refusing(429, {}, retry_after="soon"),
        "quota": refusing(429, {"type": "insufficient_quota"}, retry_after="1"),
        "500": refusing(500, {}),
        "503": refusing(503, {}, retry_after="2"),
    }
)


@script("cookies")
async def _cookies(exchange: Exchange) -> None:
    await exchange.head(content_type="text/event-stream", set_cookie="session=1; Path=/")
    await exchange.chunk(_BODY)
    await exchange.end()


@script("slow")
async def _slow(exchange: Exchange) -> None:
    await stream(exchange, [ROLE])
    for payload in events()[1:]:
        await asyncio.sleep(0.03)
        await exchange.chunk(event(payload))
    await exchange.end()


@script("never-headers")
async def _never_headers(exchange: Exchange) -> None:
    await exchange.stall()


@script("never-first")
async def _never_first(exchange: Exchange) -> None:
    await stream(exchange, [ROLE])
    await exchange.stall()


@script("pings-only")
async def _pings_only(exchange: Exchange) -> None:
    await stream(exchange, [ROLE])
    while True:
        await exchange.chunk(b": ping\n\n")
        await asyncio.sleep(0.02)


@script("stall")
async def _stall(exchange: Exchange) -> None:
    await stream(exchange, events()[:4])
    await exchange.stall()


@script("stall-after-finish")
async def _stall_after_finish(exchange: Exchange) -> None:
    await stream(exchange, events()[:-2])
    await exchange.stall()


@script("open-after-done")
async def _open_after_done(exchange: Exchange) -> None:
    await stream(exchange, events())
    await exchange.stall()


@script("never-ending")
async def _never_ending(exchange: Exchange) -> None:
    await stream(exchange, [ROLE])
    while True:
        await exchange.chunk(event(chunk_of({"content": "x"})))
        await asyncio.sleep(0.01)


@script("endless-event")
async def _endless_event(exchange: Exchange) -> None:
    await stream(exchange, events()[:3])
    await exchange.chunk(b"data: ")
    while True:
        await exchange.chunk(b"x" * 100_000)


@script("error-body-stalls")
async def _error_body_stalls(exchange: Exchange) -> None:
    await exchange.head(500, content_type="application/json")
    await exchange.chunk(b"{")
    await exchange.stall()


@script("reset-before")
async def _reset_before(exchange: Exchange) -> None:
    exchange.reset()


@script("reset-after-head")
async def _reset_after_head(exchange: Exchange) -> None:
    await stream(exchange, [ROLE])
    await asyncio.sleep(0.02)
    exchange.reset()


@script("reset")
async def _reset(exchange: Exchange) -> None:
    await stream(exchange, events()[:4])
    await asyncio.sleep(0.02)
    exchange.reset()


@script("closed")
async def _closed(exchange: Exchange) -> None:
    await stream(exchange, events()[:4])
    exchange.close()


@script("models")
async def _models(exchange: Exchange) -> None:
    names = [{"id": name, "object": "model"} for name in sorted(SCRIPTS)]
    body = json.dumps({"object": "list", "data": names}).encode()
    await exchange.whole(200, "application/json", body)


@script("embeddings")
async def _embeddings(exchange: Exchange) -> None:
    """Vectors of three numbers that depend on the text's length, in reverse order."""
    asked = exchange.request.json
    texts = asked["input"] if isinstance(asked["input"], list) else [asked["input"]]
    rows = []
    for index, text in enumerate(texts):
        vector: Any = [float(len(text)), 1.0, 2.0]
        if asked.get("encoding_format") == "base64":
            vector = base64.b64encode(struct.pack("<3f", *vector)).decode()
        rows.append({"object": "embedding", "index": index, "embedding": vector})
    usage = {"prompt_tokens": 1, "total_tokens": 1}
    answer = {"object": "list", "model": asked["model"], "data": rows[::-1], "usage": usage}
    await exchange.whole(200, "application/json", json.dumps(answer).encode())


for _name in ("401", "404", "429"):
    SCRIPTS[f"embeddings:{_name}"] = SCRIPTS[_name]
SCRIPTS["embeddings:413"] = refusing(413, {})
SCRIPTS["embeddings:500"] = SCRIPTS["500"]
SCRIPTS["embeddings:reset"] = SCRIPTS["reset-before"]
SCRIPTS["embeddings:stall"] = SCRIPTS["never-headers"]
SCRIPTS["embeddings:redirect"] = SCRIPTS["redirect"]


@script("embeddings:short")
async def _embeddings_short(exchange: Exchange) -> None:
    answer = {"object": "list", "model": "short", "data": [], "usage": USAGE}
    await exchange.whole(200, "application/json", json.dumps(answer).encode())
