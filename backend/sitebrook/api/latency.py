"""What is measured of each request, and what is done with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from litestar.types import Scope

from sitebrook.telemetry.latency import Timings, TraceHeaders, current_timings
from sitebrook.telemetry.metrics import Metrics

_SCOPE_KEY: Final = "sitebrook.timings"
_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})


def timings_of(scope: Scope) -> Timings:
    """The timings of this request; unrecorded ones outside of the middleware."""
    own: Any = scope
    timings: Timings | None = own.get(_SCOPE_KEY)
    if timings is None:
        timings = own[_SCOPE_KEY] = Timings()
    return timings


@dataclass(frozen=True, slots=True)
class Measuring:
    """What is done with what was measured: each of ``records`` is called as a request ends.

    ``shows_phases`` adds Server-Timing to responses, ``reads_traces`` keeps the caller's trace.
    """

    metrics: Metrics
    records: Sequence[Callable[[Timings], None]]
    shows_phases: bool
    reads_traces: bool

    def begin(self, scope: Scope, headers: Mapping[bytes, bytes], own_id: str) -> Timings:
        """The timings of a request that begins under this id."""
        timings = timings_of(scope)
        timings.request_id = own_id
        if self.reads_traces:
            timings.trace = _trace_of(headers)
        current_timings.set(timings)
        return timings

    def finish(self, scope: Scope, timings: Timings) -> None:
        """Records a request that has ended."""
        timings.total_ms = timings.elapsed_ms()
        if timings.route == "other":
            own = cast("dict[str, Any]", scope)
            method = own["method"] if own["method"] in _METHODS else "other"
            timings.route = f"{method} {own.get('path_template') or 'other'}"
        for record in self.records:
            record(timings)


def _trace_of(headers: Mapping[bytes, bytes]) -> TraceHeaders | None:
    parent = headers.get(b"traceparent")
    if parent is None:
        return None
    state = headers.get(b"tracestate", b"")
    return TraceHeaders(parent.decode("latin-1"), state.decode("latin-1"))
