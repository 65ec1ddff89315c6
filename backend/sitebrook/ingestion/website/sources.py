"""Websites of a site in the database: added, listed, found, removed, and what is known of pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from sqlalchemy import Row, and_, case, delete, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert as insert_or
from sqlalchemy.ext.asyncio import AsyncConnection

from sitebrook.db.engine import Database
from sitebrook.db.tables import now
from sitebrook.errors import InvalidRequest, NotFound
from sitebrook.ids import is_id, new_id
from sitebrook.ingestion.website.crawl import CrawlReport, KnownPage, PageReport
from sitebrook.ingestion.website.fetcher import NO_VALIDATORS, Validators
from sitebrook.ingestion.website.rules import CrawlOptions
from sitebrook.ingestion.website.tables import source, source_page
from sitebrook.ingestion.website.urls import to_site_url
from sitebrook.retrieval.documents import delete_documents, find_sources

_MAX_SOURCES: Final = 100
_MAX_HOURS: Final = 24 * 366
STORED: Final = frozenset({"added", "replaced", "unchanged"})
# Bounds the rows of pages that one website leaves behind.
_DELETED_AT_ONCE: Final = 500
_GOES_ON: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Source:
    """A website that documents come from; ``counts`` and ``stopped`` are of its last crawl."""

    id: str
    site_id: str
    url: str
    options: CrawlOptions
    every_hours: int | None
    created_at: datetime
    crawled_at: datetime | None
    counts: Mapping[str, int]
    stopped: str


@dataclass(frozen=True, slots=True)
class SourcePage:
    """What became of a page in the last crawl that met it."""

    url: str
    outcome: str
    reason: str
    depth: int
    status: int
    is_stored: bool
    crawled_at: datetime


async def save_source(
    database: Database,
    site_id: str,
    url: str,
    options: CrawlOptions | None = None,
    every_hours: int | None = None,
) -> Source:
    """The site's website of this address, with these options from now on; new or known.

    Raises InvalidRequest for an address or an option that cannot be.
    """
    options = options or CrawlOptions()
    options.check()
    if every_hours is not None and not 1 <= every_hours <= _MAX_HOURS:
        raise InvalidRequest(f"every_hours must be 1 to {_MAX_HOURS:,}.", param="every_hours")
    address = to_site_url(url)
    values: dict[str, Any] = {
        "options": msgspec.to_builtins(options),
        "every_hours": every_hours,
    }
    row = insert_or(source).values(id=new_id("src"), site_id=site_id, url=address, **values)
    saved = row.on_conflict_do_update(index_elements=["site_id", "url"], set_=values)
    async with database.begin() as connection:
        found = (await connection.execute(saved.returning(*_COLUMNS))).one()
        count = select(func.count()).where(source.c.site_id == site_id)
        if (await connection.execute(count)).scalar_one() > _MAX_SOURCES:
            raise InvalidRequest(f"A site has at most {_MAX_SOURCES} websites.", param="url")
    return _to_source(found)


async def list_sources(database: Database, site_id: str) -> list[Source]:
    """The site's websites, the oldest first."""
    query = select(*_COLUMNS).where(source.c.site_id == site_id)
    async with database.begin() as connection:
        rows = (await connection.execute(query.order_by(source.c.created_at, source.c.id))).all()
    return [_to_source(row) for row in rows]


async def find_source(database: Database, site_id: str, source_id: str) -> Source:
    """The site's website. Raises NotFound."""
    row = None
    if is_id(source_id):
        query = select(*_COLUMNS).where(source.c.site_id == site_id, source.c.id == source_id)
        async with database.begin() as connection:
            row = (await connection.execute(query)).first()
    if row is None:
        raise NotFound("There is no such source.")
    return _to_source(row)


async def list_due(database: Database) -> list[Source]:
    """The websites of all sites whose next crawl has come."""
    every = source.c.every_hours * text("interval '1 hour'")
    is_due = or_(source.c.crawled_at.is_(None), source.c.crawled_at + every < func.now())
    query = select(*_COLUMNS).where(source.c.every_hours.is_not(None), is_due)
    async with database.begin() as connection:
        return [_to_source(row) for row in (await connection.execute(query)).all()]


async def list_pages(
    database: Database,
    source_id: str,
    *,
    outcome: str | None = None,
    after: str = "",
    limit: int = 100,
) -> list[SourcePage]:
    """The pages of a website in the order of their addresses, those behind ``after``."""
    columns = tuple(source_page.c[name] for name in SourcePage.__slots__)
    mine = and_(source_page.c.source_id == source_id, source_page.c.url > after)
    query = select(*columns).where(mine).order_by(source_page.c.url).limit(limit)
    if outcome is not None:
        query = query.where(source_page.c.outcome == outcome)
    async with database.begin() as connection:
        return [SourcePage(*row) for row in (await connection.execute(query)).all()]


async def begin_crawl(database: Database, source_id: str) -> datetime:
    """When the crawl began: now, or when the one did that broke off within the last day."""
    is_old = source.c.crawl_started_at < now() - _GOES_ON
    begun = case((is_old, now()), else_=func.coalesce(source.c.crawl_started_at, now()))
    mine = update(source).where(source.c.id == source_id).values(crawl_started_at=begun)
    async with database.begin() as connection:
        found = await connection.execute(mine.returning(source.c.crawl_started_at))
        row = found.first()
    if row is None:
        raise NotFound("There is no such source.")
    return row[0]


