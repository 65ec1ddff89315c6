"""What the stored answers used and cost, summed up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import Date, Select, cast, func, select

from sitebrook.access import tables as access_tables
from sitebrook.chat import tables
from sitebrook.db.engine import Database
from sitebrook.db.tables import now
from sitebrook.errors import InvalidRequest

DEFAULT_SPAN: Final = timedelta(days=30)
_EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST_SPAN_BY_DAY: Final = timedelta(days=400)


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageQuery:
    """Which answers are counted: from ``since`` on and before ``until``, of one site or of all."""

    since: datetime
    until: datetime
    site_id: str | None = None
    by_day: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageTotals:
    """Sums over answers. Unknown is never 0: ``cost`` is None when no answer's cost is known.

    ``estimated`` counts answers whose tokens are estimates, ``without_tokens`` and
    ``without_cost`` those that the sums leave out because nobody knows.
    """

    answers: int = 0
    interrupted: int = 0
    estimated: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    without_tokens: int = 0
    cost: Decimal | None = None
    without_cost: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageRow(UsageTotals):
    """The sums of one site, model and provider, and of one day (UTC) where days are asked for."""

    site_id: str
    site_name: str
    model: str
    provider: str
    day: date | None = None


@dataclass(frozen=True, slots=True)
class UsageReport:
    """The rows by site, model and provider, then day; and what they add up to."""

    query: UsageQuery
    rows: tuple[UsageRow, ...]
    totals: UsageTotals


def to_query(
    since: str | None, until: str | None, *, site_id: str | None, by_day: bool
) -> UsageQuery:
    """The query for two ISO 8601 times or dates, in UTC unless they say otherwise.

    Without ``until`` it is now, without ``since`` 30 days before. Raises InvalidRequest.
    """
    end = now() if until is None else _to_time(until, "until")
    begin = end - DEFAULT_SPAN if since is None else _to_time(since, "since")
    if begin >= end:
        raise InvalidRequest("since must be before until.", param="since")
    if by_day and end - begin > _LONGEST_SPAN_BY_DAY:
        raise InvalidRequest(
            f"By day at most {_LONGEST_SPAN_BY_DAY.days} days can be asked for at once.",
            param="since",
        )
    return UsageQuery(since=begin, until=end, site_id=site_id, by_day=by_day)


async def load_usage(database: Database, query: UsageQuery) -> UsageReport:
    """The sums over the stored answers that the query means."""
    async with database.begin() as connection:
        found = (await connection.execute(_to_statement(query))).mappings().all()
    rows = tuple(UsageRow(**row) for row in found)
    return UsageReport(query, rows, _add_up(rows))


def _to_time(text: str, param: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
        time = time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        time = datetime.min.replace(tzinfo=UTC)
    if time < _EARLIEST:
        raise InvalidRequest(
            f"{param} must be a time like 2026-01-31 or 2026-01-31T12:00:00Z.", param=param
        )
    return time


def _to_statement(query: UsageQuery) -> Select[Any]:
    message, conversation, site = (
        tables.message,
        tables.conversation,
        access_tables.site,
    )
    keys = [
        site.c.id.label("site_id"),
        site.c.name.label("site_name"),
        func.coalesce(message.c.model, "").label("model"),
        func.coalesce(message.c.provider, "").label("provider"),
    ]
    if query.by_day:
        day = cast(func.timezone("UTC", message.c.created_at), Date)
        keys.append(day.label("day"))
    every = func.count()
    known = message.c.prompt_tokens.is_not(None)
    sums = [
        func.coalesce(func.sum(message.c[name]), 0).label(name)
        for name in ("prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens")
    ]
    statement = (
        select(
            *keys,
            every.label("answers"),
            every.filter(message.c.status == "interrupted").label("interrupted"),
            every.filter(message.c.is_estimated).label("estimated"),
            *sums,
            every.filter(~known).label("without_tokens"),
            func.sum(message.c.cost).label("cost"),
            every.filter(message.c.cost.is_(None)).label("without_cost"),
        )
        .select_from(message.join(conversation).join(site))
        .where(
            message.c.role == "assistant",
            message.c.created_at >= query.since,
            message.c.created_at < query.until,
        )
        .group_by(*keys)
        .order_by(*keys)
    )
    if query.site_id is not None:
        statement = statement.where(conversation.c.site_id == query.site_id)
    return statement


def _add_up(rows: Iterable[UsageTotals]) -> UsageTotals:
    rows = list(rows)
    names = (name for name in UsageTotals.__slots__ if name != "cost")
    counts = {name: sum(getattr(row, name) for row in rows) for name in names}
    costs = [row.cost for row in rows if row.cost is not None]
    # Nothing asked is nothing spent; what was asked at unknown prices is unknown.
    cost = sum(costs, Decimal(0)) if costs or not rows else None
    return UsageTotals(**counts, cost=cost)
