"""A stop with the embedded PostgreSQL, which ends with the server and within its time."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.commands import wait_until
from tests.integration.start.installation import Installation, new_installation
from tests.integration.stop.conversing import (
    Answers,
    Callers,
    calling,
    shared_by,
    wait_for_end,
    write_config,
)
from tests.servers import RunningServer

pytestmark = pytest.mark.usefixtures("needs_redis")

DRAIN_S = 1.0
# What the whole stop may take beyond the drain, with some time for a busy machine to notice.
STOP_S = 5 + 2


@contextlib.asynccontextmanager
async def serving_own(
    folder: Path, workers: str
) -> AsyncIterator[tuple[Installation, RunningServer, Callers]]:
    """A server with an embedded database of its own, and callers of it."""
    env = {"SITEBROOK_DRAIN_S": str(DRAIN_S), "SITEBROOK_WORKERS": workers}
    async with Answers() as upstream:
        env["SITEBROOK_CONFIG"] = write_config(upstream, folder)
        with (
            shared_by(workers) as shared,
            new_installation() as own,
            own.serving(**env, **shared) as started,
        ):
            keys = own.keys()
            server = RunningServer(
                own.url,
                own.port,
                started.process,
                keys["SITEBROOK_SECRET_KEY"],
                keys["SITEBROOK_PUBLISHABLE_KEY"],
                "auto",
                own.data_dir,
            )
            async with calling(server) as callers:
                yield own, server, callers


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_the_database_ends_with_answers_that_use_up_the_drain(
    tmp_path: Path, workers: str
) -> None:
    async with serving_own(tmp_path, workers) as (own, server, callers):
        held = await callers.ask_many("up/held", 4)
        began_at = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert await wait_for_end(server, 20) == 0
        assert DRAIN_S <= time.monotonic() - began_at < DRAIN_S + STOP_S
        assert own.postmaster() is None
    assert [call.is_refused_in_stream for call in held] == [True] * 4


@pytest.mark.soak
@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_database_that_does_not_end_is_left_to_end_by_itself(
    tmp_path: Path, workers: str
) -> None:
    async with serving_own(tmp_path, workers) as (own, server, _callers):
        postmaster = own.postmaster()
        assert postmaster is not None
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        stuck = [
            int(pid)
            for pid in children
            if b"checkpointer" in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]
        assert len(stuck) == 1
        os.kill(stuck[0], signal.SIGSTOP)
        try:
            began_at = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            assert await wait_for_end(server, 30) == 1
            assert time.monotonic() - began_at < DRAIN_S + STOP_S
            assert own.postmaster() == postmaster
        finally:
            os.kill(stuck[0], signal.SIGCONT)
        await asyncio.to_thread(wait_until, lambda: own.postmaster() is None)
