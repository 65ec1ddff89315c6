"""What the streaming bench compares: servers on 127.0.0.1, started and stopped here."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.bench import litellm
from tests.bench.client import Request
from tests.bench.processes import Cores, pin
from tests.fakes.redis_server import REDIS_SERVER, RedisServer, running_redis
from tests.servers import (
    NGINX,
    NotStarted,
    clean_environment,
    free_port,
    running_nginx,
    running_server,
    stop,
)

from sitebrook.db import embedded

QUESTION = "Which settings does the script tag of the widget take?"
# The last is sitebrook with answers that can be resumed, and a Redis to keep them in.
NAMES = ("direct", "nginx", "litellm", "sitebrook", "log-on")
_RESUME = "X-Sitebrook-Resume: 1"

_NGINX = """
    upstream bench {{ server 127.0.0.1:{upstream}; keepalive 64; }}
    server {{
        listen 127.0.0.1:{port} backlog=8192;
        location / {{
            proxy_pass http://bench;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
        }}
    }}
"""


@dataclass(frozen=True, slots=True)
class Listening:
    """A started server: ``pid`` is None where no process is counted."""

    port: int
    key: str = "none"
    pid: int | None = None


Start = Callable[[], contextlib.AbstractContextManager[Listening]]


class Target:
    """One way to an answer. It listens between ``start`` and ``stop``.

    ``runs_on`` when its answers go on after their client has left.
    """

    def __init__(
        self, name: str, start: Start, cores: Cores, *, runs_on: bool = False, **body: object
    ) -> None:
        self.name = name
        self.runs_on = runs_on
        self._start = start
        self._cores = cores
        self._body = body
        self._stack = contextlib.ExitStack()
        self._listening = Listening(0)
        self.is_running = False

    @property
    def pid(self) -> int | None:
        """The process whose time and memory are counted, with its descendants."""
        return self._listening.pid

    def start(self) -> None:
        """Starts the server on its core, without what it had learned before."""
        self._listening = self._stack.enter_context(self._start())
        if self.pid is not None:
            pin(self.pid, self._cores.server)
        self.is_running = True

    def stop(self) -> None:
        """Stops the server, if it runs."""
        self.is_running = False
        self._stack.close()

    def to_request(self, model: str, *, stream: bool = True) -> Request:
        """A question to the model, as bytes for this server."""
        messages = [{"role": "user", "content": QUESTION}]
        body = {"model": model, "messages": messages, "stream": stream, **self._body}
        payload = json.dumps(body).encode()
        port = self._listening.port
        lines = [
            "POST /v1/chat/completions HTTP/1.1",
            f"Host: 127.0.0.1:{port}",
            f"Authorization: Bearer {self._listening.key}",
            "Content-Type: application/json",
            f"Content-Length: {len(payload)}",
            *([_RESUME] if self.runs_on else []),
        ]
        return Request(port, "\r\n".join([*lines, "", ""]).encode() + payload)


@dataclass(frozen=True, slots=True)
class Bench:
    """The targets, stopped; the upstream and the database, which run beside the client."""

    targets: list[Target]
    load: list[int]


@contextlib.contextmanager
def prepared(
    folder: Path, models: Collection[str], cores: Cores, names: Collection[str], cache: Path
) -> Iterator[Bench]:
    """The upstream and the database running, and a target for each name."""
    with contextlib.ExitStack() as stack:
        port = free_port()
        upstream = stack.enter_context(_running_upstream(port))
        redis = _started_redis(stack) if "log-on" in names else None
        makers: dict[str, Callable[[], Target]] = {
            "direct": lambda: Target(
                "direct", lambda: contextlib.nullcontext(Listening(port)), cores
            ),
            "nginx": lambda: Target("nginx", lambda: _nginx(folder, port), cores),
            "litellm": lambda: _litellm(folder, port, models, cores, cache),
            "sitebrook": lambda: _sitebrook(stack, folder / "sitebrook", port, models, cores),
            "log-on": lambda: _sitebrook(stack, folder / "log-on", port, models, cores, redis),
        }
        targets = [makers[name]() for name in names]
        # Line 1 of this file is the process of a PostgreSQL server.
        databases = [int(path.read_text().split()[0]) for path in folder.rglob("postmaster.pid")]
        shared = [] if redis is None else [redis.pid]
        yield Bench(targets, [upstream, *databases, *shared])


@contextlib.contextmanager
def _running_upstream(port: int) -> Iterator[int]:
    command = [sys.executable, "-m", "tests.bench.upstream", str(port)]
    process = subprocess.Popen(command, env=clean_environment(), stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        if not process.stdout.readline():
            raise NotStarted("the fake upstream did not start")
        yield process.pid
    finally:
        stop(process)


@contextlib.contextmanager
def _nginx(folder: Path, upstream: int) -> Iterator[Listening]:
    if NGINX is None:
        raise NotStarted("nginx is not installed: apt install nginx, or use --without nginx")
    port = free_port()
    own = folder / "nginx"
    own.mkdir(exist_ok=True)
    with running_nginx(own, _NGINX.format(upstream=upstream, port=port), port) as process:
        yield Listening(port, pid=process.pid)


def _litellm(
    folder: Path, upstream: int, models: Collection[str], cores: Cores, cache: Path
) -> Target:
    command = litellm.installed(cache)
    own = folder / "litellm"
    own.mkdir()

    @contextlib.contextmanager
    def start() -> Iterator[Listening]:
        with litellm.running(command, own, upstream, models) as (port, pid):
            yield Listening(port, litellm.KEY, pid)

    return Target("litellm", start, cores)


def _started_redis(stack: contextlib.ExitStack) -> RedisServer:
    if REDIS_SERVER is None:
        raise NotStarted(
            "redis-server is not installed: apt install redis-server, or use --without log-on"
        )
    return stack.enter_context(running_redis())


def _sitebrook(
    stack: contextlib.ExitStack,
    folder: Path,
    upstream: int,
    models: Collection[str],
    cores: Cores,
    redis: RedisServer | None = None,
) -> Target:
    """With a Redis its answers can be resumed."""
    folder.mkdir()
    more: dict[str, str] = {}
    if redis is not None:
        # Else it would wait at its end for answers that nobody reads any more.
        more = {"REDIS_URL": redis.url, "SITEBROOK_DRAIN_S": "0.1"}
    config = folder / "sitebrook.toml"
    lines = [f'[[providers]]\nname = "bench"\nbase_url = "http://127.0.0.1:{upstream}/v1"']
    lines += [f'[[models]]\nid = "{model}"\nroute = ["bench/{model}"]' for model in models]
    config.write_text("\n".join(lines), "utf-8")
    database = embedded.start(folder / "data")
    stack.callback(database.stop)
    keys: list[str] = []  # the demo site's are shown to the first process only

    @contextlib.contextmanager
    def start() -> Iterator[Listening]:
        with running_server(database.url, SITEBROOK_CONFIG=str(config), **more) as server:
            keys.append(server.secret_key)
            yield Listening(server.port, keys[0], server.process.pid)

    return Target(folder.name, start, cores, runs_on=redis is not None, retrieval={"off": True})
