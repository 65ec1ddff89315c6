"""A real Redis for the tests that ask for one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from tests.fakes.redis_server import RedisServer, running_redis

from sitebrook.db.redis import RedisConnection
from sitebrook.settings import RedisSettings


@pytest.fixture
def redis_server(needs_redis: None) -> Iterator[RedisServer]:
    """An empty Redis of the test's own, to do anything to."""
    with running_redis() as server:
        yield server


@pytest.fixture
async def redis(redis_server: RedisServer) -> AsyncIterator[RedisConnection]:
    """A connection that knows that Redis is up; whoever needs it kept so runs ``run``."""
    connection = RedisConnection(RedisSettings(url=redis_server.url))
    assert await connection.probe()
    yield connection
    await connection.aclose()
