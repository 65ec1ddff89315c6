"""The log of events that lets readers of a stream go on where they stopped."""

from __future__ import annotations

import dataclasses

from sitebrook.settings.fields import setting


@dataclasses.dataclass(frozen=True, slots=True)
class EventSettings:
    """How much of a stream is kept, for how long, and how processes share it."""

    length: int = setting(
        1000,
        "SITEBROOK_EVENTS_LENGTH",
        "events of a stream that are kept; who is further behind gets a summary of them",
        least=10,
    )
    memory_bytes: int = setting(
        64_000_000,
        "SITEBROOK_EVENTS_MEMORY_BYTES",
        "memory for streams that have ended, per process",
        least=0,
    )
    running_expiry_s: float = setting(
        3600.0,
        "SITEBROOK_EVENTS_RUNNING_EXPIRY_S",
        "a stream without an event for this long is given up",
        least=1,
    )
    closed_expiry_s: float = setting(
        900.0,
        "SITEBROOK_EVENTS_CLOSED_EXPIRY_S",
        "a stream that has ended can be read for this long",
        least=1,
    )
    coalesce_s: float = setting(
        0.01,
        "SITEBROOK_EVENTS_COALESCE_S",
        "pieces of text are collected this long before other processes see them, five times as "
        "long while none of them reads the stream",
        least=0,
    )
    snapshot_s: float = setting(
        1.0,
        "SITEBROOK_EVENTS_SNAPSHOT_S",
        "how often the summary of a long stream is renewed",
        least=0.01,
    )
    lease_s: float = setting(
        5.0,
        "SITEBROOK_EVENTS_LEASE_S",
        "a process that was not heard of for this long has lost its streams",
        least=0.5,
    )
    silence_s: float = setting(
        5.0,
        "SITEBROOK_EVENTS_SILENCE_S",
        "a connection to Redis that brings no events for this long is tested",
        least=0.05,
    )
    outage_s: float = setting(
        60.0,
        "SITEBROOK_EVENTS_OUTAGE_S",
        "readers wait this long for Redis to come back",
        least=0,
    )
