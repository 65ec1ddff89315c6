"""Clocks that hardly ever run out: one timer of the loop for all that end about the same time."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

_SLOT_S: Final = 0.05
# Of clocks that run for long the slots are longer, so that lone answers share timers too.
_FAR_S: Final = 20.0
_FAR_SLOT_S: Final = 1.0


class Expiring(Protocol):
    """What is told when its time is over."""

    def expire(self) -> None:
        """Its time is over."""
        ...


Slot = dict[Expiring, None]


class Deadlines:
    """Tells its members that their time is over, at most a twentieth of a second late.

    Those who have 20 seconds or more are told within a second.

    Setting and cancelling a timer of the loop takes 5 us and ``asyncio.timeout`` 12, which each
    answer would pay several times for what happens to none in a thousand; this takes half of one.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._slots: dict[float, Slot] = {}

    def add(self, member: Expiring, at: float) -> Slot:
        """Tells the member at the loop's time ``at``, unless it has left the slot by then."""
        width_s = _SLOT_S if at - self.loop.time() < _FAR_S else _FAR_SLOT_S
        ends_at = (int(at / width_s) + 1) * width_s
        slot = self._slots.get(ends_at)
        if slot is None:
            slot = self._slots[ends_at] = {}
            self.loop.call_at(ends_at, self._expire, ends_at)
        slot[member] = None
        return slot

    def _expire(self, ends_at: float) -> None:
        slot = self._slots.pop(ends_at)
        while slot:
            member, _ = slot.popitem()
            member.expire()
