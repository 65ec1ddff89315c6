"""``sitebrook ingest``: files, folders and websites into a site's knowledge."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Final

import click

from sitebrook.access.sites import Site
from sitebrook.cli.administration import site_option
from sitebrook.cli.detaching import leave_to_workers
from sitebrook.cli.display import open_display, to_refusal
from sitebrook.cli.following import follow_to_end
from sitebrook.cli.session import choose_site, open_parts, run_command
from sitebrook.cli.websites import find_or_add_website, read_website, start_crawl
from sitebrook.ingestion.folders import find_missing
from sitebrook.ingestion.ingest import IngestReport
from sitebrook.ingestion.staging import outcomes
from sitebrook.ingestion.website.connecting import check_readable
from sitebrook.parts import Parts
from sitebrook.settings import Settings

_WEB: Final = ("http://", "https://")


@click.command("ingest")
@click.argument(
    "targets", nargs=-1, required=True, type=click.Path(readable=False), metavar="PATH|URL..."
)
@site_option
@click.option("--prune", is_flag=True, help="Remove documents of files that are gone.")
@click.option("--sync", is_flag=True, help="Take them in here, without a job.")
@click.option("--detach", is_flag=True, help="Print the jobs' ids and leave them to the workers.")
@click.pass_obj
def ingest(settings: Settings, targets: tuple[str, ...], **options: Any) -> None:
    """Take files, folders and websites into a site's knowledge.

    A file replaces what it was before; an unchanged one is skipped. The files are sent to a job,
    which the server or a worker does, or this command when there is none; it shows how far the job
    is. Ctrl-C cancels it: what was taken in stays.

    A URL is the start of a website, which is read as `sitebrook sources add URL` does; one that is
    known is read with the options that it has.

    Ends with 1 when a path is missing, or when nothing was taken in and something was refused.
    """
    if options["sync"] and options["detach"]:
        raise click.UsageError("--sync and --detach exclude each other.")
    if not run_command(_ingest(settings, targets, options)):
        raise click.exceptions.Exit(1)


async def _ingest(settings: Settings, targets: Sequence[str], options: dict[str, Any]) -> bool:
    """Whether all files are there, and anything was taken in or nothing was refused."""
    urls = [target for target in targets if target.lower().startswith(_WEB)]
    paths = [target for target in targets if target not in urls]
    for url in urls:
        check_readable(url)
    missing = await asyncio.to_thread(find_missing, paths)
    done: list[bool] = []
    async with open_parts(settings) as parts:
        site = await choose_site(parts, options["site_name"])
        if paths:
            done.append(await _ingest_paths(parts, site, paths, missing, options))
        for url in urls:
            source = await find_or_add_website(parts, site, url)
            if options["detach"]:
                await leave_to_workers(parts, await start_crawl(parts, source))
            else:
                by_job = not options["sync"]
                done.append(await read_website(parts, site, source, by_job=by_job))
    return not missing and (not done or any(done))


async def _ingest_paths(
    parts: Parts,
    site: Site,
    paths: Sequence[str],
    missing: Sequence[tuple[str, str]],
    options: dict[str, Any],
) -> bool:
    """Whether anything was taken in, or nothing was refused; for a job left alone, as far as known.

    What is missing is sent nowhere.
    """
    names = {name for name, _ in missing}
    there = [path for path in paths if path not in names]
    if options["detach"]:
        _print_refused(missing, is_beside=True)
    report = await _take_in(parts, site, there, options) if there else IngestReport()
    if report is None or options["detach"]:
        return bool(there)
    report.refused[:0] = missing
    _print_refused(report.refused)
    _print_summary(report)
    return bool(report.documents or not report.refused)


async def _take_in(
    parts: Parts, site: Site, paths: Sequence[str], options: dict[str, Any]
) -> IngestReport | None:
    """What became of the files; None when the job that takes them in is left to itself."""
    prune = options["prune"]
    with open_display() as display:
        if options["sync"]:
            return await parts.ingester.ingest_paths(
                site, paths, prune_gone=prune, on_progress=display.show
            )
        started = time.monotonic()
        sent = await parts.intake.send_paths(site, paths, prune_gone=prune, on_settled=display.show)
        if options["detach"]:
            await leave_to_workers(parts, sent.job_id)
            return None
        job = await follow_to_end(parts, site.id, sent.job_id, display.show_job)
    report = IngestReport(skipped=sent.skipped, removed=job.result["removed"])
    for outcome in await outcomes(parts.database, sent.batch_id):
        report.count(outcome)
    report.seconds = time.monotonic() - started
    return report


def _print_refused(refused: Sequence[tuple[str, str]], *, is_beside: bool = False) -> None:
    """Prints why files were refused; beside the output where that is the ids of jobs."""
    for path, reason in refused:
        click.echo(to_refusal(path, reason), err=is_beside)


def _print_summary(report: IngestReport) -> None:
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
        click.echo("No file of a kind that can be read was found there.")


COMMANDS: Final[tuple[click.Command, ...]] = (ingest,)