async def load_known(
    database: Database, known_of: Source, fresh_since: datetime | None = None
) -> dict[str, KnownPage]:
    """What is known of the pages that were stored as documents; those read since then are fresh.

    One whose document was removed by someone else is asked anew, as if it were not known.
    """
    columns = ("url", "etag", "last_modified", "links", "depth", "outcome", "crawled_at")
    query = select(*(source_page.c[name] for name in columns)).where(
        source_page.c.source_id == known_of.id, source_page.c.is_stored
    )
    async with database.begin() as connection:
        rows = (await connection.execute(query)).all()
    there = await find_sources(database, known_of.site_id, [row.url for row in rows])
    return {
        row.url: KnownPage(
            Validators(row.etag, row.last_modified) if row.url in there else NO_VALIDATORS,
            tuple(row.links),
            row.depth,
            is_stored=True,
            is_fresh=fresh_since is not None and row.crawled_at >= fresh_since and row.url in there,
            outcome=row.outcome,
        )
        for row in rows
    }


async def note_stored(connection: AsyncConnection, source_id: str, url: str) -> None:
    """Notes in the transaction that stores a page that it is a document; ``save_page`` tells more.

    So whoever removes the website finds it, whatever ends in between. Raises NotFound when the
    website was removed.
    """
    found = (await connection.execute(_lock(source_id))).first()
    if found is None:
        raise source_removed()
    # The validators are of the text before. No crawl takes a page for read that is as old as this.
    values: dict[str, Any] = {"is_stored": True, "etag": "", "last_modified": ""}
    new: dict[str, Any] = {"source_id": source_id, "url": url, "outcome": "added", "depth": 1}
    new |= {"links": [], "crawled_at": found.created_at, **values}
    row = insert_or(source_page).values(**new)
    noted = row.on_conflict_do_update(index_elements=["source_id", "url"], set_=values)
    await connection.execute(noted)


async def save_page(database: Database, source_id: str, page: PageReport) -> bool:
    """Keeps what became of a page; one that failed stays the document that it was.

    False when the website was removed.
    """
    values: dict[str, Any] = {
        "outcome": page.outcome,
        "reason": page.reason,
        "depth": page.depth,
        "status": page.status,
        "crawled_at": now(),
    }
    if page.outcome != "failed":
        values |= {
            "is_stored": page.outcome in STORED,
            "etag": page.validators.etag,
            "last_modified": page.validators.last_modified,
            "links": list(page.links),
        }
    keys = {"source_id": source_id, "url": page.url}
    new: dict[str, Any] = {"is_stored": False, "links": [], **keys, **values}
    row = insert_or(source_page).values(**new)
    saved = row.on_conflict_do_update(index_elements=["source_id", "url"], set_=values)
    async with database.begin() as connection:
        if (await connection.execute(_lock(source_id))).first() is None:
            return False
        await connection.execute(saved)
    return True


async def save_crawl(
    database: Database, source_id: str, report: CrawlReport, started_at: datetime
) -> None:
    """Keeps what a crawl did, and forgets the pages that it did not meet and that are none."""
    values = {
        "counts": report.counts,
        "stopped": report.stopped,
        "crawled_at": now(),
        "crawl_started_at": None,
    }
    forgotten = delete(source_page).where(
        source_page.c.source_id == source_id,
        ~source_page.c.is_stored,
        source_page.c.crawled_at < started_at,
    )
    async with database.begin() as connection:
        await connection.execute(update(source).where(source.c.id == source_id).values(values))
        await connection.execute(forgotten)


async def delete_source(database: Database, site_id: str, source_id: str) -> int:
    """How many documents went with the website. Raises NotFound.

    Pages that another website of the site holds too stay. A crawl under way stores nothing any
    more, and ends with its next page.
    """
    found = await find_source(database, site_id, source_id)
    pages = select(source_page.c.url).where(
        source_page.c.source_id == found.id, source_page.c.is_stored
    )
    async with database.begin() as connection:
        # No page is kept between the two statements.
        await connection.execute(_lock(found.id))
        known = list((await connection.execute(pages)).scalars())
        await connection.execute(delete(source).where(source.c.id == found.id))
    removed = 0
    for start in range(0, len(known), _DELETED_AT_ONCE):
        pages_of_it = known[start : start + _DELETED_AT_ONCE]
        removed += await remove_pages(database, site_id, found.id, pages_of_it)
    return removed


async def remove_pages(
    database: Database, site_id: str, source_id: str, urls: Sequence[str]
) -> int:
    """How many of the website's pages were documents of the site; they are gone.

    Those that another website of the site holds too stay.
    """
    held = (
        select(source_page.c.url)
        .join(source, source.c.id == source_page.c.source_id)
        .where(
            source.c.site_id == site_id,
            source.c.id != source_id,
            source_page.c.is_stored,
            source_page.c.url.in_(urls),
        )
    )
    async with database.begin() as connection:
        others = set((await connection.execute(held)).scalars())
    mine = [url for url in urls if url not in others]
    documents = await find_sources(database, site_id, mine)
    return await delete_documents(database, site_id, [one.id for one in documents.values()])


def source_removed() -> NotFound:
    """The end of a crawl whose website is gone."""
    return NotFound("The website was removed while it was read.")


_COLUMNS: Final = tuple(source.c[name] for name in Source.__slots__)


def _lock(source_id: str) -> Any:
    mine = select(source.c.id, source.c.created_at).where(source.c.id == source_id)
    return mine.with_for_update(key_share=True)


def _to_source(row: Row[Any]) -> Source:
    values: dict[str, Any] = dict(zip(Source.__slots__, row, strict=True))
    values["options"] = msgspec.convert(values["options"], CrawlOptions)
    return Source(**values)
