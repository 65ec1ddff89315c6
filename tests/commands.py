"""``sitebrook`` commands as processes: run to their end, or held open and interrupted."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.servers import clean_environment

_COMMAND_S = 60


def command_environment(**env: str) -> dict[str, str]:
    """This process's environment with only ``env`` to configure sitebrook."""
    return {**clean_environment(), "COLUMNS": "80", **env}


def run(
    *arguments: str | Path, cwd: Path | None = None, **env: str
) -> subprocess.CompletedProcess[str]:
    """What ``sitebrook ARGUMENTS`` printed and how it ended, without a terminal."""
    return subprocess.run(
        [sys.executable, "-m", "sitebrook", *arguments],
        env=command_environment(**env),
        cwd=cwd,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=_COMMAND_S,
        check=False,
    )


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
