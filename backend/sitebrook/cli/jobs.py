"""``sitebrook jobs``: background jobs, listed, shown, followed, cancelled, started anew."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Sequence
from typing import Final

import click
import msgspec

from sitebrook.access.sites import list_sites
from sitebrook.cli.administration import site_option
from sitebrook.cli.detaching import warn_without_worker
from sitebrook.cli.display import open_display, to_refusal
from sitebrook.cli.job_notes import to_note, to_outcome, to_progress, to_refusals
from sitebrook.cli.session import choose_site, open_parts, run_command
from sitebrook.cli.tables import to_table
from sitebrook.errors import NotFound, SitebrookError
from sitebrook.jobs.following import follow
from sitebrook.jobs.job import ENDED, Job, Status
from sitebrook.jobs.kinds import check_kind
from sitebrook.jobs.listing import JobQuery, find_job, list_jobs
from sitebrook.parts import Parts
from sitebrook.settings import Settings

_HEAD: Final = ("ID", "SITE", "KIND", "STATUS", "ATTEMPT", "CREATED", "PROGRESS", "NOTE")
_NO_SITE: Final = "-"
_NOTE_CHARACTERS: Final = 60
_AFTER_OPTION: Final = click.option("--after", metavar="ID", help="Those made before this job.")
_LIMIT_OPTION: Final = click.option(
    "--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many."
)


@click.group("jobs")
def jobs_group() -> None:
    """List, show, follow, cancel and retry background jobs."""


@jobs_group.command("list")
@site_option
@click.option("--status", type=click.Choice([one.value for one in Status]), help="Only these.")
@click.option("--kind", help="Only jobs of this kind.")
@_LIMIT_OPTION
@_AFTER_OPTION
@click.pass_obj
def list_command(
    settings: Settings,
    site_name: str | None,
    status: str | None,
    kind: str | None,
    limit: int,
    after: str | None,
) -> None:
    """List jobs, newest first, of all sites or of one."""
    chosen = None if status is None else Status(status)
    query = JobQuery(status=chosen, kind=kind, limit=limit, after=after)
    _print_page(settings, site_name, query)


@jobs_group.command("dead")
@site_option
@_LIMIT_OPTION
@_AFTER_OPTION
@click.pass_obj
def dead_command(settings: Settings, site_name: str | None, limit: int, after: str | None) -> None:
    """List jobs that failed for good; `sitebrook jobs retry` starts one anew."""
    query = JobQuery(status=Status.FAILED, limit=limit, after=after)
    _print_page(settings, site_name, query)


@jobs_group.command("show")
@click.argument("job_id", metavar="ID")
@click.pass_obj
def show_command(settings: Settings, job_id: str) -> None:
    """Show everything about a job, as JSON."""

    async def read() -> Job:
        async with open_parts(settings) as parts:
            return await _find(parts, job_id)

    click.echo(msgspec.json.format(msgspec.json.encode(run_command(read())), indent=2).decode())


@jobs_group.command("follow")
@click.argument("job_id", metavar="ID")
@click.pass_obj
def follow_command(settings: Settings, job_id: str) -> None:
    """Show how far a job is until it has ended; Ctrl-C leaves it to itself.

    Ends with 1 when the job failed or was cancelled.
    """
    job = run_command(_follow(settings, job_id))
    if job.status is Status.CANCELLED:
        raise SitebrookError(f"{job.id} was cancelled.")
    if job.status is Status.FAILED:
        raise SitebrookError(f"{job.id} failed: {job.error_message}")
    for source, reason in to_refusals(job):
        click.echo(to_refusal(source, reason))
    outcome = to_outcome(job)
    click.echo(f"{job.id} has succeeded{f': {outcome}' if outcome else ''}.")


async def _follow(settings: Settings, job_id: str) -> Job:
    """The job when it has ended."""
    async with open_parts(settings) as parts:
        job = await _find(parts, job_id)
        if job.status not in ENDED:
            await warn_without_worker(parts)
        states = follow(parts.database, parts.events, job.site_id, job_id)
        with open_display() as display:
            async with contextlib.aclosing(states):
                async for job in states:
                    display.show_job(job)
    return job


@jobs_group.command("cancel")
@click.argument("job_id", metavar="ID")
@click.pass_obj
def cancel_command(settings: Settings, job_id: str) -> None:
    """Cancel a job; a running one is told to end. One that has ended is left, with exit code 1."""

    async def cancel() -> Job:
        async with open_parts(settings) as parts:
            found = await _find(parts, job_id)
            if found.status in ENDED:
                raise SitebrookError(f"{found.id} has ended already; it is {found.status}.")
            await parts.jobs.cancel(job_id)
            return await _find(parts, job_id)

    found = run_command(cancel())
    if found.status in ENDED:
        click.echo(f"{found.id} is {found.status}.")
    else:
        click.echo(f"{found.id} is {found.status} and has been told to end.")


@jobs_group.command("retry")
@click.argument("job_id", metavar="ID")
@click.pass_obj
def retry_command(settings: Settings, job_id: str) -> None:
    """Start a failed or cancelled job anew, with all of its attempts."""

    async def retry() -> tuple[Job, bool]:
        async with open_parts(settings) as parts:
            found = await _find(parts, job_id)
            return found, await parts.jobs.retry(job_id)

    found, is_queued = run_command(retry())
    if not is_queued:
        raise SitebrookError(
            f"{found.id} is {found.status}; only failed and cancelled jobs can be started anew."
        )
    click.echo(f"{found.id} is queued.")


def _print_page(settings: Settings, site_name: str | None, query: JobQuery) -> None:
    async def read() -> tuple[Sequence[Job], dict[str, str]]:
        async with open_parts(settings) as parts:
            check_kind(parts.jobs.kinds, query.kind)
            # Without --site all sites are meant, also where a key in the environment names one.
            site_id = None if site_name is None else (await choose_site(parts, site_name)).id
            of_site = dataclasses.replace(query, site_id=site_id)
            page = await list_jobs(parts.database, of_site)
            async with parts.database.begin() as connection:
                return page.jobs, {site.id: site.name for site in await list_sites(connection)}

    jobs, names = run_command(read())
    rows = [_to_row(job, names.get(job.site_id or "", _NO_SITE)) for job in jobs]
    click.echo(to_table(_HEAD, rows))


def _to_row(job: Job, site: str) -> tuple[str, ...]:
    note = to_note(job)
    if len(note) > _NOTE_CHARACTERS:
        note = f"{note[: _NOTE_CHARACTERS - 1]}…"
    made = f"{job.created_at:%Y-%m-%d %H:%M:%S}"
    attempt = str(job.attempt)
    return job.id, site, job.kind, job.status, attempt, made, to_progress(job), note


async def _find(parts: Parts, job_id: str) -> Job:
    found = await find_job(parts.database, job_id)
    if found is None:
        raise NotFound(f"There is no job {job_id}.")
    return found


COMMANDS: Final[tuple[click.Command, ...]] = (jobs_group,)
