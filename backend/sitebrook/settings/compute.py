"""Child processes for heavy work: how many, and their bounds."""

from __future__ import annotations

import dataclasses

from sitebrook.settings.fields import setting


@dataclasses.dataclass(frozen=True, slots=True)
class ComputeSettings:
    """Child processes that read documents and do other heavy work."""

    children: int = setting(
        0,
        "SITEBROOK_COMPUTE_CHILDREN",
        "most children of a process; 0: one less than cores, 1 to 8",
        least=0,
    )
    memory_bytes: int = setting(
        512 * 1024 * 1024,
        "SITEBROOK_COMPUTE_MEMORY_BYTES",
        "memory of one child",
        least=256 * 1024 * 1024,
    )
    time_s: float = setting(
        60.0, "SITEBROOK_COMPUTE_TIME_S", "longest time for one piece of work", least=0.1
    )
    waiting: int = setting(
        1000, "SITEBROOK_COMPUTE_WAITING", "pieces of work that may wait for a child", least=0
    )
    calls_per_child: int = setting(
        1000,
        "SITEBROOK_COMPUTE_CALLS_PER_CHILD",
        "pieces of work after which a child is replaced",
        least=1,
    )
    idle_s: float = setting(
        60.0, "SITEBROOK_COMPUTE_IDLE_S", "a child without work ends after this", least=0.1
    )
