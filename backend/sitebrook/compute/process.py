"""A child process as its parent holds it: started, asked, watched, killed."""

from __future__ import annotations

import contextlib
import math
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

import msgspec

import sitebrook
from sitebrook.compute.confinement import OUT_OF_MEMORY
from sitebrook.compute.frames import (
    BrokenFrame,
    Buffer,
    Call,
    Reply,
    read_buffers,
    to_pieces,
    to_reply,
)
from sitebrook.errors import WorkFailed

T = TypeVar("T")

# How often a busy child's memory and time are looked at.
_TICK_S: Final = 0.1
_NOT_STARTED: Final = 1  # Python's status after an error of its own or of the child's imports
_END_S: Final = 2.0
_KILOBYTE: Final = 1024
# What a child may know of the environment: how to start, and nothing of what it is started for.
_KEPT: Final = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONHOME", "TMPDIR", "TZ")
# As many children as cores compute at once; more threads in each would only add switches.
_ONE_THREAD: Final = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
# -P: a module in the current folder is not what is meant; -s: nor one in a home folder.
_COMMAND: Final = (sys.executable, "-P", "-s", "-m", "sitebrook.compute.child")
_PACKAGE: Final = str(Path(sitebrook.__file__).resolve().parents[1])


class ChildProcess:
    """One child. All methods but ``kill`` are for the one thread that holds it, and block."""

    def __init__(self, memory_bytes: int) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = _start(theirs, memory_bytes)
        self._socket = ours
        self._socket.settimeout(_TICK_S)
        self._memory_bytes = memory_bytes
        self._killed_for: WorkFailed | None = None
        self._look_at = self._deadline = self._time_s = self._gone_by = 0.0
        self.calls = 0
        self.idle_since = 0.0

    @property
    def is_ready(self) -> bool:
        """Whether it waits for a call: it lives, and has said nothing that nobody asked for."""
        poll = select.poll()  # select() takes no descriptor above 1,023
        poll.register(self._socket, select.POLLIN)
        return not poll.poll(0)

    def ask(
        self,
        target: str,
        asked: Sequence[Buffer],
        time_s: float,
        processor_s: float,
        answer_bytes: int,
    ) -> tuple[Reply, list[bytearray]]:
        """The reply and the buffers of the result. Raises WorkFailed; the child is no use then."""
        self.calls += 1
        self._time_s, self._look_at = time_s, time.monotonic() + _TICK_S
        self._deadline = time.monotonic() + time_s
        call = msgspec.msgpack.encode(Call(self.calls, target, math.ceil(processor_s)))
        try:
            for piece in to_pieces([call, *asked]):
                self._send(memoryview(piece).cast("B"))
            while True:
                answer = read_buffers(self._receive, answer_bytes)
                reply = to_reply(answer[0])
                if reply.number == self.calls:  # else it is what another call left behind
                    return reply, answer[1:]
        except BrokenFrame as error:
            raise WorkFailed(f"The child's answer is refused: {error}.", cause="answer") from None
        except (EOFError, OSError):
            raise self._death() from None

    def kill(self, reason: WorkFailed) -> None:
        """Ends it at once, from any thread; a call that it works on fails for ``reason``."""
        if self._killed_for is None:
            self._killed_for, self._gone_by = reason, time.monotonic() + _END_S
        self._process.kill()

    def end(self, *, is_waiting: bool) -> None:
        """Ends it: one that waits for a call ends by itself when its pipe is closed."""
        if not is_waiting:
            self._process.kill()
        self._socket.close()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_S)

    def _send(self, rest: memoryview) -> None:
        while rest:
            sent = rest
            rest = sent[self._watched(lambda: self._socket.send(sent)) :]  # noqa: B023 - run here

    def _receive(self, count: int) -> bytearray:
        received = bytearray(count)
        rest = memoryview(received)
        while rest:
            into = rest
            found = self._watched(lambda: self._socket.recv_into(into))  # noqa: B023 - run here
            if found == 0:
                raise EOFError
            rest = into[found:]
        return received

    def _watched(self, move: Callable[[], int]) -> int:
        while True:
            if time.monotonic() >= self._look_at:
                self._look()
            with contextlib.suppress(TimeoutError):
                return move()

    def _look(self) -> None:
        now = time.monotonic()
        self._look_at = now + _TICK_S
        if self._killed_for is not None and now >= self._gone_by:
            raise EOFError  # the kernel does not let it go; nothing waits for that
        if now >= self._deadline:
            self.kill(_too_long(self._time_s))
        elif _resident_bytes(self._process.pid) > self._memory_bytes:
            self.kill(_too_large(self._memory_bytes))

    def _death(self) -> WorkFailed:
        """Why it is gone, or about to go."""
        try:
            status = self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            status = None
        if self._killed_for is not None:
            return self._killed_for
        if status == OUT_OF_MEMORY:
            return _too_large(self._memory_bytes)
        if status == _NOT_STARTED and self.calls == 1:
            return WorkFailed("The child process ended while it started.", cause="start")
        if status == -signal.SIGXCPU:
            return _too_long(self._time_s)
        if status is not None and status < 0:
            ending = f"was ended by signal {-status} ({signal.strsignal(-status)})"
        else:
            ending = "closed its pipe" if status is None else f"exited with status {status}"
        return WorkFailed(f"The child process {ending} before it answered.", cause="crash")


def _start(pipe: socket.socket, memory_bytes: int) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(  # noqa: S603 - our own module
            [*_COMMAND, str(os.getpid()), str(memory_bytes)],
            stdin=pipe.fileno(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env=_to_environment(os.environ),
            # An interrupt from the terminal is for the parent alone.
            start_new_session=True,
        )
    except OSError as error:
        raise WorkFailed(
            f"A child process cannot be started: {error.strerror}.", cause="start"
        ) from None


def _to_environment(environ: Mapping[str, str]) -> dict[str, str]:
    kept = {name: environ[name] for name in _KEPT if name in environ}
    # Modules are found where this process finds them.
    places = dict.fromkeys([_PACKAGE, *(path for path in sys.path if Path(path).is_absolute())])
    return {
        **kept,
        **dict.fromkeys(_ONE_THREAD, "1"),
        "LANG": "C.UTF-8",
        "PYTHONPATH": os.pathsep.join(places),
    }


def _resident_bytes(process_id: int) -> int:
    """The memory of a process that lives, 0 of one that does not."""
    try:
        with open(f"/proc/{process_id}/statm", "rb") as file:  # noqa: PTH123 - ten times a second
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except FileNotFoundError:
        return _asked_resident_bytes(process_id)
    except (OSError, IndexError):
        return 0


def _asked_resident_bytes(process_id: int) -> int:
    """The same where there is no /proc."""
    if sys.platform == "linux":
        return 0
    command = ["/bin/ps", "-o", "rss=", "-p", str(process_id)]
    found = subprocess.run(command, capture_output=True, check=False, timeout=_END_S).stdout  # noqa: S603
    return int(found or b"0") * _KILOBYTE


def _too_long(time_s: float) -> WorkFailed:
    return WorkFailed(f"The work took longer than {time_s:g} s and was ended.", cause="time")


def _too_large(memory_bytes: int) -> WorkFailed:
    size = f"{memory_bytes / _KILOBYTE**2:,.0f} MB"
    return WorkFailed(f"The work needed more memory than {size} and was ended.", cause="memory")
