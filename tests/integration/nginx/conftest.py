"""nginx with the repository's own configuration, in front of whatever a test names."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.servers import NGINX, RunningServer, free_port, running_nginx, running_server

CONFIGURATION = Path(__file__).parents[3] / "nginx" / "sitebrook.conf"
_CERTIFICATES = "/etc/letsencrypt/live/chat.example.com"
_UPSTREAMS = ("127.0.0.1:8001", "127.0.0.1:8002")


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP response; header names are lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Front:
    """A running nginx; TLS on ``port``, the redirect on ``plain_port``, requests in ``log``."""

    port: int
    plain_port: int
    trust: ssl.SSLContext
    log: Path

    @property
    def origin(self) -> str:
        return f"https://localhost:{self.port}"

    def connect(self, *protocols: str) -> ssl.SSLSocket:
        """A TLS connection that offers the protocols by ALPN, HTTP/1.1 unless told."""
        self.trust.set_alpn_protocols(list(protocols or ("http/1.1",)))
        plain = socket.create_connection(("127.0.0.1", self.port), 30)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self.trust.wrap_socket(plain, server_hostname="localhost")

    def send(self, method: str, path: str, body: object = None, **headers: str) -> Reply:
        """The reply to one request on a connection of its own; underscores become hyphens."""
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPSConnection(
            "localhost", self.port, timeout=30, context=self.trust
        )
        with contextlib.closing(connection):
            connection.request(method, path, body, fields, encode_chunked=True)  # pyright: ignore[reportArgumentType]
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Reply(response.status, found, response.read())


@dataclass(frozen=True, slots=True)
class Site:
    """Two server processes over one database, and nginx in front of them."""

    front: Front
    servers: tuple[RunningServer, RunningServer]

    @property
    def headers(self) -> dict[str, str]:
        key = self.servers[0].secret_key
        return {"authorization": f"Bearer {key}", "content-type": "application/json"}


def rewrite(text: str, replacements: dict[str, str]) -> str:
    """The text with every key replaced; each must occur, or the file is not the one we know."""
    for old, new in replacements.items():
        assert old in text, f"{CONFIGURATION.name} has no {old!r}"
        text = text.replace(old, new)
    return text


@dataclass(slots=True)
class FrontStarter:
    """Starts fronts that end with the fixture."""

    folder: Path
    stack: contextlib.ExitStack
    started: int = field(default=0)

    def __call__(self, *upstream_ports: int) -> Front:
        """nginx in front of these ports of 127.0.0.1 (two, or one twice)."""
        self.started += 1
        folder = self.folder / str(self.started)
        folder.mkdir()
        ports = [free_port() for _ in range(4)]
        names = ("listen 443 ", "listen [::]:443 ", "listen 80;", "listen [::]:80;")
        listens = {
            name: f"listen 127.0.0.1:{port}{name[-1]}"
            for name, port in zip(names, ports, strict=True)
        }
        first, last = upstream_ports[0], upstream_ports[-1]
        upstreams = dict(zip(_UPSTREAMS, (f"127.0.0.1:{first}", "last-upstream"), strict=True))
        text = rewrite(
            CONFIGURATION.read_text("utf-8"),
            {
                **listens,
                **upstreams,
                "last-upstream": f"127.0.0.1:{last}",
                _CERTIFICATES: str(self.folder),
                "/var/cache/sitebrook": str(folder / "cache"),
                "chat.example.com": "localhost",
                "ssl_session_tickets off;": f"ssl_session_tickets off; access_log {folder}/log;",
            },
        )
        if first == last:
            text = re.sub(rf"(server 127\.0\.0\.1:{first} [^;]*;)\s+\1", r"\1", text)
        self.stack.enter_context(running_nginx(folder, text, ports[0]))
        trust = ssl.create_default_context(cafile=str(self.folder / "fullchain.pem"))
        return Front(ports[0], ports[2], trust, folder / "log")


@pytest.fixture(scope="module")
def start_front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Front]]:
    """Starts nginx with nginx/sitebrook.conf in front of given ports."""
    programs = {"nginx": NGINX, "openssl": shutil.which("openssl")}
    missing = " ".join(name for name, path in programs.items() if path is None)
    if missing:
        refuse = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        refuse(f"The tests of the nginx configuration need: apt install {missing}")
    folder = tmp_path_factory.mktemp("nginx")
    _make_certificate(folder)
    with contextlib.ExitStack() as stack:
        yield FrontStarter(folder, stack)


def _make_certificate(folder: Path) -> None:
    command = "openssl req -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -days 2"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    files = ["-keyout", f"{folder}/privkey.pem", "-out", f"{folder}/fullchain.pem"]
    subprocess.run([*command.split(), *names, *files], check=True, capture_output=True)


@pytest.fixture(scope="module")
def site_database_url() -> Iterator[str]:
    """As ``database_url``, for all tests of a module: two servers take seconds to start."""
    server = os.environ["TEST_DATABASE_URL"]
    name = f"test_{uuid.uuid4().hex}"
    head, _, query = server.partition("?")
    libpq = server.replace("postgresql+psycopg://", "postgresql://", 1)
    with psycopg.connect(libpq, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE sitebrook_template")
    yield f"{head.rsplit('/', 1)[0]}/{name}" + (f"?{query}" if query else "")
    with psycopg.connect(libpq, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="module")
def site(
    site_database_url: str, start_front: Callable[..., Front], with_redis: dict[str, str]
) -> Iterator[Site]:
    """The whole: nginx in front of two processes with the demo site."""
    with (
        running_server(site_database_url, **with_redis) as first,
        running_server(site_database_url, **with_redis) as second,
    ):
        yield Site(start_front(first.port, second.port), (first, second))
