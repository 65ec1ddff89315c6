"""What workers are put through: small in the ordinary run, in full in the soak.

Each function is one fault; ``settings`` are the workers' clocks.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from typing import Any

from tests.integration.jobs.engines import SOON_S, Engine
from tests.integration.jobs.processes import worker_process

from sitebrook.jobs.job import Priority


async def kill_a_worker(
    engine: Engine, jobs: int, settings: dict[str, float], within_s: float
) -> None:
    """kill -9 of a worker with many running jobs: all finish elsewhere, in time, each once."""
    async with worker_process(engine, settings, concurrency=jobs) as first:
        made = [await engine.enqueue("sleep", "600 0.5") for _ in range(jobs)]
        await engine.until(
            "SELECT FROM job WHERE status = 'running' HAVING count(*) = :jobs", jobs=jobs
        )
        async with worker_process(engine, settings, concurrency=jobs) as second:
            os.kill(first.pid, signal.SIGKILL)
            killed_at = time.monotonic()
            running = "SELECT FROM job WHERE attempt = 2 AND started_at IS NOT NULL"
            await _until(engine, f"{running} HAVING count(*) = :jobs", within_s, jobs=jobs)
            assert time.monotonic() - killed_at < within_s
            rows = await ended(engine, made)
    for row in rows:
        assert row["status"] == "succeeded", row
        assert row["result"] == {"pid": second.pid, "attempt": 2}
        assert (row["attempt"], row["failures"]) == (2, 0)
    assert await engine.queue() == []


async def stop_and_continue_a_worker(
    engine: Engine, jobs: int, settings: dict[str, float], pause_s: float
) -> None:
    """SIGSTOP for longer than a heartbeat may be missing: what it writes afterwards is refused."""
    async with worker_process(engine, settings, concurrency=jobs) as first:
        made = [await engine.enqueue("sleep", "5 0.1") for _ in range(jobs)]
        await engine.until(
            "SELECT FROM job WHERE status = 'running' HAVING count(*) = :jobs", jobs=jobs
        )
        os.kill(first.pid, signal.SIGSTOP)
        try:
            async with worker_process(engine, settings, concurrency=jobs) as second:
                stopped_at = time.monotonic()
                rows = await ended(engine, made, pause_s + SOON_S)
                await asyncio.sleep(max(0.0, pause_s - (time.monotonic() - stopped_at)))
                os.kill(first.pid, signal.SIGCONT)
                # The first one's sleeps end now, and its results are for attempts that are over.
                assert await engine.enqueue("sleep", "0")
                await _until_logged(first, "lost attempt", "lost its job")
        finally:
            os.kill(first.pid, signal.SIGCONT)
        assert await ended(engine, made) == rows
    for row in rows:
        assert row["result"] == {"pid": second.pid, "attempt": 2}


async def end_by_priority(engine: Engine, jobs: int, site_ids: list[str | None]) -> None:
    """A backlog in any order: no job starts before a more urgent one."""
    generator = random.Random(0)
    made: dict[str, Priority] = {}
    for _ in range(jobs):
        priority = generator.choice(list(Priority))
        site_id = generator.choice(site_ids)
        made[await engine.enqueue("echo", priority=priority, site_id=site_id)] = priority
    async with engine.working(concurrency=1):
        await ended(engine, list(made), SOON_S + jobs / 4)
    rows = await engine.rows("SELECT id FROM job ORDER BY started_at")
    started = [made[row["id"]] for row in rows]
    assert len(started) == jobs
    assert started == sorted(started, reverse=True)  # not one inversion


async def ended(
    engine: Engine, job_ids: list[str], timeout_s: float = SOON_S
) -> list[dict[str, Any]]:
    """The rows of the jobs when all have ended; their workers tell their own log only."""
    statement = (
        "SELECT FROM job WHERE id = ANY(:ids) AND finished_at IS NOT NULL HAVING count(*) = :count"
    )
    await _until(engine, statement, timeout_s, ids=job_ids, count=len(job_ids))
    return [await engine.row(job_id) for job_id in job_ids]


async def _until(engine: Engine, statement: str, timeout_s: float, **parameters: object) -> None:
    async with asyncio.timeout(timeout_s):
        while not await engine.rows(statement, **parameters):
            await asyncio.sleep(0.05)


async def _until_logged(worker: Any, *any_of: str) -> None:
    async with asyncio.timeout(SOON_S):
        while not any(one in worker.log for one in any_of):
            await asyncio.sleep(0.05)
