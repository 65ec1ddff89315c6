"""How providers are asked: attempts, clocks, concurrency, breaker."""

from __future__ import annotations

import dataclasses
from typing import Final

from sitebrook.settings.fields import setting

_PER_REQUEST: Final = frozenset({"attempts", "attempts_within_s", "retry_pause_s"})


@dataclasses.dataclass(frozen=True, slots=True)
class UpstreamSettings:
    """How providers are asked; a provider's own row wins where it has the same name."""

    attempts: int = setting(
        3,
        "SITEBROOK_UPSTREAM_ATTEMPTS",
        "requests to providers for one question, retries and fallbacks together",
        least=1,
    )
    attempts_within_s: float = setting(
        10.0,
        "SITEBROOK_UPSTREAM_ATTEMPTS_WITHIN_S",
        "no request to a provider begins later than this after the first",
        least=0,
    )
    retry_pause_s: float = setting(
        0.25,
        "SITEBROOK_UPSTREAM_RETRY_PAUSE_S",
        "longest pause before the first retry, doubled for each further one; it is random",
        least=0,
    )
    first_delta_timeout_s: float = setting(
        30.0,
        "SITEBROOK_UPSTREAM_FIRST_DELTA_TIMEOUT_S",
        "longest wait for the first piece of text",
        least=0.001,
    )
    idle_timeout_s: float = setting(
        30.0,
        "SITEBROOK_UPSTREAM_IDLE_TIMEOUT_S",
        "longest silence in the middle of an answer",
        least=0.001,
    )
    total_timeout_s: float = setting(
        300.0,
        "SITEBROOK_UPSTREAM_TOTAL_TIMEOUT_S",
        "longest time for a whole answer",
        least=0.001,
    )
    max_concurrency: int = setting(
        10_000,
        "SITEBROOK_UPSTREAM_MAX_CONCURRENCY",
        "answers that one provider may be giving at once, per process; 0: any number",
        least=0,
    )
    queue_timeout_s: float = setting(
        1.0,
        "SITEBROOK_UPSTREAM_QUEUE_TIMEOUT_S",
        "longest wait for a provider that gives as many answers as it may",
        least=0,
    )
    breaker_failures: int = setting(
        5,
        "SITEBROOK_UPSTREAM_BREAKER_FAILURES",
        "failures within the window that make a provider rest; 0: never",
        least=0,
    )
    breaker_share: float = setting(
        0.5,
        "SITEBROOK_UPSTREAM_BREAKER_SHARE",
        "least share of failures for that (0 to 1)",
        least=0,
    )
    breaker_window_s: float = setting(
        30.0, "SITEBROOK_UPSTREAM_BREAKER_WINDOW_S", "window of the breaker", least=0.001
    )
    breaker_rest_s: float = setting(
        5.0,
        "SITEBROOK_UPSTREAM_BREAKER_REST_S",
        "first rest of a provider, doubled each time in a row",
        least=0,
    )
    breaker_max_rest_s: float = setting(
        60.0, "SITEBROOK_UPSTREAM_BREAKER_MAX_REST_S", "longest rest of a provider", least=0
    )
    breaker_probes: int = setting(
        2,
        "SITEBROOK_UPSTREAM_BREAKER_PROBES",
        "requests at once that find out whether a rested provider is well",
        least=1,
    )

    def per_provider(self) -> dict[str, float]:
        """What each provider may have of its own, by the names of its row."""
        return {
            name: value
            for name, value in dataclasses.asdict(self).items()
            if name not in _PER_REQUEST
        }
