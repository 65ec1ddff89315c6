"""The command line: parses, calls, prints."""

from __future__ import annotations

import dataclasses
import importlib
import logging
import os
import signal
import sys
from collections.abc import Callable
from typing import Any, Final, cast

import click

from sitebrook import __version__
from sitebrook.errors import SitebrookError, StartError
from sitebrook.settings import Settings

# Commands by the module that has them. It is imported for its own commands only: all of them take
# half a second and 60 MB more than a worker needs.
_MODULES: Final = {
    "ingest": "ingest",
    "ask": "answers",
    "search": "answers",
    "usage": "usage",
    "eval": "evaluation",
    "embedder": "embedders",
    "site": "administration",
    "key": "administration",
    "db": "administration",
    "settings": "administration",
    "doctor": "doctor",
    "jobs": "jobs",
    "sources": "sources",
    "worker": "job_worker",
}


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *_MODULES])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _MODULES:
            return super().get_command(ctx, cmd_name)
        module = importlib.import_module(f"sitebrook.cli.{_MODULES[cmd_name]}")
        return next(one for one in module.COMMANDS if one.name == cmd_name)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="sitebrook")
@click.pass_context
def cli(context: click.Context) -> None:
    """A chatbot for your website that answers from your documents."""
    try:
        context.obj = Settings.load(os.environ)
    except StartError as error:
        if context.invoked_subcommand != "doctor":  # which tells of it among all the rest
            raise
        context.obj = error


@cli.command("serve")
@click.option("--workers", type=click.IntRange(min=1), help="Number of processes on the port.")
@click.pass_obj
def serve_command(settings: Settings, workers: int | None) -> None:
    """Serve until Ctrl-C; makes the database and a demo site on first start."""
    # Imported only here: the web framework takes a sixth of the start of every other command.
    from sitebrook.cli.serve import serve

    if workers is not None:
        server = dataclasses.replace(settings.server, workers=workers)
        settings = dataclasses.replace(settings, server=server)
    serve(settings)


def _end(number: int, _frame: object) -> None:
    sys.exit(128 + number)


def main() -> None:
    """Runs the command; a problem is one line on standard error and a non-zero exit code."""
    run = cast("Callable[..., Any]", cli.main)
    # Like Ctrl-C, so that what the command started ends with it.
    signal.signal(signal.SIGTERM, _end)
    # Commands print themselves what went wrong; `serve` sets the level of its log.
    logging.getLogger().setLevel(logging.ERROR)
    try:
        # Without standalone mode click returns the code of an Exit instead of leaving with it.
        sys.exit(run(standalone_mode=False))
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except SitebrookError as error:
        click.echo(f"sitebrook: {error}", err=True)
        sys.exit(1)
    except BrokenPipeError:
        sys.exit(0)
