"""A server that is told to stop while a job runs: it answers until the job is given back."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path

import aiohttp
import psycopg
from tests.commands import run
from tests.databases import to_libpq
from tests.integration.stop.conversing import Answers, calling, serving


def read_job(database_url: str) -> tuple[str, int]:
    """How the ingestion stands: its status, and how many files are settled."""
    with psycopg.connect(to_libpq(database_url)) as connection:
        query = (
            "SELECT status, coalesce((progress->>'done')::int, 0) FROM job WHERE kind = 'ingest'"
        )
        return connection.execute(query).fetchone() or ("", 0)


async def test_the_port_answers_until_the_jobs_are_given_back(
    database_url: str, tmp_path: Path
) -> None:
    folder = tmp_path / "documents"
    folder.mkdir()
    for number in range(1500):
        (folder / f"{number}.md").write_text(f"# Page {number}\n\nIt costs {number} euros.\n")
    async with Answers() as upstream:
        with serving(database_url, upstream, tmp_path) as server:
            done = await asyncio.to_thread(
                run, "ingest", str(folder), "--detach", DATABASE_URL=database_url
            )
            assert done.returncode == 0, done.stderr
            async with calling(server) as callers, asyncio.timeout(60):
                while read_job(database_url)[1] == 0:
                    await asyncio.sleep(0.05)
                server.process.send_signal(signal.SIGTERM)
                began_at = time.monotonic()
                refused = 0
                while True:
                    status_before, _ = read_job(database_url)
                    try:
                        status, _, _ = await callers.get("/health/ready")
                    except aiohttp.ClientError:
                        break
                    refused += status == 503
                    await asyncio.sleep(0.05)
                # Read before the port was found closed: it had been given back by then.
                assert status_before == "queued"
                assert refused > 0
                assert await asyncio.to_thread(server.process.wait, 20) == 0
                assert time.monotonic() - began_at < 20
    status, settled = read_job(database_url)
    assert status == "queued"
    assert 0 < settled < 1500
