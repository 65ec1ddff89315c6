"""Several workers on one port: one that dies is replaced, none outlives the parent."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import re
import signal
import socket
from collections import Counter
from pathlib import Path

import pytest
from tests.commands import wait_until
from tests.integration.stop.conversing import Answers, Call, Callers, calling, serving
from tests.servers import RunningServer

from sitebrook.cli.workers import Workers
from sitebrook.errors import StartError
from sitebrook.settings import Settings

pytestmark = pytest.mark.usefixtures("needs_redis")


def workers_of(server: RunningServer) -> dict[int, int]:
    """The process ids of the workers that run, by index."""
    found: dict[int, int] = {}
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
    for pid in children.read_text().split():
        with contextlib.suppress(OSError):
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if b"sitebrook.cli.worker" in command:
                found[int(command[-2])] = int(pid)
    return found


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def connections_of(pid: int) -> int:
    """How many sockets a process has open."""
    count = 0
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            count += entry.readlink().name.startswith("socket:")
    return count


async def ask_until_both_answer(callers: Callers, server: RunningServer) -> list[Call]:
    """Open streams, some of them at each worker."""
    idle = {pid: connections_of(pid) for pid in workers_of(server).values()}
    calls: list[Call] = []
    for _ in range(20):
        calls += await callers.ask_many("up/held", 4)
        if all(connections_of(pid) >= count + 3 for pid, count in idle.items()):
            return calls
    raise AssertionError("one worker gets no connections")


async def test_a_killed_worker_is_replaced_and_a_killed_parent_takes_all_along(
    database_url: str, tmp_path: Path
) -> None:
    settings = {"SITEBROOK_WORKERS": "2", "SITEBROOK_DRAIN_S": "60"}
    async with Answers() as upstream:
        with serving(database_url, upstream, tmp_path, **settings) as server:
            before = workers_of(server)
            assert set(before) == {1, 2}
            limits = Path(f"/proc/{before[1]}/limits").read_text()
            soft, hard = re.findall(r"Max open files\s+(\d+)\s+(\d+)", limits)[0]
            assert soft == hard
            async with calling(server) as callers:
                calls = await ask_until_both_answer(callers, server)
                os.kill(before[1], signal.SIGKILL)
                async with asyncio.timeout(20):
                    while not any(call.is_cut for call in calls):
                        await asyncio.sleep(0.01)
                    while len(set(workers_of(server).values()) - {before[1]}) < 2:
                        await asyncio.sleep(0.01)
                after = workers_of(server)
                assert after[2] == before[2]
                upstream.release.set()
                assert (await callers.ask_many("up/released", 4))[0].status == 200
                going_on = [call for call in calls if not call.has_ended.is_set()]
                assert going_on
                server.process.kill()
            assert all(call.is_refused_in_stream for call in going_on)
            assert all(call.is_cut for call in calls if call not in going_on)
            wait_until(lambda: not any(is_running(pid) for pid in after.values()), 20)
            with socket.socket() as again:
                again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                again.bind(("127.0.0.1", server.port))


@pytest.mark.soak
async def test_a_worker_that_was_told_to_stop_drains_and_is_replaced(
    database_url: str, tmp_path: Path
) -> None:
    async with Answers() as upstream:
        settings = {"SITEBROOK_WORKERS": "2", "SITEBROOK_DRAIN_S": "0.3"}
        with serving(database_url, upstream, tmp_path, **settings) as server:
            before = workers_of(server)
            async with calling(server) as callers:
                calls = await ask_until_both_answer(callers, server)
                os.kill(before[2], signal.SIGTERM)
                async with asyncio.timeout(20):
                    while workers_of(server).get(2, before[2]) == before[2]:
                        await asyncio.sleep(0.01)
                ended = [call for call in calls if call.has_ended.is_set()]
                assert 0 < len(ended) < len(calls)
                assert all(call.is_refused_in_stream for call in ended)
                server.process.terminate()
            assert Counter(call.is_refused_in_stream for call in calls) == {True: len(calls)}
            assert await asyncio.to_thread(server.process.wait, 10) == 0


@pytest.fixture
def two_workers() -> Settings:
    """Settings for workers; their database need not be there."""
    settings = Settings()
    return dataclasses.replace(
        settings,
        server=dataclasses.replace(settings.server, workers=2, drain_s=0.1),
        database=dataclasses.replace(settings.database, url="postgresql+psycopg:///none"),
    )


async def test_workers_that_cannot_start_end_the_start(
    two_workers: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SITEBROOK_NONSENSE", "1")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        workers = Workers(two_workers, [listener, listener], cut_off=lambda _: None)
        with pytest.raises(StartError, match=r"Worker \d ended during the start, with status 1"):
            await workers.run(lambda: pytest.fail("announced"))


@pytest.mark.soak
async def test_a_worker_that_dies_again_and_again_ends_the_server(
    database_url: str, tmp_path: Path
) -> None:
    async with Answers() as upstream:
        with serving(database_url, upstream, tmp_path, SITEBROOK_WORKERS="2") as server:
            killed: set[int] = set()
            async with asyncio.timeout(60):
                while server.process.poll() is None:
                    pid = workers_of(server).get(1)
                    if pid is not None and pid not in killed:
                        killed.add(pid)
                        os.kill(pid, signal.SIGKILL)
                    await asyncio.sleep(0.02)
            assert server.process.returncode == 1
            assert "Worker 1 ended 5 times soon after its start, with status -9" in server.log
            # The first one may have served for long while the server was made ready.
            assert len(killed) in {5, 6}
