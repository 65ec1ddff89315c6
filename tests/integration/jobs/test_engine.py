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


ECHO = kind("echo", echo)


async def test_a_job_is_run_and_its_result_kept(database: Database) -> None:
    async with open_engine(database, [ECHO]) as engine, engine.working():
        job_id = await engine.enqueue("echo", "hello \0")
        [row] = await engine.ended(job_id)
        told = await engine.events(job_id)
        assert await engine.queue() == []
    assert (row["status"], row["attempt"], row["error_code"]) == (Status.SUCCEEDED, 1, None)
    assert row["result"] == {"text": "hello \N{REPLACEMENT CHARACTER}"}
    assert row["progress"] == {"said": "hello \N{REPLACEMENT CHARACTER}"}
    assert [event.kind for event in told] == ["running", "progress", "end"]
    assert told[-1].payload == {"status": "succeeded", "error": None}


async def test_a_job_of_a_transaction_that_rolls_back_was_never_there(database: Database) -> None:
    async with open_engine(database, [ECHO]) as engine, engine.working():
        with contextlib.suppress(ZeroDivisionError):
            async with database.begin() as connection:
                await engine.jobs.enqueue(connection, NewJob(kind="echo", arguments=Note()))
                raise ZeroDivisionError
        await engine.ended(await engine.enqueue("echo"))
        assert len(await engine.rows("SELECT FROM job")) == 1
        assert await engine.queue() == []


async def test_jobs_of_a_site_run_in_its_lanes(database: Database) -> None:
    running: list[str] = []
    most = 0

    async def count(context: JobContext, note: Note) -> None:
        nonlocal most
        running.append(context.job_id)
        most = max(most, len(running))
        await asyncio.sleep(0.02)
        running.remove(context.job_id)

    site = await make_site(database)
    async with open_engine(database, [kind("count", count)], lanes=2) as engine:
        jobs = [await engine.enqueue("count", site_id=site.id) for _ in range(10)]
        assert len(await engine.queue()) == 2
        async with engine.working(concurrency=8):
            rows = await engine.ended(*jobs)
        assert await engine.queue() == []
    assert most == 2
    assert {row["status"] for row in rows} == {"succeeded"}


async def test_an_error_that_may_pass_is_tried_again(database: Database) -> None:
    attempts: list[int] = []

    async def fail_twice(context: JobContext, note: Note) -> str:
        attempts.append(context.attempt)
        if len(attempts) < 3:
            raise Unavailable("not yet")
        return "done"

    async with open_engine(database, [kind("flaky", fail_twice)]) as engine, engine.working():
        job_id = await engine.enqueue("flaky")
        told = [event.kind for event in await engine.events(job_id)]
        row = await engine.row(job_id)
    assert attempts == [1, 2, 3]
    assert (row["failures"], row["result"], row["error_code"]) == (2, "done", None)
    again = ["waiting", "lost", "reset", "running"]
    assert told == ["running", *again, *again, "end"]
