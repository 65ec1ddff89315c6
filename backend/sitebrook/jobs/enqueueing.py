"""A job's way into the table, and into the queue if it may start."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import msgspec
import psycopg

from sitebrook.errors import InvalidRequest
from sitebrook.ids import new_id
from sitebrook.jobs import statements
from sitebrook.jobs.connections import run
from sitebrook.jobs.job import NewJob, to_json
from sitebrook.jobs.kinds import JobKind
from sitebrook.jobs.lanes import admit
from sitebrook.settings.jobs import JobSettings

_MOST_ARGUMENTS_BYTES: Final = 64_000


async def insert(
    connection: psycopg.AsyncConnection[Any],
    kind: JobKind[Any],
    new: NewJob,
    settings: JobSettings,
    *,
    scheduled_for: datetime | None = None,
) -> str | None:
    """The id of the new job; None when there is one for this moment of cron.

    It is there when the connection's transaction commits. Raises InvalidRequest for arguments that
    are too large.
    """
    priority = kind.priority if new.priority is None else new.priority
    job_id = new_id("job")
    parameters = {
        "id": job_id,
        "site_id": new.site_id,
        "kind": kind.name,
        "queue": kind.queue,
        "priority": priority.label,
        "ageing_s": settings.ageing_s,
        "lane": None if new.site_id else job_id,
        "arguments": _to_json(kind, new.arguments),
        "scheduled_for": scheduled_for,
    }
    statement = statements.INSERT if new.site_id else statements.INSERT_READY
    if not await run(connection, statement, parameters):
        return None
    if new.site_id:
        await admit(connection, new.site_id, settings.lanes)
    return job_id


def _to_json(kind: JobKind[Any], arguments: msgspec.Struct) -> str:
    if not isinstance(arguments, kind.arguments):
        raise TypeError(f"{kind.name} takes {kind.arguments.__name__}")
    encoded = to_json(arguments)
    if len(encoded) > _MOST_ARGUMENTS_BYTES:
        raise InvalidRequest(
            f"What the job is told is over {_MOST_ARGUMENTS_BYTES:,} bytes; split it up.",
            code="job_too_large",
        )
    return encoded.decode()
