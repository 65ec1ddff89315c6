"""Opening a model's route: retry and fallback until a provider begins to answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final

import msgspec

from sitebrook.errors import InvalidRequest, ProviderError, ProviderNotAsked, RequestError
from sitebrook.providers.attempts import AttemptPlan
from sitebrook.providers.faults import outcome_of
from sitebrook.providers.observer import AttemptOutcome
from sitebrook.providers.protocol import ProviderRequest, ProviderStream
from sitebrook.providers.registry import Providers, ProviderState, RouteStep
from sitebrook.settings import UpstreamSettings

# What an upstream answers when the request itself is at fault: another one would say the same.
_CALLERS_FAULT: Final = frozenset({400, 413, 422})


class OpenedRoute(msgspec.Struct, frozen=True):
    """A stream whose first event has arrived, and who sends it."""

    stream: ProviderStream
    provider: str
    upstream_model: str


class Router:
    """Finds models and opens their routes."""

    def __init__(self, providers: Providers, rule: UpstreamSettings | None = None) -> None:
        self._providers = providers
        self._rule = rule or UpstreamSettings()

    @property
    def models(self) -> tuple[str, ...]:
        """The ids of the models that can be asked for, in order of preference."""
        return tuple(model.id for model in self._providers.models)

    @property
    def provider_states(self) -> tuple[ProviderState, ...]:
        """Whether each provider is asked at this moment, as this process sees it."""
        return self._providers.states

    def find_model(self, model_id: str) -> str:
        """The id of the model that is meant; ``auto`` becomes the first usable one.

        Raises ModelNotFound.
        """
        return self._providers.find(model_id).id

    def route(self, model_id: str) -> tuple[RouteStep, ...]:
        """The providers of a model, in the order in which they are tried. Raises ModelNotFound."""
        return self._providers.route(model_id)

    async def open(self, model_id: str, request: ProviderRequest) -> OpenedRoute:
        """The first stream that begins, from the model's providers in order.

        Nothing is tried after a first delta, nor for what the caller must change. Providers that
        are set aside come last; those that rest, are busy or lack what is asked for cost no
        attempt. ``model`` and ``start_by`` of the request are set here. Raises ModelNotFound, or
        the most telling of the failures: see ``most_telling``.
        """
        refusals: list[RequestError] = []
        now = time.monotonic()
        steps = self._able_steps(model_id, request, refusals, now)
        plan = AttemptPlan(self._rule, len(steps), now=now)
        while (turn := plan.next(time.monotonic())) is not None:
            if turn.wait_s:
                await asyncio.sleep(turn.wait_s)
                continue  # the time is asked again: a sleep may end late
            step, asked = steps[turn.step]
            try:
                stream = await step.provider.open(asked)
            except (InvalidRequest, ProviderNotAsked) as refusal:
                plan.drop(turn.step)
                refusals.append(refusal)
            except ProviderError as failure:
                if is_callers_fault(failure):
                    raise
                plan.note_failure(turn.step, failure, time.monotonic())
                refusals.append(failure)
            else:
                return OpenedRoute(stream, step.provider.name, step.model)
        try:
            raise most_telling(refusals)
        finally:
            refusals.clear()  # an error that is raised keeps this frame, and the frame them

    def _able_steps(
        self, model_id: str, request: ProviderRequest, refusals: list[RequestError], now: float
    ) -> list[tuple[RouteStep, ProviderRequest]]:
        """The steps that have what is asked for, and their requests; those set aside come last.

        What the others lack is added to ``refusals``.
        """
        start_by = now + self._rule.attempts_within_s
        steps: list[tuple[RouteStep, ProviderRequest]] = []
        for step in self._providers.route(model_id):
            asked = msgspec.structs.replace(request, model=step.model, start_by=start_by)
            try:
                step.provider.check(asked)
            except InvalidRequest as refusal:
                refusals.append(refusal)
            else:
                steps.append((step, asked))
        if len(steps) > 1:
            steps.sort(key=lambda able: able[0].breaker.is_set_aside(now))
        return steps

    async def aclose(self) -> None:
        """Ends what the providers hold open."""
        await self._providers.aclose()


def is_callers_fault(failure: ProviderError) -> bool:
    """Whether every provider would refuse the request alike."""
    # Anthropic tells of a used up account with 400 too.
    is_refused = outcome_of(failure) is AttemptOutcome.REFUSED
    return is_refused and failure.upstream_status in _CALLERS_FAULT


def most_telling(refusals: Sequence[RequestError]) -> RequestError:
    """The refusal to show when no step of a route answered.

    Where trying again may help, that is said: the last failure that may pass, else a provider that
    was not asked. Then what the operator must mend. That providers lack something is told only
    where it is all that stood in the way, by the first of them.
    """
    asked = [
        one
        for one in refusals
        if isinstance(one, ProviderError) and not isinstance(one, ProviderNotAsked)
    ]
    passing = [one for one in asked if not one.is_permanent]
    not_asked = [one for one in refusals if isinstance(one, ProviderNotAsked)]
    for last in (passing, not_asked, asked):
        if last:
            return last[-1]
    return refusals[0]
