"""What is in a store: files put in and taken out, alone and in batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import delete, insert, select, update

from sitebrook.db.engine import Database
from sitebrook.db.tables import now
from sitebrook.errors import InvalidRequest, NotFound
from sitebrook.ids import is_id, new_id
from sitebrook.retrieval.documents import find_source_text
from sitebrook.stores.attaching import Attaching
from sitebrook.stores.cleaning import remove_stale, to_source
from sitebrook.stores.entries import (
    IN_PROGRESS,
    Counts,
    Entry,
    EntryStatus,
    NewEntry,
    select_entries,
    status_column,
    sum_up,
    to_entry,
)
from sitebrook.stores.files import Clock, no_file
from sitebrook.stores.filters import Scalar
from sitebrook.stores.paging import Age, Page, Window, load_page
from sitebrook.stores.stores import Stores
from sitebrook.stores.tables import store_batch, store_file

_AGE: Final = Age(store_file.c.created_at, store_file.c.file_id)


@dataclass(frozen=True, slots=True)
class Batch:
    """Files that were put into a store together; one that was put in again counts there."""

    id: str
    store_id: str
    created_at: datetime
    counts: Counts

    @property
    def status(self) -> EntryStatus:
        """``in_progress`` as long as a file is, ``failed`` when all have failed."""
        counts = self.counts
        if counts.in_progress:
            return "in_progress"
        if counts.cancelled:
            return "cancelled"
        return "failed" if counts.failed and counts.failed == counts.total else "completed"


@dataclass(frozen=True, slots=True)
class Listed:
    """Which files of a store are listed: all, or those of a batch, or with a status."""

    batch_id: str | None = None
    status: EntryStatus | None = None


class Contents:
    """The files in the stores of sites."""

    def __init__(
        self, database: Database, stores: Stores, attaching: Attaching, clock: Clock = now
    ) -> None:
        self._database = database
        self._stores = stores
        self._attaching = attaching
        self._clock = clock

    async def add(self, site_id: str, store_id: str, new: NewEntry) -> Entry:
        """The file as it stands in the store; it is being read.

        Raises NotFound, InvalidRequest for an expired store.
        """
        async with self._database.begin() as connection:
            await self._stores.use(connection, site_id, store_id)
            await self._attaching.attach(connection, site_id, store_id, [new])
        return await self.find(site_id, store_id, new.file_id)

    async def add_batch(self, site_id: str, store_id: str, new: Sequence[NewEntry]) -> Batch:
        """The batch; its files are being read. Raises as ``add``; then none is put in."""
        batch_id, moment = new_id("vsfb"), self._clock()
        async with self._database.begin() as connection:
            await self._stores.use(connection, site_id, store_id)
            values = {"id": batch_id, "store_id": store_id, "created_at": moment}
            await connection.execute(insert(store_batch).values(values))
            await self._attaching.attach(connection, site_id, store_id, new, batch_id)
        return await self.find_batch(site_id, store_id, batch_id)

    async def list(
        self, site_id: str, store_id: str, window: Window, listed: Listed
    ) -> Page[Entry]:
        """The store's files in the window. Raises NotFound."""
        await self._stores.check(site_id, store_id)
        query = select_entries().where(store_file.c.store_id == store_id)
        if listed.batch_id is not None:
            batch = await self.find_batch(site_id, store_id, listed.batch_id)
            query = query.where(store_file.c.batch_id == batch.id)
        if listed.status is not None:
            query = query.where(status_column == listed.status)
        async with self._database.begin() as connection:
            page = await load_page(connection, query, _AGE, window)
        return Page(tuple(map(to_entry, page.entries)), page.has_more)

    async def find(self, site_id: str, store_id: str, file_id: str) -> Entry:
        """The file in the store. Raises NotFound."""
        await self._stores.check(site_id, store_id)
        row = None
        if is_id(file_id):
            query = select_entries().where(*_is(store_id, file_id))
            async with self._database.begin() as connection:
                row = (await connection.execute(query)).first()
        if row is None:
            raise no_file()
        return to_entry(row)

    async def read(self, site_id: str, store_id: str, file_id: str) -> tuple[Entry, str]:
        """The file and the text that was read from it.

        Raises NotFound, InvalidRequest before it is read.
        """
        entry = await self.find(site_id, store_id, file_id)
        found = None
        if entry.document_id is not None:
            found = await find_source_text(self._database, entry.document_id)
        if found is None:
            raise InvalidRequest(
                f"No text is kept of this file: it is {entry.status}.",
                param="file_id",
                code="file_not_completed",
            )
        return entry, found.text

    async def describe(
        self, site_id: str, store_id: str, file_id: str, attributes: Mapping[str, Scalar]
    ) -> Entry:
        """The file with these attributes in place of its own. Raises NotFound."""
        await self.find(site_id, store_id, file_id)
        changed = update(store_file).where(*_is(store_id, file_id))
        async with self._database.begin() as connection:
            await connection.execute(changed.values(attributes=dict(attributes)))
        return await self.find(site_id, store_id, file_id)

    async def remove(self, site_id: str, store_id: str, file_id: str) -> None:
        """Takes the file out of the store with all that was made of it. Raises NotFound."""
        found = await self.find(site_id, store_id, file_id)
        async with self._database.begin() as connection:
            await connection.execute(delete(store_file).where(*_is(store_id, file_id)))
        source = to_source(file_id, found.name)
        await remove_stale(self._database, self._clock(), store_id, source)

    async def find_batch(self, site_id: str, store_id: str, batch_id: str) -> Batch:
        """The batch. Raises NotFound."""
        await self._stores.check(site_id, store_id)
        known = [batch_id] if is_id(batch_id) else []
        query = select(store_batch).where(
            store_batch.c.id.in_(known), store_batch.c.store_id == store_id
        )
        async with self._database.begin() as connection:
            row = (await connection.execute(query)).first()
            sums = await sum_up(connection, "batch_id", known)
        if row is None:
            raise NotFound("There is no such batch.", param="batch_id", code="batch_not_found")
        return Batch(row.id, row.store_id, row.created_at, sums[batch_id].counts)

    async def cancel_batch(self, site_id: str, store_id: str, batch_id: str) -> Batch:
        """The batch, of which nothing more is read. Raises NotFound."""
        await self.find_batch(site_id, store_id, batch_id)
        waits = (store_file.c.batch_id == batch_id, store_file.c.status == IN_PROGRESS)
        async with self._database.begin() as connection:
            await connection.execute(
                update(store_file).where(*waits).values(status="cancelled", document_id=None)
            )
        await remove_stale(self._database, self._clock(), store_id)
        return await self.find_batch(site_id, store_id, batch_id)


def _is(store_id: str, file_id: str) -> tuple[Any, Any]:
    return store_file.c.store_id == store_id, store_file.c.file_id == file_id
