"""What commands share: the database, the parts and the chosen site; notices go to the terminal."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, AbstractContextManager

import click

from sitebrook.access import choice
from sitebrook.access.sites import Site
from sitebrook.parts import Parts
from sitebrook.settings import Settings
from sitebrook.wiring import database, session


def open_database(settings: Settings) -> AbstractContextManager[str]:
    """The address of the configured or the embedded database for the length of a block."""
    return database.open_database(settings, print_notice)


def hold_database(settings: Settings) -> AbstractContextManager[database.HeldDatabase]:
    """The same, with a way to leave it at once."""
    return database.hold_database(settings, print_notice)


def open_parts(settings: Settings) -> AbstractAsyncContextManager[Parts]:
    """The parts of this process over a migrated database for the length of a block."""
    return session.open_parts(settings, print_notice)


async def choose_site(parts: Parts, name: str | None) -> Site:
    """The site that a command means: by ``--site``, by SITEBROOK_SECRET_KEY, or the only one."""
    secret_key = parts.settings.client.secret_key
    return await choice.choose_site(parts.database, name, secret_key, option="--site")


def print_notice(text: str) -> None:
    """Shows the operator a line beside the command's output."""
    click.echo(text, err=True)
