"""Real servers as processes: ``sitebrook serve`` and nginx, ready when the block begins.

Each is stopped by its own process id when the block ends, and its files go with it.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sitebrook.settings import well_known_names

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
_START_S = 60
_STOP_S = 20
_MARK_S = 10


class NotStarted(Exception):
    """A server ended before it was ready; the message is what it wrote."""


@dataclass(frozen=True, slots=True)
class RunningServer:
    """One ``sitebrook serve`` process that answered ``/health/ready`` with 200.

    The keys are the demo site's; they are empty when the database has sites but no demo.
    """

    url: str
    port: int
    process: subprocess.Popen[bytes]
    secret_key: str
    publishable_key: str
    model: str
    data_dir: Path

    @property
    def log(self) -> str:
        """What it has written to standard error so far."""
        return (self.data_dir / "log").read_text("utf-8", "replace")

    @property
    def log_lines(self) -> list[dict[str, Any]]:
        """The lines of its log that are whole."""
        whole, _, _ = self.log.rpartition("\n")
        return [json.loads(line) for line in whole.splitlines() if line.startswith("{")]

    def errors(self, secret_key: str) -> list[dict[str, Any]]:
        """The log's lines of failures of the server, up to now.

        The log is written behind the answers but in their order: a question marks the place.
        """
        mark = f"mark-{secrets.token_hex(8)}"
        asked = {"model": "mock", "messages": [{"role": "user", "content": "Hello?"}]}
        headers = {"authorization": f"Bearer {secret_key}", "x-request-id": mark}
        request = urllib.request.Request(
            f"{self.url}/v1/chat/completions",
            json.dumps({**asked, "retrieval": {"off": True}, "store": False}).encode(),
            {**headers, "content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=_MARK_S):
            deadline = time.monotonic() + _MARK_S
        while True:
            lines = self.log_lines
            if any(line.get("request_id") == mark for line in lines):
                return [line for line in lines if line["level"] in {"error", "critical"}]
            assert time.monotonic() < deadline, "the question was not logged"
            time.sleep(0.01)


@contextlib.contextmanager
def running_server(database_url: str, **env: str) -> Iterator[RunningServer]:
    """A server over the database; ``env`` are further variables, such as SITEBROOK_CONFIG."""
    with tempfile.TemporaryDirectory(prefix="sitebrook-server-") as folder:
        server = _start(database_url, Path(folder), env)
        try:
            yield server
        finally:
            stop(server.process)


def stop(process: subprocess.Popen[bytes]) -> int:
    """The exit status of a process that was asked to end, and killed if it would not."""
    if process.poll() is None:
        process.terminate()
    try:
        return process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()
    finally:
        if process.stdout is not None:
            process.stdout.close()


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def clean_environment() -> dict[str, str]:
    """This process's environment without what would configure sitebrook."""
    names = {"DATABASE_URL", "REDIS_URL", *well_known_names()}
    return {
        name: value
        for name, value in os.environ.items()
        if name not in names and not name.startswith(("SITEBROOK_", "OTEL_"))
    }


def _start(database_url: str, folder: Path, env: dict[str, str]) -> RunningServer:
    port = int(env.get("SITEBROOK_PORT") or free_port())
    environment = {
        **clean_environment(),
        "DATABASE_URL": database_url,
        "SITEBROOK_DATA_DIR": str(folder),
        "SITEBROOK_PORT": str(port),
        **env,
    }
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "sitebrook", "serve"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=log,
        )
    assert process.stdout is not None
    url = f"http://127.0.0.1:{port}"
    try:
        # It prints once it listens; from then on a request waits until it is served.
        if not process.stdout.readline():
            raise NotStarted((folder / "log").read_text("utf-8", "replace"))
        with urllib.request.urlopen(f"{url}/health/ready", timeout=_START_S):
            pass
    except BaseException:
        stop(process)
        raise
    demo = _read_demo_env(folder / "demo.env")
    return RunningServer(
        url,
        port,
        process,
        demo.get("SITEBROOK_SECRET_KEY", ""),
        demo.get("SITEBROOK_PUBLISHABLE_KEY", ""),
        demo.get("SITEBROOK_MODEL", ""),
        folder,
    )


def _read_demo_env(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    lines = (line.removeprefix("export ") for line in path.read_text("utf-8").splitlines())
    pairs = (line.partition("=") for line in lines)
    return {name: "".join(shlex.split(value)) for name, _, value in pairs}


_MAIN = """
{user}
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log warn;
events {{ worker_connections 16384; }}
http {{
    default_type application/octet-stream;
    sendfile on;
    tcp_nopush on;
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    gzip on;
{site}
}}
"""


@contextlib.contextmanager
def running_nginx(folder: Path, site: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """nginx with ``site`` inside its http block, once ``port`` of 127.0.0.1 accepts.

    The rest of its configuration is Debian's in short; its files lie in ``folder``.
    """
    assert NGINX is not None
    # Debian's workers are www-data, who cannot reach a test's folder.
    user = "user root;" if os.geteuid() == 0 else ""
    config = folder / "nginx.conf"
    config.write_text(_MAIN.format(user=user, folder=folder, site=site), "utf-8")
    command = [NGINX, "-e", str(folder / "error.log"), "-c", str(config)]
    checked = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)
    if checked.returncode:
        raise NotStarted(checked.stderr)
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        _wait_until_accepting(process, port, folder / "error.log")
        yield process
    finally:
        stop(process)


def _wait_until_accepting(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.01)  # nginx says nowhere that it listens
        else:
            return
    raise NotStarted(log.read_text("utf-8", "replace"))
