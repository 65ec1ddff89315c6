"""How long the rest of a job will take."""

from __future__ import annotations

import time
from collections.abc import Callable


class Pace:
    """The seconds that are left if an attempt goes on as since it began, with so much done."""

    def __init__(self, done: int = 0, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began_at = clock()
        self._first = done

    def left_s(self, done: int, total: int) -> float | None:
        """None until something is done."""
        made = done - self._first
        if made <= 0:
            return None
        each_s = (self._clock() - self._began_at) / made
        return round(each_s * max(total - done, 0), 1)
