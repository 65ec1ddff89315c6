"""Workers under faults with the clocks and counts that they have in use."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from pathlib import Path

import pytest
from tests.factories import make_site
from tests.integration.jobs import faults, outage
from tests.integration.jobs.engines import Note, kind, open_engine
from tests.integration.jobs.processes import worker_process
from tests.integration.jobs.worker_process import KINDS

from sitebrook.db.engine import Database
from sitebrook.jobs.context import JobContext

_KILLS = 50
_AS_IN_USE: dict[str, float] = {}


async def _echo(_context: JobContext, note: Note) -> str:
    return note.text


@pytest.mark.soak
async def test_20_jobs_of_a_killed_worker_run_again_within_30_s(database: Database) -> None:
    async with open_engine(database, KINDS) as engine:
        await faults.kill_a_worker(engine, 20, _AS_IN_USE, within_s=30)


@pytest.mark.soak
async def test_a_worker_that_was_stopped_for_60_s_writes_nothing(database: Database) -> None:
    async with open_engine(database, KINDS) as engine:
        await faults.stop_and_continue_a_worker(engine, 20, _AS_IN_USE, pause_s=60)


@pytest.mark.soak
async def test_a_minute_without_postgres_starts_no_job_again(own_postgres: Path) -> None:
    await outage.restart_postgres(own_postgres, 20, _AS_IN_USE, outage_s=60)


@pytest.mark.soak
async def test_a_backlog_of_400_jobs_has_no_inversion(database: Database) -> None:
    sites = [(await make_site(database, name=name)).id for name in ("One", "Two")]
    async with open_engine(database, [kind("echo", _echo)], lanes=2) as engine:
        await faults.end_by_priority(engine, 400, [None, *sites])


@pytest.mark.soak
async def test_workers_killed_50_times_end_each_job_once(database: Database) -> None:
    generator = random.Random(7)
    quick = {"heartbeat_s": 0.2, "stalled_s": 1.0, "poll_s": 0.1}
    async with open_engine(database, KINDS, **quick) as engine:
        made = [await engine.enqueue("count", "40") for _ in range(100)]
        for _ in range(_KILLS):
            async with worker_process(engine, quick, concurrency=4) as worker:
                await asyncio.sleep(generator.uniform(0, 2))
                os.kill(worker.pid, signal.SIGKILL)
        async with worker_process(engine, quick, concurrency=20):
            rows = await faults.ended(engine, made, 300)
        assert await engine.queue() == []
    for row in rows:
        assert (row["status"], row["failures"]) == ("succeeded", 0), row
        assert row["result"] == row["attempt"]  # of the last attempt, and of no other
    assert any(row["attempt"] > 1 for row in rows)
