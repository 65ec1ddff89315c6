"""PostgreSQL restarted under running jobs."""

from __future__ import annotations

from pathlib import Path

from tests.integration.jobs.engines import QUICK
from tests.integration.jobs.outage import restart_postgres


async def test_an_outage_of_postgres_starts_no_job_again(own_postgres: Path) -> None:
    # Longer than a heartbeat may be missing; that is longer than a worker takes to be back.
    await restart_postgres(own_postgres, 3, {**QUICK, "stalled_s": 5.0}, outage_s=6)
