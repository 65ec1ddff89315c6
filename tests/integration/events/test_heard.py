"""Whether the writer of a stream is told that another process reads it, by a real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from tests.fakes.redis_server import RedisServer
from tests.integration.events.conftest import SETTINGS, kept_running, redis_log

from sitebrook.db.redis import RedisConnection
from sitebrook.db.redis_commands import Script, ScriptCall
from sitebrook.events.log import DELTA, EventWriter, to_stream
from sitebrook.events.redis_log import RedisLog
from sitebrook.events.scripts import APPEND, HEARD
from sitebrook.settings import RedisSettings

STREAM = to_stream("site_a", "answer", "ans_1")


class _Connection(RedisConnection):
    """Keeps what Redis says to each write."""

    def __init__(self, url: str) -> None:
        super().__init__(RedisSettings(url=url, probe_s=0.1))
        self.said: asyncio.Queue[bytes] = asyncio.Queue()

    async def run_script(self, script: Script, calls: Sequence[ScriptCall]) -> list[Any]:
        answers = await super().run_script(script, calls)
        if script is APPEND:
            self.said.put_nowait(answers[0][0])
        return answers


@pytest.fixture
async def connection(redis_server: RedisServer) -> AsyncIterator[_Connection]:
    opened = _Connection(redis_server.url)
    async with asyncio.timeout(20):
        while not await opened.probe():
            await asyncio.sleep(0.05)
    yield opened
    await opened.aclose()


async def _write_until(writer: EventWriter, connection: _Connection, said: bytes) -> None:
    async with asyncio.timeout(20):
        while True:
            writer.emit(DELTA, "x")
            if await connection.said.get() == said:
                return


async def test_a_stream_is_heard_while_another_process_reads_it(
    redis_server: RedisServer, connection: _Connection
) -> None:
    log = RedisLog(connection, SETTINGS)
    async with kept_running(connection, log):
        writer = log.writer(STREAM, 1, {"model": "m"})
        assert await connection.said.get() == b""
        async with log.read(STREAM) as own:
            writer.emit(DELTA, "first")
            assert (await anext(own)).payload == "first"
            assert await connection.said.get() == b""  # a reader of this process needs no Redis
        async with redis_log(redis_server) as other, other.read(STREAM) as reader:
            assert (await anext(reader)).payload == "first"
            await _write_until(writer, connection, HEARD)
        await _write_until(writer, connection, b"")
        writer.close()
