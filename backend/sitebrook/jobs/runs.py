"""The attempts that this process runs, and the handlers that would not end."""

from __future__ import annotations

import asyncio
from typing import Any

from sitebrook.jobs.attempts import Kept
from sitebrook.jobs.context import Unsaved
from sitebrook.jobs.queue import Ticket
from sitebrook.jobs.running import Reason, Run


class Runs:
    """What runs here, by its row in the queue."""

    def __init__(self) -> None:
        self._runs: dict[int, Run] = {}
        self._stuck: set[asyncio.Task[Any]] = set()

    def __len__(self) -> int:
        return len(self._runs)

    @property
    def stuck(self) -> int:
        """How many handlers go on although they were told to end, and their jobs have ended."""
        return len(self._stuck)

    def add(self, run: Run) -> None:
        """Counts an attempt in."""
        self._runs[run.attempt.ticket.engine_id] = run

    def remove(self, run: Run) -> None:
        """Counts it out; its handler may go on, if it is stuck."""
        del self._runs[run.attempt.ticket.engine_id]
        if run.is_stuck:
            self._stuck.add(run.task)
            run.task.add_done_callback(self._end_stuck)

    def stop(self, engine_id: int, reason: Reason) -> None:
        """Tells one to end, if it runs here."""
        if engine_id in self._runs:
            self._runs[engine_id].stop(reason)

    def stop_all(self, reason: Reason) -> None:
        """Tells all to end."""
        for run in self.all():
            run.stop(reason)

    def take_unsaved(self) -> list[tuple[Ticket, Unsaved]]:
        """Every attempt, with what is not stored of it yet and now is taken."""
        return [(run.attempt.ticket, run.context.take_unsaved()) for run in self._runs.values()]

    def keep(self, asked: list[tuple[Ticket, Unsaved]], kept: list[Kept]) -> None:
        """Ends those of the asked ones that are not this worker's any more, or are cancelled."""
        found = {(one.job_id, one.attempt): one for one in kept}
        for ticket, _ in asked:
            one = found.get((ticket.job_id, ticket.attempt))
            if one is None:
                self.stop(ticket.engine_id, Reason.LOST)
            elif one.is_cancelled:
                self.stop(ticket.engine_id, Reason.CANCELLED)

    def all(self) -> list[Run]:
        """Every attempt."""
        return list(self._runs.values())

    def find(self, task: asyncio.Task[Any] | None) -> Run | None:
        """The attempt that the task works for."""
        return next((run for run in self._runs.values() if run.task is task), None)

    def _end_stuck(self, task: asyncio.Task[Any]) -> None:
        self._stuck.discard(task)
        if not task.cancelled():
            task.exception()  # nobody is told: its job has ended
