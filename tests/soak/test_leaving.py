"""Callers that leave at every moment, many times over: nothing of them stays in the server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator

import pytest
from tests.fakes.openai_scripts import ROLE, chunk_of, event, events, stream
from tests.fakes.upstream import Exchange
from tests.integration.api.client import CHAT
from tests.soak.conftest import Counted

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif("sys.platform != 'linux'", reason="memory and files are read from /proc"),
]
_ALLOWED_BYTES = 10_000_000
_STREAM_ENDS = b"data: [DONE]"
Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter


async def _whole(exchange: Exchange) -> None:
    """A whole answer on a connection that is not used again, so that none stays in a pool."""
    await exchange.head(content_type="text/event-stream", connection="close")
    for payload in events():
        await exchange.chunk(event(payload))
    await exchange.end()
    exchange.close()


async def _on_demand(exchange: Exchange) -> None:
    await stream(exchange, [ROLE])
    await exchange.chunk(event(chunk_of({"content": "first"})))
    await exchange.stall()


def _to_parts(counted: Counted, script: str, *, streams: bool) -> tuple[bytes, bytes]:
    """A question as bytes of HTTP: the head and the body."""
    messages = [{"role": "user", "content": "Hello?"}]
    asked = {"model": f"up/{script}", "messages": messages, "retrieval": {"off": True}}
    body = json.dumps({**asked, "stream": streams}).encode()
    head = (
        f"POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        f"authorization: Bearer {counted.server.secret_key}\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode(), body


@contextlib.asynccontextmanager
async def _connected(counted: Counted) -> AsyncIterator[tuple[Reader, Writer]]:
    """A connection that ends abruptly with the block."""
    reader, writer = await asyncio.open_connection("127.0.0.1", counted.server.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def _leave_in_the_body(counted: Counted) -> None:
    head, body = _to_parts(counted, "never-ending", streams=True)
    async with _connected(counted) as (_, writer):
        writer.write(head + body[: len(body) // 2])
        await writer.drain()


async def _leave_while_waiting(counted: Counted, *, streams: bool) -> None:
    head, body = _to_parts(counted, "never-first", streams=streams)
    count = len(counted.upstream.requests)
    async with _connected(counted) as (_, writer):
        writer.write(head + body)
        await counted.upstream.wait_for_request(count + 1)


async def _leave_after(counted: Counted, script: str, seen: bytes, times: int = 1) -> None:
    head, body = _to_parts(counted, script, streams=True)
    async with _connected(counted) as (reader, writer):
        writer.write(head + body)
        for _ in range(times):
            await reader.readuntil(seen)


async def _leave_at_every_moment(counted: Counted) -> None:
    """Six callers at once, each gone at another moment; their upstreams end within 1 s."""
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        group.create_task(_leave_in_the_body(counted))
        group.create_task(_leave_while_waiting(counted, streams=True))
        group.create_task(_leave_while_waiting(counted, streams=False))
        group.create_task(_leave_after(counted, "on-demand", b'"content":"first"'))
        group.create_task(_leave_after(counted, "never-ending", b'"content":"x"', 3))
        group.create_task(_leave_after(counted, "whole", _STREAM_ENDS))
    await counted.upstream.wait_until_closed(timeout_s=1)
    counted.upstream.requests.clear()


_MOMENTS = 6


async def _has_files(counted: Counted, count: int) -> bool:
    """Whether so many files are open, now or within 5 s."""
    deadline = time.monotonic() + 5
    while counted.files != count:
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.05)
    return True


@pytest.mark.parametrize("cycles", [48, pytest.param(1000, marks=pytest.mark.soak)])
async def test_callers_who_leave_at_any_moment_leave_nothing_behind(
    counted: Counted, cycles: int
) -> None:
    counted.upstream.scripts.update({"whole": _whole, "on-demand": _on_demand})
    for _ in range(max(2, cycles // _MOMENTS // 4)):  # imports, caches, the pool of the database
        await _leave_at_every_moment(counted)
    await asyncio.sleep(0.2)
    files, rss_bytes = counted.files, counted.rss_bytes
    server = counted.server
    errors = await asyncio.to_thread(server.errors, server.secret_key)
    for _ in range(-(-cycles // _MOMENTS)):
        await _leave_at_every_moment(counted)
    assert await _has_files(counted, files), (counted.files, files)
    assert counted.rss_bytes - rss_bytes <= _ALLOWED_BYTES
    assert await asyncio.to_thread(server.errors, server.secret_key) == errors
