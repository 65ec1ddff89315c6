"""Callers that leave at each moment of an answer, on both wires, streamed and as JSON."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import pytest
from tests.fakes import anthropic_faults, openai_faults
from tests.fakes.openai_scripts import TEXT
from tests.fakes.transport_faults import AnswerBytes
from tests.fakes.upstream import Exchange, Script
from tests.integration.api.client import CHAT, SIMPLE, question
from tests.integration.faults.asking import Faulty, Stored

pytestmark = pytest.mark.asyncio(loop_scope="session")

_ANSWERS = {"openai": openai_faults.ANSWER, "claude": anthropic_faults.ANSWER}
_PREFIX = {"openai": "", "claude": "messages:"}
_CLOSED_WITHIN_S = 1.0
_SHOWN = {
    "first-delta": b'"content":","',
    "last-delta": b'"content":"."',
    "finish": b'"finish_reason":"stop"',
}
_STREAMS = pytest.mark.parametrize("streams", [True, False], ids=["streamed", "json"])
_WIRES = pytest.mark.parametrize("wire", _ANSWERS)


def _holding(sent: bytes) -> Script:
    """A script that sends the first bytes of an answer and no more."""

    async def play(exchange: Exchange) -> None:
        await exchange.head(content_type="text/event-stream")
        await exchange.chunk(sent)
        await exchange.stall()

    return play


@contextlib.asynccontextmanager
async def _asking(
    faulty: Faulty, model: str, text: str, *, streams: bool, path: str = CHAT
) -> AsyncIterator[asyncio.StreamReader]:
    """A question under way; the block's end leaves it."""
    asked: dict[str, object] = {"question": text, "model": model, "retrieval": {"off": True}}
    if path == CHAT:
        asked = question(text, model=model, retrieval={"off": True}, stream=streams)
    body = json.dumps(asked).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {faulty.api.site.secret_key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", faulty.api.server.port)
    try:
        writer.write(head.encode() + body)
        yield reader
    finally:
        writer.transport.abort()


async def _exchange(faulty: Faulty, text: str) -> Exchange:
    """The request to the upstream, once it has been answered with something."""
    async with asyncio.timeout(5):
        while not any(one.sent for one in faulty.exchanges_of(text)):
            await asyncio.sleep(0.005)
    (exchange,) = faulty.exchanges_of(text)
    return exchange


async def _check_closed(exchange: Exchange) -> None:
    async with asyncio.timeout(_CLOSED_WITHIN_S):
        while not exchange.is_closed:
            await asyncio.sleep(0.005)


async def _answers(faulty: Faulty, text: str) -> list[Stored]:
    stored = await faulty.stored([text])
    return [one for one in stored.get(text, ()) if one.role == "assistant"]


def _moments(answer: AnswerBytes) -> dict[str, tuple[bytes, str]]:
    """What the upstream has sent when the caller leaves, and the text of it."""
    words = answer.cut + answer.rest
    return {
        "first-delta": (answer.cut, "Hello,"),
        "last-delta": (words, TEXT),
        "finish": (words + answer.finish, TEXT),
    }


@_STREAMS
@_WIRES
@pytest.mark.parametrize("moment", _SHOWN)
async def test_what_was_shown_is_stored_as_interrupted(
    faulty: Faulty, wire: str, moment: str, *, streams: bool
) -> None:
    sent, shown = _moments(_ANSWERS[wire])[moment]
    faulty.upstream.scripts[f"{_PREFIX[wire]}holds-{moment}"] = _holding(sent)
    text = f"leaves {wire} {moment} {streams}?"
    async with _asking(faulty, f"{wire}/holds-{moment}", text, streams=streams) as reader:
        exchange = await _exchange(faulty, text)
        if streams:
            await reader.readuntil(_SHOWN[moment])
        else:
            await asyncio.sleep(0.2)  # a plain answer shows nowhere that its text has arrived
    await _check_closed(exchange)
    assert await _answers(faulty, text) == [Stored("assistant", "interrupted", shown)]


@_STREAMS
@_WIRES
async def test_nothing_is_stored_of_an_answer_that_was_left_before_its_text(
    faulty: Faulty, wire: str, *, streams: bool
) -> None:
    text = f"leaves {wire} before {streams}?"
    faulty.upstream.scripts[f"{_PREFIX[wire]}holds-start"] = _holding(_ANSWERS[wire].start)
    async with _asking(faulty, f"{wire}/holds-start", text, streams=streams):
        exchange = await _exchange(faulty, text)
    await _check_closed(exchange)
    stored = await faulty.stored()
    assert [one.role for one in stored.get(text, ())] in ([], ["user"])


async def test_a_simple_stream_is_left_the_same_way(faulty: Faulty) -> None:
    text = "leaves simple?"
    async with _asking(faulty, "openai/stall", text, streams=True, path=SIMPLE) as reader:
        exchange = await _exchange(faulty, text)
        await reader.readuntil(b'"Hello"')
    await _check_closed(exchange)
    (answer,) = await _answers(faulty, text)
    assert answer.status == "interrupted"
    assert TEXT.startswith(answer.content)


async def test_a_question_that_did_not_come_whole_is_not_asked(faulty: Faulty) -> None:
    before = len(faulty.upstream.requests)
    body = json.dumps(question("never whole?", model="openai/normal", stream=True)).encode()
    for cut in (0, 1, len(body) // 2, len(body) - 1):
        _, writer = await asyncio.open_connection("127.0.0.1", faulty.api.server.port)
        head = (
            f"POST {CHAT} HTTP/1.1\r\nhost: x\r\n"
            f"authorization: Bearer {faulty.api.site.secret_key}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body[:cut])
        await writer.drain()
        writer.close()
        await writer.wait_closed()
    seen = await faulty.ask("openai/normal", "whole?")
    assert seen.reply.status == 200
    assert len(faulty.upstream.requests) == before + 1
    assert "never whole?" not in await faulty.stored()
    errors = await asyncio.to_thread(faulty.api.server.errors, faulty.api.site.secret_key)
    assert "unexpected error" not in {one["message"] for one in errors}
