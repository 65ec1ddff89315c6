"""What wrappers of a provider have in common."""

from __future__ import annotations

from sitebrook.providers.protocol import Provider, ProviderRequest


class ProviderWrapper:
    """All of a provider but ``open``, which each wrapper does in its own way.

    A wrapper gives out the provider's own stream and learns of its end by ``on_end``.
    """

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self.name: str = provider.name

    def check(self, request: ProviderRequest) -> None:
        """Raises InvalidRequest for what the provider does not have; see ``Provider.check``."""
        self._provider.check(request)

    async def aclose(self) -> None:
        """Ends what the provider holds open."""
        await self._provider.aclose()
