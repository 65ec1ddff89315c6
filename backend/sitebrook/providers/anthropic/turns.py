"""The messages of a prompt as system text and turns of the Messages API."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final, Literal

import msgspec

from sitebrook.errors import InvalidRequest
from sitebrook.providers.anthropic.data_urls import split_data_url
from sitebrook.providers.anthropic.limits import PDF
from sitebrook.providers.protocol import (
    FileContent,
    ImagePart,
    ImageUrl,
    PromptMessage,
    TextPart,
    ToolCall,
)

_NOT_IN_IDS: Final = re.compile(r"[^a-zA-Z0-9_-]")
_arguments: Final = msgspec.json.Decoder(dict[str, Any])


class Text(msgspec.Struct, frozen=True, tag_field="type", tag="text"):
    """A piece of text."""

    text: str


class Base64(msgspec.Struct, frozen=True, tag_field="type", tag="base64"):
    """The bytes of an image or a document."""

    media_type: str
    data: str


class PlainText(msgspec.Struct, frozen=True, tag_field="type", tag="text"):
    """The text of a document."""

    data: str
    media_type: str = "text/plain"


class Url(msgspec.Struct, frozen=True, tag_field="type", tag="url"):
    """Where an image is."""

    url: str


class Image(msgspec.Struct, frozen=True, tag_field="type", tag="image"):
    """An image."""

    source: Base64 | Url


class Document(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="type", tag="document"):
    """A document."""

    source: Base64 | PlainText
    title: str | None = None


class ToolUse(msgspec.Struct, frozen=True, tag_field="type", tag="tool_use"):
    """A call that the model asked for."""

    id: str
    name: str
    input: msgspec.Raw


class ToolResult(msgspec.Struct, frozen=True, tag_field="type", tag="tool_result"):
    """What a call gave."""

    tool_use_id: str
    content: list[Text | Image | Document]


Block = Text | Image | Document | ToolUse | ToolResult


class Turn(msgspec.Struct, frozen=True):
    """All that one side said before the other did."""

    role: Literal["user", "assistant"]
    content: list[Block]


def to_system(messages: Iterable[PromptMessage]) -> str:
    """The text of all system and developer messages; the API has one place for it."""
    texts = (message.text for message in messages if _is_system(message))
    return "\n\n".join(text for text in texts if text.strip())


def to_turns(messages: Iterable[PromptMessage]) -> list[Turn]:
    """The other messages, with those of one side in a row as one turn.

    The API wants the results of all calls of an answer in the turn after it, before any text.
    Raises InvalidRequest for arguments of a call that are no JSON object.
    """
    turns: list[Turn] = []
    for message in messages:
        if _is_system(message):
            continue
        blocks = list(_to_blocks(message))
        if not blocks:
            continue
        role = "assistant" if message.role == "assistant" else "user"
        if not turns or turns[-1].role != role:
            turns.append(Turn(role, []))
        turns[-1].content.extend(blocks)
    return turns


def _is_system(message: PromptMessage) -> bool:
    return message.role in {"system", "developer"}


def _to_blocks(message: PromptMessage) -> Iterator[Block]:
    if message.role == "tool":
        yield ToolResult(_to_id(message.tool_call_id or ""), list(_to_parts(message)))
        return
    yield from _to_parts(message)
    for call in message.tool_calls:
        yield ToolUse(_to_id(call.id), call.function.name, _to_input(call))


def _to_parts(message: PromptMessage) -> Iterator[Text | Image | Document]:
    """The parts of a message without empty texts, which the API refuses."""
    content = message.content
    for part in (TextPart(content),) if isinstance(content, str) else content or ():
        if isinstance(part, ImagePart):
            yield _to_image(part.image_url)
        elif not isinstance(part, TextPart):
            yield _to_document(part.file)
        elif part.text.strip():
            yield Text(part.text)


def _to_image(image: ImageUrl) -> Image:
    media_type, encoded = split_data_url(image.url)
    return Image(Base64(media_type, encoded) if encoded else Url(image.url))


def _to_document(file: FileContent) -> Document:
    media_type, encoded = split_data_url(file.file_data or "")
    if media_type == PDF:
        return Document(Base64(media_type, encoded), file.filename)
    try:
        text = base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise InvalidRequest(
            "The data URL of a text file is not UTF-8 in base64.",
            param="messages[].content",
            code="invalid_value",
        ) from None
    return Document(PlainText(text), file.filename)


def _to_id(call_id: str) -> str:
    """The id in the characters that the API takes; the same for the call and its result."""
    return _NOT_IN_IDS.sub("_", call_id)


def _to_input(call: ToolCall) -> msgspec.Raw:
    arguments = call.function.arguments.strip() or "{}"
    try:
        encoded = arguments.encode()
        _arguments.decode(encoded)
    except (ValueError, RecursionError):
        raise InvalidRequest(
            f"The arguments of the call of '{call.function.name}' are not a JSON object.",
            param="messages[].tool_calls",
            code="invalid_value",
        ) from None
    return msgspec.Raw(encoded)
