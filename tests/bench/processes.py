"""Processor time, memory and cores of a process and all that it started."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
# Field of /proc/<pid>/stat behind the name in brackets, see proc(5).
_PARENT = 1
_LOOK_S = 0.5
_IDLE_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Cores:
    """Which cores the server under test runs on, and which everything else."""

    server: frozenset[int]
    load: frozenset[int]

    @property
    def are_apart(self) -> bool:
        """Whether the load cannot take time from the server."""
        return not self.server & self.load


def split_cores() -> Cores:
    """The first core for the server and the rest for the load; one core serves both."""
    first, *rest = sorted(os.sched_getaffinity(0))
    return Cores(frozenset({first}), frozenset(rest or {first}))


def pin(pid: int, cores: Iterable[int]) -> None:
    """Binds every thread of the process and of its descendants; new ones inherit that."""
    for process in tree(pid):
        for thread in _names(f"/proc/{process}/task"):
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(int(thread), cores)


def raise_file_limit() -> int:
    """How many files this process and its children may open from now on."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def tree(pid: int) -> list[int]:
    """The process and its running descendants."""
    parents = {
        int(name): int(fields[_PARENT])
        for name in _names("/proc")
        if name.isdigit() and (fields := _read_stat(int(name)))
    }
    found = [pid]
    for known in found:  # grows while it is read
        found += [child for child, parent in parents.items() if parent == known]
    return found


def cpu_time_s(pids: Iterable[int]) -> float:
    """Seconds that the processes have used so far, as exact as the scheduler counts."""
    return sum(map(_clock_s, pids))


def rss_bytes(pids: Iterable[int]) -> int:
    """Resident memory; pages that processes share are counted for each."""
    return sum(_own_pages(pid) for pid in pids) * _PAGE_BYTES


def count_files(pid: int) -> int:
    """File descriptors that the process has open."""
    return len(_names(f"/proc/{pid}/fd"))


@dataclass(frozen=True, slots=True)
class Used:
    """Seconds that passed, and of processor time on each side; ``others_s`` is neither's."""

    wall_s: float
    server_s: float
    load_s: float
    others_s: float


class Meter:
    """Counts from its making to ``read``; the load is this process and the other ones named."""

    def __init__(self, server: int | None, load: Iterable[int]) -> None:
        self._server = tree(server) if server is not None else []
        self._load = [os.getpid(), *(pid for root in load for pid in tree(root))]
        self._began = self._read()

    def read(self) -> Used:
        """What was used so far."""
        wall, server, load, machine = (
            now - then for now, then in zip(self._read(), self._began, strict=True)
        )
        return Used(wall, server, load, max(0.0, machine - server - load))

    def _read(self) -> tuple[float, float, float, float]:
        own = cpu_time_s(self._server), cpu_time_s(self._load)
        return time.monotonic(), *own, _machine_time_s()


async def settle(limit_s: float) -> None:
    """Returns when the machine is nearly idle, or after ``limit_s``."""
    ends_at = time.monotonic() + limit_s
    cores = os.cpu_count() or 1
    while time.monotonic() < ends_at:
        before = _machine_time_s()
        await asyncio.sleep(_LOOK_S)
        if _machine_time_s() - before <= _IDLE_SHARE * _LOOK_S * cores:
            return


def _machine_time_s() -> float:
    """Seconds in which the cores of this process's machine were not idle."""
    line = Path("/proc/stat").read_text("ascii").partition("\n")[0]
    user, nice, system, _, _, irq, soft_irq, steal = map(int, line.split()[1:9])
    return (user + nice + system + irq + soft_irq + steal) / os.sysconf("SC_CLK_TCK")


def _clock_s(pid: int) -> float:
    # clock_getcpuclockid(3) makes the id of a process's clock like this; /proc has 10 ms ticks.
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:  # it has ended
        return 0.0


def _own_pages(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1])
    except OSError:
        return 0


def _names(folder: str) -> list[str]:
    try:
        return [entry.name for entry in Path(folder).iterdir()]
    except OSError:
        return []


def _read_stat(pid: int) -> list[str]:
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return []
    return text.rpartition(")")[2].split()
