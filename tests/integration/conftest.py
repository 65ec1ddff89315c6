"""A real Redis for the tests that ask for one."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator

import pytest
from tests.fakes.redis_server import REDIS_SERVER, RedisServer, running_redis

from sitebrook.db.redis import RedisConnection
from sitebrook.settings import RedisSettings


@pytest.fixture(scope="session")
def needs_redis() -> None:
    """Skips without redis-server; where tests must not be skipped, fails."""
    if REDIS_SERVER is None:
        refuse = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        refuse("The tests of Redis need: apt install redis-server")


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
