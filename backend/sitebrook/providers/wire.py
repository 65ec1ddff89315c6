"""OpenAI's chat wire: the request as bytes, an event's payload as typed values."""

from __future__ import annotations

import operator
import re
from typing import Any, Final, TypeVar, cast
from urllib.parse import urlsplit

import msgspec

from sitebrook.errors import InvalidRequest
from sitebrook.providers.gaps import FILES, NAME, check_gaps, lacking
from sitebrook.providers.protocol import (
    GenerationOptions,
    PromptMessage,
    ProviderRequest,
)


class Dialect(msgspec.Struct, frozen=True):
    """Where an upstream's request differs from what most of them read.

    ``lacks`` holds what it does not have, by the names that ``gaps.check_gaps`` knows.
    ``keeps_metadata`` says that it takes metadata only for answers that it may keep.
    """

    max_tokens: str = "max_tokens"
    seed: str = "seed"
    has_stream_options: bool = True
    keeps_metadata: bool = False
    lacks: frozenset[str] = frozenset()


# OpenAI's reasoning models refuse max_tokens, and metadata is "only allowed when 'store' is
# enabled". Mistral answers 422 (extra_forbidden) to every field that its API reference does not
# list, and sends usage without being asked. Groq: console.groq.com/docs/openai, and "not supported"
# in its API reference.
_DIALECTS: Final = {
    "api.openai.com": Dialect(max_tokens="max_completion_tokens", keeps_metadata=True),
    "api.mistral.ai": Dialect(
        seed="random_seed",
        has_stream_options=False,
        lacks=frozenset({"logprobs", "top_logprobs", "user", NAME, FILES}),
    ),
    "api.groq.com": Dialect(
        lacks=frozenset(
            {
                *("n", "logprobs", "top_logprobs", "presence_penalty", "frequency_penalty"),
                *("metadata", NAME, FILES),
            }
        ),
    ),
}


def dialect_of(base_url: str) -> Dialect:
    """How the upstream at ``base_url`` wants its requests."""
    return _DIALECTS.get(urlsplit(base_url).hostname or "", Dialect())


def check_dialect(provider: str, request: ProviderRequest, dialect: Dialect) -> None:
    """Raises InvalidRequest for what the upstream does not have."""
    check_gaps(provider, request, dialect.lacks)
    options = request.options
    if options.metadata and dialect.keeps_metadata and not options.stores_metadata:
        raise lacking(provider, "metadata", "metadata without store", "Send store: true with it.")


_RENAMED: Final = frozenset({"max_tokens", "seed", "stores_metadata"})
_SAME: Final = {
    name: default
    for name, default in msgspec.structs.asdict(GenerationOptions()).items()
    if name not in _RENAMED
}
_get_same: Final = operator.attrgetter(*_SAME)
_STREAM_OPTIONS: Final = {"include_usage": True}
_encoder: Final = msgspec.json.Encoder()


def to_body(request: ProviderRequest, dialect: Dialect) -> bytes:
    """The body of a streamed chat request.

    Raises InvalidRequest for text that UTF-8 cannot hold.
    """
    options, messages = request.options, request.messages
    body: dict[str, Any] = {
        "model": request.model,
        "messages": _without_names(messages) if NAME in dialect.lacks else messages,
        "stream": True,
    }
    if dialect.has_stream_options:
        body["stream_options"] = _STREAM_OPTIONS
    if options.max_tokens is not None:
        body[dialect.max_tokens] = options.max_tokens
    if options.seed is not None:
        body[dialect.seed] = options.seed
    for (name, default), value in zip(_SAME.items(), _get_same(options), strict=True):
        if value != default:
            body[name] = value
    if dialect.keeps_metadata and options.metadata and options.stores_metadata:
        body["store"] = True
    return encode(body)


def encode(wire: object) -> bytes:
    """The JSON of a request. Raises InvalidRequest for text that UTF-8 cannot hold."""
    try:
        return _encoder.encode(wire)
    except UnicodeEncodeError:
        raise InvalidRequest(
            "The messages hold half of a surrogate pair, which is no text.", param="messages"
        ) from None


def _without_names(messages: tuple[PromptMessage, ...]) -> tuple[PromptMessage, ...]:
    """The messages without the names of tools that results may carry beside their call's id."""
    if not any(message.name for message in messages):
        return messages
    return tuple(msgspec.structs.replace(message, name=None) for message in messages)


_NOTHING: Final = msgspec.Raw()


