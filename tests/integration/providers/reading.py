"""Requests of the adapter, and all that was read of its streams."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest
from tests.fakes.openai_scripts import SECRET

from sitebrook.errors import ProviderError
from sitebrook.providers.openai_compatible import OpenAICompatibleProvider
from sitebrook.providers.protocol import (
    Delta,
    Finish,
    PromptMessage,
    ProviderEvent,
    ProviderRequest,
    ProviderStream,
    Usage,
)


@dataclass
class Read:
    """What was read of a stream, and how it ended."""

    events: list[ProviderEvent] = field(default_factory=list)
    error: ProviderError | None = None

    @property
    def text(self) -> str:
        return "".join(event.content for event in self.events if isinstance(event, Delta))

    @property
    def finishes(self) -> list[Finish]:
        return [event for event in self.events if isinstance(event, Finish)]

    @property
    def usage(self) -> Usage | None:
        return next((event for event in self.events if isinstance(event, Usage)), None)


def request(model: str, **over: object) -> ProviderRequest:
    messages = (PromptMessage(role="user", content="Hello there, how are you?"),)
    return ProviderRequest(**{"model": model, "messages": messages, **over})


async def read(opened: ProviderStream) -> Read:
    seen = Read()
    try:
        async for one in opened:
            seen.events.append(one)
    except ProviderError as error:
        seen.error = error
    finally:
        await opened.aclose()
        await asyncio.sleep(0)  # listeners of one that was over from the first are told then
    return seen


async def refusal(provider: OpenAICompatibleProvider, model: str, **over: object) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await provider.open(request(model, **over))
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
    return caught.value
