"""Answers that are left and joined again, each time at another server, whatever Redis does."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from tests.commands import wait_until
from tests.fakes.redis_server import RedisServer, running_redis
from tests.integration.redis.asking import read_json, send
from tests.integration.resuming import Frame, Stream, ask, resume, shown, until_shared
from tests.servers import RunningServer, running_server

_CONFIG = """
[server]
drain_s = 0.1

[jobs]
in_server = false

[[providers]]
name = "paced"
kind = "mock"
passthrough = true
first_delta_delay_s = 0
delta_delay_s = 0.01

[[providers]]
name = "quick"
kind = "mock"
passthrough = true
first_delta_delay_s = 0
delta_delay_s = 0
"""
_SERVERS = 3
_CLIENTS = 20
_AWAY = "redis_unavailable"
_RETRY_S = 0.05
_RECOVERY_S = 5.0


@dataclass(frozen=True, slots=True)
class Group:
    """Servers of one site, and the Redis that they share."""

    servers: list[RunningServer]
    redis: RedisServer

    @property
    def headers(self) -> dict[str, str]:
        """Those of the site's server."""
        return {"authorization": f"Bearer {self.servers[0].secret_key}"}

    def ask(self, place: int, words: int, model: str = "paced/mock") -> Stream:
        """An answer of so many pieces; the paced model gives one each 10 ms."""
        text = " ".join(str(number % 1000) for number in range(words))
        port = self.servers[place % _SERVERS].port
        return ask(port, self.headers, text, model=model, retrieval={"off": True})

    def resume(self, place: int, answer_id: str, after: str = "") -> Stream:
        """An answer, joined at a server."""
        return resume(self.servers[place % _SERVERS].port, self.headers, answer_id, after)

    def cancel(self, place: int, answer_id: str) -> int:
        """The status of stopping an answer at a server."""
        path = f"/api/answers/{answer_id}/cancel"
        return send(self.servers[place % _SERVERS], "POST", path, None, self.headers).status

    def is_whole(self) -> bool:
        """Whether every server shares its streams with the others."""
        return all(read_json(one, "/health/ready")["events"] == "ok" for one in self.servers)


@pytest.fixture(scope="module")
def group(
    session_database_url: str, needs_redis: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Group]:
    """Three servers."""
    config = tmp_path_factory.mktemp("group") / "sitebrook.toml"
    config.write_text(_CONFIG, "utf-8")
    with contextlib.ExitStack() as stack:
        redis = stack.enter_context(running_redis())
        settings = {"REDIS_URL": redis.url, "SITEBROOK_CONFIG": str(config)}
        servers = [
            stack.enter_context(running_server(session_database_url, **settings))
            for _ in range(_SERVERS)
        ]
        yield Group(servers, redis)


@pytest.mark.parametrize("words", [50, pytest.param(500, marks=pytest.mark.soak)])
def test_an_answer_is_joined_behind_each_of_its_events_at_another_server(
    group: Group, words: int
) -> None:
    first = group.ask(0, words)
    _read_event(first)
    until_shared(group.redis, first)
    first.leave()
    frames, text = [one for one in first.frames if one.id], first.text
    while frames[-1].data != "[DONE]":
        part = group.resume(len(frames), first.answer_id, frames[-1].id)
        frames.append(_read_event(part))
        text += part.text
        part.leave()
    whole = group.resume(1, first.answer_id)
    whole.read_all()
    assert [one for one in whole.frames if one.id or one.data == "[DONE]"] == frames
    assert whole.text == text
    assert len(frames) >= words
    for place, frame in enumerate(frames[:-1]):
        rest = group.resume(place, first.answer_id, frame.id)
        assert shown(rest.read_all()) == shown(frames[place + 1 :])


def _read_event(stream: Stream) -> Frame:
    """The next frame that has a position, or the last one."""
    frames = stream.read(1)
    while not frames[-1].id and frames[-1].data != "[DONE]":
        frames = stream.read(1)
    return frames[-1]


