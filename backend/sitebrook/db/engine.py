"""Connections to PostgreSQL, one short transaction at a time."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from sitebrook.db.connect import CONNECT_ARGS, no_database
from sitebrook.db.pool import Pool
from sitebrook.db.snapshot import Snapshot

_PING: Final = text("SELECT 1")
# Searches read snapshots and compute in between. With all of 16 at once, a round of the event loop
# took up to 22 ms of processor time, with four at a time up to 9: streams go on.
_SNAPSHOTS_AT_ONCE: Final = 4
_SNAPSHOT_OPTIONS: Final = (
    r"-c default_transaction_isolation=repeatable\ read -c default_transaction_read_only=on"
)


class Database:
    """Pooled connections, some of them for searches, one for look-ups; each wait is bounded."""

    def __init__(self, url: str, *, pool_size: int = 10) -> None:
        """``pool_size`` is two or more: one for searches, one for all else."""
        self.url = url
        look_ups = 1 if pool_size > 2 else 0
        snapshots = min(_SNAPSHOTS_AT_ONCE, pool_size - 1 - look_ups)
        self._pool = Pool(url, pool_size - snapshots - look_ups)
        # The driver prepares nothing on these: when it rolls back, it lets go of all prepared
        # statements, also of those that a pipeline has prepared.
        options = f"{CONNECT_ARGS['options']} {_SNAPSHOT_OPTIONS}"
        reading = {"options": options, "prepare_threshold": None}
        self._snapshots = Pool(url, snapshots, **reading)
        self._look_ups = Pool(url, look_ups, **reading) if look_ups else self._snapshots

    @property
    def pools(self) -> Mapping[str, Pool]:
        """The connections for searches, for look-ups unless searches share theirs, for all else."""
        named = {"search": self._snapshots, "other": self._pool}
        return named if self._look_ups is self._snapshots else {**named, "look_up": self._look_ups}

    @asynccontextmanager
    async def begin(self) -> AsyncGenerator[AsyncConnection]:
        """A connection in a transaction that commits at the end and rolls back on an error.

        Raises Unavailable when PostgreSQL does not answer, or ends the transaction because others
        beside it wait for each other. Hold it for one step only: never while
        a provider is awaited or a stream runs.
        """
        async with self._pool.begin() as connection:
            yield connection

    @asynccontextmanager
    async def begin_snapshot(self) -> AsyncGenerator[AsyncConnection]:
        """A connection whose statements all see the database as of the first; it cannot write.

        Four at once, fewer of a pool below six; the others wait their turn. Otherwise as
        ``begin``.
        """
        async with self._snapshots.begin() as connection:
            yield connection

    def pipelined(self) -> AbstractAsyncContextManager[Snapshot]:
        """As ``begin_snapshot``, for statements so frequent that SQLAlchemy's share counts."""
        return _pipelined(self._snapshots)

    def look_up(self) -> AbstractAsyncContextManager[Snapshot]:
        """The same for one small statement that every request may wait for.

        It has a connection of its own: searches compute while they hold theirs.
        """
        return _pipelined(self._look_ups)

    async def check(self) -> None:
        """Raises Unavailable unless PostgreSQL answers."""
        async with self.begin() as connection:
            await connection.execute(_PING)

    async def aclose(self) -> None:
        """Closes every pooled connection."""
        await self._pool.aclose()
        await self._snapshots.aclose()
        await self._look_ups.aclose()


@asynccontextmanager
async def _pipelined(pool: Pool) -> AsyncGenerator[Snapshot]:
    async with pool.begin() as connection:
        snapshot = await Snapshot.over(connection)
        try:
            yield snapshot
            await snapshot.settle()
        finally:
            await snapshot.leave()
        if snapshot.is_lost:  # SQLAlchemy would tell of a commit that it cannot do
            raise no_database()
