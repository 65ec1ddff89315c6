"""Callers that leave before their answer is whole."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from tests.fakes.openai_scripts import ROLE, chunk_of, event, stream
from tests.fakes.upstream import Exchange
from tests.integration.api.client import CHAT, Api, apoll, question

pytestmark = pytest.mark.asyncio(loop_scope="session")


@contextlib.asynccontextmanager
async def _asking(
    api: Api, script: str, **over: object
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection on which a question was sent; the block's end closes it."""
    asked = question("Hello?", model=f"left/{script}", retrieval={"off": True}, **over)
    body = json.dumps(asked).encode()
    head = (
        f"POST {CHAT} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {api.site.secret_key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", api.server.port)
    try:
        writer.write(head.encode() + body)
        yield reader, writer
    finally:
        writer.transport.abort()


async def _conversation(api: Api, conversation_id: str) -> list[dict[str, Any]]:
    path = f"/api/conversations/{conversation_id}"
    return (await api.asend("GET", path, None, api.site.server)).json["messages"]


@pytest_asyncio.fixture(autouse=True, loop_scope="session")
async def _nothing_is_left_open(api: Api) -> AsyncIterator[None]:
    await api.left_upstream.wait_until_closed(timeout_s=1)
    yield
    assert (await api.asend("GET", "/health/ready")).status == 200


@pytest.mark.parametrize("streams", [True, False])
@pytest.mark.parametrize("script", ["never-headers", "never-first"])
async def test_leaving_before_the_first_delta_closes_the_upstream(
    api: Api, script: str, *, streams: bool
) -> None:
    count = len(api.left_upstream.requests)
    async with _asking(api, script, stream=streams):
        await api.left_upstream.wait_for_request(count + 1)
        assert api.left_upstream.open_connections == 1
    await api.left_upstream.wait_until_closed(timeout_s=1)


async def test_leaving_after_an_early_start_closes_the_upstream(api: Api) -> None:
    async with _asking(api, "never-first", stream=True) as (reader, _):
        assert b": keep-alive" in await reader.readuntil(b": keep-alive")
        assert api.left_upstream.open_connections == 1
    await api.left_upstream.wait_until_closed(timeout_s=1)


async def test_leaving_a_stream_closes_the_upstream_and_stores_the_text_so_far(api: Api) -> None:
    async with _asking(api, "never-ending", stream=True) as (reader, _):
        head = await reader.readuntil(b'"conversation_id":"')
        conversation_id = (await reader.readuntil(b'"'))[:-1].decode()
        await reader.readuntil(b'"content":"x"')
        assert head
    await api.left_upstream.wait_until_closed(timeout_s=1)

    async def read() -> list[dict[str, Any]] | None:
        found = await _conversation(api, conversation_id)
        return found if len(found) == 2 else None

    _, answer = await apoll(read)
    assert answer["status"] == "interrupted"
    assert set(answer["content"]) == {"x"}


async def test_leaving_a_plain_answer_closes_the_upstream(api: Api) -> None:
    count = len(api.left_upstream.requests)
    async with _asking(api, "never-ending"):
        await api.left_upstream.wait_for_request(count + 1)
    await api.left_upstream.wait_until_closed(timeout_s=1)


async def test_half_closing_is_leaving_too(api: Api) -> None:
    async with _asking(api, "never-ending", stream=True) as (reader, writer):
        await reader.readuntil(b'"content":"x"')
        writer.write_eof()
        await api.left_upstream.wait_until_closed(timeout_s=1)


async def test_a_caller_who_leaves_as_the_first_delta_comes_leaves_nothing_open(api: Api) -> None:
    due = asyncio.Event()

    async def on_cue(exchange: Exchange) -> None:
        await stream(exchange, [ROLE])
        await due.wait()
        await exchange.chunk(event(chunk_of({"content": "x"})))
        await exchange.stall()

    api.left_upstream.scripts["on-cue"] = on_cue
    for turn in range(40):
        due.clear()
        count = len(api.left_upstream.requests)
        async with _asking(api, "on-cue", stream=turn % 2 == 0) as (_, writer):
            await api.left_upstream.wait_for_request(count + 1)
            due.set()
            await asyncio.sleep(0.0002 * (turn % 10))  # a little later each time
            writer.transport.abort()
    await api.left_upstream.wait_until_closed(timeout_s=1)


async def test_leaving_in_the_middle_of_the_body_is_no_error(api: Api) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", api.server.port)
    del reader
    before = await asyncio.to_thread(api.server.errors, api.site.secret_key)
    writer.write(
        f"POST {CHAT} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {api.site.secret_key}\r\n"
        "content-type: application/json\r\ncontent-length: 1000\r\n\r\n{".encode()
    )
    await writer.drain()
    writer.transport.abort()
    assert await asyncio.to_thread(api.server.errors, api.site.secret_key) == before


async def test_a_question_without_an_answer_is_stored_once_when_asked_again(api: Api) -> None:
    first = await api.asend("POST", CHAT, question("hello"), api.site.server)
    conversation = first.json["conversation_id"]
    for _ in range(2):
        count = len(api.left_upstream.requests)
        async with _asking(api, "never-first", conversation_id=conversation, stream=True):
            await api.left_upstream.wait_for_request(count + 1)
        await api.left_upstream.wait_until_closed(timeout_s=1)
    roles = [one["role"] for one in await _conversation(api, conversation)]
    assert roles == ["user", "assistant", "user"]
