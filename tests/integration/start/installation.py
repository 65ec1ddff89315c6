"""An installation with an embedded database: its data folder, its server, its processes."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError

from tests.commands import command_environment, started, wait_until
from tests.servers import free_port, stop

from sitebrook.db import embedded
from sitebrook.db.embedded_server import is_serving, read_postmaster

ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True, slots=True)
class Started:
    """A server that answers, and what it has printed."""

    process: subprocess.Popen[bytes]
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Installation:
    """A data folder and a port."""

    data_dir: Path
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def env(self) -> dict[str, str]:
        return {"SITEBROOK_DATA_DIR": str(self.data_dir), "SITEBROOK_PORT": str(self.port)}

    @property
    def demo_env(self) -> Path:
        return self.data_dir / "demo.env"

    def keys(self) -> dict[str, str]:
        """What ``source demo.env`` gives a shell."""
        script = 'set -eu; . "$0"; env -0'
        done = subprocess.run(
            ["/bin/bash", "-c", script, self.demo_env],
            env={"PATH": os.defpath},
            capture_output=True,
            text=True,
            check=True,
        )
        pairs = (entry.partition("=") for entry in done.stdout.split("\0") if entry)
        return {name: value for name, _, value in pairs if name.startswith("SITEBROOK_")}

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/health/ready", timeout=5) as answer:
                return answer.status == 200
        except (URLError, OSError):
            return False

    @contextlib.contextmanager
    def serving(self, *command: str | Path, **env: str) -> Iterator[Started]:
        """The server, ready; ended at the end of the block if it still runs."""
        log_path = self.data_dir.parent / "server.log"
        with log_path.open("wb") as log:
            process = subprocess.Popen(
                command or [sys.executable, "-m", "sitebrook", "serve"],
                env=command_environment(**{**self.env, **env}),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        assert process.stdout is not None
        try:
            lines = [process.stdout.readline().decode()]
            assert lines[0], log_path.read_text("utf-8", "replace")
            while "source" not in lines[-1]:
                lines.append(process.stdout.readline().decode())
                assert lines[-1], log_path.read_text("utf-8", "replace")
            wait_until(self.is_ready)
            yield Started(process, tuple(line.rstrip("\n") for line in lines))
        finally:
            stop(process)

    @contextlib.contextmanager
    def command(self, *arguments: str | Path, **env: str) -> Iterator[subprocess.Popen[bytes]]:
        """A command under way on this data folder."""
        with started(*arguments, **{**self.env, **env}) as process:
            yield process

    def postmaster(self) -> int | None:
        """The process id of the database, if it runs."""
        cluster = self.data_dir / "postgres" / "cluster"
        if not cluster.is_dir():
            return None
        found = read_postmaster(cluster)
        return found.pid if found is not None and is_serving(found.pid, cluster) else None

    def database(self) -> contextlib.AbstractContextManager[str]:
        """The address of the database, which runs during the block."""
        return _running(self.data_dir)


@contextlib.contextmanager
def _running(data_dir: Path) -> Iterator[str]:
    postgres = embedded.start(data_dir)
    try:
        yield postgres.url.replace("postgresql+psycopg://", "postgresql://", 1)
    finally:
        postgres.leave(data_dir)


@contextlib.contextmanager
def new_installation() -> Iterator[Installation]:
    """An empty one in a folder that every user can reach; nothing of it is left at the end."""
    folder = Path(tempfile.mkdtemp(prefix="sitebrook-start-", dir="/tmp"))
    folder.chmod(0o755)
    installation = Installation(folder / "data", free_port())
    try:
        yield installation
    finally:
        if pid := installation.postmaster():
            os.kill(pid, signal.SIGINT)
            wait_until(lambda: installation.postmaster() is None)
        shutil.rmtree(folder)
