"""The Prometheus figures of a process: counted when a request ends, written when they are read."""

from __future__ import annotations

import asyncio
import platform
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from sitebrook.telemetry import families
from sitebrook.telemetry.exposition import to_text
from sitebrook.telemetry.latency import Attempt, Timings, current_timings
from sitebrook.telemetry.process import read_process
from sitebrook.telemetry.series import (
    Counter,
    Family,
    Histogram,
    Labels,
    LabelValues,
    Snapshot,
)

_MAX_SITES: Final = 100
_MAX_MODELS: Final = 100
_MAX_ROUTES: Final = 100
_MAX_PROVIDERS: Final = 50
_MAX_JOB_KINDS: Final = 50
# A dozen figures of a request cost a third when the ones of the request before are still at hand
# for the processor; they are counted when they are read at the latest.
_COUNTED_AT_ONCE: Final = 32


@dataclass(frozen=True, slots=True)
class EventFigures:
    """What the log of events has done in this process, and how it is."""

    emitted: int = 0
    entries: int = 0
    """Writes to what processes share; each holds one event or several deltas."""
    streams: int = 0
    readers: int = 0
    lag_s: float = 0.0
    """The age of the oldest event that other processes cannot read yet."""
    is_degraded: bool = False
    """Whether streams can be read only in the process that writes them."""


@dataclass(frozen=True, slots=True)
class OpenJobs:
    """Jobs of one kind and status that have not ended; ``oldest_s`` is the oldest one's age."""

    kind: str
    status: str
    count: int
    oldest_s: float


@dataclass(frozen=True, slots=True)
class JobFigures:
    """What there is to do, and who does it: in all workers, but for ``stuck``."""

    open: tuple[OpenJobs, ...] = ()
    workers: int = 0
    stuck: int = 0
    """Handlers of this process that go on although their job has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What is asked for its figure when the metrics are read."""

    turns_waiting: Callable[[], int]
    connections: Callable[[], Mapping[str, tuple[int, int]]]
    """Of each pool of the database, how many are in use and how many may be."""
    log_lines_dropped: Callable[[], int]
    redis_is_up: Callable[[], bool]
    redis_faults: Callable[[], int]
    question_vectors: Callable[[], Mapping[str, int]]
    events: Callable[[], EventFigures]


class Peers(Protocol):
    """What other processes that serve the same address have counted."""

    def read(self) -> Iterable[Snapshot]:
        """Their figures; called in a thread."""
        ...


