"""``sitebrook jobs`` over a database with jobs in it."""

from __future__ import annotations

import json
from pathlib import Path

from tests.commands import refusal, run, started, succeed
from tests.factories import make_site
from tests.integration.jobs.engines import Note, kind, open_engine

from sitebrook.access.sites import Site
from sitebrook.cli.job_worker import to_farewell
from sitebrook.db.engine import Database
from sitebrook.jobs.context import JobContext


async def never(_context: object, _note: object) -> None:
    raise AssertionError


async def test_jobs_are_listed_shown_cancelled_and_retried(
    database: Database, database_url: str
) -> None:
    env = {"DATABASE_URL": database_url}
    site = await make_site(database)
    async with open_engine(database, [kind("one", never)]) as engine:
        first = await engine.enqueue("one", "hello")
        second = await engine.enqueue("one", site_id=site.id)

    listed = [line.split()[:5] for line in succeed("jobs", "list", **env).splitlines()]
    assert listed == [
        ["ID", "SITE", "KIND", "STATUS", "ATTEMPT"],
        [second, "Example", "one", "queued", "1"],
        [first, "-", "one", "queued", "1"],
    ]
    assert first not in succeed("jobs", "list", "--site", "Example", **env)
    assert len(succeed("jobs", "list", "--status", "failed", **env).splitlines()) == 1

    shown = json.loads(succeed("jobs", "show", first, **env))
    assert (shown["arguments"], shown["status"]) == ({"text": "hello"}, "queued")

    assert succeed("jobs", "cancel", first, **env) == f"{first} is cancelled.\n"
    assert refusal("jobs", "cancel", first, **env) == (
        1,
        f"sitebrook: {first} has ended already; it is cancelled.",
    )
    assert succeed("jobs", "retry", first, **env) == f"{first} is queued.\n"
    status, line = refusal("jobs", "retry", first, **env)
    assert status == 1
    assert line == (
        f"sitebrook: {first} is queued; only failed and cancelled jobs can be started anew."
    )
    async with open_engine(database, []) as engine:
        await engine.rows(
            "UPDATE job SET status = 'failed', error_message = 'No.' WHERE id = :id", id=second
        )
        await engine.rows(
            "UPDATE job SET status = 'running', cancel_requested_at = NULL WHERE id = :id", id=first
        )
    dead = succeed("jobs", "dead", **env).splitlines()[1:]
    assert [(line.split()[0], line.split()[-1]) for line in dead] == [(second, "No.")]
    told = succeed("jobs", "cancel", first, **env)
    assert told == f"{first} is running and has been told to end.\n"
    assert "told to end" in succeed("jobs", "list", **env)


def test_an_unknown_job_is_named(database_url: str) -> None:
    for command in ("show", "follow", "cancel", "retry"):
        status, line = refusal("jobs", command, "job_x", DATABASE_URL=database_url)
        assert (status, line) == (1, "sitebrook: There is no job job_x.")


def test_an_unknown_kind_is_refused_with_those_that_there_are(database_url: str) -> None:
    status, line = refusal("jobs", "list", "--kind", "foo", DATABASE_URL=database_url)
    assert status == 1
    assert line.startswith("sitebrook: There is no kind of jobs 'foo'; kind can be crawl, ")


async def test_a_list_tells_how_far_jobs_are_and_what_is_special_about_them(
    database: Database, database_url: str, site: Site
) -> None:
    async with open_engine(database, [kind("one", never)]) as engine:
        running, done, failed = [await engine.enqueue("one", site_id=site.id) for _ in range(3)]
        for job_id, values in (
            (running, """status = 'running', progress = '{"done": 246, "total": 500}'"""),
            (done, """status = 'succeeded', result = '{"added": 2, "refused": 1}'"""),
            (failed, "status = 'failed', error_code = 'away', error_message = 'It is away.'"),
        ):
            await engine.rows(f"UPDATE job SET {values} WHERE id = :id", id=job_id)
    listed = succeed("jobs", "list", DATABASE_URL=database_url).splitlines()
    ends = {line.split()[0]: line.rpartition(":")[2][2:].strip() for line in listed[1:]}
    assert ends == {running: "246/500", done: "1 refused", failed: "It is away."}


def test_a_detached_ingest_is_followed_to_its_end(
    database_url: str, site: Site, folder: Path
) -> None:
    env = {"DATABASE_URL": database_url}
    (folder / "empty.md").write_text("", "utf-8")
    detached = run("ingest", folder, "--detach", **env)
    job_id = detached.stdout.strip()
    assert f"`sitebrook jobs follow {job_id}` shows how far it is." in detached.stderr
    with started("jobs", "follow", job_id, **env) as process:
        assert process.stderr is not None
        assert process.stdout is not None
        assert process.stderr.readline().startswith(b"Nothing runs jobs now. Start ")
        with started("worker", **env) as worker:
            shown = process.stderr.read().decode()
            said = process.stdout.read().decode().splitlines()
            assert process.wait(30) == 0
            worker.terminate()
            assert worker.stderr is not None
            assert worker.stderr.read().decode() == "Stopping; no job is under way.\n"
            assert worker.wait(30) == 0
    assert f"added: {folder / 'prices.md'}\n" in shown
    assert said[0].startswith(f"refused: {folder / 'empty.md'}: ")
    assert said[1] == f"{job_id} has succeeded: 2 added, 2 chunks, 1 refused."


async def test_a_job_that_fails_while_it_is_followed_is_a_failure(
    database: Database, database_url: str
) -> None:
    async def fail(context: JobContext, _note: Note) -> None:
        context.progress(stage="embed", done=3, total=4)
        raise ValueError

    async with open_engine(database, [kind("one", fail)]) as engine:
        job_id = await engine.enqueue("one")
        async with engine.working():
            await engine.ended(job_id)
    done = run("jobs", "follow", job_id, DATABASE_URL=database_url)
    first, last = done.stderr.splitlines()
    assert (done.returncode, first) == (1, "[3/4] embed")
    assert last.startswith(f"sitebrook: {job_id} failed: ")


def test_a_worker_that_stops_says_how_long_its_jobs_have() -> None:
    assert to_farewell(1, 25) == "Stopping; 1 job under way has 25 s."
    assert to_farewell(3, 0.5) == "Stopping; 3 jobs under way have 0.5 s."
