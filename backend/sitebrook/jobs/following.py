"""A job as it goes on: from its stream where that can be read, from the table anyway."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Final

from sitebrook.db.engine import Database
from sitebrook.errors import NotFound, Unavailable
from sitebrook.events.log import LOST, Event, EventLog, EventReader
from sitebrook.jobs.job import ENDED, Job, Status
from sitebrook.jobs.listing import find_site_job
from sitebrook.jobs.streams import stream_of


@dataclass(frozen=True, slots=True)
class Pauses:
    """How long the table is not asked again: by whom no event reaches, and beside events."""

    alone_s: float = 0.5
    beside_s: float = 5.0


_PAUSES: Final = Pauses()
_PROGRESS: Final = "progress"


async def follow(
    database: Database, log: EventLog, site_id: str | None, job_id: str, pauses: Pauses = _PAUSES
) -> AsyncGenerator[Job]:
    """The job now, then whenever its status or progress changes, until it has ended.

    ``site_id`` is None for a job of no site.

    A process that does not share the log with the job's worker sees what the table has, which is a
    second behind. Raises NotFound, also when the job is removed meanwhile; Unavailable.
    """
    job = await find_site_job(database, site_id, job_id)
    yield job
    async with contextlib.AsyncExitStack() as stack:
        reader = await _open(stack, log, stream_of(site_id, job_id))
        events = _Events(reader)
        stack.push_async_callback(events.aclose)
        while job.status not in ENDED:
            news = await events.wait(pauses)
            found = job
            if job.status is not Status.RUNNING or not _is_progress(news):
                found = await find_site_job(database, site_id, job_id)
            found = events.add_progress(found)
            if found != job:
                job = found
                yield job


async def wait_for_end(
    database: Database, log: EventLog, site_id: str, job_id: str, *, timeout_s: float
) -> Job:
    """The job when it has ended, or as it is after ``timeout_s``. Raises as ``follow``."""
    job: Job | None = None
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            async with contextlib.aclosing(follow(database, log, site_id, job_id)) as states:
                async for state in states:
                    job = state
    return job or await find_site_job(database, site_id, job_id)


class _Events:
    """What a stream tells, waited for in bounds; nothing where there is no stream.

    Until the first event the job may run where its events are kept apart.
    """

    def __init__(self, reader: EventReader | None) -> None:
        self._reader = reader
        self._reading: asyncio.Task[list[Event]] | None = None
        self._hears = False
        self._progress: Event | None = None

    async def wait(self, pauses: Pauses) -> Sequence[Event]:
        """The events that came; none after a pause."""
        if self._reader is None:
            await asyncio.sleep(pauses.alone_s)
            return ()
        if self._reading is None:
            self._reading = asyncio.create_task(self._reader.batch())
        timeout_s = pauses.beside_s if self._hears else pauses.alone_s
        await asyncio.wait({self._reading}, timeout=timeout_s)
        if not self._reading.done():
            return ()
        reading, self._reading = self._reading, None
        try:
            found = reading.result()
        except (NotFound, Unavailable):
            found = []
        if not found:  # behind its last event, or away
            self._reader = self._progress = None
            return found
        # Who takes a lost job over may keep its events apart.
        self._hears = found[-1].kind != LOST
        for event in found:
            if event.kind == _PROGRESS:
                self._progress = event
        return found

    def add_progress(self, job: Job) -> Job:
        """The job with the last progress of its attempt, which the table has a moment later."""
        event = self._progress
        if event is None or job.status is not Status.RUNNING or event.attempt != job.attempt:
            return job
        return dataclasses.replace(job, progress=event.payload)

    async def aclose(self) -> None:
        """Reads no more."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait({self._reading})


async def _open(stack: contextlib.AsyncExitStack, log: EventLog, stream: str) -> EventReader | None:
    try:
        return await stack.enter_async_context(log.read(stream, follows=True))
    except (NotFound, Unavailable):
        return None


def _is_progress(events: Sequence[Event]) -> bool:
    return bool(events) and all(event.kind == _PROGRESS for event in events)
