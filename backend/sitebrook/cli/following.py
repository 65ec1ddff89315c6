"""A job followed by the command that started it, which does it itself when nobody else does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from typing import Final

import click

from sitebrook.errors import SitebrookError, Unavailable
from sitebrook.jobs.engine import WorkerOptions
from sitebrook.jobs.following import follow
from sitebrook.jobs.job import ENDED, Job, Status
from sitebrook.parts import Parts

# A job that no worker has begun by then is done by this process.
_PATIENCE_S: Final = 2.0
_GIVE_BACK_S: Final = 2.0
_DOCUMENTS: Final = "the documents that were taken in"


async def follow_to_end(
    parts: Parts,
    site_id: str,
    job_id: str,
    show: Callable[[Job], object],
    *,
    kept: str = _DOCUMENTS,
) -> Job:
    """The job when it has succeeded; ``show`` hears of each state.

    Ctrl-C cancels it. Raises SitebrookError when it was cancelled or failed, which names what is
    ``kept`` of its work.
    """
    try:
        job = await _follow(parts, site_id, job_id, show)
    except asyncio.CancelledError:
        click.echo(f"Cancelled; {kept} stay.", err=True)
        raise
    if job.status is Status.CANCELLED:
        raise SitebrookError(f"The job was cancelled; {kept} stay.")
    if job.status is not Status.SUCCEEDED:
        raise SitebrookError(
            f"{job.error_message} `sitebrook jobs retry {job.id}` goes on; {kept} stay."
        )
    return job


async def _follow(parts: Parts, site_id: str, job_id: str, show: Callable[[Job], object]) -> Job:
    async with _worker_if_none(parts) as helper:
        try:
            states = follow(parts.database, parts.events, site_id, job_id)
            async with contextlib.aclosing(states):
                async for job in states:
                    helper.saw(job)
                    show(job)
                    if job.status in ENDED:
                        return job
        except asyncio.CancelledError:
            await parts.jobs.cancel(job_id, site_id=site_id)
            raise
    raise AssertionError("a job is watched until it has ended")


class _Helper:
    """A worker of this process, for a job that no other one begins or goes on with."""

    def __init__(self, parts: Parts) -> None:
        options = WorkerOptions(concurrency=1, drain_s=_GIVE_BACK_S)
        self._jobs = parts.jobs
        self._worker = parts.jobs.worker(options)
        self._is_begun = False
        self._working: asyncio.Task[None] | None = None
        self._watching = asyncio.create_task(self._watch())

    async def start_if_alone(self) -> None:
        """Begins to work unless there is a worker."""
        if self._working is None and not (await self._jobs.stats()).workers:
            self._start()

    def saw(self, job: Job) -> None:
        """Nothing to do for a job that somebody has begun, unless that worker dies."""
        self._is_begun = job.status is not Status.QUEUED

    async def stop(self) -> None:
        """Gives back what it is doing."""
        self._watching.cancel()
        await asyncio.wait({self._watching})
        if self._working is not None:
            self._worker.stop_now()
            await asyncio.wait({self._working})

    async def _watch(self) -> None:
        while self._working is None:
            await asyncio.sleep(_PATIENCE_S)
            if not self._is_begun:
                self._start()
            else:
                with contextlib.suppress(Unavailable):
                    await self.start_if_alone()

    def _start(self) -> None:
        if self._working is None:
            self._working = asyncio.create_task(self._worker.run())


@contextlib.asynccontextmanager
async def _worker_if_none(parts: Parts) -> AsyncGenerator[_Helper]:
    helper = _Helper(parts)
    try:
        await helper.start_if_alone()
        yield helper
    finally:
        await helper.stop()