class _Client:
    """Reads one answer in small parts, each time at another server."""

    def __init__(self, group: Group, answer_id: str, seed: int) -> None:
        self.answer_id = answer_id
        self.text = ""
        self.ids: list[int] = []
        self.snapshots = 0
        self.refusals = 0
        self.moves = 0
        self.is_over = False
        self.failure: BaseException | None = None
        self._group = group
        self._chance = random.Random(seed)

    def roam(self, moves: int) -> None:
        """Leaves and comes back so many times."""
        try:
            for _ in range(moves):
                self._move(self._chance.randint(1, 40))
        except BaseException as failure:
            self.failure = failure
            raise

    def finish(self) -> None:
        """Reads to the end."""
        while not self.is_over:
            self._move(10**9)

    def _move(self, count: int) -> None:
        after = f"1-{self.ids[-1]}" if self.ids else ""
        stream = self._group.resume(self._chance.randrange(_SERVERS), self.answer_id, after)
        self.moves += 1
        if stream.error is None:
            for frame in stream.read(count):
                self._take(frame)
            stream.leave()
        else:
            assert (stream.status, stream.error["code"]) == (503, _AWAY), stream.error
            self.refusals += 1
            time.sleep(_RETRY_S)

    def _take(self, frame: Frame) -> None:
        if "error" in frame.data:
            code = frame.data["error"]["code"]
            self.is_over = code == "answer_cancelled"
            assert self.is_over or code == _AWAY, frame.data
            return
        if frame.data.get("snapshot"):
            self.text = ""
            self.snapshots += 1
            self.ids.append(-1)  # the next one says up to where it goes
        self.text += frame.text
        if frame.id:
            number = int(frame.id.removeprefix("1-"))
            last = self.ids[-1] if self.ids else 1
            assert last == -1 or number == last + 1, (self.ids[-3:], number)
            self.ids = [*self.ids[-3:], number]


