"""Job engines over a test's database, with kinds of jobs made for what is tested."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import sqlalchemy as sa

from sitebrook.db.engine import Database
from sitebrook.events.log import END, Event
from sitebrook.events.ring_log import RingLog
from sitebrook.jobs.connections import Connections
from sitebrook.jobs.context import JobContext
from sitebrook.jobs.engine import WorkerOptions
from sitebrook.jobs.job import NewJob
from sitebrook.jobs.kinds import JobKind, JobKinds
from sitebrook.jobs.procrastinate_engine import ProcrastinateEngine
from sitebrook.jobs.streams import stream_of
from sitebrook.jobs.worker import Worker
from sitebrook.settings import EventSettings, JobSettings

SOON_S = 30
# As in use, with clocks a tenth as long.
QUICK = {"heartbeat_s": 0.5, "stalled_s": 2.0, "poll_s": 0.1, "grace_s": 0.5, "retry_first_s": 0.1}


class Note(msgspec.Struct):
    """The arguments of most kinds here."""

    text: str = ""


def kind(name: str, handler: Callable[[JobContext, Note], Any], **over: Any) -> JobKind[Note]:
    return JobKind(name=name, handler=handler, arguments=Note, **over)


@dataclass
class Engine:
    """An open engine, the log that it tells of its jobs, and its database."""

    jobs: ProcrastinateEngine
    connections: Connections
    settings: JobSettings
    log: RingLog
    database: Database
    sites: dict[str, str | None] = field(default_factory=dict)

    async def enqueue(self, kind: str, text: str = "", **over: Any) -> str:
        new = NewJob(kind=kind, arguments=Note(text), **over)
        async with self.database.begin() as connection:
            job_id = await self.jobs.enqueue(connection, new)
        self.sites[job_id] = new.site_id
        return job_id

    async def enqueue_plain(self, kind: str) -> str:
        """A job of a kind without arguments and without a site, as cron enqueues it."""
        async with self.database.begin() as connection:
            job_id = await self.jobs.enqueue(connection, NewJob(kind=kind))
        self.sites[job_id] = None
        return job_id

    async def events(self, job_id: str, until: str = END) -> list[Event]:
        """The events of a job up to the first one of this kind."""
        found: list[Event] = []
        stream = stream_of(self.sites[job_id], job_id)
        async with asyncio.timeout(SOON_S), self.log.read(stream, follows=True) as reader:
            async for event in reader:
                found.append(event)
                if event.kind == until:
                    break
        return found

    async def ended(self, *job_ids: str) -> list[dict[str, Any]]:
        """The rows of jobs when they have ended."""
        await asyncio.gather(*(self.events(job_id) for job_id in job_ids))
        return [await self.row(job_id) for job_id in job_ids]

    async def row(self, job_id: str) -> dict[str, Any]:
        [row] = await self.rows("SELECT * FROM job WHERE id = :id", id=job_id)
        return row

    async def rows(self, statement: str, **parameters: object) -> list[dict[str, Any]]:
        async with self.database.begin() as connection:
            result = await connection.execute(sa.text(statement), parameters)
            return [dict(row) for row in result.mappings()] if result.returns_rows else []

    async def until(self, statement: str, **parameters: object) -> list[dict[str, Any]]:
        """The rows of a statement as soon as it has some."""
        async with asyncio.timeout(SOON_S):
            while not (found := await self.rows(statement, **parameters)):
                await asyncio.sleep(0.02)
        return found

    @contextlib.asynccontextmanager
    async def working(self, concurrency: int = 4, **over: Any) -> AsyncIterator[Worker]:
        """A worker for the length of a block, which gives back what it has not ended."""
        options = {"concurrency": concurrency, "drain_s": 0, **over}
        worker = self.jobs.worker(WorkerOptions(**options))
        running = asyncio.create_task(worker.run())
        try:
            yield worker
        finally:
            worker.stop_now()
            async with asyncio.timeout(SOON_S):
                await running

    async def queue(self) -> list[dict[str, Any]]:
        """The rows of procrastinate's queue."""
        return await self.rows("SELECT * FROM procrastinate_jobs ORDER BY id")


@contextlib.asynccontextmanager
async def open_engine(
    database: Database, kinds: Iterable[JobKind[Any]], **settings: Any
) -> AsyncIterator[Engine]:
    log = RingLog(EventSettings())
    chosen = JobSettings(**{**QUICK, **settings})
    connections = Connections(database.url, size=4)
    jobs = ProcrastinateEngine(connections, JobKinds(kinds), chosen, log)
    async with jobs.opened():
        yield Engine(jobs, connections, chosen, log, database)
