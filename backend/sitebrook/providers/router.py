"""Opening a model's route: the first provider that begins to answer."""

from __future__ import annotations

import logging
from typing import Final

import msgspec

from sitebrook.errors import ProviderError
from sitebrook.providers.protocol import ProviderRequest, ProviderStream
from sitebrook.providers.registry import Providers, RouteStep

_LOG: Final = logging.getLogger(__name__)
# What an upstream answers when the request itself is at fault: another one would say the same.
_CALLERS_FAULT: Final = frozenset({400, 413, 422})


class OpenedRoute(msgspec.Struct, frozen=True):
    """A stream whose first event has arrived, and who sends it."""

    stream: ProviderStream
    provider: str
    upstream_model: str
    failures: tuple[ProviderError, ...] = ()


class Router:
    """Finds models and opens their routes."""

    def __init__(self, providers: Providers) -> None:
        self._providers = providers

    @property
    def models(self) -> tuple[str, ...]:
        """The ids of the models that can be asked for, in order of preference."""
        return tuple(model.id for model in self._providers.models)

    def find_model(self, model_id: str) -> str:
        """The id of the model that is meant; ``auto`` becomes the first usable one.

        Raises ModelNotFound.
        """
        return self._providers.find(model_id).id

    async def open(self, model_id: str, request: ProviderRequest) -> OpenedRoute:
        """The first stream that begins, from the model's providers in order.

        The next provider is tried only before a first delta, and not for what the caller must
        change. ``request.model`` is set here. Raises ModelNotFound, InvalidRequest, or the last
        ProviderError.
        """
        failures: list[ProviderError] = []
        for step in self._providers.route(model_id):
            try:
                stream = await _open(step, request)
            except ProviderError as failure:
                failures.append(failure)
                _LOG.warning(
                    "a provider failed: %s",
                    failure.message,
                    extra={"model": model_id, "status": failure.upstream_status},
                )
                if is_callers_fault(failure):
                    break
            else:
                return OpenedRoute(stream, step.provider.name, step.model, tuple(failures))
        raise failures[-1]

    async def aclose(self) -> None:
        """Ends what the providers hold open."""
        await self._providers.aclose()


def is_callers_fault(failure: ProviderError) -> bool:
    """Whether every provider would refuse the request alike."""
    return failure.upstream_status in _CALLERS_FAULT


async def _open(step: RouteStep, request: ProviderRequest) -> ProviderStream:
    return await step.provider.open(msgspec.structs.replace(request, model=step.model))
