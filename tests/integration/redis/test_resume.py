"""Answers that are left in one server and joined in another one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.commands import wait_until
from tests.fakes.redis_server import RedisServer
from tests.integration.redis.asking import send
from tests.integration.resuming import Stream, ask, resume, until_shared
from tests.servers import RunningServer, running_server

QUESTION = "Which settings does the script tag of the widget take?"
_LEASE_S = 3.0
_CONFIG = f"""
[server]
drain_s = 0.1

[jobs]
in_server = false

[events]
lease_s = {_LEASE_S}

[[providers]]
name = "paced"
kind = "mock"
passthrough = true
first_delta_delay_s = 0
delta_delay_s = 0.05
"""


class Pair:
    """Two servers of one site."""

    def __init__(self, first: RunningServer, second: RunningServer, redis: RedisServer) -> None:
        self.first = first
        self.second = second
        self.redis = redis
        self.headers = {"authorization": f"Bearer {first.secret_key}"}
        self._opened: list[Stream] = []

    def ask(self) -> Stream:
        """An answer of some seconds by the first server, which others can find."""
        self._opened.append(ask(self.first.port, self.headers, QUESTION, model="paced/mock"))
        until_shared(self.redis, self._opened[-1])
        return self._opened[-1]

    def resume(self, server: RunningServer, answer: Stream, after: str = "") -> Stream:
        """The answer, joined at a server."""
        self._opened.append(resume(server.port, self.headers, answer.answer_id, after))
        return self._opened[-1]

    def close(self) -> None:
        """Closes what is still open."""
        for stream in self._opened:
            stream.leave()

    def cancel(self, server: RunningServer, answer: Stream) -> int:
        """The status of stopping the answer at a server."""
        path = f"/api/answers/{answer.answer_id}/cancel"
        return send(server, "POST", path, None, self.headers).status

    def stored(self, answer: Stream) -> dict[str, Any]:
        """The answer as its conversation has it, empty without it."""
        conversation = answer.frames[0].data["conversation_id"]
        found = send(self.second, "GET", f"/api/conversations/{conversation}", None, self.headers)
        messages = found.json.get("messages", [])
        return next((one for one in messages if one["id"] == answer.answer_id), {})


@contextlib.contextmanager
def _running_pair(database_url: str, redis: RedisServer, folder: Path) -> Iterator[Pair]:
    config = folder / "sitebrook.toml"
    config.write_text(_CONFIG, "utf-8")
    settings = {"REDIS_URL": redis.url, "SITEBROOK_CONFIG": str(config)}
    with (
        running_server(database_url, **settings) as first,
        running_server(database_url, **settings) as second,
    ):
        pair = Pair(first, second, redis)
        yield pair
        pair.close()


@pytest.fixture
def pair(database_url: str, redis_server: RedisServer, tmp_path: Path) -> Iterator[Pair]:
    """Servers that share a Redis and a database of their own; a test may end one."""
    with _running_pair(database_url, redis_server, tmp_path) as running:
        yield running


def test_an_answer_is_read_on_at_another_server(pair: Pair) -> None:
    answer = pair.ask()
    answer.read(6)
    answer.leave()
    servers = [pair.second, pair.first]
    parts = [answer]
    for place in range(8):
        part = pair.resume(servers[place % 2], answer, parts[-1].position)
        assert part.read(4)
        part.leave()
        parts.append(part)
    rest = pair.resume(pair.second, answer, parts[-1].position)
    assert rest.read_all()[-1].data == "[DONE]"
    whole = pair.resume(pair.second, answer)
    whole.read_all()
    assert "".join(part.text for part in [*parts, rest]) == whole.text
    wait_until(lambda: pair.stored(answer))
    assert pair.stored(answer)["content"] == whole.text
    assert pair.stored(answer)["status"] == "complete"


def test_an_answer_is_stopped_from_another_server(pair: Pair) -> None:
    answer = pair.ask()
    answer.read(6)
    reader = pair.resume(pair.second, answer)
    assert pair.cancel(pair.second, answer) == 200
    for stream in (answer, reader, pair.resume(pair.second, answer)):
        assert stream.read_all()[-1].data["error"]["code"] == "answer_cancelled"
    wait_until(lambda: pair.stored(answer))
    assert pair.stored(answer)["status"] == "interrupted"


def test_a_killed_server_leaves_one_error_and_an_interrupted_message(pair: Pair) -> None:
    pair = pair
    answer = pair.ask()
    answer.read(10)
    reader = pair.resume(pair.second, answer)
    reader.read(5)
    pair.first.process.kill()
    *_, last = reader.read_all()
    assert last.data["error"]["code"] == "answer_lost"
    late = pair.resume(pair.second, answer)
    *_, last = late.read_all()
    assert last.data["error"]["code"] == "answer_lost"
    assert late.text == reader.text
    rest = pair.resume(pair.second, answer, reader.position)
    assert [frame.data["error"]["code"] for frame in rest.read_all()] == ["answer_lost"]
    wait_until(lambda: pair.stored(answer), timeout_s=10)
    stored = pair.stored(answer)
    assert (stored["status"], stored["content"]) == ("interrupted", late.text)


def test_a_server_that_stops_tells_readers_elsewhere(pair: Pair) -> None:
    pair = pair
    answer = pair.ask()
    answer.read(5)
    reader = pair.resume(pair.second, answer)
    pair.first.process.terminate()
    assert reader.read_all()[-1].data["error"]["code"] == "server_stopping"
