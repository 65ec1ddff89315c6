"""A site's files and stores over a test's database, by the test's clock."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

import sqlalchemy as sa
from tests.integration.stores.clocks import Clock

from sitebrook.access.sites import Site
from sitebrook.jobs.engine import WorkerOptions
from sitebrook.jobs.following import wait_for_end
from sitebrook.parts import Parts
from sitebrook.stores.contents import Contents
from sitebrook.stores.entries import Entry, NewEntry
from sitebrook.stores.files import Files, NewFile
from sitebrook.stores.searching import StoreQuestion, StoreSearch
from sitebrook.stores.stores import NewStore, Stores

SOON_S = 60
_ANCHORS = StoreQuestion(["anchors"])
_HELD = ("document", "chunk", "embedding")


@dataclass
class Kept:
    """A site's files and stores by the test's clock."""

    parts: Parts
    site: Site
    clock: Clock
    files: Files
    stores: Stores
    contents: Contents
    search: StoreSearch

    async def add(self, text: str = "Anchors hold ships.", name: str = "a.md") -> str:
        new = NewFile(name, text.encode(), "assistants")
        return (await self.files.add(self.site.id, new)).id

    async def make(self, *file_ids: str, days: int | None = None) -> str:
        entries = [NewEntry(one, {}) for one in file_ids]
        new = NewStore(entries=entries, expires_after_days=days)
        return (await self.stores.create(self.site.id, new)).id

    async def entry(self, store_id: str, file_id: str) -> Entry:
        return await self.contents.find(self.site.id, store_id, file_id)

    async def find(self, store_id: str) -> list[str]:
        found = await self.search.find(self.site.id, store_id, _ANCHORS)
        return [one.file_id for one in found]

    async def run(self, statement: str, **values: object) -> list[sa.Row]:
        async with self.parts.database.begin() as connection:
            found = await connection.execute(sa.text(statement), values)
            return list(found.all()) if found.returns_rows else []

    async def held(self, store_id: str) -> list[int]:
        """How many documents, chunks and vectors the store has."""
        query = "SELECT count(*) FROM {} WHERE site_id = :store_id"
        return [(await self.run(query.format(one), store_id=store_id))[0][0] for one in _HELD]

    @contextlib.asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        worker = self.parts.jobs.worker(WorkerOptions(concurrency=2, drain_s=1.0))
        task = asyncio.create_task(worker.run())
        try:
            yield
        finally:
            worker.stop_now()
            await task

    async def work(self) -> None:
        """Runs the site's jobs to their end."""
        async with self.working():
            for row in await self.run("SELECT id FROM job WHERE site_id = :id", id=self.site.id):
                await wait_for_end(
                    self.parts.database, self.parts.events, self.site.id, row.id, timeout_s=SOON_S
                )
