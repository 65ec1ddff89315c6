"""The job engine of a process and the kinds of jobs that it knows."""

from __future__ import annotations

from sitebrook.events.log import EventLog
from sitebrook.jobs.connections import Connections
from sitebrook.jobs.engine import WorkerOptions
from sitebrook.jobs.housekeeping import housekeeping
from sitebrook.jobs.kinds import JobKinds
from sitebrook.jobs.procrastinate_engine import ProcrastinateEngine
from sitebrook.settings import Settings

_CONNECTIONS = 4


def build_jobs(settings: Settings, log: EventLog) -> ProcrastinateEngine:
    """The engine over the configured database."""
    connections = Connections(settings.database.url or "", size=_CONNECTIONS)
    kinds = JobKinds([housekeeping(connections, settings.jobs)])
    return ProcrastinateEngine(connections, kinds, settings.jobs, log)


def to_worker_options(settings: Settings) -> WorkerOptions:
    """How the worker inside the server works."""
    return WorkerOptions(concurrency=settings.jobs.concurrency, drain_s=settings.server.drain_s)
