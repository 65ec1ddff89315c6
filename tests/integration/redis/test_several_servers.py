"""Servers that share a database and a Redis: limits hold for all of them together."""

from __future__ import annotations

import contextlib
import http.client
import json
import time
from collections.abc import Iterator

from tests.commands import wait_until
from tests.fakes.redis_server import RedisServer
from tests.integration.redis.asking import ask
from tests.servers import RunningServer, running_server

_LEASE_S = 1.0


@contextlib.contextmanager
def pair(
    database_url: str, redis: RedisServer, **env: str
) -> Iterator[tuple[RunningServer, RunningServer]]:
    """Two servers of one database; the keys are the first one's."""
    settings = {"REDIS_URL": redis.url, "SITEBROOK_REDIS_LEASE_S": str(_LEASE_S), **env}
    with (
        running_server(database_url, **settings) as first,
        running_server(database_url, **settings) as second,
    ):
        yield first, second


@contextlib.contextmanager
def open_answer(server: RunningServer, key: str) -> Iterator[int]:
    """The status of a stream that goes on during the block."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    with contextlib.closing(connection):
        messages = [{"role": "user", "content": "word " * 2000}]
        asked = {"stream": True, "messages": messages, "retrieval": {"off": True}}
        headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        connection.request("POST", "/v1/chat/completions", json.dumps(asked), headers)
        yield connection.getresponse().status


def test_requests_count_for_all_servers_together(
    database_url: str, redis_server: RedisServer
) -> None:
    with pair(database_url, redis_server, SITEBROOK_KEY_REQUESTS_PER_MINUTE="6") as servers:
        key = servers[0].secret_key
        began_at = time.monotonic()
        replies = [ask(server, key=key) for server in servers * 6]
        more = int((time.monotonic() - began_at) / 10) + 1  # one more is allowed each 10 s
        allowed = [reply.status for reply in replies].count(200)
        assert 6 <= allowed <= 6 + more
        assert {one.code for one in replies if one.status != 200} == {"key_rate_limit"}


def test_open_answers_count_for_all_servers_and_a_killed_one_frees_its_own(
    database_url: str, redis_server: RedisServer
) -> None:
    env = {"SITEBROOK_KEY_OPEN_ANSWERS": "3"}
    with pair(database_url, redis_server, **env) as (first, second), contextlib.ExitStack() as held:
        key = first.secret_key
        for server in (first, second, second):
            assert held.enter_context(open_answer(server, key)) == 200
        time.sleep(2 * _LEASE_S)  # the leases are renewed
        for server in (first, second):
            refused = ask(server, key=key)
            assert (refused.status, refused.code) == (429, "key_open_answers_limit")
        second.process.kill()
        killed_at = time.monotonic()
        wait_until(lambda: ask(first, key=key).status == 200, 10)
        assert time.monotonic() - killed_at < _LEASE_S + 5


def test_workers_of_one_server_share_limits(database_url: str, redis_server: RedisServer) -> None:
    env = {"SITEBROOK_WORKERS": "2", "SITEBROOK_KEY_REQUESTS_PER_MINUTE": "6"}
    with running_server(database_url, REDIS_URL=redis_server.url, **env) as server:
        began_at = time.monotonic()
        statuses = [ask(server).status for _ in range(20)]
        more = int((time.monotonic() - began_at) / 10) + 1
        assert 6 <= statuses.count(200) <= 6 + more
