"""Which job is next: priorities, ageing, lanes; and what cron wants."""

from __future__ import annotations

import asyncio

import pytest
from tests.factories import make_site
from tests.integration.jobs import faults
from tests.integration.jobs.engines import SOON_S, Engine, Note, kind, open_engine

from sitebrook.db.engine import Database
from sitebrook.errors import InvalidRequest
from sitebrook.jobs.context import JobContext
from sitebrook.jobs.housekeeping import HOUSEKEEPING, housekeeping
from sitebrook.jobs.job import NewJob, NoArguments, Priority
from sitebrook.jobs.kinds import JobKind
from sitebrook.jobs.watch import JobWatch


async def echo(_context: JobContext, note: Note) -> str:
    return note.text


async def hold(_context: JobContext, _note: Note) -> None:
    await asyncio.Event().wait()


ECHO, HOLD = kind("echo", echo), kind("hold", hold)


async def queued(engine: Engine) -> list[str]:
    """The jobs in the queue, the first one first."""
    rows = await engine.rows(
        "SELECT args->>'job' AS id FROM procrastinate_jobs WHERE status = 'todo'"
        " ORDER BY priority DESC, id"
    )
    return [row["id"] for row in rows]


async def test_who_waits_for_long_goes_before_the_more_urgent(database: Database) -> None:
    async with open_engine(database, [ECHO], ageing_s=600.0) as engine:
        old = await engine.enqueue("echo", priority=Priority.LOW)
        await engine.rows("UPDATE procrastinate_jobs SET priority = priority + 1700")
        urgent = await engine.enqueue("echo", priority=Priority.URGENT)
        assert await queued(engine) == [urgent, old]  # 28 minutes are not three steps
        await engine.rows(
            "UPDATE procrastinate_jobs SET priority = priority + 200 WHERE args->>'job' = :old",
            old=old,
        )
        assert await queued(engine) == [old, urgent]


async def test_an_urgent_job_takes_the_lane_of_one_that_has_not_started(
    database: Database,
) -> None:
    site = await make_site(database)
    async with open_engine(database, [ECHO], lanes=1) as engine:
        made = [
            await engine.enqueue("echo", priority=priority, site_id=site.id)
            for priority in (Priority.LOW, Priority.URGENT, Priority.HIGH, Priority.NORMAL)
        ]
        assert await queued(engine) == [made[1]]
        async with engine.working(concurrency=1):
            await engine.ended(*made)
        rows = await engine.rows("SELECT id FROM job ORDER BY started_at")
        assert [row["id"] for row in rows] == [made[1], made[2], made[3], made[0]]


async def test_a_site_with_many_jobs_leaves_room_for_others(database: Database) -> None:
    busy = await make_site(database, name="Busy")
    other = await make_site(database, name="Other")
    async with open_engine(database, [ECHO, HOLD], lanes=2) as engine:
        for _ in range(20):
            await engine.enqueue("hold", site_id=busy.id)
        async with engine.working(concurrency=3):
            await engine.until("SELECT FROM job WHERE status = 'running' HAVING count(*) = 2")
            await engine.ended(await engine.enqueue("echo", site_id=other.id))
            running = await engine.rows("SELECT FROM job WHERE status = 'running'")
            assert len(running) == 2
        assert len(await engine.queue()) == 2


async def test_a_retry_keeps_no_lane_while_it_waits(database: Database) -> None:
    async def fail(_context: JobContext, _note: Note) -> None:
        raise TimeoutError

    site = await make_site(database)
    failing = kind("fail", fail, retries=(TimeoutError,))
    async with (
        open_engine(database, [failing, ECHO], lanes=1, retry_first_s=60.0) as engine,
        engine.working(),
    ):
        first = await engine.enqueue("fail", site_id=site.id)
        await engine.events(first, until="waiting")
        await engine.ended(await engine.enqueue("echo", site_id=site.id))
        assert (await engine.row(first))["lane"] is None


async def test_enqueueing_never_waits_for_another_s_transaction(database: Database) -> None:
    site = await make_site(database)
    new = NewJob(kind="echo", arguments=Note(), site_id=site.id)
    async with open_engine(database, [ECHO], lanes=2) as engine:
        async with database.begin() as connection:
            held = await engine.jobs.enqueue(connection, new)
            async with asyncio.timeout(10):
                waiting = await engine.enqueue("echo", site_id=site.id)
            assert await queued(engine) == []  # the lanes are being given away
        assert await queued(engine) == [held]
        async with engine.working():
            await engine.ended(waiting)  # found by the worker


async def test_jobs_of_a_deleted_site_go_with_it(database: Database) -> None:
    site = await make_site(database)
    async with open_engine(database, [ECHO, HOLD], lanes=2) as engine, engine.working():
        running = await engine.enqueue("hold", site_id=site.id)
        await engine.events(running, until="running")
        await engine.enqueue("hold", site_id=site.id)
        await engine.rows("DELETE FROM site WHERE id = :id", id=site.id)
        async with asyncio.timeout(10):
            while await engine.queue():
                await asyncio.sleep(0.05)
        await engine.ended(await engine.enqueue("echo"))


