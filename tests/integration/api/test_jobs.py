"""A site's jobs for its server. Queues that nobody works on keep them as they are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
import sqlalchemy as sa
from tests.factories import make_key, make_site
from tests.integration.api.client import PAGE_ORIGIN, Api, assert_is_error, events_of
from tests.integration.jobs.engines import Engine, Note, kind, open_engine

from sitebrook.db.engine import Database
from sitebrook.jobs.context import JobContext

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def never(_context: object, _note: object) -> None:
    raise AssertionError


async def climb(context: JobContext, note: Note) -> str:
    """Goes on step by step, slowly enough to be seen from another process."""
    for step in range(3):
        context.progress(step=step)
        await asyncio.sleep(0.7)
    return note.text


KINDS = [
    kind("climb", climb, queue="climbing"),
    kind("one", never, queue="nobody"),
    kind("crawl", never, queue="nobody"),
]


class Site:
    """A site with jobs, and the headers of its server."""

    def __init__(self, site_id: str, headers: dict[str, str], engine: Engine) -> None:
        self.id = site_id
        self.headers = headers
        self.engine = engine

    async def enqueue(self, kind: str = "one", text: str = "") -> str:
        return await self.engine.enqueue(kind, text, site_id=self.id)

    async def set(self, job_id: str, assignments: str) -> None:
        await self.engine.rows(f"UPDATE job SET {assignments} WHERE id = :id", id=job_id)


@pytest_asyncio.fixture(loop_scope="session")
async def site(session_database_url: str) -> AsyncIterator[Site]:
    database = Database(session_database_url)
    made = await make_site(database, name=f"Jobs {id(database)}", allowed_origins=(PAGE_ORIGIN,))
    key = await make_key(database, made)
    async with open_engine(database, KINDS) as engine:
        yield Site(made.id, {"authorization": f"Bearer {key.value}"}, engine)
    async with database.begin() as connection:
        await connection.execute(sa.text("DELETE FROM site WHERE id = :id"), {"id": made.id})
    await database.aclose()


async def test_jobs_are_listed_page_by_page(api: Api, site: Site) -> None:
    made = [await site.enqueue("crawl" if number == 1 else "one") for number in range(5)]
    first = (await api.asend("GET", "/api/jobs?limit=3", None, site.headers)).json
    assert [job["id"] for job in first["data"]] == made[:1:-1]
    assert (first["has_more"], first["last_id"]) == (True, made[2])
    after = f"/api/jobs?limit=3&after={made[2]}"
    last = (await api.asend("GET", after, None, site.headers)).json
    assert [job["id"] for job in last["data"]] == made[1::-1]
    assert not last["has_more"]
    of_kind = (await api.asend("GET", "/api/jobs?kind=crawl", None, site.headers)).json
    assert [job["id"] for job in of_kind["data"]] == [made[1]]
    await site.set(made[0], "status = 'failed'")
    failed = (await api.asend("GET", "/api/jobs?status=failed", None, site.headers)).json
    assert [job["id"] for job in failed["data"]] == [made[0]]


async def test_a_job_shows_where_it_stands(api: Api, site: Site) -> None:
    job_id = await site.enqueue()
    await site.set(
        job_id,
        "status = 'waiting', attempt = 2, progress = '{\"done\": 3}',"
        " due_at = now() + interval '1 hour',"
        " error_code = 'away', error_message = 'It does not answer.'",
    )
    job = (await api.asend("GET", f"/api/jobs/{job_id}", None, site.headers)).json
    assert job.pop("created_at") <= job.pop("due_at")
    assert job == {
        "id": job_id,
        "object": "job",
        "kind": "one",
        "status": "waiting",
        "priority": "normal",
        "attempt": 2,
        "progress": {"done": 3},
        "result": None,
        "error": {"code": "away", "message": "It does not answer."},
        "cancel_requested": False,
        "started_at": None,
        "finished_at": None,
    }


async def test_a_job_is_cancelled_and_started_anew(api: Api, site: Site) -> None:
    job_id = await site.enqueue()
    refused = await api.asend("POST", f"/api/jobs/{job_id}/retry", None, site.headers)
    assert_is_error(refused, 400, code="job_not_retryable")
    await site.set(job_id, "status = 'succeeded'")
    refused = await api.asend("POST", f"/api/jobs/{job_id}/retry", None, site.headers)
    assert_is_error(refused, 400, code="job_not_retryable")
    await site.set(job_id, "status = 'queued'")
    for _ in range(2):  # the second changes nothing
        cancelled = await api.asend("POST", f"/api/jobs/{job_id}/cancel", None, site.headers)
        assert (cancelled.status, cancelled.json["status"]) == (200, "cancelled")
    again = await api.asend("POST", f"/api/jobs/{job_id}/retry", None, site.headers)
    assert (again.status, again.json["status"], again.json["attempt"]) == (200, "queued", 2)
    await site.set(job_id, "status = 'running'")
    told = await api.asend("POST", f"/api/jobs/{job_id}/cancel", None, site.headers)
    assert (told.json["status"], told.json["cancel_requested"]) == ("running", True)


async def test_jobs_of_another_site_are_like_unknown_ones(api: Api, site: Site) -> None:
    job_id = await site.enqueue()
    other = api.site.server
    for unknown in (job_id, "job_0000000000000000000000", "nonsense", "%00"):
        for method, path in (("GET", ""), ("POST", "/cancel"), ("POST", "/retry")):
            reply = await api.asend(method, f"/api/jobs/{unknown}{path}", None, other)
            assert_is_error(reply, 404, code="job_not_found")
    page = await api.asend("GET", f"/api/jobs?after={job_id}", None, other)
    assert_is_error(page, 400, param="after")
    listed = (await api.asend("GET", "/api/jobs", None, other)).json
    assert job_id not in {job["id"] for job in listed["data"]}


async def test_jobs_are_for_secret_keys(api: Api, site: Site) -> None:
    job_id = await site.enqueue()
    for method, path in (("GET", ""), ("GET", f"/{job_id}"), ("POST", f"/{job_id}/cancel")):
        reply = await api.asend(method, f"/api/jobs{path}", None, api.site.page)
        assert_is_error(reply, 403, code="secret_key_required")


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "status=done"])
async def test_a_list_that_cannot_be_meant_is_refused(api: Api, site: Site, query: str) -> None:
    assert_is_error(await api.asend("GET", f"/api/jobs?{query}", None, site.headers), 400)


@pytest.mark.parametrize(
    ("param", "some"), [("status", ("cancelled", "queued")), ("kind", ("crawl", "ingest"))]
)
async def test_a_refused_choice_comes_with_those_that_there_are(
    api: Api, site: Site, param: str, some: tuple[str, ...]
) -> None:
    reply = await api.asend("GET", f"/api/jobs?{param}=foo", None, site.headers)
    assert_is_error(reply, 400, code="invalid_value")
    assert reply.json["error"]["param"] == param
    _, named = reply.json["error"]["message"].split(f"{param} can be ")
    assert set(some) <= set(named.removesuffix(".").split(", "))


async def test_a_job_is_watched_until_it_ends(api: Api, site: Site) -> None:
    job_id = await site.enqueue("climb", "up")
    async with site.engine.working(queues=("climbing",)):
        reply = await api.asend("GET", f"/api/jobs/{job_id}/stream", None, site.headers)
    assert (reply.status, reply.headers["content-type"]) == (
        200,
        "text/event-stream; charset=utf-8",
    )
    assert b": keep-alive\n\n" in reply.body  # each 0.3 s here
    states = events_of(reply.body)
    assert {state["id"] for state in states} == {job_id}
    assert [state["status"] for state in states][-2:] == ["running", "succeeded"]
    assert {"step": 1} in [state["progress"] for state in states]
    assert states[-1]["result"] == "up"
    again = await api.asend("GET", f"/api/jobs/{job_id}/stream", None, site.headers)
    assert events_of(again.body) == [states[-1]]


async def test_a_job_removed_under_its_watchers_ends_their_stream(api: Api, site: Site) -> None:
    job_id = await site.enqueue()
    watching = asyncio.create_task(
        api.asend("GET", f"/api/jobs/{job_id}/stream", None, site.headers)
    )
    await asyncio.sleep(0.5)
    await site.engine.rows("DELETE FROM job WHERE id = :id", id=job_id)
    states = events_of((await watching).body)
    assert states[0]["status"] == "queued"
    assert states[-1]["error"]["code"] == "job_not_found"


async def test_only_jobs_of_the_site_are_watched(api: Api, site: Site) -> None:
    job_id = await site.enqueue()
    path = f"/api/jobs/{job_id}/stream"
    assert_is_error(await api.asend("GET", path, None, api.site.server), 404, code="job_not_found")
    assert_is_error(await api.asend("GET", path, None, api.site.page), 403)
