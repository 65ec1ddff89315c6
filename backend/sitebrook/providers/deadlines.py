"""Clocks that hardly ever run out: one timer of the loop for all that end about the same time."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

_SLOT_S: Final = 0.05


class Expiring(Protocol):
    """What is told when its time is over."""

    def expire(self) -> None:
        """Its time is over."""
        ...


Slot = dict[Expiring, None]


class Deadlines:
    """Tells its members that their time is over, at most a twentieth of a second late.

    Setting and cancelling a timer of the loop takes 5 us and ``asyncio.timeout`` 12, which each
    answer would pay several times for what happens to none in a thousand; this takes half of one.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._slots: dict[int, Slot] = {}

    def add(self, member: Expiring, at: float) -> Slot:
        """Tells the member at the loop's time ``at``, unless it has left the slot by then."""
        number = int(at / _SLOT_S) + 1
        slot = self._slots.get(number)
        if slot is None:
            slot = self._slots[number] = {}
            self.loop.call_at(number * _SLOT_S, self._expire, number)
        slot[member] = None
        return slot

    def _expire(self, number: int) -> None:
        slot = self._slots.pop(number)
        while slot:
            member, _ = slot.popitem()
            member.expire()
