"""What commands share: the database, the parts and the chosen site; notices go to the terminal."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, TypeVar

import click

from sitebrook.access import choice
from sitebrook.access.sites import Site
from sitebrook.parts import Parts
from sitebrook.settings import Settings
from sitebrook.wiring import database, session

_T = TypeVar("_T")


def run_command(command: Coroutine[Any, Any, _T]) -> _T:
    """As ``asyncio.run``; what fails because Ctrl-C ends the command is told as Ctrl-C."""
    return asyncio.run(_interruptible(command))


async def _interruptible(command: Coroutine[Any, Any, _T]) -> _T:
    try:
        return await command
    except Exception as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise asyncio.CancelledError from error
        raise


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
