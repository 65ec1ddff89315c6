"""The wire of ``/v1/chat/completions``: OpenAI's, with extensions in keys of our own."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from sitebrook.api.schemas.stores import FilterRequest
from sitebrook.chat.citations import Citation
from sitebrook.chat.question import MAX_MESSAGES
from sitebrook.providers.protocol import (
    Logprobs,
    NamedToolChoice,
    PromptMessage,
    ResponseFormat,
    Tool,
    ToolCall,
)

PositiveInt = Annotated[int, msgspec.Meta(ge=1)]
Penalty = Annotated[float, msgspec.Meta(ge=-2, le=2)]
MAX_CHOICES = 8
MAX_STOPS = 4
MAX_STORES = 10


class StreamOptions(msgspec.Struct, frozen=True):
    """What a stream carries beside the answer."""

    include_usage: bool = False


class Retrieval(msgspec.Struct, frozen=True):
    """How passages are found for this question (secret keys only).

    With ``store_ids`` these vector stores are searched instead of the site's documents, of their
    files those that pass ``filters``.
    """

    off: bool = False
    max_passages: Annotated[int, msgspec.Meta(ge=1, le=50)] | None = None
    min_score: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    store_ids: Annotated[list[str], msgspec.Meta(min_length=1, max_length=MAX_STORES)] | None = None
    filters: FilterRequest | None = None


class ChatRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A question. Unknown keys are ignored.

    With ``conversation_id`` the history is the server's: of ``messages`` the last one of a user
    counts, with what follows it.

    A publishable key or visitor token may send ``messages`` (the last user message counts),
    ``stream``, ``stream_options`` and ``conversation_id``; ``user``, ``metadata``, ``store`` and
    ``seed`` are ignored, everything else is refused with 400.
    """

    messages: Annotated[list[PromptMessage], msgspec.Meta(min_length=1, max_length=MAX_MESSAGES)]
    model: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    conversation_id: str | None = None
    retrieval: Retrieval | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    max_tokens: PositiveInt | None = None
    max_completion_tokens: PositiveInt | None = None
    n: Annotated[int, msgspec.Meta(ge=1, le=MAX_CHOICES)] | None = None
    stop: str | Annotated[list[str], msgspec.Meta(max_length=MAX_STOPS)] | None = None
    seed: int | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    tools: list[Tool] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, msgspec.Meta(ge=0, le=20)] | None = None
    reasoning_effort: str | None = None
    user: str | None = None
    metadata: dict[str, str] | None = None
    store: bool | None = None


class UrlCitation(msgspec.Struct, frozen=True):
    """A source and the code points of the text that name it, end exclusive."""

    url: str
    title: str
    start_index: int
    end_index: int


class Annotation(msgspec.Struct, frozen=True):
    """A citation marker in the text; empty at the end of a sentence that lacks one."""

    url_citation: UrlCitation
    type: Literal["url_citation"] = "url_citation"


class PromptTokensDetails(msgspec.Struct, frozen=True):
    """The part of the prompt that the provider had in its cache."""

    cached_tokens: int


class CompletionTokensDetails(msgspec.Struct, frozen=True):
    """The part of the answer's tokens that the model thought with."""

    reasoning_tokens: int


class CompletionUsage(msgspec.Struct, frozen=True):
    """Tokens; ``estimated`` when the provider sent none.

    Details are there when the provider sent them. ``cost`` is money by the server's price table,
    null when a price is unknown; it is there for secret keys only.
    """

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    estimated: bool = False
    prompt_tokens_details: PromptTokensDetails | msgspec.UnsetType = msgspec.UNSET
    completion_tokens_details: CompletionTokensDetails | msgspec.UnsetType = msgspec.UNSET
    cost: float | msgspec.UnsetType | None = msgspec.UNSET


class ResponseMessage(msgspec.Struct, frozen=True, kw_only=True):
    """An answer."""

    role: Literal["assistant"] = "assistant"
    content: str | None
    refusal: str | None = None
    reasoning_content: str | msgspec.UnsetType = msgspec.UNSET
    annotations: tuple[Annotation, ...] = ()
    tool_calls: tuple[ToolCall, ...] | msgspec.UnsetType = msgspec.UNSET


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """One of the ``n`` answers."""

    index: int
    message: ResponseMessage
    logprobs: Logprobs | None = None
    finish_reason: str


class ChatCompletion(msgspec.Struct, frozen=True, kw_only=True):
    """The whole answer; ``citations`` are the passages that it names or uses."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: CompletionUsage | None
    citations: list[Citation]
    conversation_id: str | None