@pytest.mark.parametrize("moves", [100, pytest.param(2000, marks=pytest.mark.soak)])
def test_clients_that_come_and_go_lose_nothing_when_redis_is_killed(
    group: Group, moves: int
) -> None:
    chance = random.Random(moves)
    answers = [group.ask(place, 20_000) for place in range(4)]
    for answer in answers:
        answer.read(3)
        answer.leave()
        until_shared(group.redis, answer)
    clients = [_Client(group, answers[n % 4].answer_id, n + moves) for n in range(_CLIENTS)]
    roaming = [
        threading.Thread(target=one.roam, args=[moves // _CLIENTS], daemon=True) for one in clients
    ]
    for thread in roaming:
        thread.start()
    for share in (1 / 3, 2 / 3):
        wanted = share * moves
        wait_until(lambda wanted=wanted: sum(one.moves for one in clients) >= wanted, 300)
        group.redis.kill()
        time.sleep(chance.uniform(0, 1))
        group.redis.start()
    for thread in roaming:
        thread.join(300)
        assert not thread.is_alive()
    assert [one.failure for one in clients if one.failure is not None] == []
    wait_until(group.is_whole, _RECOVERY_S)
    for place, answer in enumerate(answers):
        assert group.cancel(place + 1, answer.answer_id) == 200
    for one in clients:
        one.finish()
    assert sum(one.moves for one in clients) >= moves
    for place, answer in enumerate(answers):
        whole = group.resume(place, answer.answer_id)
        whole.read_all()
        assert {one.text for one in clients if one.answer_id == answer.answer_id} == {whole.text}


@dataclass(frozen=True, slots=True)
class Fault:
    """What befalls a Redis, and how it ends."""

    begin: Callable[[RedisServer], object]
    end: Callable[[RedisServer], object]


_PAUSED = Fault(RedisServer.pause, RedisServer.resume)
_KILLED = Fault(RedisServer.kill, RedisServer.start)
_FULL = Fault(
    lambda redis: redis.command("CONFIG", "SET", "maxmemory", "1"),
    lambda redis: redis.command("CONFIG", "SET", "maxmemory", "0"),
)


@pytest.mark.parametrize(
    ("fault", "seconds"),
    [
        pytest.param(_PAUSED, 1.0, id="paused"),
        pytest.param(_KILLED, 1.0, id="killed"),
        pytest.param(_FULL, 1.0, id="full"),
        pytest.param(_PAUSED, 10.0, id="paused-long", marks=pytest.mark.soak),
        pytest.param(_KILLED, 10.0, id="killed-long", marks=pytest.mark.soak),
        pytest.param(_FULL, 10.0, id="full-long", marks=pytest.mark.soak),
    ],
)
def test_without_redis_answers_go_on_and_resuming_elsewhere_says_why_not(
    group: Group, fault: Fault, seconds: float
) -> None:
    wait_until(group.is_whole, _RECOVERY_S)
    words = int(100 * (seconds + 4))
    near = group.ask(0, words)
    near.read(5)
    until_shared(group.redis, near)
    far = group.resume(1, near.answer_id)
    far.read(5)
    fault.begin(group.redis)
    ends_at = time.monotonic() + seconds
    try:
        wait_until(lambda: not group.is_whole())
        other = group.ask(1, words)
        assert other.read(5)
        while time.monotonic() < ends_at:
            assert len(near.read(10)) == len(other.read(10)) == 10
        joined = group.resume(0, near.answer_id)
        assert len(joined.read(10)) == 10
        asked_at = time.monotonic()
        refused = group.resume(2, near.answer_id, near.position)
        assert (refused.status, refused.error["code"]) == (503, _AWAY)
        assert refused.headers["retry-after"]
        assert time.monotonic() - asked_at < 1
    finally:
        fault.end(group.redis)
    wait_until(group.is_whole, _RECOVERY_S)
    late = [group.resume(2, one.answer_id) for one in (near, other)]
    assert [one.status for one in late] == [200, 200]
    for stream in (near, far, joined, other, *late):
        assert stream.read_all()[-1].data == "[DONE]"
    assert near.text == far.text == joined.text == late[0].text
    assert other.text == late[1].text


def test_an_emptied_redis_is_filled_again_while_answers_go_on(group: Group) -> None:
    wait_until(group.is_whole, _RECOVERY_S)
    near = group.ask(0, 300)
    near.read(5)
    until_shared(group.redis, near)
    far = group.resume(1, near.answer_id)
    for _ in range(3):
        far.read(10)
        group.redis.command("FLUSHALL")
    joined = group.resume(2, near.answer_id)
    for stream in (near, far, joined):
        assert stream.read_all()[-1].data == "[DONE]"
    assert near.text == far.text == joined.text


def test_positions_that_cannot_be_are_refused_everywhere(group: Group) -> None:
    answer = group.ask(0, 10)
    answer.read_all()
    for place in range(_SERVERS):
        for after, code in (
            ("x", "invalid_position"),
            ("1-", "invalid_position"),
            ("1-99999", "position_ahead"),
            ("7-1", "position_ahead"),
        ):
            refused = group.resume(place, answer.answer_id, after)
            assert (refused.status, refused.error["code"]) == (400, code)
            assert refused.error["param"] == "after"
        assert group.resume(place, "ans_" + "0" * 22).status == 404


def test_a_position_that_is_too_old_gets_the_text_so_far_in_one_piece(group: Group) -> None:
    answer = group.ask(0, 2500, model="quick/mock")
    place = next(n for n, frame in enumerate(answer.read_all()) if frame.id) + 10
    late = group.resume(0, answer.answer_id, answer.frames[place].id)
    restart, role, text = late.read(3)
    assert restart.data["snapshot"] is True
    assert role.data["choices"][0]["delta"]["role"] == "assistant"
    assert len(text.text) > 1000
    late.read_all()
    assert late.text == answer.text
    # Redis counts entries, of which each has many pieces of a quick answer.
    elsewhere = group.resume(1, answer.answer_id, answer.frames[place].id)
    assert shown(elsewhere.read_all()) == shown(answer.frames[place + 1 :])
