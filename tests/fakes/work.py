"""Work for child processes that behaves in the ways that work can."""

from __future__ import annotations

import mmap
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from sitebrook.compute.frames import Done, to_lengths
from sitebrook.errors import BodyTooLarge


class Matrix(msgspec.Struct):
    name: str
    numbers: NDArray[np.float32]
    places: NDArray[np.int64]


class Facts(msgspec.Struct):
    process_id: int
    environment: dict[str, str]
    descriptors: list[str]
    niceness: int
    modules: list[str]


def double(asked: int) -> int:
    return 2 * asked


def process_id(asked: float) -> int:
    time.sleep(asked)
    return os.getpid()


def facts(asked: None) -> Facts:
    open_files = sorted(Path("/proc/self/fd").iterdir(), key=lambda file: int(file.name))
    descriptors = [str(file.readlink()) for file in open_files if file.is_symlink()]
    return Facts(os.getpid(), dict(os.environ), descriptors, os.nice(0), sorted(sys.modules))


def transpose(asked: Matrix) -> Matrix:
    return Matrix(asked.name, asked.numbers.T, asked.places[::-1])


def object_array(asked: None) -> NDArray[np.float32]:
    return np.array([object()])  # pyright: ignore


def doubles_instead(asked: None) -> NDArray[np.float32]:
    return np.zeros(3)  # pyright: ignore


def text_instead(asked: None) -> int:
    return "text"  # pyright: ignore


def sleep(asked: float) -> None:
    time.sleep(asked)


def loop(asked: None) -> None:
    while True:
        pass


def loop_without_the_interpreter(asked: None) -> None:
    """Takes minutes inside one C function that gives the interpreter to nobody."""
    pow(3, 10**1_000_000, 10**1_000_000 + 7)


def compute(asked: float) -> int:
    """Counts for that many seconds."""
    until, count = time.monotonic() + asked, 0
    while time.monotonic() < until:
        count += 1
    return count


def take_memory(asked: int) -> int:
    taken = bytearray(asked)
    return len(taken)


def take_memory_by_and_by(asked: None) -> None:
    taken: list[bytes] = []
    while True:
        taken.append(os.urandom(1_000_000))


def big_answer(asked: int) -> bytes:
    return b"x" * asked


def take_shared_memory(asked: None) -> None:
    """Memory that is not private, which RLIMIT_DATA does not count."""
    shared = mmap.mmap(-1, 2**30)
    for at in range(0, 2**30, mmap.PAGESIZE):
        shared[at] = 1
        time.sleep(0.00001)


def raise_signal(asked: int) -> None:
    signal.raise_signal(asked)
    time.sleep(60)


def leave(asked: int) -> None:
    sys.exit(asked)


def leave_at_once(asked: int) -> None:
    os._exit(asked)


def garbage(asked: bytes) -> None:
    for descriptor in range(3, 20):
        try:
            os.write(descriptor, asked)
        except OSError:
            continue


def forge(asked: int) -> int:
    """Writes an answer that nobody asked for, then the true one."""
    frame = [msgspec.msgpack.encode(Done(0)), msgspec.msgpack.encode(asked)]
    garbage(b"".join([to_lengths(frame), *frame]))
    return asked + 1


def hang_up(asked: None) -> None:
    os.closerange(3, 20)
    time.sleep(60)


def fail(asked: str) -> None:
    raise KeyError(asked)


def fail_oddly(asked: int) -> None:
    raise ValueError(chr(asked))


def refuse(asked: str) -> None:
    raise BodyTooLarge(asked, param="content", code="too_large")


def print_much(asked: str) -> str:
    print(asked * 100_000)
    print(asked * 100_000, file=sys.stderr)
    return input() if sys.stdin.isatty() else asked


def recurse(asked: int) -> int:
    return recurse(asked + 1) + 1


def connect(asked: int) -> str:
    try:
        socket.create_connection(("127.0.0.1", asked), 1).close()
    except OSError as error:
        return str(error.strerror)
    return "connected"


def start_program(asked: str) -> str:
    try:
        subprocess.run([asked], check=False)
    except OSError as error:
        return str(error.strerror)
    return "started"


def start_thread(asked: None) -> str:
    found: list[str] = []
    thread = threading.Thread(target=found.append, args=("started",))
    thread.start()
    thread.join()
    return found[0]


def start_process(asked: None) -> str:
    try:
        child = os.fork()
    except OSError as error:
        return str(error.strerror)
    if child == 0:
        os._exit(0)
    return "started"
