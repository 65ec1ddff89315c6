"""Files that are sent are taken in, whatever becomes of who sent them or of the worker."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.factories import make_site
from tests.fakes.held_embedder import hold

from sitebrook.db.engine import Database
from sitebrook.errors import Overtaken
from sitebrook.ingestion.ingest import Refusal
from sitebrook.ingestion.loaders import RawDocument
from sitebrook.ingestion.staging import outcomes
from sitebrook.jobs.engine import WorkerOptions
from sitebrook.jobs.following import follow, wait_for_end
from sitebrook.jobs.job import Status
from sitebrook.jobs.streams import stream_of
from sitebrook.parts import Parts
from sitebrook.settings import Settings
from sitebrook.wiring.process import build_parts

SOON_S = 60


@pytest.fixture
async def parts(database_url: str) -> AsyncIterator[Parts]:
    """The parts of a process that runs no jobs by itself."""
    made = build_parts(Settings.load({"DATABASE_URL": database_url}))
    async with made.running():
        yield made


@contextlib.asynccontextmanager
async def working(parts: Parts) -> AsyncIterator[None]:
    worker = parts.jobs.worker(WorkerOptions(concurrency=1, drain_s=1.0))
    task = asyncio.create_task(worker.run())
    try:
        yield
    finally:
        worker.stop_now()
        await task


def documents(count: int) -> list[RawDocument]:
    return [RawDocument(f"{n}.md", f"# Page {n}\n\nText of page {n}.") for n in range(count)]


async def staged(database: Database) -> tuple[int, int]:
    """How many files are staged, and how many of them still have their content."""
    query = sa.text("SELECT count(*), count(content) FROM staged_file")
    async with database.begin() as connection:
        row = (await connection.execute(query)).one()
    return row[0], row[1]


async def test_what_becomes_of_each_file_is_kept_and_its_content_let_go(
    parts: Parts, database: Database
) -> None:
    site = await make_site(database)
    files = [*documents(2), RawDocument("bad.md", b"\0\0"), RawDocument(" ", "no name")]
    sent = await parts.intake.send(site, files)
    assert await staged(database) == (4, 3)
    async with working(parts):
        job = await wait_for_end(
            parts.database, parts.events, site.id, sent.job_id, timeout_s=SOON_S
        )
    assert job.status is Status.SUCCEEDED
    assert (job.result["added"], job.result["refused"]) == (2, 2)
    found = await outcomes(database, sent.batch_id)
    assert [getattr(one, "status", "refused") for one in found] == [
        "added",
        "added",
        "refused",
        "refused",
    ]
    assert isinstance(found[2], Refusal)
    assert found[2].to_error().code == "document_refused"
    assert await staged(database) == (4, 0)


async def test_who_watches_sees_each_file_in_order_and_the_end(
    parts: Parts, database: Database
) -> None:
    site = await make_site(database)
    sent = await parts.intake.send(site, documents(3))
    seen: list[int] = []
    async with working(parts):
        states = follow(parts.database, parts.events, site.id, sent.job_id)
        async with asyncio.timeout(SOON_S), contextlib.aclosing(states):
            async for job in states:
                seen.append((job.progress or {}).get("done", 0))
    assert seen == sorted(seen)
    assert seen[-1] == 3
    assert job.status is Status.SUCCEEDED


async def test_every_stage_of_each_file_is_told_with_counts_and_an_estimate(
    parts: Parts, database: Database
) -> None:
    site = await make_site(database)
    files = [*documents(2), RawDocument("bad.md", b"\0\0")]
    sent = await parts.intake.send(site, files)
    async with working(parts):
        await wait_for_end(parts.database, parts.events, site.id, sent.job_id, timeout_s=SOON_S)
    async with parts.events.read(stream_of(site.id, sent.job_id)) as reader:
        told = [event.payload async for event in reader if event.kind == "progress"]
    read = ["parse", "split", "embed", "index"]
    assert [(one["source"], one["stage"], one["done"]) for one in told] == [
        *(("0.md", stage, 0) for stage in read),
        ("0.md", "done", 1),
        *(("1.md", stage, 1) for stage in read),
        ("1.md", "done", 2),
        ("bad.md", "parse", 2),
        ("bad.md", "done", 3),
    ]
    assert {one["total"] for one in told} == {3}
    assert [one["source_chunks"] for one in told[:4]] == [None, 1, 1, 1]
    assert [one["left_s"] is None for one in told] == [True] * 4 + [False] * 8
    assert (told[-1]["outcome"], told[-1]["left_s"], told[-1]["refused"]) == ("refused", 0, 1)


async def test_another_worker_goes_on_behind_what_was_settled(
    parts: Parts, database: Database
) -> None:
    site = await make_site(database)
    sent = await parts.intake.send(site, documents(6))
    states = follow(parts.database, parts.events, site.id, sent.job_id)
    async with asyncio.timeout(SOON_S), working(parts), contextlib.aclosing(states):
        async for job in states:
            if (job.progress or {}).get("done", 0) >= 2:
                break
    async with working(parts):
        ended = await wait_for_end(
            parts.database, parts.events, site.id, sent.job_id, timeout_s=SOON_S
        )
    assert ended.status is Status.SUCCEEDED
    assert ended.attempt > 1
    assert ended.result["added"] + ended.result["unchanged"] == 6
    async with database.begin() as connection:
        counted = await connection.execute(sa.text("SELECT count(*) FROM document"))
        assert counted.scalar_one() == 6


@pytest.mark.parametrize("change", ["attempt = attempt + 1", "status = 'failed'"])
async def test_an_attempt_that_was_given_up_stores_no_document(
    parts: Parts, database: Database, change: str
) -> None:
    embedder = hold(parts, {0}, is_deaf=True)
    site = await make_site(database)
    await parts.intake.send(site, documents(1))
    async with asyncio.timeout(SOON_S), working(parts):
        await embedder.reached.wait()
        async with database.begin() as connection:
            await connection.execute(sa.text(f"UPDATE job SET {change}"))
        embedder.let_go()
        assert embedder.task is not None
        await asyncio.wait({embedder.task})
    assert isinstance(embedder.task.exception(), Overtaken)
    async with database.begin() as connection:
        assert (await connection.execute(sa.text("SELECT FROM document"))).first() is None


async def test_only_files_with_an_outcome_make_up_for_lost_workers(
    parts: Parts, database: Database
) -> None:
    embedder = hold(parts, range(2))

    async def losses_when(progress: str) -> int:
        query = f"SELECT losses FROM job WHERE progress @> '{progress}'"
        while True:
            async with database.begin() as connection:
                found = (await connection.execute(sa.text(query))).scalar_one_or_none()
            if found is not None:
                return found
            await asyncio.sleep(0.02)

    site = await make_site(database)
    await parts.intake.send(site, documents(2))
    async with database.begin() as connection:
        await connection.execute(sa.text("UPDATE job SET losses = 5"))
    async with asyncio.timeout(SOON_S), working(parts):
        assert await losses_when('{"stage": "embed", "done": 0}') == 5
        embedder.let_go()
        assert await losses_when('{"stage": "embed", "done": 1}') == 0


async def test_a_cancelled_job_leaves_whole_documents_only(
    parts: Parts, database: Database
) -> None:
    site = await make_site(database)
    sent = await parts.intake.send(site, documents(40))
    async with working(parts):
        states = follow(parts.database, parts.events, site.id, sent.job_id)
        async with asyncio.timeout(SOON_S), contextlib.aclosing(states):
            async for job in states:
                if (job.progress or {}).get("done", 0) >= 1 and job.status is Status.RUNNING:
                    await parts.jobs.cancel(sent.job_id, site_id=site.id)
    assert job.status is Status.CANCELLED
    query = (
        "SELECT count(*) FROM document"
        " WHERE NOT EXISTS (SELECT FROM chunk WHERE document_id = document.id)"
    )
    async with database.begin() as connection:
        assert (await connection.execute(sa.text(query))).scalar_one() == 0


async def test_files_that_are_no_longer_kept_fail_the_job_with_what_to_do(
    parts: Parts, database: Database
) -> None:
    site = await make_site(database)
    sent = await parts.intake.send(site, documents(1))
    async with database.begin() as connection:
        await connection.execute(sa.text("DELETE FROM staged_file"))
    async with working(parts):
        job = await wait_for_end(
            parts.database, parts.events, site.id, sent.job_id, timeout_s=SOON_S
        )
    assert job.status is Status.FAILED
    assert "send them again" in (job.error_message or "")


async def test_gone_files_are_pruned_by_the_job(
    parts: Parts, database: Database, tmp_path: Path
) -> None:
    site = await make_site(database)
    for name in ("a.md", "b.md"):
        (tmp_path / name).write_text(f"# {name}\n\nText of {name}.", "utf-8")
    async with working(parts):
        for removed in (0, 1):
            sent = await parts.intake.send_paths(site, [tmp_path], prune_gone=True)
            job = await wait_for_end(
                parts.database, parts.events, site.id, sent.job_id, timeout_s=SOON_S
            )
            assert job.status is Status.SUCCEEDED, job.error_message
            assert job.result["removed"] == removed
            (tmp_path / "b.md").unlink(missing_ok=True)
