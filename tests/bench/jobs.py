"""How soon jobs start, how many a second, how soon a cancelled one has ended; an idle worker."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from tests.bench.job_sides import PLAIN_QUEUE, open_ours, open_plain
from tests.bench.processes import rss_bytes
from tests.bench.report import Row, processor, show, verdict
from tests.servers import NotStarted, clean_environment, stop

from sitebrook.db import embedded
from sitebrook.db.engine import Database
from sitebrook.db.migrate import migrate
from sitebrook.jobs.job import NewJob
from sitebrook.jobs.procrastinate_engine import ProcrastinateEngine

SUMMARY = "jobs: enqueue to start, starts a second over two workers, cancellation, an idle worker"
_WORKERS = 2
_AT_ONCE = 16
_PACE_S = 0.03
_START_S = 60
_MEGABYTE = 1e6
_OURS_STARTED = """
    SELECT extract(epoch FROM started_at - created_at)::float8 AS waited,
        extract(epoch FROM started_at)::float8 AS started
    FROM job WHERE kind = 'nothing' AND status = 'succeeded'
"""
# The row's own times: when its transaction began, and when the one that fetched it did.
_PLAIN_STARTED = """
    SELECT extract(epoch FROM started.at - deferred.at)::float8 AS waited,
        extract(epoch FROM started.at)::float8 AS started
    FROM procrastinate_events AS deferred
    JOIN procrastinate_events AS started USING (job_id)
    JOIN procrastinate_jobs AS row ON row.id = job_id
    WHERE deferred.type = 'deferred' AND started.type = 'started' AND row.status = 'succeeded'
"""
_CANCELLED = """
    SELECT extract(epoch FROM finished_at - cancel_requested_at)::float8 AS waited
    FROM job WHERE kind = 'hold' AND status = 'cancelled'
"""
Figures = dict[str, list[float]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this bench."""
    add = parser.add_argument
    add("--rounds", type=int, choices=range(1, 10), default=3, help="rounds (%(default)s)")
    add("--tiny", action="store_true", help="a few jobs of each, to see that it works")
    add("--markdown", action="store_true", help="print the table for backend/README.md too")


def run(options: argparse.Namespace) -> None:
    """Measures and prints the table."""
    rounds = 1 if options.tiny else options.rounds
    paced, backlog, held = (10, 50, 10) if options.tiny else (300, 2000, 100)
    found: Figures = {}
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", file=sys.stderr)
        with _database() as url:
            for name, value in asyncio.run(_measure(url, paced, backlog, held)).items():
                found.setdefault(name, []).append(value)
    rows = _to_rows({name: statistics.median(values) for name, values in found.items()})
    print(f"{processor()}; workers, PostgreSQL and bench on all cores; medians of {rounds} rounds")
    for row in rows:
        print(f"  {row.what:52}{row.value:>36}   {row.target:28}{verdict(row)}")
    if options.markdown:
        print("\n| what | measured | target | reached |\n|---|---|---|---|")
        for row in rows:
            print(f"| {row.what} | {row.value} | {row.target} | {verdict(row)} |")


def _to_rows(figure: dict[str, float]) -> list[Row]:
    def most(what: str, name: str, unit: str, bound: float, base: str = "") -> Row:
        shown = f"{show(figure[name])} {unit}"
        if base:
            shown += f", {show(figure[name] / figure[base], 3)} x {show(figure[base])}"
        return Row(what, shown, f"<= {bound:g} {unit}", figure[name] <= bound)

    rate, plain = figure["starts"], figure["plain_starts"]
    return [
        most("enqueue to start p50", "start_p50", "ms", 10, "plain_p50"),
        most("enqueue to start p99", "start_p99", "ms", 50, "plain_p99"),
        Row(
            "starts over two workers",
            f"{show(rate)} /s, {show(rate / plain, 3)} x {show(plain)}",
            ">= 100 /s",
            rate >= 100,
        ),
        most("cancel to end p50", "cancel_p50", "ms", 300),
        most("cancel to end p99", "cancel_p99", "ms", 300),
        most("memory of an idle worker", "idle_mb", "MB", 60),
    ]


@contextlib.contextmanager
def _database() -> Iterator[str]:
    folder = Path(tempfile.mkdtemp(prefix="sitebrook-bench-"))
    folder.chmod(0o755)  # as root, the server's own user must reach it
    server = embedded.start(folder)
    try:
        migrate(server.url)
        yield server.url
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


