"""Answer events as the chunks of a chat completion stream, and summed up as one JSON body."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

import msgspec

from sitebrook.api.errors import ErrorReply
from sitebrook.api.schemas.chat import (
    Annotation,
    ChatCompletion,
    Choice,
    CompletionTokensDetails,
    CompletionUsage,
    PromptTokensDetails,
    ResponseMessage,
    UrlCitation,
)
from sitebrook.chat.answer import AnswerEvent, AnswerOrigin, Cited
from sitebrook.chat.answer_log import is_plain
from sitebrook.chat.citations import Citation
from sitebrook.providers.protocol import (
    Delta,
    Finish,
    FunctionCall,
    Logprobs,
    ToolCall,
    ToolCallDelta,
    Usage,
)

_DONE: Final = b"data: [DONE]\n\n"
_ENCODE: Final = msgspec.json.Encoder().encode


class ChunkFormat:
    """OpenAI's chunks; every one of a stream has the same id, created and model."""

    def __init__(self, *, includes_usage: bool) -> None:
        self._includes_usage = includes_usage
        # With include_usage every chunk but the last says that it has none (OpenAI's reference).
        self._tail = b',"usage":null}\n\n' if includes_usage else b"}\n\n"
        self._plain_end = b'},"finish_reason":null}]' + self._tail
        self._head = b""
        self._conversation_id: str | None = None
        # What stands before the text of a choice's plain delta, once the choice has begun.
        self._plain_heads: dict[int, bytes] = {}

    def begin(self, origin: AnswerOrigin) -> None:
        """Tells what all chunks have in common."""
        head = {
            "id": origin.id,
            "object": "chat.completion.chunk",
            "created": origin.created,
            "model": origin.model,
        }
        self._head = b"data: " + _ENCODE(head)[:-1]
        self._conversation_id = origin.conversation_id

    def encode(self, event: AnswerEvent) -> bytes:
        """The frames for one event, none for usage that nobody asked for."""
        if isinstance(event, Delta):
            index = event.index
            opening = b"" if index in self._plain_heads else self._open(index)
            if is_plain(event):
                return opening + self._plain_heads[index] + _ENCODE(event.content) + self._plain_end
            return opening + self._encode_delta(event)
        if isinstance(event, Finish):
            return self._open(event.index) + self._choice(event.index, b"{}", finish=event.reason)
        if isinstance(event, Usage):
            return self._encode_usage(event)
        annotations = _ENCODE({"annotations": to_annotations(event)})
        more = b',"citations":' + _ENCODE(event.citations)
        return self._choice(event.index, annotations, more=more)

    def restart(self) -> bytes:
        """A chunk without choices: what came before does not count, all of it follows."""
        self._plain_heads.clear()
        return self._head + b',"choices":[],"snapshot":true' + self._tail

    def end(self) -> bytes:
        """OpenAI's mark of a whole stream."""
        return _DONE

    def encode_error(self, reply: ErrorReply) -> bytes:
        """The last frame of a stream that broke off."""
        return b"data: " + reply.encode() + b"\n\n"

    def _open(self, index: int) -> bytes:
        """The chunk that begins a choice, the first time."""
        if index in self._plain_heads:
            return b""
        is_first = not self._plain_heads
        self._plain_heads[index] = (
            self._head + b',"choices":[{"index":%d,"delta":{"content":' % index
        )
        more = b',"conversation_id":' + _ENCODE(self._conversation_id) if is_first else b""
        return self._choice(index, b'{"role":"assistant","content":""}', more=more)

    def _encode_delta(self, delta: Delta) -> bytes:
        fields: list[bytes] = []
        if delta.content:
            fields.append(b'"content":' + _ENCODE(delta.content))
        for name, extra in (
            (b"tool_calls", delta.tool_calls),
            (b"refusal", delta.refusal),
            (b"reasoning_content", delta.reasoning_content),
        ):
            if extra:
                fields.append(b'"' + name + b'":' + _ENCODE(extra))
        logprobs = b"" if delta.logprobs is None else b',"logprobs":' + _ENCODE(delta.logprobs)
        return self._choice(delta.index, b"{" + b",".join(fields) + b"}", logprobs=logprobs)

    def _choice(
        self,
        index: int,
        delta: bytes,
        *,
        finish: str | None = None,
        more: bytes = b"",
        logprobs: bytes = b"",
    ) -> bytes:
        reason = b"null" if finish is None else _ENCODE(finish)
        return b"".join(
            (
                self._head,
                b',"choices":[{"index":%d,"delta":' % index,
                delta,
                logprobs,
                b',"finish_reason":',
                reason,
                b"}]",
                more,
                self._tail,
            )
        )

    def _encode_usage(self, usage: Usage) -> bytes:
        if not self._includes_usage:
            return b""
        return self._head + b',"choices":[],"usage":' + _ENCODE(to_wire_usage(usage)) + b"}\n\n"


