"""Files on their way into a site's knowledge: stored, and a job enqueued that takes them in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sitebrook.access.sites import Site
from sitebrook.db.engine import Database
from sitebrook.ingestion.folders import find_files
from sitebrook.ingestion.ingest import Ingester, Outcome, Progress, Refusal, status_of
from sitebrook.ingestion.loaders import RawDocument
from sitebrook.ingestion.staging import new_batch, stage
from sitebrook.jobs.engine import JobEngine
from sitebrook.jobs.ingestion import INGEST, IngestArguments
from sitebrook.jobs.job import NewJob, Priority

# A transaction holds so much at most, and one file.
_PART_BYTES: Final = 4_000_000
_PART_FILES: Final = 200


@dataclass(frozen=True, slots=True)
class SentBatch:
    """Files that were sent, and the job that takes them in; ``skipped`` counts other types."""

    job_id: str
    batch_id: str
    files: int
    skipped: int = 0


class Intake:
    """Sends files to a job. Once sent, they are taken in whatever becomes of the sender."""

    def __init__(self, database: Database, ingester: Ingester, jobs: JobEngine) -> None:
        self._database = database
        self._ingester = ingester
        self._jobs = jobs

    async def send(self, site: Site, documents: Sequence[RawDocument]) -> SentBatch:
        """A job for a few documents that somebody waits for, who is served first."""
        part = _Part(new_batch())
        for raw in documents:
            part.add(await self._ingester.find_outcome(site, raw) or raw)
        arguments = IngestArguments(part.batch_id, len(part.files))
        return await self._enqueue(site, part, arguments, priority=Priority.HIGH)

    async def send_paths(
        self,
        site: Site,
        paths: Sequence[str | Path],
        *,
        prune_gone: bool = False,
        on_settled: Callable[[Progress], object] = lambda _progress: None,
    ) -> SentBatch:
        """A job for the files under the paths, which are read here; see ``Ingester``.

        ``on_settled`` hears of those that need not be sent.
        """
        found = await asyncio.to_thread(find_files, paths)
        part = _Part(new_batch())
        for source, reason in found.refusals:
            part.add(Refusal(source, reason))
        settled = 0
        for file in found.files:
            read = await self._ingester.read_file(file)
            if isinstance(read, RawDocument):
                read = await self._ingester.find_outcome(site, read) or read
            if not isinstance(read, RawDocument):
                settled += 1
                on_settled(Progress(settled, len(found.files), str(file), status_of(read)))
            part.add(read)
            if part.is_full:
                part = await self._store(site, part)
        arguments = IngestArguments(
            part.batch_id,
            part.first + len(part.files),
            prune_under=tuple(found.prefixes) if prune_gone else (),
            prune_not_under=tuple(found.unknown) if prune_gone else (),
        )
        return await self._enqueue(site, part, arguments, skipped=found.skipped)

    async def _store(self, site: Site, part: _Part) -> _Part:
        """The following part, still empty."""
        async with self._database.begin() as connection:
            await stage(connection, site.id, part.batch_id, part.files, first=part.first)
        return _Part(part.batch_id, part.first + len(part.files))

    async def _enqueue(
        self,
        site: Site,
        part: _Part,
        arguments: IngestArguments,
        *,
        priority: Priority | None = None,
        skipped: int = 0,
    ) -> SentBatch:
        new = NewJob(kind=INGEST, arguments=arguments, site_id=site.id, priority=priority)
        async with self._database.begin() as connection:
            await stage(connection, site.id, part.batch_id, part.files, first=part.first)
            job_id = await self._jobs.enqueue(connection, new)
        return SentBatch(job_id, part.batch_id, part.first + len(part.files), skipped)


class _Part:
    """The files of a batch that are not stored yet; the first is its ``first``-th."""

    def __init__(self, batch_id: str, first: int = 0) -> None:
        self.batch_id = batch_id
        self.first = first
        self.files: list[RawDocument | Outcome] = []
        self._bytes = 0

    @property
    def is_full(self) -> bool:
        """Whether it is as much as one transaction should hold."""
        return self._bytes >= _PART_BYTES or len(self.files) >= _PART_FILES

    def add(self, file: RawDocument | Outcome) -> None:
        """Adds a file, or what became of it already."""
        self.files.append(file)
        self._bytes += len(file.content) if isinstance(file, RawDocument) else 0
