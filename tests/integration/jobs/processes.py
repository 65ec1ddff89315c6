"""Workers as processes: started, known to the database, killed by their own id."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
from tests.integration.jobs.engines import QUICK, Engine
from tests.integration.jobs.worker_process import Options
from tests.servers import clean_environment

START_S = 60


class WorkerProcess:
    """A worker that shows its life in the database."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self.pid = process.pid
        self._log = log

    @property
    def log(self) -> str:
        return self._log.read_text("utf-8", "replace")

    async def end(self, timeout_s: float = 20) -> int:
        """Its exit status."""
        return await asyncio.to_thread(self.process.wait, timeout_s)


@contextlib.asynccontextmanager
async def worker_process(
    engine: Engine, settings: dict[str, float] | None = None, **options: Any
) -> AsyncIterator[WorkerProcess]:
    """A worker on the engine's database; killed at the end of the block if it still runs."""
    before = await _workers(engine)
    chosen = Options(settings=QUICK if settings is None else settings, **options)
    with tempfile.NamedTemporaryFile(suffix=".log") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.integration.jobs.worker_process"),
                *(engine.database.url, msgspec.json.encode(chosen).decode()),
            ],
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            stderr=log,
        )
        worker = WorkerProcess(process, Path(log.name))
        try:
            async with asyncio.timeout(START_S):
                while not await _workers(engine) - before:
                    assert process.poll() is None, worker.log
                    await asyncio.sleep(0.02)
            yield worker
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()


async def _workers(engine: Engine) -> set[int]:
    return {row["id"] for row in await engine.rows("SELECT id FROM procrastinate_workers")}
