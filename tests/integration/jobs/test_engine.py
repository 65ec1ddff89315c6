"""Jobs from their enqueueing to their end, with a worker in this process."""

from __future__ import annotations

import asyncio
import contextlib

from tests.factories import make_site
from tests.integration.jobs.engines import Note, kind, open_engine

from sitebrook.db.engine import Database
from sitebrook.errors import Unavailable
from sitebrook.jobs.context import JobContext
from sitebrook.jobs.job import NewJob, Status


async def echo(context: JobContext, note: Note) -> dict[str, str]:
    context.progress(said=note.text)
    return {"text": note.text}


async def test_a_job_is_run_and_its_result_kept(database: Database) -> None:
    async with open_engine(database, kind("echo", echo)) as engine, engine.working():
        job_id = await engine.enqueue("echo", "hello \0")
        await engine.told.until("succeeded", job_id)
        row = await engine.row(job_id)
        assert (row["status"], row["attempt"]) == (Status.SUCCEEDED, 1)
        assert row["result"] == {"text": "hello \N{REPLACEMENT CHARACTER}"}
        assert row["progress"] == {"said": "hello \N{REPLACEMENT CHARACTER}"}
        assert await engine.is_queue_empty()


async def test_a_job_of_a_transaction_that_rolls_back_was_never_there(database: Database) -> None:
    async with open_engine(database, kind("echo", echo)) as engine, engine.working():
        with contextlib.suppress(ZeroDivisionError):
            async with database.begin() as connection:
                await engine.jobs.enqueue(connection, NewJob(kind="echo", arguments=Note()))
                raise ZeroDivisionError
        await engine.told.until("succeeded", await engine.enqueue("echo"))
        assert len(await engine.rows("SELECT FROM job")) == 1
        assert await engine.is_queue_empty()


async def test_jobs_of_a_site_run_in_its_lanes(database: Database) -> None:
    running = 0
    most = 0

    async def count(context: JobContext, note: Note) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.02)
        running -= 1

    site = await make_site(database)
    async with open_engine(database, kind("count", count), lanes=2) as engine:
        for _ in range(10):
            await engine.enqueue("count", site_id=site.id)
        async with engine.working(concurrency=8):
            await engine.told.until("succeeded", count=10)
        assert most == 2
        assert await engine.is_queue_empty()


async def test_an_error_that_may_pass_is_tried_again(database: Database) -> None:
    attempts: list[int] = []

    async def fail_twice(context: JobContext, note: Note) -> str:
        attempts.append(context.attempt)
        if len(attempts) < 3:
            raise Unavailable("not yet")
        return "done"

    async with open_engine(database, kind("flaky", fail_twice)) as engine, engine.working():
        job_id = await engine.enqueue("flaky")
        await engine.told.until("succeeded", job_id)
        row = await engine.row(job_id)
    assert attempts == [1, 2, 3]
    assert (row["failures"], row["result"], row["error_code"]) == (2, "done", None)
