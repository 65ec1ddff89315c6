"""A job that the command which started it leaves to the workers."""

from __future__ import annotations

import click

from sitebrook.cli.session import print_notice
from sitebrook.doctor.work import START_A_WORKER
from sitebrook.parts import Parts


async def leave_to_workers(parts: Parts, job_id: str) -> None:
    """Prints the job's id, and beside the output what whoever started it should know."""
    click.echo(job_id)
    print_notice(f"`sitebrook jobs follow {job_id}` shows how far it is.")
    await warn_without_worker(parts)


async def warn_without_worker(parts: Parts) -> None:
    """Says when nobody is there to run jobs, and what to do about it."""
    if not (await parts.jobs.stats()).workers:
        print_notice(f"Nothing runs jobs now. {START_A_WORKER}")
