"""How long requests took: one record each, kept in sliding windows and summed up on demand."""

from __future__ import annotations

import math
import time
from bisect import bisect_left
from collections import OrderedDict, deque
from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final, Literal

from msgspec import Struct, field

# "interrupted" is an answer that broke off after its stream had begun.
Outcome = Literal["ok", "error", "cancelled", "interrupted"]

# Windows are dropped, least recently used first, beyond this many label sets.
_MAX_WINDOWS: Final = 256
_PERCENTILES: Final = (("p50", 0.50), ("p95", 0.95), ("p99", 0.99))
MEASURES: Final = (
    "first_byte_ms",
    "first_delta_ms",
    "total_ms",
    "retrieval_ms",
    "provider_ms",
    "deltas_per_s",
)


# Upper bounds of the counted gaps between two deltas, in seconds; the last count is of longer ones.
GAP_BOUNDS_S: Final = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1),
    *(0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request to an upstream for an answer; times are those of perf_counter."""

    provider: str
    model: str
    outcome: str
    started: float
    ended: float


@dataclass(frozen=True, slots=True)
class TraceHeaders:
    """The caller's place in a trace, as its headers say it (W3C Trace Context)."""

    traceparent: str
    tracestate: str = ""


class Timings(Struct):
    """The times of one request, filled in while it runs; milliseconds since it began."""

    started: float = field(default_factory=time.perf_counter)
    route: str = "other"
    request_id: str = ""
    trace: TraceHeaders | None = None
    status: int = 0  # as sent; 0 is none
    site_id: str = ""
    model: str = ""
    provider: str = ""
    answer_id: str = ""
    searched_by: str = ""  # who made the question that was searched: question, rule or model
    outcome: Outcome = "ok"
    error_code: str = ""
    first_byte_ms: float | None = None
    first_delta_ms: float | None = None
    total_ms: float | None = None
    deltas: int = 0
    last_delta: float = 0.0  # perf_counter
    gaps: list[int] = []  # by GAP_BOUNDS_S; empty before a delta
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost: float | None = None  # money, by the price table; None is unknown
    finish_reasons: list[str] = []
    attempts: list[Attempt] = []
    phases: dict[str, float] = {}
    phase_starts: dict[str, float] = {}  # perf_counter

    def elapsed_ms(self) -> float:
        """Milliseconds since the request began."""
        return (time.perf_counter() - self.started) * 1000

    def note_phase(self, name: str, since: float) -> None:
        """Records a phase that began at ``since`` (perf_counter) and ends now."""
        self.phases[name] = (time.perf_counter() - since) * 1000
        self.phase_starts[name] = since

    def note_deltas(self, count: int) -> None:
        """Counts deltas that are being sent together, and the gap since those before."""
        now = time.perf_counter()
        last, self.last_delta = self.last_delta, now
        self.deltas += count
        if last:
            self.gaps[bisect_left(GAP_BOUNDS_S, now - last)] += 1
        else:
            self.first_delta_ms = (now - self.started) * 1000
            self.gaps = [0] * (len(GAP_BOUNDS_S) + 1)
        self.gaps[0] += count - 1

    @property
    def gaps_s(self) -> float:
        """Seconds between the first delta and the last."""
        return self.last_delta - self.started - (self.first_delta_ms or 0) / 1000

    def to_server_timing(self) -> str:
        """The value of a Server-Timing header (W3C Server Timing) with the phases so far."""
        return ", ".join([f"{name};dur={ms:.1f}" for name, ms in self.phases.items()])

    def values(self) -> tuple[float | None, ...]:
        """The measures in the order of MEASURES."""
        seconds = ((self.total_ms or 0) - (self.first_delta_ms or 0)) / 1000
        return (
            self.first_byte_ms,
            self.first_delta_ms,
            self.total_ms,
            self.phases.get("retrieval"),
            self.phases.get("provider"),
            self.deltas / seconds if self.deltas > 1 and seconds > 0 else None,
        )


# The request that this task works for.
current_timings: ContextVar[Timings | None] = ContextVar("current_timings", default=None)


@dataclass(frozen=True, slots=True)
class Spread:
    """How one measure was distributed."""

    count: int
    min: float
    average: float
    p50: float
    p95: float
    p99: float
    max: float


@dataclass(frozen=True, slots=True)
class LatencySummary:
    """One route, site and model over its window.

    ``success_rate`` leaves cancelled requests out; an answer that broke off is no success.
    """

    route: str
    site_id: str
    model: str
    count: int
    cancelled: int
    success_rate: float | None
    measures: dict[str, Spread]


class LatencyRecorder:
    """Sliding windows of finished requests per route, site and model."""

    def __init__(self, window: int) -> None:
        self._window = window
        self._windows: OrderedDict[
            tuple[str, str, str], deque[tuple[Outcome, tuple[float | None, ...]]]
        ] = OrderedDict()

    def record(self, timings: Timings) -> None:
        """Adds a finished request."""
        labels = (timings.route, timings.site_id, timings.model)
        window = self._windows.get(labels)
        if window is None:
            window = self._windows[labels] = deque(maxlen=self._window)
            if len(self._windows) > _MAX_WINDOWS:
                self._windows.popitem(last=False)
        self._windows.move_to_end(labels)
        window.append((timings.outcome, timings.values()))

    def summarise(self, site_id: str | None = None) -> list[LatencySummary]:
        """A summary per label set, of one site or of all, sorted by route, site and model."""
        return [
            _to_summary(labels, list(window))
            for labels, window in sorted(self._windows.items())
            if site_id is None or labels[1] == site_id
        ]


def _to_summary(
    labels: tuple[str, str, str], records: list[tuple[Outcome, tuple[float | None, ...]]]
) -> LatencySummary:
    outcomes = [outcome for outcome, _ in records]
    cancelled = outcomes.count("cancelled")
    judged = len(outcomes) - cancelled
    measures: dict[str, Spread] = {}
    for position, name in enumerate(MEASURES):
        spread = to_spread(values[position] for _, values in records)
        if spread is not None:
            measures[name] = spread
    return LatencySummary(
        *labels,
        count=len(records),
        cancelled=cancelled,
        success_rate=outcomes.count("ok") / judged if judged else None,
        measures=measures,
    )


def to_spread(values: Iterable[float | None]) -> Spread | None:
    """The distribution of the values that are there (nearest-rank percentiles), or None."""
    found = sorted(value for value in values if value is not None)
    if not found:
        return None
    ranks = {name: found[math.ceil(share * len(found)) - 1] for name, share in _PERCENTILES}
    return Spread(
        count=len(found),
        min=found[0],
        average=sum(found) / len(found),
        max=found[-1],
        **ranks,
    )
