"""The metrics of the server: their names, meanings, labels and buckets."""

from __future__ import annotations

from typing import Final

from sitebrook.telemetry.latency import GAP_BOUNDS_S
from sitebrook.telemetry.series import Family

_SPLIT: Final = ("model", "provider")
_MAX_SPLITS: Final = 200
_SECONDS: Final = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25),
    *(0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0),
)

REQUESTS: Final = Family(
    "sitebrook_requests_total",
    "Finished HTTP requests",
    "counter",
    ("route", "status", "outcome"),
)
DURATION: Final = Family(
    "sitebrook_request_duration_seconds",
    "From a request to the last byte of its response",
    "histogram",
    ("route",),
    _SECONDS,
    _MAX_SPLITS,
)
FIRST_BYTE: Final = Family(
    "sitebrook_first_byte_seconds",
    "From a request to the first byte of its response",
    "histogram",
    ("route",),
    _SECONDS,
    _MAX_SPLITS,
)
ANSWERS: Final = Family(
    "sitebrook_answers_total",
    "Questions to a model that exists, by how they ended",
    "counter",
    ("site", "model", "provider", "outcome"),
)
ANSWER_DURATION: Final = Family(
    "sitebrook_answer_duration_seconds",
    "From a question to the end of its answer, however it ended",
    "histogram",
    _SPLIT,
    _SECONDS,
    _MAX_SPLITS,
)
FIRST_DELTA: Final = Family(
    "sitebrook_first_delta_seconds",
    "From a question to the first delta of its answer",
    "histogram",
    _SPLIT,
    _SECONDS,
    _MAX_SPLITS,
)
GAPS: Final = Family(
    "sitebrook_delta_gap_seconds",
    "Between two deltas of an answer, counted when the answer ends",
    "histogram",
    _SPLIT,
    GAP_BOUNDS_S,
    _MAX_SPLITS,
)
RETRIEVAL: Final = Family(
    "sitebrook_retrieval_seconds",
    "Search for the passages of a question",
    "histogram",
    (),
    _SECONDS,
)
DELTAS: Final = Family(
    "sitebrook_deltas_total", "Deltas sent, counted when the answer ends", "counter", _SPLIT
)
TOKENS: Final = Family(
    "sitebrook_tokens_total",
    "Tokens of prompts and completions, estimated ones too",
    "counter",
    (*_SPLIT, "kind"),
)
COST: Final = Family(
    "sitebrook_cost_total", "Money by the price table, in its currency", "counter", _SPLIT
)
UNPRICED: Final = Family(
    "sitebrook_unpriced_answers_total",
    "Answers with at least one delta whose price is unknown",
    "counter",
    _SPLIT,
)
OPEN_STREAMS: Final = Family("sitebrook_open_streams", "Event streams that are open", "gauge")
ATTEMPTS: Final = Family(
    "sitebrook_upstream_attempts_total",
    "Requests to upstreams that are over, by how they ended; the model is the upstream's name",
    "counter",
    ("provider", "model", "outcome"),
)
ATTEMPT_DURATION: Final = Family(
    "sitebrook_upstream_attempt_seconds",
    "From a request to an upstream to its end",
    "histogram",
    ("provider", "outcome"),
    _SECONDS,
    _MAX_SPLITS,
)
BREAKER: Final = Family(
    "sitebrook_breaker_state",
    "1 for the state in which a provider's breaker is, else 0; summed over the workers",
    "gauge",
    ("provider", "state"),
)
TURNS: Final = Family(
    "sitebrook_turns_waiting", "Turns of conversations that wait to be stored", "gauge"
)
POOL: Final = Family(
    "sitebrook_database_connections_in_use",
    "Pooled connections in use: of searches, of look-ups of keys, of all else",
    "gauge",
    ("pool",),
)
POOL_SIZE: Final = Family(
    "sitebrook_database_connections_max",
    "Pooled connections that may be in use",
    "gauge",
    ("pool",),
)
REDIS_UP: Final = Family(
    "sitebrook_redis_up",
    "1 while Redis can be used, else 0, also without one; summed over the workers",
    "gauge",
)
REDIS_FAULTS: Final = Family(
    "sitebrook_redis_faults_total", "Times that Redis could no longer be used", "counter"
)
EVENTS: Final = Family(
    "sitebrook_events_total", "Events written to streams that can be joined again", "counter"
)
EVENT_ENTRIES: Final = Family(
    "sitebrook_event_entries_total",
    "Entries in which Redis got them, each of one event or several pieces of text",
    "counter",
)
EVENT_STREAMS: Final = Family("sitebrook_event_streams", "Streams that are being written", "gauge")
EVENT_READERS: Final = Family("sitebrook_event_readers", "Readers of such streams", "gauge")
EVENT_LAG: Final = Family(
    "sitebrook_event_lag_seconds",
    "Age of the oldest event that other processes cannot read yet; summed over the workers",
    "gauge",
)
EVENTS_DEGRADED: Final = Family(
    "sitebrook_events_degraded",
    "1 while streams can be joined only in the process that writes them, though there is a Redis; "
    "summed over the workers",
    "gauge",
)
JOBS: Final = Family(
    "sitebrook_job_attempts_total",
    "Attempts of jobs that this server ran itself, by what became of the job",
    "counter",
    ("kind", "status"),
)
JOB_DURATION: Final = Family(
    "sitebrook_job_attempt_seconds",
    "From the start of such an attempt to its end",
    "histogram",
    ("kind",),
    _SECONDS,
    _MAX_SPLITS,
)
JOB_WAIT: Final = Family(
    "sitebrook_job_wait_seconds",
    "From the enqueueing of a job to its first start",
    "histogram",
    ("kind",),
    _SECONDS,
    _MAX_SPLITS,
)
JOBS_OPEN: Final = Family(
    "sitebrook_jobs_open",
    "Jobs of all workers that have not ended",
    "gauge",
    ("kind", "status"),
)
JOBS_OLDEST: Final = Family(
    "sitebrook_jobs_oldest_seconds", "Age of the oldest of them", "gauge", ("kind", "status")
)
JOB_WORKERS: Final = Family(
    "sitebrook_job_workers", "Workers that were seen lately, in servers too", "gauge"
)
JOBS_STUCK: Final = Family(
    "sitebrook_job_handlers_stuck",
    "Handlers in this server that go on although their job has ended",
    "gauge",
)
QUESTION_VECTORS: Final = Family(
    "sitebrook_question_vectors_total",
    "Vectors of questions, by where they came from: process, redis or embedder",
    "counter",
    ("source",),
)
LOG_DROPS: Final = Family(
    "sitebrook_log_lines_dropped_total",
    "Log lines thrown away since standard error was not read in time",
    "counter",
)
STARTED: Final = Family(
    "process_start_time_seconds", "Start of the process since the epoch", "gauge"
)
BUILD: Final = Family(
    "sitebrook_build_info", "1; the version and its Python", "gauge", ("version", "python")
)
PROCESS: Final = (
    Family("process_virtual_memory_bytes", "Virtual memory size in bytes", "gauge"),
    Family("process_resident_memory_bytes", "Resident memory size in bytes", "gauge"),
    Family("process_cpu_seconds_total", "User and system processor time", "counter"),
    Family("process_open_fds", "Open file descriptors", "gauge"),
    Family("process_max_fds", "File descriptors that may be open", "gauge"),
)
FAMILIES: Final = (
    *(REQUESTS, DURATION, FIRST_BYTE),
    *(ANSWERS, ANSWER_DURATION, FIRST_DELTA, GAPS, RETRIEVAL),
    *(DELTAS, TOKENS, COST, UNPRICED, OPEN_STREAMS),
    *(ATTEMPTS, ATTEMPT_DURATION, BREAKER),
    *(TURNS, POOL, POOL_SIZE, REDIS_UP, REDIS_FAULTS),
    *(EVENTS, EVENT_ENTRIES, EVENT_STREAMS, EVENT_READERS, EVENT_LAG, EVENTS_DEGRADED),
    *(JOBS, JOB_DURATION, JOB_WAIT, JOBS_OPEN, JOBS_OLDEST, JOB_WORKERS, JOBS_STUCK),
    *(QUESTION_VECTORS, LOG_DROPS, BUILD),
    *(STARTED, *PROCESS),
)
