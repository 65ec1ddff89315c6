"""Jobs of a worker process, watched and cancelled at a server, with a Redis and without."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from tests.commands import wait_until
from tests.fakes.redis_server import RedisServer
from tests.integration.ingestion.whole import killed_worker
from tests.integration.redis.asking import read_json, send
from tests.servers import RunningServer, running_server

_FILES = 30
# More than is taken in before the cancellation arrives.
_MANY_FILES = 100
_LONG = 1_000


@pytest.fixture
def server(database_url: str, redis_server: RedisServer) -> Iterator[RunningServer]:
    """A server that leaves its jobs to a worker."""
    redis = {"REDIS_URL": redis_server.url, "SITEBROOK_REDIS_PROBE_S": "0.2"}
    with (
        running_server(database_url, SITEBROOK_JOBS_IN_SERVER="false", **redis) as server,
        killed_worker(database_url, **redis),
    ):
        yield server


def call(server: RunningServer, method: str, path: str, body: str = "", **headers: str) -> Any:
    """The reply of a request that is not refused."""
    key = {"authorization": f"Bearer {server.secret_key}"}
    reply = send(server, method, path, body or None, {**key, **headers})
    assert reply.status < 400, reply.body
    return reply.json


def upload(server: RunningServer, name: str, files: int, sentences: int = 1) -> str:
    """The id of the job that takes the files in."""
    parts = "".join(
        f'--x\r\ncontent-disposition: form-data; name="files"; filename="{name}{at}.md"\r\n\r\n'
        f"# Page {at:03}\n\n" + f"{name} of page {at:03} says little. " * sentences + "\r\n"
        for at in range(files)
    )
    kind = {"content-type": "multipart/form-data; boundary=x"}
    sent = call(server, "POST", "/api/documents/files?wait_s=0", f"{parts}--x--\r\n", **kind)
    return sent["job_id"]


def watch(server: RunningServer, job_id: str) -> Iterator[Any]:
    """Each state of the job until it has ended."""
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)) as connection:
        headers = {"authorization": f"Bearer {server.secret_key}"}
        connection.request("GET", f"/api/jobs/{job_id}/stream", headers=headers)
        for line in connection.getresponse():
            if line.startswith(b"data: "):
                yield json.loads(line.removeprefix(b"data: "))


@pytest.mark.parametrize("has_redis", [True, False])
def test_a_worker_s_jobs_are_watched_and_cancelled_at_a_server(
    server: RunningServer, redis_server: RedisServer, *, has_redis: bool
) -> None:
    if not has_redis:
        redis_server.kill()
        wait_until(lambda: read_json(server, "/health/ready")["redis"] == "degraded")
    began_at = time.monotonic()
    states = list(watch(server, upload(server, "first", _FILES)))
    assert (states[-1]["status"], states[-1]["result"]["added"]) == ("succeeded", _FILES)
    done = [one["progress"]["done"] for one in states if one["progress"]]
    assert done == sorted(done)
    assert done[-1] == _FILES
    if has_redis:  # else the table is asked, which has what is new once a second
        assert len(states) > time.monotonic() - began_at + 10
        stages = {(one["progress"] or {}).get("stage") for one in states}
        assert {"parse", "index", "done"} <= stages

    job_id = upload(server, "second", _MANY_FILES, _LONG)
    for state in watch(server, job_id):
        if (state["progress"] or {}).get("done", 0) >= 1 and state["status"] == "running":
            call(server, "POST", f"/api/jobs/{job_id}/cancel")
    assert state["status"] == "cancelled"
    stored = call(server, "GET", "/api/documents?limit=100")["data"]
    named = [one for one in stored if one["source"].startswith("second")]
    assert 1 <= len(named) < _MANY_FILES
    assert len({one["chunks"] for one in named}) == 1
