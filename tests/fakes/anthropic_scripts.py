"""What the fake upstream plays on Anthropic's wire, by model name, at ``/v1/messages``."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from tests.fakes.upstream import SCRIPTS, Exchange, Script

WORDS = ("Hello", ",", " wörld", " 😀", ".")
TEXT = "".join(WORDS)
SECRET = "upstream-secret-text"
# 7 tokens of the prompt: what was read from a cache and written to one comes beside the rest.
USAGE = {"input_tokens": 2, "cache_creation_input_tokens": 4, "cache_read_input_tokens": 1}


def event(payload: object, end: str = "\n") -> bytes:
    """One event with its name before its data, as the API writes it."""
    text = payload if isinstance(payload, str) else json.dumps(payload, ensure_ascii=False)
    name = payload["type"] if isinstance(payload, dict) else "content_block_delta"
    return f"event: {name}{end}data: {text}{end}{end}".encode()


def delta(kind: str, index: int = 0, **fields: Any) -> dict[str, Any]:
    """A piece of the ``index``-th block."""
    return {
        "type": "content_block_delta",
        "index": index,
        "delta": {"type": f"{kind}_delta", **fields},
    }


def block(index: int, content: dict[str, Any], *deltas: dict[str, Any]) -> list[dict[str, Any]]:
    """A whole block: start, pieces, stop."""
    return [
        {"type": "content_block_start", "index": index, "content_block": content},
        *deltas,
        {"type": "content_block_stop", "index": index},
    ]


def text_block(index: int = 0, words: tuple[str, ...] = WORDS) -> list[dict[str, Any]]:
    """A block of text."""
    deltas = (delta("text", index, text=word) for word in words)
    return block(index, {"type": "text", "text": ""}, *deltas)


def tool_block(index: int, call: str, name: str, *pieces: str) -> list[dict[str, Any]]:
    """A call of a tool; its arguments come in pieces."""
    content = {"type": "tool_use", "id": call, "name": name, "input": {}}
    return block(index, content, *(delta("input_json", index, partial_json=one) for one in pieces))


START = {
    "type": "message_start",
    "message": {
        "id": "msg_upstream",
        "type": "message",
        "role": "assistant",
        "content": [],
        "model": "upstream-model",
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {**USAGE, "output_tokens": 1},
    },
}
PING = {"type": "ping"}
STOP = {"type": "message_stop"}


def stopping(reason: str | None, **usage: int) -> dict[str, Any]:
    """The event that says why the answer ends."""
    return {
        "type": "message_delta",
        "delta": {"stop_reason": reason, "stop_sequence": None},
        "usage": {"output_tokens": 5, **usage},
    }


def error(kind: str, message: str = SECRET) -> dict[str, Any]:
    """An error as the API tells it, as a body and as an event."""
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}


def events(*content: list[dict[str, Any]], reason: str = "end_turn") -> list[Any]:
    """The payloads of a whole answer."""
    blocks = [one for whole in content or (text_block(),) for one in whole]
    return [START, PING, *blocks, stopping(reason), STOP]


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


def bytes_playing(body: bytes, size: int, content_type: str = "text/event-stream") -> Script:
    """A script that streams bytes in HTTP chunks of ``size``."""

    async def play(exchange: Exchange) -> None:
        await exchange.head(content_type=content_type)
        for start in range(0, len(body), size):
            await exchange.chunk(body[start : start + size])
            if start % 64 == 0:
                await asyncio.sleep(0)
        await exchange.end()

    return play


def refusing(status: int, kind: str, message: str = SECRET, **headers: str) -> Script:
    """A script that answers with an error body."""

    async def play(exchange: Exchange) -> None:
        body = json.dumps(error(kind, message)).encode()
        await exchange.whole(status, "application/json", body, **headers)

    return play


def stalling(payloads: list[Any]) -> Script:
    """A script that streams payloads and then says nothing more."""

    async def play(exchange: Exchange) -> None:
        await stream(exchange, payloads)
        await exchange.stall()

    return play


_BODY = b"".join(event(payload) for payload in events())
_CUT = events()[:6]  # start, ping, block start, "Hello", ",", " wörld"
_WEATHER = tool_block(1, "toolu_1", "get_weather", "", '{"city": "Ro', 'me"}')
_THOUGHT = block(
    0,
    {"type": "thinking", "thinking": "", "signature": ""},
    delta("thinking", 0, thinking="Let me "),
    delta("thinking", 0, thinking="see."),
    delta("signature", 0, signature="c2ln"),
)
_SURROGATE = (
    r'{"type":"content_block_delta","index":0,"delta":{"text":"a\ud800b\udc00c\ud83d\ude00"}}'
)
_NUL = r'{"type":"content_block_delta","index":0,"delta":{"text":"a\u0000b\\u0000"}}'

_MESSAGES: dict[str, Script] = {
    "normal": playing(events()),
    "cr": playing(events(), "\r"),
    "crlf": playing(events(), "\r\n"),
    "bom": bytes_playing(b"\xef\xbb\xbf" + _BODY, 2),
    "split": bytes_playing(_BODY, 1),
    "one-read": bytes_playing(_BODY, len(_BODY)),
    "pings": playing([one for payload in events() for one in (PING, payload)]),
    "unknown-events": playing([{"type": "new_event", "x": {"y": 1}}, *events(), PING]),
    "text-in-start": playing([START, *block(0, {"type": "text", "text": TEXT}), *events()[-2:]]),
    "done": playing([*events()[:-1], "[DONE]"]),
    "no-stop": playing(events()[:-1]),
    "open-after-stop": stalling(events()),
    # blocks
    "tools": playing(events(text_block(0, ("I will look.",)), _WEATHER, reason="tool_use")),
    "two-tools": playing(
        events(
            tool_block(0, "toolu_1", "get_weather", '{"city":"Rome"}'),
            tool_block(1, "toolu_2", "get_time"),
            reason="tool_use",
        )
    ),
    "input-in-start": playing(
        events(
            block(0, {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}}),
            reason="tool_use",
        )
    ),
    "thinking": playing(events(_THOUGHT, text_block(1))),
    "redacted": playing(
        events(block(0, {"type": "redacted_thinking", "data": "eA=="}), text_block(1))
    ),
    "server-tool": playing(
        events(
            block(
                0,
                {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}},
                delta("input_json", 0, partial_json='{"query":"x"}'),
            ),
            text_block(1),
        )
    ),
    "citations": playing(events([*text_block(), delta("citations", 0, citation={"x": 1})])),
    "json": playing(events(text_block(0, ('{"city"', ':"Rome"', ',"c":21}')))),
    # ends
    **{
        reason: playing(events(reason=reason))
        for reason in (
            *("end_turn", "stop_sequence", "max_tokens", "refusal", "pause_turn"),
            *("model_context_window_exceeded", "a_new_reason"),
        )
    },
    "refused-at-once": playing([START, stopping("refusal"), STOP]),
    "no-usage": playing(
        [
            {"type": "message_start", "message": {}},
            *text_block(),
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
            STOP,
        ]
    ),
    "late-usage": playing(
        [
            *events()[:-2],
            stopping(None),
            stopping("end_turn", input_tokens=9, output_tokens=6),
            STOP,
        ]
    ),
    "after-finish": playing([*events()[:-1], *text_block(1, ("more",)), STOP]),
    # text that no text may hold
    "surrogate": playing([START, _SURROGATE, stopping("end_turn"), STOP]),
    "nul": playing([START, _NUL, stopping("end_turn"), STOP]),
    "invalid-utf8": bytes_playing(
        b'data: {"type":"content_block_delta","delta":{"text":"a\xffb"}}\n\n'
        + event(stopping("end_turn")),
        20,
    ),
    # faults after the first delta
    "truncated": playing(_CUT),
    "no-stop-reason": playing([*events()[:-2], STOP]),
    "before-message-delta": playing(events()[:-2]),
    "null-stop-reason": playing([*events()[:-2], stopping(None), STOP]),
    "eof-in-json": bytes_playing(_BODY[: _BODY.index(b"w\xc3") + 2], 90),
    "bad-json": playing([*_CUT, '{"type": "content_', *events()[-2:]]),
    "wrong-shape": playing([*_CUT, delta("text", 0, text=5), *events()[-2:]]),
    "not-an-object": playing([*_CUT, '"text"', *events()[-2:]]),
    "overloaded": playing([*_CUT, error("overloaded_error")]),
    "api-error": playing([*_CUT, error("api_error")]),
    "bare-error": playing([*_CUT, '{"error":{"type":"timeout_error"}}']),
    "stall": stalling(_CUT),
    # before the first delta
    "overloaded-first": playing([START, error("overloaded_error")]),
    "start-only": playing([START]),
    "html": bytes_playing(b"<html>" + SECRET.encode(), 50, "text/html"),
    "json-200": bytes_playing(b'{"type":"message","content":[]}', 50, "application/json"),
    "empty": bytes_playing(b"", 50),
    "only-pings": playing([PING] * 3),
    "redirect": refusing(307, "", location="/v1/elsewhere"),
    "400": refusing(400, "invalid_request_error"),
    "too-long": refusing(
        400, "invalid_request_error", "prompt is too long: 1000001 tokens > 1000000 maximum"
    ),
    "too-long-together": refusing(
        400,
        "invalid_request_error",
        "input length and `max_tokens` exceed context limit: 199000 + 4096 > 200000",
    ),
    "no-credit": refusing(
        400,
        "invalid_request_error",
        "Your credit balance is too low to access the Anthropic API.",
    ),
    "spent": refusing(
        400,
        "invalid_request_error",
        "You have reached your specified API usage limits. You will regain access on 2026-12-01.",
    ),
    "401": refusing(401, "authentication_error"),
    "402": refusing(402, "billing_error"),
    "403": refusing(403, "permission_error"),
    "404": refusing(404, "not_found_error"),
    "413": refusing(413, "request_too_large"),
    "429": refusing(429, "rate_limit_error", retry_after="7"),
    "500": refusing(500, "api_error"),
    "504": refusing(504, "timeout_error"),
    "529": refusing(529, "overloaded_error"),
    "529-seconds": refusing(529, "overloaded_error", retry_after="3"),
    "never-first": stalling([START]),
}


def _message(name: str) -> Callable[[Script], Script]:
    def register(function: Script) -> Script:
        _MESSAGES[name] = function
        return function

    return register


@_message("slow")
async def _slow(exchange: Exchange) -> None:
    await stream(exchange, [START])
    for payload in events()[1:]:
        await asyncio.sleep(0.02)
        await exchange.chunk(event(payload))
    await exchange.end()


@_message("never-headers")
async def _never_headers(exchange: Exchange) -> None:
    await exchange.stall()


@_message("pings-forever")
async def _pings_forever(exchange: Exchange) -> None:
    await stream(exchange, [START])
    while True:
        await exchange.chunk(event(PING))
        await asyncio.sleep(0.02)


@_message("never-ending")
async def _never_ending(exchange: Exchange) -> None:
    await stream(exchange, [START])
    while True:
        await exchange.chunk(event(delta("text", 0, text="x")))
        await asyncio.sleep(0.01)


@_message("reset-before")
async def _reset_before(exchange: Exchange) -> None:
    exchange.reset()


@_message("reset")
async def _reset(exchange: Exchange) -> None:
    await stream(exchange, _CUT)
    await asyncio.sleep(0.02)
    exchange.reset()


@_message("echo-images")
async def _echo_images(exchange: Exchange) -> None:
    """Tells what images and documents arrived, as ``image base64 image/png AA==``."""
    seen: list[str] = []
    for turn in exchange.request.json["messages"]:
        for part in turn["content"]:
            source = part.get("source", {})
            told = (source.get(name) for name in ("type", "media_type", "data", "url"))
            if source:
                seen.append(" ".join([part["type"], *filter(None, told)]))
    await playing(events(text_block(0, ("; ".join(seen),))))(exchange)


@_message("tool-then-text")
async def _tool_then_text(exchange: Exchange) -> None:
    """Asks for a tool first; when its result is there, tells it."""
    last = exchange.request.json["messages"][-1]["content"]
    results = [one for one in last if one["type"] == "tool_result"]
    if not results:
        await _MESSAGES["tools"](exchange)
        return
    told = ", ".join(f"{one['tool_use_id']}: {one['content'][0]['text']}" for one in results)
    await playing(events(text_block(0, (told,))))(exchange)


SCRIPTS.update({f"messages:{name}": play for name, play in _MESSAGES.items()})
