"""Plain functions that make what tests start from."""

from __future__ import annotations

from sitebrook.access.keys import NewKey, Role, create_key
from sitebrook.access.sites import NewSite, Site, create_site
from sitebrook.db.engine import Database


async def make_site(database: Database, **over: object) -> Site:
    """A site named Example unless ``over`` says otherwise."""
    async with database.begin() as connection:
        return await create_site(connection, NewSite(**{"name": "Example", **over}))


async def make_key(database: Database, site: Site, role: Role = "site") -> NewKey:
    """A key of the site."""
    async with database.begin() as connection:
        return await create_key(connection, site.id, role)
