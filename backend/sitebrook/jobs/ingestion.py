"""The job that takes a batch of staged files into a site's knowledge."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, LiteralString

import msgspec

from sitebrook.errors import InvalidRequest, Unavailable
from sitebrook.jobs.connections import Connections
from sitebrook.jobs.context import JobContext
from sitebrook.jobs.job import NoArguments, Priority
from sitebrook.jobs.kinds import MOST_TIMEOUT_S, JobKind
from sitebrook.jobs.pace import Pace

if TYPE_CHECKING:  # an idle worker does without SQLAlchemy, which takes 20 MB
    from sitebrook.access.sites import Site
    from sitebrook.db.engine import Database
    from sitebrook.ingestion.ingest import Ingester, Stage
    from sitebrook.ingestion.staging import Counts, StagedFile

INGEST: Final = "ingest"
SWEEP: Final = "sweep_batches"
_MAX_ATTEMPTS: Final = 5
_NAME_CHARACTERS: Final = 200
_REASONS: Final = 100

# A day after the last of them could be asked about; a batch that waits for its job stays.
_SWEEP: Final[LiteralString] = """
    DELETE FROM staged_file WHERE created_at < now() - interval '1 day' AND NOT EXISTS (
        SELECT FROM job WHERE job.kind = 'ingest' AND job.arguments->>'batch_id' = batch_id
            AND job.status IN ('queued', 'running', 'waiting')
    ) RETURNING position
"""


class IngestArguments(msgspec.Struct, frozen=True):
    """Which files to take in.

    Documents whose source begins with one of ``prune_under`` and none of ``prune_not_under``, and
    is not in the batch, are removed after that.
    """

    batch_id: str
    files: int
    prune_under: tuple[str, ...] = ()
    prune_not_under: tuple[str, ...] = ()


class IngestResult(msgspec.Struct, frozen=True):
    """What became of the files; ``chunks`` counts those written, ``reasons`` has the first 100."""

    added: int
    replaced: int
    unchanged: int
    refused: int
    removed: int
    chunks: int
    reasons: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class IngestTools:
    """What taking files in needs."""

    database: Database
    ingester: Ingester


def ingest_kind(open_tools: Callable[[], Awaitable[IngestTools]]) -> JobKind[IngestArguments]:
    """The kind; its tools are opened when there is a job to do."""

    async def handle(context: JobContext, arguments: IngestArguments) -> IngestResult:
        return await _Batch(await open_tools(), context, arguments).take_in()

    return JobKind(
        name=INGEST,
        handler=handle,
        arguments=IngestArguments,
        timeout_s=MOST_TIMEOUT_S,
        max_attempts=_MAX_ATTEMPTS,
        retries=(Unavailable, TimeoutError),
    )


def sweep_kind(connections: Connections) -> JobKind[NoArguments]:
    """The kind that removes staged files which nobody is still taking in."""

    async def handle(_context: JobContext, _arguments: NoArguments) -> dict[str, int]:
        return {"removed": len(await connections.run(_SWEEP, {}))}

    return JobKind(
        name=SWEEP, handler=handle, arguments=NoArguments, priority=Priority.LOW, cron="37 * * * *"
    )


class _Batch:
    """One attempt at a batch: it goes on behind what earlier attempts have settled."""

    def __init__(self, tools: IngestTools, context: JobContext, arguments: IngestArguments) -> None:
        self._tools = tools
        self._context = context
        self._arguments = arguments
        self._counts: Counts
        self._pace: Pace

    async def take_in(self) -> IngestResult:
        """Takes every file in that has no outcome yet."""
        from sitebrook.ingestion import staging

        database, batch_id = self._tools.database, self._arguments.batch_id
        site = await self._find_site()
        self._counts = counts = await staging.count(database, batch_id)
        self._pace = Pace(counts.done)
        if counts.total < self._arguments.files:
            raise InvalidRequest("The files of this job are no longer kept: send them again.")
        while (file := await staging.next_file(database, batch_id)) is not None:
            await self._take_in(site, file)
            self._context.check_cancelled()
        removed = await self._prune(site)
        return await self._to_result(removed)

    async def _take_in(self, site: Site, file: StagedFile) -> None:
        from sitebrook.ingestion import staging

        source_chunks: int | None = None

        def show(stage: Stage, chunks: int | None = None) -> None:
            nonlocal source_chunks
            source_chunks = source_chunks if chunks is None else chunks
            self._show(stage, file.raw.source, source_chunks=source_chunks)

        batch_id = self._arguments.batch_id
        guard = self._context.check_current
        outcome = await self._tools.ingester.take_in(site, file.raw, show, guard)
        await staging.settle(self._tools.database, batch_id, file.position, outcome)
        self._context.settled()
        self._counts = self._counts.plus(outcome)
        self._show("done", file.raw.source, outcome=staging.status_of(outcome))

    def _show(self, stage: str, source: str, **more: object) -> None:
        counts = self._counts
        self._context.progress(
            stage=stage,
            source=source[-_NAME_CHARACTERS:],
            done=counts.done,
            total=counts.total,
            chunks=counts.chunks,
            refused=counts.refused,
            left_s=self._pace.left_s(counts.done, counts.total),
            **more,
        )

    async def _prune(self, site: Site) -> int:
        from sitebrook.ingestion import staging
        from sitebrook.retrieval.documents import prune

        arguments = self._arguments
        if not arguments.prune_under:
            return 0
        database = self._tools.database
        keep = await staging.sources(database, arguments.batch_id)
        return await prune(
            database,
            site.id,
            keep,
            under=arguments.prune_under,
            not_under=arguments.prune_not_under,
        )

    async def _to_result(self, removed: int) -> IngestResult:
        from sitebrook.ingestion.ingest import IngestReport
        from sitebrook.ingestion.staging import outcomes

        report = IngestReport()
        for outcome in await outcomes(self._tools.database, self._arguments.batch_id):
            report.count(outcome)
        return IngestResult(
            added=report.added,
            replaced=report.replaced,
            unchanged=report.unchanged,
            refused=len(report.refused),
            removed=removed,
            chunks=report.chunks,
            reasons=report.refused[:_REASONS],
        )

    async def _find_site(self) -> Site:
        from sitebrook.access.sites import find_site

        site_id = self._context.site_id
        async with self._tools.database.begin() as connection:
            site = None if site_id is None else await find_site(connection, site_id)
        if site is None:
            raise InvalidRequest("The site of this job is gone.")
        return site
