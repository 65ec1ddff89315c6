"""How fast an embedding endpoint is asked."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

_SECONDS: Final = 60.0
_LONGEST_PAUSE_S: Final = 20.0


class Pace:
    """Bounds requests at once and a minute; one that was told to wait makes all others wait."""

    def __init__(self, *, at_once: int, per_minute: int, pause_s: float) -> None:
        self._places = asyncio.Semaphore(at_once)
        self._gap_s = _SECONDS / per_minute if per_minute else 0.0
        self._pause_s = pause_s
        self._next_at = 0.0
        self._rests_until = 0.0

    @asynccontextmanager
    async def place(self) -> AsyncGenerator[None]:
        """A place for one request, once its time has come."""
        loop = asyncio.get_running_loop()
        async with self._places:
            at = max(self._next_at, loop.time())
            self._next_at = at + self._gap_s
            await asyncio.sleep(at - loop.time())
            await asyncio.sleep(self._rests_until - loop.time())
            yield

    def rest(self, tries: int, retry_after_s: float | None) -> None:
        """Puts off all further requests after one has failed for the ``tries``-th time."""
        # Doubled each time, and not the same for all who fail at once.
        share = random.uniform(0.5, 1)  # noqa: S311 - no secret
        pause_s = min(self._pause_s * 2 ** (tries - 1), _LONGEST_PAUSE_S) * share
        now = asyncio.get_running_loop().time()
        self._rests_until = max(self._rests_until, now + (retry_after_s or pause_s))
