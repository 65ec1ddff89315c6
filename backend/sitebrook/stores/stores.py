"""A site's stores: made, listed, changed, deleted; each a knowledge of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from sqlalchemy import Row, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from sitebrook.db.engine import Database
from sitebrook.db.tables import now
from sitebrook.errors import InvalidRequest, NotFound
from sitebrook.ids import is_id, new_id
from sitebrook.retrieval.search import Searcher
from sitebrook.retrieval.tables import holder
from sitebrook.stores.attaching import Attaching
from sitebrook.stores.cleaning import remove_stale
from sitebrook.stores.entries import Counts, NewEntry, Sum, sum_up
from sitebrook.stores.files import Clock
from sitebrook.stores.paging import Age, Page, Window, load_page
from sitebrook.stores.tables import store

# A search writes down that the store is in use at most so often.
_NOTED_AFTER: Final = timedelta(minutes=1)
_PARAM: Final = "vector_store_id"


@dataclass(frozen=True, slots=True)
class NewStore:
    """A store to make, and the files to put into it."""

    name: str = ""
    description: str = ""
    metadata: Mapping[str, str] | None = None
    expires_after_days: int | None = None
    entries: Sequence[NewEntry] = ()


@dataclass(frozen=True, slots=True)
class StoreChange:
    """What a store gets in place of what it has."""

    fields: Mapping[Literal["name", "metadata", "expires_after_days"], Any]


@dataclass(frozen=True, slots=True)
class Store:
    """A store; when it has expired, its files are no longer found."""

    id: str
    name: str
    description: str
    metadata: Mapping[str, str]
    expires_after_days: int | None
    last_active_at: datetime
    created_at: datetime
    sums: Sum
    has_expired: bool

    @property
    def counts(self) -> Counts:
        """How its files stand."""
        return self.sums.counts

    @property
    def expires_at(self) -> datetime | None:
        """The moment at which it expires if nobody uses it until then."""
        return to_expiry(self.last_active_at, self.expires_after_days)


_COLUMNS: Final = (
    store.c.id,
    store.c.name,
    store.c.description,
    store.c.metadata,
    store.c.expires_after_days,
    store.c.last_active_at,
    store.c.created_at,
)
_AGE: Final = Age(store.c.created_at, store.c.id)


class Stores:
    """The stores of sites; none sees another's."""

    def __init__(
        self, database: Database, attaching: Attaching, searcher: Searcher, clock: Clock = now
    ) -> None:
        self._database = database
        self._attaching = attaching
        self._searcher = searcher
        self._clock = clock

    async def create(self, site_id: str, new: NewStore) -> Store:
        """The new store; its files are being read. Raises NotFound for an unknown file."""
        moment = self._clock()
        store_id = new_id("vs")
        values = {
            "id": store_id,
            "site_id": site_id,
            "name": new.name,
            "description": new.description,
            "metadata": dict(new.metadata or {}),
            "expires_after_days": new.expires_after_days,
            "last_active_at": moment,
            "created_at": moment,
        }
        async with self._database.begin() as connection:
            await connection.execute(insert(holder).values(id=store_id, site_id=site_id))
            await connection.execute(insert(store).values(values))
            if new.entries:
                await self._attaching.attach(connection, site_id, store_id, new.entries)
            return await self._load(connection, site_id, store_id)

    async def list(self, site_id: str, window: Window) -> Page[Store]:
        """The site's stores in the window."""
        async with self._database.begin() as connection:
            page = await load_page(connection, _of_site(site_id), _AGE, window)
            sums = await sum_up(connection, "store_id", [row.id for row in page.entries])
        found = tuple(self._to_store(row, sums[row.id]) for row in page.entries)
        return Page(found, page.has_more)

    async def find(self, site_id: str, store_id: str) -> Store:
        """The store. Raises NotFound."""
        async with self._database.begin() as connection:
            return await self._load(connection, site_id, store_id)

    async def check(self, site_id: str, store_id: str) -> None:
        """Raises NotFound for a store that the site does not have."""
        async with self._database.begin() as connection:
            await _find_row(connection, site_id, store_id)

    async def open(self, site_id: str, store_id: str, param: str = _PARAM) -> None:
        """Notes that the store is in use; ``param`` is what the request calls it.

        Raises NotFound, InvalidRequest when it has expired.
        """
        async with self._database.begin() as connection:
            await self.use(connection, site_id, store_id, param)

    async def use(
        self, connection: AsyncConnection, site_id: str, store_id: str, param: str = _PARAM
    ) -> None:
        """As ``open``, within a transaction."""
        found = await _find_row(connection, site_id, store_id, param)
        if self._has_expired(found):
            raise InvalidRequest(
                "The store has expired, and its files are no longer found; make a new one.",
                param=param,
                code="vector_store_expired",
            )
        moment = self._clock()
        if found.last_active_at < moment - _NOTED_AFTER:
            used = update(store).where(store.c.id == store_id).values(last_active_at=moment)
            await connection.execute(used)

    async def change(self, site_id: str, store_id: str, change: StoreChange) -> Store:
        """The changed store. Raises NotFound, InvalidRequest when it has expired."""
        async with self._database.begin() as connection:
            await self.use(connection, site_id, store_id)
            values = {**change.fields, "last_active_at": self._clock()}
            await connection.execute(update(store).where(store.c.id == store_id).values(values))
            return await self._load(connection, site_id, store_id)

    async def delete(self, site_id: str, store_id: str) -> None:
        """Removes the store with all that was made of its files, which stay. Raises NotFound."""
        async with self._database.begin() as connection:
            await _find_row(connection, site_id, store_id)
            await connection.execute(delete(holder).where(holder.c.id == store_id))
        self._searcher.forget(store_id)

    async def remove_stale(self) -> int:
        """How many documents of stores there were without a file, or of expired ones."""
        return await remove_stale(self._database, self._clock())

    async def _load(self, connection: AsyncConnection, site_id: str, store_id: str) -> Store:
        row = await _find_row(connection, site_id, store_id)
        return self._to_store(row, (await sum_up(connection, "store_id", [store_id]))[store_id])

    def _to_store(self, row: Row[Any], sums: Sum) -> Store:
        return Store(*row, sums=sums, has_expired=self._has_expired(row))

    def _has_expired(self, row: Row[Any]) -> bool:
        expires_at = to_expiry(row.last_active_at, row.expires_after_days)
        return expires_at is not None and expires_at <= self._clock()


def to_expiry(last_active_at: datetime, days: int | None) -> datetime | None:
    """The moment so many days later; None is never."""
    return None if days is None else last_active_at + timedelta(days=days)


async def _find_row(
    connection: AsyncConnection, site_id: str, store_id: str, param: str = _PARAM
) -> Row[Any]:
    """The store without what its files add up to, which takes long for many. Raises NotFound."""
    row = None
    if is_id(store_id):
        query = _of_site(site_id).where(store.c.id == store_id)
        row = (await connection.execute(query)).first()
    if row is None:
        raise NotFound("There is no such vector store.", param=param, code="vector_store_not_found")
    return row


def _of_site(site_id: str) -> Any:
    return select(*_COLUMNS).where(store.c.site_id == site_id)
