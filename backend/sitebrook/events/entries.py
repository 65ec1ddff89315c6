"""Events as they lie in Redis: entries of one or more, and snapshots, each a JSON array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from sitebrook.events.log import SNAPSHOT, Event

# A larger entry would keep a reader that wants its last event busy with all of it.
_MOST_EVENTS: Final = 500
_MOST_BYTES: Final = 256_000

_Entry = tuple[int, int, list[tuple[str, msgspec.Raw]]]
_ENTRY: Final = msgspec.json.Decoder(_Entry)
_SNAPSHOT: Final = msgspec.json.Decoder(tuple[int, int, msgspec.Raw])


def encode(events: Sequence[Event]) -> bytes:
    """One entry ``[attempt, number of the first, [[kind, payload], …]]``."""
    first = events[0]
    if len(events) == 1:
        return b'[%d,%d,[["%b",%b]]]' % (first.attempt, first.seq, first.kind.encode(), first.data)
    written = b",".join([b'["%b",%b]' % (one.kind.encode(), one.data) for one in events])
    return b"[%d,%d,[%b]]" % (first.attempt, first.seq, written)


def decode(entry: bytes) -> tuple[int, int, list[Event]]:
    """The attempt of an entry, the number of its first event, and its events, perhaps none."""
    attempt, first, found = _ENTRY.decode(entry)
    return (
        attempt,
        first,
        [
            Event(attempt, seq, kind, bytes(data))
            for seq, (kind, data) in enumerate(found, start=first)
        ],
    )


def split(events: list[Event]) -> list[list[Event]]:
    """The events of each entry that they make."""
    if len(events) <= 1:
        return [events] if events else []
    parts: list[list[Event]] = []
    part: list[Event] = []
    size = 0
    for event in events:
        if part and (len(part) == _MOST_EVENTS or size + len(event.data) > _MOST_BYTES):
            parts.append(part)
            part, size = [], 0
        part.append(event)
        size += len(event.data)
    parts.append(part)
    return parts


def encode_snapshot(snapshot: Event) -> bytes:
    """What stands for all events up to this one: ``[attempt, number, payload]``."""
    return b"[%d,%d,%b]" % (snapshot.attempt, snapshot.seq, snapshot.data)


def decode_snapshot(text: bytes) -> Event:
    """The snapshot again."""
    attempt, seq, data = _SNAPSHOT.decode(text)
    return Event(attempt, seq, SNAPSHOT, bytes(data))
