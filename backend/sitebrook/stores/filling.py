"""The job that reads the files of a store."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from sitebrook.errors import InvalidRequest, Unavailable
from sitebrook.jobs.context import JobContext
from sitebrook.jobs.job import NewJob
from sitebrook.jobs.kinds import MOST_TIMEOUT_S, JobKind
from sitebrook.jobs.pace import Pace

if TYPE_CHECKING:  # an idle worker does without SQLAlchemy, which takes 20 MB
    from sqlalchemy.ext.asyncio import AsyncConnection

    from sitebrook.db.engine import Database
    from sitebrook.ingestion.ingest import Ingester, Stage
    from sitebrook.jobs.engine import JobEngine
    from sitebrook.stores.waiting import JobCounts, Waiting

FILL: Final = "fill_store"
_MAX_ATTEMPTS: Final = 5
# What is left then goes to another job.
_PART_S: Final = MOST_TIMEOUT_S - 300


class FillArguments(msgspec.Struct, frozen=True):
    """The store whose files are read: those that wait for this job."""

    store_id: str


class FillResult(msgspec.Struct, frozen=True):
    """What became of the files, by earlier attempts too."""

    completed: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class FillTools:
    """What reading the files of a store needs."""

    database: Database
    ingester: Ingester
    jobs: JobEngine


def fill_kind(open_tools: Callable[[], Awaitable[FillTools]]) -> JobKind[FillArguments]:
    """The kind; its tools are opened when there is a job to do."""

    async def handle(context: JobContext, arguments: FillArguments) -> FillResult:
        return await _Filling(await open_tools(), context, arguments.store_id).run()

    return JobKind(
        name=FILL,
        handler=handle,
        arguments=FillArguments,
        timeout_s=MOST_TIMEOUT_S,
        max_attempts=_MAX_ATTEMPTS,
        retries=(Unavailable, TimeoutError),
    )


@dataclass(frozen=True, slots=True)
class _Holder:
    """The store, as the one whose documents are read in the language of its site."""

    id: str
    language: str


class _Filling:
    """One attempt: it goes on behind what earlier attempts have settled."""

    def __init__(self, tools: FillTools, context: JobContext, store_id: str) -> None:
        self._tools = tools
        self._context = context
        self._store_id = store_id
        self._counts: JobCounts
        self._pace: Pace

    async def run(self) -> FillResult:
        """Reads every file that waits for this job; none when the store is gone."""
        from sqlalchemy.exc import IntegrityError

        from sitebrook.stores import waiting

        database = self._tools.database
        try:
            await self._read_all(await self._find_holder())
        except IntegrityError:
            if await waiting.is_store(database, self._store_id):
                raise
        counts = await waiting.count(database, self._store_id, self._context.job_id)
        return FillResult(completed=counts.completed, failed=counts.failed)

    async def _read_all(self, holder: _Holder) -> None:
        from sitebrook.stores import waiting

        database, job_id = self._tools.database, self._context.job_id
        until = time.monotonic() + _PART_S
        self._counts = first = await waiting.count(database, self._store_id, job_id)
        self._pace = Pace(first.done)
        while (one := await waiting.find_next(database, self._store_id, job_id)) is not None:
            if self._counts != first and time.monotonic() > until:
                await self._hand_over()
                return
            await self._read(holder, one)
            self._context.check_cancelled()

    async def _read(self, holder: _Holder, one: Waiting) -> None:
        from sitebrook.db.tables import now
        from sitebrook.ingestion.ingest import IngestedDocument
        from sitebrook.stores.cleaning import remove_stale
        from sitebrook.stores.waiting import Unwanted, check_waits, count, settle

        job_id, database = self._context.job_id, self._tools.database
        source_chunks: int | None = None

        def show(stage: Stage, chunks: int | None = None) -> None:
            nonlocal source_chunks
            source_chunks = source_chunks if chunks is None else chunks
            self._show(stage, one, source_chunks=source_chunks)

        async def guard(connection: AsyncConnection) -> None:
            await self._context.check_current(connection)
            await check_waits(connection, self._store_id, one.file_id, job_id)

        is_read = is_noted = False
        with contextlib.suppress(Unwanted):
            outcome = await self._tools.ingester.take_in(holder, one.raw, show, guard)
            is_read = isinstance(outcome, IngestedDocument)
            is_noted = await settle(database, self._store_id, one.file_id, job_id, outcome)
        if not (is_noted and is_read):
            # What was made of it before, or while it was taken out or cancelled.
            await remove_stale(database, now(), self._store_id, one.raw.source)
        self._context.settled()
        self._counts = await count(database, self._store_id, job_id)
        became = "completed" if is_read else "failed"
        self._show("done", one, outcome=became if is_noted else "cancelled")

    def _show(self, stage: str, one: Waiting, **more: object) -> None:
        counts = self._counts
        self._context.progress(
            stage=stage,
            source=one.file_id,
            done=counts.done,
            total=counts.total,
            completed=counts.completed,
            failed=counts.failed,
            left_s=self._pace.left_s(counts.done, counts.total),
            **more,
        )

    async def _hand_over(self) -> None:
        """Leaves the files that still wait to a new job."""
        from sitebrook.stores.waiting import hand_over

        new = NewJob(
            kind=FILL, arguments=FillArguments(self._store_id), site_id=self._context.site_id
        )
        async with self._tools.database.begin() as connection:
            job_id = await self._tools.jobs.enqueue(connection, new)
            await hand_over(connection, self._store_id, self._context.job_id, job_id)

    async def _find_holder(self) -> _Holder:
        from sitebrook.access.sites import find_site

        async with self._tools.database.begin() as connection:
            site = await find_site(connection, self._context.site_id or "")
        if site is None:
            raise InvalidRequest("The site of this job is gone.")
        return _Holder(self._store_id, site.language)
