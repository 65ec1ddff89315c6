"""From the body or the query of a simple stream to a question."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from sitebrook.access.gate import Caller
from sitebrook.api.errors import from_decode_error
from sitebrook.api.questions import not_for_visitors, to_question
from sitebrook.api.schemas.chat import ChatRequest
from sitebrook.api.schemas.simple import HistoryMessage, SimpleRequest
from sitebrook.chat.question import Question, clean_text
from sitebrook.errors import InvalidRequest
from sitebrook.providers.protocol import PromptMessage
from sitebrook.settings import LimitSettings

_REFUSED_OF_VISITORS: Final = ("history", "temperature", "max_tokens", "system")
_MAX_PARAMETERS: Final = 100
_HISTORY: Final = msgspec.json.Decoder(list[HistoryMessage])


def to_parameters(query: bytes) -> dict[str, str]:
    """The parameters of a query string.

    Raises InvalidRequest for one that is not UTF-8 or given twice.
    """
    try:
        pairs = parse_qsl(
            query.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MAX_PARAMETERS,
        )
    except ValueError:
        raise InvalidRequest(
            f"The query is not UTF-8 or has over {_MAX_PARAMETERS} parameters.",
            code="invalid_query",
        ) from None
    parameters = dict(pairs)
    if len(parameters) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidRequest("The parameter is given more than once.", param=twice[:100])
    return parameters


def from_parameters(parameters: dict[str, str]) -> SimpleRequest:
    """The request that a query makes. Raises InvalidRequest that names the parameter."""
    values: dict[str, Any] = dict(parameters)
    if "history" in values:
        try:
            values["history"] = _HISTORY.decode(values["history"])
        except (msgspec.DecodeError, RecursionError):
            raise InvalidRequest(
                "history is JSON text in a query: a list of messages with role (user or "
                "assistant) and content.",
                param="history",
            ) from None
    try:
        return msgspec.convert(values, SimpleRequest, strict=False)
    except msgspec.ValidationError as error:
        raise from_decode_error(error, SimpleRequest) from None


def from_simple(
    wire: SimpleRequest, caller: Caller, *, base_url: str, limits: LimitSettings
) -> Question:
    """The question that a simple request asks, by the rules of the chat route.

    Raises InvalidRequest for an empty question and for what this key may not set.
    """
    if not wire.question.strip():
        raise InvalidRequest("The question is empty.", param="question")
    if not caller.has_secret_key:
        for name in _REFUSED_OF_VISITORS:
            if getattr(wire, name) is not None:
                raise not_for_visitors(name)
    messages = [
        PromptMessage(role=one.role, content=clean_text(one.content)) for one in wire.history or ()
    ]
    if wire.system is not None:
        messages.insert(0, PromptMessage(role="system", content=clean_text(wire.system)))
    messages.append(PromptMessage(role="user", content=clean_text(wire.question)))
    chat = ChatRequest(
        messages=messages,
        model=wire.model,
        temperature=wire.temperature,
        max_tokens=wire.max_tokens,
        conversation_id=wire.conversation_id,
    )
    return to_question(chat, caller, base_url=base_url, limits=limits)
