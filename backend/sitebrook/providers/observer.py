"""What is told of upstreams to whoever counts: each attempt, and each change of a breaker."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol


class AttemptOutcome(StrEnum):
    """How one request to an upstream ended."""

    ANSWERED = "answered"
    LEFT = "left"  # the caller went away, before or during the answer
    BROKE_OFF = "broke_off"
    TIMED_OUT = "timed_out"
    UNREACHABLE = "unreachable"
    MALFORMED = "malformed"
    RATE_LIMITED = "rate_limited"
    OUT_OF_QUOTA = "out_of_quota"
    REFUSED = "refused"  # for a fault of the request or of our settings
    FAILED = "failed"  # a failure of the upstream's own


class BreakerState(StrEnum):
    """Whether a provider is asked."""

    CLOSED = "closed"  # it is
    OPEN = "open"  # it rests
    HALF_OPEN = "half_open"  # a few requests find out whether it is well again


class ProviderObserver(Protocol):
    """Is told of upstreams on the way of an answer: it must return at once and never raise."""

    def note_attempt(
        self, provider: str, model: str, outcome: AttemptOutcome, seconds: float
    ) -> None:
        """One request to an upstream is over, ``seconds`` after it began; told once for each.

        ``model`` is the upstream's own name. A provider that rests or is busy, or that lacks what
        is asked for, is not asked, so that there is no attempt.
        """
        ...

    def note_breaker(self, provider: str, state: BreakerState) -> None:
        """The breaker's state: once when it is made, then at each change."""
        ...


class NoObserver:
    """Lets everything pass."""

    def note_attempt(
        self, provider: str, model: str, outcome: AttemptOutcome, seconds: float
    ) -> None:
        """Nothing."""

    def note_breaker(self, provider: str, state: BreakerState) -> None:
        """Nothing."""
