"""What the rest of sitebrook knows of jobs: enqueue, cancel, retry, and how the engine fares."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from sitebrook.jobs.job import NewJob
from sitebrook.telemetry.metrics import JobFigures

if TYPE_CHECKING:  # an idle worker does without SQLAlchemy, which takes 20 MB
    from sqlalchemy.ext.asyncio import AsyncConnection


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """How a worker works: ``concurrency`` jobs at once of the ``queues``, or of all.

    When it is told to stop, jobs have ``drain_s`` to end before they are given back. A process that
    does nothing else can be replaced when a job blocks it: ``replace`` is called in a thread, when
    its other jobs have been given back.
    """

    concurrency: int
    drain_s: float
    queues: tuple[str, ...] | None = None
    replace: Callable[[], object] | None = None


class JobObserver(Protocol):
    """Who counts what the workers of this process do."""

    def note_job_start(self, kind: str, waited_s: float) -> None:
        """A job was started for the first time, so long after it was enqueued."""
        ...

    def note_job_end(self, kind: str, status: str, seconds: float) -> None:
        """An attempt of a job is over, and the job has this status."""
        ...


class JobWorker(Protocol):
    """Runs jobs in this process."""

    @property
    def stuck(self) -> int:
        """Handlers that go on although their job has ended."""
        ...

    @property
    def under_way(self) -> int:
        """How many jobs it is running."""
        ...

    async def run(self) -> None:
        """Returns after a stop, when no job is under way here any more."""
        ...

    async def drained(self) -> None:
        """Returns after a stop, when the last job has ended or was given back."""
        ...

    def stop(self) -> None:
        """Starts no more jobs; those under way get the time of a drain, then are given back."""
        ...

    def stop_now(self) -> None:
        """Gives the jobs under way back at once."""
        ...


class JobEngine(Protocol):
    """Durable background work.

    Everything but ``enqueue`` has a transaction of its own and raises Unavailable when PostgreSQL
    does not answer.
    """

    @property
    def kinds(self) -> Collection[str]:
        """The names of the kinds of jobs that there are."""
        ...

    def opened(self) -> AbstractAsyncContextManager[None]:
        """The engine for the length of a block; connections are made when they are needed."""
        ...

    async def enqueue(self, connection: AsyncConnection, new: NewJob) -> str:
        """The id of the new job, which exists when the caller's transaction commits.

        Raises InvalidRequest for arguments that are too large.
        """
        ...

    async def cancel(self, job_id: str, *, site_id: str | None = None) -> None:
        """Ends a job that waits, and asks a running one to end; does nothing to one that ended.

        With ``site_id`` only the site's. A running job is cancelled when its handler has ended.
        """
        ...

    async def retry(self, job_id: str, *, site_id: str | None = None) -> bool:
        """Starts a failed or cancelled job anew; whether it was one."""
        ...

    def worker(self, options: WorkerOptions) -> JobWorker:
        """A worker of this process, to be run while the engine is open."""
        ...

    async def stats(self) -> JobFigures:
        """What is open, and how many workers were seen lately."""
        ...
