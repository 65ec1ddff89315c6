"""Jobs on vectors: the indexes of large sites, and switching the embedder of one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from sitebrook.errors import Unavailable
from sitebrook.jobs.context import JobContext
from sitebrook.jobs.job import NoArguments, Priority
from sitebrook.jobs.kinds import MOST_TIMEOUT_S, JobKind

if TYPE_CHECKING:  # an idle worker does without SQLAlchemy, which takes 20 MB
    from sitebrook.db.engine import Database
    from sitebrook.retrieval.site_embedders import SiteEmbedders
    from sitebrook.retrieval.switch import SwitchProgress

TEND_INDEXES: Final = "tend_indexes"
SWITCH_EMBEDDER: Final = "switch_embedder"
# A switch of a large site takes hours: each attempt does what it can.
_PART_S: Final = MOST_TIMEOUT_S - 120
_MAX_PARTS: Final = 500


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


def switch_kind(open_tools: OpenTools) -> JobKind[SwitchArguments]:
    """The kind that gives its site another embedder, and its stores.

    An attempt goes on where the last one was.
    """

    async def handle(context: JobContext, arguments: SwitchArguments) -> dict[str, object]:
        from sitebrook.retrieval.switch import switch_with_stores

        last: SwitchProgress | None = None

        def show(progress: SwitchProgress) -> None:
            nonlocal last
            if last is not None and progress.done > last.done:
                context.settled()
            last = progress
            context.progress(stage="embed", done=progress.done, total=progress.total)

        tools = await open_tools()
        target = tools.embedders.choose(arguments.embedder)
        site_id = context.site_id or ""
        try:
            async with asyncio.timeout(_PART_S):
                done = await switch_with_stores(tools.database, site_id, target, on_progress=show)
        except TimeoutError:
            raise Unavailable("The switch goes on in a moment.", retry_after_s=1) from None
        return {"before": done.before, "after": done.after, "made": done.made}

    return JobKind(
        name=SWITCH_EMBEDDER,
        handler=handle,
        arguments=SwitchArguments,
        timeout_s=MOST_TIMEOUT_S,
        max_attempts=_MAX_PARTS,
    )
