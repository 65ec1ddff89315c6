"""PostgreSQL restarted under running jobs."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from tests.integration.jobs import faults
from tests.integration.jobs.engines import open_engine
from tests.integration.jobs.processes import worker_process
from tests.integration.jobs.worker_process import KINDS

from sitebrook.db import embedded
from sitebrook.db.engine import Database
from sitebrook.db.migrate import migrate


async def restart_postgres(
    folder: Path, jobs: int, settings: dict[str, float], outage_s: float
) -> None:
    """None of the running jobs is started again, and new ones start soon after its return."""
    server = embedded.start(folder, fsync=False)
    migrate(server.url)
    database = Database(server.url)
    try:
        async with (
            open_engine(database, KINDS) as engine,
            worker_process(engine, settings, concurrency=jobs + 1),
            worker_process(engine, settings, concurrency=jobs + 1),
        ):
            seconds = outage_s + 6
            made = [await engine.enqueue("sleep", f"{seconds}") for _ in range(jobs)]
            await engine.until(
                "SELECT FROM job WHERE status = 'running' HAVING count(*) = :jobs", jobs=jobs
            )
            await asyncio.to_thread(server.stop)
            await asyncio.sleep(outage_s)
            server = await asyncio.to_thread(embedded.start, folder, fsync=False)
            came_back = time.monotonic()
            new = await engine.enqueue("sleep", "0")
            await faults.ended(engine, [new])
            assert time.monotonic() - came_back < 5
            rows = await faults.ended(engine, made, seconds + 60)
            assert [(row["status"], row["attempt"]) for row in rows] == [("succeeded", 1)] * jobs
            assert await engine.queue() == []
    finally:
        await database.aclose()
        await asyncio.to_thread(server.stop)
