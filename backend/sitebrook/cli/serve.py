"""``sitebrook serve``: the database, the demo site and the HTTP server, in this order."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import errno
import signal
import socket
from collections.abc import Generator
from pathlib import Path
from typing import Any, Final

import click
import uvicorn
import uvloop

from sitebrook.api.connection import ClientConnection
from sitebrook.app import create_app
from sitebrook.cli.session import open_database
from sitebrook.db.migrate import migrate
from sitebrook.demo.site import DemoKeys, ensure_demo, read_demo_env, write_demo_env
from sitebrook.errors import StartError
from sitebrook.parts import Parts
from sitebrook.settings import Settings
from sitebrook.telemetry.logs import configure_logs

_BACKLOG: Final = 8192
_DRAIN_S: Final = 10
DEMO_ENV: Final = "demo.env"


def serve(settings: Settings) -> None:
    """Serves until SIGINT or SIGTERM; ends everything that it started."""
    configure_logs(settings.telemetry.log_level)
    listener = _listen(settings.server.host, settings.server.port)
    with listener, open_database(settings) as url:
        migrate(url)
        database = dataclasses.replace(settings.database, url=url)
        settings = dataclasses.replace(settings, database=database)
        uvloop.run(_serve(settings, listener))


async def _serve(settings: Settings, listener: socket.socket) -> None:
    app = create_app(settings)
    parts: Parts = app.state.parts
    path = settings.server.data_dir / DEMO_ENV
    try:
        keys = await ensure_demo(parts, read_demo_env(path))
        announcement = _announce(settings, parts, keys, path)
    except BaseException:  # also Ctrl-C while the demo documents are read
        await parts.aclose()
        raise
    config = uvicorn.Config(
        app,
        loop="none",  # uvloop.run has made it
        http=ClientConnection,
        ws="none",
        access_log=False,
        log_config=None,
        backlog=_BACKLOG,
        proxy_headers=True,
        forwarded_allow_ips=list(settings.server.trusted_proxies),
        timeout_graceful_shutdown=_DRAIN_S,
        server_header=False,
        date_header=True,
    )
    server = _Server(config)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, server.handle_exit, number, None)
    click.echo(announcement)
    await server.serve(sockets=[listener])


class _Server(uvicorn.Server):
    """Leaves signals to the loop: what the process started must end after the server does."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, Any, None]:
        """Captures none."""
        yield


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise StartError(
                f"Port {port} on {host} is taken; stop what listens there or set SITEBROOK_PORT."
            ) from None
        raise StartError(f"Cannot listen on {host}:{port}: {error.strerror}.") from None
    return listener


def _announce(settings: Settings, parts: Parts, keys: DemoKeys | None, path: Path) -> str:
    """What to open and which keys to use, after demo.env was written."""
    url = settings.server.url
    lines = [
        f"Demo page     {url}/demo",
        f"Test page     {url}/test-streaming.html",
        f"API docs      {url}/docs",
    ]
    if keys is not None:
        model = parts.router.find_model("auto")
        write_demo_env(path, keys, url=url, model=model)
        lines += [
            f"Model         {model}",
            f"Secret key    {keys.secret_key}",
            f"Publishable   {keys.publishable_key}",
            f"Keys for a shell: source {path}",
        ]
    return "\n".join(lines)
