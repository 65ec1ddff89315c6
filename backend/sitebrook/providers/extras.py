"""What a delta holds beside its text, checked and numbered once for every reader."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Final, TypeVar

import msgspec

from sitebrook.providers.protocol import Delta, FunctionDelta, Logprobs, ToolCallDelta
from sitebrook.providers.wire import WireChoice, WireDelta, repair, to_extra


class MalformedExtra(ValueError):
    """A field of a delta has not the shape of OpenAI's wire; its text names the field."""


class _WireFunction(msgspec.Struct, frozen=True):
    name: str | None = None
    arguments: str | None = None


class _WireCall(msgspec.Struct, frozen=True):
    index: Annotated[int, msgspec.Meta(ge=0)] | None = None
    id: str | None = None
    function: _WireFunction | None = None


class _WireLogprobs(msgspec.Struct, frozen=True):
    content: tuple[dict[str, Any], ...] | None = None
    refusal: tuple[dict[str, Any], ...] | None = None


_CALLS: Final = msgspec.json.Decoder(tuple[_WireCall, ...])
_LOGPROBS: Final = msgspec.json.Decoder(_WireLogprobs)
_TEXT: Final = msgspec.json.Decoder(str)


class ExtraReader:
    """Reads the extras of one choice; the pieces of its tool calls get their numbers."""

    def __init__(self) -> None:
        self._calls = _CallNumbers()

    def read(self, choice: WireChoice, wire: WireDelta, content: str) -> Delta:
        """The delta with all that the choice holds. Raises MalformedExtra."""
        calls = _decode("tool_calls", wire.tool_calls, _CALLS) or ()
        reasoning = _decode("reasoning_content", wire.reasoning_content, _TEXT)
        return Delta(
            index=choice.index,
            content=content,
            tool_calls=self._calls.number(calls),
            refusal=_decode("refusal", wire.refusal, _TEXT) or "",
            reasoning_content=reasoning or _decode("reasoning", wire.reasoning, _TEXT) or "",
            logprobs=_to_logprobs(_decode("logprobs", choice.logprobs, _LOGPROBS)),
        )


class _CallNumbers:
    """Which call a piece belongs to.

    Some upstreams leave ``index`` out (Gemini), some give 0 to every call (Ollama), some invent an
    id for every piece of a call (vLLM before 0.9): a name and another id begin a call.
    """

    def __init__(self) -> None:
        self._by_index: dict[int, int] = {}
        self._by_id: dict[str, int] = {}
        self._ids: dict[int, str] = {}
        self._last: int | None = None

    def number(self, calls: Iterable[_WireCall]) -> tuple[ToolCallDelta, ...]:
        return tuple(map(self._to_delta, calls))

    def _to_delta(self, call: _WireCall) -> ToolCallDelta:
        number = self._find(call)
        is_first = number is None
        if number is None:
            number = self._next(call.index)
        self._last = number
        if call.index is not None:
            self._by_index[call.index] = number
        has_new_id = bool(call.id) and not self._ids.get(number)
        if call.id and has_new_id:
            self._by_id[call.id] = number
        if is_first or has_new_id:
            self._ids[number] = call.id or ""
        function = call.function or _WireFunction()
        return ToolCallDelta(
            index=number,
            id=call.id if has_new_id else None,
            type="function" if is_first else None,
            function=FunctionDelta(name=function.name or None, arguments=function.arguments),
        )

    def _find(self, call: _WireCall) -> int | None:
        """The number of the call that the piece goes on with, None for a new one."""
        has_name = call.function is not None and bool(call.function.name)
        if call.index is not None:
            number = self._by_index.get(call.index)
            known = None if number is None else self._ids[number]
            is_other = bool(has_name and call.id and known and call.id != known)
            return None if is_other else number
        if call.id:
            return self._by_id.get(call.id)
        return None if has_name else self._last

    def _next(self, index: int | None) -> int:
        if index is not None and index not in self._ids:
            return index
        return max(self._ids, default=-1) + 1


_Value = TypeVar("_Value")


def _decode(name: str, raw: msgspec.Raw, decoder: msgspec.json.Decoder[_Value]) -> _Value | None:
    extra = to_extra(raw)
    if extra is None:
        return None
    try:
        return decoder.decode(extra)
    except (msgspec.ValidationError, RecursionError):
        raise MalformedExtra(name) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _decode_repaired(name, bytes(extra), decoder)


def _decode_repaired(name: str, text: bytes, decoder: msgspec.json.Decoder[_Value]) -> _Value:
    """Without halves of surrogate pairs, which the decoder of events does not look for here."""
    try:
        return decoder.decode(repair(text))
    except (msgspec.DecodeError, RecursionError):
        raise MalformedExtra(name) from None


def _to_logprobs(wire: _WireLogprobs | None) -> Logprobs | None:
    if wire is None or not (wire.content or wire.refusal):
        return None
    return Logprobs(content=wire.content or None, refusal=wire.refusal or None)
