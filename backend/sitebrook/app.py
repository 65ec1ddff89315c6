"""The web application: routes, middleware and their order."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from typing import Final

from litestar import Litestar
from litestar.datastructures import State
from litestar.di import Provide

from sitebrook.api import (
    answers,
    chat,
    documents,
    embeddings,
    files,
    job_stream,
    jobs,
    models,
    operations,
    pages,
    search,
    simple,
    sources,
    static,
    store_files,
    stores,
    tickets,
    usage,
    visitors,
)
from sitebrook.api.bodies import JSONRequest
from sitebrook.api.dependencies import (
    provide_caller,
    provide_head,
    provide_parts,
    provide_server,
)
from sitebrook.api.docs import openapi_config
from sitebrook.api.errors import handle_error
from sitebrook.api.front import Front
from sitebrook.api.latency import Measuring
from sitebrook.api.ticker import Ticker
from sitebrook.settings import Settings
from sitebrook.telemetry.logs import log_answer
from sitebrook.wiring.process import build_parts, build_tracing

_HANDLERS: Final = (
    chat.chat_completions,
    simple.simple_stream,
    answers.resume_answer,
    answers.cancel_answer,
    models.list_models,
    models.read_model,
    embeddings.create_embeddings,
    files.upload_file,
    files.list_files,
    files.read_file,
    files.read_file_content,
    files.delete_file,
    stores.create_store,
    stores.list_stores,
    stores.read_store,
    stores.change_store,
    stores.delete_store,
    stores.search_store,
    store_files.add_store_file,
    store_files.list_store_files,
    store_files.read_store_file,
    store_files.change_store_file,
    store_files.remove_store_file,
    store_files.read_store_file_content,
    store_files.add_batch,
    store_files.read_batch,
    store_files.cancel_batch,
    store_files.list_batch_files,
    documents.add_document,
    documents.upload_documents,
    documents.list_site_documents,
    documents.read_document,
    documents.delete_document,
    sources.add_source,
    sources.list_site_sources,
    sources.read_source,
    sources.crawl_source,
    sources.list_source_pages,
    sources.remove_source,
    search.search,
    tickets.issue_ticket,
    visitors.mint_visitor,
    visitors.read_conversation,
    operations.report_live,
    operations.report_ready,
    operations.report_latency,
    operations.report_metrics,
    usage.report_usage,
    jobs.list_site_jobs,
    jobs.read_job,
    jobs.cancel_job,
    jobs.retry_job,
    job_stream.stream_job,
    pages.open_start,
    pages.show_demo,
    pages.show_source,
    static.read_static,
    static.read_widget,
    static.read_test_page,
)

_DIRECT: Final = {chat.PATH: chat.chat_completions.fn, simple.PATH: simple.simple_stream.fn}


def create_app(settings: Settings) -> Litestar:
    """The application over a migrated database; make it inside the event loop that runs it.

    ``settings.database.url`` must be set. ``app.state.parts`` has the objects of the process.
    """
    parts = build_parts(settings, serves=True)
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
    shows_latency = settings.telemetry.latency_metrics
    records = [parts.metrics.record, log_answer]
    if shows_latency:
        records.append(parts.latency.record)
    if tracing is not None:
        records.append(tracing.record)
    measuring = Measuring(
        parts.metrics, records, shows_phases=shows_latency, reads_traces=tracing is not None
    )
    # Around the whole router, not as Litestar middleware: unknown routes get the headers too.
    app.asgi_handler = Front(app.asgi_handler, _DIRECT, parts, measuring)
    return app
