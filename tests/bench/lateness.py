"""How late streams are that write a delta each 20 ms in the process that is measured."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Sequence

from tests.bench.synthetic_site import percentile

_STREAMS = 50
_DELTA_S = 0.02


async def stream_for(seconds: float) -> list[float]:
    """By how many milliseconds each delta was late, for so long."""
    ends_at = time.perf_counter() + seconds
    return await stream_until(lambda: time.perf_counter() >= ends_at)


async def stream_until(has_ended: Callable[[], bool]) -> list[float]:
    """By how many milliseconds each delta was late."""
    late: list[float] = []

    async def stream() -> None:
        due = time.perf_counter()
        while not has_ended():
            due += _DELTA_S
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            now = time.perf_counter()
            late.append((now - due) * 1000)
            json.dumps({"choices": [{"index": 0, "delta": {"content": "a piece of text "}}]})
            due = max(due, now - _DELTA_S)

    async with asyncio.TaskGroup() as group:
        for _ in range(_STREAMS):
            group.create_task(stream())
    return late


def worst(values: Sequence[float]) -> str:
    """The 99th of a hundred, and the latest."""
    return f"{percentile(values, 0.99):.1f} / {max(values):.1f}" if values else "-"
