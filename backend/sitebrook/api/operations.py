"""Health and figures, for those who run the server."""

from __future__ import annotations

from typing import Any, Final

from litestar import Request, Response, get
from litestar.di import NamedDependency

from sitebrook.access.gate import Caller
from sitebrook.api.dependencies import provide_server
from sitebrook.api.http import RequestHead, is_local_operator
from sitebrook.api.schemas.operations import (
    HealthResponse,
    LatencyResponse,
    ProviderHealth,
    ReadyResponse,
)
from sitebrook.errors import NotPermitted
from sitebrook.parts import Parts
from sitebrook.providers.observer import BreakerState
from sitebrook.telemetry.exposition import CONTENT_TYPE

# Readable from every page, so that the widget can tell a refused origin from a server that is away.
_PUBLIC: Final = {"access-control-allow-origin": "*"}

# Events reach Redis within a tenth of a second.
_LATE_EVENTS_S: Final = 5.0


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
async def report_ready(parts: NamedDependency[Parts]) -> ReadyResponse:
    """200 when a question would be answered now; 503 while the database is away or it stops.

    A provider that rests makes it `degraded`, still with 200: others may answer. So does a Redis
    that does not answer: each process then goes on by itself, and the events of its streams can be
    read nowhere else; and so do background jobs that no worker runs.
    """
    parts.open_answers.check_taken()
    await parts.database.check()
    states = parts.router.provider_states
    is_well = all(one.state is BreakerState.CLOSED for one in states)
    redis = "off" if parts.redis is None else "ok" if parts.redis.is_up else "degraded"
    figures = parts.events.figures()
    events = "degraded" if figures.is_degraded or figures.lag_s > _LATE_EVENTS_S else "ok"
    watch = parts.job_watch
    jobs = "ok" if watch is None or watch.is_well else "degraded"
    return ReadyResponse(
        "ok" if is_well and "degraded" not in {redis, events, jobs} else "degraded",
        redis,
        events,
        jobs,
        [ProviderHealth(one.name, one.state, one.rests_s) for one in states],
    )


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


@get(
    "/metrics",
    summary="Figures for Prometheus",
    tags=["operations"],
    media_type="text/plain",
    security=[{}, {"key": []}],
)
async def report_metrics(
    request: Request[Any, Any, Any],
    parts: NamedDependency[Parts],
    head: NamedDependency[RequestHead],
) -> Response[bytes]:
    """The text exposition, for admin keys and for programs on this machine that come directly.

    A key that is sent must be right wherever it comes from.
    """
    if b"authorization" in head.headers or not is_local_operator(request.scope, head):
        caller = await provide_server(await parts.gate.find_caller(head.to_credentials()))
        if caller.role != "admin":
            raise NotPermitted(
                "The metrics need a secret key with the role admin.", code="admin_key_required"
            )
    return Response(await parts.metrics.render(), media_type=CONTENT_TYPE)
