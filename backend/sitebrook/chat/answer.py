"""One run of the pipeline: its typed events feed every sink alike."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import AsyncGenerator, Callable
from decimal import Decimal
from typing import Final, Literal

import msgspec

from sitebrook.chat.accounts import AnswerAccount
from sitebrook.chat.citations import Citation
from sitebrook.chat.markers import Marker, MarkerFilter
from sitebrook.chat.sources import Sources
from sitebrook.chat.turns import NewAnswer
from sitebrook.chat.writer import TurnWriter
from sitebrook.errors import ProviderError
from sitebrook.providers import faults
from sitebrook.providers.protocol import Delta, Finish, ProviderStream, Usage

_LOG: Final = logging.getLogger(__name__)
# Many times what any model writes in one answer: an upstream that goes on does not end.
_MOST_CHARACTERS: Final = 10_000_000
_CHARACTERS_BESIDE: Final = 50  # what a delta without text counts for


class Cited(msgspec.Struct, frozen=True):
    """The sources of one choice, once its text is whole: what it names or uses, and where.

    Markers stand in the order of the text; see ``Marker`` for those that the model left out.
    """

    index: int
    markers: tuple[Marker, ...]
    citations: tuple[Citation, ...]


AnswerEvent = Delta | Cited | Finish | Usage


class AnswerOrigin(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is known of an answer before its first delta."""

    id: str
    conversation_id: str | None
    model: str
    provider: str
    upstream_model: str = ""
    account: AnswerAccount = msgspec.field(default_factory=AnswerAccount)
    created: int = msgspec.field(default_factory=lambda: int(time.time()))


