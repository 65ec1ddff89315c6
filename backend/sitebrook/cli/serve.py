"""``sitebrook serve``: the database, the demo site and the HTTP server, in this order."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import logging
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, NoReturn

import click
import uvloop

from sitebrook.cli.cut_off import cut_off_after
from sitebrook.cli.listeners import listen
from sitebrook.cli.memory import settle_memory
from sitebrook.cli.session import hold_database
from sitebrook.cli.workers import Workers
from sitebrook.db.migrate import migrate
from sitebrook.db.process_lock import ProcessLock
from sitebrook.demo.env_file import DemoKeys, claim_demo_env, read_demo_env, write_demo_env
from sitebrook.demo.site import ensure_demo
from sitebrook.errors import StartError
from sitebrook.parts import Parts
from sitebrook.settings import Settings
from sitebrook.telemetry.logs import configure_logs
from sitebrook.telemetry.peers import METRICS_FOLDER, clear_peers
from sitebrook.wiring.process import build_parts

DEMO_ENV: Final = "demo.env"


def serve(settings: Settings) -> None:
    """Serves until SIGINT or SIGTERM; ends everything that it started, then the process."""
    configure_logs(settings.telemetry.log_level)
    _check_workers(settings)
    _allow_open_files()
    path = settings.server.data_dir / DEMO_ENV
    with contextlib.ExitStack() as open_things:
        listeners = listen(settings.server.host, settings.server.port, settings.server.workers)
        for listener in listeners:
            open_things.enter_context(listener)
        held = open_things.enter_context(hold_database(settings))
        shares = settings.redis.url is not None
        open_things.enter_context(ProcessLock(held.url, shares=shares))
        is_ours = open_things.enter_context(claim_demo_env(path))
        migrate(held.url)
        database = dataclasses.replace(settings.database, url=held.url)
        settings = dataclasses.replace(settings, database=database)
        demo = _Demo(settings, path, is_ours=is_ours)
        if settings.server.workers > 1:
            cut_off = functools.partial(cut_off_after, last_act=held.leave_unwaited)
            workers = Workers(settings, listeners, cut_off)
            asyncio.run(_serve_by_workers(settings, workers, demo))
        else:
            uvloop.run(_serve(settings, listeners[0], demo, held.leave_unwaited))
        # With the last server gone, who connects now must be refused instead of waiting.
        for listener in listeners:
            listener.close()
    end_process()


def _check_workers(settings: Settings) -> None:
    """Raises StartError for workers that would each count limits and keep streams by themselves."""
    if settings.server.workers > 1 and settings.redis.url is None:
        raise StartError(
            f"{settings.server.workers} workers share limits and streams through Redis: set "
            "REDIS_URL, or serve with one worker."
        )


def end_process() -> NoReturn:
    """Ends a process that has closed all it had, with status 0.

    Taking the interpreter apart as well takes a third of a second of processor time, on a busy
    machine seconds, which a stop within 30 s does not have.
    """
    logging.shutdown()
    sys.stdout.flush()
    os._exit(0)


async def _serve(
    settings: Settings, listener: socket.socket, demo: _Demo, last_act: Callable[[], object]
) -> None:
    # Only here: the parent of workers does without the web framework.
    from sitebrook.app import create_app
    from sitebrook.cli.http_server import HttpServer

    app = create_app(settings)
    parts: Parts = app.state.parts
    try:
        announcement = await demo.prepare(parts)
    except BaseException:  # also Ctrl-C while the demo documents are read
        await parts.aclose()
        raise
    server = HttpServer(app, parts, last_act=last_act)
    loop = asyncio.get_running_loop()

    def hear_signal() -> None:
        nonlocal has_heard
        server.stop_now() if has_heard else server.stop()
        has_heard = True

    has_heard = False
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, hear_signal)
    click.echo(announcement)
    settle_memory()
    await server.run_on(listener)


async def _serve_by_workers(settings: Settings, workers: Workers, demo: _Demo) -> None:
    parts = build_parts(settings)
    try:
        announcement = await demo.prepare(parts)
    finally:
        await parts.aclose()
    clear_peers(settings.server.data_dir / METRICS_FOLDER)
    await workers.run(lambda: click.echo(announcement))


def _allow_open_files() -> None:
    """Raises the limit on open files as far as it may: each stream takes two of them."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # macOS says that there is no limit and then refuses to lift it.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class _Demo:
    """The demo site of this server and where its keys are written."""

    def __init__(self, settings: Settings, path: Path, *, is_ours: bool) -> None:
        self._url = settings.server.url
        self._path = path
        self._is_ours = is_ours

    async def prepare(self, parts: Parts) -> str:
        """What to open and which keys to use, once the site is there and demo.env is written."""
        keys = await ensure_demo(parts, read_demo_env(self._path))
        lines = [
            f"Demo page     {self._url}/demo",
            f"Test page     {self._url}/test-streaming.html",
            f"API docs      {self._url}/docs",
        ]
        if keys is not None:
            lines += self._show_keys(keys, parts.router.find_model("auto"))
        return "\n".join(lines)

    def _show_keys(self, keys: DemoKeys, model: str) -> list[str]:
        lines = [
            f"Model         {model}",
            f"Secret key    {keys.secret_key}",
            f"Publishable   {keys.publishable_key}",
        ]
        if not self._is_ours:
            return [*lines, f"{self._path} stays as it is: another server of this folder runs."]
        write_demo_env(self._path, keys, url=self._url, model=model)
        return [*lines, f"Keys for a shell: source {self._path}"]
