"""Job engines over a test's database, with kinds of jobs made for what is tested."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import sqlalchemy as sa

from sitebrook.db.engine import Database
from sitebrook.jobs.connections import Connections
from sitebrook.jobs.context import JobContext
from sitebrook.jobs.engine import WorkerOptions
from sitebrook.jobs.job import NewJob
from sitebrook.jobs.kinds import JobKind, JobKinds
from sitebrook.jobs.procrastinate_engine import ProcrastinateEngine
from sitebrook.jobs.worker import Worker
from sitebrook.settings import JobSettings

SOON_S = 20
# As in use, with clocks a tenth as long.
QUICK = {"heartbeat_s": 0.5, "stalled_s": 2.0, "poll_s": 0.1, "grace_s": 0.5, "retry_first_s": 0.1}


class Note(msgspec.Struct):
    """The arguments of most kinds here."""

    text: str = ""


@dataclass
class Told:
    """Every event that was told, in order."""

    events: list[tuple[str, int, str, dict[str, Any]]] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def tell(self, job_id: str, attempt: int, name: str, fields: Mapping[str, object], /) -> None:
        self.events.append((job_id, attempt, name, dict(fields)))
        self._changed.set()

    async def until(self, name: str, job_id: str | None = None, count: int = 1) -> None:
        """Returns when ``count`` events of the name were told."""
        async with asyncio.timeout(SOON_S):
            while sum(one[2] == name and job_id in {None, one[0]} for one in self.events) < count:
                self._changed.clear()
                await self._changed.wait()


def kind(name: str, handler: Callable[[JobContext, Note], Any], **over: Any) -> JobKind[Note]:
    return JobKind(name=name, handler=handler, arguments=Note, **over)


@dataclass
class Engine:
    """An open engine, what it told, and its database."""

    jobs: ProcrastinateEngine
    told: Told
    database: Database

    async def enqueue(self, kind: str, text: str = "", **over: Any) -> str:
        async with self.database.begin() as connection:
            return await self.jobs.enqueue(
                connection, NewJob(kind=kind, arguments=Note(text), **over)
            )

    async def row(self, job_id: str) -> dict[str, Any]:
        [row] = await self.rows("SELECT * FROM job WHERE id = :id", id=job_id)
        return row

    async def rows(self, statement: str, **parameters: object) -> list[dict[str, Any]]:
        async with self.database.begin() as connection:
            result = await connection.execute(sa.text(statement), parameters)
            return [dict(row) for row in result.mappings()] if result.returns_rows else []

    @contextlib.asynccontextmanager
    async def working(self, concurrency: int = 4, **over: Any) -> AsyncIterator[Worker]:
        """A worker for the length of a block, which gives back what it has not ended."""
        worker = self.jobs.worker(WorkerOptions(concurrency=concurrency, drain_s=0, **over))
        running = asyncio.create_task(worker.run())
        try:
            yield worker
        finally:
            worker.stop_now()
            async with asyncio.timeout(SOON_S):
                await running

    async def is_queue_empty(self) -> bool:
        return not await self.rows("SELECT FROM procrastinate_jobs")


@contextlib.asynccontextmanager
async def open_engine(
    database: Database, *kinds: JobKind[Any], **settings: Any
) -> AsyncIterator[Engine]:
    told = Told()
    chosen = JobSettings(**{**QUICK, **settings})
    connections = Connections(database.url, size=4)
    jobs = ProcrastinateEngine(connections, JobKinds(kinds), chosen, told)
    async with jobs.opened():
        yield Engine(jobs, told, database)
