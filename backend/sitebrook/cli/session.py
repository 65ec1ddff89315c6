"""What commands share: the running database, the parts of a process, the chosen site."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import AsyncGenerator, Generator

import click

from sitebrook.access.keys import find_key
from sitebrook.access.sites import Site, find_site, list_sites
from sitebrook.db import embedded
from sitebrook.db.engine import Database
from sitebrook.db.migrate import migrate
from sitebrook.errors import NotFound, StartError
from sitebrook.parts import Parts
from sitebrook.settings import Settings
from sitebrook.wiring import build_parts


@contextlib.contextmanager
def open_database(settings: Settings) -> Generator[str]:
    """The address of the configured database, or of the embedded one, which is started if need be.

    An embedded one that this process started ends with the block, unless others use it by then.
    """
    if settings.database.url:
        yield settings.database.url
        return
    server = embedded.start(settings.server.data_dir)
    if server.notice:
        click.echo(server.notice, err=True)
    try:
        yield server.url
    finally:
        server.leave(settings.server.data_dir)


@contextlib.asynccontextmanager
async def open_parts(settings: Settings) -> AsyncGenerator[Parts]:
    """The parts of this process over a migrated database."""
    with open_database(settings) as url:
        migrate(url)
        database = dataclasses.replace(settings.database, url=url)
        parts = build_parts(dataclasses.replace(settings, database=database))
        async with parts.running():
            yield parts


async def choose_site(parts: Parts, name: str | None) -> Site:
    """The site that a command means: by ``--site``, by SITEBROOK_SECRET_KEY, or the only one.

    Raises NotFound or StartError with what to do.
    """
    secret_key = parts.settings.client.secret_key
    if name is not None:
        return await _find_by_name(parts.database, name)
    if secret_key:
        return await _find_by_key(parts.database, secret_key)
    async with parts.database.begin() as connection:
        sites = await list_sites(connection)
    if len(sites) == 1:
        return sites[0]
    if not sites:
        raise StartError("There is no site yet; make one with `sitebrook site create NAME`.")
    names = ", ".join(f"'{site.name}'" for site in sites)
    raise StartError(f"Choose a site with --site: {names}.")


async def _find_by_name(database: Database, name: str) -> Site:
    async with database.begin() as connection:
        site = await find_site(connection, name)
    if site is None:
        raise NotFound(f"There is no site '{name}'; `sitebrook site list` shows them.")
    return site


async def _find_by_key(database: Database, secret_key: str) -> Site:
    async with database.begin() as connection:
        key = await find_key(connection, secret_key)
        site = await find_site(connection, key.site_id) if key and key.revoked_at is None else None
    if site is None:
        raise StartError(
            "SITEBROOK_SECRET_KEY is no valid key of this database; unset it or use --site."
        )
    return site
