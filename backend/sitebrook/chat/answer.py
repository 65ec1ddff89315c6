"""One run of the pipeline: its typed events feed every sink alike."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import msgspec

from sitebrook.chat.citations import Citation, CitedPassage, Marker, MarkerFilter, to_citation
from sitebrook.chat.turns import NewAnswer
from sitebrook.chat.writer import TurnWriter
from sitebrook.errors import ProviderError
from sitebrook.providers.protocol import Delta, Finish, ProviderStream, Usage

_LOG: Final = logging.getLogger(__name__)


class Cited(msgspec.Struct, frozen=True):
    """The sources of one choice, once its text is whole: what it names and where."""

    index: int
    markers: tuple[Marker, ...]
    citations: tuple[Citation, ...]


AnswerEvent = Delta | Cited | Finish | Usage


@dataclass(frozen=True, slots=True)
class Source:
    """A passage of the prompt and the link that opens its document."""

    passage: CitedPassage
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerOrigin:
    """What is known of an answer before its first delta."""

    id: str
    conversation_id: str | None
    model: str
    provider: str
    created: int = field(default_factory=lambda: int(time.time()))


class _Choice:
    """The text of one choice and its markers."""

    def __init__(self, filter_: MarkerFilter | None) -> None:
        self.text: list[str] = []
        self._filter = filter_

    def push(self, content: str) -> str:
        """What of the content may be shown now."""
        shown = content if self._filter is None else self._filter.push(content)
        self.text.append(shown)
        return shown

    def finish(self) -> str:
        """What was held back."""
        rest = "" if self._filter is None else self._filter.finish()
        self.text.append(rest)
        return rest

    @property
    def markers(self) -> tuple[Marker, ...]:
        """The markers so far."""
        return () if self._filter is None else tuple(self._filter.markers)


class Answer:
    """A generation that has begun; iterate ``events`` once, to the end or until you leave.

    It is stored when the events end: as complete when every choice was finished, else as
    interrupted with the text so far.
    """

    def __init__(
        self,
        origin: AnswerOrigin,
        stream: ProviderStream,
        sources: Sequence[Source],
        writer: TurnWriter,
        *,
        cites: bool,
    ) -> None:
        self.origin = origin
        self._stream = stream
        self._sources = sources
        self._writer = writer
        self._cites = cites
        self._numbers: dict[int, int] = {}
        self._choices: dict[int, _Choice] = {}
        self._citations: dict[int, Citation] = {}
        self._finish_reason: str | None = None
        self._usage: Usage | None = None

    async def events(self) -> AsyncGenerator[AnswerEvent]:
        """Deltas, then for each choice its citations and finish, then usage.

        Raises ProviderError when the upstream breaks off. The last event comes when the answer is
        stored, so that a next question finds it in the conversation.
        """
        is_whole = False
        try:
            async for event in self._stream:
                if isinstance(event, Delta):
                    shown = self._filter(event)
                    if shown is not None:
                        yield shown
                elif isinstance(event, Finish):
                    for last in self._finish(event):
                        yield last
                else:
                    self._usage = event
            is_whole = True
            await self._writer.store(self._to_stored("complete"))
            if self._usage is not None:
                yield self._usage
        except ProviderError as failure:
            _LOG.warning("an answer broke off: %s", failure.message, extra={"id": self.origin.id})
            raise
        finally:
            if not is_whole:
                self._writer.put(self._to_stored("interrupted"))
            await self._stream.aclose()

    async def abandon(self) -> None:
        """Ends an answer whose events nobody will read; it is stored as interrupted."""
        self._writer.put(self._to_stored("interrupted"))
        await self._stream.aclose()

    def _choice(self, index: int) -> _Choice:
        choice = self._choices.get(index)
        if choice is None:
            marker_filter = MarkerFilter(len(self._sources), self._numbers) if self._cites else None
            choice = self._choices[index] = _Choice(marker_filter)
        return choice

    def _filter(self, delta: Delta) -> Delta | None:
        if not delta.content:
            return delta
        shown = self._choice(delta.index).push(delta.content)
        if shown == delta.content:
            return delta
        delta = msgspec.structs.replace(delta, content=shown)
        has_more = delta.tool_calls or delta.refusal or delta.reasoning_content or delta.logprobs
        return delta if shown or has_more else None

    def _finish(self, finish: Finish) -> list[AnswerEvent]:
        choice = self._choice(finish.index)
        events: list[AnswerEvent] = []
        rest = choice.finish()
        if rest:
            events.append(Delta(index=finish.index, content=rest))
        if choice.markers:
            citations = self._cite(choice)
            events.append(Cited(finish.index, choice.markers, citations))
        if finish.index == 0:
            self._finish_reason = finish.reason
        return [*events, finish]

    def _cite(self, choice: _Choice) -> tuple[Citation, ...]:
        named = {marker.index for marker in choice.markers}
        text = "".join(choice.text)
        for number, index in self._numbers.items():
            if index in named and index not in self._citations:
                source = self._sources[number - 1]
                self._citations[index] = to_citation(
                    index, source.passage, url=source.url, answer=text
                )
        return tuple(self._citations[index] for index in sorted(named))

    def _to_stored(self, status: Literal["complete", "interrupted"]) -> NewAnswer | None:
        if self.origin.conversation_id is None:
            return None
        first = self._choice(0)
        if status == "interrupted" and first.markers:
            self._cite(first)
        named = {marker.index for marker in first.markers}
        return NewAnswer(
            id=self.origin.id,
            conversation_id=self.origin.conversation_id,
            content="".join(first.text),
            status=status,
            citations=tuple(self._citations[index] for index in sorted(named)),
            model=self.origin.model,
            provider=self.origin.provider,
            finish_reason=self._finish_reason,
            prompt_tokens=self._usage.prompt_tokens if self._usage else None,
            completion_tokens=self._usage.completion_tokens if self._usage else None,
        )
