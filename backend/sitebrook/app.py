"""The web application: routes, middleware and their order."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from typing import Final

from litestar import Litestar
from litestar.datastructures import State
from litestar.di import Provide
from litestar.types import ASGIApp

from sitebrook.api import documents, models, operations, pages, static, tickets, usage, visitors
from sitebrook.api.bodies import BodyMiddleware, JSONRequest
from sitebrook.api.chat import chat_completions
from sitebrook.api.cors import CorsMiddleware
from sitebrook.api.dependencies import (
    provide_caller,
    provide_head,
    provide_parts,
    provide_server,
)
from sitebrook.api.docs import openapi_config
from sitebrook.api.draining import DrainMiddleware
from sitebrook.api.errors import handle_error
from sitebrook.api.latency import LatencyMiddleware, Measuring
from sitebrook.api.request_ids import RequestIdMiddleware
from sitebrook.api.simple import simple_stream
from sitebrook.api.ticker import Ticker
from sitebrook.settings import Settings
from sitebrook.telemetry.logs import log_answer
from sitebrook.wiring import build_parts, build_tracing

_HANDLERS: Final = (
    chat_completions,
    simple_stream,
    models.list_models,
    models.read_model,
    documents.add_document,
    documents.upload_documents,
    documents.list_site_documents,
    documents.read_document,
    documents.delete_document,
    tickets.issue_ticket,
    visitors.mint_visitor,
    visitors.read_conversation,
    operations.report_live,
    operations.report_ready,
    operations.report_latency,
    operations.report_metrics,
    usage.report_usage,
    pages.open_start,
    pages.show_demo,
    pages.show_source,
    static.read_static,
    static.read_widget,
    static.read_test_page,
)


def create_app(settings: Settings) -> Litestar:
    """The application over a migrated database; make it inside the event loop that runs it.

    ``settings.database.url`` must be set. ``app.state.parts`` has the objects of the process.
    """
    parts = build_parts(settings)
    tracing = build_tracing(settings)

    @contextlib.asynccontextmanager
    async def run_parts(_: Litestar) -> AsyncGenerator[None]:
        try:
            async with parts.running():
                yield
        finally:
            if tracing is not None:
                await tracing.aclose()

    app = Litestar(
        route_handlers=list(_HANDLERS),
        state=State({"parts": parts, "ticker": Ticker(settings.server.tick_s)}),
        dependencies={
            "parts": Provide(provide_parts),
            "head": Provide(provide_head),
            "caller": Provide(provide_caller),
            "server": Provide(provide_server),
        },
        request_class=JSONRequest,
        exception_handlers={Exception: handle_error},
        openapi_config=openapi_config(),
        lifespan=[run_parts],
        request_max_body_size=settings.limits.body_bytes,
        logging_config=None,
    )
    # Around the whole router, not as Litestar middleware: unknown routes get the headers too.
    handler: ASGIApp = CorsMiddleware(
        BodyMiddleware(DrainMiddleware(app.asgi_handler, parts.open_answers)), parts.gate
    )
    shows_latency = settings.telemetry.latency_metrics
    records = [parts.metrics.record, log_answer]
    if shows_latency:
        records.append(parts.latency.record)
    if tracing is not None:
        records.append(tracing.record)
    measuring = Measuring(
        parts.metrics, records, shows_phases=shows_latency, reads_traces=tracing is not None
    )
    app.asgi_handler = RequestIdMiddleware(LatencyMiddleware(handler, measuring))
    return app
