"""Workers killed again and again while they take files in: each chunk is there exactly once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import sqlalchemy as sa
from tests.factories import make_site
from tests.integration.ingestion.whole import killed_worker, load_whole, to_stored

from sitebrook.access.sites import Site
from sitebrook.db.engine import Database
from sitebrook.ingestion.loaders import RawDocument
from sitebrook.jobs.following import wait_for_end
from sitebrook.jobs.intake import SentBatch
from sitebrook.jobs.job import ENDED, Status
from sitebrook.parts import Parts
from sitebrook.settings import Settings
from sitebrook.wiring.process import build_parts

_KILLS = 50
_FILES = 60
_MOST_FILES = 3
_LONGEST_S = 0.5
_SOON_S = 120
_STAND = """
    SELECT status, attempt, (SELECT count(*) FROM staged_file
        WHERE batch_id = :batch_id AND content IS NULL) AS settled
    FROM job WHERE id = :id
"""
_KEPT = "SELECT count(*) FROM staged_file WHERE content IS NOT NULL"


@dataclass(frozen=True, slots=True)
class _Seen:
    """An attempt of the job, and how many files had their outcome then."""

    attempt: int
    settled: int


@pytest.fixture
async def parts(database_url: str) -> AsyncIterator[Parts]:
    """The parts of a process that sends files and runs no jobs."""
    made = build_parts(Settings.load({"DATABASE_URL": database_url}))
    async with made.running():
        yield made


def _edition(number: int) -> list[RawDocument]:
    """The same files with another text and other lengths each time."""
    return [
        RawDocument(
            f"{file}.md",
            "\n\n".join(
                [f"# Page {file}"]
                + [
                    f"## Part {part}\n\n" + f"Edition {number} of page {file} tells {part}. " * 30
                    for part in range(5 + (file + number) % 7)
                ]
            ),
        )
        for file in range(_FILES)
    ]


async def _check_stored(database: Database, site: Site, documents: list[RawDocument]) -> None:
    """Texts, vectors and keywords of every chunk, and of no other, each once."""
    async with database.begin_snapshot() as connection:
        assert await load_whole(connection, site.id) == to_stored(documents)
        assert (await connection.execute(sa.text(_KEPT))).scalar_one() == 0


async def _watch(database: Database, sent: SentBatch, attempt: int, files: int) -> _Seen | None:
    """A running attempt behind this one when so many files are settled; None at the job's end."""
    parameters = {"id": sent.job_id, "batch_id": sent.batch_id}
    async with asyncio.timeout(_SOON_S):
        while True:
            async with database.begin() as connection:
                row = (await connection.execute(sa.text(_STAND), parameters)).one()
            if Status(row.status) in ENDED:
                return None
            if row.status == "running" and row.attempt > attempt and row.settled >= files:
                return _Seen(row.attempt, row.settled)
            await asyncio.sleep(0.02)


@pytest.mark.soak
async def test_50_kills_over_ingestions_leave_every_chunk_once(
    parts: Parts, database: Database
) -> None:
    generator = random.Random(11)
    site = await make_site(database)
    kills = edition = 0
    restarted = 0
    while kills < _KILLS:
        documents = _edition(edition)
        edition += 1
        sent = await parts.intake.send(site, documents)
        seen = _Seen(0, 0)
        while True:
            with killed_worker(database.url):
                # At any moment of an attempt: at its start, or some files later.
                files = seen.settled + generator.randint(0, _MOST_FILES)
                found = await _watch(database, sent, seen.attempt, min(files, _FILES - 1))
                if found is None:
                    break
                seen = found
                if kills == _KILLS:
                    await wait_for_end(
                        database, parts.events, site.id, sent.job_id, timeout_s=_SOON_S
                    )
                    break
                await asyncio.sleep(generator.uniform(0, _LONGEST_S))
            kills += 1
        job = await wait_for_end(database, parts.events, site.id, sent.job_id, timeout_s=0)
        assert job.status is Status.SUCCEEDED, job
        # What was stored before a kill, but not noted, is found unchanged by the next attempt.
        done = job.result["added" if edition == 1 else "replaced"] + job.result["unchanged"]
        assert done == _FILES, job.result
        restarted += seen.attempt - 1
        await _check_stored(database, site, documents)
    assert restarted > _KILLS / 2
