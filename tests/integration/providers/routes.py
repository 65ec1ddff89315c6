"""A router over two fake upstreams and the mock, and who is told of its attempts."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import msgspec
import pytest
from tests.fakes.upstream import SCRIPTS, Exchange, Script
from tests.integration.providers.reading import read, request

from sitebrook.errors import ProviderError
from sitebrook.providers.observer import AttemptOutcome, BreakerState
from sitebrook.providers.router import Router
from sitebrook.settings import ModelSettings, ProviderSettings, UpstreamSettings

REQUEST = request("")
QUICK = UpstreamSettings(retry_pause_s=0.001)
MOCK = ProviderSettings(name="mock", kind="mock", first_delta_delay_s=0, delta_delay_s=0)
MOCK_ROW = ModelSettings(id="mock", route=("mock/mock",))


@dataclass
class Told:
    """An observer that keeps what it is told."""

    attempts: list[tuple[str, str, str]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    breakers: list[tuple[str, str]] = field(default_factory=list)

    def note_attempt(
        self, provider: str, model: str, outcome: AttemptOutcome, seconds: float
    ) -> None:
        self.attempts.append((provider, model, outcome.value))
        self.seconds.append(seconds)

    def note_breaker(self, provider: str, state: BreakerState) -> None:
        self.breakers.append((provider, state.value))

    @property
    def outcomes(self) -> list[str]:
        return [outcome for _, _, outcome in self.attempts]


def failing(times: int, script: str) -> Script:
    """A script that plays another so many times, and then answers."""
    count = itertools.count(1)

    async def play(exchange: Exchange) -> None:
        await SCRIPTS[script if next(count) <= times else "normal"](exchange)

    return play


async def refusal(router: Router, **over) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await router.open("m", msgspec.structs.replace(REQUEST, **over))
    return caught.value


async def answered_by(router: Router) -> str:
    """Who gave an answer, which was read to its end."""
    opened = await router.open("m", REQUEST)
    await read(opened.stream)
    return opened.provider
