"""A real ``redis-server`` that a test may kill, pause, fill and start again."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hiredis

REDIS_SERVER = shutil.which("redis-server")
_START_S = 20
_STOP_S = 10


class RedisServer:
    """One server on a socket in its folder; its data end with it unless ``appendonly`` is yes.

    ``options`` are lines of its configuration, such as ``requirepass``.
    """

    def __init__(self, folder: Path, **options: str) -> None:
        self._folder = folder
        self._socket = folder / "redis.sock"
        self._options = {"save": "", "appendonly": "no", "port": "0", **options}
        self._process: subprocess.Popen[bytes] | None = None
        self._password = options.get("requirepass", "")
        self.url = f"unix://{f':{self._password}@' if self._password else ''}{self._socket}"

    @property
    def pid(self) -> int:
        """Its process, while it runs."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Starts it, with the options of the last time; returns when it answers."""
        assert REDIS_SERVER is not None
        options = {**self._options, "unixsocket": str(self._socket), "dir": str(self._folder)}
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen([REDIS_SERVER, *words], stdout=log, stderr=log)
        deadline = time.monotonic() + _START_S
        while not self._answers():
            text = (self._folder / "log").read_text("utf-8", "replace")
            assert self._process.poll() is None, text
            assert time.monotonic() < deadline, text
            time.sleep(0.005)

    def kill(self) -> None:
        """Ends it as ``kill -9`` does."""
        self._signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait(_STOP_S)
        self._socket.unlink(missing_ok=True)

    def pause(self) -> None:
        """Stops it from answering, with its connections open."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Lets it go on after ``pause``."""
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        """Ends it, whatever state it is in."""
        if self._process is not None and self._process.poll() is None:
            self.kill()

    def command(self, *words: str | bytes | int) -> Any:
        """The answer to a command over a connection of its own."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            connection.connect(str(self._socket))
            if self._password:
                _ask(connection, "AUTH", self._password)
            return _ask(connection, *words)

    def _answers(self) -> bool:
        try:
            return bool(self.command("PING"))
        except (OSError, hiredis.ReplyError):  # not listening, or still loading its data
            return False

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)


def _ask(connection: socket.socket, *words: str | bytes | int) -> Any:
    connection.sendall(hiredis.pack_command(words))
    reader = hiredis.Reader()
    while (answer := reader.gets()) is False:
        received = connection.recv(65536)
        if not received:
            raise ConnectionResetError
        reader.feed(received)
    if isinstance(answer, hiredis.ReplyError):
        raise answer
    return answer


@contextlib.contextmanager
def running_redis(**options: str) -> Iterator[RedisServer]:
    """A server that ends with the block."""
    # Not in pytest's folder: the path of a socket has about a hundred characters at most.
    with tempfile.TemporaryDirectory(prefix="sb-redis-") as folder:
        server = RedisServer(Path(folder), **options)
        try:
            server.start()
            yield server
        finally:
            server.stop()
