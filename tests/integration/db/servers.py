"""Embedded servers owned by this process or by another, and what they leave behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import sqlalchemy as sa

from sitebrook.db.embedded import EmbeddedPostgres, find_running, start

IS_ROOT = os.geteuid() == 0
PRELUDE = """
import os, signal, sys, time
from pathlib import Path
from sitebrook.db.embedded import find_running, start
data_dir = Path(sys.argv[1])
"""
OWNER = "pg = start(data_dir, fsync=False); print(pg.owned, flush=True); time.sleep(60)"


def rows(postgres: EmbeddedPostgres, *statements: str) -> list[tuple[object, ...]]:
    """What the last statement returns; all of them in one committed transaction."""
    engine = sa.create_engine(postgres.url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        for statement in statements:
            result = connection.execute(sa.text(statement))
        found = [tuple(row) for row in result] if result.returns_rows else []
    engine.dispose()
    return found


def python(script: str, data_dir: Path, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PRELUDE + script, data_dir],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, **environment},
    )


@contextlib.contextmanager
def owner_process(data_dir: Path, script: str = OWNER) -> Iterator[subprocess.Popen[str]]:
    """Another process that owns the server; killed without a chance to stop it."""
    with python(script, data_dir) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "True\n"
            yield process
        finally:
            process.kill()


def wait_until(condition: Callable[[], object], timeout_s: float = 10) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def clean_up(data_dir: Path) -> None:
    """No server and nothing outside the data folder is left behind."""
    location = data_dir / "postgres" / "location"
    if find_running(data_dir) is not None:
        start(data_dir, fsync=False).stop()
    if location.exists():
        shutil.rmtree(location.read_text().strip(), ignore_errors=True)


def cluster_of(data_dir: Path) -> Path:
    return data_dir / "postgres" / "cluster"
