"""How background jobs run."""

from __future__ import annotations

import dataclasses

from sitebrook.settings.fields import setting


@dataclasses.dataclass(frozen=True, slots=True)
class JobSettings:
    """The job engine and its workers."""

    in_server: bool = setting(
        True,
        "SITEBROOK_JOBS_IN_SERVER",
        "the server runs jobs itself; else only worker processes do",
    )
    queues: tuple[str, ...] = setting(
        (),
        "SITEBROOK_JOB_QUEUES",
        "queues that the server takes jobs of, such as default,crawl; unset: all",
    )
    concurrency: int = setting(
        4, "SITEBROOK_JOB_CONCURRENCY", "jobs that one worker runs at once", least=1
    )
    lanes: int = setting(
        2, "SITEBROOK_JOB_LANES", "jobs of one site that all workers run at once", least=1
    )
    timeout_s: float = setting(
        900.0,
        "SITEBROOK_JOB_TIMEOUT_S",
        "longest time for one attempt of a job, at most 1800; kinds may have their own",
        least=0.001,
    )
    grace_s: float = setting(
        5.0,
        "SITEBROOK_JOB_GRACE_S",
        "a cancelled or timed out job that goes on for longer is marked failed",
        least=0.001,
    )
    blocked_s: float = setting(
        15.0,
        "SITEBROOK_JOB_BLOCKED_S",
        "a job that blocks its whole process for longer is marked failed",
        least=0.001,
    )
    poll_s: float = setting(
        1.0,
        "SITEBROOK_JOB_POLL_S",
        "how often a worker looks for what it was not told: jobs, cancellations, retries",
        least=0.001,
    )
    heartbeat_s: float = setting(
        5.0, "SITEBROOK_JOB_HEARTBEAT_S", "how often a worker shows that it is alive", least=0.001
    )
    stalled_s: float = setting(
        20.0,
        "SITEBROOK_JOB_STALLED_S",
        "the jobs of a worker that was not seen for longer are started again",
        least=0.001,
    )
    retry_first_s: float = setting(
        5.0,
        "SITEBROOK_JOB_RETRY_FIRST_S",
        "about the pause before the first retry of a job, doubled for each further one",
        least=0,
    )
    retry_most_s: float = setting(
        300.0, "SITEBROOK_JOB_RETRY_MOST_S", "longest pause before a retry of a job", least=0
    )
    ageing_s: float = setting(
        600.0,
        "SITEBROOK_JOB_AGEING_S",
        "a job that waited this much longer goes before one that is a step more urgent",
        least=0,
    )
    retention_days: int = setting(
        30, "SITEBROOK_JOB_RETENTION_DAYS", "how long ended jobs are kept", least=1
    )
