"""One streamed answer of an OpenAI-compatible upstream, from its bytes to our events."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

import aiohttp

from sitebrook.errors import ProviderError
from sitebrook.providers import faults
from sitebrook.providers.extras import ExtraReader, MalformedExtra
from sitebrook.providers.protocol import Delta, Finish, ProviderEvent, ProviderRequest, Usage
from sitebrook.providers.sse import EventTooLarge, SseDecoder
from sitebrook.providers.tokens import estimate_prompt_tokens, estimate_tokens
from sitebrook.providers.wire import (
    WireChoice,
    WireDelta,
    WireEvent,
    WireUsage,
    to_event,
    to_extra,
    to_text,
)
from sitebrook.settings import ProviderSettings

_DONE: Final = b"[DONE]"
_CLOSE_AFTER_S: Final = 1.0  # how long the end of the body may take after [DONE]


class Lingering:
    """Responses whose answer is whole but whose body has not ended yet.

    The end mostly comes in the packet after ``[DONE]`` and returns the connection to the pool; who
    reads the answer shall not wait for it. One that stays open is closed.
    """

    def __init__(self) -> None:
        self._responses: dict[aiohttp.ClientResponse, asyncio.TimerHandle] = {}

    def add(self, response: aiohttp.ClientResponse) -> None:
        """Closes the response soon, unless it ends by itself."""
        if not response.closed:
            loop = asyncio.get_running_loop()
            timer = loop.call_later(_CLOSE_AFTER_S, self._close, response)
            self._responses[response] = timer

    def close(self) -> None:
        """Closes them all."""
        for response, timer in list(self._responses.items()):
            timer.cancel()
            self._close(response)

    def _close(self, response: aiohttp.ClientResponse) -> None:
        self._responses.pop(response, None)
        response.close()


class OpenAIStream:
    """The events of one upstream response; it owns the response and ends it.

    The idle and the total clock are one timer that is moved on only when it fires: setting one for
    every read would cost more than decoding the read.
    """

    def __init__(
        self,
        settings: ProviderSettings,
        request: ProviderRequest,
        response: aiohttp.ClientResponse,
        *,
        ends_at: float,
        lingering: Lingering,
    ) -> None:
        self._provider = settings.name
        self._settings = settings
        self._request = request
        self._response = response
        self._lingering = lingering
        self._content = response.content
        self._decoder = SseDecoder()
        self._ready: deque[ProviderEvent] = deque()
        self._failure: ProviderError | None = None
        self._is_over = False
        self._texts: list[str] = []
        self._seen: set[int] = set()
        self._finished: set[int] = set()
        self._usage: WireUsage | None = None
        self._extras: dict[int, ExtraReader] = {}
        self._extra_deltas = 0
        self._loop = asyncio.get_running_loop()
        self._ends_at = ends_at
        self._waits_since: float | None = None
        self._expired: ProviderError | None = None
        self._timer: asyncio.TimerHandle | None = None

    def __aiter__(self) -> OpenAIStream:
        return self

    async def __anext__(self) -> ProviderEvent:
        ready = self._ready
        while not ready:
            if self._failure is not None:
                raise self._failure
            if self._is_over:
                raise StopAsyncIteration
            await self._read()
        return ready.popleft()

    async def wait_for_first(self) -> None:
        """Returns once there is an event to give; raises ProviderError when there never will be."""
        while not self._ready:
            if self._failure is not None:
                raise self._failure
            await self._read()
        self._arm()

    async def aclose(self) -> None:
        """Closes the upstream connection, unless the answer is whole and it can serve the next."""
        self.close()

    def close(self) -> None:
        """What ``aclose`` does, where nothing can be awaited."""
        if not self._is_over:
            self._end()
            self._response.close()

    async def _read(self) -> None:
        self._waits_since = self._loop.time()
        try:
            chunk = await self._content.readany()
        except (aiohttp.ClientError, OSError):
            self._end_of_bytes(is_cut=True)
            return
        finally:
            self._waits_since = None
        if not chunk:
            self._end_of_bytes(is_cut=False)
            return
        try:
            payloads = self._decoder.feed(chunk)
        except EventTooLarge:
            self._fail(faults.malformed(self._provider, "sent an event without an end"))
            return
        self._take_all(payloads)

    def _take_all(self, payloads: list[bytes]) -> None:
        for payload in payloads:
            if self._is_over:
                return
            if payload == _DONE:
                self._done()
                return
            try:
                event = to_event(payload)
            except ValueError:
                if payload.strip():
                    self._fail(faults.malformed(self._provider, "sent what is not JSON"))
                continue
            try:
                self._take(event)
            except MalformedExtra as error:
                self._fail(faults.malformed(self._provider, f"sent {error} of another shape"))

    def _take(self, event: WireEvent) -> None:
        if event.choices:
            for choice in event.choices:
                self._take_choice(choice)
        if event.usage is not None:
            self._usage = event.usage
        error = to_extra(event.error)
        if error is not None:
            self._fail(faults.from_event(self._provider, self._request.model, bytes(error)))

    def _take_choice(self, choice: WireChoice) -> None:
        index, wire = choice.index, choice.delta
        if index in self._finished:
            return
        self._seen.add(index)
        if wire is not None:
            content = wire.content
            if content:
                content = to_text(content)
                self._texts.append(content)
            if (
                wire.tool_calls
                or choice.logprobs
                or wire.refusal
                or wire.reasoning_content
                or wire.reasoning
            ):
                self._take_extras(choice, wire, content or "")
            elif content:
                self._ready.append(Delta(index=index, content=content))
        if choice.finish_reason:
            self._finished.add(index)
            self._ready.append(Finish(index, choice.finish_reason))

    def _take_extras(self, choice: WireChoice, wire: WireDelta, content: str) -> None:
        reader = self._extras.setdefault(choice.index, ExtraReader())
        delta = reader.read(choice, wire, content)
        if delta.tool_calls or delta.refusal or delta.reasoning_content:
            self._extra_deltas += 1
        elif not delta.content and not delta.logprobs:
            return
        self._ready.append(delta)

    def _done(self) -> None:
        if self._is_whole(is_done=True):
            self._complete()
        else:
            self._fail(faults.broken_off(self._provider))

    def _end_of_bytes(self, *, is_cut: bool) -> None:
        if not is_cut:
            self._take_all(self._decoder.end())
        if self._is_over:
            return
        if self._is_whole(is_done=False):
            self._complete()
        elif self._expired is not None:
            self._fail(self._expired)
        elif self._seen:
            self._fail(faults.broken_off(self._provider))
        else:
            self._fail(faults.malformed(self._provider, "ended the stream without an answer"))

    def _is_whole(self, *, is_done: bool) -> bool:
        """Whether every choice was finished; without ``[DONE]`` that means all that were asked."""
        if not self._finished or not self._seen <= self._finished:
            return False
        return is_done or len(self._finished) >= self._request.options.n

    def _complete(self) -> None:
        self._ready.append(self._to_usage())
        self._end()
        self._lingering.add(self._response)

    def _fail(self, failure: ProviderError) -> None:
        self._failure = failure
        self._end()
        self._response.close()

    def _end(self) -> None:
        self._is_over = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        if self._is_over:
            return
        since = self._loop.time() if self._waits_since is None else self._waits_since
        at = min(self._ends_at, since + self._settings.idle_timeout_s)
        self._timer = self._loop.call_at(at, self._check_clocks)

    def _check_clocks(self) -> None:
        now, settings = self._loop.time(), self._settings
        if now >= self._ends_at:
            self._expired = faults.did_not_end(settings.name, settings.total_timeout_s)
        elif self._waits_since is not None and now >= self._waits_since + settings.idle_timeout_s:
            self._expired = faults.fell_silent(settings.name, settings.idle_timeout_s)
        else:
            self._arm()
            return
        self._response.close()  # wakes the reader

    def _to_usage(self) -> Usage:
        sent = self._usage
        if sent is not None and sent.prompt_tokens is not None:
            return Usage(sent.prompt_tokens, sent.completion_tokens or 0)
        completion = estimate_tokens("".join(self._texts)) + self._extra_deltas
        return Usage(estimate_prompt_tokens(self._request), completion, is_estimated=True)
