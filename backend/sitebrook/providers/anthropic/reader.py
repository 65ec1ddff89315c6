"""The events of a Messages stream as ours."""

from __future__ import annotations

from collections import deque
from typing import Final

import msgspec

from sitebrook.providers import faults
from sitebrook.providers.protocol import (
    Delta,
    Finish,
    FunctionDelta,
    ProviderEvent,
    ProviderRequest,
    ToolCallDelta,
    Usage,
)
from sitebrook.providers.wire import decode_event, to_extra, to_text

_NOTHING: Final = msgspec.Raw()
_DONE: Final = b"[DONE]"  # some gateways send it after the last event

# pause_turn and a full context leave the answer unfinished, as a limit does.
_REASONS: Final = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "pause_turn": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


class _Usage(msgspec.Struct, frozen=True, gc=False):
    input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    output_tokens: int | None = None


class _Message(msgspec.Struct, frozen=True, gc=False):
    usage: _Usage | None = None


class _Block(msgspec.Struct, frozen=True, gc=False):
    type: str = ""
    text: str | None = None
    thinking: str | None = None
    id: str | None = None
    name: str | None = None
    input: msgspec.Raw = _NOTHING


class _Delta(msgspec.Struct, frozen=True, gc=False):
    text: str | None = None
    partial_json: str | None = None
    thinking: str | None = None
    stop_reason: str | None = None


class _Event(msgspec.Struct, frozen=True, gc=False):
    type: str = ""
    index: int = 0
    delta: _Delta | None = None
    content_block: _Block | None = None
    message: _Message | None = None
    usage: _Usage | None = None
    error: msgspec.Raw = _NOTHING


class _Call(msgspec.Struct):
    """A tool call under way: its number among the calls and what it is asked with."""

    number: int
    whole: str
    has_pieces: bool = False


_INPUT: Final = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
_OUTPUT: Final = "output_tokens"
_decoder: Final = msgspec.json.Decoder(_Event)


class AnthropicReader:
    """Reads one answer to ``request``; satisfies ``WireReader``.

    The answer is whole when a stop_reason was seen, also if message_stop is missing.
    """

    def __init__(self, provider: str, request: ProviderRequest) -> None:
        self.ready: deque[ProviderEvent] = deque()
        self.has_begun = False
        self.is_over = False
        self._provider = provider
        self._request = request
        self._calls: dict[int, _Call] = {}
        self._is_finished = False
        self._counts: dict[str, int] = {}

    def read(self, payload: bytes) -> None:
        """Takes the data of one event; see ``WireReader.read``."""
        if not payload.strip() or payload == _DONE:
            return
        try:
            event = decode_event(payload, _decoder)
        except ValueError:
            raise faults.malformed(self._provider, "sent what is not a Messages event") from None
        self._take(event)

    def end(self) -> None:
        """Completes an answer whose message_stop is missing; see ``WireReader.end``."""
        if self._is_finished:
            self._complete()

    def _take(self, event: _Event) -> None:
        kind = event.type
        if kind.startswith("content_block_"):
            if not self._is_finished:
                self._take_block(kind, event)
        elif kind == "message_start":
            self.has_begun = True
            # The tokens of the answer are not known yet, whatever it says of them.
            self._count(event.message.usage if event.message else None, counts=_INPUT)
        elif kind == "message_delta":
            self._count(event.usage, counts=(*_INPUT, _OUTPUT))
            self._finish(event.delta.stop_reason if event.delta else None)
        elif kind == "message_stop":
            if not self._is_finished:
                raise faults.broken_off(self._provider)
            self._complete()
        elif kind == "error" or to_extra(event.error) is not None:
            raise faults.from_event(self._provider, self._request.model, bytes(event.error))
        # Anything else, such as ping, means nothing here; the API may add kinds of events.

    def _take_block(self, kind: str, event: _Event) -> None:
        self.has_begun = True
        if kind == "content_block_delta":
            self._take_delta(event.index, event.delta or _Delta())
        elif kind == "content_block_start":
            self._start_block(event.index, event.content_block or _Block())
        elif kind == "content_block_stop":
            self._stop_block(event.index)

    def _start_block(self, index: int, block: _Block) -> None:
        if block.type == "tool_use":
            whole = bytes(block.input).decode("utf-8", "replace")
            call = _Call(len(self._calls), "{}" if whole in {"", "null"} else whole)
            self._calls[index] = call
            self._give_call(
                ToolCallDelta(
                    index=call.number,
                    id=to_text(block.id or ""),
                    type="function",
                    function=FunctionDelta(name=to_text(block.name or ""), arguments=""),
                )
            )
        elif block.type == "text" and block.text:
            self._give_text(block.text)
        elif block.type == "thinking" and block.thinking:
            self._give_thought(block.thinking)

    def _take_delta(self, index: int, delta: _Delta) -> None:
        if delta.text:
            self._give_text(delta.text)
        elif delta.thinking:
            self._give_thought(delta.thinking)
        elif delta.partial_json:
            call = self._calls.get(index)
            if call is not None:  # else a tool of the server, which is never asked for
                call.has_pieces = True
                self._give_arguments(call, delta.partial_json)

    def _stop_block(self, index: int) -> None:
        call = self._calls.get(index)
        if call is not None and not call.has_pieces:
            self._give_arguments(call, call.whole)

    def _give_text(self, text: str) -> None:
        self.ready.append(Delta(content=to_text(text)))

    def _give_thought(self, thought: str) -> None:
        self.ready.append(Delta(reasoning_content=to_text(thought)))

    def _give_arguments(self, call: _Call, arguments: str) -> None:
        function = FunctionDelta(arguments=to_text(arguments))
        self._give_call(ToolCallDelta(index=call.number, function=function))

    def _give_call(self, call: ToolCallDelta) -> None:
        self.ready.append(Delta(tool_calls=(call,)))

    def _finish(self, stop_reason: str | None) -> None:
        if stop_reason is None or self._is_finished:
            return
        self._is_finished = True
        self.ready.append(Finish(0, _REASONS.get(stop_reason, "stop")))

    def _count(self, usage: _Usage | None, *, counts: tuple[str, ...]) -> None:
        """Takes these counts, which are cumulative: a later one replaces an earlier one."""
        for name in counts if usage is not None else ():
            count = getattr(usage, name)
            if count is not None:
                self._counts[name] = count

    def _complete(self) -> None:
        counts = self._counts
        if "input_tokens" in counts and _OUTPUT in counts:
            prompt = sum(counts.get(name, 0) for name in _INPUT)
            cached = counts.get("cache_read_input_tokens") or None
            self.ready.append(Usage(prompt, counts[_OUTPUT], cached_tokens=cached))
        self.is_over = True
