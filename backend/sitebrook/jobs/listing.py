"""Jobs as people look at them: listed, found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import RowMapping, Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from sitebrook.db.engine import Database
from sitebrook.errors import InvalidRequest, NotFound
from sitebrook.ids import is_id
from sitebrook.jobs.job import Job, Status
from sitebrook.jobs.tables import job


@dataclass(frozen=True, slots=True, kw_only=True)
class JobQuery:
    """Which jobs are listed, newest first: of one site or of all, behind the job ``after``."""

    site_id: str | None = None
    status: Status | None = None
    kind: str | None = None
    limit: int = 20
    after: str | None = None


@dataclass(frozen=True, slots=True)
class JobPage:
    """Some jobs, newest first; ask on with the last one's id."""

    jobs: tuple[Job, ...]
    has_more: bool


_COLUMNS = tuple(job.c[name] for name in Job.__slots__)


async def list_jobs(database: Database, query: JobQuery) -> JobPage:
    """A page of jobs. Raises InvalidRequest for an ``after`` that is no job of the site."""
    async with database.begin() as connection:
        number = await _find_number(connection, query)
        rows = (await connection.execute(_to_statement(query, number))).mappings().all()
    return JobPage(tuple(map(_to_job, rows[: query.limit])), len(rows) > query.limit)


async def find_job(database: Database, job_id: str, *, site_id: str | None = None) -> Job | None:
    """The job, or None when there is none by that id, of the site if one is given."""
    if not is_id(job_id):
        return None
    statement = select(*_COLUMNS).where(job.c.id == job_id)
    if site_id is not None:
        statement = statement.where(job.c.site_id == site_id)
    async with database.begin() as connection:
        row = (await connection.execute(statement)).mappings().first()
    return None if row is None else _to_job(row)


async def find_site_job(database: Database, site_id: str | None, job_id: str) -> Job:
    """The job of the site, if one is given. Raises NotFound, also for one of another site."""
    found = await find_job(database, job_id, site_id=site_id)
    if found is None:
        raise NotFound("There is no such job.", param="job_id", code="job_not_found")
    return found


async def _find_number(connection: AsyncConnection, query: JobQuery) -> int | None:
    """The place of ``after`` among all jobs."""
    if query.after is None:
        return None
    number = None
    if is_id(query.after):
        place = select(job.c.number).where(job.c.id == query.after)
        if query.site_id is not None:
            place = place.where(job.c.site_id == query.site_id)
        number = (await connection.execute(place)).scalar_one_or_none()
    if number is None:
        raise InvalidRequest(
            "There is no such job, or it was cleaned away; list from the start again.",
            param="after",
        )
    return int(number)


def _to_statement(query: JobQuery, behind: int | None) -> Select[Any]:
    statement = select(*_COLUMNS).order_by(job.c.number.desc()).limit(query.limit + 1)
    for column, value in (
        (job.c.site_id, query.site_id),
        (job.c.status, query.status),
        (job.c.kind, query.kind),
    ):
        if value is not None:
            statement = statement.where(column == value)
    if behind is not None:
        statement = statement.where(job.c.number < behind)
    return statement


def _to_job(row: RowMapping) -> Job:
    found: dict[str, Any] = {**row, "status": Status(row["status"])}
    return Job(**found)
