"""A stream as Redis has it, in the memory of a process that reads it."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from sitebrook.events import entries
from sitebrook.events.log import END, LOST, Event, Position
from sitebrook.events.ring import Ring

_NOTHING: Final = b"null"
# Messages that come while the stream is read; it takes a few milliseconds.
_MOST_WAITING: Final = 1000
PAGE: Final = 200
"""Entries that are read at once."""


class Replica:
    """A ring that is filled from messages and, where some were missed, from the stream itself.

    ``base`` is where its first reader stands, ``is_there`` whether Redis has the stream.
    """

    def __init__(self, ring: Ring, channel: str, base: Position) -> None:
        self.ring = ring
        self.channel = channel
        self.base = base
        self.owner = ""
        self.is_there = False
        self._is_loading = False
        self._waiting: list[bytes] = []
        self.loaded = asyncio.Event()
        self.idle_at: float | None = None
        self.gone_at: float | None = None

    @property
    def start(self) -> str:
        """From where on the stream has to be read."""
        if self.ring.attempt:
            return f"({self.ring.attempt}-{self.ring.last}"
        return "-" if self.base.seq == 0 else f"({self.base}"

    def begin_loading(self) -> None:
        """From now on messages wait until what is in the stream has been read."""
        self._is_loading = True
        self._waiting.clear()

    def end_loading(self) -> bool:
        """Whether the messages that waited continue what was read."""
        self._is_loading = False
        waiting, self._waiting = self._waiting, []
        return len(waiting) <= _MOST_WAITING and all(self.hear(entry) for entry in waiting)

    def hear(self, entry: bytes) -> bool:
        """Whether a message continues what is here; else the stream has to be read."""
        if self._is_loading:
            if len(self._waiting) <= _MOST_WAITING:
                self._waiting.append(entry)
            return True
        attempt, first, events = entries.decode(entry)
        ring = self.ring
        if not self.is_there or attempt > ring.attempt:
            return False
        if attempt == ring.attempt:
            if first > ring.last + 1:
                return False
            self._add(first, events)
        return True

    def take(self, meta: list[Any], last: list[Any], page: list[Any]) -> bool:
        """Adds what was read: the stream's fields, its last entry, the entries from ``start``.

        Returns whether there is more to read.
        """
        attempt = int(meta[0] or 0)
        self.is_there = attempt > 0
        ring = self.ring
        if attempt == 0 or attempt < ring.attempt:
            return False  # it is gone, or as it was before a fault, and its owner will mend it
        self.owner = meta[1].decode()
        is_ahead = attempt > ring.attempt and self.base.attempt > attempt
        if attempt > ring.attempt:
            known = self.base.seq if attempt == self.base.attempt else 0
            ring.begin(attempt, meta[2] or _NOTHING, last=min(known, _newest(last)))
            self._take_ending(last)
        for _, fields in page:
            attempt, first, events = entries.decode(fields[1])
            if attempt == ring.attempt:
                if first > ring.last + 1:
                    # What lies between is gone there too.
                    ring.begin(attempt, ring.head, last=first - 1)
                self._add(first, events)
        return is_ahead or len(page) == PAGE

    def lose(self) -> None:
        """Ends the stream for its readers: nobody will continue it."""
        ring = self.ring
        if ring.ending is None:
            ring.append(Event(ring.attempt, ring.last + 1, LOST, _NOTHING))

    def _take_ending(self, last: list[Any]) -> None:
        """Knows of an end that no page brings, because the first reader stands behind it."""
        _, _, events = entries.decode(last[0][1][1]) if last else (0, 0, [])
        if events and events[-1].kind == END and events[-1].seq <= self.ring.last:
            self.ring.ending = events[-1]

    def _add(self, first: int, events: list[Event]) -> None:
        ring = self.ring
        if ring.ending is not None:
            return
        for event in events[ring.last + 1 - first :]:
            ring.append(event)
        # Who found the owner gone numbered this by what Redis had; readers may be ahead of that.
        if events and events[-1].kind == LOST and events[-1].seq <= ring.last:
            self.lose()


def _newest(last: list[Any]) -> int:
    """The number of the last event that a writer gave, by the last entry."""
    if not last:
        return 0
    _, first, events = entries.decode(last[0][1][1])
    return first - 1 if events and events[-1].kind == LOST else first + len(events) - 1


def to_missing(page: list[Any], seq: int, ring: Ring) -> list[Event]:
    """The events behind ``seq`` that come directly before those of the ring."""
    found: list[Event] = []
    for _, fields in page:
        attempt, first, events = entries.decode(fields[1])
        if first >= ring.first or attempt != ring.attempt:
            break
        if found and first > found[-1].seq + 1:
            found = []
        have = found[-1].seq if found else seq
        found += [one for one in events if have < one.seq < ring.first]
    return found if found and found[-1].seq == ring.first - 1 else []
