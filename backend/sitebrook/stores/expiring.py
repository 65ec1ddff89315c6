"""The job that removes what has expired, once an hour; until then it is only hidden."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sitebrook.jobs.context import JobContext
from sitebrook.jobs.job import NoArguments, Priority
from sitebrook.jobs.kinds import JobKind

if TYPE_CHECKING:  # an idle worker does without SQLAlchemy, which takes 20 MB
    from sitebrook.stores.files import Files
    from sitebrook.stores.stores import Stores

EXPIRE: Final = "expire"


@dataclass(frozen=True, slots=True)
class ExpireTools:
    """Where there is something that expires."""

    files: Files
    stores: Stores


def expire_kind(open_tools: Callable[[], Awaitable[ExpireTools]]) -> JobKind[NoArguments]:
    """The kind; its tools are opened when there is a job to do."""

    async def handle(_context: JobContext, _arguments: NoArguments) -> dict[str, int]:
        tools = await open_tools()
        files = await tools.files.remove_expired()
        return {"files": files, "documents": await tools.stores.remove_stale()}

    return JobKind(
        name=EXPIRE,
        handler=handle,
        arguments=NoArguments,
        priority=Priority.LOW,
        cron="17 * * * *",
    )
