"""Health and figures, for those who run the server."""

from __future__ import annotations

from typing import Final

from litestar import get
from litestar.di import NamedDependency

from sitebrook.access.gate import Caller
from sitebrook.api.schemas.operations import HealthResponse, LatencyResponse
from sitebrook.parts import Parts

# Readable from every page, so that the widget can tell a refused origin from a server that is away.
_PUBLIC: Final = {"access-control-allow-origin": "*"}


@get(
    "/health/live",
    summary="Is the process alive?",
    tags=["operations"],
    response_headers=_PUBLIC,
)
async def report_live() -> HealthResponse:
    """Answers as long as the process does."""
    return HealthResponse("ok")


@get("/health/ready", summary="Can it answer questions?", tags=["operations"])
async def report_ready(parts: NamedDependency[Parts]) -> HealthResponse:
    """200 when a question would be answered now; 503 while the database is away."""
    await parts.database.check()
    return HealthResponse("ok")


@get("/api/latency", summary="Latency figures", tags=["operations"])
async def report_latency(
    parts: NamedDependency[Parts], server: NamedDependency[Caller]
) -> LatencyResponse:
    """Each route, site and model over its sliding window; of the key's site, or all for admins."""
    site_id = None if server.role == "admin" else server.site.id
    telemetry = parts.settings.telemetry
    return LatencyResponse(
        enabled=telemetry.latency_metrics,
        window=telemetry.latency_window,
        summaries=parts.latency.summarise(site_id),
    )
