"""PostgreSQL restarted under running jobs."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.jobs import faults
from tests.integration.jobs.engines import QUICK, open_engine
from tests.integration.jobs.processes import worker_process
from tests.integration.jobs.worker_process import KINDS

from sitebrook.db import embedded
from sitebrook.db.engine import Database
from sitebrook.db.migrate import migrate


@pytest.fixture
def folder() -> Iterator[Path]:
    """A data folder for a PostgreSQL of the test's own."""
    made = Path(tempfile.mkdtemp(prefix="sitebrook-jobs-"))
    made.chmod(0o755)  # as root, the server's own user must reach it
    yield made
    if embedded.find_running(made) is not None:
        embedded.start(made, fsync=False).stop()
    shutil.rmtree(made)


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


async def test_an_outage_of_postgres_starts_no_job_again(folder: Path) -> None:
    # Longer than a heartbeat may be missing.
    await restart_postgres(folder, 3, QUICK, outage_s=3)