def to_annotations(cited: Cited) -> tuple[Annotation, ...]:
    """OpenAI's annotations for the markers of one choice."""
    sources = {citation.index: citation for citation in cited.citations}
    return tuple(
        Annotation(
            UrlCitation(
                url=sources[marker.index].url,
                title=sources[marker.index].title,
                start_index=marker.start,
                end_index=marker.end,
            )
        )
        for marker in cited.markers
    )


def to_wire_usage(usage: Usage) -> CompletionUsage:
    """OpenAI's usage object."""
    cached, reasoning, cost = usage.cached_tokens, usage.reasoning_tokens, usage.cost
    return CompletionUsage(
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        total_tokens=usage.prompt_tokens + usage.completion_tokens,
        estimated=usage.is_estimated,
        prompt_tokens_details=msgspec.UNSET if cached is None else PromptTokensDetails(cached),
        completion_tokens_details=(
            msgspec.UNSET if reasoning is None else CompletionTokensDetails(reasoning)
        ),
        cost=float(cost) if isinstance(cost, Decimal) else cost,
    )


class CompletionBuilder:
    """The same events, summed up to one completion."""

    def __init__(self, origin: AnswerOrigin) -> None:
        self._origin = origin
        self._choices: dict[int, _BuiltChoice] = {}
        self._citations: dict[int, Citation] = {}
        self._usage: Usage | None = None

    def add(self, batch: Iterable[AnswerEvent]) -> None:
        """Takes the next events."""
        for event in batch:
            if isinstance(event, Usage):
                self._usage = event
                continue
            choice = self._choices.get(event.index)
            if choice is None:
                choice = self._choices[event.index] = _BuiltChoice()
            if isinstance(event, Delta):
                choice.content.append(event.content)
                if not is_plain(event):
                    choice.add_beside(event)
            elif isinstance(event, Finish):
                choice.finish_reason = event.reason
            else:
                choice.annotations = to_annotations(event)
                self._citations.update({one.index: one for one in event.citations})

    def build(self) -> ChatCompletion:
        """The whole completion, once every event was added."""
        return ChatCompletion(
            id=self._origin.id,
            created=self._origin.created,
            model=self._origin.model,
            choices=[self._choices[index].build(index) for index in sorted(self._choices)],
            usage=None if self._usage is None else to_wire_usage(self._usage),
            citations=[self._citations[index] for index in sorted(self._citations)],
            conversation_id=self._origin.conversation_id,
        )


class _BuiltCall:
    def __init__(self) -> None:
        self._id = ""
        self._name: list[str] = []
        self._arguments: list[str] = []

    def add(self, part: ToolCallDelta) -> None:
        self._id = part.id or self._id
        self._name.append(part.function.name or "")
        self._arguments.append(part.function.arguments or "")

    def build(self) -> ToolCall:
        called = FunctionCall("".join(self._name), "".join(self._arguments))
        return ToolCall(self._id, called)


class _BuiltChoice:
    def __init__(self) -> None:
        self.annotations: tuple[Annotation, ...] = ()
        self.finish_reason = ""
        self.content: list[str] = []
        self._refusal: list[str] = []
        self._reasoning: list[str] = []
        self._calls: dict[int, _BuiltCall] = {}
        self._logprobs: list[Logprobs] = []

    def add_beside(self, delta: Delta) -> None:
        self._refusal.append(delta.refusal)
        self._reasoning.append(delta.reasoning_content)
        for part in delta.tool_calls:
            self._calls.setdefault(part.index, _BuiltCall()).add(part)
        if delta.logprobs is not None:
            self._logprobs.append(delta.logprobs)

    def build(self, index: int) -> Choice:
        calls = tuple(self._calls[number].build() for number in sorted(self._calls))
        content = "".join(self.content)
        return Choice(
            index=index,
            message=ResponseMessage(
                content=content if content or not calls else None,
                refusal="".join(self._refusal) or None,
                reasoning_content="".join(self._reasoning) or msgspec.UNSET,
                annotations=self.annotations,
                tool_calls=calls or msgspec.UNSET,
            ),
            logprobs=_joined(self._logprobs),
            finish_reason=self.finish_reason,
        )


def _joined(parts: list[Logprobs]) -> Logprobs | None:
    content = tuple(token for part in parts for token in part.content or ())
    refusal = tuple(token for part in parts for token in part.refusal or ())
    if not content and not refusal:
        return None
    return Logprobs(content=content or None, refusal=refusal or None)
