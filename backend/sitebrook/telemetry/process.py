"""What the operating system says of this process, under the names that Prometheus clients use."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc/self")
_STARTED: Final = time.time()


def read_process() -> Mapping[str, float]:
    """The figures by metric; on systems without ``/proc`` only those that need none."""
    times = os.times()
    figures = {
        "process_cpu_seconds_total": times.user + times.system,
        "process_start_time_seconds": _STARTED,
        "process_max_fds": float(resource.getrlimit(resource.RLIMIT_NOFILE)[0]),
    }
    try:
        pages = (_PROC / "statm").read_text("ascii").split()
        figures["process_open_fds"] = float(sum(1 for _ in (_PROC / "fd").iterdir()))
    except OSError:
        return figures
    page_bytes = resource.getpagesize()
    figures["process_virtual_memory_bytes"] = float(int(pages[0]) * page_bytes)
    figures["process_resident_memory_bytes"] = float(int(pages[1]) * page_bytes)
    return figures
