"""The mock as a provider: options honoured, events paced."""

from __future__ import annotations

import asyncio
import hashlib
import random
import re
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from sitebrook.errors import InvalidRequest, ProviderError
from sitebrook.providers import faults
from sitebrook.providers.ending import Ending
from sitebrook.providers.gaps import FILES, IMAGES, check_gaps
from sitebrook.providers.mock.answers import compose, question_of
from sitebrook.providers.mock.faults import MockFault, fault_of
from sitebrook.providers.mock.schema import minimal_instance
from sitebrook.providers.mock.sentences import to_stems
from sitebrook.providers.protocol import (
    Delta,
    Finish,
    FunctionDelta,
    FunctionSpec,
    NamedToolChoice,
    ProviderEvent,
    ProviderRequest,
    StreamEnd,
    ToolCallDelta,
    Usage,
)
from sitebrook.settings import ProviderSettings

# What the mock counts as a token: a word with the space before it, long words in pieces.
_PIECE: Final = re.compile(
    r"\s*[\u3040-\u30ff\u3400-\u9fff]|\s*[^\s\u3040-\u30ff\u3400-\u9fff]{1,12}|\s+"
)
_MOST_CHOICES: Final = 16
_LACKS: Final = frozenset({"logprobs", "top_logprobs", IMAGES, FILES})
_GENERIC_VERBS: Final = to_stems("get fetch find search look lookup list call run read query")


class MockProvider:
    """Generates the same text for the same request and ``seed``, without any upstream."""

    def __init__(self, settings: ProviderSettings) -> None:
        self._settings = settings

    @property
    def name(self) -> str:
        """The provider's name in the settings."""
        return self._settings.name

    def check(self, request: ProviderRequest) -> None:
        """Raises InvalidRequest for what the mock does not have; see ``Provider.check``."""
        check_gaps(self._settings.name, request, _LACKS)
        if request.options.n > _MOST_CHOICES:
            raise InvalidRequest(
                f"The mock model gives at most {_MOST_CHOICES} choices.", param="n"
            )

    async def open(self, request: ProviderRequest) -> MockStream:
        """A stream whose first Delta or Finish is due; see ``Provider.open``."""
        self.check(request)
        fault = fault_of(self.name, request.model)
        if fault.refusal is not None:
            raise fault.refusal
        stream = MockStream(self._settings, _to_events(request), fault)
        await stream.wait_for_first()
        return stream

    async def aclose(self) -> None:
        """Holds nothing open."""


class MockStream:
    """Prepared events, each given out when it is due."""

    def __init__(
        self, settings: ProviderSettings, events: Iterator[ProviderEvent], fault: MockFault
    ) -> None:
        self._settings = settings
        self._events = deque(events)
        self._fault = fault
        self._loop = asyncio.get_running_loop()
        self._due_at = self._loop.time() + settings.first_delta_delay_s
        self._given = 0
        self._ending = Ending()

    @property
    def has_ready(self) -> bool:
        """Whether the next event is due at once, as all but deltas are."""
        return bool(self._events) and not isinstance(self._events[0], Delta)

    def on_ready(self, listener: Callable[[], None]) -> None:
        """Nothing arrives by itself."""

    def take_deltas(self) -> list[Delta]:
        """Always empty: deltas are due one by one."""
        return []

    def __aiter__(self) -> MockStream:
        return self

    async def __anext__(self) -> ProviderEvent:
        if not self._events:
            raise StopAsyncIteration
        if self._given and isinstance(self._events[0], Delta):
            await self._check_fault()
            self._due_at += self._settings.delta_delay_s
            await asyncio.sleep(max(0.0, self._due_at - self._loop.time()))
        if not self._events:  # closed meanwhile
            raise StopAsyncIteration
        self._given += 1
        event = self._events.popleft()
        if not self._events:
            self._ending.tell(is_whole=True)
        return event

    async def wait_for_first(self) -> None:
        """Returns when the first event is due."""
        wait_s = self._due_at - self._loop.time()
        if self._fault.stalls_after == 0 or wait_s > self._settings.first_delta_timeout_s:
            await asyncio.sleep(self._settings.first_delta_timeout_s)
            raise faults.did_not_start(self._settings.name, self._settings.first_delta_timeout_s)
        await asyncio.sleep(max(0.0, wait_s))

    def on_end(self, listener: Callable[[StreamEnd], None]) -> None:
        """See ``ProviderStream.on_end``."""
        self._ending.on_end(listener)

    async def aclose(self) -> None:
        """Gives out nothing more."""
        self._events.clear()
        self._ending.tell()

    async def _check_fault(self) -> None:
        failure: ProviderError | None = None
        if self._given == self._fault.breaks_after:
            failure = faults.broken_off(self._settings.name)
        elif self._given == self._fault.stalls_after:
            await asyncio.sleep(self._settings.idle_timeout_s)
            failure = faults.fell_silent(self._settings.name, self._settings.idle_timeout_s)
        if failure is not None:
            self._events.clear()
            self._ending.tell(failure=failure)
            raise failure


