"""What holds when workers, PostgreSQL or handlers fail; full counts and clocks are in the soak."""

from __future__ import annotations

import asyncio
import os
import signal
import time

from tests.factories import make_site
from tests.integration.jobs import faults
from tests.integration.jobs.engines import QUICK, Note, kind, open_engine
from tests.integration.jobs.processes import worker_process
from tests.integration.jobs.worker_process import KINDS

from sitebrook.db.engine import Database
from sitebrook.jobs.attempts import MOST_LOSSES
from sitebrook.jobs.context import JobContext


async def echo(_context: JobContext, note: Note) -> str:
    return note.text


async def test_the_jobs_of_a_killed_worker_are_run_by_another(database: Database) -> None:
    async with open_engine(database, KINDS) as engine:
        await faults.kill_a_worker(engine, 20, QUICK, within_s=20)


async def test_what_a_stopped_worker_writes_when_it_goes_on_is_refused(database: Database) -> None:
    async with open_engine(database, KINDS) as engine:
        await faults.stop_and_continue_a_worker(engine, 4, QUICK, pause_s=4)


async def test_the_most_urgent_job_is_first(database: Database) -> None:
    site = await make_site(database)
    async with open_engine(database, [kind("echo", echo)], lanes=2) as engine:
        await faults.end_by_priority(engine, 40, [None, site.id])


async def test_a_job_whose_workers_die_again_and_again_fails(database: Database) -> None:
    async with open_engine(database, KINDS) as engine, worker_process(engine) as worker:
        job_id = await engine.enqueue("sleep", "60")
        await engine.until("SELECT FROM job WHERE status = 'running'")
        await engine.rows("UPDATE job SET losses = :most - 1", most=MOST_LOSSES)
        os.kill(worker.pid, signal.SIGKILL)
        async with worker_process(engine):
            [row] = await faults.ended(engine, [job_id])
    assert (row["status"], row["error_code"]) == ("failed", "worker_lost")
    assert await engine.queue() == []


async def test_a_job_that_shows_progress_and_kills_its_workers_fails(database: Database) -> None:
    async with open_engine(database, KINDS) as engine, worker_process(engine) as worker:
        job_id = await engine.enqueue("count", "1000")
        await engine.rows("UPDATE job SET losses = :most - 1", most=MOST_LOSSES)
        await engine.until("SELECT FROM job WHERE progress IS NOT NULL")
        os.kill(worker.pid, signal.SIGKILL)
        async with worker_process(engine):
            [row] = await faults.ended(engine, [job_id])
    assert (row["status"], row["error_code"]) == ("failed", "worker_lost")


async def test_what_is_settled_makes_up_for_lost_workers(database: Database) -> None:
    async with open_engine(database, KINDS) as engine, worker_process(engine):
        await engine.enqueue("settle", "1000")
        await engine.rows("UPDATE job SET losses = 5")
        await engine.until("SELECT FROM job WHERE losses = 0 AND progress IS NOT NULL")


async def test_a_job_cancelled_with_its_worker_dead_ends_cancelled(database: Database) -> None:
    async with open_engine(database, KINDS) as engine, worker_process(engine) as worker:
        job_id = await engine.enqueue("sleep", "60")
        await engine.until("SELECT FROM job WHERE status = 'running'")
        os.kill(worker.pid, signal.SIGKILL)
        await engine.jobs.cancel(job_id)
        async with worker_process(engine):
            [row] = await faults.ended(engine, [job_id])
    assert row["status"] == "cancelled"


async def test_a_worker_told_to_end_lets_jobs_end_and_gives_the_rest_back(
    database: Database,
) -> None:
    async with (
        open_engine(database, KINDS) as engine,
        worker_process(engine, drain_s=3.0) as worker,
    ):
        short = await engine.enqueue("sleep", "1")
        long = await engine.enqueue("sleep", "60")
        await engine.until("SELECT FROM job WHERE status = 'running' HAVING count(*) = 2")
        began = time.monotonic()
        os.kill(worker.pid, signal.SIGTERM)
        never = await engine.enqueue("sleep", "0")
        assert await worker.end() == 0
        assert time.monotonic() - began < 3 + 5
        rows = [await engine.row(job_id) for job_id in (short, long, never)]
        assert [(row["status"], row["attempt"]) for row in rows] == [
            ("succeeded", 1),
            ("queued", 2),
            ("queued", 1),
        ]
        assert (rows[1]["failures"], rows[1]["losses"]) == (0, 0)
        assert await engine.rows("SELECT FROM procrastinate_workers") == []


async def test_a_worker_told_twice_gives_everything_back_at_once(database: Database) -> None:
    async with (
        open_engine(database, KINDS) as engine,
        worker_process(engine, drain_s=60.0) as worker,
    ):
        job_id = await engine.enqueue("sleep", "60")
        await engine.until("SELECT FROM job WHERE status = 'running'")
        os.kill(worker.pid, signal.SIGTERM)
        await asyncio.sleep(0.2)
        os.kill(worker.pid, signal.SIGTERM)
        assert await worker.end(15) == 0
        row = await engine.row(job_id)
        assert (row["status"], row["attempt"]) == ("queued", 2)


async def test_a_process_that_a_job_blocks_is_replaced(database: Database) -> None:
    settings = {**QUICK, "blocked_s": 1.0, "stalled_s": 30.0}
    async with (
        open_engine(database, KINDS) as engine,
        worker_process(engine, settings) as worker,
    ):
        other = await engine.enqueue("sleep", "3")
        await engine.until("SELECT FROM job WHERE status = 'running'")
        blocking = await engine.enqueue("block", "600")
        rows = await faults.ended(engine, [blocking, other])
        assert worker.process.poll() is None  # the same process, begun anew
    assert (rows[0]["status"], rows[0]["error_code"]) == ("failed", "job_blocked")
    assert rows[1]["result"] == {"pid": worker.pid, "attempt": 2}
