"""A provider that is left alone while it keeps failing."""

from __future__ import annotations

import functools
import time
from typing import Final

from sitebrook.errors import ProviderError, ProviderNotAsked
from sitebrook.providers import faults
from sitebrook.providers.breaker import CircuitBreaker, Permit
from sitebrook.providers.faults import outcome_of
from sitebrook.providers.observer import AttemptOutcome
from sitebrook.providers.protocol import Provider, ProviderRequest, ProviderStream, StreamEnd
from sitebrook.providers.wrapper import ProviderWrapper

_FAILURES: Final = frozenset(
    {
        AttemptOutcome.BROKE_OFF,
        AttemptOutcome.TIMED_OUT,
        AttemptOutcome.UNREACHABLE,
        AttemptOutcome.MALFORMED,
        AttemptOutcome.FAILED,
    }
)
_LIMITED_S: Final = 1.0  # a 429 that does not say when to come back
_ACCOUNT_S: Final = 60.0  # a wrong key or a used up account: nobody mends it within seconds
_ACCOUNT_STATUS: Final = frozenset({401, 402, 403})
_LEAST_WAIT_S: Final = 1.0


class BreakingProvider(ProviderWrapper):
    """Asks the provider as its breaker permits.

    What counts as a failure is what the provider did not answer for, also after the first delta. A
    caller who leaves, or whose request is refused, tells nothing. After a 429, a wrong key or a
    used up account the provider is only set aside: it is asked where no other is left.
    """

    def __init__(self, provider: Provider, breaker: CircuitBreaker) -> None:
        super().__init__(provider)
        self._breaker = breaker

    async def open(self, request: ProviderRequest) -> ProviderStream:
        """A stream of the provider; see ``Provider.open``.

        Raises ProviderNotAsked at once while the provider rests.
        """
        breaker, now = self._breaker, time.monotonic()
        permit = breaker.admit(now)
        if permit is None:
            raise faults.resting(self.name, max(breaker.rests_s(now), _LEAST_WAIT_S))
        try:
            stream = await self._provider.open(request)
        except ProviderNotAsked:
            breaker.released(permit)
            raise
        except ProviderError as failure:
            self._note(permit, failure)
            raise
        except BaseException:
            breaker.released(permit)
            raise
        breaker.reached(permit)
        stream.on_end(functools.partial(self._note_end, permit))
        return stream

    def _note_end(self, permit: Permit, end: StreamEnd) -> None:
        if end.failure is not None:
            self._note(permit, end.failure)
        elif end.is_whole:
            self._breaker.succeeded(permit, time.monotonic())
        else:
            self._breaker.released(permit)

    def _note(self, permit: Permit, failure: ProviderError) -> None:
        breaker, now = self._breaker, time.monotonic()
        outcome = outcome_of(failure)
        if outcome in _FAILURES:
            breaker.failed(permit, now)
        else:
            breaker.reached(permit)
        aside_s = _set_aside_s(outcome, failure)
        if aside_s:
            breaker.set_aside(now, aside_s)


def _set_aside_s(outcome: AttemptOutcome, failure: ProviderError) -> float:
    if failure.retry_after_s is not None:
        return failure.retry_after_s
    if outcome is AttemptOutcome.RATE_LIMITED:
        return _LIMITED_S
    if outcome is AttemptOutcome.OUT_OF_QUOTA or failure.upstream_status in _ACCOUNT_STATUS:
        return _ACCOUNT_S
    return 0.0
