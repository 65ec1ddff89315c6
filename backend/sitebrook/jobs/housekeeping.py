"""The job that removes what is old, once an hour."""

from __future__ import annotations

import logging
from typing import Final, LiteralString

from sitebrook.jobs.connections import Connections
from sitebrook.jobs.context import JobContext
from sitebrook.jobs.job import NoArguments, Priority
from sitebrook.jobs.kinds import JobKind
from sitebrook.settings.jobs import JobSettings

_LOG: Final = logging.getLogger(__name__)
HOUSEKEEPING: Final = "housekeeping"
_AT_ONCE: Final = 1000

_REMOVE_ENDED: Final[LiteralString] = """
    DELETE FROM job WHERE id IN (
        SELECT id FROM job WHERE finished_at < now() - %(days)s * interval '1 day'
        ORDER BY finished_at LIMIT %(at_once)s
    ) RETURNING id
"""
# Rows of the queue go with their attempts; these are of jobs whose site was deleted meanwhile.
_REMOVE_ROWS: Final[LiteralString] = """
    DELETE FROM procrastinate_jobs AS waiting
    WHERE waiting.task_name = 'sitebrook.job' AND waiting.status = 'todo'
        AND NOT EXISTS (SELECT FROM job WHERE job.id = waiting.queueing_lock)
    RETURNING id
"""
# Nothing here loses a row of the queue; a restored backup, or a hand in the tables, may.
_MEND: Final[LiteralString] = """
    UPDATE job SET status = 'queued', attempt = attempt + 1, lane = NULL, engine_id = NULL
    WHERE lane IS NOT NULL AND status IN ('queued', 'running')
        AND created_at < now() - interval '1 minute'
        AND NOT EXISTS (SELECT FROM procrastinate_jobs AS one WHERE one.queueing_lock = job.id)
    RETURNING id
"""


def housekeeping(connections: Connections, settings: JobSettings) -> JobKind[NoArguments]:
    """The kind that removes what ended long ago and mends what lost its place in the queue."""

    async def handle(_context: JobContext, _arguments: NoArguments) -> dict[str, int]:
        removed = 0
        parameters = {"days": settings.retention_days, "at_once": _AT_ONCE}
        while found := len(await connections.run(_REMOVE_ENDED, parameters)):
            removed += found
        await connections.run(_REMOVE_ROWS, {})
        mended = await connections.run(_MEND, {})
        if mended:
            _LOG.warning("jobs had lost their place in the queue", extra={"jobs": len(mended)})
        return {"removed": removed, "mended": len(mended)}

    return JobKind(
        name=HOUSEKEEPING,
        handler=handle,
        arguments=NoArguments,
        priority=Priority.LOW,
        cron="7 * * * *",
    )