async def test_only_jobs_of_the_worker_s_queues_are_taken(database: Database) -> None:
    kinds = [kind("here", echo, queue="here"), kind("there", echo, queue="there")]
    async with open_engine(database, kinds) as engine, engine.working(queues=("here",)):
        there = await engine.enqueue("there")
        await engine.ended(await engine.enqueue("here"))
        assert (await engine.row(there))["status"] == "queued"


async def test_cron_enqueues_once_over_two_workers(database: Database) -> None:
    async def tick(_context: JobContext, _arguments: NoArguments) -> None:
        pass

    every_second = JobKind(name="tick", handler=tick, arguments=NoArguments, cron="* * * * * *")
    async with open_engine(database, [every_second]) as engine:
        async with engine.working(), engine.working():
            await engine.until("SELECT FROM job WHERE finished_at IS NOT NULL HAVING count(*) >= 4")
        rows = await engine.rows("SELECT scheduled_for FROM job ORDER BY scheduled_for")
    moments = [row["scheduled_for"] for row in rows]
    first = moments[0].timestamp()
    assert [moment.timestamp() for moment in moments] == [first + n for n in range(len(moments))]


async def test_housekeeping_removes_what_ended_long_ago_and_mends(database: Database) -> None:
    site = await make_site(database)
    async with open_engine(database, [ECHO]) as engine:
        old, young, lost, of_site = [
            await engine.enqueue("echo"),
            await engine.enqueue("echo"),
            await engine.enqueue("echo"),
            await engine.enqueue("echo", site_id=site.id),
        ]
        for job_id, days in ((old, 31), (young, 29)):
            await engine.rows(
                "UPDATE job SET status = 'succeeded', lane = NULL,"
                " finished_at = now() - :days * interval '1 day' WHERE id = :id",
                id=job_id,
                days=days,
            )
        await engine.rows("UPDATE job SET created_at = now() - interval '1 hour'")
        await engine.rows("DELETE FROM procrastinate_jobs")  # a restored backup without the queue
        kept = housekeeping(engine.connections, engine.settings)
        async with open_engine(database, [ECHO, kept]) as keeping:
            async with database.begin() as connection:
                await keeping.jobs.enqueue(connection, NewJob(kind=HOUSEKEEPING))
            async with keeping.working():
                await faults.ended(engine, [lost, of_site])
        ids = {row["id"] for row in await engine.rows("SELECT id FROM job")}
    assert old not in ids
    assert {young, lost, of_site} <= ids


async def test_a_kind_that_no_worker_knows_waits_for_one_that_does(database: Database) -> None:
    async with open_engine(database, [ECHO]) as engine:
        job_id = await engine.enqueue("echo")
        async with open_engine(database, []) as older, older.working():
            [row] = await engine.until("SELECT * FROM job WHERE status = 'waiting'")
        assert row["error_message"] == "No worker of this version knows jobs of the kind 'echo'."
        await engine.rows("UPDATE job SET due_at = now()")
        async with engine.working():
            await faults.ended(engine, [job_id])


async def test_arguments_of_another_version_fail_the_job(database: Database) -> None:
    async with open_engine(database, [ECHO]) as engine:
        job_id = await engine.enqueue("echo")
        await engine.rows("UPDATE job SET arguments = '{\"text\": 7}'")
        async with engine.working():
            [row] = await faults.ended(engine, [job_id])
    assert (row["status"], row["error_code"]) == ("failed", "job_arguments_invalid")


async def test_arguments_are_bounded_and_of_the_kind_s_type(database: Database) -> None:
    async with open_engine(database, [ECHO]) as engine:
        with pytest.raises(InvalidRequest, match="64,000 bytes"):
            await engine.enqueue("echo", "x" * 64_000)
        async with database.begin() as connection:
            with pytest.raises(TypeError, match="echo takes Note"):
                await engine.jobs.enqueue(connection, NewJob(kind="echo"))


async def test_statistics_show_what_is_open_and_who_works(database: Database) -> None:
    async with open_engine(database, [ECHO, HOLD]) as engine, engine.working(queues=("none",)):
        await engine.enqueue("echo")
        await engine.enqueue("echo")
        await engine.rows("UPDATE job SET created_at = now() - interval '1 minute'")
        await engine.until("SELECT FROM procrastinate_workers")
        stats = await engine.jobs.stats()
    [row] = stats.open
    assert (row.kind, row.status, row.count, stats.workers) == ("echo", "queued", 2, 1)
    assert 60 <= row.oldest_s < 90


async def test_who_watches_knows_whether_jobs_are_run(database: Database) -> None:
    async with open_engine(database, [HOLD], heartbeat_s=0.1) as engine:
        watch = JobWatch(engine.jobs)
        watching = asyncio.create_task(watch.run())
        await engine.enqueue("hold")
        async with asyncio.timeout(SOON_S):
            while watch.figures is None:
                await asyncio.sleep(0.01)
        assert [one.count for one in watch.figures.open] in ([], [1])
        watch.figures = await engine.jobs.stats()
        assert not watch.is_well
        async with engine.working():
            await engine.until("SELECT FROM job WHERE status = 'running'")
            watch.figures = await engine.jobs.stats()
            assert watch.is_well
        watching.cancel()
