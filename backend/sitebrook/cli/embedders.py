"""``sitebrook embedder``: what makes vectors of documents and questions."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console

from sitebrook.cli.administration import site_option
from sitebrook.cli.detaching import leave_to_workers
from sitebrook.cli.following import follow_to_end
from sitebrook.cli.progress import open_bar
from sitebrook.cli.session import choose_site, open_parts, run_command
from sitebrook.cli.tables import to_table
from sitebrook.jobs.following import wait_for_end
from sitebrook.jobs.job import Job
from sitebrook.jobs.vectors import cancel_switches, enqueue_switch
from sitebrook.retrieval.onnx.export import export
from sitebrook.retrieval.switch import check_can_switch, stop_switch, switch_with_stores
from sitebrook.settings import Settings

Count = Callable[[int, int], None]

_STOP_S: Final = 10.0
_KEPT: Final = "the vectors that were made"


@click.group("embedder")
def embedder_group() -> None:
    """List embedders, export a model, or give a site another embedder."""


@embedder_group.command("list")
@click.pass_obj
def list_command(settings: Settings) -> None:
    """Show the embedders of the settings and of the sites."""

    async def read() -> list[tuple[str, str, str, str]]:
        async with open_parts(settings) as parts:
            uses = await parts.embedders.list_uses()
        return [
            (
                use.name,
                "new sites" if use.is_default else "yes" if use.is_configured else "no",
                ", ".join(use.languages) or "all" if use.is_configured else "",
                ", ".join([*use.sites, *(f"{name} (soon)" for name in use.next_sites)]),
            )
            for use in uses
        ]

    click.echo(to_table(("EMBEDDER", "CONFIGURED", "LANGUAGES", "SITES"), run_command(read())))


@embedder_group.command("export")
@click.argument("model")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--language", "languages", multiple=True, help="A language that the model knows.")
def export_command(model: str, folder: Path, languages: tuple[str, ...]) -> None:
    """Make a folder for SITEBROOK_EMBEDDING_FOLDER from a sentence-transformers model.

    MODEL is a folder with such a model, or an installed package that ships one. Needs the extra
    'export'; the folder that it makes needs only the extra 'local'.
    """
    made = export(model, folder, languages=languages)
    click.echo(f"Made {made.folder}: {made.name}, vectors of {made.dimension} numbers.")
    click.echo(f"Largest difference from the original's vectors: {made.difference:.1e}")
    if made.int8_cosine is None:
        click.echo("The smaller model for questions was too far off and is left out.")
    else:
        click.echo(f"Smaller model for questions: cosine at least {made.int8_cosine:.3f}")
    click.echo(f"Use it with SITEBROOK_EMBEDDING_FOLDER={made.folder}")


@embedder_group.command("switch")
@click.argument("name", required=False)
@site_option
@click.option("--stop", is_flag=True, help="Stop a switch that is under way.")
@click.option("--sync", is_flag=True, help="Switch it here, without a job.")
@click.option("--detach", is_flag=True, help="Print the job's id and leave it to the workers.")
@click.pass_obj
def switch_command(
    settings: Settings, name: str | None, site_name: str | None, **options: bool
) -> None:
    """Give a site and its vector stores the embedder NAME; without it, the one of new sites.

    Questions are answered meanwhile. A job does it, which the server or a worker runs, or this
    command when there is none; it shows how far the job is. Ctrl-C cancels it; the same command
    goes on from there.
    """
    if sum(options.values()) > 1:
        raise click.UsageError("--stop, --sync and --detach exclude each other.")
    if options["stop"]:
        stopped = run_command(_stop(settings, site_name))
        click.echo(f"Stopped the switch to {stopped}." if stopped else "No switch is under way.")
        return
    done = run_command(_switch(settings, name, site_name, options))
    if done is not None:
        click.echo(done)


async def _stop(settings: Settings, site_name: str | None) -> str | None:
    async with open_parts(settings) as parts:
        site = await choose_site(parts, site_name)
        database = parts.database
        for job_id in await cancel_switches(database, parts.jobs, site.id):
            await wait_for_end(database, parts.events, site.id, job_id, timeout_s=_STOP_S)
        return await stop_switch(database, site.id)


async def _switch(
    settings: Settings, name: str | None, site_name: str | None, options: Mapping[str, bool]
) -> str | None:
    """What was done, in a line; None when it is left to a job, whose id is printed."""
    async with open_parts(settings) as parts:
        site = await choose_site(parts, site_name)
        target = parts.embedders.choose(name) if name else parts.embedders.default
        if options["sync"]:
            with _open_counter(target.name) as count:
                done = await switch_with_stores(
                    parts.database, site.id, target, on_progress=lambda at: count(at.done, at.total)
                )
            return _to_summary(dataclasses.asdict(done))
        await check_can_switch(parts.database, site.id, target.name)
        async with parts.database.begin() as connection:
            job_id = await enqueue_switch(connection, parts.jobs, site.id, target.name)
        if options["detach"]:
            await leave_to_workers(parts, job_id)
            return None
        with _open_counter(target.name) as count:
            job = await follow_to_end(
                parts, site.id, job_id, lambda job: _show(job, count), kept=_KEPT
            )
        return _to_summary(job.result)


def _to_summary(done: Mapping[str, Any]) -> str:
    return (
        f"Embedder: {done['after']} (before: {done['before']}), vectors made: {done['made']}, "
        f"removed: {done['removed']}"
    )


def _show(job: Job, count: Count) -> None:
    if job.progress:
        count(job.progress["done"], job.progress["total"])


@contextlib.contextmanager
def _open_counter(name: str) -> Generator[Count]:
    """Shows how many of how many chunks are embedded: a bar on a terminal, else lines."""
    console = Console(stderr=True)
    if console.is_terminal:
        with open_bar(console) as bar:
            task = bar.add_task(name, total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)
        return
    shown: tuple[int, int] | None = None

    def write(done: int, total: int) -> None:
        nonlocal shown
        if shown != (done, total):
            shown = done, total
            sys.stderr.write(f"[{done}/{total}] embedded\n")

    yield write


COMMANDS: Final[tuple[click.Command, ...]] = (embedder_group,)
