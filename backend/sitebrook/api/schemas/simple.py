"""The wire of ``/api/chat/stream``: one question, frames with the text."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from sitebrook.api.schemas.chat import PositiveInt
from sitebrook.chat.citations import Citation
from sitebrook.chat.question import MAX_MESSAGE_CHARACTERS, MAX_MESSAGES

MAX_QUESTION_CHARACTERS = 8000
Text = Annotated[str, msgspec.Meta(max_length=MAX_MESSAGE_CHARACTERS)]


class HistoryMessage(msgspec.Struct, frozen=True):
    """An earlier turn."""

    role: Literal["user", "assistant"]
    content: Text


class SimpleRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A question. Unknown keys are ignored.

    A publishable key, a visitor token, or a ticket of one of them may send ``question`` and, with
    a visitor, ``conversation_id``; everything else is refused with 400.
    """

    question: Annotated[str, msgspec.Meta(max_length=MAX_QUESTION_CHARACTERS)]
    history: Annotated[list[HistoryMessage], msgspec.Meta(max_length=MAX_MESSAGES)] | None = None
    model: str | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    max_tokens: PositiveInt | None = None
    system: Text | None = None
    conversation_id: str | None = None


class ContentFrame(msgspec.Struct, frozen=True):
    """A piece of the answer's text."""

    content: str


class LastFrame(msgspec.Struct, frozen=True, kw_only=True):
    """What is known once the text is whole; ``content`` is empty, so that joining stays right."""

    content: Literal[""] = ""
    citations: tuple[Citation, ...]
    finish_reason: str
    conversation_id: str | None
