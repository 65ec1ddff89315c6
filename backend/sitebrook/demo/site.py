"""The demo site: made when there is no site at all, found again at the next start."""

from __future__ import annotations

import logging
from importlib.resources import files
from pathlib import Path
from typing import Final

from sitebrook.access.keys import create_key, find_key, list_keys
from sitebrook.access.sites import NewSite, Site, create_site, find_site, list_sites
from sitebrook.db.engine import Database
from sitebrook.demo.env_file import DemoKeys
from sitebrook.errors import Unavailable
from sitebrook.ingestion.loaders import RawDocument
from sitebrook.parts import Parts
from sitebrook.retrieval.documents import prune

_LOG: Final = logging.getLogger(__name__)
DEMO_NAME: Final = "sitebrook demo"
_SOURCES: Final = "sitebrook:"
_GREETING: Final = "Hello! Ask me anything about sitebrook."
_STARTERS: Final = (
    "How do I put the widget on my page?",
    "Which providers can I connect?",
    "Come aggiungo i miei documenti?",
)


async def ensure_demo(parts: Parts, known: DemoKeys | None) -> DemoKeys | None:
    """The demo site's keys, made with the site and its documents if there is no site yet.

    Keys in ``known`` are kept while they work; a lost or revoked secret key is made anew. None
    when the sites are the operator's own and no demo is among them.
    """
    async with parts.database.begin() as connection:
        sites = await list_sites(connection)
        site = await find_site(connection, DEMO_NAME)
        if site is None and sites:
            return None
        if site is None:
            new = NewSite(DEMO_NAME, greeting=_GREETING, starters=_STARTERS)
            site = await create_site(connection, new)
    try:
        await _ingest_documents(parts, site)
    except Unavailable as error:
        # An embedding endpoint that is down must not keep the server from starting.
        _LOG.warning("the demo documents were not taken in: %s", error)
    return await _ensure_keys(parts.database, site, known)


async def _ingest_documents(parts: Parts, site: Site) -> None:
    """Puts this version's documentation in the place of another's; what is the same is skipped."""
    folder = Path(str(files("sitebrook.demo"))) / "documents"
    sources: list[str] = []
    for path in sorted(folder.glob("*.md")):
        sources.append(_SOURCES + path.name)
        raw = RawDocument(sources[-1], path.read_bytes(), "text/markdown")
        await parts.ingester.ingest_document(site, raw)
    await prune(parts.database, site.id, sources, under=[_SOURCES])


async def find_demo(database: Database) -> tuple[Site, str] | None:
    """The demo site and its publishable key, or None."""
    async with database.begin() as connection:
        site = await find_site(connection, DEMO_NAME)
    if site is None:
        return None
    value = await _find_publishable_key(database, site)
    return None if value is None else (site, value)


async def _find_publishable_key(database: Database, site: Site) -> str | None:
    async with database.begin() as connection:
        keys = await list_keys(connection, site.id)
    return next((key.value for key in keys if key.value and key.revoked_at is None), None)


async def _ensure_keys(database: Database, site: Site, known: DemoKeys | None) -> DemoKeys:
    publishable_key = await _find_publishable_key(database, site)
    async with database.begin() as connection:
        if publishable_key is None:
            publishable_key = (await create_key(connection, site.id, "publishable")).value
        found = None if known is None else await find_key(connection, known.secret_key)
        if known is not None and found is not None and found.revoked_at is None:
            return DemoKeys(known.secret_key, publishable_key)
        secret = await create_key(connection, site.id, "site", name="demo.env")
    return DemoKeys(secret.value, publishable_key)
