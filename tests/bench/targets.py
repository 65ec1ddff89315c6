"""What the streaming bench measures: servers on 127.0.0.1, started and stopped here."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.bench.client import Request
from tests.servers import (
    NGINX,
    NotStarted,
    RunningServer,
    clean_environment,
    free_port,
    running_nginx,
    running_server,
    stop,
)

from sitebrook.db import embedded

_WORD = "streaming "
_QUESTION = "Which settings does the script tag of the widget take?"
_PATH = "/v1/chat/completions"
_SHORT_DELTAS = 3

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
class Workload:
    """How many streams at once, how many deltas each, and the pause between deltas."""

    streams: int
    deltas: int
    pace_ms: float
    rounds: int
    singles: int


@dataclass(frozen=True, slots=True)
class Target:
    """One way to a stream; ``pid`` is the process whose time is counted, None where none is.

    ``short`` are the requests that measure time to first byte alone; ``deltas`` is how many each
    long stream must bring.
    """

    name: str
    long: Request
    short: Request
    deltas: int
    pid: int | None


@contextlib.contextmanager
def started_targets(load: Workload) -> Iterator[list[Target]]:
    """Everything to compare, ready; nginx only where it is installed."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sitebrook-bench-")))
        folder.chmod(0o755)  # as root, PostgreSQL runs as a user of its own who must reach it
        upstream = free_port()
        stack.enter_context(_running_upstream(upstream))
        long, short = f"bench-{load.deltas}-{load.pace_ms:g}", f"bench-{_SHORT_DELTAS}-0"
        targets = [_relay("direct", upstream, None, load, (long, short))]
        if NGINX is not None:
            port = free_port()
            site = _NGINX.format(upstream=upstream, port=port)
            nginx_folder = folder / "nginx"
            nginx_folder.mkdir()
            nginx = stack.enter_context(running_nginx(nginx_folder, site, port))
            targets.append(_relay("nginx", port, nginx.pid, load, (long, short)))
        config = folder / "sitebrook.toml"
        config.write_text(_to_toml(load, upstream, (long, short)), "utf-8")
        database = embedded.start(folder / "data")
        stack.callback(database.stop)
        server = stack.enter_context(running_server(database.url, SITEBROOK_CONFIG=str(config)))
        yield [*targets, *_server_targets(server, load)]


@contextlib.contextmanager
def _running_upstream(port: int) -> Iterator[None]:
    command = [sys.executable, "-m", "tests.bench.upstream", str(port)]
    process = subprocess.Popen(command, env=clean_environment(), stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        if not process.stdout.readline():
            raise NotStarted("the fake upstream did not start")
        yield
    finally:
        stop(process)


def _to_toml(load: Workload, upstream: int, models: tuple[str, str]) -> str:
    lines = [
        f'[[providers]]\nname = "bench"\nbase_url = "http://127.0.0.1:{upstream}/v1"',
        '[[providers]]\nname = "mock"\nkind = "mock"\nfirst_delta_delay_s = 0',
        f"delta_delay_s = {load.pace_ms / 1000}",
    ]
    lines += [f'[[models]]\nid = "{model}"\nroute = ["bench/{model}"]' for model in models]
    return "\n".join(lines)


def _relay(
    name: str, port: int, pid: int | None, load: Workload, models: tuple[str, str]
) -> Target:
    long, short = (_to_request(port, "", {"model": model}) for model in models)
    return Target(name, long, short, load.deltas, pid)


def _server_targets(server: RunningServer, load: Workload) -> list[Target]:
    off: dict[str, object] = {"retrieval": {"off": True}}
    relayed = (
        {"model": f"bench-{load.deltas}-{load.pace_ms:g}"},
        {"model": f"bench-{_SHORT_DELTAS}-0"},
    )
    # Without passages the mock repeats the question, word by word.
    mocked = (
        {"model": "mock", "max_tokens": load.deltas},
        {
            "model": "mock",
            "max_tokens": _SHORT_DELTAS,
        },
    )
    long_question = _WORD * load.deltas
    cases = (
        ("sitebrook", relayed, off, _QUESTION),
        ("sitebrook, not stored", relayed, {**off, "store": False}, _QUESTION),
        ("sitebrook, retrieval on", relayed, {}, _QUESTION),
        ("sitebrook, mock", mocked, off, long_question),
    )
    targets: list[Target] = []
    for name, (long, short), more, question in cases:
        requests = [
            _to_request(server.port, server.secret_key, {**body, **more}, question)
            for body in (long, short)
        ]
        targets.append(Target(name, *requests, load.deltas, server.process.pid))
    return targets


def _to_request(port: int, key: str, body: dict[str, object], question: str = _QUESTION) -> Request:
    messages = [{"role": "user", "content": question}]
    payload = json.dumps({**body, "messages": messages, "stream": True}).encode()
    lines = [
        f"POST {_PATH} HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        f"Authorization: Bearer {key or 'none'}",
        "Content-Type: application/json",
        f"Content-Length: {len(payload)}",
    ]
    return Request(port, "\r\n".join([*lines, "", ""]).encode() + payload)
