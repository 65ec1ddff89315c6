"""``sitebrook`` commands as processes: run to their end, or held open and interrupted."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pty
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import Any

from tests.servers import clean_environment

from sitebrook.cli import main

_COMMAND_S = 60
_FORKSERVER = multiprocessing.get_context("forkserver")
_FORKSERVER.set_forkserver_preload(
    [f"sitebrook.cli.{name}" for name in ("administration", "answers", "doctor", "embedders")]
    + [f"sitebrook.cli.{name}" for name in ("evaluation", "ingest", "jobs", "sources", "usage")]
)


def command_environment(**env: str) -> dict[str, str]:
    """This process's environment with only ``env`` to configure sitebrook."""
    return {**clean_environment(), "COLUMNS": "80", **env}


def run(
    *arguments: str | Path, cwd: Path | None = None, **env: str
) -> subprocess.CompletedProcess[str]:
    """What ``sitebrook ARGUMENTS`` printed and how it ended, without a terminal.

    Its process is forked from one that has imported the command line: that takes two thirds
    of a small command's time. The other functions here start an interpreter, as a shell does.
    """
    words = [str(one) for one in arguments]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        streams = [DupFd(file.fileno()) for file in (out, err)]
        process = _FORKSERVER.Process(
            target=_run_command, args=(words, command_environment(**env), cwd, streams)
        )
        process.start()
        process.join(_COMMAND_S)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(words, _COMMAND_S)
        written = []
        for file in (out, err):
            file.seek(0)
            written.append(file.read().decode().replace("\r\n", "\n"))
        return subprocess.CompletedProcess(words, process.exitcode, *written)


def _run_command(
    words: list[str], env: dict[str, str], cwd: Path | None, streams: list[Any]
) -> None:
    """Becomes the command; only for a process that was made for it."""
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    for number, stream in enumerate(streams, start=1):
        os.dup2(stream.detach(), number)
    os.environ.clear()
    os.environ.update(env)
    if cwd is not None:
        os.chdir(cwd)
    sys.argv = ["sitebrook", *words]
    main()


def succeed(*arguments: str | Path, cwd: Path | None = None, **env: str) -> str:
    """The standard output of a command that must end with 0."""
    done = run(*arguments, cwd=cwd, **env)
    assert done.returncode == 0, done.stderr
    return done.stdout


def refusal(*arguments: str | Path, cwd: Path | None = None, **env: str) -> tuple[int, str]:
    """The exit status and the one line that a refused command wrote to standard error."""
    done = run(*arguments, cwd=cwd, **env)
    assert done.returncode != 0, done.stdout
    return done.returncode, one_line(done.stderr)


def one_line(text: str) -> str:
    """The last line, which must be the whole message: usage before it, never a traceback."""
    assert "Traceback" not in text
    lines = [line for line in text.splitlines() if line.strip()]
    message = lines.pop()
    assert all(line.startswith(("Usage: ", "Try ")) for line in lines), text
    return message


@contextlib.contextmanager
def started(*arguments: str | Path, **env: str) -> Iterator[subprocess.Popen[bytes]]:
    """A command under way, without buffering; killed if it still runs at the end of the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "sitebrook", *arguments],
        env=command_environment(PYTHONUNBUFFERED="1", **env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=_hear_ctrl_c,
    )
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def _hear_ctrl_c() -> None:
    """What runs in the background of a shell script inherits that SIGINT is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def run_on_terminal(*arguments: str | Path, **env: str) -> tuple[int, str]:
    """The exit status of a command and everything that it wrote to its terminal."""
    primary, secondary = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "sitebrook", *arguments],
        env=command_environment(TERM="xterm", **env),
        stdin=secondary,
        stdout=secondary,
        stderr=secondary,
        close_fds=True,
    )
    os.close(secondary)
    written = bytearray()
    deadline = time.monotonic() + _COMMAND_S
    with process, os.fdopen(primary, "rb", buffering=0) as terminal:
        while time.monotonic() < deadline:
            if not select.select([terminal], [], [], 1)[0]:
                continue
            try:
                part = terminal.read(4096)
            except OSError:  # Linux's way to say that the last writer is gone
                break
            if not part:
                break
            written += part
        else:
            process.kill()
    return process.returncode, written.decode("utf-8", "replace")


def wait_until(condition: Callable[[], object], timeout_s: float = 30) -> None:
    """Returns when the condition holds; fails when it does not in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.01)


def without_colours(text: str) -> str:
    """Terminal output as plain text."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
