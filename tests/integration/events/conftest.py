"""The event logs under test, by how a writer and its readers share them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from tests.fakes.redis_server import RedisServer

from sitebrook.db.redis import RedisConnection
from sitebrook.events.log import EventLog
from sitebrook.events.redis_log import RedisLog
from sitebrook.events.ring_log import RingLog
from sitebrook.settings import EventSettings, RedisSettings

SETTINGS = EventSettings(length=100, coalesce_s=0.005, lease_s=0.5, silence_s=0.2)


@dataclass(frozen=True, slots=True)
class Sides:
    """Where streams are written and where they are read; often the same log."""

    writing: EventLog
    reading: EventLog


@contextlib.asynccontextmanager
async def redis_log(
    server: RedisServer, settings: EventSettings = SETTINGS
) -> AsyncIterator[RedisLog]:
    """A log as one process has it, over a connection of its own."""
    connection = RedisConnection(RedisSettings(url=server.url, probe_s=0.1))
    async with asyncio.timeout(20):
        while not await connection.probe():
            await asyncio.sleep(0.05)
    log = RedisLog(connection, settings)
    async with kept_running(connection, log):
        yield log
    await connection.aclose()


@contextlib.asynccontextmanager
async def kept_running(*parts: EventLog | RedisConnection) -> AsyncIterator[None]:
    """The background work of parts, which must not fail."""
    tasks = [asyncio.create_task(part.run()) for part in parts]
    try:
        yield
    finally:
        for task in reversed(tasks):
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task


@pytest.fixture(params=["ring", "redis", "redis, two processes"])
async def sides(request: pytest.FixtureRequest) -> AsyncIterator[Sides]:
    """A log in one process; one that is shared; two processes that share one."""
    if request.param == "ring":
        log = RingLog(SETTINGS)
        async with kept_running(log):
            yield Sides(log, log)
        return
    server: RedisServer = request.getfixturevalue("redis_server")
    async with redis_log(server) as writing:
        if request.param == "redis":
            yield Sides(writing, writing)
            return
        async with redis_log(server) as reading:
            yield Sides(writing, reading)
