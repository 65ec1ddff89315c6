"""The contract of event logs: numbered events of a stream, for readers that join at any position.

A stream has attempts, counted from 1, and in each the events are numbered from 1. Whoever writes
never waits for the log. Whoever reads gets every event exactly once and in order, from the position
behind which it asks, in any process that shares the log.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from sitebrook.errors import InvalidRequest, NotFound
from sitebrook.telemetry.metrics import EventFigures

DELTA: Final = "delta"
"""The kind of events that may wait a moment to be written together; all others do not."""
SNAPSHOT: Final = "snapshot"
"""In place of events that are no longer kept: what they come to; the next event follows it."""
RESET: Final = "reset"
"""A higher attempt is there: what was read does not count, its first event follows."""
END: Final = "end"
"""The last event of a stream that was closed."""
LOST: Final = "lost"
"""The last event of an attempt whose writer is gone without having closed it."""
RESERVED: Final = frozenset({SNAPSHOT, RESET, END, LOST})
"""Kinds that only the log itself gives."""
MOST_EVENT_BYTES: Final = 1_000_000
"""The largest payload, as JSON."""

_KIND: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9_.-]{0,63}")
_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_POSITION: Final = re.compile(r"0-0|([1-9][0-9]{0,8})-(0|[1-9][0-9]{0,17})", re.ASCII)
_AFTER: Final = "after"


class Position(NamedTuple):
    """Where a reader stands: behind this event of this attempt."""

    attempt: int
    seq: int

    def __str__(self) -> str:
        return f"{self.attempt}-{self.seq}"


BEGINNING: Final = Position(0, 0)


class Event(msgspec.Struct, frozen=True, gc=False):
    """One event as it is kept: ``data`` is its payload as JSON."""

    attempt: int
    seq: int
    kind: str
    data: bytes

    @property
    def position(self) -> str:
        """What a reader that has seen this event names to go on behind it."""
        return f"{self.attempt}-{self.seq}"

    @property
    def payload(self) -> Any:
        """The payload as it was given, with JSON's types."""
        return msgspec.json.decode(self.data)

    @property
    def is_last(self) -> bool:
        """Whether the attempt has no further event."""
        return self.kind in {END, LOST}


@dataclass(frozen=True, slots=True)
class LostStream:
    """A stream whose writer is gone; ``head`` is what it was opened with."""

    name: str
    attempt: int
    head: Any


class EventWriter(Protocol):
    """The one writer of an attempt. Nothing here waits; its events are in memory at once."""

    @property
    def is_fenced(self) -> bool:
        """Whether another attempt, or another writer of this one, has taken over."""
        ...

    def emit(self, kind: str, payload: object = None) -> Event:
        """Adds an event; ``payload`` is anything that msgspec writes as JSON."""
        ...

    def snapshot(self, make: Callable[[], object]) -> None:
        """From now on ``make`` tells what all events so far come to, when someone needs that."""
        ...

    def on_cancel(self, listener: Callable[[], None]) -> None:
        """Calls ``listener`` once, when someone asks for the end of the stream."""
        ...

    def close(self, payload: object = None) -> None:
        """Ends the stream with END; further calls do nothing."""
        ...

    def abandon(self) -> None:
        """Ends the attempt with LOST, as if the process were gone; not after ``close``."""
        ...


class EventReader(Protocol):
    """Events behind a position, as they come; it ends behind END or LOST.

    A reader keeps no events: one that is slow reads on from the log, if need be by a snapshot.
    """

    @property
    def head(self) -> Any:
        """What the stream was opened with."""
        ...

    @property
    def position(self) -> str:
        """Behind the last event that was given."""
        ...

    def __aiter__(self) -> EventReader: ...

    async def __anext__(self) -> Event:
        """The next event. Raises Unavailable when the log stays away for too long."""
        ...

    async def batch(self) -> list[Event]:
        """All events that are there, at least one; empty behind the last. Raises as above."""
        ...


class EventLog(Protocol):
    """Where the events of streams are kept."""

    def writer(self, stream: str, attempt: int = 1, head: object = None) -> EventWriter:
        """Opens an attempt of a stream, in place of lower ones.

        ``head`` is what readers need at any position, as JSON. Its writer is fenced when there is
        a higher attempt, or another writer of this one.
        """
        ...

    def read(
        self, stream: str, after: str | None = None, *, follows: bool = False
    ) -> AbstractAsyncContextManager[EventReader]:
        """The events behind the position ``after``, from the beginning when it is None.

        With ``follows`` it waits for attempts to come: for the first one, and behind LOST for the
        next. Entering raises NotFound, InvalidRequest for a position that the stream never had,
        Unavailable.
        """
        ...

    async def cancel(self, stream: str) -> bool:
        """Whether the stream was running; its writer's listener is called, wherever it is.

        Raises NotFound, Unavailable.
        """
        ...

    def on_lost(self, listener: Callable[[LostStream], Awaitable[None]]) -> None:
        """Calls ``listener`` for streams whose process is gone, in one process at least once.

        It may raise Unavailable, to be called again later.
        """
        ...

    def figures(self) -> EventFigures:
        """What has been done, and how it is."""
        ...

    async def run(self) -> None:
        """Keeps the log going until it is cancelled."""
        ...

    async def drain(self, timeout_s: float) -> None:
        """Returns when everything is written, or after ``timeout_s``; what still runs is LOST."""
        ...


def to_stream(site_id: str, kind: str, name: str) -> str:
    """The name of a site's stream, such as ``site_…:answer:ans_…``.

    It carries the site: asked for from another one, it is a stream that never was.
    """
    return f"{site_id}:{kind}:{name}"


def check_stream(stream: str) -> None:
    """Raises NotFound for what cannot be the name of a stream."""
    parts = stream.split(":")
    if len(parts) != 3 or not all(_NAME.fullmatch(part) for part in parts):
        raise unknown_stream()


def check_kind(kind: str) -> None:
    """Raises ValueError for a kind that a writer may not give."""
    if kind in RESERVED or not _KIND.fullmatch(kind):
        raise ValueError(f"'{kind}' cannot be the kind of an event")


def to_position(after: str | None) -> Position:
    """The position that a reader names. Raises InvalidRequest for what is none."""
    if after is None or after == "":
        return BEGINNING
    found = _POSITION.fullmatch(after)
    if found is None:
        raise InvalidRequest(
            "This is no position of a stream: send the id of the last event that you have read, "
            "such as 1-42, or none to read from the beginning.",
            param=_AFTER,
            code="invalid_position",
        )
    return Position(int(found[1]), int(found[2])) if found[1] else BEGINNING


def position_ahead(position: Position) -> InvalidRequest:
    """The error for a position that the stream has not reached."""
    return InvalidRequest(
        f"The stream has no event {position}: it is the id of another stream's. Read from the "
        "beginning, without an id.",
        param=_AFTER,
        code="position_ahead",
    )


def unknown_stream() -> NotFound:
    """The error for a stream that is not there, or never was for this caller."""
    return NotFound("There is no such stream; it may have ended too long ago.")
