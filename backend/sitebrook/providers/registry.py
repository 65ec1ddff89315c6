"""The configured providers, and which of them serve a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import aiohttp
import msgspec

from sitebrook.errors import ModelNotFound
from sitebrook.providers.anthropic import AnthropicProvider
from sitebrook.providers.mock import MockProvider
from sitebrook.providers.openai_compatible import OpenAICompatibleProvider
from sitebrook.providers.protocol import Provider
from sitebrook.settings import ModelSettings, ProviderSettings

AUTO: Final = "auto"

BuildProvider = Callable[[ProviderSettings, aiohttp.ClientSession], Provider]


class RouteStep(msgspec.Struct, frozen=True):
    """One provider of a model and the name that it has for the model."""

    provider: Provider
    model: str


def to_provider(settings: ProviderSettings, session: aiohttp.ClientSession) -> Provider:
    """The provider of the kind that the settings name."""
    if settings.kind == "mock":
        return MockProvider(settings)
    if settings.kind == "anthropic":
        return AnthropicProvider(settings, session)
    return OpenAICompatibleProvider(settings, session)


class Providers:
    """The catalogue: models in the operator's order, each with its route.

    It owns the session that it is given. ``build`` is where wrappers of a provider come in.
    """

    def __init__(
        self,
        providers: Sequence[ProviderSettings],
        models: Sequence[ModelSettings],
        session: aiohttp.ClientSession,
        *,
        build: BuildProvider = to_provider,
    ) -> None:
        self._session = session
        self._providers = {one.name: build(one, session) for one in providers}
        self._passthrough = {one.name for one in providers if one.passthrough}
        self._models = {model.id: model for model in models}

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

    def route(self, model_id: str) -> list[RouteStep]:
        """The providers of a model, in the order in which they are to be tried.

        Raises ModelNotFound.
        """
        steps: list[RouteStep] = []
        for step in self.find(model_id).route:
            provider, _, upstream_model = step.partition("/")
            steps.append(RouteStep(self._providers[provider], upstream_model))
        return steps

    async def aclose(self) -> None:
        """Ends what the providers hold open, and their session."""
        for provider in self._providers.values():
            await provider.aclose()
        await self._session.close()
