"""What a worker does beside running jobs: it shows its life and looks after what is left over."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sitebrook.errors import Unavailable
from sitebrook.events.log import EventLog
from sitebrook.jobs.attempts import LOST, Attempts, to_error
from sitebrook.jobs.connections import Connections
from sitebrook.jobs.engine import JobObserver
from sitebrook.jobs.enqueueing import insert
from sitebrook.jobs.job import ENDED, NewJob
from sitebrook.jobs.kinds import JobKinds, last_moment
from sitebrook.jobs.lanes import admit_left_over
from sitebrook.jobs.liveness import Liveness
from sitebrook.jobs.queue import Queue
from sitebrook.jobs.running import Reason
from sitebrook.jobs.runs import Runs
from sitebrook.jobs.streams import JobStream
from sitebrook.settings.jobs import JobSettings

_LOG: Final = logging.getLogger(__name__)
# How often the database is asked whether it is back.
_AWAY_S: Final = 1.0
# What cron wanted while no worker ran is made up for if it is no older.
_MADE_UP_FOR: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What a worker works with."""

    connections: Connections
    queue: Queue
    attempts: Attempts
    kinds: JobKinds
    log: EventLog
    observer: JobObserver | None
    settings: JobSettings


class Upkeep:
    """The standing tasks of one worker. ``wake`` is called when there may be a job to fetch."""

    def __init__(self, tools: Tools, runs: Runs, wake: Callable[[], object]) -> None:
        self.worker_id: int | None = None
        self._tools = tools
        self._settings = tools.settings
        self._runs = runs
        self._wake = wake
        self._liveness = Liveness(
            heartbeat_s=self._settings.heartbeat_s, stalled_s=self._settings.stalled_s
        )
        self._enqueued: dict[str, datetime] = {}

    def start(self, group: asyncio.TaskGroup) -> list[asyncio.Task[Any]]:
        """The tasks, begun in the group."""
        settings = self._settings
        return [
            group.create_task(_repeat(act, pause_s), name=act.__name__)
            for act, pause_s in (
                (self._beat, settings.heartbeat_s),
                (self._listen, settings.poll_s),
                (self._keep_runs, settings.poll_s),
                (self._admit, settings.poll_s),
                (self._reap, settings.heartbeat_s / 2),
                (self._enqueue_moments, settings.poll_s),
            )
        ]

    async def leave(self) -> None:
        """Takes the worker off the list, so that nobody waits for its heartbeat."""
        if self.worker_id is not None:
            try:
                await self._tools.queue.leave(self.worker_id)
            except Unavailable:
                _LOG.warning("the worker could not sign off: the database does not answer")

    async def _beat(self) -> None:
        queue, clock = self._tools.queue, asyncio.get_running_loop().time
        if self.worker_id is None or not await queue.beat(self.worker_id):
            is_settled = await queue.is_settled(self._settings.stalled_s)
            self.worker_id = await queue.join()
            self._liveness.begin(clock(), is_settled=is_settled)
            self._wake()
        else:
            self._liveness.beat(clock())

    async def _listen(self) -> None:
        def cancel(engine_id: int) -> None:
            self._runs.stop(engine_id, Reason.CANCELLED)

        await self._tools.queue.listen(self._wake, cancel)

    async def _keep_runs(self) -> None:
        asked = self._runs.take_unsaved()
        if asked:
            self._runs.keep(asked, await self._tools.attempts.keep(asked))

    async def _admit(self) -> None:
        await admit_left_over(self._tools.connections, self._settings.lanes)

    async def _reap(self) -> None:
        clock = asyncio.get_running_loop().time
        if not self._liveness.may_judge(clock()):
            return
        for ticket in await self._tools.queue.stalled(self._settings.stalled_s):
            lost = await self._tools.attempts.lose(ticket)
            names = {"job": ticket.job_id, "attempt": ticket.attempt}
            _LOG.warning("a worker is gone", extra={**names, "status": lost and lost.status})
            if lost is not None and lost.status in ENDED:
                log = self._tools.log
                stream = JobStream(log, lost.site_id, ticket.job_id, ticket.attempt + 1)
                stream.finish(lost.status, to_error(*LOST))

    async def _enqueue_moments(self) -> None:
        now = datetime.now(UTC)
        for kind in self._tools.kinds.values():
            if kind.cron is None:
                continue
            moment = last_moment(kind.cron, now)
            if now - moment < _MADE_UP_FOR and self._enqueued.get(kind.name) != moment:
                new = NewJob(kind=kind.name)
                async with self._tools.connections.begin() as connection:
                    await insert(connection, kind, new, self._settings, scheduled_for=moment)
                self._enqueued[kind.name] = moment


async def _repeat(act: Callable[[], Awaitable[None]], pause_s: float) -> None:
    is_away = False
    while True:
        try:
            await act()
            is_away = False
        except Unavailable:
            if not is_away:
                _LOG.warning("the database does not answer", extra={"job_upkeep": act.__name__})
            is_away = True
        except Exception:  # noqa: BLE001 - a worker's loop: a fault here must not end its jobs
            _LOG.exception("the upkeep of jobs failed", extra={"job_upkeep": act.__name__})
        await asyncio.sleep(min(pause_s, _AWAY_S) if is_away else pause_s)
