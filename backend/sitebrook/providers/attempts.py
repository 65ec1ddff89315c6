"""Which step of a route is tried next and when: retry and fallback out of one budget."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final, NamedTuple

from sitebrook.errors import ProviderError
from sitebrook.providers.faults import outcome_of
from sitebrook.providers.observer import AttemptOutcome
from sitebrook.settings import UpstreamSettings

# What is often over at once. A slow or a crowded provider is not asked again while others are left.
_FLEETING: Final = frozenset(
    {
        AttemptOutcome.UNREACHABLE,
        AttemptOutcome.FAILED,
        AttemptOutcome.MALFORMED,
        AttemptOutcome.BROKE_OFF,
    }
)


class Turn(NamedTuple):
    """The step that is to be asked, by its place in the route, after a wait."""

    step: int
    wait_s: float


class AttemptPlan:
    """The attempts of one request, none of which begins after ``ends_at``.

    A step whose failure may be over soon is tried again, with a growing random pause, as long as
    enough attempts are left for the steps that were not tried yet. Once all were tried, those that
    may work come again, each not before its Retry-After. It only decides: times are numbers that
    the caller passes in.
    """

    def __init__(
        self,
        rule: UpstreamSettings,
        steps: int,
        *,
        now: float,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.ends_at = now + rule.attempts_within_s
        self._pause_s = rule.retry_pause_s
        self._left = rule.attempts
        self._jitter = jitter
        self._untried = list(range(steps))
        self._again: dict[int, float] = {}
        self._failures = [0] * steps
        self._stays: int | None = None

    def next(self, now: float) -> Turn | None:
        """The next turn; None when nothing is left that may be tried."""
        if self._left <= 0 or now > self.ends_at:
            return None
        if self._untried and (self._stays is None or self._left <= len(self._untried)):
            return Turn(self._untried[0], 0.0)
        if self._stays is not None:
            return Turn(self._stays, max(0.0, self._again[self._stays] - now))
        if not self._again:
            return None
        step = min(self._again, key=lambda one: (max(self._again[one], now), one))
        return Turn(step, max(0.0, self._again[step] - now))

    def drop(self, step: int) -> None:
        """The step was not asked and will not be: it cost no attempt."""
        self._forget(step)

    def note_failure(self, step: int, failure: ProviderError, now: float) -> None:
        """The step was asked and failed before its first delta."""
        self._forget(step)
        self._left -= 1
        self._failures[step] += 1
        if failure.is_permanent:
            return
        pause_s = self._jitter() * self._pause_s * 2 ** (self._failures[step] - 1)
        at = now + (failure.retry_after_s or 0.0) + pause_s
        if at > self.ends_at:
            return
        self._again[step] = at
        if failure.retry_after_s is None and outcome_of(failure) in _FLEETING:
            self._stays = step

    def _forget(self, step: int) -> None:
        if step in self._untried:
            self._untried.remove(step)
        self._again.pop(step, None)
        self._stays = None
