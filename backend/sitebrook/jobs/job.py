"""What a job is, and what the words for its state and its urgency mean."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any, Final

import msgspec


class Status(StrEnum):
    """Where a job stands; ``waiting`` is the time between a failed attempt and the next."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


OPEN: Final = frozenset({Status.QUEUED, Status.RUNNING, Status.WAITING})
ENDED: Final = frozenset({Status.SUCCEEDED, Status.FAILED, Status.CANCELLED})
# What a person may start again.
RETRIABLE: Final = frozenset({Status.FAILED, Status.CANCELLED})


class Priority(IntEnum):
    """How urgent a job is.

    A step is worth a time of waiting, the setting ``ageing_s``: a job that waited that much longer
    goes before one a step more urgent, so that none waits for ever.
    """

    LOW = 0
    NORMAL = 1
    HIGH = 2
    URGENT = 3

    @property
    def label(self) -> str:
        """The word for it, on the wire and in the table."""
        return self.name.lower()


# An escaped NUL, which a JSON text may hold and PostgreSQL may not; not an escaped backslash and u.
_NUL: Final = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")


def to_json(value: object) -> bytes:
    """The value as JSON that PostgreSQL takes: NUL becomes U+FFFD.

    Raises TypeError or ValueError for what cannot be JSON.
    """
    return _NUL.sub(rb"\1\\ufffd", msgspec.json.encode(value))


class NoArguments(msgspec.Struct, frozen=True):
    """The arguments of a kind that takes none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A job to enqueue.

    ``arguments`` are a struct of the kind's type. ``site_id`` makes it a job of that site, which
    runs in one of the site's lanes; ``priority`` stands in for the kind's own.
    """

    kind: str
    arguments: msgspec.Struct = field(default_factory=NoArguments)
    site_id: str | None = None
    priority: Priority | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job as the table has it.

    ``attempt`` counts every start that was granted, ``failures`` those that failed and may be
    tried again, ``losses`` those that ended with their worker since it settled something.
    """

    id: str
    number: int
    site_id: str | None
    kind: str
    queue: str
    priority: str
    status: Status
    attempt: int
    failures: int
    losses: int
    arguments: dict[str, Any]
    result: Any
    progress: Any
    error_code: str | None
    error_message: str | None
    due_at: datetime | None
    cancel_requested_at: datetime | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
