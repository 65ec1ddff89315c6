"""OpenAI's stream events as ours."""

from __future__ import annotations

from collections import deque
from typing import Final

import msgspec

from sitebrook.providers import faults
from sitebrook.providers.extras import ExtraReader, MalformedExtra
from sitebrook.providers.protocol import Delta, Finish, ProviderEvent, ProviderRequest, Usage
from sitebrook.providers.wire import (
    WireChoice,
    WireDelta,
    WireEvent,
    WireUsage,
    to_detail,
    to_event,
    to_extra,
    to_plain_event,
    to_text,
)

_DONE: Final = b"[DONE]"
_FAILED: Final = "error"  # how OpenRouter finishes an answer that its upstream broke off


class OpenAIReader:
    """Reads one answer to ``request``; satisfies ``WireReader``."""

    __slots__ = (
        "_extra_deltas",
        "_extras",
        "_finished",
        "_is_plain",
        "_provider",
        "_request",
        "_seen",
        "_usage",
        "has_begun",
        "is_over",
        "ready",
    )

    def __init__(self, provider: str, request: ProviderRequest) -> None:
        self.ready: deque[ProviderEvent] = deque()
        self.has_begun = False
        self.is_over = False
        self._is_plain = True
        self._provider = provider
        self._request = request
        self._seen: set[int] = set()
        self._finished: set[int] = set()
        self._usage: WireUsage | None = None
        self._extras: dict[int, ExtraReader] = {}

    def read(self, payload: bytes) -> None:
        """Takes the data of one event; see ``WireReader.read``."""
        if not self._is_plain:
            self._read_any(payload)
            return
        try:
            event = to_plain_event(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self._is_plain = False  # what it is comes again, or ends the answer
            self._read_any(payload)
            return
        for choice in event.choices or ():
            index, delta = choice.index, choice.delta
            if index in self._finished:
                continue
            if index not in self._seen:
                self._seen.add(index)
                self.has_begun = True
            if delta is not None and (content := delta.content):
                if "\0" in content:
                    content = to_text(content)
                self.ready.append(Delta(index=index, content=content))
            if choice.finish_reason:
                self._finish(index, choice.finish_reason)
        if event.usage is not None:
            self._usage = event.usage

    def end(self) -> None:
        """Completes an answer whose ``[DONE]`` is missing; see ``WireReader.end``."""
        if self._is_whole(is_done=False):
            self._complete()

    def _read_any(self, payload: bytes) -> None:
        if payload == _DONE:
            if not self._is_whole(is_done=True):
                raise faults.broken_off(self._provider)
            self._complete()
            return
        try:
            event = to_event(payload)
        except ValueError:
            if payload.strip():
                raise faults.malformed(self._provider, "sent what is not JSON") from None
            return
        try:
            self._take(event)
        except MalformedExtra as error:
            raise faults.malformed(self._provider, f"sent {error} of another shape") from None

    def _take(self, event: WireEvent) -> None:
        error = to_extra(event.error)
        if error is not None:  # its choices, which may even be finished, are no part of the answer
            raise faults.from_event(self._provider, self._request.model, bytes(error))
        if event.choices:
            for choice in event.choices:
                self._take_choice(choice)
        if event.usage is not None:
            self._usage = event.usage

    def _take_choice(self, choice: WireChoice) -> None:
        index, wire = choice.index, choice.delta
        if index in self._finished:
            return
        self.has_begun = True
        self._seen.add(index)
        if wire is not None:
            content = wire.content
            if content:
                content = to_text(content)
            if (
                wire.tool_calls
                or choice.logprobs
                or wire.refusal
                or wire.reasoning_content
                or wire.reasoning
            ):
                self._take_extras(choice, wire, content or "")
            elif content:
                self.ready.append(Delta(index=index, content=content))
        if choice.finish_reason:
            self._finish(index, choice.finish_reason)

    def _finish(self, index: int, reason: str) -> None:
        if reason == _FAILED:
            raise faults.from_event(self._provider, self._request.model, b"{}")
        self._finished.add(index)
        self.ready.append(Finish(index, reason))

    def _take_extras(self, choice: WireChoice, wire: WireDelta, content: str) -> None:
        reader = self._extras.setdefault(choice.index, ExtraReader())
        delta = reader.read(choice, wire, content)
        if delta != Delta(index=delta.index):
            self.ready.append(delta)

    def _is_whole(self, *, is_done: bool) -> bool:
        """Whether every choice was finished; without ``[DONE]`` that means all that were asked."""
        if not self._finished or not self._seen <= self._finished:
            return False
        return is_done or len(self._finished) >= self._request.options.n

    def _complete(self) -> None:
        sent = self._usage
        if sent is not None and sent.prompt_tokens is not None:
            usage = Usage(
                sent.prompt_tokens,
                sent.completion_tokens or 0,
                cached_tokens=to_detail(sent.prompt_tokens_details, "cached_tokens"),
                reasoning_tokens=to_detail(sent.completion_tokens_details, "reasoning_tokens"),
            )
            self.ready.append(usage)
        self.is_over = True