class _Choice(msgspec.Struct, frozen=True):
    """One choice, ready to be given out."""

    deltas: list[Delta]
    finish: Finish


def _to_events(request: ProviderRequest) -> Iterator[ProviderEvent]:
    """The deltas of all choices in turn, then their ends, then the usage."""
    called = _called_function(request)
    choices = [
        _to_text_choice(request, index)
        if called is None
        else _to_call_choice(request, called, index)
        for index in range(request.options.n)
    ]
    longest = max(len(choice.deltas) for choice in choices)
    for at in range(longest):
        for choice in choices:
            if at < len(choice.deltas):
                yield choice.deltas[at]
    for choice in choices:
        yield choice.finish
    prompt = sum(len(to_pieces(message.text)) for message in request.messages)
    yield Usage(prompt, sum(len(choice.deltas) for choice in choices))


def to_pieces(text: str) -> list[str]:
    """The text cut into what the mock counts as tokens; joined they are the text."""
    return _PIECE.findall(text)


def _to_text_choice(request: ProviderRequest, index: int) -> _Choice:
    options = request.options
    text = (
        _to_json(request)
        if _wants_json(request)
        else compose(request, _variant(options.seed, index))
    )
    text = text.replace("\x00", "\ufffd")  # it may quote the question or a tool's result
    for stop in options.stop:
        text = text.partition(stop)[0] if stop else text
    pieces = to_pieces(text)
    limit = options.max_tokens
    reason = "stop" if limit is None or len(pieces) <= limit else "length"
    deltas = [Delta(index=index, content=piece) for piece in pieces[:limit]]
    return _Choice(deltas, Finish(index, reason))


def _variant(seed: int | None, index: int) -> int:
    """Which wording; without a seed the first choice gets the plainest."""
    if seed is None:
        return index
    return random.Random(seed).randrange(1 << 16) + index  # noqa: S311  (repeatable on purpose)


def _wants_json(request: ProviderRequest) -> bool:
    wanted = request.options.response_format
    return wanted is not None and wanted.type != "text"


def _to_json(request: ProviderRequest) -> str:
    wanted = request.options.response_format
    schema = wanted.json_schema.schema if wanted is not None and wanted.json_schema else None
    value: Any = minimal_instance(schema) if schema else {"answer": compose(request, 0)}
    return msgspec.json.encode(value).decode()


def _called_function(request: ProviderRequest) -> FunctionSpec | None:
    """The function to call: a named one, any when required, else one that the question names."""
    options = request.options
    functions = [tool.function for tool in options.tools]
    choice = options.tool_choice
    if isinstance(choice, NamedToolChoice):
        named = next((one for one in functions if one.name == choice.function.name), None)
        if named is None:
            raise InvalidRequest(
                f"tool_choice names '{choice.function.name}', which is not among the tools.",
                param="tool_choice",
            )
        return named
    if choice == "required":
        if not functions:
            raise InvalidRequest("tool_choice is required, but there are no tools.", param="tools")
        return functions[0]
    if choice == "none" or (request.messages and request.messages[-1].role == "tool"):
        return None
    asked = to_stems(question_of(request.messages))
    return next((one for one in functions if (words := _name_words(one)) and words <= asked), None)


def _name_words(function: FunctionSpec) -> frozenset[str]:
    """The words that tell what a function is about; verbs only where there is nothing else."""
    words = to_stems(re.sub(r"(?<=[a-z])(?=[A-Z])|[-.]", "_", function.name))
    return words - _GENERIC_VERBS or words


def _to_call_choice(request: ProviderRequest, function: FunctionSpec, index: int) -> _Choice:
    arguments = minimal_instance({"type": "object", **(function.parameters or {})})
    text = msgspec.json.encode(arguments).decode()
    digest = hashlib.sha256(msgspec.json.encode((request.messages, function.name, index)))
    call_id = f"call_{digest.hexdigest()[:24]}"
    named = FunctionDelta(name=function.name, arguments="")
    first = ToolCallDelta(index=0, id=call_id, type="function", function=named)
    rest = (
        ToolCallDelta(index=0, function=FunctionDelta(arguments=piece)) for piece in to_pieces(text)
    )
    deltas = [Delta(index=index, tool_calls=(call,)) for call in (first, *rest)]
    return _Choice(deltas, Finish(index, "tool_calls"))
