"""The worker: starts jobs that the queue gives it, and sees to it that each comes to an end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

import msgspec

from sitebrook.errors import Unavailable
from sitebrook.jobs.attempts import Attempt, Ending
from sitebrook.jobs.context import JobContext
from sitebrook.jobs.engine import WorkerOptions
from sitebrook.jobs.job import Status
from sitebrook.jobs.queue import Ticket
from sitebrook.jobs.running import Reason, Run, internal_error, timeout_of
from sitebrook.jobs.runs import Runs
from sitebrook.jobs.streams import JobStream
from sitebrook.jobs.upkeep import Tools, Upkeep
from sitebrook.jobs.watchdog import Watchdog

T = TypeVar("T")

_LOG: Final = logging.getLogger(__name__)
# What attempts that are given back get to end themselves, and PostgreSQL to take note of it.
_GIVE_BACK_S: Final = 1.0
_CANCEL_TRIES: Final = 5
_CANCEL_S: Final = 0.2
_UNKNOWN_KIND_PAUSE_S: Final = 60.0
_MOST_UNKNOWN: Final = 10


class Worker:
    """Runs jobs, ``concurrency`` at once, until it is told to stop."""

    def __init__(self, tools: Tools, options: WorkerOptions) -> None:
        self.runs = Runs()
        self._tools = tools
        self._settings = tools.settings
        self._concurrency = options.concurrency
        self._drain_s = options.drain_s
        self._slots = asyncio.Semaphore(options.concurrency)
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._hurried = asyncio.Event()
        self._idle = asyncio.Event()
        self.upkeep = Upkeep(tools, self.runs, self._wake.set)
        self._watchdog = Watchdog(tools.connections, self.runs, tools.settings, options.replace)

    @property
    def stuck(self) -> int:
        """Handlers that go on although their job has ended."""
        return self.runs.stuck

    @property
    def under_way(self) -> int:
        """How many jobs it is running."""
        return len(self.runs)

    def stop(self) -> None:
        """Starts no more jobs; those under way get the time of a drain, then are given back."""
        if not self._stopping.is_set():
            self._stopping.set()
            self._wake.set()
            asyncio.get_running_loop().call_later(self._drain_s, self._hurried.set)

    def stop_now(self) -> None:
        """Gives the jobs under way back at once."""
        self.stop()
        self._hurried.set()

    async def drained(self) -> None:
        """Returns after a stop, when the last job has ended or was given back."""
        await self._idle.wait()

    async def run(self) -> None:
        """Returns after a stop, when no job is under way here any more."""
        async with self._tools.queue.opened():
            async with asyncio.TaskGroup() as group:
                upkeep = [*self.upkeep.start(group), group.create_task(self._watchdog.run())]
                jobs = await self._fetch(group)
                await self._drain(jobs)
                self._idle.set()
                await _cancel([*upkeep, *jobs])
            await self.upkeep.leave()

    async def _fetch(self, group: asyncio.TaskGroup) -> set[asyncio.Task[None]]:
        """The tasks that are under way when the worker is told to stop."""
        jobs: set[asyncio.Task[None]] = set()
        stopping = group.create_task(self._stopping.wait())
        while not self._stopping.is_set():
            acquiring = group.create_task(self._slots.acquire())
            await asyncio.wait({acquiring, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if self._stopping.is_set():
                acquiring.cancel()
                break
            self._wake.clear()
            ticket = await self._fetch_one()
            if ticket is None:
                self._slots.release()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._settings.poll_s):
                        await self._wake.wait()
                continue
            job = group.create_task(self._run_job(ticket))
            jobs.add(job)
            job.add_done_callback(jobs.discard)
        return jobs

    async def _fetch_one(self) -> Ticket | None:
        worker_id = self.upkeep.worker_id
        if worker_id is None:  # not known to PostgreSQL yet
            return None
        try:
            return await self._tools.queue.fetch(worker_id)
        except Unavailable:
            return None

    async def _drain(self, jobs: set[asyncio.Task[None]]) -> None:
        if jobs:
            hurried = asyncio.create_task(self._hurried.wait())
            every = asyncio.gather(*jobs, return_exceptions=True)
            await asyncio.wait({every, hurried}, return_when=asyncio.FIRST_COMPLETED)
            hurried.cancel()
        if jobs:
            self.runs.stop_all(Reason.GIVEN_BACK)
            await asyncio.wait(jobs, timeout=2 * _GIVE_BACK_S)

    async def _run_job(self, ticket: Ticket) -> None:
        held: asyncio.Task[object] | None = None
        try:
            attempt = await self._insist(lambda: self._tools.attempts.start(ticket))
            if attempt is not None:
                held = await self._run_attempt(attempt)
        finally:
            if held is None:
                self._slots.release()
            else:
                held.add_done_callback(lambda _: self._slots.release())

    async def _run_attempt(self, attempt: Attempt) -> asyncio.Task[object] | None:
        """The task of a handler that would not end, when it has to keep its slot."""
        try:
            run = self._begin(attempt)
        except Refused as refused:
            await self._end(attempt, refused.ending)
            return None
        self.runs.add(run)
        try:
            await run.wait(timeout_of(run.kind, self._settings), self._settings.grace_s)
            await self._finish(run)
        except Exception:  # noqa: BLE001 - a worker's loop: a fault here must not end its jobs
            _LOG.exception("a job could not be ended", extra=_names(attempt))
            await self._end(attempt, internal_error(), run)
        finally:
            self.runs.remove(run)
        # As many as have a slot may go on beside them; what is over that takes their place.
        return run.task if run.is_stuck and self.runs.stuck > self._concurrency else None

    def _begin(self, attempt: Attempt) -> Run:
        kind = self._tools.kinds.get(attempt.kind)
        if kind is None:
            raise Refused(_unknown_kind(attempt))
        try:
            arguments = msgspec.json.decode(attempt.arguments, type=kind.arguments)
        except msgspec.DecodeError as error:
            raise Refused(_bad_arguments(error)) from None
        stream = self._stream_of(attempt)
        stream.begin()
        if self._tools.observer is not None and attempt.ticket.attempt == 1:
            self._tools.observer.note_job_start(attempt.kind, attempt.waited_s)
        ticket = attempt.ticket
        context = JobContext(ticket.job_id, ticket.attempt, attempt.site_id, stream)
        return Run(attempt, kind, context, kind.handler(context, arguments))

    async def _finish(self, run: Run) -> None:
        if run.is_stuck:
            _LOG.error("a handler goes on after its job has ended", extra=_names(run.attempt))
        ending = run.to_ending(self._settings)
        if ending is None:
            _LOG.warning("an attempt lost its job", extra=_names(run.attempt))
            run.context.stream.abandon()
            await self._insist(lambda: self._tools.attempts.leave(run.attempt.ticket))
            return
        await self._end(run.attempt, ending, run)

    async def _end(self, attempt: Attempt, ending: Ending, run: Run | None = None) -> None:
        progress = None if run is None else run.context.take_unsaved().progress
        ended = await self._insist(lambda: self._tools.attempts.end(attempt, ending, progress))
        stream = self._stream_of(attempt) if run is None else run.context.stream
        if ended is None:
            _LOG.warning("what a lost attempt brought is left out", extra=_names(attempt))
            stream.abandon()
        else:
            stream.finish(ended.status, ended.error)
            if self._tools.observer is not None and run is not None:
                self._tools.observer.note_job_end(attempt.kind, ended.status, run.seconds)

    def _stream_of(self, attempt: Attempt) -> JobStream:
        ticket = attempt.ticket
        return JobStream(self._tools.log, attempt.site_id, ticket.job_id, ticket.attempt)

    async def _insist(self, write: Callable[[], Awaitable[T]]) -> T:
        """What a write gives, as soon as PostgreSQL answers; a lasting outage ends with a stop."""
        while True:
            try:
                return await write()
            except Unavailable:
                await asyncio.sleep(self._settings.poll_s)


async def _cancel(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Ends the tasks. Python 3.11's ``wait_for`` loses a cancellation now and then, so again."""
    left = set(tasks)
    for _ in range(_CANCEL_TRIES):
        for task in left:
            task.cancel()
        if left:
            _, left = await asyncio.wait(left, timeout=_CANCEL_S)


class Refused(Exception):
    """An attempt that cannot begin."""

    def __init__(self, ending: Ending) -> None:
        super().__init__()
        self.ending = ending


def _unknown_kind(attempt: Attempt) -> Ending:
    """The kind may be one of a newer version, whose workers run beside this one."""
    is_last = attempt.failures + 1 >= _MOST_UNKNOWN
    return Ending(
        status=Status.FAILED if is_last else Status.WAITING,
        error_code="job_kind_unknown",
        error_message=f"No worker of this version knows jobs of the kind '{attempt.kind}'.",
        failures=1,
        pause_s=_UNKNOWN_KIND_PAUSE_S,
    )


def _bad_arguments(error: msgspec.DecodeError) -> Ending:
    return Ending(
        status=Status.FAILED,
        error_code="job_arguments_invalid",
        error_message=f"This version cannot read what the job is told: {error}",
    )


def _names(attempt: Attempt) -> dict[str, object]:
    ticket = attempt.ticket
    return {"job": ticket.job_id, "attempt": ticket.attempt, "kind": attempt.kind}
