from __future__ import annotations

import asyncio
from typing import Any

import uvicorn
import uvloop
from uvicorn.server import ServerState

from sitebrook.api.connection import ClientConnection


async def _app(scope: Any, receive: Any, send: Any) -> None:
    pass


async def _lose_one() -> ClientConnection:
    """A connection whose client is gone, with its transport closed."""
    made: asyncio.Future[ClientConnection] = asyncio.get_running_loop().create_future()
    config = uvicorn.Config(_app, log_config=None, lifespan="off")
    config.load()

    def accept() -> ClientConnection:
        made.set_result(ClientConnection(config, ServerState(), {}))
        return made.result()

    server = await asyncio.get_running_loop().create_server(accept, "127.0.0.1", 0)
    async with server:
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        connection = await made
        left = asyncio.Event()
        connection.on_left = left.set
        writer.transport.abort()
        async with asyncio.timeout(5):
            await left.wait()
    await asyncio.sleep(0)
    return connection


def test_what_is_written_to_a_client_that_is_gone_is_dropped() -> None:
    async def write() -> None:
        connection = await _lose_one()
        assert connection.is_lost
        assert connection.transport.is_closing()
        connection.write(b"data: x\n\n")
        connection.drop_if_stuck(0, 0)
        await connection.drain()

    uvloop.run(write())  # the server's loop, whose closed transports refuse writes
