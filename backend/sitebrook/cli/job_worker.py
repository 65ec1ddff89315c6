"""``sitebrook worker``: a process that only runs jobs.

It imports little: what a job needs is imported when there is one.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
import subprocess
import sys
from typing import Final, NoReturn

import click
import uvloop

from sitebrook.cli.cut_off import cut_off_after
from sitebrook.db.process_lock import ProcessLock
from sitebrook.errors import StartError
from sitebrook.settings import Settings
from sitebrook.telemetry.logs import configure_logs
from sitebrook.wiring.database import HeldDatabase, hold_database
from sitebrook.wiring.job_process import running_worker

_MIGRATE_S: Final = 300
# Beyond the drain: what is left is given back, PostgreSQL takes note, the embedded one ends.
_STOP_S: Final = 4.6


@click.command("worker")
@click.option("--queues", metavar="A,B", help="Take jobs of these queues only.")
@click.option("--concurrency", type=click.IntRange(min=1), help="Jobs at once.")
@click.pass_obj
def worker(settings: Settings, queues: str | None, concurrency: int | None) -> None:
    """Run background jobs until Ctrl-C; any number of workers share the work.

    When it is told to stop, jobs under way have 25 seconds (SITEBROOK_DRAIN_S) to end, then other
    workers start them again. Told twice, it does not wait for them. Ends with 0 when it was told
    to, with 1 when it cannot start or does not stop in time.
    """
    configure_logs(settings.telemetry.log_level)
    chosen = (
        None if queues is None else tuple(one.strip() for one in queues.split(",") if one.strip())
    )
    if chosen == ():
        raise click.BadParameter("name at least one queue", param_hint="--queues")
    jobs = settings.jobs
    # The setting is the server's: a worker of its own takes jobs of all queues unless told.
    jobs = dataclasses.replace(
        jobs, queues=chosen or (), concurrency=concurrency or jobs.concurrency
    )
    settings = dataclasses.replace(settings, jobs=jobs)
    shares = settings.redis.url is not None
    with hold_database(settings, _notify) as held, ProcessLock(held.url, shares=shares):
        _migrate(held.url)
        database = dataclasses.replace(settings.database, url=held.url)
        settings = dataclasses.replace(settings, database=database)
        uvloop.run(_work(settings, held))


async def _work(settings: Settings, held: HeldDatabase) -> None:
    async with running_worker(settings, _replace_process) as running:
        loop = asyncio.get_running_loop()
        has_heard = False

        def hear_signal() -> None:
            nonlocal has_heard
            if has_heard:
                running.worker.stop_now()
            else:
                under_way = running.worker.under_way
                running.worker.stop()
                _notify(to_farewell(under_way, settings.server.drain_s))
                cut_off_after(settings.server.drain_s + _STOP_S, held.leave_unwaited)
            has_heard = True

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, hear_signal)
        click.echo(
            f"Working on {', '.join(settings.jobs.queues or ['all queues'])}; Ctrl-C ends it."
        )
        await running.ended


def to_farewell(under_way: int, drain_s: float) -> str:
    """What a worker says that is told to stop."""
    if not under_way:
        return "Stopping; no job is under way."
    jobs = "1 job under way has" if under_way == 1 else f"{under_way} jobs under way have"
    return f"Stopping; {jobs} {drain_s:g} s."


def _migrate(url: str) -> None:
    """Brings the database to this version's tables, in a process that goes with its memory."""
    command = [sys.executable, "-P", "-m", "sitebrook", "db", "migrate"]
    done = subprocess.run(  # noqa: S603 - our own command
        command,
        env={**os.environ, "DATABASE_URL": url},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_MIGRATE_S,
        check=False,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["the migration ended without a word"]
        raise StartError(lines[-1].removeprefix("sitebrook: "))


def _replace_process() -> NoReturn:
    """Begins the process anew under its id, so that what watches over it need not."""
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - our own command


def _notify(text: str) -> None:
    click.echo(text, err=True)


COMMANDS: Final[tuple[click.Command, ...]] = (worker,)
