"""One of the processes of ``sitebrook serve --workers n``; see ``cli/workers.py``.

Arguments: the number of the inherited listening socket, that of the control socket, its index.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
import socket
import sys

import click
import uvloop

from sitebrook.app import create_app
from sitebrook.cli.http_server import HttpServer
from sitebrook.cli.memory import settle_memory
from sitebrook.cli.serve import end_process
from sitebrook.cli.workers import READY, STOP, STOP_NOW
from sitebrook.errors import StartError
from sitebrook.settings import Settings
from sitebrook.telemetry.logs import configure_logs


def main() -> None:
    """Serves until the parent says stop, or is gone."""
    listener_fd, control_fd, index = (int(argument) for argument in sys.argv[1:4])
    try:
        settings = dataclasses.replace(Settings.load(os.environ), worker=index)
    except StartError as error:  # the settings file was changed since the parent read it
        click.echo(f"sitebrook: {error}", err=True)
        sys.exit(1)
    configure_logs(settings.telemetry.log_level)
    with socket.socket(fileno=listener_fd) as listener, socket.socket(fileno=control_fd) as control:
        uvloop.run(_serve(settings, listener, control))
    end_process()


async def _serve(settings: Settings, listener: socket.socket, control: socket.socket) -> None:
    reader, writer = await asyncio.open_connection(sock=control)
    app = create_app(settings)
    settle_memory()
    server = HttpServer(app, app.state.parts, on_ready=lambda: writer.write(READY))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        # Never more than a stop: a supervisor signals the parent and the workers at once.
        loop.add_signal_handler(number, server.stop)
    obeying = asyncio.create_task(_obey(reader, server))
    try:
        await server.run_on(listener)
    finally:
        obeying.cancel()
        writer.close()


async def _obey(reader: asyncio.StreamReader, server: HttpServer) -> None:
    while (command := await reader.readline()) == STOP:
        server.gives_up_port = True
        server.stop()
    server.gives_up_port = True
    if command in {STOP_NOW, b""}:  # nothing more: the parent was killed and holds no port
        server.stop_now()


if __name__ == "__main__":
    main()
