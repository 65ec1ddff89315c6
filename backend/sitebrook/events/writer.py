"""The writer of an attempt, into the ring of its process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from sitebrook.events.log import (
    DELTA,
    END,
    LOST,
    MOST_EVENT_BYTES,
    SNAPSHOT,
    Event,
    check_kind,
)
from sitebrook.events.ring import Ring

_ENCODE: Final = msgspec.json.Encoder().encode
_NOTHING: Final = b"null"
# Kinds that were looked at, so that a delta's is not again; a program has a handful.
_KNOWN: Final[set[str]] = {DELTA}
_MOST_KNOWN: Final = 1000


class Keeper(Protocol):
    """Who wants to know what its writers write."""

    def note(self, writer: RingWriter, event: Event) -> None:
        """An event was added."""
        ...


class RingWriter:
    """See ``EventWriter``."""

    def __init__(self, ring: Ring, attempt: int, keeper: Keeper) -> None:
        self.ring = ring
        self.attempt = attempt
        self.is_fenced = False
        self.is_over = False
        self._seq = 0
        self._make: Callable[[], object] | None = None
        self._final: Event | None = None
        self._keeper = keeper
        self._listeners: list[Callable[[], None]] = []
        self._is_cancelled = False

    def emit(self, kind: str, payload: object = None) -> Event:
        """Adds an event.

        Raises ValueError for a kind that is the log's own, for a payload that is too large, and
        after the end.
        """
        if kind not in _KNOWN:
            check_kind(kind)
            if len(_KNOWN) < _MOST_KNOWN:
                _KNOWN.add(kind)
        if self.is_over:
            raise ValueError(f"'{kind}' comes after the end of the stream")
        return self._add(kind, payload)

    def snapshot(self, make: Callable[[], object]) -> None:
        """From now on ``make`` tells what all events so far come to."""
        self._make = make

    def on_cancel(self, listener: Callable[[], None]) -> None:
        """Calls ``listener`` once when someone asks for the end, at once if that has happened."""
        if self._is_cancelled:
            listener()
        else:
            self._listeners.append(listener)

    def close(self, payload: object = None) -> None:
        """Ends the stream; further calls do nothing."""
        self._end(END, payload)

    def abandon(self) -> None:
        """Ends the attempt as if the process were gone."""
        self._end(LOST, None)

    def cancel(self) -> None:
        """Tells those who want to hear that someone asks for the end."""
        self._is_cancelled = True
        listeners, self._listeners = self._listeners, []
        for listener in listeners:
            listener()

    def fence(self) -> None:
        """Makes what is written from now on go nowhere: the ring is another's."""
        self.is_fenced = True
        self._make = self._final = None

    def to_snapshot(self) -> Event | None:
        """What all events so far come to, None when it was not told."""
        if self._make is None:
            return self._final
        return Event(self.attempt, self._seq, SNAPSHOT, _ENCODE(self._make()))

    def _end(self, kind: str, payload: object) -> None:
        if self.is_over:
            return
        self.is_over = True
        if self.ring.is_full:
            self._final = self.to_snapshot()  # so that END is behind it
        self._make = None
        self._add(kind, payload)

    def _add(self, kind: str, payload: object) -> Event:
        data = _NOTHING if payload is None else _ENCODE(payload)
        if len(data) > MOST_EVENT_BYTES:
            raise ValueError(f"'{kind}' is over {MOST_EVENT_BYTES:,} bytes")
        self._seq += 1
        event = Event(self.attempt, self._seq, kind, data)
        if not self.is_fenced:
            self.ring.append(event)
            self._keeper.note(self, event)
        return event
