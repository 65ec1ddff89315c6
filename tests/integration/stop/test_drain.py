"""A server that is told to stop: nothing new, answers end whole or explicitly, then it is gone."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import time
from collections import Counter
from pathlib import Path

import psycopg
import pytest
from tests.databases import to_libpq
from tests.integration.stop.conversing import Answers, Call, Callers, calling, serving, wait_for_end

pytestmark = pytest.mark.usefixtures("needs_redis")

DRAIN_S = 2.0


async def check_stopping(callers: Callers) -> None:
    """Not ready, refuses work, still serves what is none."""
    status, headers, body = await callers.get("/health/ready")
    assert (status, json.loads(body)["error"]["code"]) == (503, "server_stopping")
    assert int(headers["retry-after"]) > 0
    for path, sent in (
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Hello?"}]}),
        ("/api/documents", {"source": "new.md", "content": "# New"}),
    ):
        status, headers, body = await callers.post(path, sent)
        assert (status, json.loads(body)["error"]["code"]) == (503, "server_stopping")
        assert int(headers["retry-after"]) > 0
        assert headers["connection"] == "close"
    for path in ("/health/live", "/api/latency", "/widget.js"):
        assert (await callers.get(path))[0] == 200


async def wait_until_not_ready(callers: Callers) -> None:
    """Returns when the server says that it stops."""
    async with asyncio.timeout(5):
        while (await callers.get("/health/ready"))[0] == 200:
            await asyncio.sleep(0.01)


def assert_is_refused(call: Call) -> None:
    """Nothing of the answer was sent: it is a plain error."""
    assert (call.status, call.headers["retry-after"]) == (503, "5")
    assert json.loads(call.body)["error"]["code"] == "server_stopping"


def stored(database_url: str) -> Counter[tuple[str, str]]:
    """How many answers are stored, by status and text."""
    with psycopg.connect(to_libpq(database_url)) as connection:
        query = "SELECT status, content FROM message WHERE role = 'assistant'"
        return Counter(connection.execute(query).fetchall())


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_sigterm_ends_every_answer_explicitly(
    database_url: str, tmp_path: Path, workers: str
) -> None:
    settings = {
        "SITEBROOK_WORKERS": workers,
        "SITEBROOK_DRAIN_S": str(DRAIN_S),
        "SITEBROOK_EARLY_START_S": "0.2",
    }
    async with Answers() as upstream:
        with serving(database_url, upstream, tmp_path, **settings) as server:
            async with calling(server) as callers:
                silent = callers.ask("up/late")
                plain = callers.ask("up/held", stream=False)
                plain_released = callers.ask("up/released", stream=False)
                held = await callers.ask_many("up/held", 10)
                released = await callers.ask_many("up/released", 3)
                await silent.has_begun.wait()
                await upstream.wait_for_request(16)
                began_at = time.monotonic()
                server.process.send_signal(signal.SIGTERM)
                await wait_until_not_ready(callers)
                assert time.monotonic() - began_at < 1
                upstream.release.set()
                await check_stopping(callers)
            assert await wait_for_end(server, 20) == 0
            assert time.monotonic() - began_at < DRAIN_S + 10  # the soak test has the true bound
            assert "Traceback" not in server.log
    assert [call.is_whole for call in released] == [True] * 3
    assert [call.is_refused_in_stream for call in (*held, silent)] == [True] * 11
    assert plain_released.status == 200
    assert_is_refused(plain)
    assert stored(database_url) == {
        ("complete", "Hello world"): 4,
        ("interrupted", "Hello"): 11,
    }


@pytest.mark.soak
@pytest.mark.parametrize("workers", ["1", "4"])
async def test_fifty_streams_end_explicitly_within_thirty_seconds(
    database_url: str, tmp_path: Path, workers: str
) -> None:
    async with Answers() as upstream:
        with serving(database_url, upstream, tmp_path, SITEBROOK_WORKERS=workers) as server:
            async with calling(server) as callers:
                held = await callers.ask_many("up/held", 40)
                released = await callers.ask_many("up/released", 10)
                began_at = time.monotonic()
                server.process.send_signal(signal.SIGTERM)
                await asyncio.sleep(1)
                await check_stopping(callers)
                await asyncio.sleep(10)
                assert not any(call.has_ended.is_set() for call in (*held, *released))
                upstream.release.set()
            assert await wait_for_end(server, 30) == 0
            assert 25 <= time.monotonic() - began_at <= 30
    assert [call.is_refused_in_stream for call in held] == [True] * 40
    assert [call.is_whole for call in released] == [True] * 10


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_second_signal_ends_the_drain_at_once(
    database_url: str, tmp_path: Path, workers: str
) -> None:
    settings = {"SITEBROOK_WORKERS": workers, "SITEBROOK_DRAIN_S": "60"}
    async with Answers() as upstream:
        with (
            serving(database_url, upstream, tmp_path, **settings) as server,
            socket.create_connection(("127.0.0.1", server.port)) as idle,
        ):
            async with calling(server) as callers:
                idle.sendall(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n")
                held = await callers.ask_many("up/held", 2)
                unbegun = callers.ask("up/late")
                await upstream.wait_for_request(3)
                server.process.send_signal(signal.SIGINT)
                await wait_until_not_ready(callers)
                assert not any(call.has_ended.is_set() for call in held)
                server.process.send_signal(signal.SIGINT)
            assert await wait_for_end(server, 20) == 0
    assert [call.is_refused_in_stream for call in held] == [True] * 2
    assert_is_refused(unbegun)


async def test_without_answers_a_stop_waits_for_nothing(database_url: str, tmp_path: Path) -> None:
    async with Answers() as upstream:
        with (
            serving(database_url, upstream, tmp_path, SITEBROOK_DRAIN_S="60") as server,
            socket.create_connection(("127.0.0.1", server.port)) as idle,
            socket.create_connection(("127.0.0.1", server.port)) as unsent,
        ):
            idle.sendall(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n")
            assert idle.recv(12) == b"HTTP/1.1 200"
            unsent.sendall(b"GET /health/live HTTP/1.1\r\nho")
            server.process.send_signal(signal.SIGTERM)
            assert await wait_for_end(server, 20) == 0
