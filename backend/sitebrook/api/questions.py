"""From the wire of a chat request to a question, by what its key may do."""

from __future__ import annotations

from typing import Final, cast

from sitebrook.access.gate import Caller
from sitebrook.api.contents import check_contents
from sitebrook.api.schemas.chat import ChatRequest, Retrieval
from sitebrook.chat.question import MAX_MESSAGE_CHARACTERS, Question, RetrievalOptions
from sitebrook.errors import InvalidRequest
from sitebrook.providers.protocol import GenerationOptions, PromptMessage
from sitebrook.settings import LimitSettings

MAX_SCHEMA_DEPTH: Final = 64
# What a visitor's request may carry; see ChatRequest.
_REFUSED_OF_VISITORS: Final = (
    "retrieval",
    "temperature",
    "top_p",
    "max_tokens",
    "max_completion_tokens",
    "n",
    "stop",
    "presence_penalty",
    "frequency_penalty",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "response_format",
    "logprobs",
    "top_logprobs",
    "reasoning_effort",
)


def to_question(
    wire: ChatRequest, caller: Caller, *, base_url: str, limits: LimitSettings
) -> Question:
    """The question that a request asks.

    Raises InvalidRequest for a field that this key may not set, and for messages without a
    question.
    """
    for position, message in enumerate(wire.messages):
        _check_length(message, position)
    if not caller.has_secret_key:
        return _from_visitor(wire, caller, base_url=base_url, limits=limits)
    check_contents(wire.messages)
    _check_depth(wire)
    asked = _find_asked(wire.messages)
    history: list[PromptMessage] = []
    turns: list[PromptMessage] = []
    system: list[str] = []
    for position, message in enumerate(wire.messages):
        if message.role in {"system", "developer"}:
            system.append(message.text)
        elif position != asked:
            (history if position < asked else turns).append(message)
    return Question(
        caller=caller,
        text=_to_text(wire.messages[asked], asked),
        message=wire.messages[asked],
        model=wire.model or caller.site.model,
        base_url=base_url,
        history=tuple(history),
        turns=tuple(turns),
        caller_text="\n\n".join(system),
        conversation_id=wire.conversation_id,
        is_stored=wire.store is not False,
        options=_to_options(wire),
        retrieval=_to_retrieval(wire.retrieval),
    )


def _from_visitor(
    wire: ChatRequest, caller: Caller, *, base_url: str, limits: LimitSettings
) -> Question:
    for name in _REFUSED_OF_VISITORS:
        if getattr(wire, name) is not None:
            raise not_for_visitors(name)
    if wire.model not in {None, "auto", caller.site.model}:
        raise not_for_visitors("model")
    for position, message in enumerate(wire.messages):
        if message.role not in {"user", "assistant"}:
            raise not_for_visitors(f"messages[{position}].role")
    if wire.conversation_id is not None and caller.visitor_id is None:
        raise InvalidRequest(
            "A conversation is continued with the visitor token that began it.",
            param="conversation_id",
        )
    asked = _find_asked(wire.messages)
    text = _to_text(wire.messages[asked], asked)
    return Question(
        caller=caller,
        text=text,
        message=PromptMessage(role="user", content=text),
        model=caller.site.model,
        base_url=base_url,
        conversation_id=wire.conversation_id,
        options=GenerationOptions(max_tokens=limits.visitor_answer_tokens),
    )


def not_for_visitors(param: str) -> InvalidRequest:
    """What a page is told that sets something of the site's."""
    name = param.split("[")[0]
    return InvalidRequest(
        f"A publishable key may not set {name}: it is the site's. Use a secret key from a server.",
        param=param,
        code="not_allowed_for_publishable_key",
    )


def _find_asked(messages: list[PromptMessage]) -> int:
    for position in range(len(messages) - 1, -1, -1):
        if messages[position].role == "user":
            return position
    raise InvalidRequest("There is no message with the role 'user'.", param="messages")


def _check_length(message: PromptMessage, position: int) -> None:
    length = len(message.text)
    if length > MAX_MESSAGE_CHARACTERS:
        raise InvalidRequest(
            f"A message may have {MAX_MESSAGE_CHARACTERS:,} characters; this has {length:,}.",
            param=f"messages[{position}].content",
        )


def _to_text(message: PromptMessage, position: int) -> str:
    text = message.text.replace("\x00", "\ufffd").strip()
    if not text:
        raise InvalidRequest("The question is empty.", param=f"messages[{position}].content")
    return text


def _check_depth(wire: ChatRequest) -> None:
    """Raises InvalidRequest for a schema nested deeper than any model would follow."""
    for position, tool in enumerate(wire.tools or ()):
        if _is_deep(tool.function.parameters, MAX_SCHEMA_DEPTH):
            raise _too_deep(f"tools[{position}].function.parameters")
    wanted = wire.response_format
    if wanted and wanted.json_schema and _is_deep(wanted.json_schema.schema, MAX_SCHEMA_DEPTH):
        raise _too_deep("response_format.json_schema.schema")


def _is_deep(value: object, levels: int) -> bool:
    if isinstance(value, dict):
        value = list(cast("dict[str, object]", value).values())
    if not isinstance(value, list):
        return False
    return levels == 0 or any(_is_deep(one, levels - 1) for one in cast("list[object]", value))


def _too_deep(param: str) -> InvalidRequest:
    return InvalidRequest(f"{param} is nested deeper than {MAX_SCHEMA_DEPTH} levels.", param=param)


def _to_options(wire: ChatRequest) -> GenerationOptions:
    stop = wire.stop or ()
    return GenerationOptions(
        max_tokens=wire.max_completion_tokens or wire.max_tokens,
        temperature=wire.temperature,
        top_p=wire.top_p,
        presence_penalty=wire.presence_penalty,
        frequency_penalty=wire.frequency_penalty,
        n=wire.n or 1,
        seed=wire.seed,
        stop=(stop,) if isinstance(stop, str) else tuple(stop),
        tools=tuple(wire.tools or ()),
        tool_choice=wire.tool_choice,
        parallel_tool_calls=wire.parallel_tool_calls,
        response_format=wire.response_format,
        logprobs=wire.logprobs,
        top_logprobs=wire.top_logprobs,
        reasoning_effort=wire.reasoning_effort,
        user=wire.user,
        metadata=wire.metadata,
        stores_metadata=wire.store is True,
    )


def _to_retrieval(wire: Retrieval | None) -> RetrievalOptions:
    if wire is None:
        return RetrievalOptions()
    if wire.filters is not None and wire.store_ids is None:
        raise InvalidRequest(
            "Files of vector stores are filtered: name some in retrieval.store_ids.",
            param="retrieval.filters",
        )
    return RetrievalOptions(
        is_off=wire.off, max_passages=wire.max_passages, min_score=wire.min_score
    )
