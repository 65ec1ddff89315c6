"""When a provider that keeps failing is left alone, and when it is asked again.

::

                  too many failures
       closed ─────────────────────────► open ◄────────┐
         ▲                                 │ rested    │ a probe failed:
         │   a probe began to answer       ▼           │ rest twice as long
         └──────────────────────────── half open ──────┘

It only counts: times are numbers that the caller passes in, and nothing waits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec

from sitebrook.providers.observer import BreakerState

_SLICES: Final = 10  # of the window; what leaves it leaves by the slice
_MOST_DOUBLINGS: Final = 30


class BreakerRule(msgspec.Struct, frozen=True, kw_only=True):
    """When a breaker opens and for how long; times are seconds.

    It opens at ``failures`` in the last ``window_s`` if they are at least ``share`` of what ended
    in that time; 0 failures: never. It rests ``rest_s``, twice as long each time in a row, at most
    ``max_rest_s``; then ``probes`` requests at once find out whether it can close.
    """

    failures: int
    share: float
    window_s: float
    rest_s: float
    max_rest_s: float
    probes: int


class Permit(NamedTuple):
    """Leave to ask once: the number of the opening it came after, and when it was given."""

    opening: int
    at: float


class CircuitBreaker:
    """Permits requests to one provider, and learns from how they end.

    Each permit is to be given back by exactly one of ``succeeded``, ``failed`` and ``released``;
    ``reached`` may come before. What began before the breaker last opened changes nothing.
    """

    def __init__(
        self,
        rule: BreakerRule,
        *,
        on_change: Callable[[BreakerState], None] = lambda _: None,
    ) -> None:
        self.state = BreakerState.CLOSED
        self._rule = rule
        self._on_change = on_change
        self._window = _Window(rule.window_s)
        self._opening = 0
        self._in_a_row = 0
        self._rests_until = 0.0
        self._probes = 0
        self._set_aside_at = 0.0
        self._set_aside_until = 0.0

    def admit(self, now: float) -> Permit | None:
        """Leave to ask the provider now; None while it rests."""
        if self.state is BreakerState.OPEN and now >= self._rests_until:
            self._probes = 0
            self._become(BreakerState.HALF_OPEN)
        if self.state is BreakerState.OPEN:
            return None
        if self.state is BreakerState.HALF_OPEN:
            if self._probes >= self._rule.probes:
                return None
            self._probes += 1
        return Permit(self._opening, now)

    def reached(self, permit: Permit) -> None:
        """The provider began to answer, or refused in a way that only a healthy one does."""
        if permit.opening != self._opening:
            return
        if permit.at > self._set_aside_at:
            self._set_aside_until = 0.0
        if self.state is BreakerState.HALF_OPEN:
            self._window.clear()
            self._become(BreakerState.CLOSED)

    def succeeded(self, permit: Permit, now: float) -> None:
        """An answer was whole."""
        self.reached(permit)
        if permit.opening == self._opening:
            self._window.add(now, good=1)
            self._in_a_row = 0

    def failed(self, permit: Permit, now: float) -> None:
        """The provider did not answer, or its answer broke off."""
        if permit.opening != self._opening:
            return
        if self.state is BreakerState.HALF_OPEN:
            self._open(now)
            return
        self._window.add(now, bad=1)
        good, bad = self._window.counts(now)
        rule = self._rule
        if rule.failures and bad >= rule.failures and bad >= rule.share * (good + bad):
            self._open(now)

    def released(self, permit: Permit) -> None:
        """The request ended without telling anything, as when its caller left."""
        if self.state is BreakerState.HALF_OPEN and permit.opening == self._opening:
            self._probes -= 1

    def set_aside(self, now: float, for_s: float) -> None:
        """Others are to be asked first for so long, at most ``max_rest_s``; requests still pass."""
        until = now + min(for_s, self._rule.max_rest_s)
        if until > self._set_aside_until:
            self._set_aside_at, self._set_aside_until = now, until

    def is_set_aside(self, now: float) -> bool:
        """Whether others are to be asked first."""
        return now < self._set_aside_until

    def rests_s(self, now: float) -> float:
        """How long it will not be asked, or only where nothing else is left; 0 when it is."""
        until = self._set_aside_until
        if self.state is BreakerState.OPEN:
            until = max(until, self._rests_until)
        return max(0.0, until - now)

    def _open(self, now: float) -> None:
        rest_s = self._rule.rest_s * 2 ** min(self._in_a_row, _MOST_DOUBLINGS)
        self._rests_until = now + min(rest_s, self._rule.max_rest_s)
        self._in_a_row += 1
        self._opening += 1
        self._window.clear()
        self._become(BreakerState.OPEN)

    def _become(self, state: BreakerState) -> None:
        self.state = state
        self._on_change(state)


class _Window:
    """How many ended well and badly in the last seconds, in a bounded number of counters."""

    def __init__(self, window_s: float) -> None:
        self._slice_s = window_s / _SLICES
        self._slices: deque[list[int]] = deque(maxlen=_SLICES + 1)  # number, good, bad

    def add(self, now: float, *, good: int = 0, bad: int = 0) -> None:
        number = int(now // self._slice_s)
        if not self._slices or self._slices[-1][0] < number:
            self._slices.append([number, 0, 0])
        self._slices[-1][1] += good
        self._slices[-1][2] += bad

    def counts(self, now: float) -> tuple[int, int]:
        since = int(now // self._slice_s) - _SLICES
        while self._slices and self._slices[0][0] <= since:
            self._slices.popleft()
        return sum(one[1] for one in self._slices), sum(one[2] for one in self._slices)

    def clear(self) -> None:
        self._slices.clear()
