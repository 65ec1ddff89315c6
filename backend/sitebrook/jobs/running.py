"""One attempt under way in this process, and how it ends."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine
from enum import StrEnum
from typing import Any, Final

from sitebrook.errors import RequestError, SitebrookError
from sitebrook.jobs.attempts import Attempt, Ending
from sitebrook.jobs.context import JobContext
from sitebrook.jobs.job import Status, to_json
from sitebrook.jobs.kinds import JobKind, pause_before_retry
from sitebrook.settings.jobs import JobSettings

_LOG: Final = logging.getLogger(__name__)
_MOST_RESULT_BYTES: Final = 256_000


class Reason(StrEnum):
    """Why an attempt is told to end before its handler does."""

    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"
    # Another worker has the job by now, or nobody may have it any more.
    LOST = "lost"
    # The worker ends; another one goes on.
    GIVEN_BACK = "given_back"


class Run:
    """An attempt whose handler runs in a task of its own; make it inside the loop."""

    def __init__(
        self,
        attempt: Attempt,
        kind: JobKind[Any],
        context: JobContext,
        work: Coroutine[Any, Any, object],
    ) -> None:
        self.attempt = attempt
        self.kind = kind
        self.context = context
        self.reason: Reason | None = None
        self.task = asyncio.create_task(work, name=f"job {attempt.ticket.job_id}")
        self._stopped = asyncio.Event()
        self._began_at = time.monotonic()

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return time.monotonic() - self._began_at

    @property
    def is_stuck(self) -> bool:
        """Whether the handler goes on although it was told to end."""
        return not self.task.done()

    def stop(self, reason: Reason) -> None:
        """Tells the handler to end, by cancelling it; the first reason counts."""
        if self.reason is None and not self.task.done():
            self.reason = reason
            self.context.is_stopping = True
            self.task.cancel()
            self._stopped.set()

    async def wait(self, timeout_s: float, grace_s: float) -> None:
        """Returns when the handler has ended, or has not although it was told to."""
        stopped = asyncio.create_task(self._stopped.wait())
        try:
            either = {self.task, stopped}
            await asyncio.wait(either, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            self.stop(Reason.TIMED_OUT)
            if not self.task.done():
                await asyncio.wait({self.task}, timeout=grace_s)
        finally:
            stopped.cancel()

    def to_ending(self, settings: JobSettings) -> Ending | None:
        """What is written of it; None when it is not this worker's any more."""
        if self.reason is Reason.LOST:
            return None
        if self.reason is not None:
            return self._to_stopped(self.reason, settings)
        if self.task.cancelled():
            return internal_error()
        error = self.task.exception()
        if error is not None:
            return self._to_failed(error, settings)
        return _to_succeeded(self.task.result())

    def _to_stopped(self, reason: Reason, settings: JobSettings) -> Ending:
        if reason is Reason.GIVEN_BACK:
            return Ending(status=Status.QUEUED)
        if reason is Reason.TIMED_OUT:
            allowed_s = timeout_of(self.kind, settings)
            error = TimedOut(f"The job took longer than {allowed_s:g} s.")
            # One that goes on is not started beside itself.
            if self.is_stuck:
                return _to_ending(error)
            return self._to_failed(error, settings)
        if self.is_stuck:
            return Ending(
                status=Status.FAILED,
                error_code="job_not_stopped",
                error_message=f"The job was cancelled and went on for {settings.grace_s:g} s.",
            )
        return Ending(status=Status.CANCELLED)

    def _to_failed(self, error: BaseException, settings: JobSettings) -> Ending:
        failures = self.attempt.failures + 1
        is_last = failures >= self.kind.max_attempts
        if isinstance(error, Exception) and self.kind.is_retryable(error) and not is_last:
            pause_s = pause_before_retry(
                error, failures, first_s=settings.retry_first_s, most_s=settings.retry_most_s
            )
            return _to_ending(error, status=Status.WAITING, pause_s=pause_s)
        return _to_ending(error)


class TimedOut(SitebrookError, TimeoutError):
    """An attempt took too long; a kind whose ``retries`` hold TimeoutError is tried again."""


def timeout_of(kind: JobKind[Any], settings: JobSettings) -> float:
    """How long one attempt of the kind may take."""
    return settings.timeout_s if kind.timeout_s is None else kind.timeout_s


def _to_ending(
    error: BaseException, *, status: Status = Status.FAILED, pause_s: float = 0.0
) -> Ending:
    if isinstance(error, TimedOut):
        code, message = "job_timeout", str(error)
    elif isinstance(error, RequestError):
        code, message = error.code or "job_failed", error.message
    elif isinstance(error, SitebrookError):
        code, message = "job_failed", str(error)
    else:
        _LOG.error("a handler of jobs failed", exc_info=error)
        ending = internal_error()
        code, message = ending.error_code, ending.error_message
    return Ending(
        status=status,
        error_code=code,
        error_message=_storable(message),
        failures=1,
        pause_s=pause_s,
    )


def _storable(text: str | None) -> str | None:
    """The text as PostgreSQL takes it."""
    return None if text is None else text.encode(errors="replace").decode().replace("\0", "\ufffd")


def _to_succeeded(result: object) -> Ending:
    try:
        encoded = None if result is None else to_json(result)
    except (TypeError, ValueError) as error:
        _LOG.error("a result of a job is no JSON", exc_info=error)
        return internal_error()
    if encoded is not None and len(encoded) > _MOST_RESULT_BYTES:
        return Ending(
            status=Status.FAILED,
            error_code="job_result_too_large",
            error_message=f"The job's result is over {_MOST_RESULT_BYTES:,} bytes.",
        )
    return Ending(status=Status.SUCCEEDED, result=encoded)


def internal_error() -> Ending:
    """The end of an attempt by a fault that its person can do nothing about."""
    return Ending(
        status=Status.FAILED,
        error_code="internal_error",
        error_message="The job failed by a fault of sitebrook; its log says more.",
        failures=1,
    )
