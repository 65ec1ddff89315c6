"""The configured providers, and which of them serve a model."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from sitebrook.errors import ModelNotFound
from sitebrook.providers.anthropic import AnthropicProvider
from sitebrook.providers.breaker import BreakerRule, CircuitBreaker
from sitebrook.providers.breaking import BreakingProvider
from sitebrook.providers.bulkhead import BoundedProvider
from sitebrook.providers.http_client import HttpClient
from sitebrook.providers.mock import MockProvider
from sitebrook.providers.observed import ObservedProvider
from sitebrook.providers.observer import BreakerState, NoObserver, ProviderObserver
from sitebrook.providers.openai_compatible import OpenAICompatibleProvider
from sitebrook.providers.protocol import Provider
from sitebrook.settings import ModelSettings, ProviderSettings

_LOG: Final = logging.getLogger(__name__)
AUTO: Final = "auto"

BuildProvider = Callable[[ProviderSettings, HttpClient], Provider]


class RouteStep(msgspec.Struct, frozen=True):
    """One provider of a model, its breaker, and the name that it has for the model."""

    provider: Provider
    breaker: CircuitBreaker
    model: str


class ProviderState(msgspec.Struct, frozen=True):
    """Whether a provider is asked; ``rests_s`` is how long it is not, or only as the last."""

    name: str
    state: BreakerState
    rests_s: float


def to_provider(settings: ProviderSettings, client: HttpClient) -> Provider:
    """The provider of the kind that the settings name."""
    if settings.kind == "mock":
        return MockProvider(settings)
    if settings.kind == "anthropic":
        return AnthropicProvider(settings, client)
    return OpenAICompatibleProvider(settings, client)


class _Guarded(msgspec.Struct, frozen=True):
    """A provider behind its wrappers."""

    provider: Provider
    breaker: CircuitBreaker


class Providers:
    """The catalogue: models in the operator's order, each with its route.

    It owns the client that it is given. Each provider that ``build`` makes is wrapped, from the
    outside in: by its breaker, which refuses at once; by its bulkhead, which may wait; and by what
    tells ``observer`` of the attempts that are left.
    """

    def __init__(
        self,
        providers: Sequence[ProviderSettings],
        models: Sequence[ModelSettings],
        client: HttpClient,
        *,
        build: BuildProvider = to_provider,
        observer: ProviderObserver | None = None,
    ) -> None:
        self._client = client
        told = observer or NoObserver()
        self._providers = {one.name: _guard(build(one, client), one, told) for one in providers}
        self._passthrough = {one.name for one in providers if one.passthrough}
        self._models = {model.id: model for model in models}
        self._routes = {model.id: self._to_route(model) for model in models}

    @property
    def states(self) -> tuple[ProviderState, ...]:
        """Whether each provider is asked, in the operator's order."""
        now = time.monotonic()
        return tuple(
            ProviderState(name, one.breaker.state, round(one.breaker.rests_s(now), 1))
            for name, one in self._providers.items()
        )

    @property
    def models(self) -> tuple[ModelSettings, ...]:
        """The models that can be asked for, in order of preference; the mock is always there."""
        return tuple(self._models.values())

    def find(self, model_id: str) -> ModelSettings:
        """The model by its id; raises ModelNotFound.

        ``auto`` is the first that is usable; ``<provider>/<anything>`` works where the provider
        passes names through.
        """
        if model_id == AUTO:
            return next(iter(self._models.values()))
        model = self._models.get(model_id)
        if model is not None:
            return model
        provider, _, upstream_model = model_id.partition("/")
        if provider in self._passthrough and upstream_model:
            return ModelSettings(id=model_id, route=(model_id,))
        raise ModelNotFound(
            f"There is no model '{model_id}' here; there are: {', '.join(self._models)}.",
            param="model",
        )

    def route(self, model_id: str) -> tuple[RouteStep, ...]:
        """The providers of a model, in the order in which they are to be tried.

        Raises ModelNotFound.
        """
        model = self.find(model_id)
        return self._routes.get(model.id) or self._to_route(model)

    def _to_route(self, model: ModelSettings) -> tuple[RouteStep, ...]:
        steps: list[RouteStep] = []
        for step in model.route:
            provider, _, upstream_model = step.partition("/")
            guarded = self._providers[provider]
            steps.append(RouteStep(guarded.provider, guarded.breaker, upstream_model))
        return tuple(steps)

    async def aclose(self) -> None:
        """Ends what the providers hold open, and their client."""
        for guarded in self._providers.values():
            await guarded.provider.aclose()
        await self._client.close()


def _guard(provider: Provider, settings: ProviderSettings, observer: ProviderObserver) -> _Guarded:
    rule = BreakerRule(
        failures=settings.breaker_failures,
        share=settings.breaker_share,
        window_s=settings.breaker_window_s,
        rest_s=settings.breaker_rest_s,
        max_rest_s=settings.breaker_max_rest_s,
        probes=settings.breaker_probes,
    )
    observer.note_breaker(settings.name, BreakerState.CLOSED)
    on_change = functools.partial(_note_change, observer, settings.name)
    breaker = CircuitBreaker(rule, on_change=on_change)
    guarded: Provider = ObservedProvider(provider, observer)
    if settings.max_concurrency:
        guarded = BoundedProvider(
            guarded,
            max_concurrency=settings.max_concurrency,
            queue_timeout_s=settings.queue_timeout_s,
        )
    return _Guarded(BreakingProvider(guarded, breaker), breaker)


def _note_change(observer: ProviderObserver, provider: str, state: BreakerState) -> None:
    level = logging.WARNING if state is BreakerState.OPEN else logging.INFO
    fields = {"provider": provider, "state": state.value}
    _LOG.log(level, "a provider's breaker is %s", state.value, extra=fields)
    observer.note_breaker(provider, state)
