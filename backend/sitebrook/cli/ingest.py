"""``sitebrook ingest``: files and folders into a site's knowledge."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any, Final

import click
from rich.console import Console
from rich.progress import Progress as ProgressBar

from sitebrook.cli.administration import site_option
from sitebrook.cli.progress import open_bar
from sitebrook.cli.session import choose_site, open_parts
from sitebrook.ingestion.ingest import IngestReport, Progress
from sitebrook.settings import Settings

_PATH_CHARACTERS: Final = 48


@click.command("ingest")
@click.argument("paths", nargs=-1, required=True, type=click.Path())
@site_option
@click.option("--prune", is_flag=True, help="Remove documents of files that are gone.")
@click.pass_obj
def ingest(settings: Settings, paths: tuple[str, ...], **options: Any) -> None:
    """Take files and folders (Markdown, text, HTML) into a site's knowledge.

    A file replaces what it was before; an unchanged one is skipped.
    """
    report = asyncio.run(_ingest(settings, paths, options["site_name"], prune=options["prune"]))
    _print_summary(report)
    if report.refused and not report.documents:
        raise click.exceptions.Exit(1)


async def _ingest(
    settings: Settings, paths: tuple[str, ...], site_name: str | None, *, prune: bool
) -> IngestReport:
    async with open_parts(settings) as parts:
        site = await choose_site(parts, site_name)
        console = Console(stderr=True)
        if not console.is_terminal:
            return await parts.ingester.ingest_paths(
                site, paths, prune_gone=prune, on_progress=_print_progress
            )
        with open_bar(console) as bar:
            return await parts.ingester.ingest_paths(
                site, paths, prune_gone=prune, on_progress=_move(bar)
            )


def _move(bar: ProgressBar) -> Callable[[Progress], None]:
    task = bar.add_task("", total=None)

    def move(progress: Progress) -> None:
        name = progress.path[-_PATH_CHARACTERS:]
        bar.update(task, completed=progress.done, total=progress.total, description=name)

    return move


def _print_progress(progress: Progress) -> None:
    line = f"[{progress.done}/{progress.total}] {progress.outcome}: {progress.path}"
    sys.stderr.write(f"{line}\n")


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
