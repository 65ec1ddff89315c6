"""Notices a handler that blocks the event loop, from a thread, which goes on meanwhile."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any, Final

import psycopg

from sitebrook.jobs import statements
from sitebrook.jobs.attempts import Attempt, Ending, to_parameters
from sitebrook.jobs.connections import Connections
from sitebrook.jobs.job import Status
from sitebrook.jobs.runs import Runs
from sitebrook.settings.jobs import JobSettings

_LOG: Final = logging.getLogger(__name__)
_TICKS: Final = 20
_END_S: Final = 5.0


class Watchdog:
    """Marks a job failed whose handler lets nothing else run; the rest depends on the process.

    A process of its own for jobs gives its other jobs back and is replaced, by ``replace``. A
    server cannot do that: its other jobs go on when the handler lets them, if other workers have
    not taken them over by then.
    """

    def __init__(
        self,
        connections: Connections,
        runs: Runs,
        settings: JobSettings,
        replace: Callable[[], object] | None,
    ) -> None:
        self._connections = connections
        self._runs = runs
        self._blocked_s = settings.blocked_s
        self._tick_s = settings.blocked_s / _TICKS
        self._replace = replace
        self._ended = threading.Event()
        self._alive_at = 0.0

    async def run(self) -> None:
        """Watches the running loop until it is cancelled."""
        loop, self._alive_at = asyncio.get_running_loop(), time.monotonic()
        arguments = (loop, threading.get_ident())
        thread = threading.Thread(target=self._watch, args=arguments, name="jobs", daemon=True)
        thread.start()
        try:
            while True:
                self._alive_at = time.monotonic()
                await asyncio.sleep(self._tick_s)
        finally:
            self._ended.set()

    def _watch(self, loop: asyncio.AbstractEventLoop, thread_id: int) -> None:
        looked_at = time.monotonic()
        handled_at = 0.0
        while not self._ended.wait(self._tick_s):
            now = time.monotonic()
            if now - looked_at > self._blocked_s / 2:
                # The whole process stood still, this thread too: the loop is to blame for nothing.
                self._alive_at = now
            looked_at = now
            alive_at = self._alive_at
            if now - alive_at > self._blocked_s and handled_at != alive_at:
                task = asyncio.current_task(loop)
                if self._end_blocking(task, thread_id):
                    handled_at = alive_at
                    if self._replace is not None:
                        self._replace()

    def _end_blocking(self, task: asyncio.Task[object] | None, thread_id: int) -> bool:
        """Whether PostgreSQL has taken note of it."""
        blocking = self._runs.find(task)
        # The only way to the stack of another thread.
        frame = sys._current_frames().get(thread_id)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
        stack = "".join(traceback.format_stack(frame)) if frame is not None else ""
        job_id = None if blocking is None else blocking.attempt.ticket.job_id
        _LOG.error("the event loop is blocked", extra={"job": job_id, "stack": stack})
        try:
            with self._connections.connect_blocking() as connection:
                if blocking is not None:
                    _write(connection, blocking.attempt, self._to_failed())
                if self._replace is not None:
                    for run in self._runs.all():
                        if run is not blocking:
                            _write(connection, run.attempt, Ending(status=Status.QUEUED))
        except psycopg.Error:
            _LOG.exception("the jobs of a blocked worker could not be ended")
            return False
        return True

    def _to_failed(self) -> Ending:
        return Ending(
            status=Status.FAILED,
            error_code="job_blocked",
            error_message=f"The job let nothing else run for {self._blocked_s:g} s.",
            failures=1,
        )


def _write(connection: psycopg.Connection[Any], attempt: Attempt, ending: Ending) -> None:
    connection.execute(statements.END, to_parameters(attempt, ending, None))
