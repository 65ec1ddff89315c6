"""Clients that stop reading an endless stream: bounded memory and time, and nobody else waits."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import AsyncIterator

import pytest
from tests.fakes.openai_scripts import ROLE, chunk_of, event, stream
from tests.fakes.upstream import Exchange
from tests.integration.api.client import CHAT
from tests.soak.conftest import SLOW_READER_S, Counted

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif("sys.platform != 'linux'", reason="memory is read from /proc"),
]
_BUFFERED_BYTES = 256 * 1024
_NOISE_BYTES = 4_000_000
# The client's kernel takes little, and by its small segments the server's kernel does too: on the
# loopback that would hold 2.5 MB of each stream, all of it text that the server keeps for storing.
_SMALL_BYTES = 4096
_SEGMENT_BYTES = 536
_DELTA = event(chunk_of({"content": "x" * 20}))


async def _flood(exchange: Exchange) -> None:
    await stream(exchange, [ROLE])
    while True:
        await exchange.chunk(_DELTA)
        await asyncio.sleep(0)


def _to_request(counted: Counted, model: str) -> bytes:
    messages = [{"role": "user", "content": "Hello?"}]
    asked = {"model": model, "messages": messages, "stream": True, "retrieval": {"off": True}}
    body = json.dumps(asked).encode()
    head = (
        f"POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        f"authorization: Bearer {counted.server.secret_key}\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


@contextlib.asynccontextmanager
async def _not_reading(counted: Counted, count: int) -> AsyncIterator[list[socket.socket]]:
    """Sockets on which a flood has begun and that read nothing more."""
    loop = asyncio.get_running_loop()
    request = _to_request(counted, "up/flood")
    with contextlib.ExitStack() as stack:
        sockets: list[socket.socket] = []
        for _ in range(count):
            sock = stack.enter_context(socket.socket())
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL_BYTES)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, _SEGMENT_BYTES)
            sock.setblocking(False)
            await loop.sock_connect(sock, ("127.0.0.1", counted.server.port))
            await loop.sock_sendall(sock, request)
            assert (await loop.sock_recv(sock, 100)).startswith(b"HTTP/1.1 200")
            sockets.append(sock)
        yield sockets


async def _read_whole(counted: Counted) -> float:
    """The seconds that another caller's stream takes."""
    began = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", counted.server.port)
    writer.write(_to_request(counted, "mock"))
    await reader.readuntil(b"data: [DONE]")
    writer.close()
    return time.monotonic() - began


@pytest.mark.parametrize("count", [4, pytest.param(40, marks=pytest.mark.soak)])
async def test_clients_who_stop_reading_cost_little_and_are_dropped(
    counted: Counted, count: int
) -> None:
    counted.upstream.scripts["flood"] = _flood
    async with asyncio.timeout(30), _not_reading(counted, 2):  # imports and caches
        await counted.upstream.wait_until_closed(timeout_s=30)
    alone_s = await _read_whole(counted)
    before = counted.rss_bytes
    began = time.monotonic()
    async with asyncio.timeout(60), _not_reading(counted, count):
        stuck_after_s = time.monotonic() - began
        beside_s = await _read_whole(counted)
        most = 0
        while counted.upstream.open_connections > 0:
            most = max(most, counted.rss_bytes)
            await asyncio.sleep(0.05)
        dropped_after_s = time.monotonic() - began
    assert beside_s < alone_s + 1
    assert most - before <= count * _BUFFERED_BYTES + _NOISE_BYTES
    # Each is dropped that long after its buffers were full, which is looked at in steps.
    assert SLOW_READER_S <= dropped_after_s <= stuck_after_s + SLOW_READER_S + 3