class _Choice:
    """The text of one choice and its markers."""

    def __init__(self, sources: Sources | None) -> None:
        self.text: list[str] = []
        self._filter = None if sources is None else MarkerFilter(sources.find_index, self.text)

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
    """A generation that has begun; iterate it once, to the end or until you leave.

    It is stored when the events end: as complete when every choice was finished, else as
    interrupted with the text so far. ``keep_question`` is called before that, once the first
    events are on their way. Without ``sources`` its text is passed on as it is.
    """

    def __init__(
        self,
        origin: AnswerOrigin,
        stream: ProviderStream,
        sources: Sources | None,
        writer: TurnWriter,
        keep_question: Callable[[], None] | None = None,
    ) -> None:
        self.origin = origin
        self._stream = stream
        self._sources = sources
        self._writer = writer
        self._keep_question = keep_question
        self._choices: dict[int, _Choice] = {}
        self._cited: dict[int, Cited] = {}
        self._finish_reason: str | None = None
        self._beside: list[Delta] = []
        self._room = _MOST_CHARACTERS
        self._usage: Usage | None = None

    async def events(self) -> AsyncGenerator[AnswerEvent]:
        """The events of ``batches``, one by one."""
        async with contextlib.aclosing(self.batches()) as batches:
            async for batch in batches:
                for event in batch:
                    yield event

    def on_ready(self, listener: Callable[[], None]) -> None:
        """Calls ``listener`` when deltas arrive while ``batches`` is waited for.

        It may take them with ``take_deltas``; what it leaves comes with the next batch.
        """
        self._stream.on_ready(listener)

    def take_deltas(self) -> list[AnswerEvent]:
        """The deltas that have arrived and are shown, in order; often none."""
        batch: list[AnswerEvent] = []
        if self._room > 0:
            for delta in self._stream.take_deltas():
                self._add_delta(delta, batch)
        return batch

    async def batches(self) -> AsyncGenerator[list[AnswerEvent]]:
        """Deltas, then for each choice its citations and finish, then usage.

        A batch holds what has arrived together; none is empty. Raises ProviderError when the
        upstream breaks off. The last batch comes when the answer is stored, so that a next
        question finds it in the conversation.
        """
        is_whole = False
        stream = self._stream
        batch: list[AnswerEvent] = []
        try:
            async for event in stream:
                if isinstance(event, Delta):
                    self._add_deltas(event, batch)
                elif isinstance(event, Finish):
                    self._finish(event, batch)
                else:
                    self._usage = event
                if batch and not stream.has_ready:
                    yield batch
                    batch = []
                    self._store_question()
            is_whole = True
            self._store_question()
            await self._writer.store(self._to_stored("complete"))
            if self._usage is not None:
                batch.append(self.origin.account.to_shown(self._usage))
            if batch:
                yield batch
        except ProviderError as failure:
            _LOG.warning("an answer broke off: %s", failure.message, extra={"id": self.origin.id})
            raise
        finally:
            if not is_whole:
                self._store_question()
                self._writer.put(self._to_stored("interrupted"))
            await self._stream.aclose()

    def _store_question(self) -> None:
        keep, self._keep_question = self._keep_question, None
        if keep is not None:
            keep()

    def _choice(self, index: int) -> _Choice:
        choice = self._choices.get(index)
        if choice is None:
            choice = self._choices[index] = _Choice(self._sources)
        return choice

    def _add_deltas(self, first: Delta, batch: list[AnswerEvent]) -> None:
        """Adds the delta and those that have come with it.

        One by one, the stream's iterator would cost as much as all else that is done to a delta.
        """
        self._add_delta(first, batch)
        for delta in self._stream.take_deltas():
            self._add_delta(delta, batch)
        if self._room <= 0:
            raise faults.malformed(self.origin.provider, "does not end its answer")

    def _add_delta(self, delta: Delta, batch: list[AnswerEvent]) -> None:
        content = delta.content
        self._room -= len(content) or _CHARACTERS_BESIDE
        if content:
            choice = self._choices.get(delta.index) or self._choice(delta.index)
            shown = choice.push(content)
            if shown is not content and shown != content:
                delta = msgspec.structs.replace(delta, content=shown)
                if delta == Delta(index=delta.index):
                    return
        else:
            self._beside.append(delta)
        batch.append(delta)

    def _finish(self, finish: Finish, batch: list[AnswerEvent]) -> None:
        choice = self._choice(finish.index)
        rest = choice.finish()
        if rest:
            batch.append(Delta(index=finish.index, content=rest))
        cited = self._cite(finish.index, choice, is_whole=True)
        if cited is not None:
            batch.append(cited)
        if finish.index == 0:
            self._finish_reason = finish.reason
        batch.append(finish)

    def _cite(self, index: int, choice: _Choice, *, is_whole: bool) -> Cited | None:
        """What the choice names and, once it is whole, what it uses without naming it."""
        if self._sources is None:
            return None
        text, markers = "".join(choice.text), choice.markers
        if is_whole:
            unmarked = self._sources.find_unmarked(text, markers)
            markers = tuple(sorted((*markers, *unmarked), key=lambda one: one.start))
        if not markers:
            return None
        cited = Cited(index, markers, self._sources.cite(text, markers))
        self._cited[index] = cited
        return cited

    def _to_stored(self, status: Literal["complete", "interrupted"]) -> NewAnswer | None:
        usage = self._usage = self._settle()
        if self.origin.conversation_id is None:
            return None
        first = self._choice(0)
        cited = self._cited.get(0) or self._cite(0, first, is_whole=False)
        return NewAnswer(
            id=self.origin.id,
            conversation_id=self.origin.conversation_id,
            content="".join(first.text),
            status=status,
            citations=() if cited is None else cited.citations,
            model=self.origin.model,
            provider=self.origin.provider,
            finish_reason=self._finish_reason,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            upstream_model=self.origin.upstream_model,
            cached_tokens=usage.cached_tokens,
            reasoning_tokens=usage.reasoning_tokens,
            is_estimated=usage.is_estimated,
            cost=usage.cost if isinstance(usage.cost, Decimal) else None,
        )

    def _settle(self) -> Usage:
        """The tokens and cost of what was generated, when no more comes."""
        texts = [text for choice in self._choices.values() for text in choice.text]
        return self.origin.account.settle(self._usage, texts, self._beside)
