"""Jobs that join the rows of keyword indexes, and the one that starts them when they are due."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sitebrook.jobs.context import JobContext
from sitebrook.jobs.job import NewJob, NoArguments, Priority
from sitebrook.jobs.kinds import MOST_TIMEOUT_S, JobKind

if TYPE_CHECKING:  # an idle worker does without SQLAlchemy, which takes 20 MB
    from sqlalchemy.ext.asyncio import AsyncConnection

    from sitebrook.db.engine import Database
    from sitebrook.jobs.engine import JobEngine
    from sitebrook.retrieval.indexer import Indexer
    from sitebrook.retrieval.stored_postings import Scope

JOIN_POSTINGS: Final = "join_postings"
JOIN_DUE: Final = "join_due"
# Of those who start one at the same moment one makes the job.
_LOCK: Final = "SELECT id FROM site WHERE id = %(site_id)s FOR NO KEY UPDATE"
_OPEN: Final = """
    SELECT id FROM job WHERE kind = 'join_postings' AND site_id = %(site_id)s
    AND status IN ('queued', 'running', 'waiting') ORDER BY number LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class JoinTools:
    """What joining needs."""

    database: Database
    jobs: JobEngine
    indexer: Indexer


OpenTools = Callable[[], Awaitable[JoinTools]]


async def enqueue_join(connection: AsyncConnection, jobs: JobEngine, site_id: str) -> str:
    """The id of the job that joins the site's rows: a new one, or the one that is open already."""
    await connection.exec_driver_sql(_LOCK, {"site_id": site_id})
    found = (await connection.exec_driver_sql(_OPEN, {"site_id": site_id})).first()
    if found is not None:
        return str(found[0])
    return await jobs.enqueue(connection, NewJob(kind=JOIN_POSTINGS, site_id=site_id))


def join_kind(open_tools: OpenTools) -> JobKind[NoArguments]:
    """The kind that joins what is due of a site and its stores.

    It ends between two rows when it is cancelled; what is joined stays so.
    """

    async def handle(context: JobContext, _arguments: NoArguments) -> dict[str, int]:
        from sitebrook.retrieval.stored_postings import list_joinable

        tools = await open_tools()
        joins = _Joins(tools, context)
        for scope in (await list_joinable(tools.database)).get(context.site_id or "", []):
            while await joins.join_steps(scope):
                pass
        return {"rows": joins.rows, "chunks": joins.done}

    return JobKind(
        name=JOIN_POSTINGS,
        handler=handle,
        arguments=NoArguments,
        priority=Priority.LOW,
        timeout_s=MOST_TIMEOUT_S,
    )


def join_due_kind(open_tools: OpenTools) -> JobKind[NoArguments]:
    """The kind that starts a job for each site whose rows are to be joined."""

    async def handle(_context: JobContext, _arguments: NoArguments) -> dict[str, int]:
        from sitebrook.retrieval.stored_postings import list_joinable

        tools = await open_tools()
        due = await list_joinable(tools.database)
        for site_id in due:
            async with tools.database.begin() as connection:
                await enqueue_join(connection, tools.jobs, site_id)
        return {"due": len(due)}

    return JobKind(
        name=JOIN_DUE,
        handler=handle,
        arguments=NoArguments,
        priority=Priority.LOW,
        cron="*/5 * * * *",
    )


class _Joins:
    """What an attempt has done, in rows and chunks written."""

    def __init__(self, tools: JoinTools, context: JobContext) -> None:
        self._tools = tools
        self._context = context
        self._began_at = time.monotonic()
        self.rows = 0
        self.done = 0

    async def join_steps(self, scope: Scope) -> bool:
        """Whether more may be due in the scope's index: all that was due is joined."""
        from sitebrook.retrieval.stored_postings import join_step, list_steps

        steps = await list_steps(self._tools.database, scope)
        left = sum(step.chunks for step in steps)
        for step in steps:
            self._show("forget" if step.forgets else "join", left)
            if not await join_step(self._tools.database, self._tools.indexer, step):
                return False
            self.rows += 1
            self.done += step.chunks
            left -= step.chunks
            self._show("forget" if step.forgets else "join", left)
            self._context.check_cancelled()
        return bool(steps) and not steps[0].forgets

    def _show(self, stage: str, left: int) -> None:
        each_s = (time.monotonic() - self._began_at) / self.done if self.done else None
        left_s = None if each_s is None else round(each_s * left, 1)
        self._context.progress(
            stage=stage, done=self.done, total=self.done + left, rows=self.rows, left_s=left_s
        )
