"""Workers killed with -9 while they read the files of a store: each file is old or new, and told.

A file never changes; it is put in again to be cut in another way.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Mapping
from dataclasses import dataclass

import pytest
import sqlalchemy as sa
from tests.integration.ingestion.whole import StoredChunk, killed_worker, load_whole, to_stored
from tests.integration.stores.kept import Kept

from sitebrook.ingestion.loaders import RawDocument
from sitebrook.jobs.following import wait_for_end
from sitebrook.jobs.job import ENDED, Status
from sitebrook.stores.cleaning import to_source
from sitebrook.stores.entries import NewEntry, SizesInTokens
from sitebrook.stores.waiting import to_characters

_SOON_S = 120
_LONGEST_S = 0.5
_MOST_FILES = 3
_STAND = """
    SELECT job.id, job.status, attempt, count(*) FILTER (WHERE store_file.status = 'completed')
        AS settled
    FROM job JOIN store_file ON job_id = job.id WHERE batch_id = :batch_id GROUP BY job.id
"""
_ENTRIES = sa.text("SELECT file_id, status FROM store_file WHERE store_id = :store_id")


def _text(file: int) -> str:
    parts = [f"# Page {file}"]
    for part in range(4 + file % 5):
        parts += [f"## Part {part}", f"Page {file} says of anchors what part {part} says. " * 30]
    return "\n\n".join(parts)


@dataclass(frozen=True, slots=True)
class _Edition:
    """How the files are cut this time, and what that makes of each, by its id."""

    sizes: SizesInTokens
    chunks: Mapping[str, list[StoredChunk]]

    @classmethod
    def of(cls, texts: Mapping[str, str], chunk_tokens: int) -> _Edition:
        sizes = SizesInTokens(chunk_tokens, 20)
        cut = to_characters(sizes)
        return cls(
            sizes,
            {
                file_id: to_stored(
                    [RawDocument(to_source(file_id, "a.md"), text.encode(), sizes=cut)]
                )
                for file_id, text in texts.items()
            },
        )


@dataclass(slots=True)
class _Killing:
    """One edition put into the store as a batch, and workers killed while they read it."""

    kept: Kept
    store_id: str
    chance: random.Random
    before: Mapping[str, list[StoredChunk]]
    edition: _Edition

    async def run(self, kills: int) -> int:
        """How many workers were killed, ``kills`` at most; the batch is complete then."""
        kept, edition = self.kept, self.edition
        entries = [NewEntry(one, {}, edition.sizes) for one in edition.chunks]
        batch = await kept.contents.add_batch(kept.site.id, self.store_id, entries)
        killed = attempt = settled = 0
        while killed < kills:
            wanted = min(settled + self.chance.randint(0, _MOST_FILES), len(entries) - 1)
            with killed_worker(kept.parts.database.url):
                seen = await self._watch(batch.id, attempt, wanted)
                if seen is None:
                    break
                attempt, settled = seen
                await asyncio.sleep(self.chance.uniform(0, _LONGEST_S))  # at any moment
            killed += 1
            await self._check()
            # Whoever polls goes on, unless all was read before the worker died.
            batch = await kept.contents.find_batch(kept.site.id, self.store_id, batch.id)
            is_read = batch.counts.completed == len(entries)
            assert batch.status == ("completed" if is_read else "in_progress")
        await self._end(batch.id)
        return killed

    async def _watch(self, batch_id: str, attempt: int, files: int) -> tuple[int, int] | None:
        """A later attempt that runs, when so many files are read, and how many are."""
        async with asyncio.timeout(_SOON_S):
            while True:
                (row,) = await self.kept.run(_STAND, batch_id=batch_id)
                if Status(row.status) in ENDED:
                    return None
                if row.status == "running" and row.attempt > attempt and row.settled >= files:
                    return row.attempt, row.settled
                await asyncio.sleep(0.02)

    async def _check(self) -> None:
        """Each file is wholly as before or wholly new; one that is told to be read is new."""
        async with self.kept.parts.database.begin_snapshot() as connection:
            stored = await load_whole(connection, self.store_id)
            entries = (await connection.execute(_ENTRIES, {"store_id": self.store_id})).all()
        by_source = {
            source: list(chunks) for source, chunks in itertools.groupby(stored, lambda one: one[0])
        }
        for file_id, status in entries:
            found = by_source.pop(to_source(file_id, "a.md"), [])
            new = self.edition.chunks[file_id]
            may_be = [new] if status == "completed" else [self.before[file_id], new]
            assert found in may_be, (file_id, status)
        assert not by_source

    async def _end(self, batch_id: str) -> None:
        kept = self.kept
        (row,) = await kept.run(_STAND, batch_id=batch_id)
        with killed_worker(kept.parts.database.url):
            job = await wait_for_end(
                kept.parts.database, kept.parts.events, kept.site.id, row.id, timeout_s=_SOON_S
            )
        assert job.status is Status.SUCCEEDED, job
        assert job.result == {"completed": len(self.edition.chunks), "failed": 0}
        batch = await kept.contents.find_batch(kept.site.id, self.store_id, batch_id)
        counts = batch.counts
        assert (batch.status, counts.completed) == ("completed", counts.total), batch
        await self._check()


@pytest.mark.parametrize(
    ("files", "kills", "at_once"), [(6, 2, 1), pytest.param(40, 50, 6, marks=pytest.mark.soak)]
)
async def test_killed_workers_leave_each_file_of_a_batch_old_or_new(
    kept: Kept, files: int, kills: int, at_once: int
) -> None:
    chance = random.Random(kills)
    texts = {await kept.add(_text(file)): _text(file) for file in range(files)}
    store_id = await kept.make()
    before: Mapping[str, list[StoredChunk]] = {one: [] for one in texts}
    killed = number = 0
    while killed < kills:
        edition = _Edition.of(texts, 200 + 100 * (number % 2))
        killing = _Killing(kept, store_id, chance, before, edition)
        killed += await killing.run(min(at_once, kills - killed))
        before = edition.chunks
        number += 1
    assert number > 1
    found = await kept.find(store_id)
    assert found
    assert set(found) <= set(texts)
