"""What many of these tests ask for: a site, a fake website, a real Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from tests.factories import make_site
from tests.fakes.redis_server import RedisServer, running_redis
from tests.fakes.website import FakeWebsite

from sitebrook.access.sites import Site
from sitebrook.db.engine import Database
from sitebrook.db.redis import RedisConnection
from sitebrook.settings import RedisSettings


@pytest.fixture
async def site(database: Database) -> Site:
    """The only site of the database."""
    return await make_site(database)


@pytest.fixture
async def website() -> AsyncIterator[FakeWebsite]:
    """A website without a page yet."""
    async with FakeWebsite() as served:
        yield served


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
