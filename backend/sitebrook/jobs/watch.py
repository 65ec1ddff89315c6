"""What is known of all jobs and workers, asked every few seconds for those who show it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from sitebrook.errors import Unavailable
from sitebrook.jobs.engine import JobEngine
from sitebrook.telemetry.metrics import JobFigures

_PAUSE_S: Final = 5.0


class JobWatch:
    """The figures of the engine as of a few seconds ago; None before the first."""

    def __init__(self, engine: JobEngine) -> None:
        self._engine = engine
        self.figures: JobFigures | None = None

    @property
    def is_well(self) -> bool:
        """Whether somebody runs the jobs that there are, as far as is known."""
        return self.figures is None or self.figures.workers > 0 or not self.figures.open

    async def run(self) -> None:
        """Keeps the figures until it is cancelled."""
        while True:
            # While the database is away what was known stays; its own health says the rest.
            with contextlib.suppress(Unavailable):
                self.figures = await self._engine.stats()
            await asyncio.sleep(_PAUSE_S)
