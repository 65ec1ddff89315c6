"""``sitebrook jobs`` over a database with jobs in it."""

from __future__ import annotations

import json

from tests.commands import refusal, succeed
from tests.factories import make_site
from tests.integration.jobs.engines import kind, open_engine

from sitebrook.db.engine import Database


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

    listed = [line.split()[:4] for line in succeed("jobs", "list", **env).splitlines()]
    assert listed == [
        ["ID", "KIND", "STATUS", "ATTEMPT"],
        [second, "one", "queued", "1"],
        [first, "one", "queued", "1"],
    ]
    assert first not in succeed("jobs", "list", "--site", "Example", **env)
    assert len(succeed("jobs", "list", "--status", "failed", **env).splitlines()) == 1

    shown = json.loads(succeed("jobs", "show", first, **env))
    assert (shown["arguments"], shown["status"]) == ({"text": "hello"}, "queued")

    assert succeed("jobs", "cancel", first, **env) == f"{first} is cancelled.\n"
    assert succeed("jobs", "retry", first, **env) == f"{first} is queued.\n"
    status, line = refusal("jobs", "retry", first, **env)
    assert status == 1
    assert line == (
        f"Error: {first} is queued; only failed and cancelled jobs can be started anew."
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
    for command in ("show", "cancel", "retry"):
        status, line = refusal("jobs", command, "job_x", DATABASE_URL=database_url)
        assert (status, line) == (1, "sitebrook: There is no job job_x.")
