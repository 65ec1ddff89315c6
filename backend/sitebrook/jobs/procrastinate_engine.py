"""The job engine over procrastinate's queue, with our table as the truth."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Collection
from typing import TYPE_CHECKING, Any, Final, LiteralString, cast

import psycopg

from sitebrook.events.log import EventLog
from sitebrook.ids import is_id
from sitebrook.jobs import statements
from sitebrook.jobs.attempts import Attempts
from sitebrook.jobs.connections import Connections, run, telling_failures
from sitebrook.jobs.engine import JobObserver, WorkerOptions
from sitebrook.jobs.enqueueing import insert
from sitebrook.jobs.job import NewJob, Status
from sitebrook.jobs.kinds import JobKinds
from sitebrook.jobs.lanes import admit
from sitebrook.jobs.queue import Queue
from sitebrook.jobs.streams import JobStream
from sitebrook.jobs.upkeep import Tools
from sitebrook.jobs.worker import Worker
from sitebrook.settings.jobs import JobSettings
from sitebrook.telemetry.metrics import JobFigures, OpenJobs

if TYPE_CHECKING:  # an idle worker does without SQLAlchemy, which takes 20 MB
    from sqlalchemy.ext.asyncio import AsyncConnection

_CANCEL_TRIES: Final = 3
_OPEN: Final[LiteralString] = """
    SELECT kind, status, count(*) AS count,
        extract(epoch FROM now() - min(created_at))::float8 AS oldest_s
    FROM job WHERE status IN ('queued', 'running', 'waiting') GROUP BY kind, status
"""
_WORKERS: Final[LiteralString] = """
    SELECT count(*) AS count FROM procrastinate_workers
    WHERE last_heartbeat > now() - %(seconds)s * interval '1 second'
"""


class ProcrastinateEngine:
    """Jobs in the table ``job``, started by rows in procrastinate's queue.

    ``kinds`` are those that this process may enqueue and run.
    """

    def __init__(
        self, connections: Connections, kinds: JobKinds, settings: JobSettings, log: EventLog
    ) -> None:
        self._connections = connections
        self._kinds = kinds
        self._settings = settings
        self._log = log
        self.observer: JobObserver | None = None

    @property
    def kinds(self) -> Collection[str]:
        """The names of the kinds of jobs that there are."""
        return self._kinds.keys()

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncGenerator[None]:
        """The engine for the length of a block; connections are made when they are needed."""
        async with self._connections:
            yield

    async def enqueue(self, connection: AsyncConnection, new: NewJob) -> str:
        """The id of the new job, which exists when the caller's transaction commits."""
        raw = await connection.get_raw_connection()
        driver = cast("psycopg.AsyncConnection[Any]", raw.driver_connection)
        with telling_failures():
            job_id = await insert(driver, self._kinds[new.kind], new, self._settings)
        assert job_id is not None  # noqa: S101 - only moments of cron may be there already
        return job_id

    async def cancel(self, job_id: str, *, site_id: str | None = None) -> None:
        """Ends a job that waits, and asks a running one to end; does nothing to one that ended."""
        if not is_id(job_id):
            return
        parameters = {"id": job_id, "site_id": site_id}
        for _ in range(
            _CANCEL_TRIES
        ):  # between the two, a worker may move it from one to the other
            async with self._connections.begin() as connection:
                cancelled = await run(connection, statements.CANCEL_WAITING, parameters)
                if not cancelled and await run(connection, statements.CANCEL_RUNNING, parameters):
                    return
                for row in cancelled:
                    await self._admit(connection, row["site_id"])
            if cancelled:
                [row] = cancelled
                stream = JobStream(self._log, row["site_id"], job_id, row["attempt"])
                stream.finish(Status.CANCELLED)
                return

    async def retry(self, job_id: str, *, site_id: str | None = None) -> bool:
        """Starts a failed or cancelled job anew; whether it was one."""
        if not is_id(job_id):
            return False
        parameters = {"id": job_id, "site_id": site_id, "ageing_s": self._settings.ageing_s}
        async with self._connections.begin() as connection:
            found = await run(connection, statements.RETRY, parameters)
            for row in found:
                await self._admit(connection, row["site_id"])
        return bool(found)

    async def stats(self) -> JobFigures:
        """What is open, and how many workers were seen lately."""
        async with self._connections.begin() as connection:
            rows = await run(connection, _OPEN, {})
            [workers] = await run(connection, _WORKERS, {"seconds": self._settings.stalled_s})
        return JobFigures(tuple(OpenJobs(**row) for row in rows), workers["count"])

    def worker(self, options: WorkerOptions) -> Worker:
        """A worker of this process, to be run while the engine is open."""
        tools = Tools(
            connections=self._connections,
            queue=Queue(self._connections, options.queues),
            attempts=Attempts(self._connections, lanes=self._settings.lanes),
            kinds=self._kinds,
            log=self._log,
            observer=self.observer,
            settings=self._settings,
        )
        return Worker(tools, options)

    async def _admit(self, connection: psycopg.AsyncConnection[Any], site_id: str | None) -> None:
        if site_id is None:
            await run(connection, statements.FREE_LANES, {})
        else:
            await admit(connection, site_id, self._settings.lanes)
