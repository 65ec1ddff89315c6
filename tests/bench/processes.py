"""Processor time of a process and all that it started, as the kernel counts it."""

from __future__ import annotations

import os
from pathlib import Path

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
# Fields of /proc/<pid>/stat behind the name in brackets, see proc(5).
_PARENT, _UTIME, _CSTIME = 1, 11, 14


def cpu_time_s(pid: int) -> float:
    """Seconds used so far by the process, its running descendants, and those that ended."""
    return sum(_own_ticks(found) for found in [pid, *_descendants(pid)]) * _TICK_S


def _own_ticks(pid: int) -> int:
    fields = _read_stat(pid)
    return sum(int(field) for field in fields[_UTIME : _CSTIME + 1]) if fields else 0


def _descendants(pid: int) -> list[int]:
    parents = {
        int(entry.name): int(fields[_PARENT])
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and (fields := _read_stat(int(entry.name)))
    }
    found = [pid]
    for known in found:  # grows while it is read
        found += [child for child, parent in parents.items() if parent == known]
    return found[1:]


def _read_stat(pid: int) -> list[str]:
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:  # it has ended
        return []
    return text.rpartition(")")[2].split()
