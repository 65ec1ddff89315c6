"""A crawler over a real database, for the fake website."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.fakes.website import FakeWebsite
from tests.integration.ingestion.crawling import Crawler

from sitebrook.access.sites import Site
from sitebrook.compute.pool import ComputePool
from sitebrook.db.engine import Database
from sitebrook.settings import ComputeSettings


@pytest.fixture
async def pool() -> AsyncIterator[ComputePool]:
    """One child process."""
    opened = ComputePool(ComputeSettings(children=1))
    yield opened
    await opened.aclose()


@pytest.fixture
def crawler(database: Database, pool: ComputePool, site: Site, website: FakeWebsite) -> Crawler:
    """Reads the fake website for the site."""
    return Crawler(database, pool, site, website)
