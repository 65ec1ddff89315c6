"""Which site a command or a program means."""

from __future__ import annotations

from sitebrook.access.keys import find_key
from sitebrook.access.sites import Site, find_site, list_sites
from sitebrook.db.engine import Database
from sitebrook.errors import NotFound, StartError


async def choose_site(
    database: Database, name: str | None, secret_key: str | None, *, option: str
) -> Site:
    """The site of that name or id, else that of the secret key, else the only one.

    Raises NotFound or StartError with what to do; ``option`` is how a site is named there.
    """
    if name is not None:
        return await _find_by_name(database, name)
    if secret_key:
        return await _find_by_key(database, secret_key, option)
    async with database.begin() as connection:
        sites = await list_sites(connection)
    if len(sites) == 1:
        return sites[0]
    if not sites:
        raise StartError("There is no site yet; make one with `sitebrook site create NAME`.")
    names = ", ".join(f"'{site.name}'" for site in sites)
    raise StartError(f"Choose a site with {option}: {names}.")


async def _find_by_name(database: Database, name: str) -> Site:
    async with database.begin() as connection:
        site = await find_site(connection, name)
    if site is None:
        raise NotFound(f"There is no site '{name}'; `sitebrook site list` shows them.")
    return site


async def _find_by_key(database: Database, secret_key: str, option: str) -> Site:
    async with database.begin() as connection:
        key = await find_key(connection, secret_key)
        site = await find_site(connection, key.site_id) if key and key.revoked_at is None else None
    if site is None:
        raise StartError(
            f"SITEBROOK_SECRET_KEY is no valid key of this database; unset it or use {option}."
        )
    return site
