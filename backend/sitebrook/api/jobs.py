"""``/api/jobs``: a site's background jobs, for its server."""

from __future__ import annotations

from typing import Annotated

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter

from sitebrook.access.gate import Caller
from sitebrook.api.schemas.jobs import (
    JobErrorResponse,
    JobListResponse,
    JobResponse,
    JobStatus,
)
from sitebrook.errors import InvalidRequest
from sitebrook.jobs.job import Job, Status
from sitebrook.jobs.kinds import check_kind
from sitebrook.jobs.listing import JobQuery, find_site_job, list_jobs
from sitebrook.parts import Parts


@get("/api/jobs", summary="List jobs", tags=["jobs"])
async def list_site_jobs(  # noqa: PLR0913 - each is a parameter of the address
    parts: NamedDependency[Parts],
    server: NamedDependency[Caller],
    limit: Annotated[int, QueryParameter(ge=1, le=100)] = 20,
    after: FromQuery[str | None] = None,
    status: FromQuery[JobStatus | None] = None,
    kind: FromQuery[str | None] = None,
) -> JobListResponse:
    """The site's jobs, newest first. `status=failed` lists those that nobody will try again."""
    check_kind(parts.jobs.kinds, kind)
    query = JobQuery(
        site_id=server.site.id,
        status=None if status is None else Status(status),
        kind=kind,
        limit=limit,
        after=after,
    )
    page = await list_jobs(parts.database, query)
    found = [to_response(job) for job in page.jobs]
    return JobListResponse(
        data=found, has_more=page.has_more, last_id=found[-1].id if found else None
    )


@get("/api/jobs/{job_id:str}", summary="Read a job", tags=["jobs"])
async def read_job(
    job_id: FromPath[str],
    parts: NamedDependency[Parts],
    server: NamedDependency[Caller],
) -> JobResponse:
    """One job: where it stands, how far it is, what came of it."""
    return to_response(await find_site_job(parts.database, server.site.id, job_id))


@post("/api/jobs/{job_id:str}/cancel", status_code=200, summary="Cancel a job", tags=["jobs"])
async def cancel_job(
    job_id: FromPath[str],
    parts: NamedDependency[Parts],
    server: NamedDependency[Caller],
) -> JobResponse:
    """Ends a job that waits; tells a running one to end, which it does within a second or so.

    A job that has ended stays as it is.
    """
    await find_site_job(parts.database, server.site.id, job_id)
    await parts.jobs.cancel(job_id, site_id=server.site.id)
    return to_response(await find_site_job(parts.database, server.site.id, job_id))


@post("/api/jobs/{job_id:str}/retry", status_code=200, summary="Start a job anew", tags=["jobs"])
async def retry_job(
    job_id: FromPath[str],
    parts: NamedDependency[Parts],
    server: NamedDependency[Caller],
) -> JobResponse:
    """Queues a failed or cancelled job again, with all of its attempts."""
    found = await find_site_job(parts.database, server.site.id, job_id)
    if not await parts.jobs.retry(job_id, site_id=server.site.id):
        raise InvalidRequest(
            f"The job is {found.status}; only failed and cancelled ones can be started anew.",
            param="job_id",
            code="job_not_retryable",
        )
    return to_response(await find_site_job(parts.database, server.site.id, job_id))


def to_response(job: Job) -> JobResponse:
    """The job on the wire."""
    error = None
    if job.error_code is not None:
        error = JobErrorResponse(code=job.error_code, message=job.error_message or "")
    return JobResponse(
        id=job.id,
        kind=job.kind,
        status=job.status.value,
        priority=job.priority,
        attempt=job.attempt,
        progress=job.progress,
        result=job.result,
        error=error,
        cancel_requested=job.cancel_requested_at is not None,
        due_at=job.due_at,
        created_at=job.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
    )
