"""A site with files and stores, without a worker."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.factories import make_site
from tests.integration.stores.clocks import Clock
from tests.integration.stores.kept import Kept

from sitebrook.settings import Settings
from sitebrook.stores.attaching import Attaching
from sitebrook.stores.contents import Contents
from sitebrook.stores.files import Files
from sitebrook.stores.searching import StoreSearch
from sitebrook.stores.stores import Stores
from sitebrook.wiring.process import build_parts


@pytest.fixture
async def kept(database_url: str) -> AsyncIterator[Kept]:
    parts = build_parts(Settings.load({"DATABASE_URL": database_url}))
    database, clock = parts.database, Clock()
    async with parts.running():
        attaching = Attaching(parts.jobs, clock)
        stores = Stores(database, attaching, parts.searcher, clock)
        yield Kept(
            parts,
            await make_site(database),
            clock,
            Files(database, max_bytes=1_000_000, clock=clock),
            stores,
            Contents(database, stores, attaching, clock),
            StoreSearch(database, stores, parts.searcher, clock),
        )
