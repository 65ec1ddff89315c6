"""Jobs on vectors: the indexes of large sites, and switching the embedder of one."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from sitebrook.errors import InvalidRequest, Unavailable
from sitebrook.jobs.context import JobContext
from sitebrook.jobs.job import NewJob, NoArguments, Priority
from sitebrook.jobs.kinds import MOST_TIMEOUT_S, JobKind
from sitebrook.jobs.pace import Pace

if TYPE_CHECKING:  # an idle worker does without SQLAlchemy, which takes 20 MB
    from sqlalchemy.ext.asyncio import AsyncConnection

    from sitebrook.db.engine import Database
    from sitebrook.jobs.engine import JobEngine
    from sitebrook.retrieval.embedder import Embedder
    from sitebrook.retrieval.site_embedders import SiteEmbedders
    from sitebrook.retrieval.switch import SwitchProgress

TEND_INDEXES: Final = "tend_indexes"
SWITCH_EMBEDDER: Final = "switch_embedder"
# A switch of a large site takes hours: each attempt does what it can.
_PART_S: Final = MOST_TIMEOUT_S - 120
_MAX_PARTS: Final = 500
# Of those who start a switch at the same moment one makes the job.
_LOCK: Final = "SELECT site_id FROM knowledge WHERE site_id = %(site_id)s FOR NO KEY UPDATE"
_OPEN: Final = """
    SELECT id, arguments->>'embedder' AS embedder FROM job WHERE kind = 'switch_embedder'
    AND site_id = %(site_id)s AND status IN ('queued', 'running', 'waiting') ORDER BY number
"""


class SwitchArguments(msgspec.Struct, frozen=True):
    """The embedder that the site is to have, by its name."""

    embedder: str


@dataclass(frozen=True, slots=True)
class VectorTools:
    """What jobs on vectors need."""

    database: Database
    embedders: SiteEmbedders


OpenTools = Callable[[], Awaitable[VectorTools]]


def index_kind(open_tools: OpenTools) -> JobKind[NoArguments]:
    """The kind that builds, repairs and drops the indexes of large sites."""

    async def handle(_context: JobContext, _arguments: NoArguments) -> dict[str, int]:
        from sitebrook.retrieval.vector_indexes import tend_indexes

        tended = await tend_indexes((await open_tools()).database)
        return {"built": tended.built, "dropped": tended.dropped}

    return JobKind(
        name=TEND_INDEXES,
        handler=handle,
        arguments=NoArguments,
        priority=Priority.LOW,
        timeout_s=MOST_TIMEOUT_S,
        max_attempts=1,  # the next moment of the clock is soon
        cron="*/5 * * * *",
    )


async def enqueue_switch(
    connection: AsyncConnection, jobs: JobEngine, site_id: str, embedder: str
) -> str:
    """The id of the job that switches the site: a new one, or the one that is open already.

    Raises InvalidRequest when one is open that switches to another embedder.
    """
    await connection.exec_driver_sql(_LOCK, {"site_id": site_id})
    for job_id, target in await _list_open(connection, site_id):
        if target == embedder:
            return job_id
        raise InvalidRequest(
            f"The job {job_id} switches the site to {target}: wait for its end, or stop it with "
            "`sitebrook embedder switch --stop`."
        )
    new = NewJob(kind=SWITCH_EMBEDDER, arguments=SwitchArguments(embedder), site_id=site_id)
    return await jobs.enqueue(connection, new)


async def cancel_switches(database: Database, jobs: JobEngine, site_id: str) -> list[str]:
    """The ids of the site's open switches, which are asked to end."""
    async with database.begin() as connection:
        found = [job_id for job_id, _ in await _list_open(connection, site_id)]
    for job_id in found:
        await jobs.cancel(job_id, site_id=site_id)
    return found


async def _list_open(connection: AsyncConnection, site_id: str) -> list[tuple[str, str]]:
    """The site's open switches, oldest first, each with its embedder."""
    rows = await connection.exec_driver_sql(_OPEN, {"site_id": site_id})
    return [(str(row["id"]), str(row["embedder"])) for row in rows.mappings()]


def switch_kind(open_tools: OpenTools) -> JobKind[SwitchArguments]:
    """The kind that gives its site another embedder, and its stores.

    An attempt goes on where the last one was.
    """

    async def handle(context: JobContext, arguments: SwitchArguments) -> dict[str, object]:
        from sitebrook.retrieval.switch import switch_with_stores

        tools = await open_tools()
        target = _choose(tools.embedders, arguments.embedder)
        show = _Progress(context).show
        site_id = context.site_id or ""
        try:
            async with asyncio.timeout(_PART_S):
                done = await switch_with_stores(tools.database, site_id, target, on_progress=show)
        except TimeoutError:
            raise Unavailable("The switch goes on in a moment.", retry_after_s=1) from None
        return dataclasses.asdict(done)

    return JobKind(
        name=SWITCH_EMBEDDER,
        handler=handle,
        arguments=SwitchArguments,
        timeout_s=MOST_TIMEOUT_S,
        max_attempts=_MAX_PARTS,
    )


def _choose(embedders: SiteEmbedders, name: str) -> Embedder:
    try:
        return embedders.choose(name)
    except InvalidRequest as error:
        raise InvalidRequest(
            f"{error} The process that runs the job needs the settings of the embedder: restart "
            "servers and workers with them, or switch with `sitebrook embedder switch --sync`."
        ) from None


class _Progress:
    """How far an attempt is, with the seconds that are left if it goes on as since it began."""

    def __init__(self, context: JobContext) -> None:
        self._context = context
        self._total = -1
        self._last = 0
        self._pace = Pace()

    def show(self, progress: SwitchProgress) -> None:
        """Shows so many chunks of the site, or of one of its stores."""
        done, total = progress.done, progress.total
        if total != self._total or done < self._last:
            self._total, self._pace = total, Pace(done)
        elif done > self._last:
            self._context.settled()
        self._last = done
        # How long building an index takes is not known before it is built.
        left_s = None if progress.is_indexing else self._pace.left_s(done, total)
        stage = "index" if progress.is_indexing else "embed"
        self._context.progress(stage=stage, done=done, total=total, left_s=left_s)
