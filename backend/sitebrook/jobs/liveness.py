"""When a worker may judge that another one is gone."""

from __future__ import annotations


class Liveness:
    """Whether this worker could show its own life for long enough to judge others.

    After a time in which PostgreSQL was away, or this process stood still, nobody's heartbeat says
    anything: the others get as long as they have always to show theirs. Times are of a monotonic
    clock.
    """

    def __init__(self, *, heartbeat_s: float, stalled_s: float) -> None:
        self._gap_s = 2 * heartbeat_s
        self._stalled_s = stalled_s
        self._since: float | None = None
        self._last = 0.0

    def begin(self, now: float, *, is_settled: bool) -> None:
        """The first heartbeat; ``is_settled`` when PostgreSQL was up for long enough before it."""
        self._since = now - self._stalled_s if is_settled else now
        self._last = now

    def beat(self, now: float) -> None:
        """A heartbeat that arrived."""
        if self._since is None or now - self._last > self._gap_s:
            self._since = now
        self._last = now

    def may_judge(self, now: float) -> bool:
        """Whether a heartbeat that is missing is the other worker's fault."""
        if self._since is None or now - self._last > self._gap_s:
            return False
        return now - self._since >= self._stalled_s
