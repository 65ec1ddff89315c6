"""``sitebrook ingest``: files and folders into a site's knowledge."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncGenerator, Generator
from typing import Any, Final

import click
from rich.console import Console
from rich.progress import Progress as ProgressBar

from sitebrook.access.sites import Site
from sitebrook.cli.administration import site_option
from sitebrook.cli.progress import open_bar
from sitebrook.cli.session import choose_site, open_parts
from sitebrook.errors import SitebrookError
from sitebrook.ingestion.ingest import IngestReport, Progress
from sitebrook.ingestion.staging import outcomes
from sitebrook.jobs.engine import WorkerOptions
from sitebrook.jobs.following import follow
from sitebrook.jobs.intake import SentBatch
from sitebrook.jobs.job import ENDED, Job, Status
from sitebrook.parts import Parts
from sitebrook.settings import Settings

_PATH_CHARACTERS: Final = 48
# A job that no worker has begun by then is done by this process.
_PATIENCE_S: Final = 2.0
_GIVE_BACK_S: Final = 2.0


@click.command("ingest")
@click.argument("paths", nargs=-1, required=True, type=click.Path())
@site_option
@click.option("--prune", is_flag=True, help="Remove documents of files that are gone.")
@click.option("--sync", is_flag=True, help="Take them in here, without a job.")
@click.option("--detach", is_flag=True, help="Print the job's id and leave it to the workers.")
@click.pass_obj
def ingest(settings: Settings, paths: tuple[str, ...], **options: Any) -> None:
    """Take files and folders into a site's knowledge.

    A file replaces what it was before; an unchanged one is skipped. The files are sent to a job,
    which the server or a worker does, or this command when there is none; it shows how far the job
    is. Ctrl-C cancels it: what was taken in stays.
    """
    if options["sync"] and options["detach"]:
        raise click.UsageError("--sync and --detach exclude each other.")
    report = asyncio.run(_ingest(settings, paths, options))
    if report is None:
        return
    _print_summary(report)
    if report.refused and not report.documents:
        raise click.exceptions.Exit(1)


async def _ingest(
    settings: Settings, paths: tuple[str, ...], options: dict[str, Any]
) -> IngestReport | None:
    async with open_parts(settings) as parts:
        site = await choose_site(parts, options["site_name"])
        prune = options["prune"]
        with _open_display() as display:
            if options["sync"]:
                return await parts.ingester.ingest_paths(
                    site, paths, prune_gone=prune, on_progress=display.show
                )
            started = time.monotonic()
            sent = await parts.intake.send_paths(
                site, paths, prune_gone=prune, on_settled=display.show
            )
            if options["detach"]:
                click.echo(sent.job_id)
                return None
            job = await _follow(parts, site, sent, display)
        report = await _to_report(parts, job, sent)
        report.seconds = time.monotonic() - started
        return report


async def _follow(parts: Parts, site: Site, sent: SentBatch, display: _Display) -> Job:
    """The job when it has ended."""
    async with _worker_if_none(parts) as helper:
        try:
            states = follow(parts.database, parts.events, site.id, sent.job_id)
            async with contextlib.aclosing(states):
                async for job in states:
                    helper.saw(job)
                    display.show_job(job)
                    if job.status in ENDED:
                        return job
        except asyncio.CancelledError:
            await parts.jobs.cancel(sent.job_id, site_id=site.id)
            click.echo("Cancelled; the documents that were taken in stay.", err=True)
            raise
    raise AssertionError("a job is watched until it has ended")


async def _to_report(parts: Parts, job: Job, sent: SentBatch) -> IngestReport:
    if job.status is Status.CANCELLED:
        raise SitebrookError("The job was cancelled; the documents that were taken in stay.")
    if job.status is not Status.SUCCEEDED:
        raise SitebrookError(
            f"{job.error_message} What was taken in stays; `sitebrook jobs retry {job.id}` goes on."
        )
    report = IngestReport(skipped=sent.skipped, removed=job.result["removed"])
    for outcome in await outcomes(parts.database, sent.batch_id):
        report.count(outcome)
    return report


class _Helper:
    """A worker of this process, for a job that no other one begins."""

    def __init__(self, parts: Parts) -> None:
        options = WorkerOptions(concurrency=1, drain_s=_GIVE_BACK_S)
        self._worker = parts.jobs.worker(options)
        self._working: asyncio.Task[None] | None = None
        loop = asyncio.get_running_loop()
        self._starting = loop.call_later(_PATIENCE_S, self.start)

    def start(self) -> None:
        """Begins to work."""
        self._starting.cancel()
        if self._working is None:
            self._working = asyncio.create_task(self._worker.run())

    def saw(self, job: Job) -> None:
        """Nothing to do for a job that somebody has begun."""
        if job.status is not Status.QUEUED:
            self._starting.cancel()

    async def stop(self) -> None:
        """Gives back what it is doing."""
        self._starting.cancel()
        if self._working is not None:
            self._worker.stop_now()
            await asyncio.wait({self._working})


@contextlib.asynccontextmanager
async def _worker_if_none(parts: Parts) -> AsyncGenerator[_Helper]:
    helper = _Helper(parts)
    if not (await parts.jobs.stats()).workers:
        helper.start()
    try:
        yield helper
    finally:
        await helper.stop()


class _Display:
    """How far it is: a bar on a terminal, else a line for each file."""

    def __init__(self, bar: ProgressBar | None) -> None:
        self._bar = bar
        self._shown = 0
        self._task = bar.add_task("", total=None) if bar else None

    def show(self, progress: Progress) -> None:
        """Shows one file that is done."""
        if self._bar is None or self._task is None:
            line = f"[{progress.done}/{progress.total}] {progress.outcome}: {progress.path}"
            sys.stderr.write(f"{line}\n")
            return
        name = progress.path[-_PATH_CHARACTERS:]
        self._bar.update(
            self._task, completed=progress.done, total=progress.total, description=name
        )

    def show_job(self, job: Job) -> None:
        """Shows what the job last told."""
        told: dict[str, Any] = job.progress or {}
        if self._bar is None:
            if told.get("stage") == "done" and told["done"] > self._shown:
                self._shown = told["done"]
                self.show(Progress(told["done"], told["total"], told["source"], told["outcome"]))
        elif told and self._task is not None:
            name = f"{told['stage']} {told['source'][-_PATH_CHARACTERS:]}"
            self._bar.update(
                self._task, completed=told["done"], total=told["total"], description=name
            )


@contextlib.contextmanager
def _open_display() -> Generator[_Display]:
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Display(None)
        return
    with open_bar(console) as bar:
        yield _Display(bar)


def _print_summary(report: IngestReport) -> None:
    for path, reason in report.refused:
        click.echo(f"refused: {path}: {reason}")
    counts = [
        f"{count} {name}"
        for name, count in (
            ("added", report.added),
            ("replaced", report.replaced),
            ("unchanged", report.unchanged),
            ("removed", report.removed),
            ("refused", len(report.refused)),
        )
        if count
    ]
    detail = f" ({', '.join(counts)})" if counts else ""
    click.echo(
        f"Documents: {report.documents}{detail}, chunks written: {report.chunks}, "
        f"{report.seconds:.1f} s"
    )
    if report.skipped:
        click.echo(f"Files of other types passed over: {report.skipped}")
    if not report.documents and not report.refused:
        click.echo("No Markdown, text or HTML file was found there.")


COMMANDS: Final[tuple[click.Command, ...]] = (ingest,)
