"""Pools of child processes as tests look at them."""

from __future__ import annotations

from typing import Any

from sitebrook.compute.pool import ComputePool


class CountingPool(ComputePool):
    """A pool that knows how often it was asked."""

    asked = 0

    async def run(self, work: Any, asked: Any, limits: Any = None) -> Any:
        self.asked += 1
        return await super().run(work, asked, limits)
