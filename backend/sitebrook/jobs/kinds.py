"""The kinds of jobs: what each takes, who handles it, when it is tried again."""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from random import random
from typing import Any, Final, Generic, Protocol, TypeVar

import msgspec
from croniter import croniter

from sitebrook.errors import InvalidRequest, ProviderError, RequestError, StartError, Unavailable
from sitebrook.jobs.context import JobContext
from sitebrook.jobs.job import NoArguments, Priority

MOST_TIMEOUT_S: Final = 1800.0
DEFAULT_QUEUE: Final = "default"
_CRON_FIELDS: Final = 5  # a sixth one is for seconds

A_contra = TypeVar("A_contra", bound=msgspec.Struct, contravariant=True)
A = TypeVar("A", bound=msgspec.Struct)


class Handler(Protocol[A_contra]):
    """Does the work of one attempt. What it returns is the job's result, if it can be JSON.

    It is cancelled when the job is cancelled, runs out of time or loses its worker; whatever it
    writes elsewhere must bear being written by two attempts. It never blocks the event loop: work
    for the processor belongs in a child process.
    """

    async def __call__(self, context: JobContext, arguments: A_contra, /) -> object:
        """Returns the result."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class JobKind(Generic[A]):
    """One kind of job.

    ``retries`` are the errors after which it is tried again, ``max_attempts`` times in all;
    ``timeout_s`` bounds each attempt (None: the setting). ``cron`` enqueues one without a site at
    each of its moments (UTC), once however many workers run.
    """

    name: str
    handler: Handler[A]
    arguments: type[A]
    priority: Priority = Priority.NORMAL
    queue: str = DEFAULT_QUEUE
    timeout_s: float | None = None
    max_attempts: int = 3
    retries: tuple[type[Exception], ...] = (Unavailable,)
    cron: str | None = None

    def __post_init__(self) -> None:
        if self.timeout_s is not None and not 0 < self.timeout_s <= MOST_TIMEOUT_S:
            raise ValueError(f"{self.name}: a time-out is above 0 and at most {MOST_TIMEOUT_S:g} s")
        if self.cron is not None and not croniter.is_valid(self.cron):
            raise ValueError(f"{self.name}: {self.cron!r} is not a cron expression")
        if self.cron is not None and self.arguments is not NoArguments:
            raise ValueError(f"{self.name}: what cron enqueues has no arguments")

    def is_retryable(self, error: Exception) -> bool:
        """Whether another attempt may succeed where this one failed."""
        if isinstance(error, ProviderError) and error.is_permanent:
            return False
        return isinstance(error, self.retries)


class JobKinds(Mapping[str, JobKind[Any]]):
    """The kinds that this process knows, by name."""

    def __init__(self, kinds: Iterable[JobKind[Any]]) -> None:
        self._kinds: dict[str, JobKind[Any]] = {}
        for kind in kinds:
            if kind.name in self._kinds:
                raise ValueError(f"two kinds of jobs are named {kind.name}")
            self._kinds[kind.name] = kind

    def check_queues(self, queues: Iterable[str]) -> None:
        """Raises StartError for a queue that none of them goes to: nothing would be done."""
        known = sorted({kind.queue for kind in self._kinds.values()})
        unknown = sorted({*queues} - {*known})
        if unknown:
            raise StartError(
                f"There is no queue '{unknown[0]}'; jobs wait in these: {', '.join(known)}."
            )

    def __getitem__(self, name: str) -> JobKind[Any]:
        return self._kinds[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._kinds)

    def __len__(self) -> int:
        return len(self._kinds)


def check_kind(kinds: Collection[str], kind: str | None) -> None:
    """Raises InvalidRequest for a kind that there is not; None is any."""
    if kind is not None and kind not in kinds:
        raise InvalidRequest(
            f"There is no kind of jobs '{kind}'; kind can be {', '.join(sorted(kinds))}.",
            param="kind",
            code="invalid_value",
        )


def pause_before_retry(error: Exception, failures: int, *, first_s: float, most_s: float) -> float:
    """Seconds until the attempt after the ``failures``-th failure, counted from 1.

    Twice as long each time, half of it random; at least what the error itself asks for.
    """
    pause_s = min(most_s, first_s * 2 ** min(failures - 1, 32)) * (0.5 + random() / 2)  # noqa: S311
    asked_s = error.retry_after_s if isinstance(error, RequestError) else None
    return min(most_s, max(pause_s, asked_s or 0))


def last_moment(cron: str, now: datetime) -> datetime:
    """The last moment of a cron expression that is not after ``now``."""
    has_seconds = len(cron.split()) > _CRON_FIELDS
    whole = now.replace(microsecond=0)
    return _last_moment(cron, whole if has_seconds else whole.replace(second=0))


@functools.lru_cache(maxsize=100)
def _last_moment(cron: str, now: datetime) -> datetime:
    # Asked for each second for all kinds: croniter takes 0.2 ms, in which no stream goes on.
    found: datetime = croniter(cron, now).get_prev(datetime)
    following: datetime = croniter(cron, found).get_next(datetime)
    return following if following <= now else found