class WireDelta(msgspec.Struct, frozen=True, gc=False):
    """What one event adds to one choice; other fields than ``content`` stay raw JSON."""

    content: str | None = None
    tool_calls: msgspec.Raw = _NOTHING
    refusal: msgspec.Raw = _NOTHING
    reasoning_content: msgspec.Raw = _NOTHING
    reasoning: msgspec.Raw = _NOTHING  # the same by the name that Groq and vLLM give it


class WireChoice(msgspec.Struct, frozen=True, gc=False):
    """One choice of an event."""

    index: int = 0
    delta: WireDelta | None = None
    finish_reason: str | None = None
    logprobs: msgspec.Raw = _NOTHING


class WireUsage(msgspec.Struct, frozen=True, gc=False):
    """Token counts as sent."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: msgspec.Raw = _NOTHING
    completion_tokens_details: msgspec.Raw = _NOTHING


class WireEvent(msgspec.Struct, frozen=True, gc=False):
    """One event of a stream."""

    choices: list[WireChoice] | None = None
    usage: WireUsage | None = None
    error: msgspec.Raw = _NOTHING


class PlainDelta(msgspec.Struct, frozen=True, gc=False):
    """A delta with nothing but text."""

    content: str | None = None
    tool_calls: None = None
    refusal: None = None
    reasoning_content: None = None
    reasoning: None = None


class PlainChoice(msgspec.Struct, frozen=True, gc=False):
    """One choice of a plain event."""

    index: int = 0
    delta: PlainDelta | None = None
    finish_reason: str | None = None
    logprobs: None = None


class PlainEvent(msgspec.Struct, frozen=True, gc=False):
    """An event with nothing but text, ends and usage, as nearly all are."""

    choices: list[PlainChoice] | None = None
    usage: WireUsage | None = None
    error: None = None


_decoder: Final = msgspec.json.Decoder(WireEvent)
to_plain_event: Final = msgspec.json.Decoder(PlainEvent).decode
"""The plain event that a payload is, at a fifth of the cost; raises what msgspec raises."""

# An escape of a JSON string: a pair of surrogates, half of one, NUL, or any other.
_ESCAPE: Final = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(\\u[dD][89a-fA-F][0-9a-fA-F]{2}|\\u0000)"
    rb"|\\."
)


Event = TypeVar("Event")


def to_event(payload: bytes) -> WireEvent:
    """The event that a payload is; see ``decode_event``."""
    return decode_event(payload, _decoder)


def decode_event(payload: bytes, decoder: msgspec.json.Decoder[Event]) -> Event:
    """What a payload holds, without lone surrogates; a NUL that was escaped may be left.

    Raises ValueError when it is no JSON object of that shape.
    """
    try:
        return decoder.decode(payload)
    except (msgspec.ValidationError, RecursionError) as error:
        raise ValueError(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    try:
        return decoder.decode(repair(payload))
    except RecursionError as error:
        raise ValueError(str(error)) from None


def to_detail(raw: msgspec.Raw, name: str) -> int | None:
    """The count of that name in a usage's details, None when there is none.

    Details are no part of the answer: what they hold otherwise never breaks it.
    """
    text = bytes(raw)
    try:
        details = msgspec.json.decode(text) if text else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    count = cast("dict[str, Any]", details).get(name) if isinstance(details, dict) else None
    return count if isinstance(count, int) and not isinstance(count, bool) else None


def to_extra(raw: msgspec.Raw) -> msgspec.Raw | None:
    """The raw JSON of a field, or None when it was absent, null or empty."""
    text = bytes(raw)
    if text in {b"", b"null", b'""', b"[]"}:
        return None
    try:
        text.decode()
    except UnicodeDecodeError:
        return msgspec.Raw(repair(text))
    return msgspec.Raw(repair(text) if b"\\u0000" in text else text)


def to_text(content: str) -> str:
    """The content without NUL."""
    return content.replace("\0", "\ufffd") if "\0" in content else content


def repair(payload: bytes) -> bytes:
    """The JSON with U+FFFD for what no text may hold."""
    return repair_escapes(payload.decode("utf-8", "replace").replace("\0", "\ufffd").encode())


def repair_escapes(payload: bytes) -> bytes:
    """The JSON with U+FFFD for escapes of NUL and of half a surrogate pair."""
    return _ESCAPE.sub(lambda found: b"\\ufffd" if found[1] else found[0], payload)
