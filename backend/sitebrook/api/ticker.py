"""One timer for everything that open streams do by the clock."""

from __future__ import annotations

import asyncio
from typing import Protocol


class Ticking(Protocol):
    """What wants to look at the clock now and then."""

    def tick(self, now: float) -> None:
        """Does what is due; ``now`` is the loop's time in seconds."""
        ...


class Ticker:
    """Calls ``tick`` of all its members each ``interval_s``; it sleeps while there are none."""

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._members: dict[Ticking, None] = {}
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, member: Ticking) -> None:
        """Begins to call the member."""
        self._members[member] = None
        if self._timer is None:
            self._timer = self._loop.call_later(self._interval_s, self._tick)

    def discard(self, member: Ticking) -> None:
        """Calls the member no more."""
        self._members.pop(member, None)

    def _tick(self) -> None:
        self._timer = None
        now = self._loop.time()
        for member in tuple(self._members):
            member.tick(now)
        if self._members:
            self._timer = self._loop.call_later(self._interval_s, self._tick)