async def _measure(url: str, paced: int, backlog: int, held: int) -> dict[str, float]:
    database = Database(url)
    engine = open_ours(url)
    try:
        async with engine.opened():
            found = {"idle_mb": await _measure_idle(url, database)}
            async with _workers("ours", database, _AT_ONCE):
                for _ in range(paced):
                    await _enqueue(engine, database, "nothing", 1)
                    await asyncio.sleep(_PACE_S)
                waited = await _column(database, _OURS_STARTED, "waited", paced)
                found |= _quantiles("start", waited)
                await _run(database, "DELETE FROM job")
                await _enqueue(engine, database, "nothing", backlog)
                found["starts"] = _rate(await _column(database, _OURS_STARTED, "started", backlog))
            async with _workers("ours", database, held):
                found |= _quantiles("cancel", await _measure_cancel(engine, database, held))
        return found | await _measure_plain(url, database, paced, backlog)
    finally:
        await database.aclose()


async def _measure_cancel(
    engine: ProcrastinateEngine, database: Database, held: int
) -> list[float]:
    await _enqueue(engine, database, "hold", held)
    await _column(database, "SELECT id FROM job WHERE status = 'running'", "id", held)
    for row in await _run(database, "SELECT id FROM job WHERE kind = 'hold'"):
        await engine.cancel(row["id"])
        await asyncio.sleep(_PACE_S)
    return await _column(database, _CANCELLED, "waited", held)


async def _measure_plain(
    url: str, database: Database, paced: int, backlog: int
) -> dict[str, float]:
    """The same of procrastinate's own tasks, run by its own worker."""
    app = open_plain(url)
    task = app.tasks["nothing"]
    async with app.open_async(), _workers("plain", database, _AT_ONCE):
        for _ in range(paced):
            await task.defer_async()
            await asyncio.sleep(_PACE_S)
        waited = await _column(database, _PLAIN_STARTED, "waited", paced)
        await _run(database, "DELETE FROM procrastinate_jobs")
        await task.batch_defer_async(*({} for _ in range(backlog)))
        started = await _column(database, _PLAIN_STARTED, "started", backlog)
    return {**_quantiles("plain", waited), "plain_starts": _rate(started)}


async def _measure_idle(url: str, database: Database) -> float:
    """Megabytes of the process that an operator starts, a while after it has."""
    process = subprocess.Popen(
        [sys.executable, "-m", "sitebrook", "worker", "--queues", PLAIN_QUEUE],
        env={**clean_environment(), "DATABASE_URL": url},
        stdout=subprocess.DEVNULL,
    )
    try:
        await _wait_for_workers(database, 1)
        await asyncio.sleep(5)
        return rss_bytes([process.pid]) / _MEGABYTE
    finally:
        await asyncio.to_thread(stop, process)


@contextlib.asynccontextmanager
async def _workers(role: str, database: Database, at_once: int) -> AsyncIterator[None]:
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.bench.job_sides", role, database.url, str(at_once)],
            env=clean_environment(),
        )
        for _ in range(_WORKERS)
    ]
    try:
        await _wait_for_workers(database, _WORKERS)
        await asyncio.sleep(1)  # until both listen
        yield
    finally:
        for process in processes:
            await asyncio.to_thread(stop, process)


async def _wait_for_workers(database: Database, count: int) -> None:
    deadline = time.monotonic() + _START_S
    while len(await _run(database, "SELECT id FROM procrastinate_workers")) < count:
        if time.monotonic() > deadline:
            raise NotStarted("a worker did not start")
        await asyncio.sleep(0.1)


async def _enqueue(engine: ProcrastinateEngine, database: Database, kind: str, count: int) -> None:
    async with database.begin() as connection:
        for _ in range(count):
            await engine.enqueue(connection, NewJob(kind=kind))


async def _column(database: Database, statement: str, name: str, count: int) -> list[Any]:
    """One column of a statement, when it has ``count`` rows."""
    async with asyncio.timeout(_START_S):
        while len(rows := await _run(database, statement)) < count:
            await asyncio.sleep(0.2)
    return [row[name] for row in rows]


async def _run(database: Database, statement: str) -> Sequence[Any]:
    async with database.begin() as connection:
        result = await connection.execute(sa.text(statement))
        return result.mappings().all() if result.returns_rows else []


def _quantiles(name: str, seconds: list[float]) -> dict[str, float]:
    ordered = sorted(1000 * one for one in seconds)
    last = len(ordered) - 1
    return {f"{name}_p50": ordered[last // 2], f"{name}_p99": ordered[round(last * 0.99)]}


def _rate(started: list[float]) -> float:
    return (len(started) - 1) / (max(started) - min(started))
