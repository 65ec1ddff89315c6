"""What becomes of children whose parent ends without a word."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

PARENT = """
import asyncio
from sitebrook.compute.pool import ComputePool
from sitebrook.compute.work import Limits, Work
from sitebrook.settings import ComputeSettings

def to_work(name, asked, given):
    return Work(f"tests.fakes.work:{name}", asked, given)

async def main():
    pool = ComputePool(ComputeSettings(children=3))
    who = to_work("process_id", float, int)
    print(*await asyncio.gather(*(pool.run(who, 0.2) for _ in range(3))), flush=True)
    loop = asyncio.create_task(pool.run(to_work("loop", object, int), None))
    stuck = asyncio.create_task(
        pool.run(to_work("loop_without_the_interpreter", object, int), None)
    )
    await asyncio.sleep(0.2)
    print("busy", flush=True)
    await asyncio.gather(loop, stuck)

asyncio.run(main())
"""

WATCHED = """
import sys, threading
from sitebrook.compute.confinement import watch_pipe
threading.Thread(target=watch_pipe, args=(0,), daemon=True).start()
print("busy", flush=True)
while True:
    pass
"""


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{ROOT / 'backend'}{os.pathsep}{ROOT}"}


def is_alive(process_id: int) -> bool:
    try:
        state = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in {"Z", "X"}


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM])
def test_children_busy_or_not_end_with_a_parent_that_is_killed(ending: signal.Signals) -> None:
    command = [sys.executable, "-c", PARENT]
    with subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        children = [int(word) for word in parent.stdout.readline().split()]
        assert parent.stdout.readline() == "busy\n"
        assert len(set(children)) == 3
        assert all(map(is_alive, children))
        parent.send_signal(ending)
        parent.wait(10)
    deadline = time.monotonic() + 5
    while any(map(is_alive, children)) and time.monotonic() < deadline:
        time.sleep(0.01)  # nobody else's children tell of their end
    assert not any(map(is_alive, children))


def test_a_busy_child_ends_with_its_pipe_where_the_kernel_does_not_kill_it() -> None:
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-c", WATCHED]
    with (
        theirs,
        subprocess.Popen(
            command, env=environment(), stdin=theirs, stdout=subprocess.PIPE, text=True
        ) as child,
    ):
        theirs.close()
        assert child.stdout is not None
        assert child.stdout.readline() == "busy\n"
        ours.close()
        assert child.wait(10) == 87


def test_an_interrupt_from_the_terminal_is_for_the_parent_alone() -> None:
    command = [sys.executable, "-c", PARENT]
    with subprocess.Popen(
        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        start_new_session=True,
    ) as parent:  # fmt: skip
        assert parent.stdout is not None
        children = [int(word) for word in parent.stdout.readline().split()]
        assert all(os.getpgid(child) != parent.pid for child in children)
        parent.kill()
