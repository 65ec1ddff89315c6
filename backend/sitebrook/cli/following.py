"""A job followed by the command that started it, which does it itself when nobody else does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from typing import Final

import click

from sitebrook.errors import SitebrookError
from sitebrook.jobs.engine import WorkerOptions
from sitebrook.jobs.following import follow
from sitebrook.jobs.job import ENDED, Job, Status
from sitebrook.parts import Parts

# A job that no worker has begun by then is done by this process.
_PATIENCE_S: Final = 2.0
_GIVE_BACK_S: Final = 2.0


async def follow_to_end(
    parts: Parts, site_id: str, job_id: str, show: Callable[[Job], object]
) -> Job:
    """The job when it has succeeded; ``show`` hears of each state.

    Ctrl-C cancels it. Raises SitebrookError when it was cancelled or failed.
    """
    job = await _follow(parts, site_id, job_id, show)
    if job.status is Status.CANCELLED:
        raise SitebrookError("The job was cancelled; the documents that were taken in stay.")
    if job.status is not Status.SUCCEEDED:
        raise SitebrookError(
            f"{job.error_message} What was taken in stays; `sitebrook jobs retry {job.id}` goes on."
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
            click.echo("Cancelled; the documents that were taken in stay.", err=True)
            raise
    raise AssertionError("a job is watched until it has ended")


class _Helper:
    """A worker of this process, for a job that no other one begins."""

    def __init__(self, parts: Parts) -> None:
        options = WorkerOptions(concurrency=1, drain_s=_GIVE_BACK_S)
        self._worker = parts.jobs.worker(options)
        self._working: asyncio.Task[None] | None = None
        loop = asyncio.get_running_loop()
        self._starting = loop.call_later(_PATIENCE_S, self.start)

    def start(self) -> None:
        """Begins to work."""
        self._starting.cancel()
        if self._working is None:
            self._working = asyncio.create_task(self._worker.run())

    def saw(self, job: Job) -> None:
        """Nothing to do for a job that somebody has begun."""
        if job.status is not Status.QUEUED:
            self._starting.cancel()

    async def stop(self) -> None:
        """Gives back what it is doing."""
        self._starting.cancel()
        if self._working is not None:
            self._worker.stop_now()
            await asyncio.wait({self._working})


@contextlib.asynccontextmanager
async def _worker_if_none(parts: Parts) -> AsyncGenerator[_Helper]:
    helper = _Helper(parts)
    if not (await parts.jobs.stats()).workers:
        helper.start()
    try:
        yield helper
    finally:
        await helper.stop()
