"""``/api/usage``: what answers used and cost."""

from __future__ import annotations

from typing import Any, Literal

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromQuery

from sitebrook.access.gate import Caller
from sitebrook.access.sites import find_site
from sitebrook.api.schemas.usage import UsageResponse, UsageRowResponse, UsageSums
from sitebrook.chat.usage import UsageReport, UsageTotals, load_usage, to_query
from sitebrook.errors import NotFound
from sitebrook.parts import Parts


@get("/api/usage", summary="Tokens and costs", tags=["operations"])
async def report_usage(  # noqa: PLR0913 - each is a parameter of the address
    parts: NamedDependency[Parts],
    server: NamedDependency[Caller],
    site: FromQuery[str | None] = None,
    since: FromQuery[str | None] = None,
    until: FromQuery[str | None] = None,
    by: FromQuery[Literal["model", "day"]] = "model",
) -> UsageResponse:
    """Stored answers by site, model and provider; of the key's site, or of every one for admins.

    `since` and `until` are times or dates in ISO 8601; without them it is the last 30 days. `site`
    is a site's id or name; a key of the role `site` may only name its own.
    """
    site_id = await _find_site_id(parts, server, site)
    query = to_query(since, until, site_id=site_id, by_day=by == "day")
    return to_response(await load_usage(parts.database, query))


def to_response(report: UsageReport) -> UsageResponse:
    """The report on the wire."""
    rows = [
        UsageRowResponse(
            site=row.site_id,
            site_name=row.site_name,
            model=row.model,
            provider=row.provider,
            day=row.day,
            **_to_sums(row),
        )
        for row in report.rows
    ]
    return UsageResponse(
        since=report.query.since,
        until=report.query.until,
        totals=UsageSums(**_to_sums(report.totals)),
        data=rows,
    )


async def _find_site_id(parts: Parts, server: Caller, name: str | None) -> str | None:
    if name is None:
        return None if server.role == "admin" else server.site.id
    if name in {server.site.id, server.site.name}:
        return server.site.id
    found = None
    if server.role == "admin" and "\0" not in name:
        async with parts.database.begin() as connection:
            found = await find_site(connection, name)
    if found is None:
        raise NotFound("There is no such site.", param="site", code="site_not_found")
    return found.id


def _to_sums(totals: UsageTotals) -> dict[str, Any]:
    sums = {name: getattr(totals, name) for name in UsageSums.__struct_fields__}
    return {**sums, "cost": None if totals.cost is None else float(totals.cost)}
