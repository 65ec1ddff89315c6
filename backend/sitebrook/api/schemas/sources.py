"""The wire of websites that documents come from."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec

PageOutcome = Literal["added", "replaced", "unchanged", "skipped", "failed", "gone"]


class SourceRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A website to read, with how to read it; the one of the same address gets these options.

    ``include`` and ``exclude`` are patterns of paths, in which ``*`` stands for anything.
    ``every_hours`` reads it again by itself; without it only when asked.
    """

    url: Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    max_depth: int = 10
    max_pages: int = 1000
    sitemaps: bool = True
    delay_s: float = 0.0
    every_hours: int | None = None


class SourceResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A website; ``counts`` says how many pages had each outcome in its last crawl.

    ``stopped`` says why that crawl ended before its end.
    """

    id: str
    url: str
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    max_depth: int
    max_pages: int
    sitemaps: bool
    delay_s: float
    every_hours: int | None
    counts: dict[str, int]
    stopped: str
    created_at: datetime
    crawled_at: datetime | None
    object: Literal["source"] = "source"


class StartedSourceResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A website and the job that reads it now."""

    source: SourceResponse
    job_id: str


class SourceListResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The site's websites, the oldest first."""

    data: list[SourceResponse]
    object: Literal["list"] = "list"


class SourcePageResponse(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a page; ``reason`` says why it was skipped, failed or is gone."""

    url: str
    outcome: PageOutcome
    reason: str
    depth: int
    status: int
    is_document: bool
    crawled_at: datetime


class SourcePageListResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Pages in the order of their addresses; ask on with ``after`` set to ``last_url``."""

    data: list[SourcePageResponse]
    has_more: bool
    last_url: str | None
    object: Literal["list"] = "list"


class DeletedSourceResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The id of the removed website, and how many documents went with it."""

    id: str
    documents: int
    deleted: bool = True
    object: Literal["source.deleted"] = "source.deleted"
