"""OpenTelemetry spans of answers, made from their timings when they have ended.

Nothing of OpenTelemetry is imported, and nothing is done per request, unless an endpoint is set.
Names and attributes are those of its semantic conventions for generative AI and for HTTP.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from sitebrook.errors import StartError
from sitebrook.telemetry.latency import Attempt, Timings

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span, Tracer

_SHUTDOWN_S: Final = 2.0
# Where the name that the conventions give to a provider is not the usual one here.
_PROVIDERS: Final = {"mistral": "mistral_ai"}
_WELL_ENDED: Final = frozenset({"answered", "left"})
_SERVER_ERROR: Final = 500

_Attributes: TypeAlias = dict[str, str | int | list[str]]


def open_tracing(endpoint: str, version: str) -> Tracing:
    """What sends spans to an OTLP endpoint over HTTP, from a thread with a bounded queue.

    The standard OTEL_* variables set headers, time-outs, sampling, queue and resource. Raises
    StartError without the packages.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        raise StartError(
            "OTEL_EXPORTER_OTLP_ENDPOINT is set, but OpenTelemetry is not installed: "
            "pip install 'sitebrook[otel]', or unset it."
        ) from None
    named = OTELResourceDetector().detect().attributes
    resource = Resource.create({"service.name": "sitebrook", "service.version": version, **named})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return Tracing(provider, provider.get_tracer("sitebrook", version))


@dataclass(frozen=True, slots=True)
class _Planned:
    """A span to make; times are those of perf_counter."""

    name: str
    kind: Literal["SERVER", "CLIENT", "INTERNAL"]
    started: float
    ended: float
    attributes: _Attributes = field(default_factory=dict[str, str | int | list[str]])


class Tracing:
    """Makes the spans of an answer: the request, in it the chat, in it retrieval and attempts."""

    def __init__(self, provider: TracerProvider, tracer: Tracer) -> None:
        from opentelemetry import trace
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider = provider
        self._tracer = tracer
        self._trace = trace
        self._propagator = TraceContextTextMapPropagator()

    def record(self, timings: Timings) -> None:
        """Queues the spans of a finished answer; a request that named no model has none."""
        if not timings.model:
            return
        ended = timings.started + (timings.total_ms or 0) / 1000
        request, chat = _of_request(timings, ended), _of_chat(timings, ended)
        outer = self._start(request, self._parent(timings))
        middle = self._start(chat, self._trace.set_span_in_context(outer))
        inner = self._trace.set_span_in_context(middle)
        for planned in _inner_spans(timings):
            self._end(self._start(planned, inner), planned)
        self._end(middle, chat)
        self._end(outer, request)

    async def aclose(self) -> None:
        """Sends what is queued, for two seconds at most; what is left then is lost."""
        # A thread that may be left behind: an exporter that hangs has no way to be told to stop.
        closing = threading.Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        await asyncio.to_thread(closing.join, _SHUTDOWN_S)

    def _parent(self, timings: Timings) -> Context:
        carrier: dict[str, str] = {}
        if timings.trace is not None:
            carrier["traceparent"] = timings.trace.traceparent
            carrier["tracestate"] = timings.trace.tracestate
        return self._propagator.extract(carrier)

    def _start(self, planned: _Planned, context: Context) -> Span:
        span = self._tracer.start_span(
            planned.name,
            context,
            self._trace.SpanKind[planned.kind],
            planned.attributes,
            start_time=_to_epoch_ns(planned.started),
        )
        if "error.type" in planned.attributes:
            span.set_status(self._trace.StatusCode.ERROR)
        return span

    @staticmethod
    def _end(span: Span, planned: _Planned) -> None:
        span.end(_to_epoch_ns(planned.ended))


def _to_epoch_ns(counter: float) -> int:
    return time.time_ns() - int((time.perf_counter() - counter) * 1e9)


def _of_request(timings: Timings, ended: float) -> _Planned:
    method, _, route = timings.route.partition(" ")
    attributes: _Attributes = {
        "http.request.method": method,
        "http.route": route,
        "sitebrook.request_id": timings.request_id,
    }
    if timings.status:
        attributes["http.response.status_code"] = timings.status
    if timings.status >= _SERVER_ERROR:
        attributes["error.type"] = str(timings.status)
    elif timings.outcome == "interrupted":
        attributes["error.type"] = timings.error_code or "interrupted"
    return _Planned(timings.route, "SERVER", timings.started, ended, attributes)


def _of_chat(timings: Timings, ended: float) -> _Planned:
    attributes: _Attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": _to_provider(timings.provider),
        "gen_ai.request.model": timings.model,
        "sitebrook.site_id": timings.site_id,
        "sitebrook.outcome": timings.outcome,
    }
    if timings.answer_id:
        attributes["gen_ai.response.id"] = timings.answer_id
    if timings.deltas and timings.attempts:
        attributes["gen_ai.response.model"] = timings.attempts[-1].model
    if timings.prompt_tokens is not None:
        attributes["gen_ai.usage.input_tokens"] = timings.prompt_tokens
    if timings.completion_tokens is not None:
        attributes["gen_ai.usage.output_tokens"] = timings.completion_tokens
    if timings.finish_reasons:
        attributes["gen_ai.response.finish_reasons"] = timings.finish_reasons
    if timings.outcome in {"error", "interrupted"}:
        attributes["error.type"] = timings.error_code or "_OTHER"
    return _Planned(f"chat {timings.model}", "INTERNAL", timings.started, ended, attributes)


def _inner_spans(timings: Timings) -> Iterator[_Planned]:
    started = timings.phase_starts.get("retrieval")
    if started is not None:
        attributes: _Attributes = {
            "gen_ai.operation.name": "retrieval",
            "gen_ai.data_source.id": timings.site_id,
        }
        if timings.searched_by:
            attributes["sitebrook.searched_by"] = timings.searched_by
        ended = started + timings.phases["retrieval"] / 1000
        yield _Planned("retrieval", "INTERNAL", started, ended, attributes)
    for attempt in timings.attempts:
        yield _of_attempt(attempt)


def _of_attempt(attempt: Attempt) -> _Planned:
    # No operation name and no usage: who sums up tokens finds them once, in the chat's span.
    attributes: _Attributes = {
        "gen_ai.provider.name": _to_provider(attempt.provider),
        "gen_ai.request.model": attempt.model,
        "sitebrook.outcome": attempt.outcome,
    }
    if attempt.outcome not in _WELL_ENDED:
        attributes["error.type"] = attempt.outcome
    name = f"attempt {attempt.provider}"
    return _Planned(name, "CLIENT", attempt.started, attempt.ended, attributes)


def _to_provider(name: str) -> str:
    return _PROVIDERS.get(name, name) or "_OTHER"
