"""``sitebrook embedder``: what makes vectors of documents and questions."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.progress import Progress, TaskID

from sitebrook.cli.administration import site_option
from sitebrook.cli.progress import open_bar
from sitebrook.cli.session import choose_site, open_parts
from sitebrook.cli.tables import to_table
from sitebrook.retrieval.onnx.export import export
from sitebrook.retrieval.switch import Switched, SwitchProgress, stop_switch, switch_with_stores
from sitebrook.settings import Settings


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

    click.echo(to_table(("EMBEDDER", "CONFIGURED", "LANGUAGES", "SITES"), asyncio.run(read())))


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
@click.pass_obj
def switch_command(
    settings: Settings, name: str | None, site_name: str | None, *, stop: bool
) -> None:
    """Give a site and its vector stores the embedder NAME; without it, the one of new sites.

    Questions are answered meanwhile. When the command is stopped or killed, the same command goes
    on from there.
    """
    if stop:
        stopped = asyncio.run(_stop(settings, site_name))
        click.echo(f"Stopped the switch to {stopped}." if stopped else "No switch is under way.")
        return
    done = asyncio.run(_switch(settings, name, site_name))
    click.echo(
        f"Embedder: {done.after} (before: {done.before}), vectors made: {done.made}, "
        f"removed: {done.removed}"
    )


async def _stop(settings: Settings, site_name: str | None) -> str | None:
    async with open_parts(settings) as parts:
        site = await choose_site(parts, site_name)
        return await stop_switch(parts.database, site.id)


async def _switch(settings: Settings, name: str | None, site_name: str | None) -> Switched:
    async with open_parts(settings) as parts:
        site = await choose_site(parts, site_name)
        target = parts.embedders.choose(name) if name else parts.embedders.default
        console = Console(stderr=True)
        if not console.is_terminal:
            return await switch_with_stores(
                parts.database, site.id, target, on_progress=_print_progress
            )
        with open_bar(console) as bar:
            task = bar.add_task(target.name, total=None)
            return await switch_with_stores(
                parts.database, site.id, target, on_progress=_mover(bar, task)
            )


def _mover(bar: Progress, task: TaskID) -> Callable[[SwitchProgress], None]:
    def move(progress: SwitchProgress) -> None:
        bar.update(task, completed=progress.done, total=progress.total)

    return move


def _print_progress(progress: SwitchProgress) -> None:
    sys.stderr.write(f"[{progress.done}/{progress.total}] embedded\n")


COMMANDS: Final[tuple[click.Command, ...]] = (embedder_group,)
