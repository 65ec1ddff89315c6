"""What a request asks for that a provider does not have: refused by name, before anything is sent.

To drop it in silence would be a lie to the caller, and most upstreams would answer with a refusal
that names a field of theirs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from sitebrook.errors import InvalidRequest
from sitebrook.providers.protocol import (
    ContentPart,
    FilePart,
    GenerationOptions,
    ImagePart,
    ProviderRequest,
)

# What a provider may lack beside the options of the same name.
NAME: Final = "messages[].name"
IMAGES: Final = "images"
FILES: Final = "files"

_CONTENT: Final = "messages[].content"
# Values that ask for nothing; some clients always send them.
_NEUTRAL: Final[dict[str, Any]] = {
    "n": 1,
    "logprobs": False,
    "top_logprobs": 0,
    "presence_penalty": 0,
    "frequency_penalty": 0,
}


def check_gaps(provider: str, request: ProviderRequest, lacks: frozenset[str]) -> None:
    """Raises InvalidRequest for the first thing the request asks for that is in ``lacks``.

    Those are names of ``GenerationOptions`` and the constants of this module.
    """
    if not lacks:
        return
    for name in GenerationOptions.__struct_fields__:
        if name in lacks and asks_for(request.options, name):
            raise lacking(provider, name, name)
    if NAME in lacks and any(one.name and one.role != "tool" for one in request.messages):
        raise lacking(provider, NAME, "names of speakers")
    for kind, part_type in ((IMAGES, ImagePart), (FILES, FilePart)):
        if kind in lacks and any(isinstance(part, part_type) for part in parts_of(request)):
            raise lacking(provider, _CONTENT, f"{kind} in messages")


def asks_for(options: GenerationOptions, name: str) -> bool:
    """Whether the option is set to something that makes a difference."""
    value = getattr(options, name)
    return value is not None and value not in ((), {}) and value != _NEUTRAL.get(name)


def parts_of(request: ProviderRequest) -> Iterator[ContentPart]:
    """Every content part of the messages."""
    for message in request.messages:
        if isinstance(message.content, tuple):
            yield from message.content


def lacking(provider: str, param: str, what: str, advice: str = "") -> InvalidRequest:
    """The refusal of something that the provider, or its model, does not have."""
    message = f"The provider '{provider}' does not have {what} for this model."
    advice = advice or "Leave it out or ask for another model."
    return InvalidRequest(f"{message} {advice}", param=param, code="unsupported_parameter")
