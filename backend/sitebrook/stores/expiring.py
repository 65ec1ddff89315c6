"""The job that removes what has expired, once an hour; until then it is only hidden."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from sitebrook.jobs.context import JobContext
from sitebrook.jobs.job import NoArguments, Priority
from sitebrook.jobs.kinds import JobKind

if TYPE_CHECKING:  # an idle worker does without SQLAlchemy, which takes 20 MB
    from sitebrook.stores.files import Files

EXPIRE: Final = "expire"


def expire_kind(open_files: Callable[[], Awaitable[Files]]) -> JobKind[NoArguments]:
    """The kind; what it needs is opened when there is a job to do."""

    async def handle(_context: JobContext, _arguments: NoArguments) -> dict[str, int]:
        return {"files": await (await open_files()).remove_expired()}

    return JobKind(
        name=EXPIRE,
        handler=handle,
        arguments=NoArguments,
        priority=Priority.LOW,
        cron="17 * * * *",
    )
