"""The wire of jobs."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

JobStatus = Literal["queued", "running", "waiting", "succeeded", "failed", "cancelled"]


class JobErrorResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Why the last attempt failed."""

    code: str
    message: str


class JobResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A background job; its priority is ``low``, ``normal``, ``high`` or ``urgent``.

    ``progress`` of jobs that take documents in has ``stage`` (fetch, parse, split, embed, index,
    done) of the ``source`` or ``url`` at hand, ``source_chunks`` from split on, ``done`` of
    ``total`` and the seconds that are left, ``left_s``, as soon as these can be told.
    ``waiting`` jobs failed for a reason that may pass and are tried again at ``due_at``.
    ``cancel_requested`` of a running one says that it has been told to end.
    """

    id: str
    kind: str
    status: JobStatus
    priority: str
    attempt: int
    progress: Any
    result: Any
    error: JobErrorResponse | None
    cancel_requested: bool
    due_at: datetime | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    object: Literal["job"] = "job"


class JobListResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A page of jobs, newest first; ask on with ``after`` set to ``last_id``."""

    data: list[JobResponse]
    has_more: bool
    last_id: str | None
    object: Literal["list"] = "list"
