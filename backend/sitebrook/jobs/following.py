"""A job as it goes on: from its stream where that can be read, from the table anyway."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncGenerator, Sequence
from typing import Final

from sitebrook.db.engine import Database
from sitebrook.errors import NotFound, Unavailable
from sitebrook.events.log import Event, EventLog, EventReader
from sitebrook.jobs.job import ENDED, Job
from sitebrook.jobs.listing import find_job
from sitebrook.jobs.streams import stream_of

_POLL_S: Final = 0.5


async def follow(
    database: Database, log: EventLog, site_id: str, job_id: str
) -> AsyncGenerator[Job]:
    """The job now, then whenever its status or progress changes, until it has ended.

    A process that does not share the log with the job's worker sees what the table has, which is a
    second behind. Raises NotFound, also when the job is removed meanwhile; Unavailable.
    """
    job = await _find(database, site_id, job_id)
    yield job
    async with contextlib.AsyncExitStack() as stack:
        events = _Events(await _open(stack, log, stream_of(site_id, job_id)))
        stack.push_async_callback(events.aclose)
        while job.status not in ENDED:
            news = await events.wait(_POLL_S)
            progress = _last_progress(news)
            if progress is not None and not any(event.is_last for event in news):
                found = dataclasses.replace(job, progress=progress)
            else:
                found = await _find(database, site_id, job_id)
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
    return job or await _find(database, site_id, job_id)


class _Events:
    """What a stream tells, waited for in bounds; nothing where there is no stream."""

    def __init__(self, reader: EventReader | None) -> None:
        self._reader = reader
        self._reading: asyncio.Task[list[Event]] | None = None

    async def wait(self, timeout_s: float) -> Sequence[Event]:
        """The events that came; none after ``timeout_s``."""
        if self._reader is None:
            await asyncio.sleep(timeout_s)
            return ()
        if self._reading is None:
            self._reading = asyncio.create_task(self._reader.batch())
        await asyncio.wait({self._reading}, timeout=timeout_s)
        if not self._reading.done():
            return ()
        reading, self._reading = self._reading, None
        try:
            found = reading.result()
        except (NotFound, Unavailable):
            found = []
        if not found:  # behind its last event, or away
            self._reader = None
        return found

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


def _last_progress(events: Sequence[Event]) -> object | None:
    found = [event.payload for event in events if event.kind == "progress"]
    return found[-1] if found else None


async def _find(database: Database, site_id: str, job_id: str) -> Job:
    job = await find_job(database, job_id, site_id=site_id)
    if job is None:
        raise NotFound("There is no such job.", param="job_id", code="job_not_found")
    return job
