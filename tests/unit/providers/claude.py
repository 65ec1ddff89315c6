"""The bodies that are sent to Anthropic's API, and the refusals instead of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sitebrook.errors import InvalidRequest
from sitebrook.providers.anthropic.limits import check_request
from sitebrook.providers.anthropic.request import to_body
from sitebrook.providers.protocol import GenerationOptions, PromptMessage, ProviderRequest

ASK = PromptMessage(role="user", content="Hi")


def make_request(*messages: PromptMessage, model: str = "m", **options: Any) -> ProviderRequest:
    return ProviderRequest(
        model=model, messages=messages or (ASK,), options=GenerationOptions(**options)
    )


def sent_for(*messages: PromptMessage, model: str = "m", **options: Any) -> dict[str, Any]:
    request = make_request(*messages, model=model, **options)
    check_request("claude", request)
    return json.loads(to_body(request, max_tokens=9000))


def refusal_of(*messages: PromptMessage, model: str = "m", **options: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as refused:
        sent_for(*messages, model=model, **options)
    return refused.value
