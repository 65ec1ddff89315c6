"""How soon jobs start, how many a second, how soon a cancelled one has ended; an idle worker."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import sqlalchemy as sa
from tests.bench.job_sides import Stamp, open_ours, open_plain
from tests.bench.processes import rss_bytes
from tests.bench.report import Row, processor, show, verdict
from tests.servers import clean_environment, stop

from sitebrook.db import embedded
from sitebrook.db.engine import Database
from sitebrook.db.migrate import migrate
from sitebrook.jobs.crawling import CRAWL
from sitebrook.jobs.job import NewJob
from sitebrook.jobs.procrastinate_engine import ProcrastinateEngine

SUMMARY = "jobs: enqueue to start, starts a second over two workers, cancellation, an idle worker"
_WORKERS = 2
_AT_ONCE = 16
_PACE_S = 0.03
_START_S = 60
_MEGABYTE = 1e6
_CANCELLED = """
    SELECT extract(epoch FROM finished_at - cancel_requested_at)::float8 AS waited
    FROM job WHERE kind = 'hold' AND status = 'cancelled'
"""
Figures = dict[str, list[float]]
Started = Callable[[int], Awaitable[list[tuple[float, float]]]]


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

    rate, plain = figure["ours_starts"], figure["plain_starts"]
    return [
        most("enqueue to start p50", "ours_p50", "ms", 10, "plain_p50"),
        most("enqueue to start p99", "ours_p99", "ms", 50, "plain_p99"),
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
    plain = open_plain(url)
    task = plain.tasks["note"]

    async def enqueue(count: int) -> None:
        async with database.begin() as connection:
            for _ in range(count):
                new = NewJob(kind="note", arguments=Stamp(time.time()))
                await engine.enqueue(connection, new)

    async def defer(count: int) -> None:
        await task.batch_defer_async(*({"at": time.time()} for _ in range(count)))

    try:
        async with engine.opened(), plain.open_async():
            found = {"idle_mb": await _measure_idle(url, database)}
            for role, add in (("ours", enqueue), ("plain", defer)):
                found |= await _measure_starts(role, database, add, (paced, backlog))
            found |= _quantiles("cancel", await _measure_cancel(engine, database, held))
        return found
    finally:
        await database.aclose()


async def _measure_starts(
    role: str, database: Database, add: Callable[[int], Awaitable[None]], counts: tuple[int, int]
) -> dict[str, float]:
    paced, backlog = counts
    async with _workers(role, database, _AT_ONCE) as started:
        for _ in range(paced):
            await add(1)
            await asyncio.sleep(_PACE_S)
        waited = [began - enqueued for enqueued, began in await started(paced)]
        await add(backlog)
        began = sorted(began for _, began in (await started(paced + backlog))[paced:])
    rate = (backlog - 1) / (began[-1] - began[0])
    return {**_quantiles(role, waited), f"{role}_starts": rate}


async def _measure_cancel(
    engine: ProcrastinateEngine, database: Database, held: int
) -> list[float]:
    async with _workers("ours", database, held):
        async with database.begin() as connection:
            made = [await engine.enqueue(connection, NewJob(kind="hold")) for _ in range(held)]
        await _rows(database, "SELECT FROM job WHERE status = 'running'", held)
        for job_id in made:
            await engine.cancel(job_id)
            await asyncio.sleep(_PACE_S)
        return [row["waited"] for row in await _rows(database, _CANCELLED, held)]


async def _measure_idle(url: str, database: Database) -> float:
    """Megabytes of the process that an operator starts, a while after it has."""
    process = subprocess.Popen(
        [sys.executable, "-m", "sitebrook", "worker", "--queues", CRAWL],
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
async def _workers(role: str, database: Database, at_once: int) -> AsyncIterator[Started]:
    """Workers, and what reads of them when jobs were enqueued and begun, in that order."""
    with contextlib.ExitStack() as stack:
        said = [stack.enter_context(tempfile.TemporaryFile("w+")) for _ in range(_WORKERS)]
        processes = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.bench.job_sides", role, database.url, str(at_once)],
                env=clean_environment(),
                stdout=output,
            )
            for output in said
        ]

        async def started(count: int) -> list[tuple[float, float]]:
            async with asyncio.timeout(_START_S):
                while len(found := _read(said)) < count:
                    await asyncio.sleep(0.2)
            return found

        try:
            await _wait_for_workers(database, _WORKERS)
            await asyncio.sleep(1)  # until both listen
            yield started
        finally:
            for process in processes:
                await asyncio.to_thread(stop, process)


def _read(said: Iterable[IO[str]]) -> list[tuple[float, float]]:
    found: list[tuple[float, float]] = []
    for output in said:
        text = os.pread(output.fileno(), 10_000_000, 0).decode()
        whole, _, _ = text.rpartition("\n")  # the last line may be half written
        for line in whole.splitlines():
            enqueued, began = line.split()
            found.append((float(enqueued), float(began)))
    return sorted(found)


async def _wait_for_workers(database: Database, count: int) -> None:
    await _rows(database, "SELECT FROM procrastinate_workers", count)


async def _rows(database: Database, statement: str, count: int) -> Sequence[Any]:
    """The rows of a statement, when there are ``count``."""
    async with asyncio.timeout(_START_S):
        while True:
            async with database.begin() as connection:
                rows = (await connection.execute(sa.text(statement))).mappings().all()
            if len(rows) >= count:
                return rows
            await asyncio.sleep(0.1)


def _quantiles(name: str, seconds: list[float]) -> dict[str, float]:
    ordered = sorted(1000 * one for one in seconds)
    last = len(ordered) - 1
    return {f"{name}_p50": ordered[last // 2], f"{name}_p99": ordered[round(last * 0.99)]}
