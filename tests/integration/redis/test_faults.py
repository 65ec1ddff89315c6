"""Servers whose Redis is killed, paused, emptied, filled or refuses them: nobody is turned away."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median

import pytest
from tests.commands import wait_until
from tests.fakes.redis_server import RedisServer, running_redis
from tests.integration.redis.asking import ask, read_json, read_metrics
from tests.servers import RunningServer, running_server

_TIMEOUT_S = 0.5
_PROBE_S = 0.2
_CALLERS = 4
_SETTINGS = {
    "SITEBROOK_KEY_REQUESTS_PER_MINUTE": "1000000",
    "SITEBROOK_KEY_OPEN_ANSWERS": "1000",
    "SITEBROOK_REDIS_TIMEOUT_S": str(_TIMEOUT_S),
    "SITEBROOK_REDIS_PROBE_S": str(_PROBE_S),
}


@dataclass(slots=True)
class Load:
    """What callers that ask without a pause have seen: when they asked, how long it took."""

    server: RunningServer
    statuses: list[int] = field(default_factory=list[int])
    times: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    has_ended: threading.Event = field(default_factory=threading.Event)

    def call(self) -> None:
        while not self.has_ended.is_set():
            began_at = time.monotonic()
            status = ask(self.server, retrieval={"off": True}).status
            self.times.append((began_at, time.monotonic() - began_at))
            self.statuses.append(status)

    def wait_for(self, more: int) -> None:
        """Until this many further answers are there."""
        wanted = len(self.statuses) + more
        wait_until(lambda: len(self.statuses) >= wanted)


@contextmanager
def under_load(server: RunningServer) -> Iterator[Load]:
    """Callers during the block; afterwards none of them may have been turned away."""
    load = Load(server)
    threads = [threading.Thread(target=load.call) for _ in range(_CALLERS)]
    for thread in threads:
        thread.start()
    try:
        load.wait_for(20)
        yield load
        load.wait_for(20)
    finally:
        load.has_ended.set()
        for thread in threads:
            thread.join(30)
    assert set(load.statuses) == {200}


@pytest.fixture
def server(database_url: str, redis_server: RedisServer) -> Iterator[RunningServer]:
    with running_server(database_url, REDIS_URL=redis_server.url, **_SETTINGS) as running:
        yield running


def redis_of(server: RunningServer) -> str:
    return read_json(server, "/health/ready")["redis"]


def test_a_killed_redis_fails_no_request_and_is_used_again_when_it_is_back(
    server: RunningServer, redis_server: RedisServer
) -> None:
    with under_load(server) as load:
        redis_server.kill()
        wait_until(lambda: redis_of(server) == "degraded")
        load.wait_for(20)
        redis_server.start()
        began_at = time.monotonic()
        wait_until(lambda: redis_of(server) == "ok", 5)
        assert time.monotonic() - began_at < 5
        load.wait_for(20)
        assert redis_server.command("KEYS", "sb:open:{key:*}")
    assert read_metrics(server)["sitebrook_redis_faults_total"] == 1


@pytest.mark.parametrize(
    "pause_s", [1.5, pytest.param(10, marks=pytest.mark.soak)], ids=["short", "long"]
)
def test_a_paused_redis_holds_each_caller_up_once_at_most(
    server: RunningServer, redis_server: RedisServer, pause_s: float
) -> None:
    with under_load(server) as load:
        redis_server.pause()
        paused_at = time.monotonic()
        wait_until(lambda: redis_of(server) == "degraded")
        noticed_at = time.monotonic()
        time.sleep(pause_s)
        redis_server.resume()
        wait_until(lambda: redis_of(server) == "ok", 5)
    usual_s = median(took for began, took in load.times if began + took < paused_at)
    waited = [began for began, took in load.times if took >= usual_s + 0.9 * _TIMEOUT_S]
    assert len([began for began in waited if began > paused_at - 1]) <= _CALLERS
    later = [took for began, took in load.times if noticed_at < began < noticed_at + pause_s]
    assert median(later) < usual_s + _TIMEOUT_S / 2


def test_an_emptied_redis_fails_no_request(
    server: RunningServer, redis_server: RedisServer
) -> None:
    with under_load(server) as load:
        for _ in range(3):
            redis_server.command("FLUSHALL")
            redis_server.command("SCRIPT", "FLUSH")
            load.wait_for(10)
        assert redis_of(server) == "ok"


def test_a_full_redis_fails_no_request(server: RunningServer, redis_server: RedisServer) -> None:
    with under_load(server) as load:
        redis_server.command("CONFIG", "SET", "maxmemory", "1")
        wait_until(lambda: redis_of(server) == "degraded")
        load.wait_for(20)
        redis_server.command("CONFIG", "SET", "maxmemory", "0")
        wait_until(lambda: redis_of(server) == "ok", 5)
    assert "raise its maxmemory" in server.log


def test_a_wrong_password_leaves_the_server_to_itself(database_url: str, needs_redis: None) -> None:
    with running_redis(requirepass="right-password") as redis:
        url = redis.url.replace("right", "wrong")
        with running_server(database_url, REDIS_URL=url, **_SETTINGS) as server:
            assert redis_of(server) == "degraded"
            assert ask(server).status == 200
            assert "refuses the user or the password in REDIS_URL" in server.log
            assert "wrong-password" not in server.log


def test_the_documented_user_may_do_all_that_is_needed(
    database_url: str, redis_server: RedisServer
) -> None:
    rule = "on >password ~sb:* &sb:* +@all -@dangerous +info"
    redis_server.command("ACL", "SETUSER", "sitebrook", *rule.split())
    url = redis_server.url.replace("unix://", "unix://sitebrook:password@")
    with running_server(database_url, REDIS_URL=url, **_SETTINGS) as server:
        assert redis_of(server) == "ok"
        for _ in range(3):
            assert ask(server, stream=True).status == 200
        assert redis_of(server) == "ok"
        assert read_metrics(server)["sitebrook_redis_faults_total"] == 0
        assert "Redis refuses" not in server.log