class Metrics:
    """Counts requests, answers and what upstreams do; a ``ProviderObserver``.

    Labels that callers influence are bounded: see ``LabelValues``. ``models`` and ``providers``
    are the configured ones, which always keep their place.
    """

    def __init__(
        self, models: Iterable[str], providers: Iterable[str], *, version: str, sources: Sources
    ) -> None:
        self.peers: Peers | None = None
        self.jobs: Callable[[], JobFigures] = JobFigures
        self._sources = sources
        self._version = version
        self._site = LabelValues(_MAX_SITES)
        self._model = LabelValues(_MAX_MODELS, models)
        self._upstream_model = LabelValues(_MAX_MODELS)
        self._provider = LabelValues(_MAX_PROVIDERS, providers)
        self._job_kind = LabelValues(_MAX_JOB_KINDS)
        self._route = LabelValues(_MAX_ROUTES)
        self._counters: list[Counter] = []
        self._histograms: list[Histogram] = []
        self._open_streams = 0
        self._uncounted: list[Timings] = []
        self._breakers: dict[str, str] = {}
        self._add_families()

    def _add_families(self) -> None:
        counter, histogram = self._counter, self._histogram
        self._requests = counter(families.REQUESTS)
        self._duration = histogram(families.DURATION)
        self._first_byte = histogram(families.FIRST_BYTE)
        self._answers = counter(families.ANSWERS)
        self._answer_duration = histogram(families.ANSWER_DURATION)
        self._first_delta = histogram(families.FIRST_DELTA)
        self._gaps = histogram(families.GAPS)
        self._retrieval = histogram(families.RETRIEVAL)
        self._deltas = counter(families.DELTAS)
        self._tokens = counter(families.TOKENS)
        self._cost = counter(families.COST)
        self._unpriced = counter(families.UNPRICED)
        self._attempts = counter(families.ATTEMPTS)
        self._attempt_duration = histogram(families.ATTEMPT_DURATION)
        self._breaker = counter(families.BREAKER)
        self._jobs = counter(families.JOBS)
        self._job_duration = histogram(families.JOB_DURATION)
        self._job_wait = histogram(families.JOB_WAIT)

    def _counter(self, family: Family) -> Counter:
        self._counters.append(Counter(family))
        return self._counters[-1]

    def _histogram(self, family: Family) -> Histogram:
        self._histograms.append(Histogram(family))
        return self._histograms[-1]

    def open_stream(self) -> None:
        """Counts an event stream that begins."""
        self._open_streams += 1

    def close_stream(self) -> None:
        """Counts it off."""
        self._open_streams -= 1

    def record(self, timings: Timings) -> None:
        """Counts a finished request, and its answer if it named a model that exists."""
        self._uncounted.append(timings)
        if len(self._uncounted) >= _COUNTED_AT_ONCE:
            self._count_requests()

    def _count_requests(self) -> None:
        requests, self._uncounted = self._uncounted, []
        for timings in requests:
            self._count(timings)

    def _count(self, timings: Timings) -> None:
        route = self._route(timings.route)
        self._requests.add((route, str(timings.status), timings.outcome))
        self._duration.observe((route,), (timings.total_ms or 0) / 1000)
        if timings.first_byte_ms is not None:
            self._first_byte.observe((route,), timings.first_byte_ms / 1000)
        if timings.model:
            self._record_answer(timings)

    def _record_answer(self, timings: Timings) -> None:
        model, provider = self._model(timings.model), self._provider(timings.provider)
        labels = (model, provider)
        self._answers.add((self._site(timings.site_id), *labels, timings.outcome))
        self._answer_duration.observe(labels, (timings.total_ms or 0) / 1000)
        retrieval_ms = timings.phases.get("retrieval")
        if retrieval_ms is not None:
            self._retrieval.observe((), retrieval_ms / 1000)
        if timings.first_delta_ms is not None:
            self._first_delta.observe(labels, timings.first_delta_ms / 1000)
            self._gaps.merge(labels, timings.gaps, timings.gaps_s)
            self._deltas.add(labels, timings.deltas)
            if timings.cost is None:
                self._unpriced.add(labels)
        if timings.cost is not None:
            self._cost.add(labels, timings.cost)
        if timings.prompt_tokens is not None:
            self._tokens.add((*labels, "prompt"), timings.prompt_tokens)
        if timings.completion_tokens is not None:
            self._tokens.add((*labels, "completion"), timings.completion_tokens)

    def note_attempt(self, provider: str, model: str, outcome: str, seconds: float) -> None:
        """One request to an upstream is over; it also belongs to the request that made it."""
        labels = (self._provider(provider), self._upstream_model(model), str(outcome))
        self._attempts.add(labels)
        self._attempt_duration.observe((labels[0], labels[2]), seconds)
        timings = current_timings.get()
        if timings is not None:
            now = time.perf_counter()
            timings.attempts.append(Attempt(provider, model, str(outcome), now - seconds, now))

    def note_breaker(self, provider: str, state: str) -> None:
        """A provider's breaker is in this state now."""
        provider = self._provider(provider)
        before = self._breakers.get(provider)
        if before is not None:
            self._breaker.set((provider, before), 0)
        self._breakers[provider] = str(state)
        self._breaker.set((provider, str(state)), 1)

    def note_job_start(self, kind: str, waited_s: float) -> None:
        """A job was started for the first time, so long after it was enqueued."""
        self._job_wait.observe((self._job_kind(kind),), waited_s)

    def note_job_end(self, kind: str, status: str, seconds: float) -> None:
        """An attempt of a job is over, and the job has this status."""
        kind = self._job_kind(kind)
        self._jobs.add((kind, str(status)))
        self._job_duration.observe((kind,), seconds)

    def snapshot(self) -> Snapshot:
        """Everything that may be summed with the figures of other processes."""
        self._count_requests()
        values = {one.family.name: one.series() for one in self._counters}
        sources = self._sources
        events = sources.events()
        for family, value in (
            (families.OPEN_STREAMS, self._open_streams),
            (families.TURNS, sources.turns_waiting()),
            (families.LOG_DROPS, sources.log_lines_dropped()),
            (families.REDIS_UP, sources.redis_is_up()),
            (families.REDIS_FAULTS, sources.redis_faults()),
            (families.EVENTS, events.emitted),
            (families.EVENT_ENTRIES, events.entries),
            (families.EVENT_STREAMS, events.streams),
            (families.EVENT_READERS, events.readers),
            (families.EVENT_LAG, events.lag_s),
            (families.EVENTS_DEGRADED, events.is_degraded),
        ):
            values[family.name] = [((), float(value))]
        values |= self._to_values(self.jobs())
        pools = sources.connections().items()
        values[families.POOL.name] = [((pool,), float(used)) for pool, (used, _) in pools]
        values[families.POOL_SIZE.name] = [((pool,), float(most)) for pool, (_, most) in pools]
        values[families.QUESTION_VECTORS.name] = [
            ((source,), float(count)) for source, count in sources.question_vectors().items()
        ]
        for name, value in read_process().items():
            values[name] = [((), value)]
        return Snapshot(values, {one.family.name: one.series() for one in self._histograms})

    def _to_values(self, jobs: JobFigures) -> dict[str, list[tuple[Labels, float]]]:
        counts: dict[Labels, float] = {}
        ages: dict[Labels, float] = {}
        for one in jobs.open:
            labels = (self._job_kind(one.kind), one.status)
            counts[labels] = counts.get(labels, 0.0) + one.count
            ages[labels] = max(ages.get(labels, 0.0), float(one.oldest_s))
        return {
            families.JOBS_OPEN.name: list(counts.items()),
            families.JOBS_OLDEST.name: list(ages.items()),
            families.JOB_WORKERS.name: [((), float(jobs.workers))],
            families.JOBS_STUCK.name: [((), float(jobs.stuck))],
        }

    async def render(self) -> bytes:
        """The text exposition, with the figures of the peers; written in a thread."""
        return await asyncio.to_thread(self._render, self.snapshot())

    def _render(self, snapshot: Snapshot) -> bytes:
        if self.peers is not None:
            started = snapshot.values[families.STARTED.name]
            for other in self.peers.read():
                snapshot.add(other)
            snapshot.values[families.STARTED.name] = started
        build = (self._version, platform.python_version())
        snapshot.values[families.BUILD.name] = [(build, 1.0)]
        return to_text(snapshot, families.FAMILIES)
