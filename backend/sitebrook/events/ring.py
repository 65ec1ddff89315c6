"""What a process holds of one stream, and the readers that follow it there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from sitebrook.errors import RequestError
from sitebrook.events.log import (
    BEGINNING,
    END,
    LOST,
    RESET,
    SNAPSHOT,
    Event,
    Position,
    position_ahead,
)

# What an event takes beside its data: the object, its number, its place.
_EVENT_BYTES: Final = 120
# Events that are not written elsewhere yet are kept up to this many times the usual number.
_HELD_TIMES: Final = 10
_MOST_BYTES: Final = 4_000_000
# Trimming moves what stays; every so often costs less than each time.
_TRIM_SHARE: Final = 8
_NOTHING: Final = b"null"

TakeSnapshot = Callable[[], Awaitable["Event | None"]]


class Ring:
    """The last events of one attempt of a stream; a higher attempt takes their place.

    ``held`` is the number up to which events may be trimmed, ``take_snapshot`` makes what stands
    for those that are gone.
    """

    def __init__(self, stream: str, length: int) -> None:
        self.stream = stream
        self.attempt = 0
        self.head = _NOTHING
        self.first = 1
        self.last = 0
        self.held: float = float("inf")
        self.size_bytes = 0
        self.ending: Event | None = None
        self.failure: RequestError | None = None
        self.readers = 0
        self.take_snapshot: TakeSnapshot | None = None
        self._length = length
        self._events: list[Event] = []
        self._waiters: dict[asyncio.Future[None], None] = {}

    def begin(self, attempt: int, head: bytes, *, last: int = 0) -> None:
        """Empties it for an attempt of which events up to ``last`` will not come here."""
        self.attempt, self.head = attempt, head
        self.first, self.last = last + 1, last
        self.size_bytes = 0
        self.ending = self.failure = None
        self._events.clear()
        self.wake()

    @property
    def is_full(self) -> bool:
        """Whether events are gone, or would be with a few more."""
        return self.first > 1 or self.last >= self._length

    def append(self, event: Event) -> None:
        """Adds the next event."""
        self._events.append(event)
        self.last = event.seq
        self.size_bytes += len(event.data) + _EVENT_BYTES
        if event.is_last:
            self.ending = event
        if len(self._events) > self._length or self.size_bytes > _MOST_BYTES:
            self._trim()
        if self._waiters:
            self.wake()

    def check_reached(self, position: Position) -> None:
        """Raises InvalidRequest for a position that is ahead of the last event."""
        if position > (self.attempt, self.last):
            raise position_ahead(position)

    def prepend(self, events: list[Event]) -> None:
        """Adds events that come directly before those that are here."""
        self._events[:0] = events
        self.first = events[0].seq
        self.size_bytes += sum(len(event.data) + _EVENT_BYTES for event in events)

    def after(self, seq: int) -> list[Event]:
        """The events behind this number that are here."""
        return self._events[max(0, seq + 1 - self.first) :] if seq < self.last else []

    def fail(self, failure: RequestError) -> None:
        """Makes every reader that has read all there is raise this."""
        self.failure = failure
        self.wake()

    def wake(self) -> None:
        """Lets readers look again."""
        waiters, self._waiters = self._waiters, {}
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def changed(self) -> None:
        """Returns when something has happened."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters[waiter] = None
        try:
            await waiter
        finally:
            self._waiters.pop(waiter, None)

    def _trim(self) -> None:
        events = self._events
        most = self._length
        if self.held < self.last - most:
            most *= _HELD_TIMES
        is_large = self.size_bytes > _MOST_BYTES
        if not is_large and len(events) <= most + most // _TRIM_SHARE:
            return
        gone = len(events) - most if not is_large else max(len(events) // 2, 1)
        self.size_bytes -= sum(len(event.data) + _EVENT_BYTES for event in events[:gone])
        del events[:gone]
        self.first += gone


class RingReader:
    """Reads a ring from a position on; see ``EventReader``."""

    def __init__(self, ring: Ring, after: Position, *, follows: bool) -> None:
        self._ring = ring
        self._attempt, self._seq = after if after != BEGINNING else Position(ring.attempt, 0)
        if (
            ring.ending is not None
            and ring.ending.kind == LOST
            and after > (ring.attempt, ring.last)
        ):
            # It was ahead of what a writer left behind that is gone.
            self._seq = ring.last - 1
        self._follows = follows
        self._is_over = False
        self._waiting: list[Event] = []

    @property
    def head(self) -> Any:
        """What the stream was opened with."""
        return msgspec.json.decode(self._ring.head)

    @property
    def position(self) -> str:
        """Behind the last event that was given."""
        seq = self._waiting[-1].seq - 1 if self._waiting else self._seq
        return f"{self._attempt}-{seq}"

    def __aiter__(self) -> RingReader:
        return self

    async def __anext__(self) -> Event:
        """The next event; raises as ``batch``."""
        if not self._waiting:
            self._waiting = (await self.batch())[::-1]
        if not self._waiting:
            raise StopAsyncIteration
        return self._waiting.pop()

    async def batch(self) -> list[Event]:
        """All events that are there, at least one; empty behind the last."""
        ring = self._ring
        while True:
            if self._is_over:
                return []
            if ring.attempt > self._attempt:
                if self._attempt:
                    return [self._reset()]
                self._attempt = ring.attempt  # it was there before the stream began
            if self._seq < ring.first - 1:
                return [await self._catch_up()]
            if events := ring.after(self._seq):
                return self._take(events)
            if self._has_ended():
                return []
            if ring.failure is not None:
                raise ring.failure
            await ring.changed()

    def _take(self, events: list[Event]) -> list[Event]:
        last = events[-1]
        self._seq = last.seq
        self._is_over = last.kind == END or (last.kind == LOST and not self._follows)
        return events

    def _has_ended(self) -> bool:
        """Whether it stands behind the last event already, also of an attempt that it follows."""
        ending = self._ring.ending
        return ending is not None and (ending.kind == END or not self._follows)

    def _reset(self) -> Event:
        self._attempt, self._seq = self._ring.attempt, 0
        return Event(self._attempt, 0, RESET, _NOTHING)

    async def _catch_up(self) -> Event:
        """A snapshot in place of what is gone; without data when the stream has none."""
        ring = self._ring
        made = None if ring.take_snapshot is None else await ring.take_snapshot()
        if ring.attempt > self._attempt:
            return self._reset()
        if made is None or made.attempt != ring.attempt or made.seq < ring.first - 1:
            made = Event(ring.attempt, ring.first - 1, SNAPSHOT, _NOTHING)
        self._seq = made.seq
        return made
