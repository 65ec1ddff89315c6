"""What a provider is asked and what it answers; the shapes follow OpenAI's chat wire format."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from typing import Any, Literal, Protocol

import msgspec

from sitebrook.errors import ProviderError


class TextPart(msgspec.Struct, frozen=True, tag_field="type", tag="text"):
    """A piece of text in a message."""

    text: str


class ImageUrl(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where an image is: an https or data URL."""

    url: str
    detail: str | None = None


class ImagePart(msgspec.Struct, frozen=True, tag_field="type", tag="image_url"):
    """An image in a message."""

    image_url: ImageUrl


class FileContent(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file by id or as a data URL."""

    file_id: str | None = None
    file_data: str | None = None
    filename: str | None = None


class FilePart(msgspec.Struct, frozen=True, tag_field="type", tag="file"):
    """A file in a message."""

    file: FileContent


ContentPart = TextPart | ImagePart | FilePart


class FunctionCall(msgspec.Struct, frozen=True):
    """The function that the model wants called; ``arguments`` is JSON text."""

    name: str
    arguments: str


class ToolCall(msgspec.Struct, frozen=True):
    """One call that the model asks for."""

    id: str
    function: FunctionCall
    type: Literal["function"] = "function"


class PromptMessage(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One message of the prompt."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | tuple[ContentPart, ...] | None = None
    name: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None

    @property
    def text(self) -> str:
        """The message's text parts joined by newlines."""
        if isinstance(self.content, str):
            return self.content
        parts = self.content or ()
        return "\n".join(part.text for part in parts if isinstance(part, TextPart))


class FunctionSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """A function that the model may call; ``parameters`` is a JSON schema."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(msgspec.Struct, frozen=True):
    """A tool that the model may use."""

    function: FunctionSpec
    type: Literal["function"] = "function"


class FunctionName(msgspec.Struct, frozen=True):
    """Names a function."""

    name: str


class NamedToolChoice(msgspec.Struct, frozen=True):
    """Makes the model call this function."""

    function: FunctionName
    type: Literal["function"] = "function"


class JsonSchema(msgspec.Struct, frozen=True, omit_defaults=True):
    """The schema that an answer must fit."""

    name: str
    schema: dict[str, Any] | None = None
    description: str | None = None
    strict: bool | None = None


class ResponseFormat(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the answer must look like."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class GenerationOptions(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """How to generate; what is unset is left to the provider.

    ``user``, ``metadata`` and ``stores_metadata`` are only ever a secret key's. The last says that
    the provider may keep the answer together with the metadata.
    """

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    n: int = 1
    seed: int | None = None
    stop: tuple[str, ...] = ()
    tools: tuple[Tool, ...] = ()
    tool_choice: Literal["none", "auto", "required"] | NamedToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    reasoning_effort: str | None = None
    user: str | None = None
    metadata: dict[str, str] | None = None
    stores_metadata: bool = False


class PromptPassage(msgspec.Struct, frozen=True):
    """A passage as it stands in the prompt, for providers that answer from it directly."""

    number: int
    title: str
    text: str


class ProviderRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One generation; ``model`` is the upstream's own name for it.

    ``language`` is the site's (ISO 639-1). ``passages`` stand in ``messages`` already; only the
    mock reads them from here. ``uses_passages`` is False when nothing was looked up. No upstream
    is asked after ``start_by``, a time of ``time.monotonic``.
    """

    model: str
    messages: tuple[PromptMessage, ...]
    options: GenerationOptions = GenerationOptions()
    passages: tuple[PromptPassage, ...] = ()
    language: str = "en"
    uses_passages: bool = True
    start_by: float = math.inf


class FunctionDelta(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What a piece of a tool call adds to name and arguments."""

    name: str | None = None
    arguments: str | None = None


class ToolCallDelta(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """A piece of the ``index``-th tool call of a choice; the first has ``type``, one the ``id``."""

    index: int
    id: str | None = None
    type: Literal["function"] | None = None
    function: FunctionDelta


class Logprobs(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The probabilities of a delta's tokens, as the upstream tells them."""

    content: tuple[dict[str, Any], ...] | None = None
    refusal: tuple[dict[str, Any], ...] | None = None


class Delta(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A piece of generated text, or of what comes beside it.

    No text in it holds a NUL or a lone surrogate.
    """

    index: int = 0
    content: str = ""
    tool_calls: tuple[ToolCallDelta, ...] = ()
    refusal: str = ""
    reasoning_content: str = ""
    logprobs: Logprobs | None = None


class Finish(msgspec.Struct, frozen=True, gc=False):
    """The end of one choice: ``stop``, ``length``, ``tool_calls`` or ``content_filter``."""

    index: int
    reason: str


class Usage(msgspec.Struct, frozen=True, gc=False):
    """Tokens of the whole generation, the last event: always of an answer, of a stream if told.

    ``cached_tokens`` are the part of the prompt that the provider had in its cache and
    ``reasoning_tokens`` the part of the completion that it thought with; None when it did not say.
    ``cost`` is money and comes with the answer, not from the provider: None is unknown, UNSET what
    the caller may not see.
    """

    prompt_tokens: int
    completion_tokens: int
    is_estimated: bool = False
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost: Decimal | msgspec.UnsetType | None = msgspec.UNSET


ProviderEvent = Delta | Finish | Usage


class StreamEnd(msgspec.Struct, frozen=True):
    """How a stream ended: whole, with a failure, or with neither when it was closed before."""

    is_whole: bool
    failure: ProviderError | None


class ProviderStream(Protocol):
    """The events of one generation, in order: every choice ended by one Finish, then the Usage.

    There is no Usage where the upstream tells none. Raises ProviderError when it breaks off;
    ``aclose`` ends the upstream's work. It is read once.
    """

    @property
    def has_ready(self) -> bool:
        """Whether the next event has arrived already."""
        ...

    def on_ready(self, listener: Callable[[], None]) -> None:
        """Calls ``listener`` in the moment an event arrives for which the iterator waits.

        What it does not take the iterator gives. It is a shortcut, which saves the turn of the
        event loop that wakes a task; a stream need not have it.
        """
        ...

    def take_deltas(self) -> list[Delta]:
        """The deltas that have arrived, up to another event; the iterator gives them no more."""
        ...

    def __aiter__(self) -> AsyncIterator[ProviderEvent]:
        """The events; the first is there already."""
        ...

    def on_end(self, listener: Callable[[StreamEnd], None]) -> None:
        """Calls ``listener`` once, as soon as the upstream's part is over; soon if it is.

        Wrappers listen here: one that stood between the reader and each event would cost more than
        decoding it.
        """
        ...

    async def aclose(self) -> None:
        """Ends the generation; harmless when it has ended."""
        ...


class Provider(Protocol):
    """An upstream that generates text."""

    @property
    def name(self) -> str:
        """The provider's name in the settings."""
        ...

    def check(self, request: ProviderRequest) -> None:
        """Raises InvalidRequest with ``param`` for what the provider or the model does not have.

        Cheap, sends nothing, and says the same for the same request each time.
        """
        ...

    async def open(self, request: ProviderRequest) -> ProviderStream:
        """A stream whose first Delta or Finish has arrived.

        Raises ProviderError before that, InvalidRequest as ``check`` does and for what cannot be
        sent. Cancelling it, or closing the stream, closes the upstream connection at once.
        """
        ...

    async def aclose(self) -> None:
        """Ends what the provider itself holds open; a shared client stays open."""
        ...
